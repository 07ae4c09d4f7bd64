//! The relay's behaviour: libp2p's, offered to members only, its orders and reports read on the way.
//!
//! Keeps true: a connection is offered the relay only after [`Server::admitted`], and its circuits are charged to the user
//! named there; a device is asked about a few circuits at a time; renewals are never denied; when libp2p's relay panics, a
//! fresh one takes its place that knows the same connections and reservations, so that links, reservations and circuits
//! live on. Goes in: connections, admissions. Goes out: [`Restarted`], figures.

use super::budget::{Budgets, User};
use super::fence::{self, Fence};
use super::meter::{Meter, Meters};
use super::waiting::{Turn, Waiting};
use crate::api::{RelayStats, RelayUser};
use crate::limits::{CIRCUIT_PATIENCE, MAX_CIRCUITS_PER_DEVICE, MAX_PER_DEVICE, MAX_TOLD_USERS, RelayLimits};
use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint, Multiaddr};
use libp2p::swarm::behaviour::{ConnectionEstablished, ExternalAddrConfirmed, ExternalAddrExpired};
use libp2p::swarm::derive_prelude::Either;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionHandler, ConnectionId, FromSwarm, NetworkBehaviour,
    NotifyHandler, THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, relay};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep, sleep_until};
use tracing::{debug, error, warn};

/// libp2p's words between its relay and that one's handlers, which have no public names.
type Inner = <relay::Behaviour as NetworkBehaviour>::ConnectionHandler;
type InnerReport = <Inner as ConnectionHandler>::ToBehaviour;
type InnerOrder = <Inner as ConnectionHandler>::FromBehaviour;
type Report = <InnerReport as Sides>::Left;
type Order = <InnerOrder as Sides>::Left;

trait Sides {
    type Left;
}

impl<L, R> Sides for Either<L, R> {
    type Left = L;
}

/// Status codes of the relay protocol.
const LIMIT_EXCEEDED: i32 = 201;
const CONNECTION_FAILED: i32 = 203;

/// Libp2p's relay failed and was started anew.
#[derive(Debug)]
pub(crate) struct Restarted;

struct Conn {
    peer: PeerId,
    endpoint: ConnectedPoint,
    meter: Option<Arc<Meter>>,
    /// Who may use the relay on it.
    user: Option<User>,
    reserved: bool,
    /// Circuits that it opened.
    circuits: usize,
    /// Circuits that others want to it.
    waiting: Waiting<Order>,
}

type Action = ToSwarm<Restarted, fence::Order<InnerOrder>>;

/// The behaviour. Its queue holds at most a few actions for each connection.
pub(crate) struct Server {
    inner: relay::Behaviour,
    local: PeerId,
    limits: RelayLimits,
    budgets: Arc<Budgets>,
    meters: Arc<Meters>,
    /// Where this device listens, which clients are told.
    addresses: BTreeSet<Multiaddr>,
    connections: BTreeMap<ConnectionId, Conn>,
    /// How many of them are reserved.
    reserved: usize,
    /// Meters of connections that are about to be established.
    metered: BTreeMap<ConnectionId, Arc<Meter>>,
    restarts: u64,
    actions: VecDeque<Action>,
    /// Rings when a request has waited for too long.
    timer: Option<Pin<Box<Sleep>>>,
}

fn fresh(local: PeerId, limits: &RelayLimits) -> relay::Behaviour {
    let config = relay::Config {
        // Counted here: libp2p would deny renewals too.
        max_reservations: usize::MAX,
        max_reservations_per_peer: MAX_PER_DEVICE,
        reservation_duration: limits.reservation_time,
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits.circuits,
        max_circuits_per_peer: MAX_CIRCUITS_PER_DEVICE,
        max_circuit_duration: Duration::from_secs(u64::from(u32::MAX)),
        // No limit.
        max_circuit_bytes: 0,
        circuit_src_rate_limiters: Vec::new(),
    };
    let mut inner = relay::Behaviour::new(local, config);
    inner.set_status(Some(relay::Status::Enable));
    inner
}

impl Server {
    /// A relay that nobody may use yet.
    pub(crate) fn new(local: PeerId, limits: RelayLimits, meters: Arc<Meters>) -> Self {
        Self {
            inner: fresh(local, &limits),
            local,
            budgets: Budgets::new(&limits),
            limits,
            meters,
            addresses: BTreeSet::new(),
            connections: BTreeMap::new(),
            reserved: 0,
            metered: BTreeMap::new(),
            restarts: 0,
            actions: VecDeque::new(),
            timer: None,
        }
    }

    /// This user was admitted on this connection. Only what others dialled is relayed, since only that is paced.
    pub(crate) fn admitted(&mut self, connection: ConnectionId, user: User) {
        let Some(conn) = self.connections.get_mut(&connection) else { return };
        let Some(meter) = &conn.meter else { return };
        meter.charge(self.budgets.account(user));
        conn.user = Some(user);
        let peer_id = conn.peer;
        let handler = NotifyHandler::One(connection);
        self.actions.push_back(ToSwarm::NotifyHandler { peer_id, handler, event: fence::Order::Open });
    }

