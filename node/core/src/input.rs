//! All that can happen to a node.

use crate::boot::{AutoAccept, Channel, DialId, LinkId, LoadId, PersistId, RequestId};
use crate::reach::Subnet;
use lanchat_proto::certificate::SafetyCode;
use lanchat_proto::codec::Blob;
use lanchat_proto::entry::{FileBody, LogEnd, WireEntry};
use lanchat_proto::frame::Frame;
use lanchat_proto::ids::{ConversationId, DeviceId, LogId, MessageId, UserId};
use lanchat_proto::limits::MAX_AVATAR;
use lanchat_proto::names::{DisplayName, Note, UserName};
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::blob::BlobRefusal;
use lanchat_proto::wire::coordinator::{PasswordProof, Presence};

/// Something happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A control stream is open. The other's key is proved; nothing else is.
    Opened {
        /// The connection.
        link: LinkId,
        /// The other's key.
        device: DeviceId,
        /// What the stream is for.
        channel: Channel,
        /// Whether this side dialled.
        dialler: bool,
        /// The other's address; the relay's, on a relayed link.
        remote: Endpoint,
        /// Whether the coordinator carries the connection.
        relayed: bool,
        /// The dial that led to it.
        dial: Option<DialId>,
    },
    /// A frame came.
    Frame {
        /// On which link.
        link: LinkId,
        /// The frame.
        frame: Frame,
    },
    /// A link is gone, for whatever reason.
    Closed {
        /// The link.
        link: LinkId,
    },
    /// A dial failed.
    DialFailed {
        /// The dial.
        dial: DialId,
        /// Addresses tried and what happened there, for people.
        attempts: Vec<(Endpoint, String)>,
        /// What sums it up, for people.
        reason: String,
    },
    /// The addresses on which this node listens, all of them, and the subnets of this machine's adapters.
    Listening {
        /// Addresses without wildcards, best first: those of virtual adapters last.
        endpoints: Vec<Endpoint>,
        /// The adapters; empty where the shell cannot tell.
        subnets: Vec<Subnet>,
    },
    /// A device of the realm announces itself on the own network. That is a hint: its certificate decides.
    Announced {
        /// Which device it claims to be.
        device: DeviceId,
        /// Where it claims to listen.
        endpoints: Vec<Endpoint>,
    },
    /// A device is not announced any more.
    NotAnnounced {
        /// The device.
        device: DeviceId,
    },
    /// The place at the relay, asked for by `Output::Reserve`, is there.
    Reserved,
    /// The place at the relay is gone; the shell makes it again by itself.
    ReservationLost,
    /// The coordinator's addresses were looked up again.
    CoordinatorEndpoints {
        /// Addresses, best first.
        endpoints: Vec<Endpoint>,
    },
    /// The network changed, or the machine woke up: waits for a next try end now.
    NetworkChanged,
    /// A write is on disk.
    Stored {
        /// The write.
        id: PersistId,
    },
    /// A write failed or may have failed: unknown, not no. `ends` are the ends that the touched logs really have.
    StoreFailed {
        /// The write.
        id: PersistId,
        /// Ends read again after the failure; a log that is missing here could not be read.
        ends: Vec<(LogId, LogEnd)>,
        /// Why, for people (disk full, read-only).
        reason: String,
    },
    /// Entries that were asked for, in order; fewer than asked only at the log's end or the byte limit.
    Loaded {
        /// The read.
        id: LoadId,
        /// Entries with their arrival numbers.
        entries: Vec<(u64, WireEntry)>,
    },
    /// An offered file is being sent to somebody, or no more.
    Serving {
        /// The offer.
        offer: MessageId,
        /// Whether it is.
        now: bool,
    },
    /// An offered file cannot be sent: what lies there is not what was offered, or nothing does.
    SourceLost {
        /// The offer.
        offer: MessageId,
        /// What whoever asked for it is told.
        reason: BlobRefusal,
    },
    /// All of an offered file is here, and not under its final name yet: no link is needed any more.
    FileWhole {
        /// The offer.
        offer: MessageId,
    },
    /// The saving of a file that was all here ended.
    SaveEnded {
        /// The offer.
        offer: MessageId,
        /// How; [`FetchEnd::Broken`]: not all of it is here.
        end: FetchEnd,
    },
    /// A fetch ended.
    FetchEnded {
        /// The offer.
        offer: MessageId,
        /// The link of the order.
        link: LinkId,
        /// How.
        end: FetchEnd,
    },
    /// The user wants something.
    Command {
        /// Repeated by the answer.
        request: RequestId,
        /// What.
        command: Command,
    },
    /// The program ends: say goodbye.
    Stop,
}

