//! The behaviour that dials, and makes links of connections.
//!
//! Keeps true: each dial ends in exactly one `Opened` or one failure; a stream is opened on exactly the connection that was
//! dialled for it; nothing of a connection is kept after it closed.

pub(crate) mod handler;

use crate::address::{circuit_via, device_of, endpoint_of, relay_of, to_multiaddr};
use crate::api::{Channel, CloseReason, DialFailure, DialId, DialTarget, LinkId, NetEvent};
use crate::dials::{Attempt, Dials, Failed, NO_ANSWER};
use crate::intake::Intake;
use crate::link::pace::Rates;
use crate::link::{Close, Shared};
use handler::{Handler, Report};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint as Role, Multiaddr};
use libp2p::relay::outbound::hop::ConnectError;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, DialError, DialFailure as Failure, FromSwarm,
    NetworkBehaviour, ToSwarm,
};
use libp2p::{PeerId, swarm::THandlerInEvent};
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, Sleep, sleep_until};

/// What a connection is for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seed {
    /// The other device.
    pub(crate) device: DeviceId,
    /// Its address.
    pub(crate) remote: Endpoint,
    /// It goes through a relay, whose address `remote` is then.
    pub(crate) relayed: bool,
    /// The dial and its channel, on the dialling side.
    pub(crate) dial: Option<(DialId, Channel)>,
}

/// What others may open on a connection.
#[derive(Debug, Clone)]
pub(crate) struct Accept {
    /// Control streams.
    pub(crate) channels: Vec<Channel>,
    /// Streams of content, on links of nodes once they are admitted.
    pub(crate) streams: bool,
}

/// What the behaviour reports to the driver.
#[derive(Debug)]
pub(crate) enum LinksEvent {
    /// The control stream on this connection is open.
    Opened(ConnectionId),
    /// The owner admitted the link on this connection, perhaps as a user's.
    Admitted(ConnectionId, Option<[u8; 16]>),
    /// A dial came to nothing.
    DialFailed(DialFailure),
}

/// A connection cannot become a link.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("the other side's key is not an Ed25519 key")]
    Key,
    #[error("not a TCP address")]
    Address,
    #[error("another address answered first")]
    Late,
}

struct Conn {
    peer: PeerId,
    relayed: bool,
    shared: Arc<Shared>,
    /// The control stream is open, so its task will report the end.
    opened: bool,
}

type Action = ToSwarm<LinksEvent, THandlerInEvent<Links>>;

/// The behaviour. Its queue holds at most a few actions for each connection or dial.
pub(crate) struct Links {
    events: Sender<NetEvent>,
    accept: Accept,
    queue_bytes: usize,
    rates: Rates,
    intake: Intake,
    next_link: u64,
    dials: Dials,
    connections: BTreeMap<ConnectionId, Conn>,
    actions: VecDeque<Action>,
    /// Rings when the next address of a dial is due.
    timer: Pin<Box<Sleep>>,
}

impl Links {
    /// With nothing open.
    pub(crate) fn new(
        own: DeviceId,
        events: Sender<NetEvent>,
        accept: Accept,
        queue_bytes: usize,
        rates: Rates,
        intake: Intake,
    ) -> Self {
        Self {
            events,
            accept,
            queue_bytes,
            rates,
            intake,
            next_link: 0,
            dials: Dials::new(own),
            connections: BTreeMap::new(),
            actions: VecDeque::new(),
            timer: Box::pin(sleep_until(Instant::now())),
        }
    }

    /// Begins a dial. Must be called from the task that polls this behaviour.
    pub(crate) fn dial(&mut self, dial: DialId, target: DialTarget) {
        let failure = self.dials.start(dial, target, Instant::now());
        self.tell(failure);
    }

    /// Closes a connection for this reason.
    pub(crate) fn close(&mut self, connection: ConnectionId, reason: CloseReason) {
        if let Some(conn) = self.connections.get(&connection) {
            conn.shared.stop(reason);
            let peer = conn.peer;
            self.cut(connection, peer);
        }
    }

