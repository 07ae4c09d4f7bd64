//! Dials under way: which addresses are being tried, and when a dial has come to nothing. Pure.
//!
//! Keeps true: each dial that was started ends by exactly one of `done` and one failure. A known device is one dial of all its
//! addresses; when another device answers at one of them (an address that was given away again), the rest are tried without it.
//! An unknown device is tried address by address, each a little after the one before, and the first that answers counts.

use crate::address::peer_of;
use crate::api::{Channel, DialFailure, DialId, DialTarget};
use crate::limits::{MAX_DIAL_ADDRESSES, MAX_DIALS};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::Endpoint;
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use std::collections::{BTreeMap, VecDeque};

/// The dials under way.
pub(crate) struct Dials {
    own: DeviceId,
    dials: BTreeMap<DialId, Dial>,
    connections: BTreeMap<ConnectionId, DialId>,
}

struct Dial {
    peer: Option<PeerId>,
    channel: Channel,
    /// Known device: addresses not yet found to be another's. Unknown: addresses not yet tried.
    left: VecDeque<Endpoint>,
    attempts: Vec<(Endpoint, String)>,
    /// Where another device answered.
    impostor: Option<Endpoint>,
    running: usize,
    /// The connection that answered.
    winner: Option<ConnectionId>,
}

/// One call to the swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    dial: DialId,
    /// Who must answer.
    pub(crate) peer: Option<PeerId>,
    /// Where; one address when anybody may answer.
    pub(crate) endpoints: Vec<Endpoint>,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Nothing,
    Dial(Attempt),
    Failed(DialFailure),
}

impl Dials {
    /// None yet.
    pub(crate) fn new(own: DeviceId) -> Self {
        Self { own, dials: BTreeMap::new(), connections: BTreeMap::new() }
    }

    /// Begins a dial.
    pub(crate) fn start(&mut self, dial: DialId, target: DialTarget) -> Step {
        let failed = |reason: &str| {
            Step::Failed(DialFailure {
                dial,
                attempts: Vec::new(),
                impostor: None,
                reason: reason.to_owned(),
            })
        };
        if self.dials.contains_key(&dial) || self.dials.len() >= MAX_DIALS {
            return failed("too many dials under way");
        }
        if target.device == Some(self.own) {
            return failed("this is the own device");
        }
        let mut left = VecDeque::new();
        for endpoint in target.endpoints {
            if endpoint.is_usable() && !left.contains(&endpoint) && left.len() < MAX_DIAL_ADDRESSES {
                left.push_back(endpoint);
            }
        }
        if left.is_empty() {
            return failed("no usable address");
        }
        let peer = match target.device.map(|device| peer_of(&device)) {
            Some(None) => return failed("not a valid device key"),
            Some(Some(peer)) => Some(peer),
            None => None,
        };
        let state = Dial {
            peer,
            channel: target.channel,
            left,
            attempts: Vec::new(),
            impostor: None,
            running: 0,
            winner: None,
        };
        self.dials.entry(dial).or_insert(state).next(dial)
    }

    /// An attempt runs as this connection.
    pub(crate) fn running(&mut self, connection: ConnectionId, attempt: &Attempt) {
        if let Some(dial) = self.dials.get_mut(&attempt.dial) {
            dial.running += 1;
            self.connections.insert(connection, attempt.dial);
        }
    }

    /// This connection was established. `None` when it is not wanted (any more).
    pub(crate) fn connected(&mut self, connection: ConnectionId) -> Option<(DialId, Channel)> {
        let id = *self.connections.get(&connection)?;
        let dial = self.dials.get_mut(&id)?;
        if *dial.winner.get_or_insert(connection) != connection {
            return None;
        }
        Some((id, dial.channel))
    }

    /// The stream on this connection is open: its dial is done.
    pub(crate) fn done(&mut self, connection: ConnectionId) {
        if let Some(dial) = self.connections.remove(&connection) {
            self.dials.remove(&dial);
        }
    }

    /// This connection failed, before or after it was established.
    pub(crate) fn failed(
        &mut self,
        connection: ConnectionId,
        attempts: Vec<(Endpoint, String)>,
        wrong: Option<Endpoint>,
        reason: String,
    ) -> Step {
        let Some(id) = self.connections.remove(&connection) else { return Step::Nothing };
        let Some(dial) = self.dials.get_mut(&id) else { return Step::Nothing };
        dial.running = dial.running.saturating_sub(1);
        dial.attempts.extend(attempts);
        dial.impostor = wrong.or(dial.impostor);
        let won = dial.winner == Some(connection);
        if dial.winner.is_some() && !won {
            // Another address has answered; this one does not matter.
            return Step::Nothing;
        }
        let again = match wrong {
            Some(wrong) if dial.peer.is_some() => {
                let before = dial.left.len();
                dial.left.retain(|endpoint| *endpoint != wrong);
                dial.left.len() < before
            }
            _ => dial.peer.is_none() && !won,
        };
        if again && !dial.left.is_empty() {
            return dial.next(id);
        }
        if dial.running > 0 && !won {
            return Step::Nothing;
        }
        let (attempts, impostor) =
            self.dials.remove(&id).map(|dial| (dial.attempts, dial.impostor)).unwrap_or_default();
        Step::Failed(DialFailure { dial: id, attempts, impostor, reason })
    }

