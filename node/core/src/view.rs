//! What a node shows of its state: plain copies, for the API.

use lanchat_proto::ids::{DeviceId, RealmId, UserId};
use lanchat_proto::time::Wall;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::{Presence, Refusal};

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
}
