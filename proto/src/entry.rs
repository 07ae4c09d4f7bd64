//! Entries: what is said, signed by its device and chained to what the device said before.
//!
//! Keeps true: validity is header, chain and signature, nothing else, so that any member can pass on any other
//! member's entry and nobody can alter, drop or reorder it unseen. The header names the body by hash; a deleted body
//! leaves an entry that still verifies. Layout and rules: `docs/protocol.md#entries`.

use crate::blob::BlobHash;
use crate::certificate::{Certificate, CertificateError, DeviceChain, Member, check_chain};
use crate::codec::{self, Blob, BoundedVec, DecodeError, Text};
use crate::ids::{ConversationId, DeviceId, EntryHash, Epoch, LogId, MessageId, RealmId, UserId};
use crate::limits::{MAX_AFTER, MAX_BODY, MAX_FILE_NAME, MAX_HEADER, MAX_MEDIA_TYPE, MAX_TEXT};
use crate::names::DisplayName;
use crate::signed::{self, SecretKey, Signature, SignedError};
use crate::time::{Hlc, Wall};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The label under which headers are signed.
pub const ENTRY_LABEL: &str = "lanchat/entry/1";
/// Random bytes in front of every body, so that a removed "yes" cannot be guessed from its hash.
pub const BODY_SALT: usize = 16;
/// Flag: a node that does not know the kind sends and passes on nothing more in the conversation until updated.
pub const ENTRY_CRITICAL: u16 = 1;

/// What a conversation is. Variants are only ever appended.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Descriptor {
    /// Two users, the smaller id first.
    Direct(UserId, UserId),
    /// A group, named by 16 random bytes.
    Group([u8; 16]),
    /// A department of the organisation.
    Department(DisplayName),
    /// The whole organisation.
    Everyone,
}

impl Descriptor {
    /// The direct conversation of two users, or of a user with itself.
    #[must_use]
    pub fn direct(a: UserId, b: UserId) -> Self {
        Self::Direct(a.min(b), a.max(b))
    }

    /// The conversation's id in a realm; `None` for a descriptor that is not in its one form.
    #[must_use]
    pub fn id(&self, realm: &RealmId) -> Option<ConversationId> {
        if matches!(self, Self::Direct(a, b) if a > b) {
            return None;
        }
        let mut hasher = blake3::Hasher::new_derive_key("lanchat/conversation/1");
        hasher.update(&realm.0);
        hasher.update(&codec::encode(self).ok()?);
        Some(ConversationId(hasher.finalize().into()))
    }

    /// The other user of a direct conversation of `me`.
    #[must_use]
    pub fn other(&self, me: &UserId) -> Option<UserId> {
        match self {
            Self::Direct(a, b) if a == me => Some(*b),
            Self::Direct(a, b) if b == me => Some(*a),
            Self::Direct(..) | Self::Group(_) | Self::Department(_) | Self::Everyone => None,
        }
    }
}

/// Kinds of entries. A number that is not here is kept and passed on, shown as "needs an update".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// The first entry of every log: [`OpenBody`].
    Open,
    /// A text: [`TextBody`].
    Text,
    /// Shake the other's window: [`NudgeBody`].
    Nudge,
    /// A file is offered: [`FileBody`].
    File,
}

impl EntryKind {
    /// The number in the header.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Open => 1,
            Self::Text => 2,
            Self::Nudge => 3,
            Self::File => 4,
        }
    }

    /// The kind with this number.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Open),
            2 => Some(Self::Text),
            3 => Some(Self::Nudge),
            4 => Some(Self::File),
            _ => None,
        }
    }
}

/// An entry's header. Its encoded bytes are what is signed and hashed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// The realm.
    pub realm: RealmId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The author's device.
    pub device: DeviceId,
    /// The device's epoch.
    pub epoch: Epoch,
    /// 1, 2, 3 … within the log.
    pub number: u64,
    /// Hash of the entry before; [`EntryHash::NONE`] for number 1.
    pub previous: EntryHash,
    /// The author's stamp, strictly rising within the log.
    pub time: Hlc,
    /// See [`EntryKind`].
    pub kind: u16,
    /// See [`ENTRY_CRITICAL`].
    pub flags: u16,
    /// The message, the same when it is issued again.
    pub message: MessageId,
    /// Hashes of the newest group changes that the author knew; empty in direct conversations.
    pub after: BoundedVec<EntryHash, MAX_AFTER>,
    /// Bytes of the body.
    pub body_len: u32,
    /// BLAKE3 of the body.
    pub body_hash: [u8; 32],
}

impl Header {
    /// The log that the entry belongs to.
    #[must_use]
    pub fn log(&self) -> LogId {
        LogId { conversation: self.conversation, device: self.device, epoch: self.epoch }
    }
}

