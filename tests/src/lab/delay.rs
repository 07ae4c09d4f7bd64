//! Delay: the TCP connections that a host dials pass through a proxy on it that hands every byte on later.
//!
//! Keeps true: both sides see each other's real addresses; a connection ends when either side ends it, after what was
//! on its way has arrived. A dial seems to succeed at once and fails afterwards, when the other side does not answer.

use super::host::{AtHost, Host};
use super::network::Lab;
use super::tools::nft_in;
use crate::fail::must;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The mark by which the rules tell the proxy's own connections.
const MARK: u32 = 0x7a7;
/// Bytes of a piece, and pieces on their way in each direction. A sender waits when there are more.
const PIECE: usize = 16 * 1024;
const PIECES: usize = 1024;
/// Time in which the other side has to answer.
const DIAL: Duration = Duration::from_secs(10);

/// The proxies of a lab.
#[derive(Debug, Default)]
pub(super) struct Delays(Vec<Proxy>);

#[derive(Debug)]
struct Proxy {
    host: Host,
    over: Arc<AtomicBool>,
    doors: Vec<(SocketAddr, JoinHandle<()>)>,
}

impl Lab {
    /// From now on, what a host dials over TCP takes this long each way. Connections that are there stay fast; for all
    /// connections among some hosts, give it to each of them before its programs start.
    ///
    /// # Panics
    /// When it cannot be set up, or was already.
    #[track_caller]
    pub fn delay(&self, who: &impl AtHost, each_way: Duration) {
        let (place, host) = (self.place(who), who.host().clone());
        let over = Arc::<AtomicBool>::default();
        let open = |address: SocketAddr| {
            let listener = must(host.inside(|| TcpListener::bind(address)), "a proxy");
            let address = must(listener.local_addr(), "a proxy");
            let (host, over) = (host.clone(), over.clone());
            let door = std::thread::spawn(move || {
                host.enter();
                serve(&listener, each_way, &over);
            });
            (address, door)
        };
        let four = open((Ipv4Addr::UNSPECIFIED, 0).into());
        let six = open((Ipv6Addr::UNSPECIFIED, 0).into());
        let rule = |ip: &str, port: u16| {
            let dialled = format!("meta nfproto {ip} meta l4proto tcp meta mark != {MARK}");
            format!("{dialled} fib daddr type unicast redirect to :{port}\n")
        };
        nft_in(
            &place.namespace,
            &format!(
                "table inet lab_delay {{\nchain out {{\ntype nat hook output priority -100;\n\
                 oifname \"lo\" accept\nip6 daddr fe80::/10 accept\n{}{}}}\n}}\n",
                rule("ipv4", four.0.port()),
                rule("ipv6", six.0.port())
            ),
        );
        let mut delays = self.delays.lock().unwrap_or_else(PoisonError::into_inner);
        delays.0.push(Proxy { host, over, doors: vec![four, six] });
    }
}

impl Delays {
    /// Takes no more connections. Those that are there end with the programs that use them.
    pub(super) fn end(&mut self) {
        for proxy in self.0.drain(..) {
            proxy.over.store(true, Ordering::Relaxed);
            for (address, door) in proxy.doors {
                let address = SocketAddr::new(
                    if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() },
                    address.port(),
                );
                // One more connection, so that it looks.
                drop(proxy.host.inside(|| TcpStream::connect(address)));
                drop(door.join());
            }
        }
    }
}

fn serve(listener: &TcpListener, each_way: Duration, over: &AtomicBool) {
    for dialled in listener.incoming() {
        if over.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(dialled) = dialled {
            // On the same host as this thread: a new thread inherits it.
            std::thread::spawn(move || join(&dialled, each_way));
        }
    }
}

/// Connects to where the dialler wanted to go and hands bytes on, both ways.
fn join(dialled: &TcpStream, each_way: Duration) -> Option<()> {
    std::thread::sleep(each_way * 2);
    let local = dialled.local_addr().ok()?;
    let socket = SockRef::from(dialled);
    let wanted = if local.is_ipv4() { socket.original_dst_v4() } else { socket.original_dst_v6() };
    let wanted = wanted.ok()?;
    let far = Socket::new(Domain::for_address(wanted.as_socket()?), Type::STREAM, None).ok()?;
    far.set_mark(MARK).ok()?;
    far.connect_timeout(&wanted, DIAL).ok()?;
    let far = TcpStream::from(far);
    std::thread::scope(|scope| {
        scope.spawn(|| carry(dialled, &far, each_way));
        scope.spawn(|| carry(&far, dialled, each_way));
    });
    Some(())
}

fn carry(from: &TcpStream, to: &TcpStream, each_way: Duration) {
    let (tell, pieces) = sync_channel(PIECES);
    std::thread::scope(|scope| {
        scope.spawn(move || hand_on(pieces, from, to));
        take(from, &tell, each_way);
        drop(tell);
    });
}

fn take(mut from: &TcpStream, tell: &SyncSender<(Instant, Vec<u8>)>, each_way: Duration) {
    drop(from.set_nodelay(true));
    let mut buffer = vec![0; PIECE];
    loop {
        let length = from.read(&mut buffer).unwrap_or(0);
        let piece = buffer.get(..length).unwrap_or_default().to_vec();
        // An empty piece is the end, and arrives as late as any.
        if tell.send((Instant::now() + each_way, piece)).is_err() || length == 0 {
            return;
        }
    }
}

fn hand_on(pieces: Receiver<(Instant, Vec<u8>)>, from: &TcpStream, mut to: &TcpStream) {
    for (due, piece) in pieces {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if piece.is_empty() {
            break;
        }
        if to.write_all(&piece).is_err() {
            drop(from.shutdown(Shutdown::Both));
            break;
        }
    }
    drop(to.shutdown(Shutdown::Write));
}