    /// Figures.
    pub(crate) fn stats(&self) -> RelayStats {
        let mut circuits = BTreeMap::<User, usize>::new();
        for conn in self.connections.values() {
            if let Some(user) = conn.user {
                *circuits.entry(user).or_default() += conn.circuits;
            }
        }
        let mut users: Vec<RelayUser> = self
            .budgets
            .by_user()
            .into_iter()
            .map(|(user, bytes)| RelayUser {
                user,
                bytes,
                circuits: circuits.get(&user).copied().unwrap_or(0),
            })
            .collect();
        users.sort_unstable_by_key(|user| (std::cmp::Reverse(user.bytes), user.user));
        users.truncate(MAX_TOLD_USERS);
        RelayStats {
            reservations: self.reserved,
            circuits: self.connections.values().map(|conn| conn.circuits).sum(),
            bytes: self.budgets.bytes(),
            users,
            restarts: self.restarts,
        }
    }

    /// Calls libp2p's relay; `None` when it panicked and was replaced.
    fn guarded<T>(&mut self, run: impl FnOnce(&mut relay::Behaviour) -> T) -> Option<T> {
        // Whatever was half changed is thrown away.
        let result = catch_unwind(AssertUnwindSafe(|| run(&mut self.inner))).ok();
        if result.is_none() {
            self.restart();
        }
        result
    }

    /// Puts a fresh relay in the place of a broken one. The handlers stay as they are: they hold the circuits.
    fn restart(&mut self) {
        self.restarts += 1;
        error!(restarts = self.restarts, "The relay failed and is started anew");
        let mut next = fresh(self.local, &self.limits);
        let told = catch_unwind(AssertUnwindSafe(|| self.retell(&mut next)));
        if told.is_err() {
            // Then it learns of the reservations when they are renewed.
            next = fresh(self.local, &self.limits);
        }
        let broken = std::mem::replace(&mut self.inner, next);
        if catch_unwind(AssertUnwindSafe(|| drop(broken))).is_err() {
            warn!("The failed relay could not be tidied up");
        }
        self.actions.push_back(ToSwarm::GenerateEvent(Restarted));
    }

    /// Tells a fresh relay what the one before knew.
    fn retell(&self, next: &mut relay::Behaviour) {
        for addr in &self.addresses {
            next.on_swarm_event(FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed { addr }));
        }
        for (id, conn) in &self.connections {
            next.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id: conn.peer,
                connection_id: *id,
                endpoint: &conn.endpoint,
                failed_addresses: &[],
                other_established: 0,
            }));
            if conn.reserved {
                let report = Either::Left(Report::ReservationReqAccepted { renewed: true });
                next.on_connection_handler_event(conn.peer, *id, report);
            }
        }
    }

    fn order(&mut self, peer_id: PeerId, connection: ConnectionId, order: Order) {
        let event = fence::Order::Inner(Either::Left(order));
        let handler = NotifyHandler::One(connection);
        self.actions.push_back(ToSwarm::NotifyHandler { peer_id, handler, event });
    }

    /// Denies a circuit that a device was not asked about.
    fn deny(&mut self, request: Order, status: i32) {
        if let Order::NegotiateOutboundConnect {
            circuit_id,
            inbound_circuit_req,
            src_peer_id,
            src_connection_id,
        } = request
            && let Ok(status) = status.try_into()
        {
            let circuit_id = Some(circuit_id);
            let order = Order::DenyCircuitReq { circuit_id, inbound_circuit_req, status };
            self.order(src_peer_id, src_connection_id, order);
        }
    }

    /// Passes an action of libp2p's relay on.
    fn action(&mut self, action: ToSwarm<relay::Event, InnerOrder>) {
        match action {
            ToSwarm::GenerateEvent(event) => debug!(?event, "Relay"),
            ToSwarm::NotifyHandler {
                handler: NotifyHandler::One(connection),
                event: Either::Left(request @ Order::NegotiateOutboundConnect { .. }),
                ..
            } => {
                let Some(conn) = self.connections.get_mut(&connection) else {
                    return self.deny(request, CONNECTION_FAILED);
                };
                let peer = conn.peer;
                match conn.waiting.came(request, Instant::now()) {
                    Turn::Ask(request) => self.order(peer, connection, request),
                    Turn::Deny(request) => self.deny(request, LIMIT_EXCEEDED),
                    Turn::Later => {
                        self.timer.get_or_insert_with(|| Box::pin(sleep(CIRCUIT_PATIENCE)));
                    }
                }
            }
            other => {
                let never = |_| Restarted;
                self.actions.push_back(other.map_in(fence::Order::Inner).map_out(never));
            }
        }
    }

    /// Takes note of a report before libp2p's relay has it; `None` when it is dealt with.
    fn note(&mut self, peer: PeerId, connection: ConnectionId, report: Report) -> Option<Report> {
        let full = self.reserved >= self.limits.reservations;
        let conn = self.connections.get_mut(&connection)?;
        match report {
            Report::ReservationReqReceived { inbound_reservation_req, renewed, .. }
                if !renewed && !conn.reserved && full =>
            {
                let status = LIMIT_EXCEEDED.try_into().ok()?;
                self.order(peer, connection, Order::DenyReservationReq { inbound_reservation_req, status });
                return None;
            }
            Report::ReservationReqAccepted { .. } if !conn.reserved => {
                conn.reserved = true;
                self.reserved += 1;
            }
            Report::ReservationTimedOut {} if conn.reserved => {
                conn.reserved = false;
                self.reserved = self.reserved.saturating_sub(1);
            }
            Report::CircuitReqAccepted { .. } => conn.circuits += 1,
            Report::CircuitClosed { .. } => conn.circuits = conn.circuits.saturating_sub(1),
            Report::OutboundConnectNegotiated { .. } | Report::OutboundConnectNegotiationFailed { .. } => {
                if let Some(next) = conn.waiting.answered() {
                    self.order(peer, connection, next);
                }
            }
            _ => {}
        }
        Some(report)
    }

    /// Denies what has waited for too long, and sets the timer for what has not.
    fn wind(&mut self) {
        let now = Instant::now();
        let mut overdue = Vec::new();
        for conn in self.connections.values_mut() {
            overdue.extend(std::iter::from_fn(|| conn.waiting.overdue(now)));
        }
        for request in overdue {
            self.deny(request, CONNECTION_FAILED);
        }
        let due = self.connections.values().filter_map(|conn| conn.waiting.due()).min();
        self.timer = due.map(|at| Box::pin(sleep_until(at)));
    }

    fn closed(&mut self, connection: ConnectionId) {
        if let Some(conn) = self.connections.remove(&connection) {
            self.reserved = self.reserved.saturating_sub(usize::from(conn.reserved));
            for request in conn.waiting.into_all() {
                self.deny(request, CONNECTION_FAILED);
            }
        }
    }
}