    /// Whether [`Self::tick`] has anything to do in a while.
    pub(crate) fn staggered(&self) -> bool {
        self.dials.values().any(Dial::staggered)
    }

    /// Time has passed: the next address of each dial to an unknown device.
    pub(crate) fn tick(&mut self) -> Vec<Attempt> {
        let due = self.dials.iter_mut().filter(|(_, dial)| dial.staggered());
        due.filter_map(|(id, dial)| match dial.next(*id) {
            Step::Dial(attempt) => Some(attempt),
            Step::Nothing | Step::Failed(_) => None,
        })
        .collect()
    }
}

impl Dial {
    fn staggered(&self) -> bool {
        self.peer.is_none() && self.winner.is_none() && !self.left.is_empty()
    }

    fn next(&mut self, dial: DialId) -> Step {
        let endpoints = match self.peer {
            Some(_) => self.left.iter().copied().collect(),
            None => self.left.pop_front().into_iter().collect(),
        };
        Step::Dial(Attempt { dial, peer: self.peer, endpoints })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanchat_proto::signed::SecretKey;

    const ID: DialId = DialId(1);

    fn key(seed: u8) -> DeviceId {
        SecretKey::from_seed(&[seed; 32]).public()
    }

    fn at(port: u16) -> Endpoint {
        Endpoint::new(([10, 0, 0, 1], port).into())
    }

    fn target(device: Option<DeviceId>, ports: &[u16]) -> DialTarget {
        DialTarget { device, endpoints: ports.iter().map(|port| at(*port)).collect(), channel: Channel::Link }
    }

    fn dialled(step: Step) -> Attempt {
        match step {
            Step::Dial(attempt) => attempt,
            other => panic!("{other:?}"),
        }
    }

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn an_address_where_another_device_answers_is_left_out_and_the_rest_tried() {
        let mut dials = Dials::new(key(1));
        let attempt = dialled(dials.start(ID, target(Some(key(2)), &[1, 2, 2])));
        assert_eq!(attempt.endpoints, [at(1), at(2)]);
        dials.running(connection(1), &attempt);
        let wrong = vec![(at(1), "wrong".to_owned())];
        let again = dialled(dials.failed(connection(1), wrong.clone(), Some(at(1)), "wrong".to_owned()));
        assert_eq!(again.endpoints, [at(2)]);
        dials.running(connection(2), &again);
        let step = dials.failed(connection(2), Vec::new(), None, "silence".to_owned());
        let failure =
            DialFailure { dial: ID, attempts: wrong, impostor: Some(at(1)), reason: "silence".to_owned() };
        assert_eq!(step, Step::Failed(failure));
        assert_eq!(dials.failed(connection(2), Vec::new(), None, String::new()), Step::Nothing);
    }

    #[test]
    fn an_unknown_device_is_tried_address_by_address_and_the_first_answer_counts() {
        let mut dials = Dials::new(key(1));
        let first = dialled(dials.start(ID, target(None, &[1, 2, 3])));
        assert_eq!(first.endpoints, [at(1)]);
        dials.running(connection(1), &first);
        let [second] = dials.tick().try_into().unwrap();
        dials.running(connection(2), &second);
        assert_eq!(dials.connected(connection(2)), Some((ID, Channel::Link)));
        assert_eq!(dials.connected(connection(1)), None, "the other was first");
        assert!(!dials.staggered());
        assert_eq!(dials.failed(connection(1), Vec::new(), None, String::new()), Step::Nothing);
        dials.done(connection(2));
        assert_eq!(dials.failed(connection(2), Vec::new(), None, String::new()), Step::Nothing);
    }

    #[test]
    fn a_dial_that_cannot_be_made_fails_at_once() {
        let mut dials = Dials::new(key(1));
        let reason = |step| match step {
            Step::Failed(failure) => failure.reason,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason(dials.start(ID, target(Some(key(1)), &[1]))), "this is the own device");
        let mut local = target(Some(key(2)), &[]);
        local.endpoints = vec![Endpoint::new("[fe80::1]:7".parse().unwrap()), at(0)];
        assert_eq!(reason(dials.start(ID, local)), "no usable address");
        assert!(dials.dials.is_empty());
    }
}
