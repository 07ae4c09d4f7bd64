//! The behaviour of a relay's client: libp2p's, kept to the relay that is wished for.
//!
//! Keeps true: the reservation that is wished for is made again whatever ended it ([`super::keeper`]); circuits to this device
//! are offered to that relay only; libp2p dials nobody and tells nobody an address of its own accord.
//! Goes in: a wish, connections. Goes out: [`Told`].

use super::fence::{self, Fence};
use super::keeper::{Keeper, Told};
use crate::address::{circuit_via, peer_of};
use crate::net::Wish;
use libp2p::core::transport::{ListenerId, PortUse};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::behaviour::DialFailure;
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionHandler, ConnectionId, DialError, FromSwarm, ListenOpts,
    NetworkBehaviour, NotifyHandler, THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, relay};
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::hash::BuildHasher;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep, sleep_until};
use tracing::{debug, error, warn};

type Inner = <relay::client::Behaviour as NetworkBehaviour>::ConnectionHandler;
type InnerOrder = <Inner as ConnectionHandler>::FromBehaviour;
type Action = ToSwarm<Told, fence::Order<InnerOrder>>;

/// The behaviour. Its queue holds at most a few actions for each connection.
pub(crate) struct Client {
    inner: relay::client::Behaviour,
    keeper: Keeper,
    /// Direct connections.
    direct: BTreeMap<ConnectionId, PeerId>,
    actions: VecDeque<Action>,
    /// Rings when a reservation is to be asked for.
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// A number between 0 and 1 that differs between devices and times. Nothing secret hangs on it.
fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0_u8);
    f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}

impl Client {
    /// No relay is wished for.
    pub(crate) fn new(inner: relay::client::Behaviour) -> Self {
        let (direct, actions) = (BTreeMap::new(), VecDeque::new());
        Self { inner, keeper: Keeper::new(), direct, actions, timer: None }
    }

    /// Wishes for a reservation, or for none any more.
    pub(crate) fn wish(&mut self, wish: Wish) {
        let gone = self.keeper.set(wish, Instant::now());
        self.remove(gone);
        let Some(relay) = self.relay() else { return };
        for (connection, peer) in &self.direct {
            if *peer == relay {
                let (peer_id, handler) = (*peer, NotifyHandler::One(*connection));
                let event = fence::Order::Open;
                self.actions.push_back(ToSwarm::NotifyHandler { peer_id, handler, event });
            }
        }
    }

    fn relay(&self) -> Option<PeerId> {
        self.keeper.wish().and_then(|(relay, _)| peer_of(&relay))
    }

    fn remove(&mut self, listener: Option<ListenerId>) {
        self.actions.extend(listener.map(|id| ToSwarm::RemoveListener { id }));
    }

    fn tell(&mut self, told: Option<Told>) {
        self.actions.extend(told.map(ToSwarm::GenerateEvent));
    }

    fn ended(&mut self, listener: ListenerId, reason: impl FnOnce() -> String) {
        let told = self.keeper.ended(listener, reason, Instant::now(), chance());
        self.tell(told);
    }

    fn fence(&self, peer: PeerId, inner: Inner) -> Fence<Inner> {
        Fence::new(inner, self.relay() == Some(peer))
    }

    /// Calls libp2p's client. It shares a channel with its transport and cannot be replaced; where it panics, nothing is
    /// half changed, so it goes on.
    fn guarded<T>(&mut self, run: impl FnOnce(&mut relay::client::Behaviour) -> T) -> Option<T> {
        let result = catch_unwind(AssertUnwindSafe(|| run(&mut self.inner))).ok();
        if result.is_none() {
            error!("The relay's client failed and goes on");
        }
        result
    }

