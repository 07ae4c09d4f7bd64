//! What stands between this PC and the others: the facts, and what follows from them.
//!
//! Keeps true: [`advise`] is pure and says nothing that the facts do not show; a device that may be switched off is no
//! problem. Goes in: [`Facts`] from the event loop. Goes out: [`Advice`], by stable codes whose words stand in
//! `lang/advice.rs`. Imports neither `app` nor `api`.

mod advice;
mod failure;

pub use advice::{Advice, Code, Severity, advise};
pub use failure::Failure;

use crate::adapters::Adapter;
use crate::platform::Firewall;
use lanchat_node_core::view::{CoordinatorState, ReachView, RelayState};
use lanchat_proto::ids::{DeviceId, UserId};
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::reach::DialledPort;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Everything that the doctor looks at.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The adapters' addresses, best first.
    pub adapters: Vec<Adapter>,
    /// Addresses that others are told, best first.
    pub listening: Vec<Endpoint>,
    /// Whether it listens on loopback only.
    pub loopback_only: bool,
    /// Whether somebody could dial this node.
    pub dialled: Dialled,
    /// What keeps connections out here, as far as the system tells.
    pub firewall: Firewall,
    /// The own network.
    pub mdns: Mdns,
    /// The coordinator.
    pub coordinator: Coordinator,
    /// Correction of the wall clock in milliseconds.
    pub clock_offset: i64,
    /// Everybody else.
    pub people: BTreeMap<UserId, Person>,
    /// Their devices.
    pub ways: Vec<ReachView>,
}

/// A person, as far as the doctor is concerned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// Login.
    pub name: String,
    /// Whether a device is on.
    pub online: bool,
}

/// What came of asking to be dialled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Dialled {
    /// Somebody tried.
    Tried {
        /// Who; `None` for the coordinator.
        by: Option<DeviceId>,
        /// What happened at each port.
        ports: Vec<DialledPort>,
    },
    /// There is neither a coordinator nor a linked device to ask.
    NobodyToAsk,
    /// Whoever was asked did not answer.
    NoAnswer,
}

/// Whether mDNS is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MdnsWish {
    /// Yes.
    On,
    /// The program was started with `--no-mdns`.
    OffByOption,
    /// The setting `mdns` is false.
    OffBySetting,
}

/// Whether mDNS runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MdnsState {
    /// It was not started.
    Off,
    /// It is about to run.
    Starting,
    /// It runs.
    Running,
    /// It does not, and is tried again.
    Failed(MdnsTrouble, String),
}

/// What keeps mDNS from running; the line beside it says it in the system's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MdnsTrouble {
    /// No adapter is up.
    NoAdapter,
    /// No adapter takes part in multicast.
    NoMulticast,
    /// The port cannot be shared with whoever has it.
    Port,
    /// Too much is announced.
    Flooded,
    /// Something else.
    Other,
}

/// The own network as mDNS shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mdns {
    /// Whether it is wanted.
    pub wish: MdnsWish,
    /// Whether it runs.
    pub state: MdnsState,
    /// Adapters that it uses, with their addresses.
    pub interfaces: BTreeMap<String, Vec<IpAddr>>,
    /// Announcements sent.
    pub announcements: u64,
    /// Devices that are announced now, those of other organisations among them.
    pub devices: usize,
    /// Time since one was last heard of.
    pub heard: Option<Duration>,
}

/// The way to the coordinator.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Coordinator {
    /// Its state.
    pub state: CoordinatorState,
    /// Its address, as connected or configured.
    pub addr: Option<String>,
    /// Time since the state became so.
    pub since: Duration,
    /// Whether others can reach this device through it.
    pub relay: RelayState,
}

#[cfg(test)]
mod tests;
