//! What the store keeps, and the changes that it is told of.
//!
//! Keeps true: a [`Change`] holds the whole new value of one record, so that writing it twice does no harm, and a
//! store that has taken all changes holds exactly what [`Loaded`] gives back at the next start.

use lanchat_proto::certificate::{Certificate, DeviceChain, Revocation};
use lanchat_proto::ids::{DeviceId, UserId};
use lanchat_proto::names::{DisplayName, Note, UserName};
use lanchat_proto::signed::Signed;
use lanchat_proto::time::Wall;
use lanchat_proto::wire::coordinator::Announcement;

/// Scheme of a [`Verifier`]: Argon2id at the client, keyed BLAKE3 of the result here.
pub const AUTH_ARGON2ID_BLAKE3: u8 = 1;

/// What is kept of a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// How it is made; see [`AUTH_ARGON2ID_BLAKE3`].
    pub scheme: u8,
    /// Random for each password.
    pub key: [u8; 32],
    /// Keyed hash of the proof.
    pub hash: [u8; 32],
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier")
    }
}

/// Whose word the password is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Secret {
    /// The user chose it.
    Chosen,
    /// A reset made it; it lets one device in.
    OneTime,
    /// A reset made it and a device was let in; it only serves to choose a new one.
    Used,
}

/// An account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    /// The user, for ever.
    pub user: UserId,
    /// The login.
    pub name: UserName,
    /// The name to display.
    pub display_name: DisplayName,
    /// Department, or empty.
    pub department: DisplayName,
    /// Title, or empty.
    pub title: DisplayName,
    /// Note, or empty.
    pub note: Note,
    /// BLAKE3 of the avatar; zeros without one.
    pub avatar: [u8; 32],
    /// The password.
    pub password: Verifier,
    /// Whose word the password is.
    pub secret: Secret,
    /// When it was opened.
    pub created: Wall,
    /// When a device was last on; zero for never.
    pub last_seen: Wall,
    /// Directory version of its newest change.
    pub version: u64,
}

/// A device that was enrolled once. It belongs to its user for ever.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// The device.
    pub device: DeviceId,
    /// Its user.
    pub user: UserId,
    /// Its newest certificate.
    pub certificate: Certificate,
    /// Its endorsements; empty without.
    pub chain: DeviceChain,
    /// When the newest certificate was issued.
    pub issued: Wall,
    /// When it was enrolled first.
    pub enrolled: Wall,
    /// Whether it is enrolled now: `false` after a logout.
    pub active: bool,
}

/// An invite.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// The code.
    pub code: String,
    /// Registrations left; `None` without end.
    pub uses: Option<u32>,
    /// When it ends; `None` for never.
    pub expires: Option<Wall>,
    /// Whether it is the standing invite of the join link.
    pub standing: bool,
}

impl std::fmt::Debug for Invite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Invite(uses {:?}, standing {})", self.uses, self.standing)
    }
}

/// One record's new value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// An account was opened or changed.
    Account(Box<Account>),
    /// A user's avatar; empty removes it.
    Avatar {
        /// Whose.
        user: UserId,
        /// The picture.
        picture: Vec<u8>,
    },
    /// When a user was last on.
    LastSeen {
        /// Who.
        user: UserId,
        /// When.
        at: Wall,
    },
    /// A device was enrolled or changed.
    Device(Box<Device>),
    /// The newest serial that was given to a certificate.
    Serial(u64),
    /// The next act of the revocation list.
    Act(Signed<Revocation>),
    /// An invite was made or used.
    Invite(Invite),
    /// An invite is gone.
    InviteGone(String),
    /// An announcement.
    Announcement(Announcement),
    /// An announcement is too old to be kept.
    AnnouncementGone(u64),
}

/// Everything that the store holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Loaded {
    /// The directory's generation: random, made with the database and new after a restore.
    pub generation: u64,
    /// The newest serial given.
    pub serial: u64,
    /// Accounts, any order.
    pub accounts: Vec<Account>,
    /// Devices, any order.
    pub devices: Vec<Device>,
    /// Acts of all issuers, each issuer's rising.
    pub acts: Vec<Signed<Revocation>>,
    /// Invites, any order.
    pub invites: Vec<Invite>,
    /// Announcements, rising.
    pub announcements: Vec<Announcement>,
}
