//! The one task that owns the swarm.
//!
//! Keeps true: it awaits nothing but its select, so no reader of events and no command can hold a connection up; what it has to
//! tell waits in a bounded outbox. Goes in: commands, dials, refusals. Goes out: results of dials and listeners (links tell
//! their own events).

use crate::api::{CloseReason, DialId, DialTarget, NetConfig, NetError, NetEvent, RelayRole, RelayStats};
use crate::gate::{Expired, Gate, Refused};
use crate::intake::Intake;
use crate::limits::{CONNECTION_BUFFER, IDLE_TIME, MAX_NEGOTIATING, NetLimits, OUTBOX, SHUTDOWN_TIME};
use crate::link::pace::Rates;
use crate::links::{Accept, Links, LinksEvent};
use crate::net::Wish;
use crate::quiet::Quiet;
use crate::quota::Quota;
use crate::relay::client::Client;
use crate::relay::keeper::Told;
use crate::relay::meter::Meters;
use crate::relay::server::{Restarted, Server};
use crate::tcp::Handover;
use crate::transport::Extra;
use crate::{address, socket, transport};
use futures::StreamExt;
use lanchat_proto::ids::DeviceId;
use lanchat_proto::wire::Endpoint;
use libp2p::core::transport::ListenerId;
use libp2p::identity::Keypair;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::swarm::{Config, NetworkBehaviour, SwarmEvent};
use libp2p::{Swarm, noise, ping, relay};
use std::collections::VecDeque;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

/// Time between two pings; ours is a heartbeat on the control stream, these are for other programs.
const PING: Duration = Duration::from_secs(60);

/// What a handle asks of the task.
pub(crate) enum Command {
    /// Listen there.
    Listen(Endpoint, oneshot::Sender<Result<Endpoint, NetError>>),
    /// Break the relay.
    #[cfg(test)]
    BreakRelay,
    /// Tell what the relay does.
    RelayStats(oneshot::Sender<RelayStats>),
    /// Close everything and end.
    Shutdown(oneshot::Sender<()>),
}

/// The behaviours, in the order in which they are asked: whoever may deny comes before whoever keeps something.
#[derive(NetworkBehaviour)]
#[behaviour(prelude = "libp2p::swarm::derive_prelude")]
pub(crate) struct Behaviour {
    quota: Quota,
    gate: Gate,
    links: Links,
    relay_client: Toggle<Client>,
    relay_server: Toggle<Server>,
    quiet: Quiet,
    ping: ping::Behaviour,
}

/// The task.
pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    handover: Handover,
    refused: Arc<Refused>,
    events: mpsc::Sender<NetEvent>,
    outbox: VecDeque<NetEvent>,
    listener_ids: Vec<ListenerId>,
}

