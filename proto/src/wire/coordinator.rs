//! Frames between a node and its coordinator. The order of things is in `docs/protocol.md#coordinator`.
//!
//! A stranger may ask for a salt, register and log in; everything else needs a signed-in device. Requests carry an id
//! that the answer repeats.

use crate::certificate::{Certificate, DeviceChain, IssuingCertificate, Revocation, RevocationHead};
use crate::codec::{Blob, BoundedVec, Text};
use crate::ids::{DeviceId, Epoch, HostId, RealmId, UserId};
use crate::limits::{
    MAX_ANNOUNCEMENT, MAX_AVATAR, MAX_DELTA, MAX_ENDPOINTS, MAX_INVITE, MAX_ISSUERS, MAX_ORG_NAME, MAX_PAGE,
    MAX_REVOCATIONS, MAX_VERSIONS,
};
use crate::names::{DisplayName, Note, UserName};
use crate::signed::Signed;
use crate::time::Wall;
use crate::wire::Endpoint;
use serde::{Deserialize, Serialize};

/// The password as it leaves a node: Argon2id(password, salt, 64 MiB, t = 3, p = 1).
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordProof(
    /// The 32 bytes.
    pub [u8; 32],
);

impl std::fmt::Debug for PasswordProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordProof")
    }
}

/// The coordinator's first frame: who it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// Versions spoken, newest first.
    pub versions: BoundedVec<u16, MAX_VERSIONS>,
    /// The organisation's name.
    pub org: Text<MAX_ORG_NAME>,
    /// The organisation's root public key.
    pub root: DeviceId,
    /// The root's word for this coordinator.
    pub issuing: Signed<IssuingCertificate>,
    /// The coordinator's wall time.
    pub time: Wall,
}

/// Asks for the salt of a user's password. Unknown users have one too, always the same.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AskSalt {
    /// Request id.
    pub request: u64,
    /// The user.
    pub user: UserName,
}

/// A user's salt.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Salt {
    /// Request id.
    pub request: u64,
    /// Salt for Argon2id.
    pub salt: [u8; 16],
}

/// Creates an account and enrols the device of this connection as its first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Register {
    /// Request id.
    pub request: u64,
    /// The login wanted.
    pub user: UserName,
    /// The name to display.
    pub display_name: DisplayName,
    /// The password.
    pub proof: PasswordProof,
    /// The invite, where registration asks for one; empty without.
    pub invite: Text<MAX_INVITE>,
    /// The device's sealing key.
    pub sealing: [u8; 32],
}

/// Enrols the device of this connection for an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Login {
    /// Request id.
    pub request: u64,
    /// The login.
    pub user: UserName,
    /// The password, or the one-time secret of a reset in its place.
    pub proof: PasswordProof,
    /// The device's sealing key.
    pub sealing: [u8; 32],
}

/// The device is enrolled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Enrolled {
    /// Request id.
    pub request: u64,
    /// The account.
    pub user: UserId,
    /// The device's certificate.
    pub certificate: Certificate,
    /// Whether this is the account's first device, which endorses itself.
    pub first_device: bool,
    /// Whether the password was a one-time secret and must be changed.
    pub must_change_password: bool,
}

/// How somebody wishes to be seen. A wish that this version does not know reads as at the desk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
pub enum Presence {
    /// At the desk.
    #[default]
    Online,
    /// Not at the desk.
    Away,
    /// At the desk, not to be disturbed.
    Busy,
}

impl From<u32> for Presence {
    fn from(number: u32) -> Self {
        match number {
            1 => Self::Away,
            2 => Self::Busy,
            _ => Self::Online,
        }
    }
}

impl From<Presence> for u32 {
    fn from(presence: Presence) -> Self {
        match presence {
            Presence::Online => 0,
            Presence::Away => 1,
            Presence::Busy => 2,
        }
    }
}

/// What a device tells about itself while it is on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DeviceReport {
    /// Addresses that it listens on.
    pub endpoints: BoundedVec<Endpoint, MAX_ENDPOINTS>,
    /// The machine that it runs on, so that loopback addresses are used only there.
    pub host: HostIdField,
    /// How its user wishes to be seen.
    pub presence: Presence,
}

/// A host id that defaults to zeros.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct HostIdField(
    /// The host.
    pub HostId,
);

impl Default for HostIdField {
    fn default() -> Self {
        Self(HostId([0; 16]))
    }
}

/// An enrolled device comes on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SignIn {
    /// Request id.
    pub request: u64,
    /// Versions spoken, newest first.
    pub versions: BoundedVec<u16, MAX_VERSIONS>,
    /// The realm that the device believes the coordinator to serve.
    pub realm: RealmId,
    /// The device's certificate.
    pub certificate: Certificate,
    /// Its endorsements, for the directory.
    pub chain: DeviceChain,
    /// Its epoch; another live device with this key and another epoch is a clone.
    pub epoch: Epoch,
    /// The directory version that the node holds, with the directory's generation; zeros for none.
    pub directory: DirectoryMark,
    /// Ends of the revocation lists that the node holds.
    pub revocations: BoundedVec<RevocationHead, MAX_ISSUERS>,
    /// Addresses, host, presence.
    pub report: DeviceReport,
}

