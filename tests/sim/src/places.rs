//! Where machines are: addresses that change, adapters that lead nowhere, announcements on the network, sleep.
//!
//! Keeps true: at an address answers whoever has it now; a machine that sleeps does nothing and its time stops; what was
//! announced may be lost, late or wrong.

use crate::net::At;
use crate::time::{MS, Micros, SECOND};
use crate::world::{Event, World};
use lanchat_node_core::Input;
use lanchat_node_core::Subnet;
use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::Endpoint;

/// Longest time until a program learns of a changed address, and others of an announcement.
const LATE: Micros = 3 * SECOND;

impl World {
    /// All addresses that a machine tells, the one at which it is among them.
    pub(crate) fn told_addresses(&self, at: At) -> Vec<Endpoint> {
        let home = self.net.home(at);
        let Some(pc) = self.pc(at) else { return vec![home] };
        let [before, after] = &pc.wiring.extra;
        before.iter().copied().chain([home]).chain(after.iter().copied()).collect()
    }

    /// Who answers when a machine dials an address: it itself, if the address is one of its own.
    pub(crate) fn holder(&self, from: At, endpoint: &Endpoint) -> Option<At> {
        let own = self.told_addresses(from).iter().any(|own| own.ip() == endpoint.ip());
        if own { Some(from) } else { self.net.holder(endpoint) }
    }

    fn listening(&self, at: At) -> Input {
        let home = self.net.home(at);
        let told = self.pc(at).is_some_and(|pc| pc.wiring.tells_subnets);
        let endpoints = self.told_addresses(at);
        let subnet = |own: &Endpoint| Subnet { ip: own.ip(), prefix: 16, is_virtual: own.ip() != home.ip() };
        let subnets = if told { endpoints.iter().map(subnet).collect() } else { Vec::new() };
        Input::Listening { endpoints, subnets }
    }

    /// A program that starts learns where it listens.
    pub(crate) fn listens_at(&mut self, at: At, run: u32) {
        let input = self.listening(at);
        self.tell(at, run, input);
    }

    /// Takes the further adapters out of a machine.
    pub fn unplug(&mut self, at: At) {
        if let Some(pc) = self.pc_mut(at) {
            pc.wiring.extra = Default::default();
            let run = pc.run;
            self.listens_at(at, run);
        }
    }

    /// A machine gets another address: streams from the old one neither deliver nor end, or break on its own side.
    pub fn move_away(&mut self, at: At, heir: Option<At>) {
        let Some(run) = self.pc(at).map(|pc| pc.run) else { return };
        let new = self.net.move_home(at, heir);
        self.trace.say(self.now, || format!("{at} moves to {new}"));
        if let Some(pc) = self.pc_mut(at) {
            pc.wiring.moves += 1;
        }
        let breaks = self.rng.chance(50);
        for (conn, side) in self.net.held_by(at, run) {
            let after = self.rng.below(300 * MS);
            let Some(held) = self.net.conns.get_mut(&conn).filter(|held| held.carriers.is_none()) else {
                continue;
            };
            held.silent = true;
            if breaks {
                self.push(self.now + after, Event::Gone { conn, side });
            }
        }
        let learns = self.now + self.rng.below(LATE);
        let input = Box::new(self.listening(at));
        self.push(learns, Event::Tell { at, run, input });
        if self.rng.chance(60) {
            self.push(learns, Event::Tell { at, run, input: Box::new(Input::NetworkChanged) });
        }
        self.announce(at);
    }

    /// A machine sleeps: its time stops, others see it silent. What ends meanwhile it may never hear of.
    pub fn suspend(&mut self, at: At, time: Micros) {
        let until = self.now + time;
        let Some(pc) = self.pc_mut(at).filter(|pc| pc.runs() && pc.frozen_until <= until - time) else {
            return;
        };
        pc.frozen_until = until;
        pc.clock.started += time;
        self.trace.say(self.now, || format!("{at} sleeps {} ms, and its time with it", time / MS));
        self.push(self.now, Event::Wake { at });
    }

    /// A machine wakes up.
    pub(crate) fn wake(&mut self, at: At) {
        let now = self.now;
        let Some(pc) = self.pc_mut(at).filter(|pc| pc.frozen_until != 0 && pc.frozen_until <= now) else {
            return;
        };
        pc.frozen_until = 0;
        let run = pc.run;
        self.trace.say(now, || format!("{at} wakes up"));
        let deaf = self.rng.chance(50);
        for (conn, side) in self.net.held_by(at, run) {
            let Some(conn) = self.net.conns.get_mut(&conn) else { continue };
            if deaf && !conn.side(side ^ 1).open {
                conn.side_mut(side).inbound.clear();
            }
        }
        if self.rng.chance(80) {
            let after = self.rng.below(1500 * MS);
            self.push(now + after, Event::Tell { at, run, input: Box::new(Input::NetworkChanged) });
        }
    }

    /// A program that starts announces itself and hears who else does.
    pub(crate) fn announcements_at_start(&mut self, at: At) {
        if self.watch.is_none() {
            return;
        }
        self.announce(at);
        let others: Vec<At> = self.pcs.iter().filter(|pc| pc.runs()).map(|pc| pc.at).collect();
        for other in others {
            self.announce_to(other, at);
        }
    }

    /// A machine announces itself to all others.
    pub fn announce(&mut self, at: At) {
        let others: Vec<At> = self.pcs.iter().filter(|pc| pc.runs()).map(|pc| pc.at).collect();
        for other in others {
            self.announce_to(at, other);
        }
    }

    fn announce_to(&mut self, at: At, to: At) {
        let Some(pc) = self.pc(at).filter(|pc| pc.wiring.announces && at != to) else { return };
        let device = pc.device();
        if !self.rng.chance(15) {
            let endpoints = self.told_addresses(at);
            self.hears_of(to, Input::Announced { device, endpoints });
        }
    }

    fn hears_of(&mut self, to: At, input: Input) {
        let Some(run) = self.pc(to).map(|pc| pc.run) else { return };
        let after = self.rng.below(LATE);
        self.push(self.now + after, Event::Tell { at: to, run, input: Box::new(input) });
    }

    /// A machine is not announced any more, as far as the others hear of that.
    pub fn withdraw(&mut self, at: At) {
        let Some(device) = self.pc(at).filter(|pc| pc.wiring.announces).map(crate::pc::Pc::device) else {
            return;
        };
        let others: Vec<At> = self.pcs.iter().map(|pc| pc.at).filter(|other| *other != at).collect();
        for other in others {
            if self.rng.chance(70) {
                self.hears_of(other, Input::NotAnnounced { device });
            }
        }
    }

    /// Somebody announces another's device, or one that does not exist, at a place of its own.
    pub fn announce_falsely(&mut self, to: At, whose: Option<At>, place: Endpoint) {
        let other = whose.and_then(|at| self.pc(at)).map(crate::pc::Pc::device);
        let device = other.unwrap_or(DeviceId([0x77; 32]));
        self.hears_of(to, Input::Announced { device, endpoints: vec![place] });
    }
}
