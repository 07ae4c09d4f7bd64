//! What happens to streams: dials, arrivals, ends, crashes of machines, partitions.

use crate::net::{At, Item, OFFICE};
use crate::rng::Rng;
use crate::time::{MS, Micros, SECOND};
use crate::world::{Event, World};
use lanchat_coordinator_core as coordinator;
use lanchat_node_core::Input;
use lanchat_node_core::boot::{Channel, DialId, LinkId};
use lanchat_proto::frame::HEADER_LEN;
use lanchat_proto::ids::DeviceId;
use lanchat_proto::limits::MAX_BEFORE_HELLO;
use lanchat_proto::wire::Endpoint;
use std::collections::VecDeque;

/// How long a dial waits for somebody who does not answer.
pub(crate) const DIAL_LIMIT: Micros = 5 * SECOND;
/// Pause between the addresses of a dial.
const STAGGER: Micros = 200 * MS;
/// Time from a connection's start to its accepted hello.
const HELLO: Micros = 5 * SECOND;

impl World {
    /// A program dials: addresses one after the other, each a little after the one before or as soon as that failed.
    pub(crate) fn dial(
        &mut self,
        at: At,
        dial: DialId,
        device: DeviceId,
        endpoints: &[Endpoint],
        channel: Channel,
    ) {
        let Some(run) = self.pc(at).map(|pc| pc.run) else { return };
        let trip = self.net.delay(&mut self.rng);
        let (mut start, mut over) = (0, trip);
        let mut attempts = Vec::new();
        for endpoint in endpoints {
            let to = self.holder(at, endpoint);
            let right = to.filter(|to| self.device_at(*to) == Some(device));
            let answers = to.is_some_and(|to| self.answers_dials(at, to));
            if let Some(to) = right.filter(|_| answers) {
                let when = self.now + start + 2 * trip;
                self.push(when, Event::Connect { at, run, dial, channel, target: Some(to) });
                return;
            }
            // At a wrong machine the handshake fails; nobody answers at a dead address, or behind a firewall.
            let refused = answers || (to.is_some() && self.net.refuses);
            let (ends, reason) = if refused { (trip, "refused") } else { (DIAL_LIMIT, "no answer") };
            over = over.max(start + ends);
            start += ends.min(STAGGER);
            attempts.push((*endpoint, reason.to_owned()));
        }
        self.push(self.now + over, Event::DialFailed { at, run, dial, attempts });
    }

    /// Whether somebody answers at all when a machine is dialled.
    fn answers_dials(&self, from: At, to: At) -> bool {
        let awake = self.pc(to).is_none_or(|pc| pc.frozen_until <= self.now);
        self.net.dials(from, to) && self.is_powered(to) && awake
    }

    fn device_at(&self, at: At) -> Option<DeviceId> {
        if at == OFFICE {
            return Some(self.office.keys.coordinator);
        }
        self.pc(at).map(crate::pc::Pc::device)
    }

    fn is_powered(&self, at: At) -> bool {
        self.pc(at).is_none_or(|pc| pc.powered)
    }

    /// The run of a machine's program that listens now.
    fn listens(&self, at: At) -> Option<u32> {
        if at == OFFICE {
            return self.office.core.as_ref().map(|_| self.office.run);
        }
        self.pc(at).filter(|pc| pc.runs() && pc.frozen_until <= self.now).map(|pc| pc.run)
    }

