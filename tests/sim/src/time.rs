//! Virtual time: one true clock, and for each machine a wrong one.

use lanchat_proto::time::{Mono, Now, Wall};
use std::time::Duration;

/// True time since the world's start, in microseconds.
pub type Micros = u64;

/// A millisecond.
pub const MS: Micros = 1000;
/// A second.
pub const SECOND: Micros = 1_000_000;

/// True wall time at the world's start: 2026-01-05 08:00 UTC.
const EPOCH_MS: u64 = 1_767_600_000_000;

/// True wall time.
#[must_use]
pub fn true_wall(at: Micros) -> Wall {
    Wall(EPOCH_MS + at / MS)
}

/// What a machine's clock shows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    /// Wall time is wrong by this many milliseconds.
    pub offset_ms: i64,
    /// And by this much more for each second.
    pub drift_ppm: i64,
    /// When the running program was started.
    pub started: Micros,
}

impl Clock {
    /// What the program is told.
    #[must_use]
    pub fn now(&self, at: Micros) -> Now {
        let drift = i64::try_from(at / MS).unwrap_or(0).saturating_mul(self.drift_ppm) / 1_000_000;
        Now {
            mono: Mono(Duration::from_micros(at.saturating_sub(self.started))),
            wall: true_wall(at).corrected(self.offset_ms.saturating_add(drift)),
        }
    }

    /// The true moment of a monotonic one.
    #[must_use]
    pub fn moment(&self, mono: Mono) -> Micros {
        self.started.saturating_add(u64::try_from(mono.0.as_micros()).unwrap_or(u64::MAX / 2))
    }
}
