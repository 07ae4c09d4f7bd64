//! Whether a device can be dialled at all, found out by asking another to dial it.
//!
//! Keeps true: only the address at which a link is seen is dialled, at ports that the asker names, for at most
//! [`MAX_PROBES`] askers at a time; each question is answered once. A dial that succeeds is a link like any other.

use crate::boot::{Channel, DialId, LinkId, RequestId};
use crate::limits::{DIAL_DEADLINE, MAX_PROBES, MAX_REQUESTS, REQUEST_DEADLINE};
use crate::output::{Answer, CommandError, Output};
use crate::state::NodeState;
use crate::timers::Timer;
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::limits::MAX_TRIED_PORTS;
use lanchat_proto::wire::reach::{DialMe, Dialled, DialledPort, DialledYou};
use std::collections::{BTreeMap, BTreeSet};

/// One question under way.
#[derive(Clone, Debug)]
struct Probe {
    link: LinkId,
    request: u64,
    ports: Vec<DialledPort>,
}

/// Questions of others under way.
#[derive(Clone, Default, Debug)]
pub(super) struct Probes {
    open: Vec<Probe>,
    /// Dials and the port that each is for.
    dials: BTreeMap<DialId, (LinkId, u16)>,
    /// Own questions and who was asked: nobody else's answer counts.
    asked: BTreeMap<u64, LinkId>,
}

impl NodeState {
    /// Another asks to be dialled at the address at which it is seen.
    pub(crate) fn dial_me_came(&mut self, id: LinkId, ask: &DialMe) {
        let Some(link) = self.links.get(id) else { return };
        let (device, remote, relayed) = (link.device, link.remote, link.relayed);
        let busy = self.reach.probes.open.len() >= MAX_PROBES
            || self.reach.probes.open.iter().any(|probe| probe.link == id);
        let mut probe = Probe { link: id, request: ask.request, ports: Vec::new() };
        let ports: BTreeSet<u16> = ask.ports.iter().copied().filter(|port| *port != 0).collect();
        for port in ports {
            probe.ports.push(DialledPort { port, outcome: Dialled::NotTried });
            if !busy && !relayed {
                let dial = self.reach.next_id();
                self.reach.probes.dials.insert(dial, (id, port));
                let endpoints = vec![remote.with_port(port)];
                let channel = Channel::Link;
                self.out.push_back(Output::Dial { dial, device, endpoints, channel, via: None });
            }
        }
        if busy || relayed || probe.ports.is_empty() {
            self.answer_probe(probe);
        } else {
            self.reach.probes.open.push(probe);
            self.timers.set(Timer::ProbeEnd(id), self.after(DIAL_DEADLINE));
        }
    }

    fn answer_probe(&mut self, probe: Probe) {
        let answer = DialledYou { request: probe.request, ports: BoundedVec::first(probe.ports) };
        self.post(probe.link, Frame::new(Kind::DialledYou, &answer));
    }

    /// A dial ended that may have been for a question.
    pub(super) fn probe_answered(&mut self, dial: DialId, reached: bool) {
        let Some((link, port)) = self.reach.probes.dials.remove(&dial) else { return };
        let waits = self.reach.probes.dials.values().any(|(other, _)| *other == link);
        let Some(at) = self.reach.probes.open.iter().position(|probe| probe.link == link) else { return };
        if let Some(probe) = self.reach.probes.open.get_mut(at) {
            let outcome = if reached { Dialled::Reached } else { Dialled::Failed };
            probe.ports.iter_mut().filter(|row| row.port == port).for_each(|row| row.outcome = outcome);
        }
        if !waits {
            let probe = self.reach.probes.open.swap_remove(at);
            self.timers.cancel(Timer::ProbeEnd(link));
            self.answer_probe(probe);
        }
    }

    /// The question took too long, or its asker is gone.
    pub(crate) fn probe_over(&mut self, link: LinkId) {
        self.timers.cancel(Timer::ProbeEnd(link));
        self.reach.probes.dials.retain(|_, (other, _)| *other != link);
        if let Some(at) = self.reach.probes.open.iter().position(|probe| probe.link == link) {
            let probe = self.reach.probes.open.swap_remove(at);
            if self.links.get(link).is_some() {
                self.answer_probe(probe);
            }
        }
    }

    /// Asks the coordinator, or without one a device that is linked directly, to dial this node.
    pub(crate) fn ask_to_be_dialled(&mut self, request: RequestId) -> Result<(), CommandError> {
        let direct = || {
            let mut up = self.links.up().filter(|(_, link, _)| !link.relayed);
            up.next().map(|(id, ..)| id)
        };
        let link = self.session.on().or_else(direct).ok_or(CommandError::NobodyToAsk)?;
        if self.session.requests.len() >= MAX_REQUESTS {
            return Err(CommandError::Busy);
        }
        let ports: BTreeSet<u16> = self.me.place.listening.iter().map(|endpoint| endpoint.port()).collect();
        let id = self.session.request_id();
        self.session.requests.insert(id, request);
        let requests = &self.session.requests;
        self.reach.probes.asked.retain(|id, _| requests.contains_key(id));
        self.reach.probes.asked.insert(id, link);
        self.timers.set(Timer::Request(request), self.after(REQUEST_DEADLINE));
        let ask = DialMe { request: id, ports: BoundedVec::first(ports.into_iter().take(MAX_TRIED_PORTS)) };
        self.post(link, Frame::new(Kind::DialMe, &ask));
        Ok(())
    }

    /// What happened when this node was dialled.
    pub(crate) fn dialled_you_came(&mut self, from: LinkId, answer: &DialledYou) {
        if self.reach.probes.asked.get(&answer.request) != Some(&from) {
            return;
        }
        self.reach.probes.asked.remove(&answer.request);
        let by = self.links.get(from).map(|link| link.device);
        self.finish(answer.request, Ok(Answer::Dialled { by, ports: answer.ports.to_vec() }));
    }
}
