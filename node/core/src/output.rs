//! All that a node can ask its shell for. The shell carries outputs out in order.

use crate::boot::{
    Channel, DialId, KnownDevice, LinkId, LoadId, PersistId, RequestId, StoredRoot, StoredTransfer,
    TransferState,
};
use crate::view::{CoordinatorState, Route};
use lanchat_proto::certificate::{Certificate, DeviceChain, ListAnchor, Revocation, SafetyCode};
use lanchat_proto::entry::{Descriptor, Entry, FileBody};
use lanchat_proto::frame::Frame;
use lanchat_proto::ids::{ConversationId, DeviceId, Epoch, LogId, MessageId, UserId};
use lanchat_proto::signed::Signed;
use lanchat_proto::state::{FileRecord, ReceiptRecord, SignedState};
use lanchat_proto::time::Wall;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::blob::BlobOpen;
use lanchat_proto::wire::coordinator::{DirectoryMark, Presence, Profile, Refusal};
use lanchat_proto::wire::reach::DialledPort;

/// A thing for the shell to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a frame. A queue that is full closes the link (the shell reports it closed).
    Send {
        /// On which link.
        link: LinkId,
        /// The frame.
        frame: Frame,
    },
    /// The link's hello was accepted: it may carry more than the first 4 KiB.
    Admit {
        /// The link.
        link: LinkId,
    },
    /// Close a link.
    Close {
        /// The link.
        link: LinkId,
        /// Whether what is queued goes out first.
        after_flush: bool,
    },
    /// Connect.
    Dial {
        /// Repeated by the outcome.
        dial: DialId,
        /// Whom.
        device: DeviceId,
        /// Where, best first; the relay's addresses, for a circuit.
        endpoints: Vec<Endpoint>,
        /// What for.
        channel: Channel,
        /// The relay, for a circuit.
        via: Option<DeviceId>,
    },
    /// Keep a place at a relay, so that others can reach this device through it. A place that ends is made again.
    Reserve {
        /// The relay.
        relay: DeviceId,
        /// Where it is connected.
        endpoint: Endpoint,
    },
    /// Keep no place at a relay any more.
    Release,
    /// Write these changes in one transaction, in order.
    Persist {
        /// Repeated by the outcome.
        id: PersistId,
        /// The changes.
        changes: Vec<Change>,
    },
    /// Read entries of a log.
    Load {
        /// Repeated by the outcome.
        id: LoadId,
        /// The log.
        log: LogId,
        /// The first number wanted.
        from: u64,
        /// Most entries wanted.
        max_entries: usize,
        /// Bytes of entries after which to stop, beyond the first entry.
        max_bytes: usize,
    },
    /// Fetch what is missing of an offered file over this link. It replaces an earlier fetch of the offer, which may still
    /// take what it has asked for.
    Fetch(FetchOrder),
    /// All of an offered file is here: give it its final name. No link is needed for that.
    SaveFile {
        /// The offer.
        offer: MessageId,
        /// What is offered.
        file: FileBody,
    },
    /// Stop fetching and serving a file. With `discard` what was fetched of it is removed.
    StopFile {
        /// The offer.
        offer: MessageId,
        /// Whether nothing of it is wanted any more.
        discard: bool,
    },
    /// The answer to a command.
    Answer {
        /// The command.
        request: RequestId,
        /// The outcome.
        result: Result<Answer, CommandError>,
    },
    /// Something that people or programs watch for.
    Event(Event),
}

