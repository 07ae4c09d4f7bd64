//! What a node shows of its state: plain copies, for the API.

use crate::boot::{StoredTransfer, TransferState};
use lanchat_proto::ids::{DeviceId, RealmId, UserId};
use lanchat_proto::time::Wall;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::{Presence, Refusal};
use std::time::Duration;

/// How a device is reached.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Route {
    /// Not at all.
    #[default]
    None,
    /// Through the coordinator.
    Relay,
    /// Directly.
    Direct,
}

/// Where the knowledge of an address comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Source {
    /// The last good link.
    LastLink,
    /// Announced on the own network (mDNS).
    Announced,
    /// The coordinator: what it observed, and what the device told it.
    Coordinator,
    /// Nobody any more; it was tried before.
    Forgotten,
}

/// Whether others can reach this device through the coordinator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum RelayState {
    /// The coordinator carries nothing, or is not connected.
    #[default]
    None,
    /// A place is being asked for.
    Reserving,
    /// Yes.
    Reserved,
}

/// An address of a device and what became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressView {
    /// The address.
    pub endpoint: Endpoint,
    /// Where it is known from.
    pub source: Source,
    /// Time since it was tried last; `None`: never, in this run.
    pub tried_ago: Option<Duration>,
    /// What went wrong then, for people; `None`: it answered, or was never tried.
    pub failure: Option<String>,
}

/// How a device is reached, and why not better.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReachView {
    /// The device.
    pub device: DeviceId,
    /// Its user; zeros for one that is only announced.
    pub user: UserId,
    /// How it is reached.
    pub route: Route,
    /// Where.
    pub addr: Option<Endpoint>,
    /// Whether this node wants a link to it now.
    pub wanted: bool,
    /// Its addresses, best first.
    pub addresses: Vec<AddressView>,
    /// What went wrong with the last circuit, for people.
    pub circuit_failure: Option<String>,
    /// Time until the next try.
    pub next_try: Option<Duration>,
}

/// The way to the coordinator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CoordinatorState {
    /// The realm has none.
    None,
    /// Not signed in; trying.
    Reconnecting,
    /// Signed in.
    Connected,
    /// Not let in until the user acts.
    Refused(Refusal),
}

/// A device of a user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceView {
    /// The device.
    pub device: DeviceId,
    /// How it is reached.
    pub route: Route,
    /// Where.
    pub addr: Option<Endpoint>,
    /// Whether an older device of its user, or this node's user, vouches for it.
    pub endorsed: bool,
}

/// A user as others see them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserView {
    /// The user.
    pub user: UserId,
    /// Login.
    pub name: String,
    /// Name to display.
    pub display_name: String,
    /// Department.
    pub department: String,
    /// Title.
    pub title: String,
    /// Note.
    pub note: String,
    /// BLAKE3 of the avatar; zeros without one.
    pub avatar: [u8; 32],
    /// How the user wishes to be seen; `None` when offline.
    pub presence: Option<Presence>,
    /// The best of the devices' routes.
    pub route: Route,
    /// Its address.
    pub addr: Option<Endpoint>,
    /// Whether the safety code was compared.
    pub verified: bool,
    /// Whether the account is closed or banned.
    pub gone: bool,
    /// When a device was last on.
    pub last_seen: Option<Wall>,
    /// The devices.
    pub devices: Vec<DeviceView>,
}

/// The error of a transfer that is paused since there is no room for it here.
pub const NO_ROOM: &str = "no room on the disk";

/// The error of a transfer of the own user that its receiver could not have or keep.
pub const FAILED_THERE: &str = "the receiver could not save it";

/// A transfer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransferView {
    /// What the store holds of it.
    pub stored: StoredTransfer,
    /// Whether this user's device offers it.
    pub outgoing: bool,
    /// The other user of the conversation.
    pub peer: UserId,
}

impl TransferView {
    /// Whether the user can accept it now.
    #[must_use]
    pub fn can_be_accepted(&self) -> bool {
        let open = matches!(
            self.stored.state,
            TransferState::Offered | TransferState::Paused | TransferState::Failed | TransferState::Rejected
        );
        open && !self.outgoing
    }
}

/// The node as a whole.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusView {
    /// The realm.
    pub realm: RealmId,
    /// The own user.
    pub user: UserId,
    /// The own login.
    pub name: String,
    /// The own device.
    pub device: DeviceId,
    /// The way to the coordinator.
    pub coordinator: CoordinatorState,
    /// Its address.
    pub coordinator_addr: Option<Endpoint>,
    /// Addresses that this node listens on.
    pub listening: Vec<Endpoint>,
    /// Devices linked directly.
    pub direct: usize,
    /// Devices linked through the coordinator.
    pub relay: usize,
    /// Correction of the wall clock in milliseconds.
    pub clock_offset: i64,
    /// Whether others can reach this device through the coordinator.
    pub relay_state: RelayState,
}
