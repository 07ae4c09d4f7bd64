//! Notices that this machine slept, or that the program was stopped for a while.
//!
//! Keeps true: a sleep is told once, at the first turn after it, whether the monotonic clock counts while the machine
//! sleeps (Windows) or stands still (Linux, macOS).

use lanchat_proto::time::{Mono, Now, Wall};
use std::time::Duration;

/// Time between two turns above which this counts as a sleep: a turn comes every second, later on a busy machine.
const LATE: Duration = Duration::from_secs(10);
/// Time by which the wall clock may run ahead of the monotonic one between two turns before this counts as a sleep.
const AHEAD: Duration = Duration::from_secs(5);

/// When the last turn was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pulse {
    mono: Mono,
    wall: Wall,
}

impl Pulse {
    /// Begins.
    pub(crate) fn new(now: Now) -> Self {
        Self { mono: now.mono, wall: now.wall }
    }

    /// A turn; whether a sleep lies before it.
    pub(crate) fn turn(&mut self, now: Now) -> bool {
        let passed = now.mono.since(self.mono);
        let on_the_wall = Duration::from_millis(now.wall.0.saturating_sub(self.wall.0));
        *self = Self::new(now);
        passed > LATE || on_the_wall > passed + AHEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono: u64, wall: u64) -> Now {
        Now { mono: Mono(Duration::from_secs(mono)), wall: Wall(wall * 1000) }
    }

    #[test]
    fn a_sleep_is_told_once_whichever_clock_stood_still() {
        let mut pulse = Pulse::new(at(0, 1000));
        assert!(!pulse.turn(at(3, 1003)));
        assert!(!pulse.turn(at(9, 1009)), "a busy machine");
        assert!(pulse.turn(at(10, 1100)), "the monotonic clock stood still");
        assert!(!pulse.turn(at(13, 1103)));
        assert!(pulse.turn(at(73, 1163)), "both clocks went on");
        assert!(!pulse.turn(at(76, 1166)));
    }

    #[test]
    fn a_wall_clock_that_is_set_back_is_no_sleep() {
        let mut pulse = Pulse::new(at(0, 1000));
        assert!(!pulse.turn(at(3, 10)));
        assert!(!pulse.turn(at(6, 13)));
    }
}