/// A change of what is stored.
#[derive(Clone, Debug)]
pub enum Change {
    /// A new entry at the end of its log; gets the next arrival number.
    Entry(StoredEntry),
    /// The newest record of its key.
    Receipt {
        /// The record, read.
        record: ReceiptRecord,
        /// The record as it travels.
        signed: SignedState,
    },
    /// The newest word of its key about an offered file.
    Word {
        /// The record, read.
        record: FileRecord,
        /// The record as it travels.
        signed: SignedState,
    },
    /// A transfer, new or changed.
    Transfer(StoredTransfer),
    /// A transfer and all words about it are forgotten; the entry that offers it stays.
    ForgetTransfer {
        /// The conversation.
        conversation: ConversationId,
        /// The offer.
        offer: MessageId,
    },
    /// This database's epoch from now on.
    Epoch(Epoch),
    /// A fork of this device's own log: entries from this number on move to the branch table, kept but no more part
    /// of the log.
    Branch {
        /// The log.
        log: LogId,
        /// First number to move.
        from: u64,
    },
    /// Nothing is ever appended to this log again.
    Freeze {
        /// The log.
        log: LogId,
    },
    /// A device, new or changed.
    Device(KnownDevice),
    /// A user's root, or what was confirmed of it.
    Root(StoredRoot),
    /// Profiles, new or changed.
    Profiles {
        /// Whether the copy is to be emptied first.
        fresh: bool,
        /// The profiles.
        profiles: Vec<Profile>,
        /// The mark to store with them, when the copy is complete.
        mark: Option<DirectoryMark>,
    },
    /// An act of a revocation list.
    Revocation {
        /// Why the list is believed.
        anchor: ListAnchor,
        /// The issuer.
        issuer: DeviceId,
        /// Its number.
        number: u64,
        /// The act.
        signed: Signed<Revocation>,
    },
    /// The own certificate and chain.
    Own {
        /// The certificate.
        certificate: Certificate,
        /// The chain.
        chain: DeviceChain,
    },
    /// The wall clock's correction in milliseconds.
    ClockOffset(i64),
    /// An announcement of the organisation.
    Announcement {
        /// Its number.
        number: u64,
        /// When.
        at: Wall,
        /// What.
        text: String,
    },
}

/// An entry with what the store indexes it by.
#[derive(Clone, Debug)]
pub struct StoredEntry {
    /// The entry.
    pub entry: Entry,
    /// Its conversation.
    pub descriptor: Descriptor,
    /// Its author.
    pub author: UserId,
    /// When it was received or written.
    pub received_at: Wall,
    /// Whether its log begins with it here although its number is above 1: this device was told that it does. Any other
    /// entry has to follow what is on disk.
    pub begins: bool,
}

/// What is to be fetched, from where, and by which right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchOrder {
    /// The message that offers it; names the transfer.
    pub offer: MessageId,
    /// What the holder is asked for.
    pub open: BlobOpen,
    /// What is offered.
    pub file: FileBody,
    /// The link to the holder.
    pub link: LinkId,
    /// Whether the coordinator carries that link.
    pub relayed: bool,
}

