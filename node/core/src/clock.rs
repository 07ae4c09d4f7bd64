//! The corrected wall clock and the stamps of own entries.
//!
//! Keeps true: the coordinator's word about the time counts before that of peers; of peers the median counts, the own
//! clock being one of them. The rule: `docs/protocol.md#time`.

use crate::limits::{CLOCK_JUMP, MAX_CLOCKS, OFFSET_STEP};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::limits::MAX_CLOCK_AHEAD;
use lanchat_proto::time::{Hlc, HlcClock, Now, Wall, millis};
use std::collections::BTreeMap;

/// Corrected time and stamps.
#[derive(Clone)]
pub(crate) struct Clock {
    stamps: HlcClock,
    coordinator: Option<i64>,
    peers: BTreeMap<DeviceId, i64>,
    warned: bool,
}

/// What happened to the wall clock between two looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ClockStep {
    /// It went as far as monotonic time.
    Even,
    /// It went further: it was set, or the machine slept.
    Ahead,
    /// It was set back; with the new correction to store, where a coordinator gave one.
    SetBack(Option<i64>),
}

/// `theirs - ours` in milliseconds.
fn difference(theirs: Wall, ours: Wall) -> i64 {
    i64::try_from(i128::from(theirs.0) - i128::from(ours.0)).unwrap_or(0)
}

impl Clock {
    /// Goes on from what the store holds; `offset` is the coordinator's last word, if the realm has one.
    pub(crate) fn new(last: Hlc, offset: Option<i64>) -> Self {
        Self { stamps: HlcClock::after(last), coordinator: offset, peers: BTreeMap::new(), warned: false }
    }

    /// Correction of the wall clock in milliseconds.
    pub(crate) fn offset(&self) -> i64 {
        self.coordinator.unwrap_or_else(|| self.median())
    }

    fn median(&self) -> i64 {
        let mut all: Vec<i64> = self.peers.values().copied().collect();
        all.push(0);
        all.sort_unstable();
        let upper = all.get(all.len() / 2).copied().unwrap_or(0);
        let lower = all.get((all.len() - 1) / 2).copied().unwrap_or(0);
        if lower.unsigned_abs() <= upper.unsigned_abs() { lower } else { upper }
    }

    pub(crate) fn corrected(&self, wall: Wall) -> Wall {
        wall.corrected(self.offset())
    }

    /// The coordinator's time. Returns the new correction when it is worth storing.
    pub(crate) fn coordinator_says(&mut self, time: Wall, wall: Wall) -> Option<i64> {
        let offset = difference(time, wall);
        let before = self.coordinator.unwrap_or(0);
        if before.abs_diff(offset) <= OFFSET_STEP {
            return None;
        }
        self.coordinator = Some(offset);
        Some(offset)
    }

    /// Compares how far both clocks went. A wall clock that was set back is told apart for certain: the corrections follow,
    /// so that corrected time goes on evenly. One that leapt ahead was set, or the machine slept while monotonic time
    /// stood still; which of the two, the coordinator's next word decides.
    pub(crate) fn passed(&mut self, before: Now, now: Now) -> ClockStep {
        let passed = i64::try_from(now.mono.since(before.mono).as_millis()).unwrap_or(i64::MAX);
        let jump = difference(now.wall, before.wall).saturating_sub(passed);
        if jump.unsigned_abs() <= CLOCK_JUMP {
            return ClockStep::Even;
        }
        if jump > 0 {
            return ClockStep::Ahead;
        }
        self.peers.values_mut().for_each(|offset| *offset = offset.saturating_sub(jump));
        if let Some(offset) = self.coordinator.as_mut() {
            *offset = offset.saturating_sub(jump);
        }
        ClockStep::SetBack(self.coordinator)
    }

    pub(crate) fn peer_says(&mut self, peer: DeviceId, time: Wall, wall: Wall) {
        if self.peers.len() < MAX_CLOCKS || self.peers.contains_key(&peer) {
            self.peers.insert(peer, difference(time, wall));
        }
    }

    /// The error of this machine's clock, once, when it is large.
    pub(crate) fn warn(&mut self) -> Option<i64> {
        let offset = self.offset();
        let wrong = offset.unsigned_abs() > millis(MAX_CLOCK_AHEAD);
        let news = wrong && !self.warned;
        self.warned |= news;
        news.then_some(offset)
    }

    pub(crate) fn stamp(&mut self, wall: Wall) -> Hlc {
        let corrected = self.corrected(wall);
        self.stamps.stamp(corrected)
    }

    pub(crate) fn observe(&mut self, theirs: Hlc, wall: Wall) {
        let corrected = self.corrected(wall);
        self.stamps.observe(theirs, corrected);
    }

    pub(crate) fn runs_ahead(&self, wall: Wall) -> bool {
        self.stamps.runs_ahead(self.corrected(wall))
    }

    /// Starts stamps anew, for a new epoch whose logs are empty.
    pub(crate) fn restart(&mut self) {
        self.stamps = HlcClock::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_peer_moves_nothing_two_agreeing_ones_do() {
        let mut clock = Clock::new(Hlc(0), None);
        let wall = Wall(10_000_000);
        clock.peer_says(DeviceId([1; 32]), Wall(9_000_000), wall);
        assert_eq!(clock.offset(), 0);
        clock.peer_says(DeviceId([2; 32]), Wall(9_000_000), wall);
        assert_eq!(clock.offset(), -1_000_000);
        assert_eq!(clock.warn(), Some(-1_000_000));
        assert_eq!(clock.warn(), None);
    }

    #[test]
    fn corrected_time_goes_on_evenly_when_the_clock_is_set_back() {
        let now = |mono: u64, wall: u64| Now {
            mono: lanchat_proto::time::Mono(std::time::Duration::from_millis(mono)),
            wall: Wall(wall),
        };
        let mut clock = Clock::new(Hlc(0), Some(500));
        assert_eq!(clock.passed(now(0, 9_000_000), now(60_000, 9_060_900)), ClockStep::Even);
        assert_eq!(
            clock.passed(now(0, 9_000_000), now(1000, 1_001_000)),
            ClockStep::SetBack(Some(8_000_500))
        );
        assert_eq!(clock.corrected(Wall(1_001_000)), Wall(9_001_500));
        assert_eq!(clock.passed(now(0, 1_000_000), now(1000, 9_001_000)), ClockStep::Ahead);
        assert_eq!(clock.corrected(Wall(1_001_000)), Wall(9_001_500));
    }

    #[test]
    fn the_coordinator_counts_before_peers() {
        let mut clock = Clock::new(Hlc(0), Some(0));
        for n in 1..9 {
            clock.peer_says(DeviceId([n; 32]), Wall(1), Wall(9_000_000));
        }
        assert_eq!(clock.coordinator_says(Wall(9_000_500), Wall(9_000_000)), None);
        assert_eq!(clock.coordinator_says(Wall(9_005_000), Wall(9_000_000)), Some(5000));
        assert_eq!(clock.corrected(Wall(1000)), Wall(6000));
    }
}
