//! How many bytes move, as people are shown it.
//!
//! Keeps true: the rate at any time is that of the last two and a quarter to two and a half seconds, or of as many as
//! there were, reckoned with the time at which somebody looks: when nothing moves it falls to 0 in that time, whoever
//! else has nothing to say. Goes in: bytes as they move. Goes out: bytes a second. Memory is bounded.

use lanchat_proto::time::Mono;
use std::collections::VecDeque;
use std::time::Duration;

/// The time in which bytes are counted together.
const SLOT: Duration = Duration::from_millis(250);
/// So many of them are looked at, with the one that is not over: so many that a rate does not jump with every piece, and
/// so few that it is that of now.
const SLOTS: u64 = 10;

/// Bytes that moved lately.
#[derive(Clone, Default, Debug)]
pub struct Flow {
    /// When the first moved.
    first: Option<Mono>,
    /// The number of a slot since the beginning of time, and its bytes; the newest last, at most [`SLOTS`].
    slots: VecDeque<(u64, u64)>,
}

fn slot(at: Mono) -> u64 {
    u64::try_from(at.0.as_nanos() / SLOT.as_nanos()).unwrap_or(u64::MAX)
}

impl Flow {
    /// So many bytes moved.
    pub fn count(&mut self, bytes: u64, now: Mono) {
        self.first.get_or_insert(now);
        let current = slot(now);
        while self.slots.front().is_some_and(|(slot, _)| slot.saturating_add(SLOTS) <= current) {
            self.slots.pop_front();
        }
        match self.slots.back_mut() {
            // Whoever looked at the clock before another may come after it.
            Some((slot, counted)) if *slot >= current => *counted = counted.saturating_add(bytes),
            _ => self.slots.push_back((current, bytes)),
        }
    }

    /// Bytes a second, as seen at this time.
    #[must_use]
    pub fn rate(&self, now: Mono) -> u64 {
        let Some(first) = self.first else { return 0 };
        let oldest = slot(now).saturating_sub(SLOTS - 1);
        let counted = self.slots.iter().filter(|(slot, _)| *slot >= oldest);
        let bytes = counted.fold(0_u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        let begin = u32::try_from(oldest).map_or(Duration::MAX, |oldest| SLOT.saturating_mul(oldest));
        // What comes in the first moment says little of the next.
        let passed = now.since(first.max(Mono(begin))).max(SLOT);
        let micros = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX).max(1);
        bytes.saturating_mul(1_000_000) / micros
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u64 = 8 << 20;
    /// A cable's piece at that rate every so often.
    const STEP: Duration = Duration::from_millis(10);

    fn at(millis: u64) -> Mono {
        Mono(Duration::from_millis(millis))
    }

    /// Moves so many bytes a second from one time to another, in milliseconds, in steps of this length.
    fn moves(flow: &mut Flow, rate: u64, step: Duration, (from, to): (u64, u64)) {
        let mut now = at(from);
        while now < at(to) {
            now = now.plus(step);
            flow.count(rate * u64::try_from(step.as_millis()).unwrap() / 1000, now);
        }
    }

    fn is_about(rate: u64, wanted: u64, percent: u64) -> bool {
        rate.abs_diff(wanted) * 100 <= wanted * percent
    }

    #[test]
    fn nothing_that_moved_is_no_rate() {
        assert_eq!(Flow::default().rate(at(0)), 0);
        assert_eq!(Flow::default().rate(at(100_000_000_000)), 0);
    }

    #[test]
    fn an_even_flow_shows_its_rate_whenever_somebody_looks() {
        for step in [STEP, Duration::from_millis(100)] {
            let mut flow = Flow::default();
            for second in 0..20 {
                for tenth in 0..10 {
                    let from = 777 + second * 1000 + tenth * 100;
                    moves(&mut flow, RATE, step, (from, from + 100));
                    let rate = flow.rate(at(from + 100));
                    let percent = if second == 0 { 65 } else { 12 };
                    assert!(is_about(rate, RATE, percent), "{second}.{tenth}: {rate}");
                }
            }
        }
    }

    #[test]
    fn a_flow_that_stops_falls_to_nothing_within_three_seconds_though_nobody_counts() {
        let mut flow = Flow::default();
        moves(&mut flow, RATE, STEP, (500, 10_500));
        let mut before = flow.rate(at(10_500));
        assert!(is_about(before, RATE, 2), "{before}");
        for after in (100..2_500).step_by(100) {
            let rate = flow.rate(at(10_500 + after));
            // The slots are of one length, the first and the last of them are not all there.
            assert!(rate <= before + before / 20, "{after}: {rate} after {before}");
            before = rate;
        }
        assert!(is_about(flow.rate(at(11_500)), RATE * 6 / 10, 12), "{}", flow.rate(at(11_500)));
        assert_eq!(flow.rate(at(13_000)), 0);
        assert_eq!(flow.rate(at(1_000_000_000_000)), 0);
    }

    #[test]
    fn a_flow_that_slows_down_shows_the_new_rate_within_three_seconds_and_never_less_or_more() {
        let mut flow = Flow::default();
        moves(&mut flow, RATE, STEP, (0, 5_000));
        for tenth in 0..50 {
            let from = 5_000 + tenth * 100;
            moves(&mut flow, RATE / 4, STEP, (from, from + 100));
            let rate = flow.rate(at(from + 100));
            assert!((RATE / 4 * 9 / 10..=RATE * 11 / 10).contains(&rate), "{tenth}: {rate}");
            assert!(tenth < 25 || is_about(rate, RATE / 4, 5), "{tenth}: {rate}");
        }
    }

    #[test]
    fn what_goes_on_after_a_while_is_not_a_jump_and_memory_stays_small() {
        let mut flow = Flow::default();
        moves(&mut flow, RATE, STEP, (0, 60_000));
        assert!(flow.slots.len() as u64 <= SLOTS);
        moves(&mut flow, RATE, STEP, (90_000, 90_500));
        assert!(flow.rate(at(90_500)) < RATE / 3);
        // A clock that was read before.
        flow.count(1 << 20, at(90_100));
        moves(&mut flow, RATE, STEP, (90_500, 95_000));
        assert!(is_about(flow.rate(at(95_000)), RATE, 2));
    }
}
