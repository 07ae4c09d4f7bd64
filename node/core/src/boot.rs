//! What a node starts from: its identity, its settings, and everything the store holds that the rules need.

use lanchat_proto::certificate::{Certificate, DeviceChain, ListAnchor, Revocation};
use lanchat_proto::entry::{Descriptor, FileBody, LogEnd};
use lanchat_proto::ids::{
    ConversationId, DeviceId, EntryHash, Epoch, HostId, LogId, MessageId, RealmId, UserId,
};
use lanchat_proto::signed::{SecretKey, Signed};
use lanchat_proto::state::SignedState;
use lanchat_proto::time::{Hlc, Wall};
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::{DirectoryMark, Presence, Profile};

/// A connection as the shell names it; never reused within a run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(
    /// The number.
    pub u64,
);

/// A dial that the core asked for; its outcome repeats it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DialId(
    /// The number.
    pub u64,
);

/// A write that the core asked for; its outcome repeats it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PersistId(
    /// The number.
    pub u64,
);

/// A read that the core asked for; its outcome repeats it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LoadId(
    /// The number.
    pub u64,
);

/// A command of the user; its answer repeats it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RequestId(
    /// The number.
    pub u64,
);

/// What a link carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Channel {
    /// Node to node.
    Link,
    /// Node to coordinator.
    Coordinator,
}

/// The coordinator that the node is pinned to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CoordinatorPin {
    /// Its key.
    pub device: DeviceId,
    /// Where it was last known to listen, best first. The shell resolves names and may replace the list
    /// ([`crate::Input::CoordinatorEndpoints`]).
    pub endpoints: Vec<Endpoint>,
}

/// Settings that the rules obey.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Users up to which everybody is linked to everybody.
    pub mesh_size: usize,
    /// How the user wishes to be seen.
    pub presence: Presence,
    /// Whose files are fetched unasked.
    pub auto_accept: AutoAccept,
    /// Bytes of the largest file that is fetched unasked.
    pub auto_accept_max: u64,
}

/// Whose files are fetched without asking the user.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AutoAccept {
    /// Nobody's.
    Never,
    /// Those of these users, whom the user has starred.
    From(std::collections::BTreeSet<UserId>),
    /// Everybody's.
    All,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mesh_size: 256,
            presence: Presence::Online,
            auto_accept: AutoAccept::Never,
            auto_accept_max: 25 * 1024 * 1024,
        }
    }
}

/// A log as the store holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredLog {
    /// The log.
    pub log: LogId,
    /// Its conversation.
    pub descriptor: Descriptor,
    /// Its author.
    pub author: UserId,
    /// Its newest entry.
    pub end: LogEnd,
    /// A fork was seen: nothing is ever appended again.
    pub frozen: bool,
}

/// How far a device is trusted to be its user's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DeviceTrust {
    /// Its chain does not lead to the user's first device: it gets what is written from `since` on only, and nothing at
    /// all when the user's safety code was confirmed.
    Unendorsed,
    /// Its chain leads to the user's first device as this node knows it, or it is that device.
    Endorsed,
    /// This node's user said that it is right.
    Accepted,
}

/// A device that presented a certificate, or that the directory lists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownDevice {
    /// The device.
    pub device: DeviceId,
    /// Its user.
    pub user: UserId,
    /// Its trust.
    pub trust: DeviceTrust,
    /// Its newest certificate.
    pub certificate: Certificate,
    /// Its chain.
    pub chain: DeviceChain,
    /// The store's arrival number ([`Stored::arrival`]) when the device was first seen: an unendorsed device gets
    /// only entries that arrived later.
    pub since: u64,
    /// The address of the last good link, for the next start without a coordinator.
    pub endpoint: Option<Endpoint>,
}

/// What is kept of a user's root, once somebody confirmed or moved it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredRoot {
    /// The user.
    pub user: UserId,
    /// The device where the chains of the user's devices have to begin.
    pub root: DeviceId,
    /// The root whose safety code was compared last; `None`: none, or it was taken back.
    pub confirmed: Option<DeviceId>,
}

/// How far a transfer is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TransferState {
    /// Offered, and not answered.
    Offered,
    /// Accepted, and no holder is linked.
    Waiting,
    /// Being fetched.
    Running,
    /// Paused by a user, or for want of room.
    Paused,
    /// The receiver has it.
    Complete,
    /// It cannot be had or kept.
    Failed,
    /// Given up, or withdrawn.
    Cancelled,
    /// The receiver does not want it.
    Rejected,
}

impl TransferState {
    /// Every state with its name for people and its number on disk.
    pub const ALL: &'static [(Self, &'static str)] = &[
        (Self::Offered, "offered"),
        (Self::Waiting, "waiting"),
        (Self::Running, "running"),
        (Self::Paused, "paused"),
        (Self::Complete, "complete"),
        (Self::Failed, "failed"),
        (Self::Cancelled, "cancelled"),
        (Self::Rejected, "rejected"),
    ];

    /// The name in the API and on disk.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }

    /// The state with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, other)| *other == name).map(|(state, _)| *state)
    }

    /// Whether nothing more happens to it by itself.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Cancelled | Self::Rejected)
    }
}

impl std::fmt::Display for TransferState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A transfer as the store holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredTransfer {
    /// The message that offers the file; names the transfer.
    pub offer: MessageId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The entry that offers it.
    pub entry: EntryHash,
    /// Who offers it.
    pub author: UserId,
    /// The device that does.
    pub device: DeviceId,
    /// What is offered.
    pub file: FileBody,
    /// How far it is.
    pub state: TransferState,
    /// What went wrong, for people; empty for nothing.
    pub error: String,
}

/// Everything that the store holds for the rules.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// All logs.
    pub logs: Vec<StoredLog>,
    /// All state records, newest of each key.
    pub states: Vec<SignedState>,
    /// The directory.
    pub profiles: Vec<Profile>,
    /// How new it is.
    pub directory: DirectoryMark,
    /// All devices.
    pub devices: Vec<KnownDevice>,
    /// Roots that were confirmed or moved.
    pub roots: Vec<StoredRoot>,
    /// Acts of revocation lists with why the list is believed, rising for each issuer.
    pub revocations: Vec<(ListAnchor, Signed<Revocation>)>,
    /// All transfers.
    pub transfers: Vec<StoredTransfer>,
    /// Correction of the wall clock in milliseconds, as last known.
    pub clock_offset: i64,
    /// Newest stamp given or adopted.
    pub last_stamp: Hlc,
    /// Entries ever stored: each gets the next arrival number.
    pub arrival: u64,
    /// Newest announcement shown.
    pub announcement: u64,
}

/// What a node starts from.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The realm.
    pub realm: RealmId,
    /// The device key.
    pub key: SecretKey,
    /// The device's certificate.
    pub certificate: Certificate,
    /// The device's endorsements.
    pub chain: DeviceChain,
    /// The database's epoch.
    pub epoch: Epoch,
    /// The coordinator, in an organisation.
    pub coordinator: Option<CoordinatorPin>,
    /// This machine.
    pub host: HostId,
    /// 32 secret random bytes, new at every start.
    pub seed: [u8; 32],
    /// Settings.
    pub settings: Settings,
    /// What the store holds.
    pub stored: Stored,
    /// When the program was started.
    pub started: Wall,
}
