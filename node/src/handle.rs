//! The handle: how the API speaks to the running node. Commands in, answers by request, events with rising ids.
//!
//! Keeps true: whoever holds a handle can wait for an answer but never blocks the event loop; the queue is bounded, and
//! a node that has stopped answers [`HandleError::Stopped`]. Sits below `app` and `api`, so that neither imports the
//! other.

use crate::blobs::Files;
use crate::doctor::{Dialled, Facts};
use crate::store::Reader;
use lanchat_node_core::input::Command;
use lanchat_node_core::output::{Answer, CommandError, Event};
use lanchat_node_core::view::{StatusView, TransferView, UserView};
use lanchat_proto::ids::MessageId;
use lanchat_proto::time::Wall;
use lanchat_proto::wire::coordinator::Refusal;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use tokio::sync::{broadcast, mpsc, oneshot};
use zeroize::Zeroizing;

/// Requests that may wait for the event loop; a caller beyond that waits.
pub const REQUESTS: usize = 256;
/// Events that a slow listener may be behind before it is told that it missed some.
pub const EVENTS: usize = 4096;

/// Why the node did not carry out a request.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HandleError {
    /// The core said no.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Joining or leaving an organisation did not work.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// A file could not be read or written.
    #[error("{0}")]
    Failed(String),
    /// The node has stopped.
    #[error("lanchat is shutting down")]
    Stopped,
}

/// How an account is entered.
#[derive(Debug, Clone)]
pub enum EnrolMode {
    /// A new account.
    Register {
        /// The invite; the one in the join link serves when there is none here.
        invite: Option<String>,
        /// The name to display; the login serves when there is none here.
        display_name: Option<String>,
    },
    /// An account that exists.
    Login,
}

/// A wish to enter an organisation.
#[derive(Clone)]
pub struct Enrol {
    /// Join link, `host`, `host:port` or multiaddr; empty: the configured or last one.
    pub coordinator: String,
    /// The organisation's fingerprint that the person confirmed.
    pub trust: Option<String>,
    /// Whether a changed key of a pinned coordinator is accepted.
    pub trust_new_key: bool,
    /// The login.
    pub user: String,
    /// The password.
    pub password: Zeroizing<String>,
    /// How.
    pub mode: EnrolMode,
}

/// An organisation was entered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entered {
    /// Whether the password was a one-time secret of an administrator and is to be changed.
    pub must_change_password: bool,
}

/// Why an organisation was not entered or left.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EnrolError {
    /// The address cannot be read.
    #[error("'{0}' is no coordinator address: give a join link, host, host:port or multiaddr")]
    Address(String),
    /// No coordinator was found in the own network.
    #[error("{0}; name one with --coordinator HOST")]
    NotFound(String),
    /// Several organisations were found in the own network: fingerprint and address of each.
    #[error("several organisations are announced in the local network: {}; name one's address with --coordinator", .0.join(", "))]
    SeveralFound(Vec<String>),
    /// The user name cannot be used.
    #[error("{0}")]
    Name(String),
    /// The password is too short or too long.
    #[error("{0}")]
    Password(String),
    /// Nobody answers there.
    #[error("no coordinator answers at {address}: {reason}")]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        reason: String,
    },
    /// The person has to confirm the organisation first.
    #[error(
        "organisation '{org}' has the fingerprint {fingerprint}; give --trust {fingerprint} if that is right"
    )]
    TrustNeeded {
        /// The organisation's name, as the coordinator tells it.
        org: String,
        /// Its fingerprint.
        fingerprint: String,
    },
    /// The coordinator is not the one that was pinned, or proves another organisation than it should.
    #[error("the coordinator's key changed: {0}; if that is right, log in with --trust-new-key")]
    KeyChanged(String),
    /// The coordinator refused.
    #[error("{refusal}")]
    Refused {
        /// Why.
        refusal: Refusal,
        /// Seconds after which another try makes sense; 0 for none.
        retry_after_s: u64,
    },
    /// The node is in no organisation, or already in one.
    #[error("{0}")]
    State(String),
    /// Files could not be moved or written.
    #[error("{0}")]
    Storage(String),
}

