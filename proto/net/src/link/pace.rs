//! How fast one admitted link may send to us.
//!
//! Keeps true: over any time, at most one second's worth of frames and of bytes beyond the rates is read; nothing is ever cut
//! for being fast. Pure: goes in, what was read and when; goes out, when to read on.

use std::time::Duration;
use tokio::time::Instant;

/// Time whose worth may be read at once after a pause.
const BURST: Duration = Duration::from_secs(1);

/// Most that is read of one link, each second. Zero counts as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rates {
    /// Frames.
    pub(crate) frames: u64,
    /// Bytes of frames, headers included.
    pub(crate) bytes: u64,
}

/// What one link has used up.
pub(crate) struct Pace {
    rates: Rates,
    frames: Instant,
    bytes: Instant,
}

impl Pace {
    /// Nothing was read so far.
    pub(crate) fn new(rates: Rates, now: Instant) -> Self {
        Self { rates, frames: now, bytes: now }
    }

    /// A frame of this many bytes was read. The next may be read at the time returned.
    pub(crate) fn read(&mut self, bytes: usize, now: Instant) -> Instant {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.frames = self.frames.max(now) + worth(1, self.rates.frames);
        self.bytes = self.bytes.max(now) + worth(bytes, self.rates.bytes);
        let paid = self.frames.max(self.bytes);
        paid.checked_sub(BURST).map_or(now, |at| at.max(now))
    }
}

/// Time in which so many come at this rate; bounded, so that no sum of them overflows.
fn worth(units: u64, rate: u64) -> Duration {
    let nanos = u128::from(units) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(rates: Rates, frames: u32, bytes: usize) -> Duration {
        let start = Instant::now();
        let mut pace = Pace::new(rates, start);
        let mut now = start;
        for _ in 0..frames {
            now = pace.read(bytes, now);
        }
        now - start
    }

    #[test]
    fn a_burst_of_a_second_is_free_and_the_rest_takes_its_time() {
        let rates = Rates { frames: 100, bytes: 10_000 };
        assert_eq!(run(rates, 100, 1), Duration::ZERO);
        assert_eq!(run(rates, 300, 1), Duration::from_secs(2), "by frames");
        assert_eq!(run(rates, 100, 300), Duration::from_secs(2), "by bytes");
        assert_eq!(run(Rates { frames: 0, bytes: 0 }, 3, 1), Duration::from_secs(2));
    }

    #[test]
    fn what_was_not_used_is_saved_for_a_second_only() {
        let start = Instant::now();
        let mut pace = Pace::new(Rates { frames: 10, bytes: 1000 }, start);
        let later = start + Duration::from_secs(60);
        let free = (0..30).take_while(|_| pace.read(1, later) == later).count();
        assert_eq!(free, 10);
    }
}