/// How a fetch ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FetchEnd {
    /// The file is whole, verified, and under its final name.
    Complete,
    /// The stream or the link broke, or the holder was found out to break the rules: it is tried again.
    Broken,
    /// The holder does not send it.
    Refused(BlobRefusal),
    /// There is no room here: it goes on when there is.
    NoRoom,
    /// It cannot be kept here, for this reason, for people.
    Failed(String),
}

/// What a user can want of a transfer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransferAct {
    /// Fetch it.
    Accept,
    /// Never fetch it.
    Reject,
    /// Fetch or send no more for now.
    Pause,
    /// Go on.
    Resume,
    /// Give it up; the author withdraws the offer.
    Cancel,
}

/// What a user can want.
#[derive(Clone, Debug)]
pub enum Command {
    /// Say something to a user.
    SendText {
        /// To whom.
        to: UserId,
        /// What, 1 to `MAX_TEXT` bytes.
        text: String,
        /// Which message it answers.
        reply_to: Option<MessageId>,
    },
    /// Offer a file to a user. The shell has hashed it and holds it ready.
    OfferFile {
        /// To whom.
        to: UserId,
        /// What.
        file: FileBody,
    },
    /// Act on a transfer.
    Transfer {
        /// The message that offers the file.
        offer: MessageId,
        /// What to do.
        act: TransferAct,
    },
    /// From now on files are fetched unasked by this rule. What was offered before stays as it is.
    SetAutoAccept {
        /// Whose.
        whose: AutoAccept,
        /// Bytes of the largest.
        max: u64,
    },
    /// Shake a user's window.
    Nudge {
        /// Whose.
        to: UserId,
    },
    /// The user has seen a conversation up to the newest that is stored now.
    MarkRead {
        /// The conversation.
        conversation: ConversationId,
    },
    /// Change the own profile.
    SetProfile {
        /// The name to display.
        display_name: Option<DisplayName>,
        /// Department.
        department: Option<DisplayName>,
        /// Title.
        title: Option<DisplayName>,
        /// Note.
        note: Option<Note>,
        /// Avatar; empty removes it.
        avatar: Option<Blob<MAX_AVATAR>>,
    },
    /// How the user wishes to be seen.
    SetPresence {
        /// How.
        presence: Presence,
    },
    /// The salt of a user's password, to make a proof with.
    AskSalt {
        /// Whose.
        user: UserName,
    },
    /// Change the password.
    ChangePassword {
        /// Proof of the one until now.
        old: PasswordProof,
        /// Proof of the one from now on.
        new: PasswordProof,
    },
    /// Sign this device out for good.
    Logout,
    /// A user's avatar.
    AskAvatar {
        /// Whose.
        user: UserId,
    },
    /// Ask somebody to dial this node, to learn whether it can be dialled.
    AskToBeDialled,
    /// Endorse another device of the own user; or, for this device, begin a chain of its own where nobody vouches for it.
    Endorse {
        /// Which.
        device: DeviceId,
    },
    /// Accept a device of another user that is not endorsed.
    AcceptDevice {
        /// Which.
        device: DeviceId,
    },
    /// The safety code to be compared with a user.
    AskSafetyCode {
        /// With whom.
        user: UserId,
    },
    /// The two people have compared this code.
    ConfirmSafetyCode {
        /// With whom.
        user: UserId,
        /// The code that they saw.
        code: SafetyCode,
    },
    /// What was confirmed of a user counts no more.
    ForgetSafetyCode {
        /// Whose.
        user: UserId,
    },
}