/// An entry as it travels and is stored: header bytes, signature, and the body unless it was deleted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WireEntry {
    /// The header's bytes, as signed.
    pub header: Blob<MAX_HEADER>,
    /// The device's signature over them.
    pub signature: Signature,
    /// The body, or `None` when it was deleted.
    pub body: Option<Blob<MAX_BODY>>,
}

impl WireEntry {
    /// Bytes that it takes on the wire, near enough to fill frames by.
    #[must_use]
    pub fn size(&self) -> usize {
        self.header.len() + 96 + self.body.as_ref().map_or(0, |body| body.len())
    }
}

/// Why an entry is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// The header cannot be read.
    #[error("entry header: {0}")]
    Header(#[from] DecodeError),
    /// Not signed by its device.
    #[error("entry: {0}")]
    Signature(#[from] SignedError),
    /// Another realm.
    #[error("entry of another realm")]
    Realm,
    /// The body is not the one that the header names.
    #[error("entry body does not match its header")]
    Body,
    /// The number, hash before, stamp or first kind does not follow from the log so far.
    #[error("entry {number} does not follow entry {after}")]
    Chain {
        /// The entry's number.
        number: u64,
        /// The log's newest number.
        after: u64,
    },
    /// The first entry does not say who writes which conversation.
    #[error("opening entry: {0}")]
    Open(#[from] OpenError),
    /// Too large to make.
    #[error("entry too large")]
    TooLarge,
}

/// Why an opening entry does not carry its log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its body is missing: without it nobody could check the log.
    #[error("without a body")]
    NoBody,
    /// The descriptor is not the conversation's.
    #[error("not this conversation's descriptor")]
    Descriptor,
    /// The certificate or the device chain is not the author's.
    #[error("{0}")]
    Certificate(#[from] CertificateError),
    /// The author has no part in the conversation.
    #[error("the author is not in the conversation")]
    Stranger,
}

/// A valid entry: everything but its place in the log is checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The header, parsed.
    pub header: Header,
    /// Hash of the header's bytes.
    pub hash: EntryHash,
    /// The entry as it travels.
    pub wire: WireEntry,
}

/// The end of a log, which the next entry has to follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LogEnd {
    /// Newest number, 0 for an empty log.
    pub number: u64,
    /// Hash of the newest entry.
    pub hash: EntryHash,
    /// Its stamp.
    pub time: Hlc,
}

impl LogEnd {
    /// The end of a log with nothing in it.
    pub const EMPTY: Self = Self { number: 0, hash: EntryHash::NONE, time: Hlc(0) };
}

/// What the author decides about a new entry; the rest follows from the log.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The realm.
    pub realm: RealmId,
    /// The log to write in.
    pub log: LogId,
    /// The author's stamp.
    pub time: Hlc,
    /// What it is.
    pub kind: EntryKind,
    /// The message id.
    pub message: MessageId,
    /// Random bytes in front of the body.
    pub salt: [u8; BODY_SALT],
    /// The body behind them.
    pub content: Vec<u8>,
}

impl Entry {
    /// Writes and signs the entry that follows `end`.
    ///
    /// # Errors
    /// [`EntryError::TooLarge`].
    pub fn write(draft: Draft, end: &LogEnd, key: &SecretKey) -> Result<Self, EntryError> {
        let mut body = draft.salt.to_vec();
        body.extend_from_slice(&draft.content);
        let body = Blob::<MAX_BODY>::new(body).map_err(|_| EntryError::TooLarge)?;
        let header = Header {
            realm: draft.realm,
            conversation: draft.log.conversation,
            device: draft.log.device,
            epoch: draft.log.epoch,
            number: end.number.checked_add(1).ok_or(EntryError::TooLarge)?,
            previous: end.hash,
            time: draft.time,
            kind: draft.kind.number(),
            flags: 0,
            message: draft.message,
            after: BoundedVec::empty(),
            body_len: u32::try_from(body.len()).map_err(|_| EntryError::TooLarge)?,
            body_hash: blake3::hash(&body).into(),
        };
        let bytes = codec::encode(&header).map_err(|_| EntryError::TooLarge)?;
        let signature = key.sign(ENTRY_LABEL, &bytes);
        let hash = EntryHash(blake3::hash(&bytes).into());
        let bytes = Blob::new(bytes).map_err(|_| EntryError::TooLarge)?;
        Ok(Self { header, hash, wire: WireEntry { header: bytes, signature, body: Some(body) } })
    }

