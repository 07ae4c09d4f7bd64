//! Circuits through the coordinator, and the places there that have to be kept for them.
//!
//! Keeps true: a circuit stands while the connections of both its sides with the coordinator do; it comes about only
//! to a machine that holds a place. A relay asks one machine about so many circuits at a time, what comes beyond is never
//! answered, and whoever waited for that loses its own place a minute later: that is how libp2p does it.

use crate::net::{At, OFFICE};
use crate::streams::DIAL_LIMIT;
use crate::time::{MS, Micros, SECOND};
use crate::world::{Event, World};
use lanchat_node_core::Input;
use lanchat_node_core::boot::{Channel, DialId};
use lanchat_proto::ids::DeviceId;
use std::collections::BTreeMap;

/// First and longest pause between two attempts at a place.
const PLACE_PAUSE: (Micros, Micros) = (250 * MS, 15 * SECOND);
/// Longest pause before the first attempt at a place, and after its loss.
const PLACE_FIRST: Micros = 200 * MS;
/// Time after which an unanswered circuit costs its dialler the place.
const UNANSWERED: Micros = 60 * SECOND;
/// Time that a relay gives to a machine that does not answer.
const ASKING: Micros = 10 * SECOND;

/// What a machine does to keep its place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Place {
    wanted: bool,
    /// The connection with the coordinator on which it is held.
    held: Option<u64>,
    failures: u32,
    /// Changes with every wish and attempt; what belongs to an older one is void.
    attempt: u64,
}

/// The relay at the coordinator.
#[derive(Debug, Default)]
pub struct Relay {
    /// Circuits about which one machine may be asked at a time.
    pub limit: usize,
    /// Places, with the connections on which they are held.
    held: BTreeMap<At, u64>,
    asking: BTreeMap<At, usize>,
}

/// A circuit on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circuit {
    at: At,
    run: u32,
    dial: DialId,
    to: At,
    /// The connections that are to carry it; `None` when the machine that is called does not answer.
    carriers: Option<[u64; 2]>,
}

impl World {
    /// The connection with the coordinator of a machine's program, as that sees it.
    fn session_of(&self, at: At) -> Option<u64> {
        let run = self.pc(at)?.run;
        let mine = |(_, conn): &(&u64, &crate::net::Conn)| {
            let end = conn.side(0);
            conn.channel == Channel::Coordinator && end.at == at && end.run == run && end.open
        };
        self.net.conns.iter().rev().find(mine).map(|(id, _)| *id)
    }

    /// Whether the coordinator holds this connection and let the machine in.
    fn is_let_in(&self, conn: u64) -> bool {
        let there = self.office.relay_terms.is_some() && self.office.core.is_some();
        there && self.net.conns.get(&conn).is_some_and(|conn| conn.side(1).open && conn.side(1).admitted)
    }

    /// Whether a machine's program and the coordinator have let each other in, on a connection that works.
    #[must_use]
    pub fn is_signed_in(&self, at: At) -> bool {
        let conn = self.session_of(at).filter(|conn| !self.is_dead_way(*conn));
        conn.and_then(|conn| self.net.conns.get(&conn)).is_some_and(crate::net::Conn::is_up)
    }

    fn is_dead_way(&self, conn: u64) -> bool {
        let both = |conn: &crate::net::Conn| self.net.passes(conn, 0) && self.net.passes(conn, 1);
        !self.net.conns.get(&conn).is_some_and(both)
    }

    /// Whether a machine holds a place, on a connection that works.
    #[must_use]
    pub fn keeps_place(&self, at: At) -> bool {
        self.office.relay.held.get(&at).is_some_and(|conn| !self.is_dead_way(*conn))
    }

    /// A program wants a place.
    pub(crate) fn reserve(&mut self, at: At) {
        if let Some(pc) = self.pc_mut(at) {
            pc.place.wanted = true;
            pc.place.failures = 0;
        }
        let pause = self.rng.below(PLACE_FIRST);
        self.attempt_place(at, pause);
    }

