//! The one place of the node that reads clocks.

use lanchat_proto::time::{Mono, Now, Wall, millis};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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

    /// The instant of a monotonic time.
    #[must_use]
    pub fn instant(&self, mono: Mono) -> Instant {
        self.start.checked_add(mono.0).unwrap_or(self.start)
    }
}

/// The machine's wall clock; 1970 for one that is set earlier.
#[must_use]
pub fn wall() -> Wall {
    Wall(millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}
