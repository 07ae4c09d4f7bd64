//! The behaviour that decides which devices may be connected, and for how long without a hello.
//!
//! Keeps true: a refused device and the own key are turned away before any stream; a device has at most [`MAX_PER_DEVICE`]
//! connections; a connection that was not admitted within the deadline is reported as expired, and so is an accepted one
//! that opened no control stream within [`FIRST_STREAM_DEADLINE`]; both times run from the moment when it was accepted, and
//! whoever has not even finished the encryption by then is cut. What an unadmitted connection may do is bounded by `links` (one stream, a budget of bytes).

use crate::address::{device_of, peer_of, relay_of};
use crate::intake::{Ends, Intake};
use crate::limits::{FIRST_STREAM_DEADLINE, MAX_PER_DEVICE, MAX_REFUSED};
use crate::lock;
use lanchat_proto::ids::DeviceId;
use libp2p::PeerId;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandlerInEvent, ToSwarm, dummy,
};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

/// The refused devices, shared with the handles so that a refusal holds from the moment it was called.
#[derive(Default)]
pub(crate) struct Refused {
    devices: Mutex<BTreeSet<DeviceId>>,
    /// Devices whose connections are still to be closed; a subset of what is connected once it is looked at.
    closing: Mutex<BTreeSet<DeviceId>>,
    /// Something is to be closed. One waiter.
    pub(crate) changed: Notify,
}

impl Refused {
    /// Refuses a device from now on.
    pub(crate) fn refuse(&self, device: DeviceId) {
        let mut devices = lock(&self.devices);
        if devices.len() < MAX_REFUSED {
            devices.insert(device);
        }
        drop(devices);
        lock(&self.closing).insert(device);
        self.changed.notify_one();
    }

    /// Refuses it no more.
    pub(crate) fn allow(&self, device: &DeviceId) {
        lock(&self.devices).remove(device);
        lock(&self.closing).remove(device);
    }

    fn contains(&self, device: &DeviceId) -> bool {
        lock(&self.devices).contains(device)
    }

    fn take_closing(&self) -> BTreeSet<DeviceId> {
        std::mem::take(&mut lock(&self.closing))
    }
}

/// Why a device was turned away.
#[derive(Debug, thiserror::Error)]
enum Denied {
    #[error("the device is refused")]
    Refused,
    #[error("this device itself answered")]
    Own,
    #[error("too many connections with this device")]
    TooMany,
}

/// This connection was not admitted in time.
#[derive(Debug)]
pub(crate) struct Expired(pub(crate) ConnectionId);

/// The behaviour.
pub(crate) struct Gate {
    own: Option<PeerId>,
    refused: Arc<Refused>,
    deadline: Duration,
    peers: BTreeMap<PeerId, BTreeSet<ConnectionId>>,
    /// Each connection that is not admitted yet: when it expires as it is, and when at the latest.
    waiting: BTreeMap<ConnectionId, (Instant, Instant)>,
    /// When they expire, soonest first.
    due: BTreeSet<(Instant, ConnectionId)>,
    /// Accepted connections that are not encrypted yet; as many as the quota lets in.
    pending: BTreeMap<ConnectionId, Ends>,
    intake: Intake,
    timer: Pin<Box<Sleep>>,
}

impl Gate {
    /// Nobody is connected. Whoever is not connected in time is cut through the intake.
    pub(crate) fn new(own: &DeviceId, refused: Arc<Refused>, deadline: Duration, intake: Intake) -> Self {
        Self {
            own: peer_of(own),
            refused,
            deadline,
            peers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            due: BTreeSet::new(),
            pending: BTreeMap::new(),
            intake,
            timer: Box::pin(sleep(deadline)),
        }
    }

    /// The hello on this connection was accepted.
    pub(crate) fn admitted(&mut self, connection: ConnectionId) {
        if let Some((at, _)) = self.waiting.remove(&connection) {
            self.due.remove(&(at, connection));
        }
    }

    /// The control stream on this connection is open: it has the time that a hello may take.
    pub(crate) fn opened(&mut self, connection: ConnectionId) {
        if let Some((at, last)) = self.waiting.get_mut(&connection) {
            self.due.remove(&(*at, connection));
            *at = *last;
            self.due.insert((*last, connection));
        }
    }

    /// Connections of devices that were refused since the last call.
    pub(crate) fn refused(&mut self) -> Vec<ConnectionId> {
        let closing = self.refused.take_closing();
        let of = |device: &DeviceId| self.peers.get(&peer_of(device)?);
        closing.iter().filter_map(of).flatten().copied().collect()
    }

    /// Begins the time of a connection.
    fn wait(&mut self, connection: ConnectionId, accepted: bool) {
        let now = Instant::now();
        let last = now + self.deadline;
        let at = if accepted { last.min(now + FIRST_STREAM_DEADLINE) } else { last };
        self.waiting.insert(connection, (at, last));
        self.due.insert((at, connection));
    }

