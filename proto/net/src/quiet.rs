//! Identify, made to tell strangers nothing of ours.
//!
//! Keeps true: identify never names a protocol under `/lanchat/`. libp2p tells every handler the names that all handlers of the
//! connection offer; a list that holds one of ours is not passed on. The first list, made before the connection runs, holds
//! the standard names only (see `links::handler`), so other programs still learn those.

use libp2p::core::transport::PortUse;
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::handler::{ConnectionEvent, ProtocolsChange};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
    SubstreamProtocol, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, identify, identity};
use std::task::{Context, Poll};

/// What our own protocols begin with.
const OURS: &str = "/lanchat/";
/// What identify calls the family of protocols, as other libp2p programs do.
const FAMILY: &str = "ipfs/0.1.0";

type Inner = <identify::Behaviour as NetworkBehaviour>::ConnectionHandler;

/// The behaviour.
pub(crate) struct Quiet(identify::Behaviour);

impl Quiet {
    /// Tells key and agent, and nothing else of this device.
    pub(crate) fn new(key: identity::PublicKey, agent: String) -> Self {
        let config = identify::Config::new(FAMILY.to_owned(), key)
            .with_agent_version(agent)
            .with_hide_listen_addrs(true)
            .with_push_listen_addr_updates(false)
            .with_cache_size(0);
        Self(identify::Behaviour::new(config))
    }
}

impl NetworkBehaviour for Quiet {
    type ConnectionHandler = QuietHandler;
    type ToSwarm = identify::Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<QuietHandler, ConnectionDenied> {
        self.0.handle_established_inbound_connection(connection, peer, local, remote).map(QuietHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<QuietHandler, ConnectionDenied> {
        self.0.handle_established_outbound_connection(connection, peer, remote, role, port).map(QuietHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        self.0.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        self.0.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<identify::Event, THandlerInEvent<Self>>> {
        self.0.poll(cx)
    }
}

/// Identify's handler behind the filter.
pub(crate) struct QuietHandler(Inner);

impl ConnectionHandler for QuietHandler {
    type FromBehaviour = <Inner as ConnectionHandler>::FromBehaviour;
    type ToBehaviour = <Inner as ConnectionHandler>::ToBehaviour;
    type InboundProtocol = <Inner as ConnectionHandler>::InboundProtocol;
    type OutboundProtocol = <Inner as ConnectionHandler>::OutboundProtocol;
    type InboundOpenInfo = <Inner as ConnectionHandler>::InboundOpenInfo;
    type OutboundOpenInfo = <Inner as ConnectionHandler>::OutboundOpenInfo;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol, Self::InboundOpenInfo> {
        self.0.listen_protocol()
    }

    fn connection_keep_alive(&self) -> bool {
        self.0.connection_keep_alive()
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, Self::OutboundOpenInfo, Self::ToBehaviour>> {
        self.0.poll(cx)
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Option<Self::ToBehaviour>> {
        self.0.poll_close(cx)
    }

    fn on_behaviour_event(&mut self, event: Self::FromBehaviour) {
        self.0.on_behaviour_event(event);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<
            Self::InboundProtocol,
            Self::OutboundProtocol,
            Self::InboundOpenInfo,
            Self::OutboundOpenInfo,
        >,
    ) {
        if let ConnectionEvent::LocalProtocolsChange(ProtocolsChange::Added(names)) = &event
            && names.clone().any(|name| name.as_ref().starts_with(OURS))
        {
            return;
        }
        self.0.on_connection_event(event);
    }
}