    pub(crate) fn connect(&mut self, at: At, run: u32, dial: DialId, channel: Channel, target: Option<At>) {
        if self.pc(at).is_none_or(|pc| pc.run != run || !pc.runs()) {
            return;
        }
        let listener = target.and_then(|to| Some((to, self.listens(to)?)));
        let Some((to, listening)) = listener.filter(|(to, _)| self.net.reaches(at, *to)) else {
            let trip = self.net.delay(&mut self.rng);
            self.push(self.now + trip, Event::DialFailed { at, run, dial, attempts: Vec::new() });
            return;
        };
        let conn = self.net.connect(channel, (at, run), (to, listening), None);
        let lame = self.net.lame > 0 && channel == Channel::Link && self.rng.chance(self.net.lame);
        if lame {
            // The dialler gives up while the other believes in the connection for a while.
            self.push(self.now + DIAL_LIMIT, Event::DialFailed { at, run, dial, attempts: Vec::new() });
            if let Some(conn) = self.net.conns.get_mut(&conn) {
                conn.side_mut(0).open = false;
                conn.silent = true;
            }
            self.disturb(at, to);
        }
        self.open(conn, dial);
    }

    /// A connection is there: both programs learn of it, each at its moment.
    pub(crate) fn open(&mut self, conn: u64, dial: DialId) {
        for side in [0, 1] {
            let opened = self.now + self.net.delay(&mut self.rng);
            if let Some(conn) = self.net.conns.get_mut(&conn) {
                conn.side_mut(side).not_before = opened;
            }
            self.push(opened, Event::Opened { conn, side, dial: (side == 0).then_some(dial) });
            self.push(self.now + HELLO, Event::HelloDue { conn, side });
        }
    }

    pub(crate) fn opened(&mut self, conn: u64, side: usize, dial: Option<DialId>) {
        let Some(c) = self.net.conns.get(&conn).filter(|c| c.side(side).open) else { return };
        let (at, run, other, channel) = (c.side(side).at, c.side(side).run, c.side(side ^ 1).at, c.channel);
        let relayed = c.carriers.is_some();
        let Some(device) = self.device_at(other) else { return };
        let home = self.net.home(if relayed { OFFICE } else { other });
        let accepted = 50_000 + u16::try_from(conn % 9000).unwrap_or(0);
        let remote = if side == 0 || relayed { home } else { home.with_port(accepted) };
        self.trace.mix(&[3, self.now, at as u64, conn]);
        let kind = if relayed { "circuit" } else { "connection" };
        self.trace.say(self.now, || format!("{at} opened {kind} {conn} with {other}"));
        if at == OFFICE {
            let link = coordinator::LinkId(conn);
            self.tell_office(run, coordinator::Input::Opened { link, device, remote, dial: None });
        } else {
            let dialler = side == 0;
            let link = LinkId(conn);
            self.tell(at, run, Input::Opened { link, device, channel, dialler, remote, relayed, dial });
        }
    }

    /// Puts something on its way to a side.
    pub(crate) fn enqueue(&mut self, conn: u64, to_side: usize, item: Item) {
        if let Some(c) = self.net.conns.get_mut(&conn) {
            c.side_mut(to_side).inbound.push_back(item);
        }
        self.schedule(conn, to_side);
    }

    /// Sets the next arrival at a side, unless one is set or the way is blocked.
    fn schedule(&mut self, conn: u64, side: usize) {
        let delay = self.net.delay(&mut self.rng);
        let Some(c) = self.net.conns.get(&conn) else { return };
        let reached = self.net.passes(c, side);
        let now = self.now;
        let Some(c) = self.net.conns.get_mut(&conn) else { return };
        let end = c.side_mut(side);
        if end.scheduled || end.inbound.is_empty() || !reached {
            return;
        }
        end.scheduled = true;
        let arrival = end.not_before.max(now + delay);
        end.not_before = arrival;
        self.push(arrival, Event::Arrive { conn, side });
    }

