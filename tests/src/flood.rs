//! People who do not knock but lean on the bell: hundreds of TCP connections that say nothing, or nothing of use.
//!
//! Keeps true: a connection that is closed is opened anew, so that the pressure stays, but no more than
//! [`OPENED_A_ROUND`] in each [`ROUND`]: it is the other side's tables that are tried, not its processor.

use crate::fail::must;
use crate::lab::AtHost;
use socket2::{Domain, Socket, Type};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often all connections are looked at.
pub const ROUND: Duration = Duration::from_millis(50);
/// Connections opened in each round.
pub const OPENED_A_ROUND: usize = 20;
/// Time between two bytes of somebody slow.
const SLOW: Duration = Duration::from_secs(1);
/// How libp2p begins: the length of a line, and the line.
const GREETING: &[u8] = b"\x13/multistream/1.0.0\n";

/// What the connections do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bother {
    /// Nothing.
    Silent,
    /// The right greeting, one byte a second.
    Slow,
    /// Bytes without sense.
    Garbage,
    /// The right greeting, and then the promise of 256 MiB, and what is taken of them.
    Oversize,
}

/// A flood, until it is dropped.
#[derive(Debug)]
pub struct Flood {
    over: Arc<AtomicBool>,
    opened: Arc<AtomicU64>,
    crowd: Option<JoinHandle<()>>,
}

struct Caller {
    socket: Socket,
    said: usize,
    next: Instant,
}

impl Flood {
    /// Begins one from a host, from these of its addresses in turn, with so many connections at a time.
    ///
    /// # Panics
    /// When this process may not have so many open files.
    #[must_use]
    #[track_caller]
    pub fn begin(
        from: &impl AtHost,
        sources: &[Ipv4Addr],
        target: SocketAddr,
        bother: Bother,
        connections: usize,
    ) -> Self {
        must(rlimit::increase_nofile_limit(65_536), "the limit of open files");
        let (over, opened) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stop, count) = (over.clone(), opened.clone());
        let (host, sources) = (from.host().clone(), sources.to_vec());
        let crowd = std::thread::spawn(move || {
            host.enter();
            let mut slots: Vec<Option<Caller>> = (0..connections).map(|_| None).collect();
            let mut from = sources.iter().cycle();
            while !stop.load(Ordering::Relaxed) {
                let free = slots.iter_mut().filter(|slot| slot.is_none());
                for (slot, source) in free.take(OPENED_A_ROUND).zip(&mut from) {
                    *slot = Caller::new(*source, target).ok();
                    count.fetch_add(u64::from(slot.is_some()), Ordering::Relaxed);
                }
                for slot in &mut slots {
                    if slot.as_mut().is_some_and(|caller| caller.act(bother).is_err()) {
                        *slot = None;
                    }
                }
                std::thread::sleep(ROUND);
            }
        });
        Self { over, opened, crowd: Some(crowd) }
    }

    /// Connections opened so far.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.crowd.take().map(JoinHandle::join));
    }
}

impl Caller {
    fn new(source: Ipv4Addr, target: SocketAddr) -> std::io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.set_nonblocking(true)?;
        // It goes on by itself; whether it came to anything is seen when bytes are sent.
        drop(socket.connect(&target.into()));
        Ok(Self { socket, said: 0, next: Instant::now() })
    }

    /// One round; an error when the other side has had enough.
    fn act(&mut self, bother: Bother) -> std::io::Result<()> {
        match self.socket.read(&mut [0; 256]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if !later(&error) => return Err(error),
            Ok(_) | Err(_) => {}
        }
        match bother {
            Bother::Silent => Ok(()),
            Bother::Slow if Instant::now() < self.next => Ok(()),
            Bother::Slow => {
                self.next = Instant::now() + SLOW;
                let byte = GREETING.get(self.said % GREETING.len()..).and_then(|rest| rest.get(..1));
                self.say(byte.unwrap_or_default())
            }
            Bother::Garbage => self.say(&noise(self.said)),
            Bother::Oversize if self.said < GREETING.len() => self.say(GREETING),
            // As a length: 256 MiB. As anything else: no sense.
            Bother::Oversize => self.say(&[0x80, 0x80, 0x80, 0x80, 0x01].repeat(800)),
        }
    }

    fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self.socket.write(bytes) {
            Ok(length) => {
                self.said += length;
                Ok(())
            }
            Err(error) if later(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn later(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted)
}

fn noise(seed: usize) -> Vec<u8> {
    let mut state = (seed as u64).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()[7]
    };
    std::iter::repeat_with(byte).take(1024).collect()
}