    /// A program gives its place up.
    pub(crate) fn release(&mut self, at: At) {
        self.drop_place(at);
        if let Some(pc) = self.pc_mut(at) {
            pc.place = Place { attempt: pc.place.attempt + 1, ..Place::default() };
        }
    }

    fn drop_place(&mut self, at: At) -> bool {
        let held = self.pc_mut(at).and_then(|pc| pc.place.held.take());
        if held.is_some() && self.office.relay.held.get(&at).copied() == held {
            self.office.relay.held.remove(&at);
        }
        held.is_some()
    }

    fn attempt_place(&mut self, at: At, pause: Micros) {
        let now = self.now;
        let Some(pc) = self.pc_mut(at) else { return };
        pc.place.attempt += 1;
        let (run, attempt) = (pc.run, pc.place.attempt);
        self.push(now + pause, Event::Place { at, run, attempt });
    }

    /// It is time to ask for the place.
    pub(crate) fn place_due(&mut self, at: At, run: u32, attempt: u64) {
        let current = |pc: &&crate::pc::Pc| pc.run == run && pc.place.attempt == attempt && pc.runs();
        let Some(place) = self.pc(at).filter(current).map(|pc| pc.place) else { return };
        if !place.wanted || place.held.is_some() {
            return;
        }
        let conn = self.session_of(at).filter(|conn| !self.is_dead_way(*conn) && self.is_let_in(*conn));
        if let Some(conn) = conn {
            self.office.relay.held.insert(at, conn);
            if let Some(pc) = self.pc_mut(at) {
                pc.place.held = Some(conn);
                pc.place.failures = 0;
            }
            self.trace.say(self.now, || format!("{at} has a place at the relay"));
            let told = self.now + self.net.delay(&mut self.rng);
            self.push(told, Event::Tell { at, run, input: Box::new(Input::Reserved) });
            return;
        }
        let (first, longest) = PLACE_PAUSE;
        let pause = first.saturating_mul(1 << place.failures.min(16)).min(longest);
        let more = self.rng.below(pause / 2);
        if let Some(pc) = self.pc_mut(at) {
            pc.place.failures += 1;
        }
        self.attempt_place(at, pause + more);
    }

    /// A machine loses its place and makes it again.
    pub fn lose_place(&mut self, at: At) {
        let Some(run) = self.pc(at).filter(|pc| pc.runs()).map(|pc| pc.run) else { return };
        if !self.drop_place(at) {
            return;
        }
        self.trace.say(self.now, || format!("{at} lost its place at the relay"));
        let pause = self.rng.below(PLACE_FIRST);
        self.attempt_place(at, pause);
        self.push(self.now, Event::Tell { at, run, input: Box::new(Input::ReservationLost) });
    }

    /// A program dials a circuit.
    pub(crate) fn dial_circuit(&mut self, at: At, dial: DialId, device: DeviceId) {
        let Some(run) = self.pc(at).map(|pc| pc.run) else { return };
        let trip = self.net.delay(&mut self.rng);
        let to = self.pcs.iter().find(|pc| pc.device() == device).map(|pc| pc.at);
        let (Some(own), Some(to)) = (self.session_of(at), to) else {
            return self.circuit_fails(at, run, dial, trip);
        };
        if self.is_dead_way(own) {
            return self.circuit_fails(at, run, dial, DIAL_LIMIT);
        }
        let carried = self.office.relay.held.get(&to).copied().filter(|_| self.is_let_in(own));
        let Some(theirs) = carried else { return self.circuit_fails(at, run, dial, 2 * trip) };
        let asking = self.office.relay.asking.entry(to).or_default();
        if *asking >= self.office.relay.limit {
            self.trace.say(self.now, || format!("the relay forgets the circuit of {at} to {to}"));
            let attempt = self.pc(at).map_or(0, |pc| pc.place.attempt);
            self.push(self.now + UNANSWERED, Event::PlaceFails { at, run, attempt });
            return self.circuit_fails(at, run, dial, DIAL_LIMIT);
        }
        *asking += 1;
        let asleep = self.pc(to).is_none_or(|pc| pc.frozen_until > self.now);
        let answers = !asleep && !self.is_dead_way(theirs);
        if !answers {
            self.circuit_fails(at, run, dial, DIAL_LIMIT);
        }
        let takes = if answers { 4 * trip } else { ASKING };
        let circuit = Circuit { at, run, dial, to, carriers: answers.then_some([own, theirs]) };
        self.push(self.now + takes, Event::Circuit(Box::new(circuit)));
    }

