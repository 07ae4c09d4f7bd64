//! Where programs run: this machine, or a host of the lab.

use super::place::Place;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// A host. Clones are the same host.
#[derive(Clone, Debug)]
pub struct Host {
    pub(super) place: Option<Arc<Place>>,
}

/// What stands on a host: the host itself, a node, a coordinator.
pub trait AtHost {
    /// The host.
    fn host(&self) -> &Host;
}

impl AtHost for Host {
    fn host(&self) -> &Host {
        self
    }
}

impl Host {
    /// This machine.
    #[must_use]
    pub fn here() -> Self {
        Self { place: None }
    }

    /// Whether it is this machine and not one of the lab's.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.place.is_none()
    }

    /// The IPv4 address of its first adapter, as it is now.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.place.as_ref().map_or(Ipv4Addr::LOCALHOST, |place| place.v4())
    }

    /// The routable IPv6 address of its first adapter.
    #[must_use]
    pub fn address6(&self) -> Ipv6Addr {
        self.place.as_ref().map_or(Ipv6Addr::LOCALHOST, |place| place.v6())
    }

    /// A command for a program on this host.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        self.place.as_ref().map_or_else(|| Command::new(program), |place| place.command(program))
    }

    /// Runs code on this host and returns its value. Sockets that it makes belong to the host for as long as they live.
    ///
    /// # Panics
    /// When the code does, or when the host is gone.
    pub fn inside<T: Send>(&self, code: impl FnOnce() -> T + Send) -> T {
        let run = || {
            self.enter();
            code()
        };
        let joined = std::thread::scope(|scope| scope.spawn(run).join());
        joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Moves the calling thread to this host for good.
    ///
    /// # Panics
    /// When the host is gone.
    #[track_caller]
    pub fn enter(&self) {
        if let Some(place) = &self.place {
            place.enter();
        }
    }
}
