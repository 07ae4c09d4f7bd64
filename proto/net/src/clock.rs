//! The one place where programs read clocks, and how times are written for people and scripts.
//!
//! Keeps true: both clocks are read together; a wall clock that is set before 1970 reads as 1970; every time has a spelling.

use lanchat_proto::time::{Mono, Now, Wall, millis};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::macros::format_description;

/// Counts from the program's start.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts to count.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Both clocks now.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { mono: Mono(self.start.elapsed()), wall: wall() }
    }

    /// The instant of a monotonic time; the start for one that no instant can have.
    #[must_use]
    pub fn instant(&self, mono: Mono) -> Instant {
        self.start.checked_add(mono.0).unwrap_or(self.start)
    }
}

/// The machine's wall clock.
#[must_use]
pub fn wall() -> Wall {
    Wall(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}

/// RFC 3339 in UTC with milliseconds.
#[must_use]
pub fn rfc3339(at: Wall) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000)
        .ok()
        .and_then(|at| at.format(&format).ok())
        // Beyond the year 9999 there is no such spelling.
        .unwrap_or_else(|| "9999-12-31T23:59:59.999Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        assert_eq!(rfc3339(Wall(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Wall(1_700_000_000_007)), "2023-11-14T22:13:20.007Z");
        assert_eq!(rfc3339(Wall(u64::MAX)), "9999-12-31T23:59:59.999Z");
    }
}