    /// Passes an action of libp2p's client on, except those that are not its to take.
    fn action(&mut self, action: ToSwarm<relay::client::Event, InnerOrder>) {
        match action {
            ToSwarm::GenerateEvent(event) => debug!(?event, "Relay client"),
            // The relay is not connected (any more): whoever owns this decides when to dial it.
            ToSwarm::Dial { opts } => {
                let failure = DialFailure {
                    peer_id: opts.get_peer_id(),
                    error: &DialError::Aborted,
                    connection_id: opts.connection_id(),
                };
                self.guarded(|inner| inner.on_swarm_event(FromSwarm::DialFailure(failure)));
            }
            // Identify would tell it to anybody.
            ToSwarm::ExternalAddrConfirmed(_) | ToSwarm::ExternalAddrExpired(_) => {}
            ToSwarm::NotifyHandler { peer_id, handler, event } => {
                let event = fence::Order::Inner(event);
                self.actions.push_back(ToSwarm::NotifyHandler { peer_id, handler, event });
            }
            other => debug!(?other, "The relay's client wants what it may not"),
        }
    }

    /// Asks for a reservation if it is time to; otherwise the task is woken when it is.
    fn ask(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((at, relay, endpoint)) = self.keeper.due() else { return Poll::Pending };
        let Some(peer) = peer_of(&relay).filter(|peer| self.direct.values().any(|direct| direct == peer))
        else {
            return Poll::Pending;
        };
        if self.timer.as_ref().is_none_or(|(set, _)| *set != at) {
            self.timer = Some((at, Box::pin(sleep_until(at))));
        }
        if let Some((_, timer)) = &mut self.timer {
            futures::ready!(timer.as_mut().poll(cx));
        }
        self.timer = None;
        let opts = ListenOpts::new(circuit_via(peer, &endpoint));
        self.keeper.asked(opts.listener_id());
        self.actions.push_back(ToSwarm::ListenOn { opts });
        Poll::Ready(())
    }
}

impl NetworkBehaviour for Client {
    type ConnectionHandler = Fence<Inner>;
    type ToSwarm = Told;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Self::ConnectionHandler, ConnectionDenied> {
        let inner = self.inner.handle_established_inbound_connection(connection, peer, local, remote)?;
        Ok(self.fence(peer, inner))
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
        Ok(self.fence(peer, inner))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.guarded(|inner| inner.on_swarm_event(event));
        match event {
            FromSwarm::ConnectionEstablished(up) if !up.endpoint.is_relayed() => {
                let first = !self.direct.values().any(|peer| *peer == up.peer_id);
                self.direct.insert(up.connection_id, up.peer_id);
                if first && self.relay() == Some(up.peer_id) {
                    self.keeper.connected(Instant::now(), chance());
                }
            }
            FromSwarm::ConnectionClosed(down) => {
                self.direct.remove(&down.connection_id);
            }
            FromSwarm::NewListenAddr(listen) => {
                let (told, gone) = self.keeper.granted(listen.listener_id);
                self.tell(told);
                self.remove(gone);
            }
            FromSwarm::ListenerError(error) => {
                self.ended(error.listener_id, || crate::links::chain(error.err));
            }
            FromSwarm::ListenerClosed(closed) => self.ended(closed.listener_id, || match closed.reason {
                Ok(()) => "the relay ended it, or the connection to it".to_owned(),
                Err(error) => crate::links::chain(error),
            }),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer_id: PeerId,
        connection: ConnectionId,
        report: THandlerOutEvent<Self>,
    ) {
        match report {
            fence::Report::Failed => {
                warn!("A connection is closed because the relay's client failed on it");
                let connection = CloseConnection::One(connection);
                self.actions.push_back(ToSwarm::CloseConnection { peer_id, connection });
            }
            fence::Report::Inner(report) => {
                self.guarded(|inner| inner.on_connection_handler_event(peer_id, connection, report));
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Action> {
        loop {
            if let Some(action) = self.actions.pop_front() {
                return Poll::Ready(action);
            }
            match self.guarded(|inner| inner.poll(cx)) {
                Some(Poll::Ready(action)) => {
                    self.action(action);
                    continue;
                }
                Some(Poll::Pending) | None => {}
            }
            futures::ready!(self.ask(cx));
        }
    }
}
