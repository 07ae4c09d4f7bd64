//! Dials under way: which address is tried when, and when a dial has come to nothing. Pure.
//!
//! Keeps true: each dial that was started ends by exactly one of `done` and one failure. Addresses are tried one by one in the
//! order given, [`STAGGER`] apart, and at once when all before have failed, so that the caller's order decides and not chance;
//! the first that answers with the right key counts. Another device at an address (one that was given away again) is
//! noted and does not spoil the rest. Attempts under way are bounded; those of further dials wait for their turn.

use crate::address::peer_of;
use crate::api::{Channel, DialFailure, DialId, DialTarget};
use crate::limits::{MAX_ATTEMPTS, MAX_DIAL_ADDRESSES, MAX_DIALS, STAGGER};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::Endpoint;
use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tokio::time::Instant;

/// What sums a dial up when no address had anything particular to say.
pub(crate) const NO_ANSWER: &str = "no address answered";

/// The dials under way.
pub(crate) struct Dials {
    own: DeviceId,
    dials: BTreeMap<DialId, Dial>,
    /// When the next address of a dial is due.
    due: BTreeSet<(Instant, DialId)>,
    connections: BTreeMap<ConnectionId, (DialId, Endpoint)>,
}

struct Dial {
    peer: Option<PeerId>,
    /// The relay of a circuit.
    via: Option<PeerId>,
    channel: Channel,
    /// Addresses not yet tried.
    left: VecDeque<Endpoint>,
    /// When the first of them is to be tried, if no attempt fails before.
    due: Instant,
    attempts: Vec<(Endpoint, String)>,
    /// Where another device answered.
    impostor: Option<Endpoint>,
    reason: String,
    running: usize,
    /// The connection that answered.
    winner: Option<ConnectionId>,
}

/// One call to the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attempt {
    dial: DialId,
    /// Who must answer.
    pub(crate) peer: Option<PeerId>,
    /// The relay of a circuit.
    pub(crate) via: Option<PeerId>,
    /// Where; the relay's for a circuit.
    pub(crate) endpoint: Endpoint,
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// What happened at this address.
    pub(crate) what: String,
    /// What it says of the dial; [`NO_ANSWER`] if nothing particular.
    pub(crate) reason: String,
    /// Another device answered than the one that was dialled.
    pub(crate) impostor: bool,
}

impl Failed {
    /// An address that says as much about the dial as about itself.
    pub(crate) fn because(reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { what: reason.clone(), reason, impostor: false }
    }
}

impl Dials {
    /// None yet.
    pub(crate) fn new(own: DeviceId) -> Self {
        Self { own, dials: BTreeMap::new(), due: BTreeSet::new(), connections: BTreeMap::new() }
    }

    /// Begins a dial, or says why not. Its first address is due at once.
    pub(crate) fn start(&mut self, dial: DialId, target: DialTarget, now: Instant) -> Option<DialFailure> {
        let failed = |reason: &str| {
            let reason = reason.to_owned();
            Some(DialFailure { dial, attempts: Vec::new(), impostor: None, reason })
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
        let via = match target.via.map(|relay| peer_of(&relay)) {
            Some(None) => return failed("not a valid device key"),
            Some(Some(_)) if peer.is_none() => return failed("a relay cannot reach an unknown device"),
            Some(relay) => {
                left.truncate(1);
                relay
            }
            None => None,
        };
        let state = Dial {
            peer,
            via,
            channel: target.channel,
            left,
            due: now,
            attempts: Vec::new(),
            impostor: None,
            reason: NO_ANSWER.to_owned(),
            running: 0,
            winner: None,
        };
        self.dials.insert(dial, state);
        self.due.insert((now, dial));
        None
    }

    /// The next attempt that is due, whoever has waited longest first.
    pub(crate) fn next(&mut self, now: Instant) -> Option<Attempt> {
        loop {
            let (at, id) = *self.due.first().filter(|(at, _)| *at <= now)?;
            if self.connections.len() >= MAX_ATTEMPTS {
                return None;
            }
            self.due.remove(&(at, id));
            let Some(dial) = self.dials.get_mut(&id) else { continue };
            let Some(endpoint) = dial.left.pop_front() else { continue };
            if !dial.left.is_empty() {
                dial.due = now + STAGGER;
                self.due.insert((dial.due, id));
            }
            return Some(Attempt { dial: id, peer: dial.peer, via: dial.via, endpoint });
        }
    }

    /// When [`Self::next`] has something again, if nothing happens before.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let (at, _) = self.due.first()?;
        // With all places taken, the end of an attempt comes first.
        (self.connections.len() < MAX_ATTEMPTS).then_some(*at)
    }

