//! A host of the lab: its namespace, and its adapters as they are now.

use super::network::Subnet;
use super::tools;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A host of the lab.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) namespace: String,
    adapters: Mutex<Vec<Adapter>>,
}

/// An adapter of a host, and the port of the switch that its cable leads to.
#[derive(Clone, Debug)]
pub(super) struct Adapter {
    pub(super) name: String,
    pub(super) port: String,
    /// `None`: the cable leads nowhere.
    pub(super) subnet: Option<Subnet>,
    pub(super) v4: Ipv4Addr,
    pub(super) v6: Ipv6Addr,
    pub(super) link_local: Ipv6Addr,
    /// Further IPv4 addresses.
    pub(super) more: Vec<Ipv4Addr>,
}

impl Place {
    pub(super) fn new(namespace: String) -> Self {
        Self { namespace, adapters: Mutex::new(Vec::new()) }
    }

    pub(super) fn adapters(&self) -> MutexGuard<'_, Vec<Adapter>> {
        self.adapters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn v4(&self) -> Ipv4Addr {
        self.adapters().first().map_or(Ipv4Addr::LOCALHOST, |adapter| adapter.v4)
    }

    pub(super) fn v6(&self) -> Ipv6Addr {
        self.adapters().first().map_or(Ipv6Addr::LOCALHOST, |adapter| adapter.v6)
    }

    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = tools::command("ip");
        command.args(["netns", "exec", &self.namespace]).arg(program);
        command
    }

    #[track_caller]
    pub(super) fn enter(&self) {
        tools::enter(&self.namespace);
    }
}
