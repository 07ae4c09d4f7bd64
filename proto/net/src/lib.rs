//! The libp2p plumbing that node and coordinator share: links of framed messages between devices.
//!
//! Keeps true: no libp2p type leaves this crate; one task owns the swarm and awaits nothing but its select; bytes go
//! from a link's own task straight to the reader of [`NetEvent`]s and never pass through the swarm's task; a stranger
//! is told nothing and is gone within the hello's deadline; every queue is bounded ([`limits`]).
//! Goes in: listen, dial, refuse, frames. Goes out: [`NetEvent`]s, for each link `Opened`, `Frame`s and `Stream`s, `Closed`,
//! in order.
//! Who belongs is not decided here: the owner reads the hello and calls [`Link::admit`] or [`Link::close`].
//! The rules of the wire are in `docs/protocol.md#link`.

mod address;
mod api;
pub mod clock;
pub mod debt;
mod dials;
pub mod discovery;
mod driver;
mod gate;
mod guard;
mod intake;
pub mod limits;
mod link;
mod links;
mod muxer;
mod net;
mod quiet;
mod quota;
mod relay;
mod socket;
mod stream;
mod tcp;
mod transport;
mod watch;

pub use address::{multiaddr, multiaddr_of, parse_multiaddr, parse_peer_id, peer_id_string};
pub use api::{
    Channel, CloseReason, DialFailure, DialId, DialTarget, LinkId, NetConfig, NetError, NetEvent, Opened,
    RelayRole, RelayStats, RelayUser,
};
pub use discovery::{
    Announced, Discovery, DiscoveryConfig, DiscoveryError, DiscoveryEvent, DiscoveryState, DiscoveryStatus,
    Found, Lost, Service,
};
pub use limits::{NetLimits, RelayLimits};
pub use link::{Close, Link, SendError};
pub use net::{Net, NetHandle};
pub use stream::{BlobReader, BlobStream, BlobWriter, StreamError};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; nothing here leaves a value half-changed, so a panic elsewhere does not poison it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