    /// Lets every link write what it has queued, and close; cuts connections that are no link yet.
    pub(crate) fn close_all(&mut self) {
        let mut cut = Vec::new();
        for (id, conn) in &self.connections {
            if conn.opened {
                conn.shared.close(Close::AfterFlush);
            } else {
                cut.push(*id);
            }
        }
        for id in cut {
            self.close(id, CloseReason::Local);
        }
    }

    fn cut(&mut self, connection: ConnectionId, peer_id: PeerId) {
        let connection = CloseConnection::One(connection);
        self.actions.push_back(ToSwarm::CloseConnection { peer_id, connection });
    }

    fn tell(&mut self, failure: Option<DialFailure>) {
        self.actions.extend(failure.map(|failure| ToSwarm::GenerateEvent(LinksEvent::DialFailed(failure))));
    }

    fn attempt(&mut self, attempt: &Attempt) {
        let address = match attempt.via {
            Some(relay) => circuit_via(relay, &attempt.endpoint),
            None => to_multiaddr(attempt.endpoint.socket()),
        };
        let opts = match attempt.peer {
            Some(peer) => DialOpts::peer_id(peer)
                .condition(PeerCondition::Always)
                .addresses(vec![address])
                .allocate_new_port()
                .build(),
            None => DialOpts::unknown_peer_id().address(address).allocate_new_port().build(),
        };
        self.dials.running(opts.connection_id(), attempt);
        // libp2p would dial the relay for it, at its own time and without a link.
        if attempt.via.is_some_and(|relay| !self.linked(relay)) {
            return self.attempt_failed(opts.connection_id(), Failed::because("no connection to the relay"));
        }
        self.actions.push_back(ToSwarm::Dial { opts });
    }

    fn linked(&self, relay: PeerId) -> bool {
        self.connections.values().any(|conn| conn.opened && !conn.relayed && conn.peer == relay)
    }

    fn attempt_failed(&mut self, connection: ConnectionId, failed: Failed) {
        let failure = self.dials.failed(connection, failed, Instant::now());
        self.tell(failure);
    }

    fn handler(&mut self, connection: ConnectionId, peer: PeerId, seed: Seed, accept: Accept) -> Handler {
        self.next_link += 1;
        let shared = Arc::new(Shared::new(LinkId(self.next_link), self.queue_bytes));
        let conn = Conn { peer, relayed: seed.relayed, shared: shared.clone(), opened: false };
        self.connections.insert(connection, conn);
        Handler::new(seed, shared, self.events.clone(), accept, self.rates)
    }

    fn failed(&mut self, connection: ConnectionId, error: &DialError) {
        self.connections.remove(&connection);
        let failed = match error {
            DialError::Transport(errors) => {
                let what = errors.first().map_or_else(|| error.to_string(), |(_, error)| chain(error));
                // What a relay says is said of the one way that there was.
                let relayed = errors.first().filter(|(address, _)| relay_of(address).is_some());
                let reason =
                    relayed.map_or_else(|| NO_ANSWER.to_owned(), |(_, error)| circuit_refused(error));
                Failed { what, reason, impostor: false }
            }
            DialError::WrongPeerId { .. } => {
                Failed { impostor: true, ..Failed::because("another device answered") }
            }
            DialError::LocalPeerId { .. } => {
                Failed { impostor: true, ..Failed::because("this device itself answered") }
            }
            DialError::Denied { cause } => Failed::because(chain(cause)),
            DialError::NoAddresses => Failed::because("this is an address of this device itself"),
            other => Failed::because(other.to_string()),
        };
        self.attempt_failed(connection, failed);
    }
}

/// The endpoint in an address, and whether it is a relay's.
fn where_at(address: &Multiaddr) -> Result<(Endpoint, bool), ConnectionDenied> {
    let direct = endpoint_of(address).map(|at| (at, false));
    let at = direct.or_else(|| Some((relay_of(address)?, true)));
    at.ok_or_else(|| ConnectionDenied::new(Unusable::Address))
}