/// How new a copy of the directory is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct DirectoryMark {
    /// Random, new when a coordinator's database was restored.
    pub generation: u64,
    /// Rises with every change of a profile.
    pub version: u64,
}

/// The device is signed in. Directory pages, the snapshot and then deltas follow.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SignedIn {
    /// Request id.
    pub request: u64,
    /// Version chosen.
    pub version: u16,
    /// The coordinator's random run id.
    pub run: u64,
    /// The coordinator's wall time.
    pub time: Wall,
    /// A fresh certificate, when the presented one is older than a day.
    pub renewed: Option<Certificate>,
    /// Acts of the coordinator's list that the node lacks; more may follow in later frames of kind `Revocations`.
    pub revocations: BoundedVec<Signed<Revocation>, MAX_REVOCATIONS>,
    /// The address that the coordinator sees.
    pub observed: Endpoint,
}

/// A device that is on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OnlineDevice {
    /// The device.
    pub device: DeviceId,
    /// Its user.
    pub user: UserId,
    /// Address that the coordinator observed, with the port that the device listens on, in front; then what it told.
    pub endpoints: BoundedVec<Endpoint, MAX_ENDPOINTS>,
    /// Its machine.
    pub host: HostIdField,
    /// How its user wishes to be seen.
    pub presence: Presence,
}

/// A page of everybody who is on. The snapshot is complete with `last`; deltas go on from `number`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// The coordinator's run id.
    pub run: u64,
    /// Number of the last delta that the snapshot includes.
    pub number: u64,
    /// Whether this page begins the snapshot.
    pub first: bool,
    /// Whether this page ends it.
    pub last: bool,
    /// Devices.
    pub devices: BoundedVec<OnlineDevice, MAX_PAGE>,
}

/// One change of presence.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// A device came on, or its addresses or presence changed.
    Online(OnlineDevice),
    /// A device is off: it said goodbye, or its lease ended.
    Offline {
        /// The device.
        device: DeviceId,
        /// When it was last heard.
        last_seen: Wall,
    },
}

/// What changed in one tick.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Delta {
    /// The coordinator's run id.
    pub run: u64,
    /// One more than the delta before. A gap or another run id means: ask for a snapshot.
    pub number: u64,
    /// Changes, in order.
    pub changes: BoundedVec<Change, MAX_DELTA>,
}

/// Asks for a fresh snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AskSnapshot {
    /// The run id that the node knows.
    pub run: u64,
}

/// An account as the directory shows it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Profile {
    /// The account.
    pub user: UserId,
    /// Its login.
    pub name: UserName,
    /// The name to display.
    pub display_name: DisplayName,
    /// Department, or empty.
    pub department: DisplayName,
    /// Title, or empty.
    pub title: DisplayName,
    /// A note, or empty.
    pub note: Note,
    /// BLAKE3 of the avatar; zeros without one.
    pub avatar: [u8; 32],
    /// Whether the account is closed or banned: kept for history, not shown among people.
    pub gone: bool,
    /// When a device of the account was last on; zero for never.
    pub last_seen: Wall,
    /// The account's devices.
    pub devices: BoundedVec<DirectoryDevice, { crate::limits::MAX_DEVICES }>,
}

/// A device in the directory.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DirectoryDevice {
    /// The device.
    pub device: DeviceId,
    /// Its current certificate.
    pub certificate: Certificate,
    /// Its endorsements; empty for a device without.
    pub chain: DeviceChain,
}

/// Rows in one page of profiles: their certificates make them larger than presence rows.
pub const DIRECTORY_PAGE: usize = 6;

/// Profiles that changed since the node's copy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Directory {
    /// How new the copy is with this page; to be stored only with the page that is `last`.
    pub mark: DirectoryMark,
    /// Whether the node's copy is to be emptied first: it is of another generation.
    pub fresh: bool,
    /// Whether this page completes the copy.
    pub last: bool,
    /// Profiles.
    pub profiles: BoundedVec<Profile, DIRECTORY_PAGE>,
}

/// Addresses or presence of a signed-in device changed. Also its sign of life is `Heartbeat` as between nodes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The new state, whole.
    pub report: DeviceReport,
}

/// Changes the own profile; `None` leaves a field as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SetProfile {
    /// Request id.
    pub request: u64,
    /// The name to display.
    pub display_name: Option<DisplayName>,
    /// Department.
    pub department: Option<DisplayName>,
    /// Title.
    pub title: Option<DisplayName>,
    /// Note.
    pub note: Option<Note>,
    /// Avatar; empty removes it.
    pub avatar: Option<Blob<MAX_AVATAR>>,
}