    fn circuit_fails(&mut self, at: At, run: u32, dial: DialId, after: Micros) {
        self.push(self.now + after, Event::DialFailed { at, run, dial, attempts: Vec::new() });
    }

    /// A dial that was never answered costs the dialler its own place, unless it has a newer one.
    pub(crate) fn place_fails(&mut self, at: At, run: u32, attempt: u64) {
        if self.pc(at).is_some_and(|pc| pc.run == run && pc.place.attempt == attempt) {
            self.lose_place(at);
        }
    }

    /// The machine that is called has answered, or has not.
    pub(crate) fn circuit(&mut self, circuit: Circuit) {
        let Circuit { at, run, dial, to, carriers } = circuit;
        if let Some(asking) = self.office.relay.asking.get_mut(&to) {
            *asking = asking.saturating_sub(1);
        }
        let Some([own, theirs]) = carriers else { return };
        let held = |at: At, conn: u64| {
            let run = self.pc(at).map_or(0, |pc| pc.run);
            let end = self.net.conns.get(&conn).map(|conn| conn.side(0));
            self.is_let_in(conn)
                && !self.is_dead_way(conn)
                && end.is_some_and(|end| end.open && end.run == run)
        };
        let awake = self.pc(to).is_some_and(|pc| pc.frozen_until <= self.now && pc.runs());
        if !self.pc(at).is_some_and(|pc| pc.run == run && pc.runs()) {
            return;
        }
        if !awake || !held(at, own) || !held(to, theirs) {
            return self.circuit_fails(at, run, dial, MS);
        }
        let other = self.pc(to).map_or(0, |pc| pc.run);
        let conn = self.net.connect(Channel::Link, (at, run), (to, other), Some([own, theirs]));
        self.open(conn, dial);
    }

    /// One side of a connection has ended. If it is one with the coordinator, so have the circuits in it.
    pub(crate) fn carrier_ended(&mut self, carrier: u64, side: usize) {
        let Some(conn) = self.net.conns.get(&carrier).filter(|conn| conn.channel == Channel::Coordinator)
        else {
            return;
        };
        let (machine, run) = (conn.side(0).at, conn.side(0).run);
        if side == 1 {
            self.office.relay.held.retain(|_, conn| *conn != carrier);
        } else if self.pc(machine).is_some_and(|pc| pc.run == run && pc.place.held == Some(carrier)) {
            self.lose_place(machine);
        }
        let circuits: Vec<(u64, usize)> = self
            .net
            .conns
            .iter()
            .filter_map(|(id, conn)| Some((*id, conn.carriers?.iter().position(|other| *other == carrier)?)))
            .collect();
        for (conn, near) in circuits {
            // The side whose machine lost the connection learns of it there, the other one from the coordinator.
            let hears = if side == 0 { near } else { near ^ 1 };
            let Some(at) = self.net.conns.get(&conn).map(|conn| conn.side(hears).at) else { continue };
            if side == 0 || self.net.reaches(OFFICE, at) {
                let after = self.net.delay(&mut self.rng);
                self.push(self.now + after, Event::Gone { conn, side: hears });
            }
        }
    }
}
