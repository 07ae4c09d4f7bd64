//! Frames by which devices find a way to each other. The order of things is in `docs/protocol.md#reach`.
//!
//! Codes are numbers that a reader may not know; an unknown one reads as the most cautious of its kind.

use crate::codec::BoundedVec;
use crate::ids::DeviceId;
use crate::limits::MAX_TRIED_PORTS;
use crate::wire::coordinator::OnlineDevice;
use serde::{Deserialize, Serialize};

/// By which way a device wants to be introduced to another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
pub enum Way {
    /// A way that this version does not know.
    Unknown,
    /// The other is to dial: it may get through where the asker does not.
    DialBack,
    /// Through the coordinator.
    Circuit,
}

impl From<u32> for Way {
    fn from(number: u32) -> Self {
        match number {
            1 => Self::DialBack,
            2 => Self::Circuit,
            _ => Self::Unknown,
        }
    }
}

impl From<Way> for u32 {
    fn from(way: Way) -> Self {
        match way {
            Way::Unknown => 0,
            Way::DialBack => 1,
            Way::Circuit => 2,
        }
    }
}

/// Asks the coordinator for an introduction to a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Introduce {
    /// Request id.
    pub request: u64,
    /// To whom.
    pub device: DeviceId,
    /// By which way.
    pub way: Way,
}

/// What became of a wish for an introduction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
pub enum Introduced {
    /// Nothing came of it: the coordinator does not know the way, or has too much to do.
    No,
    /// Done: the other was told to dial, or a circuit may be asked for.
    Yes,
    /// The other is not on.
    NotOn,
    /// The coordinator carries no circuits.
    NoRelay,
}

impl From<u32> for Introduced {
    fn from(number: u32) -> Self {
        match number {
            1 => Self::Yes,
            2 => Self::NotOn,
            3 => Self::NoRelay,
            _ => Self::No,
        }
    }
}

impl From<Introduced> for u32 {
    fn from(introduced: Introduced) -> Self {
        match introduced {
            Introduced::No => 0,
            Introduced::Yes => 1,
            Introduced::NotOn => 2,
            Introduced::NoRelay => 3,
        }
    }
}

/// The answer to [`Introduce`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Introduction {
    /// Request id.
    pub request: u64,
    /// What became of it.
    pub outcome: Introduced,
    /// Milliseconds after which a circuit is to be dialled: a relay drops requests that come all at once.
    pub wait_ms: u32,
}

/// A device wants a link and cannot get through: dial it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Knock {
    /// The device, as presence has it.
    pub device: OnlineDevice,
}

/// The coordinator carries circuits for this device, within these budgets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RelayTerms {
    /// Bytes a second for all devices of one user together.
    pub per_user: u64,
    /// Bytes a second in total.
    pub total: u64,
}

/// Asks the other end to dial the address at which it sees the asker, at these ports, and to tell what happened.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DialMe {
    /// Request id.
    pub request: u64,
    /// The ports.
    pub ports: BoundedVec<u16, MAX_TRIED_PORTS>,
}

/// What happened at one port.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
pub enum Dialled {
    /// It was not tried.
    NotTried,
    /// The device answered there.
    Reached,
    /// Nobody answered there, or somebody else.
    Failed,
}

impl From<u32> for Dialled {
    fn from(number: u32) -> Self {
        match number {
            1 => Self::Reached,
            2 => Self::Failed,
            _ => Self::NotTried,
        }
    }
}

impl From<Dialled> for u32 {
    fn from(dialled: Dialled) -> Self {
        match dialled {
            Dialled::NotTried => 0,
            Dialled::Reached => 1,
            Dialled::Failed => 2,
        }
    }
}

/// A port and what happened there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DialledPort {
    /// The port.
    pub port: u16,
    /// What happened.
    pub outcome: Dialled,
}

/// The answer to [`DialMe`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DialledYou {
    /// Request id.
    pub request: u64,
    /// Each port that was asked for.
    pub ports: BoundedVec<DialledPort, MAX_TRIED_PORTS>,
}