/// What a command brought.
#[derive(Clone, Debug)]
pub enum Answer {
    /// It is done.
    Done,
    /// The message is on disk.
    Sent {
        /// The message.
        message: MessageId,
        /// Its conversation.
        conversation: ConversationId,
        /// Its stamp's wall time.
        sent_at: Wall,
        /// Users whose device has to have it for it to be delivered.
        recipients: Vec<UserId>,
    },
    /// A salt.
    Salt([u8; 16]),
    /// An avatar; empty without one.
    Avatar(Vec<u8>),
    /// A safety code.
    SafetyCode {
        /// The code.
        code: SafetyCode,
        /// Whether it was confirmed and still stands.
        verified: bool,
    },
    /// This node was dialled.
    Dialled {
        /// By which device; `None` for the coordinator.
        by: Option<DeviceId>,
        /// What happened at which port.
        ports: Vec<DialledPort>,
    },
}

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// Nobody of that id.
    #[error("no such user")]
    NoSuchUser,
    /// A message to oneself.
    #[error("that is you")]
    Yourself,
    /// Nothing to send.
    #[error("the text is empty")]
    EmptyText,
    /// Too much to send.
    #[error("the text has {len} bytes; at most {max} are allowed")]
    TextTooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A character that no text may hold.
    #[error("the text holds a character that is not allowed (U+{0:04X})")]
    TextCharacter(u32),
    /// The store failed; whether the change is there is being found out.
    #[error("cannot write to disk: {0}")]
    Store(String),
    /// Too many nudges.
    #[error("wait {0} s before the next nudge")]
    NudgeTooSoon(u64),
    /// Too much is waiting to be stored.
    #[error("too much is waiting to be written; try again")]
    Busy,
    /// The command needs the coordinator, which is not connected.
    #[error("the coordinator is not connected")]
    NoCoordinator,
    /// There is neither a coordinator nor a linked device to ask.
    #[error("nobody is connected whom to ask")]
    NobodyToAsk,
    /// The command needs an organisation.
    #[error("this node belongs to no organisation")]
    NoOrganisation,
    /// The coordinator said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The coordinator did not answer.
    #[error("the coordinator did not answer")]
    TimedOut,
    /// No such device, or not one that the command is for.
    #[error("no such device")]
    NoSuchDevice,
    /// No such offer of a file.
    #[error("there is no such transfer")]
    NoSuchTransfer,
    /// The transfer is at a point where that cannot be done.
    #[error("that cannot be done: the transfer is {0}")]
    TransferState(TransferState),
    /// This device is not endorsed itself.
    #[error("this device is not endorsed by your first one")]
    NotEndorsed,
    /// Where the chains of a user's devices begin is not known yet.
    #[error("that user has no safety code yet: none of their devices has shown where its chain begins")]
    NoSafetyCode,
    /// The code that was compared is not the one of now.
    #[error("the safety code is another one now: compare it again")]
    CodeChanged,
    /// Something was said in the conversation that only a newer lanchat understands.
    #[error("this conversation needs a newer lanchat")]
    NeedsUpdate,
    /// The program ends.
    #[error("lanchat is shutting down")]
    Stopping,
}

/// What people and programs watch.
#[derive(Clone, Debug)]
pub enum Event {
    /// A message is on disk, one's own or another's. A message that is issued again is told once.
    Message(Box<StoredEntry>),
    /// A receipt is on disk.
    Receipt {
        /// The log that it is about.
        log: LogId,
        /// Who received.
        user: UserId,
        /// Newest number on that user's device.
        received: u64,
        /// Newest number that the user has seen.
        read: u64,
    },
    /// A user came, left or changed how they wish to be seen. `None`: offline.
    Presence {
        /// Who.
        user: UserId,
        /// How.
        presence: Option<Presence>,
    },
    /// A link to a device of a user came up, changed or went.
    Link {
        /// Who.
        user: UserId,
        /// Which device.
        device: DeviceId,
        /// How it is reached now.
        route: Route,
        /// Where.
        addr: Option<Endpoint>,
    },
    /// A transfer is new or came on.
    Transfer {
        /// The message that offers the file.
        offer: MessageId,
    },
    /// A profile changed.
    Profile {
        /// Whose.
        user: UserId,
    },
    /// The way to the coordinator changed.
    Coordinator(CoordinatorState),
    /// Something that the user should know.
    Notice(Notice),
}

/// Something that the user should know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The organisation speaks.
    Announcement {
        /// When.
        at: Wall,
        /// What.
        text: String,
    },
    /// A user has a device that is not endorsed by an older one.
    UnendorsedDevice {
        /// Who.
        user: UserId,
        /// Which.
        device: DeviceId,
    },
    /// A user whose safety code was compared has a device that is not vouched for, or chains that begin elsewhere.
    NotVerified {
        /// Who.
        user: UserId,
    },
    /// The coordinator does not let this device in any more.
    SignedOut(Refusal),
    /// This copy of the data was behind what peers hold of it: a new epoch began.
    RestoredFromOldCopy,
    /// The clock of this machine is wrong by this many milliseconds.
    ClockWrong(i64),
    /// Two different revocation lists for one number were seen.
    RevocationConflict {
        /// Whose list.
        issuer: DeviceId,
    },
    /// The store does not take anything at the moment.
    StoreFailing {
        /// Why.
        reason: String,
    },
    /// The store works again.
    StoreRecovered,
}
