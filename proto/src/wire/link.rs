//! Frames between two nodes. The order of things is in `docs/protocol.md#link`.

use crate::certificate::{Certificate, DeviceChain, ListAnchor, Revocation, RevocationHead};
use crate::codec::BoundedVec;
use crate::entry::{Descriptor, WireEntry};
use crate::ids::{ConversationId, DeviceId, EntryHash, Epoch, RealmId};
use crate::limits::{
    DIGEST_BUCKETS, MAX_BATCH, MAX_HEADS, MAX_ISSUERS, MAX_REVOCATIONS, MAX_STATES, MAX_VERSIONS,
};
use crate::signed::Signed;
use crate::state::SignedState;
use crate::time::Wall;
use serde::{Deserialize, Serialize};

/// What a device presents of itself. The dialler sends it first; the listener's stands in [`HelloAnswer`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// The realm that the device is in.
    pub realm: RealmId,
    /// Versions spoken, newest first.
    pub versions: BoundedVec<u16, MAX_VERSIONS>,
    /// The device's certificate.
    pub certificate: Certificate,
    /// Endorsements that lead to the device; empty for one without.
    pub chain: DeviceChain,
    /// The device's epoch.
    pub epoch: Epoch,
    /// Ends of the revocation lists that the device holds.
    pub revocations: BoundedVec<RevocationHead, MAX_ISSUERS>,
    /// The device's corrected wall time, for the other's estimate of its own error.
    pub time: Wall,
}

/// The listener's acceptance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HelloAnswer {
    /// The version chosen.
    pub version: u16,
    /// The listener's own hello.
    pub hello: Hello,
}

/// A sign of life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Whether the other is to answer at once.
    pub answer: bool,
}

/// Why a device leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum GoodbyeReason {
    /// The program ends or leaves the realm.
    Leaving,
    /// This link duplicates a better one.
    Duplicate,
    /// The other's certificate is not accepted any more.
    Revoked,
}

/// The last frame of a link that is closed in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Goodbye {
    /// Why.
    pub reason: GoodbyeReason,
}

/// One bucket of a conversation's digest: hash over the heads of the logs that fall into it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Bucket {
    /// First byte of the hash of the log's key.
    pub bucket: u8,
    /// Hash over its heads, in order of the logs' keys.
    pub digest: [u8; 16],
}

/// What a device holds of one conversation, in short.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ConversationDigest {
    /// The conversation.
    pub descriptor: Descriptor,
    /// Buckets that hold at least one log, rising.
    pub buckets: BoundedVec<Bucket, DIGEST_BUCKETS>,
    /// Hash over the state records held for the other's user.
    pub states_for_you: [u8; 16],
    /// Hash over the state records held for the own user.
    pub states_for_me: [u8; 16],
}

/// Digests of conversations that both may know, in as many frames as needed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Digests {
    /// Digests.
    pub list: BoundedVec<ConversationDigest, MAX_HEADS>,
    /// Whether this is the last frame of the opening comparison.
    pub last: bool,
}

/// The end of one log as a device holds it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// The log's device.
    pub device: DeviceId,
    /// The log's epoch.
    pub epoch: Epoch,
    /// Newest number held, 0 for none.
    pub number: u64,
    /// Its hash.
    pub hash: EntryHash,
    /// The number after which the device wants entries; 0 for all.
    pub floor_number: u64,
    /// Hash of the entry at the floor.
    pub floor_hash: EntryHash,
}

/// Heads of all logs in the buckets that differ.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Heads {
    /// The conversation.
    pub conversation: ConversationId,
    /// Heads.
    pub heads: BoundedVec<Head, MAX_HEADS>,
    /// Whether the other is to send its heads of the same conversation too.
    pub answer: bool,
    /// Whether this is the last frame of this conversation's heads.
    pub last: bool,
}

/// Entries of one conversation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entries {
    /// The conversation.
    pub conversation: ConversationId,
    /// Oldest first within each log.
    pub entries: BoundedVec<WireEntry, MAX_BATCH>,
}

/// Ends of logs after a commit; also how a receiver says that it could not take what was sent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Acknowledge {
    /// The conversation.
    pub conversation: ConversationId,
    /// What is on disk now.
    pub heads: BoundedVec<Head, MAX_HEADS>,
}

/// State records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct States {
    /// Records, any order.
    pub records: BoundedVec<SignedState, MAX_STATES>,
}

/// Acts of revocation lists that the other lacks, rising.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revocations {
    /// Whose list it is, so that one of another coordinator can be checked.
    pub anchor: ListAnchor,
    /// Acts of that issuer.
    pub acts: BoundedVec<Signed<Revocation>, MAX_REVOCATIONS>,
}

/// A renewed certificate of the sender, on a link that is up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Renewed {
    /// The certificate.
    pub certificate: Certificate,
    /// The device chain, which may have grown.
    pub chain: DeviceChain,
}
