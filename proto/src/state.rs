//! State records: signed, newest only, replaced by a higher counter. Receipts are the first kind.
//!
//! Keeps true: a record is one device's word about one subject; an older word never replaces a newer one, whatever way
//! and in whatever order records travel. Kinds and subjects: `docs/protocol.md#state`.

use crate::codec::{self, Blob, DecodeError};
use crate::ids::{ConversationId, DeviceId, Epoch, LogId, RealmId, UserId};
use crate::limits::MAX_STATE;
use crate::signed::{Labelled, SecretKey, Signed, SignedError};
use crate::time::Hlc;
use serde::{Deserialize, Serialize};

/// Kind of a state record: a receipt.
pub const STATE_RECEIPT: u16 = 1;

/// A state record.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StateRecord {
    /// The realm.
    pub realm: RealmId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The device whose word it is.
    pub device: DeviceId,
    /// That device's user.
    pub user: UserId,
    /// See [`STATE_RECEIPT`].
    pub kind: u16,
    /// What it is about; for a receipt [`LogId::key`] of the log.
    pub subject: Blob<64>,
    /// A record with a higher counter replaces this one.
    pub counter: u64,
    /// When.
    pub time: Hlc,
    /// What it says, by kind.
    pub body: Blob<1024>,
}

impl Labelled for StateRecord {
    const LABEL: &'static str = "lanchat/state/1";
}

/// A record as it travels.
pub type SignedState = Signed<StateRecord, MAX_STATE>;

/// What a record replaces and is replaced by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct StateKey {
    /// The conversation.
    pub conversation: ConversationId,
    /// The device whose word it is.
    pub device: DeviceId,
    /// The kind.
    pub kind: u16,
    /// The subject.
    pub subject: Vec<u8>,
}

impl StateRecord {
    /// What this record replaces.
    #[must_use]
    pub fn key(&self) -> StateKey {
        StateKey {
            conversation: self.conversation,
            device: self.device,
            kind: self.kind,
            subject: self.subject.to_vec(),
        }
    }
}

/// Body of a receipt: how far a reader's device has a log on disk, and how far its user has seen it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Receipt {
    /// Newest number on the reader's disk, all before included.
    pub received: u64,
    /// Newest number that the user has seen.
    pub read: u64,
}

/// A receipt with everything around it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceiptRecord {
    /// The log that was received.
    pub log: LogId,
    /// The reader's device.
    pub reader: DeviceId,
    /// The reader.
    pub user: UserId,
    /// What it says.
    pub receipt: Receipt,
    /// A higher one replaces it.
    pub counter: u64,
    /// When.
    pub time: Hlc,
}

/// Why a state record was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Signature or encoding.
    #[error("state record: {0}")]
    Signed(#[from] SignedError),
    /// Subject or body do not fit the kind.
    #[error("state record: {0}")]
    Body(#[from] DecodeError),
    /// Another realm.
    #[error("state record of another realm")]
    Realm,
    /// A kind that this version does not know.
    #[error("state record of unknown kind {0}")]
    Kind(u16),
}

impl ReceiptRecord {
    /// Signs a receipt.
    ///
    /// # Errors
    /// [`StateError`], which the types exclude.
    pub fn sign(&self, realm: &RealmId, key: &SecretKey) -> Result<SignedState, StateError> {
        let too_large = |_| StateError::Signed(SignedError::TooLarge);
        let record = StateRecord {
            realm: *realm,
            conversation: self.log.conversation,
            device: self.reader,
            user: self.user,
            kind: STATE_RECEIPT,
            subject: Blob::new(self.log.key().to_vec()).map_err(too_large)?,
            counter: self.counter,
            time: self.time,
            body: codec::encode(&self.receipt)
                .ok()
                .and_then(|body| Blob::new(body).ok())
                .ok_or(StateError::Signed(SignedError::TooLarge))?,
        };
        Ok(Signed::sign(&record, key)?)
    }

    /// Checks and reads a receipt that came from outside. Whether the device is the user's is for the caller to know.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(signed: &SignedState, realm: &RealmId) -> Result<Self, StateError> {
        let record = signed.open(&signed.peek()?.device)?;
        if record.realm != *realm {
            return Err(StateError::Realm);
        }
        if record.kind != STATE_RECEIPT {
            return Err(StateError::Kind(record.kind));
        }
        let bad_subject = || DecodeError::Malformed("receipt subject".to_owned());
        let (device, epoch) = record.subject.split_at_checked(DeviceId::LEN).ok_or_else(bad_subject)?;
        let log = LogId {
            conversation: record.conversation,
            device: DeviceId::from_slice(device).ok_or_else(bad_subject)?,
            epoch: Epoch(u64::from_be_bytes(epoch.try_into().map_err(|_| bad_subject())?)),
        };
        let receipt: Receipt = codec::decode(&record.body, MAX_STATE)?;
        Ok(Self {
            log,
            reader: record.device,
            user: record.user,
            receipt,
            counter: record.counter,
            time: record.time,
        })
    }
}
