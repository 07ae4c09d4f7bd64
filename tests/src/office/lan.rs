//! An open LAN: nodes without any coordinator.

use super::{Node, temporary};
use crate::lab::Host;
use tempfile::TempDir;

/// People who find each other by themselves.
#[derive(Debug)]
pub struct Lan {
    dir: TempDir,
}

impl Lan {
    /// Nobody yet.
    #[must_use]
    pub fn open() -> Self {
        Self { dir: temporary() }
    }

    /// A node on a host, with mDNS, that does not run yet.
    #[must_use]
    pub fn node_at(&self, name: &str, host: &Host) -> Node {
        Node::new(name, &self.dir.path().join(format!("node-{name}")), host).with_mdns()
    }
}

impl Default for Lan {
    fn default() -> Self {
        Self::open()
    }
}
