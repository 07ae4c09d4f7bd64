//! Devices that want a way to each other: dial-back, circuits, and whether a device can be dialled at all.
//!
//! Keeps true: only a device that is on is introduced, only to one that is on, and within its share; circuits to one device come
//! at most [`CIRCUITS_IN_WINDOW`] within any [`CIRCUIT_WINDOW`], each at the time that its asker was told, since a relay drops
//! what comes all at once; circuits are promised only where they are carried. Nothing here waits for the store. The order
//! of things is in `docs/protocol.md#reach`.

use crate::buckets::Buckets;
use crate::io::LinkId;
use crate::limits::{
    CIRCUIT_AGAIN, CIRCUIT_WINDOW, CIRCUITS_IN_WINDOW, INTRODUCTION_REFILL, INTRODUCTIONS, MAX_ASKERS,
    MAX_CIRCUIT_WAIT, MAX_PACED,
};
use crate::presence::Online;
use crate::state::CoordinatorState;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::time::{Mono, Now, millis};
use lanchat_proto::wire::reach::{Introduce, Introduced, Introduction, Knock, Way};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// What is remembered of introductions.
pub(crate) struct Introductions {
    askers: Buckets<DeviceId>,
    /// Turns at each device, rising, with whose they are.
    turns: BTreeMap<DeviceId, VecDeque<(Mono, DeviceId)>>,
}

impl Introductions {
    pub(crate) fn new() -> Self {
        Self { askers: Buckets::new(INTRODUCTIONS, INTRODUCTION_REFILL, MAX_ASKERS), turns: BTreeMap::new() }
    }

    /// How long `asker` has to wait for its turn at `target`; `None` when that would be too long.
    fn turn(&mut self, asker: DeviceId, target: DeviceId, now: Mono) -> Option<Duration> {
        if self.turns.len() >= MAX_PACED && !self.turns.contains_key(&target) {
            self.forget_turns(now);
            if self.turns.len() >= MAX_PACED {
                return None;
            }
        }
        let turns = self.turns.entry(target).or_default();
        while turns.front().is_some_and(|(at, _)| over(*at, now)) {
            turns.pop_front();
        }
        if let Some((at, _)) = turns.iter().rev().find(|(_, other)| *other == asker) {
            return Some(at.since(now));
        }
        let before = turns.len().checked_sub(CIRCUITS_IN_WINDOW).and_then(|at| turns.get(at));
        let at = before.map_or(now, |(at, _)| at.plus(CIRCUIT_WINDOW).max(now));
        let wait = at.since(now);
        if wait > MAX_CIRCUIT_WAIT {
            return None;
        }
        turns.push_back((at, asker));
        Some(wait)
    }

    fn forget_turns(&mut self, now: Mono) {
        self.turns.retain(|_, turns| turns.back().is_some_and(|(at, _)| !over(*at, now)));
    }

    /// Drops what is too old to matter.
    pub(crate) fn forget(&mut self, now: Mono) {
        self.askers.forget(now);
        self.forget_turns(now);
    }
}

/// Whether a turn holds up nobody any more.
fn over(at: Mono, now: Mono) -> bool {
    now.since(at) >= CIRCUIT_WINDOW.max(CIRCUIT_AGAIN)
}

impl CoordinatorState {
    /// Frames by which devices find a way to each other. They do not wait for the store.
    pub(crate) fn reach(&mut self, link: LinkId, frame: &Frame, now: Now) {
        if self.told(link).is_none() {
            return self.refuse_stranger(link, 0);
        }
        let read = if frame.known() == Some(Kind::Introduce) {
            frame.decode().map(|ask| self.introduce(link, &ask, now))
        } else {
            frame.decode().map(|ask| self.dial_me(link, &ask, now))
        };
        if read.is_err() {
            self.close(link, false);
        }
    }

    fn introduce(&mut self, link: LinkId, ask: &Introduce, now: Now) {
        let (outcome, wait) = self.introduced(link, ask, now.mono);
        if outcome == Introduced::Yes {
            self.stats.introductions += 1;
        } else {
            self.stats.introductions_refused += 1;
        }
        let wait_ms = u32::try_from(millis(wait)).unwrap_or(u32::MAX);
        let answer = Introduction { request: ask.request, outcome, wait_ms };
        self.send(link, Frame::new(Kind::Introduction, &answer));
    }

