//! When to ask for a reservation. Pure.
//!
//! Keeps true: while a reservation is wished for, there is one, or it is being asked for, or the next attempt has a time; attempts
//! that fail come ever more rarely, at different times for different devices; each loss is told once, and of a series
//! of failed attempts only the first. A listener that is no longer wished for is given up only when its request was
//! answered: libp2p cannot take an answer to a request that nobody waits for.

use crate::limits::{RESERVE_FIRST, RESERVE_MAX, RESERVE_MIN};
use crate::net::Wish;
use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::Endpoint;
use libp2p::core::transport::ListenerId;
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be asked for at that time.
    Due(Instant),
    /// Asked for.
    Asked(ListenerId),
    /// There is one.
    Held(ListenerId),
}

/// What happened to the reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// There is one.
    Reserved(DeviceId),
    /// There is none (any more).
    Lost(DeviceId, String),
}

/// The keeper of one reservation.
pub(crate) struct Keeper {
    wish: Wish,
    state: State,
    /// Attempts that failed since there was one.
    failures: u32,
    /// Listeners that are asked for but not wished for any more.
    parting: HashSet<ListenerId>,
}

impl Keeper {
    /// Nothing is wished for.
    pub(crate) fn new() -> Self {
        Self { wish: None, state: State::Due(Instant::now()), failures: 0, parting: HashSet::new() }
    }

    /// The relay and its address.
    pub(crate) fn wish(&self) -> Wish {
        self.wish
    }

    /// Something else is wished for, or the same once more. The listener to be removed, if any.
    pub(crate) fn set(&mut self, wish: Wish, now: Instant) -> Option<ListenerId> {
        self.failures = 0;
        if wish == self.wish {
            if let State::Due(_) = self.state {
                self.state = State::Due(now);
            }
            return None;
        }
        self.wish = wish;
        match std::mem::replace(&mut self.state, State::Due(now)) {
            State::Due(_) => None,
            State::Asked(id) => {
                self.parting.insert(id);
                None
            }
            State::Held(id) => Some(id),
        }
    }

    /// A connection to the relay is up; soon it will have let this device in.
    pub(crate) fn connected(&mut self, now: Instant, chance: f64) {
        self.failures = 0;
        if let State::Due(_) = self.state {
            self.state = State::Due(now + RESERVE_FIRST.mul_f64(chance));
        }
    }

    /// When to ask; `None` while nothing is to be asked for.
    pub(crate) fn due(&self) -> Option<(Instant, DeviceId, Endpoint)> {
        match (self.wish, self.state) {
            (Some((relay, endpoint)), State::Due(at)) => Some((at, relay, endpoint)),
            _ => None,
        }
    }

    /// It was asked for, by this listener.
    pub(crate) fn asked(&mut self, id: ListenerId) {
        self.state = State::Asked(id);
    }

    /// This listener has a reservation, perhaps a renewed one. What to tell, and the listener to be removed.
    pub(crate) fn granted(&mut self, id: ListenerId) -> (Option<Told>, Option<ListenerId>) {
        if self.parting.remove(&id) {
            return (None, Some(id));
        }
        match (self.wish, self.state) {
            (Some((relay, _)), State::Asked(asked)) if asked == id => {
                self.state = State::Held(id);
                self.failures = 0;
                (Some(Told::Reserved(relay)), None)
            }
            _ => (None, None),
        }
    }

    /// This listener has ended. `chance` is between 0 and 1.
    pub(crate) fn ended(
        &mut self,
        id: ListenerId,
        reason: impl FnOnce() -> String,
        now: Instant,
        chance: f64,
    ) -> Option<Told> {
        self.parting.remove(&id);
        let (held, asked) = match self.state {
            State::Held(held) => (true, held),
            State::Asked(asked) => (false, asked),
            State::Due(_) => return None,
        };
        if asked != id {
            return None;
        }
        let (relay, _) = self.wish?;
        self.state = State::Due(now + self.pause(held, chance));
        let first = held || self.failures == 0;
        self.failures = if held { 0 } else { self.failures.saturating_add(1) };
        first.then(|| Told::Lost(relay, reason()))
    }

    /// The pause before the next attempt: a short one after a loss, then twice as long each time, and up to half of it more.
    fn pause(&self, held: bool, chance: f64) -> Duration {
        if held {
            return RESERVE_FIRST.mul_f64(chance);
        }
        let doubled = RESERVE_MIN.saturating_mul(1 << self.failures.min(16)).min(RESERVE_MAX);
        doubled.mul_f64(1.0 + chance / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanchat_proto::signed::SecretKey;

    fn wish() -> (DeviceId, Endpoint) {
        (SecretKey::from_seed(&[1; 32]).public(), Endpoint::new(([10, 0, 0, 1], 7).into()))
    }

    fn at(keeper: &Keeper) -> Instant {
        keeper.due().unwrap().0
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_ends_it_there_is_a_next_attempt_ever_later_and_one_word_for_each_series() {
        let now = Instant::now();
        let mut keeper = Keeper::new();
        assert_eq!(keeper.due(), None);
        assert_eq!(keeper.set(Some(wish()), now), None);
        let mut pauses = Vec::new();
        let mut told = 0;
        for _ in 0..20 {
            let id = ListenerId::next();
            keeper.asked(id);
            assert_eq!(keeper.due(), None);
            told += usize::from(keeper.ended(id, String::new, now, 0.0).is_some());
            assert_eq!(keeper.ended(id, String::new, now, 0.0), None, "once");
            pauses.push(at(&keeper) - now);
        }
        assert_eq!(told, 1);
        assert_eq!(pauses[..3], [RESERVE_MIN, RESERVE_MIN * 2, RESERVE_MIN * 4]);
        assert_eq!(pauses.last(), Some(&RESERVE_MAX));
        let id = ListenerId::next();
        keeper.asked(id);
        assert_eq!(keeper.granted(id), (Some(Told::Reserved(wish().0)), None));
        assert_eq!(keeper.granted(id), (None, None), "a renewal is not told");
        let lost = keeper.ended(id, || "gone".to_owned(), now, 0.5);
        assert_eq!(lost, Some(Told::Lost(wish().0, "gone".to_owned())));
        assert_eq!(at(&keeper) - now, RESERVE_FIRST / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn giving_up_waits_for_the_answer_to_what_was_asked() {
        let now = Instant::now();
        let mut keeper = Keeper::new();
        keeper.set(Some(wish()), now);
        let (first, second) = (ListenerId::next(), ListenerId::next());
        keeper.asked(first);
        assert_eq!(keeper.set(None, now), None, "not yet");
        keeper.set(Some(wish()), now);
        keeper.asked(second);
        assert_eq!(keeper.granted(first), (None, Some(first)));
        assert_eq!(keeper.ended(first, String::new, now, 0.0), None);
        assert!(keeper.granted(second).0.is_some());
        assert_eq!(keeper.set(None, now), Some(second));
        assert_eq!((keeper.ended(second, String::new, now, 0.0), keeper.due()), (None, None));
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_wish_again_is_tried_at_once() {
        let now = Instant::now();
        let mut keeper = Keeper::new();
        keeper.set(Some(wish()), now);
        for _ in 0..5 {
            let id = ListenerId::next();
            keeper.asked(id);
            keeper.ended(id, String::new, now, 0.0);
        }
        assert!(at(&keeper) > now + RESERVE_MIN);
        keeper.set(Some(wish()), now);
        assert_eq!(at(&keeper), now);
    }
}