    /// Checks header, signature and body of an entry that came from outside.
    ///
    /// # Errors
    /// [`EntryError`].
    pub fn open(wire: WireEntry, realm: &RealmId) -> Result<Self, EntryError> {
        let header = Self::read(&wire)?;
        if header.header.realm != *realm {
            return Err(EntryError::Realm);
        }
        signed::verify(&header.header.device, ENTRY_LABEL, &wire.header, &wire.signature)?;
        if header.header.number == 1 && wire.body.is_none() {
            return Err(OpenError::NoBody.into());
        }
        Ok(Self { wire, ..header })
    }

    /// Reads an entry that was checked before it was stored: header and body hash, not the signature.
    ///
    /// # Errors
    /// [`EntryError::Header`] or [`EntryError::Body`]: the stored bytes are damaged.
    pub fn read(wire: &WireEntry) -> Result<Self, EntryError> {
        let header: Header = codec::decode(&wire.header, MAX_HEADER)?;
        // Before the body is looked at: an entry is as valid without its body as with it.
        let len = usize::try_from(header.body_len).unwrap_or(usize::MAX);
        if !(BODY_SALT..=MAX_BODY).contains(&len) {
            return Err(EntryError::Body);
        }
        if let Some(body) = &wire.body {
            let hash: [u8; 32] = blake3::hash(body).into();
            if body.len() != len || hash != header.body_hash {
                return Err(EntryError::Body);
            }
        }
        let hash = EntryHash(blake3::hash(&wire.header).into());
        Ok(Self { header, hash, wire: wire.clone() })
    }

    /// Whether the entry is the next of a log that ends here.
    ///
    /// # Errors
    /// [`EntryError::Chain`].
    pub fn follows(&self, end: &LogEnd) -> Result<(), EntryError> {
        let h = &self.header;
        let first_is_open = (h.number == 1) == (h.kind == EntryKind::Open.number());
        if end.number.checked_add(1) == Some(h.number)
            && h.previous == end.hash
            && h.time > end.time
            && first_is_open
        {
            Ok(())
        } else {
            Err(EntryError::Chain { number: h.number, after: end.number })
        }
    }

    /// The log's end once this entry is in it.
    #[must_use]
    pub fn end(&self) -> LogEnd {
        LogEnd { number: self.header.number, hash: self.hash, time: self.header.time }
    }

    /// The body's content behind its random bytes, unless it was deleted.
    #[must_use]
    pub fn content(&self) -> Option<&[u8]> {
        self.wire.body.as_ref().and_then(|body| body.get(BODY_SALT..))
    }

    /// The body's content as the struct of its kind; `None` when it was deleted.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn body<T: DeserializeOwned>(&self) -> Result<Option<T>, DecodeError> {
        self.content().map(|content| codec::decode(content, MAX_BODY)).transpose()
    }
}

/// Body of [`EntryKind::Open`]: what third parties need to check the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OpenBody {
    /// What the conversation is.
    pub descriptor: Descriptor,
    /// The author's certificate when the log began.
    pub certificate: Certificate,
    /// The author's device chain.
    pub chain: DeviceChain,
}

impl OpenBody {
    /// Checks that the body fits the header that names it, and returns the author. Neither time nor revocation
    /// matters here: a log can be checked years later. An empty chain is a device without endorsement.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn check(&self, header: &Header) -> Result<Member, OpenError> {
        if self.descriptor.id(&header.realm) != Some(header.conversation) {
            return Err(OpenError::Descriptor);
        }
        let author = self.certificate.check_ever(&header.realm)?;
        let user = author.membership.user;
        if author.membership.device != header.device {
            return Err(CertificateError::Device.into());
        }
        if !self.chain.is_empty() {
            check_chain(&self.chain, &header.realm, &user, &header.device)?;
        }
        match &self.descriptor {
            Descriptor::Direct(a, b) if user != *a && user != *b => Err(OpenError::Stranger),
            _ => Ok(author),
        }
    }
}

/// Body of [`EntryKind::Text`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TextBody {
    /// What was said.
    pub text: Text<MAX_TEXT>,
    /// The message that it answers.
    pub reply_to: Option<MessageId>,
}

/// Body of [`EntryKind::File`]: what the author offers. Nothing of it is trusted: whoever saves it makes a name of their own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FileBody {
    /// The name, without any directory.
    pub name: Text<MAX_FILE_NAME>,
    /// Bytes.
    pub size: u64,
    /// The media type, or empty.
    pub media_type: Text<MAX_MEDIA_TYPE>,
    /// The content.
    pub hash: BlobHash,
    /// When it was last changed, as the author's machine has it; zero for unknown.
    pub changed: Wall,
}

/// Body of [`EntryKind::Nudge`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NudgeBody {
    /// How hard, 1 for now.
    pub strength: u8,
}
