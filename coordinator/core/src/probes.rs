//! Whether a device can be dialled, found out by dialling it.
//!
//! Keeps true: only the address at which a link is seen is dialled, at ports that its device names, one question of a
//! device at a time; each question is answered once, at the latest after [`PROBE_DEADLINE`]; a link that such a dial opens
//! is closed at once and carries nothing.

use crate::buckets::Buckets;
use crate::io::{DialId, LinkId, Output};
use crate::limits::{MAX_ASKERS, MAX_PROBES, PROBE_DEADLINE, PROBE_REFILL, PROBES};
use crate::state::{CoordinatorState, Timer};
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::time::{Mono, Now};
use lanchat_proto::wire::reach::{DialMe, Dialled, DialledPort, DialledYou};
use std::collections::{BTreeMap, BTreeSet};

/// One question under way.
struct Probe {
    request: u64,
    until: Mono,
    /// Ports, what is known of each, and the dial that is to tell more.
    ports: Vec<(DialledPort, Option<DialId>)>,
}

/// Questions under way.
pub(crate) struct Probes {
    askers: Buckets<DeviceId>,
    open: BTreeMap<LinkId, Probe>,
    /// Dials under way and whose question each is for.
    dials: BTreeMap<DialId, LinkId>,
    last: u64,
}

impl Probes {
    pub(crate) fn new() -> Self {
        let askers = Buckets::new(PROBES, PROBE_REFILL, MAX_ASKERS);
        Self { askers, open: BTreeMap::new(), dials: BTreeMap::new(), last: 0 }
    }

    /// Drops what is too old to matter.
    pub(crate) fn forget(&mut self, now: Mono) {
        self.askers.forget(now);
    }

    /// A question that needs no answer any more, or gets it now.
    fn end(&mut self, link: LinkId) -> Option<Probe> {
        let probe = self.open.remove(&link)?;
        for dial in probe.ports.iter().filter_map(|(_, dial)| *dial) {
            self.dials.remove(&dial);
        }
        Some(probe)
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn lost(&mut self, link: LinkId) {
        self.end(link);
    }
}

impl CoordinatorState {
    /// A signed-in device asks to be dialled.
    pub(crate) fn dial_me(&mut self, link: LinkId, ask: &DialMe, now: Now) {
        let Some(session) = self.sessions.get(&link) else { return };
        let (device, remote) = (session.device, session.remote);
        let full = self.probes.open.contains_key(&link) || self.probes.open.len() >= MAX_PROBES;
        let tried = !full && self.probes.askers.try_take(&device, now.mono);
        let until = now.mono.plus(PROBE_DEADLINE);
        let mut probe = Probe { request: ask.request, until, ports: Vec::new() };
        let ports: BTreeSet<u16> = ask.ports.iter().copied().filter(|port| *port != 0).collect();
        for port in ports {
            let endpoint = remote.with_port(port);
            let mut dial = None;
            if tried && endpoint.is_usable() {
                self.probes.last += 1;
                let id = DialId(self.probes.last);
                self.probes.dials.insert(id, link);
                self.out.push_back(Output::Dial { dial: id, device, endpoint });
                dial = Some(id);
            }
            probe.ports.push((DialledPort { port, outcome: Dialled::NotTried }, dial));
        }
        if probe.ports.iter().all(|(_, dial)| dial.is_none()) {
            return self.answer_probe(link, probe);
        }
        self.stats.probes += 1;
        self.probes.open.insert(link, probe);
        self.timers.insert((until, Timer::Probe(link)));
    }

    /// A dial came to something.
    pub(crate) fn dialled(&mut self, dial: DialId, outcome: Dialled) {
        let Some(link) = self.probes.dials.remove(&dial) else { return };
        let Some(probe) = self.probes.open.get_mut(&link) else { return };
        for (row, of) in probe.ports.iter_mut().filter(|(_, of)| *of == Some(dial)) {
            row.outcome = outcome;
            *of = None;
        }
        if probe.ports.iter().all(|(_, dial)| dial.is_none())
            && let Some(probe) = self.probes.end(link)
        {
            self.answer_probe(link, probe);
        }
    }

    /// A question has taken long enough.
    pub(crate) fn probe_over(&mut self, link: LinkId, now: Now) {
        if self.probes.open.get(&link).is_none_or(|probe| probe.until > now.mono) {
            return;
        }
        let Some(mut probe) = self.probes.end(link) else { return };
        let waiting = probe.ports.iter_mut().filter(|(_, dial)| dial.is_some());
        waiting.for_each(|(row, _)| row.outcome = Dialled::Failed);
        self.answer_probe(link, probe);
    }

    fn answer_probe(&mut self, link: LinkId, probe: Probe) {
        if !self.sessions.contains_key(&link) {
            return;
        }
        let ports = BoundedVec::first(probe.ports.into_iter().map(|(row, _)| row));
        let answer = DialledYou { request: probe.request, ports };
        self.send(link, Frame::new(Kind::DialledYou, &answer));
    }
}