/// Why there is no circuit, in words for people.
fn circuit_refused(error: &(dyn Error + 'static)) -> String {
    let mut next = Some(error);
    while let Some(cause) = next {
        match cause.downcast_ref() {
            Some(ConnectError::NoReservation) => return "it has no reservation at the relay".to_owned(),
            Some(ConnectError::ConnectionFailed) => return "the relay cannot reach it".to_owned(),
            Some(ConnectError::ResourceLimitExceeded) => return "the relay is full".to_owned(),
            // So it is told when the other device denied it, having given its reservation up.
            Some(ConnectError::Protocol(_)) => return "it did not take the circuit".to_owned(),
            Some(ConnectError::Unsupported) => return "the relay does not serve this device".to_owned(),
            Some(_) | None => next = cause.source(),
        }
    }
    format!("no circuit: {}", chain(error))
}

/// An error with its causes, in one line, each said once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = if text.is_empty() { cause_text } else { format!("{text}: {cause_text}") };
        }
        next = cause.source();
    }
    text
}

impl NetworkBehaviour for Links {
    type ConnectionHandler = Handler;
    type ToSwarm = LinksEvent;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        address: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        // A circuit is named by the relay in the local address; the remote one holds only who it is.
        let (remote, relayed) = where_at(if relay_of(local).is_some() { local } else { address })?;
        let device = device_of(&peer).ok_or_else(|| ConnectionDenied::new(Unusable::Key))?;
        let accept = self.accept.clone();
        let pass = self.intake.pass(&(local.clone(), address.clone()));
        let seed = Seed { device, remote, relayed, dial: None };
        let handler = self.handler(connection, peer, seed, accept);
        if let (Some(pass), Some(conn)) = (pass, self.connections.get(&connection)) {
            conn.shared.pass.get_or_init(|| pass);
        }
        Ok(handler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _: Role,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        let device = device_of(&peer).ok_or_else(|| ConnectionDenied::new(Unusable::Key))?;
        let (remote, relayed) = where_at(remote)?;
        let dial = self.dials.connected(connection).ok_or_else(|| ConnectionDenied::new(Unusable::Late))?;
        let accept = Accept { channels: Vec::new(), ..self.accept };
        Ok(self.handler(connection, peer, Seed { device, remote, relayed, dial: Some(dial) }, accept))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::DialFailure(Failure { connection_id, error, .. }) => {
                self.failed(connection_id, error);
            }
            // A later behaviour may have denied what was accepted here.
            FromSwarm::ListenFailure(failure) => {
                self.connections.remove(&failure.connection_id);
            }
            FromSwarm::ConnectionClosed(closed) => {
                let reason = self.connections.remove(&closed.connection_id).and_then(|c| c.shared.ended());
                let reason = reason.map_or_else(
                    || "connected, but closed by the other side before a stream was open".to_owned(),
                    |reason| reason.to_string(),
                );
                // Does nothing when the dial was done, that is when its stream was opened.
                self.attempt_failed(closed.connection_id, Failed::because(reason));
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, report: Report) {
        match report {
            Report::Opened => {
                self.dials.done(connection);
                if let Some(conn) = self.connections.get_mut(&connection) {
                    conn.opened = true;
                }
                self.actions.push_back(ToSwarm::GenerateEvent(LinksEvent::Opened(connection)));
            }
            Report::Failed(reason) => {
                self.attempt_failed(connection, Failed::because(reason));
                self.cut(connection, peer);
            }
            Report::Admitted => {
                let user = self.connections.get(&connection).and_then(|conn| conn.shared.user());
                self.actions.push_back(ToSwarm::GenerateEvent(LinksEvent::Admitted(connection, user)));
            }
            Report::Ended => self.cut(connection, peer),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Action> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action);
            }
            if let Some(attempt) = self.dials.next(Instant::now()) {
                self.attempt(&attempt);
                continue;
            }
            let Some(due) = self.dials.next_due() else { return Poll::Pending };
            if self.timer.deadline() != due {
                self.timer.as_mut().reset(due);
            }
            futures::ready!(self.timer.as_mut().poll(cx));
        }
    }
}
