//! Time as the rules see it: wall time, monotonic time, hybrid logical stamps. Nothing here reads a clock.
//!
//! Keeps true: stamps of one log rise strictly; a stamp far in the future never drags anybody's clock along.
//! The rule: `docs/protocol.md#time`.

use crate::limits::MAX_CLOCK_AHEAD;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Wall time in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Wall(
    /// Milliseconds.
    pub u64,
);

impl Wall {
    /// This much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This much earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// Moved by a correction in milliseconds.
    #[must_use]
    pub fn corrected(self, offset: i64) -> Self {
        Self(self.0.saturating_add_signed(offset))
    }
}

/// Monotonic time since the program's start (or the simulation's), for waits only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Mono(
    /// Since the start.
    pub Duration,
);

impl Mono {
    /// This much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// Time since an earlier moment, zero when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// What a state machine is told about time with every input: monotonic for waits, wall for stamps and certificates.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// For waits.
    pub mono: Mono,
    /// For stamps and certificates; may jump.
    pub wall: Wall,
}

/// Whole milliseconds of a duration.
#[must_use]
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A hybrid logical stamp: milliseconds in the upper 48 bits, a counter in the lower 16.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Hlc(
    /// The stamp.
    pub u64,
);

impl Hlc {
    /// The first stamp of a millisecond.
    #[must_use]
    pub fn at(wall: Wall) -> Self {
        Self(wall.0.min(u64::MAX >> 16) << 16)
    }

    /// The stamp's wall time.
    #[must_use]
    pub fn wall(self) -> Wall {
        Wall(self.0 >> 16)
    }

    /// The smallest later stamp.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// A device's stamp giver.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HlcClock {
    last: Hlc,
}

impl HlcClock {
    /// Goes on from the newest stamp on disk.
    #[must_use]
    pub fn after(last: Hlc) -> Self {
        Self { last }
    }

    /// The newest stamp given or adopted.
    #[must_use]
    pub fn last(&self) -> Hlc {
        self.last
    }

    /// A new stamp, later than all before. `corrected` is wall time after the correction by coordinator or peers.
    pub fn stamp(&mut self, corrected: Wall) -> Hlc {
        self.last = self.last.next().max(Hlc::at(corrected));
        self.last
    }

    /// Takes note of another's stamp, unless it is more than [`MAX_CLOCK_AHEAD`] ahead. Returns whether it was adopted.
    pub fn observe(&mut self, theirs: Hlc, corrected: Wall) -> bool {
        let sane = theirs.wall() <= corrected.plus(MAX_CLOCK_AHEAD);
        if sane {
            self.last = self.last.max(theirs);
        }
        sane
    }

    /// Whether the own newest stamp is so far ahead of corrected time that a new epoch has to begin.
    #[must_use]
    pub fn runs_ahead(&self, corrected: Wall) -> bool {
        self.last.wall() > corrected.plus(MAX_CLOCK_AHEAD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_rise_even_when_the_clock_goes_back() {
        let mut clock = HlcClock::default();
        let a = clock.stamp(Wall(1000));
        let b = clock.stamp(Wall(1000));
        let c = clock.stamp(Wall(10));
        assert!(a < b && b < c);
        assert_eq!(c.wall(), Wall(1000));
    }

    #[test]
    fn a_far_future_stamp_is_not_adopted() {
        let now = Wall(1_000_000);
        let mut clock = HlcClock::default();
        assert!(!clock.observe(Hlc::at(now.plus(MAX_CLOCK_AHEAD).plus(Duration::from_millis(1))), now));
        assert_eq!(clock.stamp(now), Hlc::at(now));
        assert!(clock.observe(Hlc::at(now.plus(MAX_CLOCK_AHEAD)), now));
        assert!(clock.stamp(now).wall() > now);
        assert!(!clock.runs_ahead(now));
        assert!(clock.runs_ahead(Wall(0)));
    }
}