    /// An attempt runs as this connection.
    pub(crate) fn running(&mut self, connection: ConnectionId, attempt: &Attempt) {
        if let Some(dial) = self.dials.get_mut(&attempt.dial) {
            dial.running += 1;
            self.connections.insert(connection, (attempt.dial, attempt.endpoint));
        }
    }

    /// This connection was established. `None` when it is not wanted (any more).
    pub(crate) fn connected(&mut self, connection: ConnectionId) -> Option<(DialId, Channel)> {
        let (id, _) = *self.connections.get(&connection)?;
        let dial = self.dials.get_mut(&id)?;
        if *dial.winner.get_or_insert(connection) != connection {
            return None;
        }
        self.due.remove(&(dial.due, id));
        Some((id, dial.channel))
    }

    /// The stream on this connection is open: its dial is done.
    pub(crate) fn done(&mut self, connection: ConnectionId) {
        if let Some((id, _)) = self.connections.remove(&connection) {
            self.remove(id);
        }
    }

    /// This connection failed, before or after it was established. The failure of its dial, if that was the last hope.
    pub(crate) fn failed(
        &mut self,
        connection: ConnectionId,
        failed: Failed,
        now: Instant,
    ) -> Option<DialFailure> {
        let (id, endpoint) = self.connections.remove(&connection)?;
        let dial = self.dials.get_mut(&id)?;
        dial.running = dial.running.saturating_sub(1);
        let won = dial.winner == Some(connection);
        if dial.winner.is_some() && !won {
            // Another address has answered; this one does not matter.
            return None;
        }
        dial.attempts.push((endpoint, failed.what));
        if failed.impostor {
            dial.impostor = Some(endpoint);
        }
        if failed.reason != NO_ANSWER {
            dial.reason = failed.reason;
        }
        if !won && !dial.left.is_empty() {
            self.due.remove(&(dial.due, id));
            dial.due = now;
            self.due.insert((now, id));
            return None;
        }
        if !won && dial.running > 0 {
            return None;
        }
        let Dial { attempts, impostor, reason, .. } = self.remove(id)?;
        Some(DialFailure { dial: id, attempts, impostor, reason })
    }