    /// What becomes of a wish, and the wait that goes with it.
    fn introduced(&mut self, link: LinkId, ask: &Introduce, now: Mono) -> (Introduced, Duration) {
        let Some(asker) = self.sessions.get(&link).map(|session| session.device) else {
            return (Introduced::No, Duration::ZERO);
        };
        let on = |online: &&Online| online.link.is_some();
        let other = self.presence.get(&ask.device).filter(on).and_then(|online| online.link);
        let allowed = self.introductions.askers.try_take(&asker, now) && asker != ask.device;
        let outcome = match (ask.way, other) {
            _ if !allowed => Introduced::No,
            (Way::Unknown, _) => Introduced::No,
            (Way::Circuit, _) if self.config.relay.is_none() => Introduced::NoRelay,
            (_, None) => Introduced::NotOn,
            (Way::DialBack, Some(other)) => self.knock(link, asker, other),
            (Way::Circuit, Some(_)) => match self.introductions.turn(asker, ask.device, now) {
                Some(wait) => return (Introduced::Yes, wait),
                None => Introduced::No,
            },
        };
        (outcome, Duration::ZERO)
    }

    /// Tells the device of another link to dial the asker.
    fn knock(&mut self, link: LinkId, asker: DeviceId, other: LinkId) -> Introduced {
        let own = self.presence.get(&asker).filter(|online| online.link == Some(link));
        let Some(device) = own.map(|online| online.row.clone()) else { return Introduced::No };
        self.send(other, Frame::new(Kind::Knock, &Knock { device }));
        Introduced::Yes
    }

    /// Tells a link that circuits are carried, where they are.
    pub(crate) fn tell_terms(&mut self, link: LinkId) {
        if let Some(terms) = self.config.relay {
            self.send(link, Frame::new(Kind::RelayTerms, &terms));
        }
    }

    /// The relay failed and was started anew: all who are signed in are told its terms again, so that they ask for what they
    /// lack of it.
    pub(crate) fn relay_restarted(&mut self) {
        if let Some(terms) = self.config.relay {
            self.send_all(Frame::new(Kind::RelayTerms, &terms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(n: u32) -> DeviceId {
        let mut id = DeviceId([0; 32]);
        id.0.iter_mut().zip(n.to_be_bytes()).for_each(|(to, from)| *to = from);
        id
    }

    #[test]
    fn turns_come_at_most_eight_in_any_window_however_they_are_asked_for() {
        let mut introductions = Introductions::new();
        let target = device(0);
        let mut dialled: Vec<Mono> = Vec::new();
        for n in 1..=100_u32 {
            let now = Mono(Duration::from_millis(u64::from(n) * 37 % 400 + u64::from(n / 50) * 400));
            let wait = introductions.turn(device(n), target, now).unwrap();
            dialled.push(now.plus(wait));
        }
        dialled.sort();
        for pair in dialled.windows(CIRCUITS_IN_WINDOW + 1) {
            assert!(pair[CIRCUITS_IN_WINDOW].since(pair[0]) >= CIRCUIT_WINDOW, "{pair:?}");
        }
    }

    #[test]
    fn whoever_asks_again_keeps_its_turn_and_the_line_has_an_end() {
        let mut introductions = Introductions::new();
        let (target, now) = (device(0), Mono::default());
        let most = u32::try_from(CIRCUITS_IN_WINDOW).unwrap() * 21;
        let waits: Vec<_> = (1..=most).map(|n| introductions.turn(device(n), target, now)).collect();
        assert_eq!(waits.last().copied().flatten(), Some(MAX_CIRCUIT_WAIT));
        assert_eq!(introductions.turn(device(most + 1), target, now), None);
        assert_eq!(introductions.turn(device(most), target, now), Some(MAX_CIRCUIT_WAIT));
        assert_eq!(introductions.turn(device(most + 1), device(9999), now), Some(Duration::ZERO));
        introductions.forget(now.plus(MAX_CIRCUIT_WAIT + CIRCUIT_AGAIN));
        assert!(introductions.turns.is_empty());
    }
}
