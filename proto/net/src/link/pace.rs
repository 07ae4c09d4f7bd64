//! How fast one admitted link may send to us.
//!
//! Keeps true: over any time, at most one second's worth of frames and of bytes beyond the rates is read; nothing is ever cut
//! for being fast. Pure: goes in, what was read and when; goes out, when to read on.

use crate::debt::{Debt, worth};
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
    frames: Debt,
    bytes: Debt,
}

impl Pace {
    /// Nothing was read so far.
    pub(crate) fn new(rates: Rates, now: Instant) -> Self {
        Self { rates, frames: Debt::new(now), bytes: Debt::new(now) }
    }

    /// A frame of this many bytes was read. The next may be read at the time returned.
    pub(crate) fn read(&mut self, bytes: usize, now: Instant) -> Instant {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let frames = self.frames.take(cost(1, self.rates.frames), BURST, now);
        frames.max(self.bytes.take(cost(bytes, self.rates.bytes), BURST, now))
    }
}

/// What one frame costs: bounded, so that no rate holds a link up for longer.
fn cost(units: u64, rate: u64) -> Duration {
    worth(units, rate).min(Duration::from_secs(60))
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