/// What the API is told about the node beyond the core's view.
#[derive(Debug, Clone)]
pub struct NodeStatus {
    /// The core's view.
    pub core: StatusView,
    /// The own device as libp2p prints it.
    pub peer_id: String,
    /// Listening multiaddrs with the peer id.
    pub listen: Vec<String>,
    /// Address of the coordinator, as configured or connected.
    pub coordinator_addr: Option<String>,
    /// The organisation's name; empty in the open LAN.
    pub org: String,
    /// The organisation's fingerprint; empty in the open LAN.
    pub fingerprint: String,
    /// Whether mDNS runs.
    pub mdns: bool,
    /// When the program started.
    pub started: Wall,
}

/// A request to the event loop.
pub enum Request {
    /// For the core.
    Command(Command, oneshot::Sender<Result<Answer, CommandError>>),
    /// All users.
    Users(oneshot::Sender<Vec<UserView>>),
    /// The own profile.
    Me(oneshot::Sender<UserView>),
    /// The node.
    Status(oneshot::Sender<NodeStatus>),
    /// All transfers, in no order.
    Transfers(oneshot::Sender<Vec<TransferView>>),
    /// One transfer.
    Transfer(MessageId, oneshot::Sender<Option<TransferView>>),
    /// Bytes of a transfer moved: listeners are told.
    TransferMoved(MessageId),
    /// The starred people are others now.
    ContactsChanged,
    /// What the doctor looks at.
    Facts(oneshot::Sender<Box<Facts>>),
    /// Enter an organisation.
    Enrol(Box<Enrol>, oneshot::Sender<Result<Entered, EnrolError>>),
    /// Leave the organisation.
    Logout(oneshot::Sender<Result<Entered, EnrolError>>),
    /// Change the password: old, new.
    ChangePassword(Zeroizing<String>, Zeroizing<String>, oneshot::Sender<Result<(), HandleError>>),
    /// Write an encrypted backup: file, passphrase.
    Backup(PathBuf, Zeroizing<String>, oneshot::Sender<Result<(), HandleError>>),
    /// End the program.
    Shutdown,
}

/// An event as listeners get it.
#[derive(Clone, Debug)]
pub struct NumberedEvent {
    /// Rises by one with every event of this run.
    pub id: u64,
    /// When.
    pub at: Wall,
    /// What.
    pub event: Arc<Event>,
}

/// The handle; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    requests: mpsc::Sender<Request>,
    events: broadcast::Sender<NumberedEvent>,
    reader: Arc<RwLock<Option<Reader>>>,
    files: Arc<RwLock<Option<Files>>>,
}

/// The event loop's end of a handle.
pub struct HandleEnd {
    /// Requests to carry out.
    pub requests: mpsc::Receiver<Request>,
    /// Where events go.
    pub events: broadcast::Sender<NumberedEvent>,
    reader: Arc<RwLock<Option<Reader>>>,
    files: Arc<RwLock<Option<Files>>>,
}

/// Makes a handle and its end.
#[must_use]
pub fn channel() -> (Handle, HandleEnd) {
    let (requests, end) = mpsc::channel(REQUESTS);
    let (events, _) = broadcast::channel(EVENTS);
    let reader = Arc::new(RwLock::new(None));
    let files = Arc::new(RwLock::new(None));
    let handle = Handle { requests, events: events.clone(), reader: reader.clone(), files: files.clone() };
    (handle, HandleEnd { requests: end, events, reader, files })
}

impl HandleEnd {
    /// Sets the reader of the membership that is active now; `None` between two.
    pub fn set_reader(&self, reader: Option<Reader>) {
        if let Ok(mut slot) = self.reader.write() {
            *slot = reader;
        }
    }

    /// Sets the files of the membership that is active now; `None` between two.
    pub fn set_files(&self, files: Option<Files>) {
        if let Ok(mut slot) = self.files.write() {
            *slot = files;
        }
    }
}

