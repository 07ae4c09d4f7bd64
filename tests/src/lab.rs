//! Hosts in network namespaces on one bridge: a small office network on one machine.
//!
//! Keeps true: names are unique to the process, everything is taken down with [`Lab`], also by a panic, and a machine
//! that cannot make namespaces is told so loudly, never skipped. Needs root and iproute2.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where a program runs.
#[derive(Clone, Debug)]
pub struct Host {
    namespace: Option<String>,
}

impl Host {
    /// This machine.
    #[must_use]
    pub fn here() -> Self {
        Self { namespace: None }
    }

    /// A command for a program on this host.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        match &self.namespace {
            None => Command::new(program),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace]).arg(program);
                command
            }
        }
    }
}

/// A network: a bridge in a namespace of its own, and hosts on it.
#[derive(Debug)]
pub struct Lab {
    id: String,
    hosts: Vec<String>,
}

/// Bytes that crossed an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Received.
    pub received: u64,
    /// Sent.
    pub sent: u64,
}

impl Traffic {
    /// Both directions.
    #[must_use]
    pub fn total(self) -> u64 {
        self.received + self.sent
    }
}

/// The interface of every host.
const INTERFACE: &str = "eth0";

#[track_caller]
#[expect(clippy::panic, reason = "a lab that cannot be built is told loudly")]
fn ip(args: &[&str]) -> String {
    match Command::new("ip").args(args).output() {
        Ok(out) if out.status.success() => String::from_utf8_lossy(&out.stdout).into_owned(),
        Ok(out) => panic!(
            "the lab needs root and network namespaces: ip {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&out.stderr)
        ),
        Err(error) => panic!("the lab needs iproute2 (apt-get install -y iproute2): {error}"),
    }
}

impl Lab {
    /// An empty network.
    ///
    /// # Panics
    /// When this machine cannot make network namespaces.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("lc{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let lab = Self { id, hosts: Vec::new() };
        let switch = lab.switch();
        ip(&["netns", "add", &switch]);
        ip(&["-n", &switch, "link", "add", "br0", "type", "bridge"]);
        ip(&["-n", &switch, "link", "set", "br0", "up"]);
        lab
    }

    fn switch(&self) -> String {
        format!("{}-sw", self.id)
    }

    /// A new host; its address is [`Lab::address`] of the same number, counted from 1.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn host(&mut self) -> (Host, String) {
        let number = self.hosts.len() + 1;
        let name = format!("{}-{number}", self.id);
        let (switch, port) = (self.switch(), format!("p{number}"));
        ip(&["netns", "add", &name]);
        self.hosts.push(name.clone());
        ip(&["-n", &switch, "link", "add", &port, "type", "veth", "peer", "name", INTERFACE, "netns", &name]);
        ip(&["-n", &switch, "link", "set", &port, "master", "br0", "up"]);
        let address = Self::address(number);
        ip(&["-n", &name, "addr", "add", &format!("{address}/24"), "dev", INTERFACE]);
        ip(&["-n", &name, "link", "set", INTERFACE, "up"]);
        ip(&["-n", &name, "link", "set", "lo", "up"]);
        ip(&["-n", &name, "route", "add", "default", "via", "10.77.0.254"]);
        (Host { namespace: Some(name) }, address)
    }

    /// The address of the host with this number.
    #[must_use]
    pub fn address(number: usize) -> String {
        format!("10.77.0.{number}")
    }

    /// Pulls a host's cable, or plugs it in again.
    ///
    /// # Panics
    /// When that does not work.
    pub fn cable(&self, host: &Host, plugged: bool) {
        let number =
            self.hosts.iter().position(|name| Some(name) == host.namespace.as_ref()).map_or(0, |at| at + 1);
        ip(&[
            "-n",
            &self.switch(),
            "link",
            "set",
            &format!("p{number}"),
            if plugged { "up" } else { "down" },
        ]);
    }

    /// What crossed a host's interface since it was made.
    ///
    /// # Panics
    /// When the counters cannot be read.
    #[must_use]
    #[expect(clippy::panic, reason = "a counter that cannot be read is told loudly")]
    pub fn traffic(&self, host: &Host) -> Traffic {
        let name = host.namespace.as_deref().unwrap_or_default();
        let shown = ip(&["-j", "-s", "-n", name, "link", "show", "dev", INTERFACE]);
        let Ok(shown) = serde_json::from_str::<serde_json::Value>(&shown) else {
            panic!("ip prints no JSON: {shown}")
        };
        let bytes =
            |way: &str| shown.pointer(&format!("/0/stats64/{way}/bytes")).and_then(serde_json::Value::as_u64);
        match (bytes("rx"), bytes("tx")) {
            (Some(received), Some(sent)) => Traffic { received, sent },
            _ => panic!("no counters in {shown}"),
        }
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Devices go with their namespaces. What cannot be removed is named, since it would stay for ever.
        for name in self.hosts.iter().chain([&self.switch()]) {
            let removed = Command::new("ip").args(["netns", "del", name]).output();
            if !removed.is_ok_and(|out| out.status.success()) {
                report(name);
            }
        }
    }
}

#[expect(clippy::print_stderr, reason = "the only place left to tell it")]
fn report(name: &str) {
    eprintln!("the namespace {name} could not be removed; remove it with: ip netns del {name}");
}