impl Driver {
    /// Builds the swarm. Must be called on a tokio runtime.
    pub(crate) fn new(
        key: &Keypair,
        device: DeviceId,
        config: NetConfig,
        refused: Arc<Refused>,
        events: mpsc::Sender<NetEvent>,
    ) -> Result<Self, noise::Error> {
        let (handover, intake) = (Handover::default(), Intake::default());
        let limits = config.limits;
        let limits = NetLimits { connections: socket::permitted(limits.connections), ..limits };
        let rates = Rates { frames: limits.frames_per_second, bytes: limits.bytes_per_second };
        let local = key.public().to_peer_id();
        let mut extra = Extra::default();
        let (mut client, mut server) = (None, None);
        match config.relay {
            RelayRole::None => {}
            RelayRole::Client => {
                let (circuits, behaviour) = relay::client::new(local);
                extra.circuits = Some(circuits);
                client = Some(Client::new(behaviour));
            }
            RelayRole::Server(limits) => {
                let meters = Arc::<Meters>::default();
                extra.meters = Some(meters.clone());
                server = Some(Server::new(local, limits, meters));
            }
        }
        let behaviour = Behaviour {
            gate: Gate::new(&device, refused.clone(), limits.hello_deadline, intake.clone()),
            links: Links::new(
                device,
                events.clone(),
                Accept { channels: config.accept, streams: config.accept_streams },
                limits.queue_bytes,
                rates,
                intake.clone(),
            ),
            quota: Quota::new(limits, intake.clone()),
            relay_client: client.into(),
            relay_server: server.into(),
            quiet: Quiet::new(key.public(), config.agent),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING)),
        };
        let swarm_config = Config::with_tokio_executor()
            .with_idle_connection_timeout(IDLE_TIME)
            .with_max_negotiating_inbound_streams(MAX_NEGOTIATING)
            .with_per_connection_event_buffer_size(CONNECTION_BUFFER)
            .with_notify_handler_buffer_size(
                NonZeroUsize::new(CONNECTION_BUFFER).unwrap_or(NonZeroUsize::MIN),
            );
        let stack = transport::build(key, handover.clone(), intake, extra)?;
        let swarm = Swarm::new(stack, behaviour, local, swarm_config);
        Ok(Self { swarm, handover, refused, events, outbox: VecDeque::new(), listener_ids: Vec::new() })
    }

    /// Runs until it is told to stop, or nobody is left to talk to.
    pub(crate) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut dials: mpsc::Receiver<(DialId, DialTarget)>,
        mut wish: watch::Receiver<Wish>,
    ) {
        let refused = self.refused.clone();
        let events = self.events.clone();
        let done = loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Listen(endpoint, reply)) => drop(reply.send(self.listen(endpoint))),
                    #[cfg(test)]
                    Some(Command::BreakRelay) => {
                        if let Some(server) = self.swarm.behaviour_mut().relay_server.as_mut() {
                            server.sabotage();
                        }
                    }
                    Some(Command::RelayStats(reply)) => drop(reply.send(self.relay_stats())),
                    Some(Command::Shutdown(done)) => break Some(done),
                    None => break None,
                },
                Some((dial, target)) = dials.recv(), if self.outbox.len() < OUTBOX => {
                    self.swarm.behaviour_mut().links.dial(dial, target);
                }
                permit = events.reserve(), if !self.outbox.is_empty() => match permit {
                    Ok(permit) => if let Some(event) = self.outbox.pop_front() { permit.send(event) },
                    Err(_) => break None,
                },
                Ok(()) = wish.changed() => {
                    let wish = *wish.borrow_and_update();
                    self.wish(wish);
                }
                () = refused.changed.notified() => self.close_refused(),
                event = self.swarm.select_next_some() => self.on_event(event),
            }
        };
        self.stop().await;
        if let Some(done) = done {
            // An error only means that whoever asked has stopped waiting.
            done.send(()).ok();
        }
    }

    fn listen(&mut self, endpoint: Endpoint) -> Result<Endpoint, NetError> {
        let failed = |error: String| NetError::Listen(endpoint, error);
        let bound = self.handover.bind(endpoint.socket()).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => NetError::PortTaken(endpoint),
            _ => failed(error.to_string()),
        })?;
        let id =
            self.swarm.listen_on(address::to_multiaddr(bound)).map_err(|error| failed(error.to_string()))?;
        self.listener_ids.push(id);
        Ok(endpoint.with_port(bound.port()))
    }

    fn relay_stats(&self) -> RelayStats {
        self.swarm.behaviour().relay_server.as_ref().map(Server::stats).unwrap_or_default()
    }

    fn wish(&mut self, wish: Wish) {
        if let Some(client) = self.swarm.behaviour_mut().relay_client.as_mut() {
            client.wish(wish);
        }
    }

    fn close_refused(&mut self) {
        let behaviour = self.swarm.behaviour_mut();
        for connection in behaviour.gate.refused() {
            behaviour.links.close(connection, CloseReason::Refused);
        }
    }

    fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        let behaviour = self.swarm.behaviour_mut();
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Links(LinksEvent::Opened(connection))) => {
                behaviour.gate.opened(connection);
                behaviour.quota.opened(connection);
            }
            SwarmEvent::Behaviour(BehaviourEvent::Links(LinksEvent::Admitted(connection, user))) => {
                behaviour.gate.admitted(connection);
                behaviour.quota.admitted(connection);
                if let (Some(server), Some(user)) = (behaviour.relay_server.as_mut(), user) {
                    server.admitted(connection, user);
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Links(LinksEvent::DialFailed(failure))) => {
                self.outbox.push_back(NetEvent::DialFailed(failure));
            }
            SwarmEvent::Behaviour(BehaviourEvent::Gate(Expired(connection))) => {
                behaviour.links.close(connection, CloseReason::HelloDeadline);
            }
            SwarmEvent::Behaviour(BehaviourEvent::RelayClient(told)) => {
                self.outbox.push_back(match told {
                    Told::Reserved(relay) => NetEvent::Reserved { relay },
                    Told::Lost(relay, reason) => NetEvent::ReservationLost { relay, reason },
                });
            }
            SwarmEvent::Behaviour(BehaviourEvent::RelayServer(Restarted)) => {
                self.outbox.push_back(NetEvent::RelayRestarted);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.outbox.extend(address::endpoint_of(&address).map(NetEvent::Listening));
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.outbox.extend(address::endpoint_of(&address).map(NetEvent::NotListening));
            }
            SwarmEvent::IncomingConnectionError { error, .. } => {
                debug!(%error, "Incoming connection failed");
            }
            SwarmEvent::ListenerError { error, .. } => debug!(%error, "Accept failed"),
            _ => {}
        }
    }

    /// Frees the ports, lets links flush and close, and drops what has not closed in time.
    async fn stop(mut self) {
        let deadline = Instant::now() + SHUTDOWN_TIME;
        self.wish(None);
        for id in std::mem::take(&mut self.listener_ids) {
            self.swarm.remove_listener(id);
        }
        self.swarm.behaviour_mut().links.close_all();
        while self.swarm.network_info().num_peers() > 0 {
            match timeout_at(deadline, self.swarm.select_next_some()).await {
                Ok(event) => self.on_event(event),
                Err(_) => break,
            }
        }
    }
}