impl NetworkBehaviour for Server {
    type ConnectionHandler = Fence<Inner>;
    type ToSwarm = Restarted;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        let inner = self.inner.handle_established_inbound_connection(connection, peer, local, remote)?;
        self.metered.extend(self.meters.find(local, remote).map(|meter| (connection, meter)));
        Ok(Fence::new(inner, false))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        let inner =
            self.inner.handle_established_outbound_connection(connection, peer, remote, role, port)?;
        Ok(Fence::new(inner, false))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(up) => {
                let conn = Conn {
                    peer: up.peer_id,
                    endpoint: up.endpoint.clone(),
                    meter: self.metered.remove(&up.connection_id),
                    user: None,
                    reserved: false,
                    circuits: 0,
                    waiting: Waiting::default(),
                };
                self.connections.insert(up.connection_id, conn);
            }
            FromSwarm::ConnectionClosed(down) => self.closed(down.connection_id),
            FromSwarm::ListenFailure(failure) => {
                self.metered.remove(&failure.connection_id);
            }
            // Clients are told where the relay listens; nobody else is, so the swarm does not hear of it.
            FromSwarm::NewListenAddr(listen) => {
                let addr = listen.addr;
                self.addresses.insert(addr.clone());
                let event = FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed { addr });
                self.guarded(|inner| inner.on_swarm_event(event));
            }
            FromSwarm::ExpiredListenAddr(listen) => {
                let addr = listen.addr;
                self.addresses.remove(addr);
                let event = FromSwarm::ExternalAddrExpired(ExternalAddrExpired { addr });
                self.guarded(|inner| inner.on_swarm_event(event));
            }
            _ => {}
        }
        self.guarded(|inner| inner.on_swarm_event(event));
    }

    fn on_connection_handler_event(
        &mut self,
        peer_id: PeerId,
        connection: ConnectionId,
        report: THandlerOutEvent<Self>,
    ) {
        let report = match report {
            fence::Report::Failed => {
                warn!("A connection is closed because the relay failed on it");
                let connection = CloseConnection::One(connection);
                return self.actions.push_back(ToSwarm::CloseConnection { peer_id, connection });
            }
            fence::Report::Inner(Either::Left(report)) => report,
            fence::Report::Inner(Either::Right(never)) => match never {},
        };
        if let Some(report) = self.note(peer_id, connection, report) {
            let report = Either::Left(report);
            self.guarded(|inner| inner.on_connection_handler_event(peer_id, connection, report));
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Action> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action);
            }
            if let Some(Poll::Ready(())) = self.timer.as_mut().map(|timer| timer.as_mut().poll(cx)) {
                self.wind();
                continue;
            }
            match self.guarded(|inner| inner.poll(cx)) {
                None => {}
                Some(Poll::Ready(action)) => self.action(action),
                Some(Poll::Pending) => return Poll::Pending,
            }
        }
    }
}

#[cfg(test)]
impl Server {
    /// Makes libp2p's relay panic, by a report that it holds for impossible.
    pub(crate) fn sabotage(&mut self) {
        let report = Either::Left(Report::ReservationTimedOut {});
        let nowhere = ConnectionId::new_unchecked(usize::MAX);
        self.guarded(|inner| inner.on_connection_handler_event(PeerId::random(), nowhere, report));
    }
}