impl Handle {
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, HandleError> {
        let (answer, receive) = oneshot::channel();
        self.requests.send(request(answer)).await.map_err(|_| HandleError::Stopped)?;
        receive.await.map_err(|_| HandleError::Stopped)
    }

    /// Lets the core carry out a command.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn command(&self, command: Command) -> Result<Answer, HandleError> {
        Ok(self.ask(|answer| Request::Command(command, answer)).await??)
    }

    /// Everybody but oneself.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn users(&self) -> Result<Vec<UserView>, HandleError> {
        self.ask(Request::Users).await
    }

    /// The own user.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn me(&self) -> Result<UserView, HandleError> {
        self.ask(Request::Me).await
    }

    /// The node.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn status(&self) -> Result<NodeStatus, HandleError> {
        self.ask(Request::Status).await
    }

    /// All transfers, in no order.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn transfers(&self) -> Result<Vec<TransferView>, HandleError> {
        self.ask(Request::Transfers).await
    }

    /// One transfer; `None` for an offer that is not known.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn transfer(&self, offer: MessageId) -> Result<Option<TransferView>, HandleError> {
        self.ask(|answer| Request::Transfer(offer, answer)).await
    }

    /// Lets listeners know that bytes of a transfer moved.
    pub async fn transfer_moved(&self, offer: MessageId) {
        // A loop that is gone has no listeners.
        drop(self.requests.send(Request::TransferMoved(offer)).await);
    }

    /// Lets the node know that the starred people are others now.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn contacts_changed(&self) -> Result<(), HandleError> {
        self.requests.send(Request::ContactsChanged).await.map_err(|_| HandleError::Stopped)
    }

    /// What the doctor looks at. Asks somebody to dial this node first, which takes seconds.
    ///
    /// # Errors
    /// [`HandleError::Stopped`].
    pub async fn examine(&self) -> Result<Facts, HandleError> {
        let dialled = match self.command(Command::AskToBeDialled).await {
            Ok(Answer::Dialled { by, ports }) => Dialled::Tried { by, ports },
            Err(HandleError::Command(CommandError::NobodyToAsk)) => Dialled::NobodyToAsk,
            Ok(_) | Err(_) => Dialled::NoAnswer,
        };
        let facts = self.ask(Request::Facts).await?;
        Ok(Facts { dialled, ..*facts })
    }

    /// Enters an organisation.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn enrol(&self, enrol: Enrol) -> Result<Entered, HandleError> {
        Ok(self.ask(|answer| Request::Enrol(Box::new(enrol), answer)).await??)
    }

    /// Leaves the organisation.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn logout(&self) -> Result<(), HandleError> {
        self.ask(Request::Logout).await??;
        Ok(())
    }

    /// Changes the password.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn change_password(
        &self,
        old: Zeroizing<String>,
        new: Zeroizing<String>,
    ) -> Result<(), HandleError> {
        self.ask(|answer| Request::ChangePassword(old, new, answer)).await?
    }

    /// Writes an encrypted backup.
    ///
    /// # Errors
    /// [`HandleError`].
    pub async fn backup(&self, file: PathBuf, passphrase: Zeroizing<String>) -> Result<(), HandleError> {
        self.ask(|answer| Request::Backup(file, passphrase, answer)).await?
    }

    /// Ends the program.
    pub async fn shutdown(&self) {
        // A loop that is gone has ended already.
        drop(self.requests.send(Request::Shutdown).await);
    }

    /// Events from now on. A listener that falls behind by more than [`EVENTS`] is told so by the channel.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<NumberedEvent> {
        self.events.subscribe()
    }

    /// The reader of the active membership; `None` for the moment between two.
    #[must_use]
    pub fn reader(&self) -> Option<Reader> {
        self.reader.read().ok().and_then(|slot| slot.clone())
    }
    /// The files of the active membership; `None` for the moment between two.
    #[must_use]
    pub fn files(&self) -> Option<Files> {
        self.files.read().ok().and_then(|slot| slot.clone())
    }
}