/// Changes the own password.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ChangePassword {
    /// Request id.
    pub request: u64,
    /// The password until now.
    pub old: PasswordProof,
    /// The password from now on.
    pub new: PasswordProof,
}

/// Signs this device out for good: its certificate is revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Logout {
    /// Request id.
    pub request: u64,
}

/// Asks for an avatar.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AskAvatar {
    /// Request id.
    pub request: u64,
    /// Whose.
    pub user: UserId,
}

/// An avatar.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Avatar {
    /// Request id.
    pub request: u64,
    /// Whose.
    pub user: UserId,
    /// The picture; empty without one.
    pub picture: Blob<MAX_AVATAR>,
}

/// Searches accounts by login, name and department.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FindUsers {
    /// Request id.
    pub request: u64,
    /// Part of any of them, case does not matter.
    pub query: DisplayName,
}

/// Accounts found, at most a page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FoundUsers {
    /// Request id.
    pub request: u64,
    /// The accounts.
    pub users: BoundedVec<UserId, MAX_PAGE>,
}

/// A request was carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Done {
    /// Request id.
    pub request: u64,
}

/// Why the coordinator refuses. Numbers are for ever; an unknown one reads as [`Refusal::Other`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum Refusal {
    /// Anything else.
    #[error("the coordinator refused")]
    Other,
    /// User and password do not match (an unknown user looks the same).
    #[error("wrong user name or password")]
    WrongPassword,
    /// Too many tries; wait.
    #[error("too many wrong passwords")]
    TooManyTries,
    /// The login is taken.
    #[error("the user name is taken")]
    NameTaken,
    /// The login is reserved.
    #[error("the user name is reserved")]
    NameReserved,
    /// Registration needs a valid invite.
    #[error("registration needs a valid invite")]
    InviteNeeded,
    /// Nobody can register.
    #[error("registration is closed")]
    RegistrationClosed,
    /// The account is banned.
    #[error("this account is banned")]
    Banned,
    /// The certificate was revoked (a kick, a logout); the password is needed.
    #[error("signed out by the organisation; log in again")]
    Revoked,
    /// The certificate expired or is not this organisation's.
    #[error("the certificate is not accepted; log in again")]
    BadCertificate,
    /// The device belongs to another user of the organisation.
    #[error("this device belongs to another user")]
    DeviceTaken,
    /// A copy of this device is on.
    #[error("a copy of this device is signed in; log in again")]
    Cloned,
    /// The account has as many devices as it may.
    #[error("the account has too many devices")]
    TooManyDevices,
    /// No version in common.
    #[error("no protocol version in common; update lanchat")]
    Version,
    /// Not signed in.
    #[error("not signed in")]
    NotSignedIn,
    /// No such account.
    #[error("no such user")]
    NoSuchUser,
    /// The coordinator cannot store anything at the moment.
    #[error("the coordinator cannot store at the moment")]
    Unavailable,
    /// The organisation has as many accounts as it may.
    #[error("the organisation is full")]
    Full,
    /// The new password is not one: the same as before, or a one-time secret.
    #[error("the new password is not accepted")]
    BadPassword,
}

impl Refusal {
    const NUMBERS: &'static [(u16, Self)] = &[
        (1, Self::WrongPassword),
        (2, Self::TooManyTries),
        (3, Self::NameTaken),
        (4, Self::NameReserved),
        (5, Self::InviteNeeded),
        (6, Self::RegistrationClosed),
        (7, Self::Banned),
        (8, Self::Revoked),
        (9, Self::BadCertificate),
        (10, Self::DeviceTaken),
        (11, Self::Cloned),
        (12, Self::TooManyDevices),
        (13, Self::Version),
        (14, Self::NotSignedIn),
        (15, Self::NoSuchUser),
        (16, Self::Unavailable),
        (17, Self::Full),
        (18, Self::BadPassword),
    ];

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        Self::NUMBERS.iter().find(|(_, refusal)| *refusal == self).map_or(0, |(number, _)| *number)
    }

    /// The refusal with this number.
    #[must_use]
    pub fn from_number(number: u16) -> Self {
        Self::NUMBERS.iter().find(|(n, _)| *n == number).map_or(Self::Other, |(_, refusal)| *refusal)
    }
}

/// A request was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Refused {
    /// Request id.
    pub request: u64,
    /// See [`Refusal::number`].
    pub code: u16,
    /// When it makes sense to try again, in milliseconds; 0 for not.
    pub retry_after_ms: u64,
}

/// The organisation speaks to everybody.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Announcement {
    /// Rising number, so that one is shown once.
    pub number: u64,
    /// When.
    pub at: Wall,
    /// What.
    pub text: Text<{ MAX_ANNOUNCEMENT * 4 }>,
}