    fn remove(&mut self, id: DialId) -> Option<Dial> {
        let dial = self.dials.remove(&id)?;
        self.due.remove(&(dial.due, id));
        Some(dial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanchat_proto::signed::SecretKey;
    use std::time::Duration;

    const ID: DialId = DialId(1);

    fn key(seed: u8) -> DeviceId {
        SecretKey::from_seed(&[seed; 32]).public()
    }

    fn at(port: u16) -> Endpoint {
        Endpoint::new(([10, 0, 0, 1], port).into())
    }

    fn target(device: Option<DeviceId>, ports: &[u16]) -> DialTarget {
        DialTarget {
            device,
            endpoints: ports.iter().map(|port| at(*port)).collect(),
            channel: Channel::Link,
            via: None,
        }
    }

    fn connection(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    /// Runs what is due, each attempt as the connection of its port; tells the ports.
    fn run(dials: &mut Dials, now: Instant) -> Vec<u16> {
        let mut ports = Vec::new();
        while let Some(attempt) = dials.next(now) {
            let port = attempt.endpoint.socket().port();
            dials.running(connection(port.into()), &attempt);
            ports.push(port);
        }
        ports
    }

    fn silence() -> Failed {
        Failed { what: "silence".to_owned(), reason: NO_ANSWER.to_owned(), impostor: false }
    }

    fn another() -> Failed {
        Failed { impostor: true, ..Failed::because("another device answered") }
    }

    #[test]
    fn addresses_are_tried_in_the_order_given_a_little_apart() {
        for device in [Some(key(2)), None] {
            let (mut dials, start) = (Dials::new(key(1)), Instant::now());
            assert_eq!(dials.start(ID, target(device, &[7, 3, 3, 5]), start), None);
            assert_eq!(run(&mut dials, start), [7]);
            assert_eq!(dials.next_due(), Some(start + STAGGER));
            assert_eq!(run(&mut dials, start + STAGGER - Duration::from_millis(1)), []);
            assert_eq!(run(&mut dials, start + STAGGER), [3]);
            assert_eq!(run(&mut dials, start + STAGGER * 2), [5]);
            assert_eq!(dials.next_due(), None);
        }
    }

    #[test]
    fn a_failure_starts_the_next_address_at_once_and_the_last_one_ends_the_dial() {
        let (mut dials, now) = (Dials::new(key(1)), Instant::now());
        dials.start(ID, target(Some(key(2)), &[1, 2]), now);
        assert_eq!(run(&mut dials, now), [1]);
        assert_eq!(dials.failed(connection(1), another(), now), None);
        assert_eq!(run(&mut dials, now), [2]);
        let failure = dials.failed(connection(2), silence(), now).unwrap();
        assert_eq!(
            failure.attempts,
            [(at(1), "another device answered".to_owned()), (at(2), "silence".to_owned())]
        );
        assert_eq!((failure.impostor, failure.reason.as_str()), (Some(at(1)), "another device answered"));
        assert_eq!(dials.failed(connection(2), silence(), now), None, "told once");
        assert!(dials.dials.is_empty() && dials.due.is_empty() && dials.connections.is_empty());
    }

    #[test]
    fn the_first_answer_counts_and_later_ones_are_turned_away() {
        let (mut dials, now) = (Dials::new(key(1)), Instant::now());
        dials.start(ID, target(Some(key(2)), &[1, 2, 3]), now);
        run(&mut dials, now);
        run(&mut dials, now + STAGGER);
        assert_eq!(dials.connected(connection(2)), Some((ID, Channel::Link)));
        assert_eq!(dials.connected(connection(1)), None, "the other was first");
        assert_eq!(dials.next_due(), None, "the third is not needed any more");
        assert_eq!(dials.failed(connection(1), silence(), now), None);
        dials.done(connection(2));
        assert_eq!(dials.failed(connection(2), silence(), now), None);
        assert!(dials.dials.is_empty() && dials.connections.is_empty());
    }

    #[test]
    fn a_dial_whose_connection_breaks_before_its_stream_is_open_has_failed() {
        let (mut dials, now) = (Dials::new(key(1)), Instant::now());
        dials.start(ID, target(Some(key(2)), &[1, 2]), now);
        run(&mut dials, now);
        dials.connected(connection(1));
        let failure = dials.failed(connection(1), Failed::because("not offered"), now).unwrap();
        assert_eq!((failure.attempts.len(), failure.reason.as_str()), (1, "not offered"));
        assert_eq!(dials.next_due(), None);
    }

    #[test]
    fn attempts_under_way_are_bounded_and_whoever_waited_longest_is_next() {
        let (mut dials, start) = (Dials::new(key(1)), Instant::now());
        let places = u16::try_from(MAX_ATTEMPTS).unwrap();
        for port in 1..=places + 2 {
            let now = start + Duration::from_millis((places + 2 - port).into());
            dials.start(DialId(port.into()), target(Some(key(2)), &[port]), now);
        }
        let now = start + Duration::from_secs(1);
        let ports = run(&mut dials, now);
        assert_eq!((ports.len(), ports.contains(&1), dials.next_due()), (MAX_ATTEMPTS, false, None));
        assert!(dials.failed(connection(9), silence(), now).is_some());
        assert_eq!(run(&mut dials, now), [2]);
        dials.done(connection(10));
        assert_eq!(run(&mut dials, now), [1]);
    }

    #[test]
    fn a_dial_that_cannot_be_made_fails_at_once() {
        let (mut dials, now) = (Dials::new(key(1)), Instant::now());
        assert_eq!(
            dials.start(ID, target(Some(key(1)), &[1]), now).unwrap().reason,
            "this is the own device"
        );
        let mut local = target(Some(key(2)), &[]);
        local.endpoints = vec![Endpoint::new("[fe80::1]:7".parse().unwrap()), at(0)];
        assert_eq!(dials.start(ID, local, now).unwrap().reason, "no usable address");
        assert!(dials.dials.is_empty() && dials.due.is_empty());
    }
}
