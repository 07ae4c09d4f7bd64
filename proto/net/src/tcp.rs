//! TCP for the swarm: listeners bound beforehand, and dials from a fresh port.
//!
//! Keeps true: a listener is bound by [`Handover::bind`], so a taken port is an error at once and no two programs share one
//! (libp2p's own TCP transport sets `SO_REUSEPORT`, which lets them); a dial never leaves from a listening port, so two
//! devices that dial each other get two connections; a listener on all interfaces follows their changes.

use crate::address::{endpoint_of, to_multiaddr};
use crate::intake::{Intake, Probed};
use crate::limits::{ACCEPT_PAUSE, INTERFACES};
use crate::lock;
use crate::socket;
use futures::future::{BoxFuture, FutureExt, Ready, ready};
use lanchat_proto::wire::Endpoint;
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::core::{Multiaddr, Transport};
use libp2p::tcp::tokio::TcpStream;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Interval, MissedTickBehavior, Sleep, interval, sleep};
use tracing::debug;

/// Sockets that are bound and wait for the transport to take them over.
#[derive(Clone, Default)]
pub(crate) struct Handover(Arc<Mutex<BTreeMap<SocketAddr, TcpListener>>>);

impl Handover {
    /// Binds and listens; answers the address with its real port, by which the transport then takes the socket.
    pub(crate) fn bind(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        let listener = TcpListener::from_std(socket::listen(address)?)?;
        let bound = listener.local_addr()?;
        lock(&self.0).insert(bound, listener);
        Ok(bound)
    }

    fn take(&self, address: SocketAddr) -> Option<TcpListener> {
        lock(&self.0).remove(&address)
    }
}

/// A connection as the swarm gets it.
pub(crate) type Connection = Probed<TcpStream>;
type Upgrade = Ready<io::Result<Connection>>;
type Event = TransportEvent<Upgrade, io::Error>;

/// The transport.
pub(crate) struct Tcp {
    handover: Handover,
    intake: Intake,
    listeners: VecDeque<Listener>,
    events: VecDeque<Event>,
}

struct Listener {
    id: ListenerId,
    socket: TcpListener,
    address: SocketAddr,
    /// Addresses told as listening.
    told: BTreeSet<IpAddr>,
    /// When to look at the interfaces again; `None` on one address.
    interfaces: Option<Interval>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Tcp {
    /// A transport that takes its listeners from there, and puts what it accepts on probation here.
    pub(crate) fn new(handover: Handover, intake: Intake) -> Self {
        Self { handover, intake, listeners: VecDeque::new(), events: VecDeque::new() }
    }
}

impl Listener {
    fn new(id: ListenerId, socket: TcpListener, address: SocketAddr) -> Self {
        let interfaces = address.ip().is_unspecified().then(|| {
            let mut ticks = interval(INTERFACES);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Self { id, socket, address, told: BTreeSet::new(), interfaces, pause: None }
    }

    /// Compares what is told with what is there.
    fn follow(&mut self, now: BTreeSet<IpAddr>, events: &mut VecDeque<Event>) {
        let listener_id = self.id;
        let at = |ip: &IpAddr| to_multiaddr(SocketAddr::new(*ip, self.address.port()));
        for ip in self.told.difference(&now) {
            events.push_back(TransportEvent::AddressExpired { listener_id, listen_addr: at(ip) });
        }
        for ip in now.difference(&self.told) {
            events.push_back(TransportEvent::NewAddress { listener_id, listen_addr: at(ip) });
        }
        self.told = now;
    }

    fn poll_interfaces(&mut self, cx: &mut Context<'_>, events: &mut VecDeque<Event>) {
        let Some(ticks) = &mut self.interfaces else { return };
        let mut due = false;
        while ticks.poll_tick(cx).is_ready() {
            due = true;
        }
        if due {
            match interfaces(self.address) {
                Ok(now) => self.follow(now, events),
                Err(error) => debug!(%error, "Interfaces cannot be listed"),
            }
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>, intake: &Intake) -> Poll<Event> {
        if let Some(pause) = &mut self.pause {
            futures::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        loop {
            let error = match futures::ready!(self.socket.poll_accept(cx)) {
                Ok((stream, remote)) => match stream.local_addr() {
                    Ok(local) => {
                        socket::tune(&stream);
                        let (local_addr, send_back_addr) = (to_multiaddr(local), to_multiaddr(remote));
                        let ends = (local_addr.clone(), send_back_addr.clone());
                        return Poll::Ready(TransportEvent::Incoming {
                            listener_id: self.id,
                            upgrade: ready(Ok(intake.enter(ends, TcpStream(stream)))),
                            local_addr,
                            send_back_addr,
                        });
                    }
                    // It was closed again before it was looked at.
                    Err(_) => continue,
                },
                Err(error) => error,
            };
            if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                let mut pause = Box::pin(sleep(ACCEPT_PAUSE));
                // Registers the waker.
                if pause.as_mut().poll(cx).is_ready() {
                    cx.waker().wake_by_ref();
                }
                self.pause = Some(pause);
                return Poll::Ready(TransportEvent::ListenerError { listener_id: self.id, error });
            }
        }
    }
}

/// Addresses of the interfaces that a listener on all of them can be reached at.
fn interfaces(listener: SocketAddr) -> io::Result<BTreeSet<IpAddr>> {
    let all = if_addrs::get_if_addrs()?;
    let usable = |ip: &IpAddr| {
        ip.is_ipv4() == listener.is_ipv4() && Endpoint::new(SocketAddr::new(*ip, listener.port())).is_usable()
    };
    Ok(all.iter().map(if_addrs::Interface::ip).filter(usable).collect())
}

impl Transport for Tcp {
    type Output = Connection;
    type Error = io::Error;
    type ListenerUpgrade = Upgrade;
    type Dial = BoxFuture<'static, io::Result<Connection>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        let bound = endpoint_of(&address).map(|endpoint| endpoint.socket());
        let Some((at, socket)) = bound.and_then(|at| Some((at, self.handover.take(at)?))) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let mut listener = Listener::new(id, socket, at);
        if listener.interfaces.is_none() {
            listener.follow(BTreeSet::from([at.ip()]), &mut self.events);
        }
        self.listeners.push_back(listener);
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let before = self.listeners.len();
        self.listeners.retain(|listener| listener.id != id);
        let removed = self.listeners.len() < before;
        if removed {
            self.events.push_back(TransportEvent::ListenerClosed { listener_id: id, reason: Ok(()) });
        }
        removed
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let Some(endpoint) = endpoint_of(&address).filter(Endpoint::is_usable) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        let connect = async move {
            let to = endpoint.socket();
            let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            let stream = socket.connect(to).await?;
            socket::tune(&stream);
            Ok(Probed::free(TcpStream(stream)))
        };
        Ok(connect.boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event> {
        let this = &mut *self;
        for listener in &mut this.listeners {
            listener.poll_interfaces(cx, &mut this.events);
        }
        if let Some(event) = this.events.pop_front() {
            return Poll::Ready(event);
        }
        for _ in 0..this.listeners.len() {
            // In turns, so that a flood at one listener does not keep the others waiting.
            this.listeners.rotate_left(1);
            if let Some(listener) = this.listeners.front_mut()
                && let Poll::Ready(event) = listener.poll_accept(cx, &this.intake)
            {
                return Poll::Ready(event);
            }
        }
        Poll::Pending
    }
}
