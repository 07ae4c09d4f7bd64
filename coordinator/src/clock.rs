//! The one place that reads the clocks, and how times are written for people and scripts.

use lanchat_proto::time::{Mono, Now, Wall};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::macros::format_description;

/// The program's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Now.
    pub(crate) fn now(&self) -> Now {
        Now { mono: Mono(self.0.elapsed()), wall: wall() }
    }

    /// A monotonic moment as the runtime understands it.
    pub(crate) fn at(&self, mono: Mono) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.0 + mono.0)
    }
}

/// Wall time.
pub(crate) fn wall() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// RFC 3339, UTC, milliseconds; empty for a time beyond all calendars.
pub(crate) fn rfc3339(at: Wall) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000)
        .ok()
        .and_then(|time| time.format(format).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_with_milliseconds() {
        assert_eq!(rfc3339(Wall(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(rfc3339(Wall(1_795_268_089_005)), "2026-11-21T13:34:49.005Z");
        assert_eq!(rfc3339(Wall(u64::MAX)), "");
    }
}