    pub(crate) fn arrive(&mut self, conn: u64, side: usize) {
        let Some(c) = self.net.conns.get_mut(&conn) else { return };
        let (from, to) = (c.side(side ^ 1).at, c.side(side).at);
        c.side_mut(side).scheduled = false;
        if !self.net.conns.get(&conn).is_some_and(|c| self.net.passes(c, side)) || !self.may_read(conn, side)
        {
            return;
        }
        let Some(c) = self.net.conns.get_mut(&conn) else { return };
        let end = c.side_mut(side);
        let (run, open) = (end.run, end.open);
        let item = end.inbound.pop_front();
        if !open {
            self.arrive_at_nobody(conn, side);
            return;
        }
        match item {
            Some(Item::End) => self.gone(conn, side),
            Some(Item::Frame(frame)) => {
                self.trace.mix(&[4, self.now, to as u64, conn, u64::from(frame.kind)]);
                self.trace.mix_bytes(&frame.payload);
                self.trace
                    .say(self.now, || format!("{from} -> {to} on {conn}: {}", crate::spell::frame(&frame)));
                if to == OFFICE {
                    let frame = (*frame).clone();
                    self.tell_office(
                        run,
                        coordinator::Input::Frame { link: coordinator::LinkId(conn), frame },
                    );
                } else {
                    let frame = (*frame).clone();
                    self.tell(to, run, Input::Frame { link: LinkId(conn), frame });
                }
            }
            None => {}
        }
        self.schedule(conn, side);
        self.forget(conn);
    }

    /// Before the hello is accepted there is a limit: what comes to the dialler behind it waits, what comes to the
    /// listener is a fault of the dialler.
    fn may_read(&mut self, conn: u64, side: usize) -> bool {
        let Some(c) = self.net.conns.get_mut(&conn) else { return false };
        let (from, to) = (c.side(side ^ 1).at, c.side(side).at);
        let end = c.side_mut(side);
        let Some(Item::Frame(frame)) = end.inbound.front().filter(|_| end.open && !end.admitted) else {
            return true;
        };
        let bytes = end.before_hello + frame.payload.len() + HEADER_LEN;
        if bytes > MAX_BEFORE_HELLO && side == 0 {
            return false;
        }
        end.before_hello = bytes;
        if bytes > MAX_BEFORE_HELLO {
            self.breaks(format!("{from} sends {to} {bytes} bytes before its hello is accepted"));
        }
        true
    }

    /// A program accepted the other's hello.
    pub(crate) fn admit(&mut self, conn: u64, side: usize) {
        if let Some(c) = self.net.conns.get_mut(&conn) {
            c.side_mut(side).admitted = true;
        }
        self.schedule(conn, side);
    }

    /// A connection whose hello was not accepted in time is closed by the program's network part.
    pub(crate) fn hello_due(&mut self, conn: u64, side: usize) {
        let late = self.net.conns.get(&conn).is_some_and(|c| c.side(side).open && !c.side(side).admitted);
        if late {
            self.enqueue(conn, side ^ 1, Item::End);
            self.gone(conn, side);
        }
    }

    /// Bytes for a program that is gone: a machine with power says so, one without is silent.
    fn arrive_at_nobody(&mut self, conn: u64, side: usize) {
        let Some(c) = self.net.conns.get_mut(&conn) else { return };
        let to = c.side(side).at;
        c.side_mut(side).inbound.clear();
        if self.is_powered(to) {
            let Some(c) = self.net.conns.get_mut(&conn) else { return };
            let back = c.side_mut(side ^ 1);
            if back.open {
                back.inbound.push_back(Item::End);
                self.schedule(conn, side ^ 1);
            }
        }
        self.forget(conn);
    }

    /// A side learns that the connection is over.
    pub(crate) fn gone(&mut self, conn: u64, side: usize) {
        let Some(c) = self.net.conns.get_mut(&conn) else { return };
        let end = c.side_mut(side);
        let (at, run) = (end.at, end.run);
        if !std::mem::replace(&mut end.open, false) {
            return;
        }
        end.inbound.clear();
        self.trace.mix(&[5, self.now, at as u64, conn]);
        self.trace.say(self.now, || format!("{at} lost {conn}"));
        if at == OFFICE {
            self.tell_office(run, coordinator::Input::Closed { link: coordinator::LinkId(conn) });
        } else {
            self.tell(at, run, Input::Closed { link: LinkId(conn) });
        }
        self.carrier_ended(conn, side);
        self.forget(conn);
    }

