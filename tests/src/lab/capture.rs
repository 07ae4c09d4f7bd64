//! What crosses a host's adapters, byte by byte.

use super::host::AtHost;
use super::network::Lab;
use crate::fail::must;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes that a capture keeps; beyond them it only counts.
const KEPT: usize = 256 * 1024 * 1024;
/// `ETH_P_ALL`: every protocol.
const EVERYTHING: u16 = 3;
/// Largest frame, with segmentation left to the adapter.
const FRAME: usize = 128 * 1024;
/// How soon the reader sees that it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// A listener at a host's adapters, until it is dropped.
#[derive(Debug)]
pub struct Capture {
    caught: Arc<Mutex<Caught>>,
    over: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Caught {
    frames: Vec<Vec<u8>>,
    bytes: u64,
    kept: usize,
}

impl Lab {
    /// Listens to everything that a host sends and receives, loopback left out.
    ///
    /// # Panics
    /// When it may not.
    #[must_use]
    #[track_caller]
    pub fn capture(&self, who: &impl AtHost) -> Capture {
        // The kernel wants the protocol in the order of the wire.
        let protocol = Protocol::from(i32::from(EVERYTHING.to_be()));
        let socket = who.host().inside(|| Socket::new(Domain::PACKET, Type::RAW, Some(protocol)));
        let socket = must(socket, "a packet socket");
        must(socket.set_read_timeout(Some(LOOK)), "a packet socket");
        // Not more than the system allows is given; what does not fit is lost to the capture only.
        drop(socket.set_recv_buffer_size(64 * 1024 * 1024));
        let (caught, over) = (Arc::<Mutex<Caught>>::default(), Arc::<AtomicBool>::default());
        let (into, stop) = (caught.clone(), over.clone());
        let reader = std::thread::spawn(move || read(socket, &into, &stop));
        Capture { caught, over, reader: Some(reader) }
    }
}

fn read(mut socket: Socket, into: &Mutex<Caught>, over: &AtomicBool) {
    let mut buffer = vec![0; FRAME];
    while !over.load(Ordering::Relaxed) {
        let Ok(length) = socket.read(&mut buffer) else { continue };
        let frame = buffer.get(..length).unwrap_or_default();
        // Loopback has no addresses in its frames.
        if frame.iter().take(12).all(|byte| *byte == 0) {
            continue;
        }
        let mut caught = into.lock().unwrap_or_else(PoisonError::into_inner);
        caught.bytes += length as u64;
        if caught.kept + length <= KEPT {
            caught.kept += length;
            caught.frames.push(frame.to_vec());
        }
    }
}

impl Capture {
    fn caught(&self) -> MutexGuard<'_, Caught> {
        self.caught.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of all frames so far, headers included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.caught().bytes
    }

    /// The frames so far.
    #[must_use]
    pub fn frames(&self) -> Vec<Vec<u8>> {
        self.caught().frames.clone()
    }

    /// Whether a frame holds these bytes in one piece.
    #[must_use]
    pub fn holds(&self, marker: &str) -> bool {
        let caught = self.caught();
        caught.frames.iter().any(|frame| crate::search::holds(frame, marker.as_bytes()))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        drop(self.reader.take().map(JoinHandle::join));
    }
}
