//! State records: signed, newest only, replaced by a higher counter. Receipts are the first kind.
//!
//! Keeps true: a record is one device's word about one subject; an older word never replaces a newer one, whatever way
//! and in whatever order records travel. Kinds and subjects: `docs/protocol.md#state`.

use crate::codec::{self, Blob, DecodeError};
use crate::ids::{ConversationId, DeviceId, Epoch, LogId, MessageId, RealmId, UserId};
use crate::limits::MAX_STATE;
use crate::signed::{Labelled, SecretKey, Signed, SignedError};
use crate::time::Hlc;
use serde::{Deserialize, Serialize};

/// Kind of a state record: a receipt.
pub const STATE_RECEIPT: u16 = 1;

/// Kind of a state record: what became of an offered file.
pub const STATE_FILE: u16 = 2;

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
    /// See [`STATE_RECEIPT`] and [`STATE_FILE`].
    pub kind: u16,
    /// What it is about; for a receipt [`LogId::key`] of the log, for a file the message that offers it.
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

impl StateRecord {
    /// Puts subject and body in and signs.
    fn filled(
        self,
        subject: Vec<u8>,
        body: Option<Vec<u8>>,
        key: &SecretKey,
    ) -> Result<SignedState, StateError> {
        let too_large = StateError::Signed(SignedError::TooLarge);
        let parts = Blob::new(subject).ok().zip(body.and_then(|body| Blob::new(body).ok()));
        let (subject, body) = parts.ok_or(too_large)?;
        Ok(Signed::sign(&Self { subject, body, ..self }, key)?)
    }

    /// Checks a record that came from outside. Whether the device is the user's is for the caller to know.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(signed: &SignedState, realm: &RealmId) -> Result<Self, StateError> {
        let record = signed.open(&signed.peek()?.device)?;
        if record.realm == *realm { Ok(record) } else { Err(StateError::Realm) }
    }
}

impl ReceiptRecord {
    /// Signs a receipt.
    ///
    /// # Errors
    /// [`StateError`], which the types exclude.
    pub fn sign(&self, realm: &RealmId, key: &SecretKey) -> Result<SignedState, StateError> {
        let blank = StateRecord {
            realm: *realm,
            conversation: self.log.conversation,
            device: self.reader,
            user: self.user,
            kind: STATE_RECEIPT,
            subject: Blob::default(),
            counter: self.counter,
            time: self.time,
            body: Blob::default(),
        };
        blank.filled(self.log.key().to_vec(), codec::encode(&self.receipt).ok(), key)
    }

    /// Checks and reads a receipt that came from outside. Whether the device is the user's is for the caller to know.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(signed: &SignedState, realm: &RealmId) -> Result<Self, StateError> {
        Self::read(&StateRecord::open(signed, realm)?)
    }

    /// Reads a checked record of this kind.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn read(record: &StateRecord) -> Result<Self, StateError> {
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

/// What a device says of an offered file. Numbers are for ever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(from = "u32", into = "u32")]
pub enum FileWord {
    /// A word that this version does not know.
    Unknown,
    /// The receiver wants it.
    Accepted,
    /// The receiver does not want it.
    Rejected,
    /// The receiver has it, whole and verified.
    Complete,
    /// The author does not offer it any more.
    Withdrawn,
    /// The receiver wanted it and does not any more.
    Cancelled,
    /// The receiver wants it and cannot have or keep it as things are; it may try again.
    Failed,
}

impl FileWord {
    const ALL: &'static [Self] = &[
        Self::Unknown,
        Self::Accepted,
        Self::Rejected,
        Self::Complete,
        Self::Withdrawn,
        Self::Cancelled,
        Self::Failed,
    ];
}

impl From<u32> for FileWord {
    fn from(number: u32) -> Self {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        Self::ALL.get(at).copied().unwrap_or(Self::Unknown)
    }
}

impl From<FileWord> for u32 {
    fn from(word: FileWord) -> Self {
        let at = FileWord::ALL.iter().position(|other| *other == word);
        at.and_then(|at| Self::try_from(at).ok()).unwrap_or(0)
    }
}

/// What a device says of an offered file, with everything around it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileRecord {
    /// The conversation of the offer.
    pub conversation: ConversationId,
    /// The message that offers the file.
    pub offer: MessageId,
    /// The device whose word it is.
    pub device: DeviceId,
    /// That device's user.
    pub user: UserId,
    /// What it says.
    pub word: FileWord,
    /// A higher one replaces it.
    pub counter: u64,
    /// When.
    pub time: Hlc,
}

impl FileRecord {
    /// Signs a word about a file.
    ///
    /// # Errors
    /// [`StateError`], which the types exclude.
    pub fn sign(&self, realm: &RealmId, key: &SecretKey) -> Result<SignedState, StateError> {
        let (subject, body) = (self.offer.0.to_vec(), codec::encode(&self.word));
        let blank = StateRecord {
            realm: *realm,
            conversation: self.conversation,
            device: self.device,
            user: self.user,
            kind: STATE_FILE,
            subject: Blob::default(),
            counter: self.counter,
            time: self.time,
            body: Blob::default(),
        };
        blank.filled(subject, body.ok(), key)
    }

    /// Reads a checked record of this kind.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn read(record: &StateRecord) -> Result<Self, StateError> {
        let malformed = || DecodeError::Malformed("subject of a word about a file".to_owned());
        Ok(Self {
            conversation: record.conversation,
            offer: MessageId::from_slice(&record.subject).ok_or_else(malformed)?,
            device: record.device,
            user: record.user,
            word: codec::decode(&record.body, MAX_STATE)?,
            counter: record.counter,
            time: record.time,
        })
    }
}