    fn forget(&mut self, conn: u64) {
        let over =
            |c: &crate::net::Conn| c.ends.iter().all(|end| !end.open && (end.inbound.is_empty() || c.silent));
        if self.net.conns.get(&conn).is_some_and(over) {
            self.net.conns.remove(&conn);
        }
    }

    /// A program closes its side. Without a flush, some of what is under way is lost.
    pub(crate) fn close(&mut self, conn: u64, side: usize, after_flush: bool) {
        let Some(c) = self.net.conns.get_mut(&conn) else { return };
        if !std::mem::replace(&mut c.side_mut(side).open, false) {
            return;
        }
        c.side_mut(side).inbound.clear();
        let at = c.side(side).at;
        let other = c.side_mut(side ^ 1);
        if !after_flush {
            lose_tail(&mut other.inbound, &mut self.rng);
        }
        self.trace.mix(&[6, self.now, at as u64, conn]);
        self.trace.say(self.now, || format!("{at} closes {conn}"));
        self.enqueue(conn, side ^ 1, Item::End);
        self.carrier_ended(conn, side);
        self.forget(conn);
    }

    /// A program is gone with all its connections. A machine that keeps its power tells the others.
    pub(crate) fn drop_streams(&mut self, at: At, run: u32, silent: bool) {
        for (conn, side) in self.net.held_by(at, run) {
            if silent {
                if let Some(c) = self.net.conns.get_mut(&conn) {
                    c.side_mut(side).open = false;
                    c.side_mut(side).inbound.clear();
                    let other = c.side_mut(side ^ 1);
                    lose_tail(&mut other.inbound, &mut self.rng);
                }
                self.carrier_ended(conn, side);
                self.forget(conn);
            } else {
                self.close(conn, side, false);
            }
        }
    }

    /// Breaks every connection between two machines: each side learns of it on its own, some of what was under way
    /// is lost.
    pub fn reset(&mut self, a: At, b: At) {
        for conn in self.net.between(a, b) {
            for side in [0, 1] {
                let after = self.rng.below(300 * MS);
                if let Some(c) = self.net.conns.get_mut(&conn) {
                    lose_tail(&mut c.side_mut(side).inbound, &mut self.rng);
                }
                self.push(self.now + after, Event::Gone { conn, side });
            }
        }
    }

    /// Breaks every connection between two machines at the first one alone: the other learns of it when it sends.
    pub fn half_reset(&mut self, a: At, b: At) {
        for conn in self.net.between(a, b) {
            if let Some(c) = self.net.conns.get(&conn) {
                let side = usize::from(c.side(0).at != a);
                self.push(self.now, Event::Gone { conn, side });
            }
        }
    }

    /// Cuts two machines off from each other; nobody is told.
    pub fn cut(&mut self, a: At, b: At) {
        self.trace.say(self.now, || format!("cut {a} {b}"));
        self.net.cut(a, b);
    }

    /// The connections between two machines fall silent for ever; nobody is told.
    pub fn silence(&mut self, a: At, b: At) {
        self.trace.say(self.now, || format!("what stands between {a} and {b} falls silent"));
        for conn in self.net.between(a, b) {
            if let Some(conn) = self.net.conns.get_mut(&conn).filter(|conn| conn.carriers.is_none()) {
                conn.silent = true;
            }
        }
    }

    /// Lets two machines reach each other again: what was under way goes on.
    pub fn mend(&mut self, a: At, b: At) {
        self.net.mend(a, b);
        self.go_on();
    }

    /// Lets everybody reach everybody.
    pub fn mend_all(&mut self) {
        self.net.mend_all();
        self.go_on();
    }

    fn go_on(&mut self) {
        let conns: Vec<u64> = self.net.conns.keys().copied().collect();
        for conn in conns {
            self.schedule(conn, 0);
            self.schedule(conn, 1);
        }
    }
}

fn lose_tail(inbound: &mut VecDeque<Item>, rng: &mut Rng) {
    let kept = rng.index(inbound.len() + 1);
    inbound.truncate(kept);
}