    fn check(&self, peer: &PeerId) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        let denied = if self.own == Some(*peer) {
            Denied::Own
        } else if device_of(peer).is_some_and(|device| self.refused.contains(&device)) {
            Denied::Refused
        } else if self.peers.get(peer).is_some_and(|open| open.len() >= MAX_PER_DEVICE) {
            Denied::TooMany
        } else {
            return Ok(dummy::ConnectionHandler);
        };
        Err(ConnectionDenied::new(denied))
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Expired;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        // A circuit's time begins when it is encrypted: on a busy relay that takes a while.
        if relay_of(local).is_none() {
            self.pending.insert(connection, (local.clone(), remote.clone()));
            self.wait(connection, true);
        }
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        self.check(&peer)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        self.check(&peer)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(up) => {
                self.peers.entry(up.peer_id).or_default().insert(up.connection_id);
                if self.pending.remove(&up.connection_id).is_none() {
                    self.wait(up.connection_id, up.endpoint.is_listener());
                }
            }
            FromSwarm::ListenFailure(failure) => {
                self.pending.remove(&failure.connection_id);
                self.admitted(failure.connection_id);
            }
            FromSwarm::ConnectionClosed(down) => {
                if let Some(open) = self.peers.get_mut(&down.peer_id) {
                    open.remove(&down.connection_id);
                    if open.is_empty() {
                        self.peers.remove(&down.peer_id);
                    }
                }
                self.admitted(down.connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Expired, THandlerInEvent<Self>>> {
        loop {
            let Some((at, connection)) = self.due.first().copied() else { return Poll::Pending };
            if at <= Instant::now() {
                self.admitted(connection);
                if let Some(ends) = self.pending.remove(&connection) {
                    self.intake.cut(&ends);
                    continue;
                }
                return Poll::Ready(ToSwarm::GenerateEvent(Expired(connection)));
            }
            if self.timer.deadline() != at {
                self.timer.as_mut().reset(at);
            }
            futures::ready!(self.timer.as_mut().poll(cx));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::poll_fn;
    use lanchat_proto::signed::SecretKey;
    use libp2p::core::ConnectedPoint;
    use libp2p::swarm::behaviour::ConnectionEstablished;

    fn device(seed: u8) -> DeviceId {
        SecretKey::from_seed(&[seed; 32]).public()
    }

    fn connect(gate: &mut Gate, device: &DeviceId, number: usize) -> bool {
        let peer_id = peer_of(device).unwrap();
        let connection_id = ConnectionId::new_unchecked(number);
        if gate.check(&peer_id).is_err() {
            return false;
        }
        let endpoint =
            ConnectedPoint::Listener { local_addr: Multiaddr::empty(), send_back_addr: Multiaddr::empty() };
        gate.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id,
            connection_id,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 0,
        }));
        true
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_not_admitted_expires_and_nobody_else() {
        let mut gate = Gate::new(&device(1), Arc::default(), Duration::from_secs(5), Intake::default());
        assert!(connect(&mut gate, &device(2), 1));
        assert!(connect(&mut gate, &device(3), 2));
        gate.admitted(ConnectionId::new_unchecked(1));
        gate.opened(ConnectionId::new_unchecked(2));
        let start = Instant::now();
        let ToSwarm::GenerateEvent(Expired(connection)) = poll_fn(|cx| gate.poll(cx)).await else { panic!() };
        assert_eq!(connection, ConnectionId::new_unchecked(2));
        assert!(start.elapsed() >= Duration::from_secs(5));
        assert!(gate.due.is_empty() && gate.waiting.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_runs_from_the_moment_when_it_was_accepted() {
        let mut gate = Gate::new(&device(1), Arc::default(), Duration::from_secs(60), Intake::default());
        let local: Multiaddr = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        let start = Instant::now();
        for number in 1..=3 {
            let id = ConnectionId::new_unchecked(number);
            gate.handle_pending_inbound_connection(id, &local, &local).unwrap();
        }
        tokio::time::advance(FIRST_STREAM_DEADLINE / 2).await;
        assert!(connect(&mut gate, &device(2), 2));
        assert!(connect(&mut gate, &device(3), 3));
        gate.opened(ConnectionId::new_unchecked(3));
        let ToSwarm::GenerateEvent(Expired(expired)) = poll_fn(|cx| gate.poll(cx)).await else { panic!() };
        assert_eq!(expired, ConnectionId::new_unchecked(2), "the first was cut without a word");
        assert!(start.elapsed() < FIRST_STREAM_DEADLINE + Duration::from_secs(1));
        assert_eq!((gate.pending.len(), gate.waiting.len(), gate.due.len()), (0, 1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_may_take_long_to_say_hello_still_opens_its_stream_at_once() {
        let mut gate = Gate::new(&device(1), Arc::default(), Duration::from_secs(60), Intake::default());
        let start = Instant::now();
        assert!(connect(&mut gate, &device(2), 1));
        assert!(connect(&mut gate, &device(3), 2));
        gate.opened(ConnectionId::new_unchecked(1));
        for (number, after) in [(2, FIRST_STREAM_DEADLINE), (1, Duration::from_secs(60))] {
            let ToSwarm::GenerateEvent(Expired(expired)) = poll_fn(|cx| gate.poll(cx)).await else {
                panic!()
            };
            assert_eq!(expired, ConnectionId::new_unchecked(number));
            assert!(start.elapsed() >= after && start.elapsed() < after + Duration::from_secs(1));
        }
    }

    #[tokio::test]
    async fn the_refused_the_own_key_and_the_fifth_connection_are_turned_away() {
        let refused = Arc::<Refused>::default();
        let mut gate = Gate::new(&device(1), refused.clone(), Duration::from_secs(5), Intake::default());
        assert!(!connect(&mut gate, &device(1), 0));
        for number in 1..=MAX_PER_DEVICE {
            assert!(connect(&mut gate, &device(2), number));
        }
        assert!(!connect(&mut gate, &device(2), 9));
        refused.refuse(device(2));
        assert_eq!(gate.refused().len(), MAX_PER_DEVICE);
        assert!(gate.refused().is_empty(), "told once");
        refused.refuse(device(3));
        assert!(!connect(&mut gate, &device(3), 10));
        refused.allow(&device(3));
        assert!(connect(&mut gate, &device(3), 10));
    }
}
