//! The store: placeholder of the interface.

pub mod rows;

use lanchat_node_core::boot::{LoadId, PersistId, Stored};
use lanchat_node_core::output::Change;
use lanchat_proto::certificate::{Certificate, DeviceChain};
use lanchat_proto::entry::{Descriptor, LogEnd, WireEntry};
use lanchat_proto::ids::{ConversationId, DeviceId, Epoch, LogId, MessageId, RealmId, UserId};
use rows::{ConversationRow, HistoryRow, Page, StoreStats};
use std::path::Path;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database was written by a newer lanchat.
    #[error("the database {0} was written by a newer lanchat; update lanchat")]
    Newer(String),
    /// Anything else of the database.
    #[error("database: {0}")]
    Database(String),
}

/// What a database belongs to: one membership of one user in one realm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The realm.
    pub realm: RealmId,
    /// The user.
    pub user: UserId,
    /// The login (or chosen name in the open LAN).
    pub name: String,
    /// The device key that signed in.
    pub device: DeviceId,
    /// The own certificate.
    pub certificate: Certificate,
    /// The own chain.
    pub chain: DeviceChain,
    /// Coordinator key and `host:port` addresses, in an organisation.
    pub coordinator: Option<(DeviceId, Vec<String>)>,
    /// The organisation's name.
    pub org: String,
}

/// What an opened database holds for the core.
#[derive(Debug)]
pub struct Opened {
    /// Whom it belongs to.
    pub membership: Membership,
    /// Its epoch.
    pub epoch: Epoch,
    /// For [`lanchat_node_core::Boot`].
    pub stored: Stored,
}

/// Outcomes of jobs.
#[derive(Debug)]
pub enum StoreAnswer {
    /// On disk.
    Stored(PersistId),
    /// Unknown, with the touched logs' ends read again.
    Failed(PersistId, Vec<(LogId, LogEnd)>, String),
    /// Entries that were asked for, with arrival numbers.
    Loaded(LoadId, Vec<(u64, WireEntry)>),
}

/// The writer: one thread, commits in groups.
#[derive(Clone, Debug)]
pub struct Store;

/// Readers for history and search; cheap to clone, blocking calls (use `spawn_blocking`).
#[derive(Clone, Debug)]
pub struct Reader;

impl Store {
    /// Creates a database for a membership at a path that does not exist yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn create(_path: &Path, _membership: &Membership, _epoch: Epoch) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// Opens a database, migrates it, checks it, and starts the writer thread. Answers come on `answers`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(
        _path: &Path,
        _answers: tokio::sync::mpsc::Sender<StoreAnswer>,
    ) -> Result<(Self, Reader, Opened), StoreError> {
        unimplemented!()
    }

    /// Queues a write; waits while the queue is full.
    pub async fn persist(&self, _id: PersistId, _changes: Vec<Change>) {
        unimplemented!()
    }

    /// Queues a read for the core.
    pub async fn load(&self, _id: LoadId, _log: LogId, _from: u64, _max_entries: usize, _max_bytes: usize) {
        unimplemented!()
    }

    /// Finishes what is queued, checkpoints, closes the file.
    pub async fn close(self) {
        unimplemented!()
    }
}

impl Reader {
    /// Messages of a conversation, oldest first, the newest page unless `before` is given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn history(
        &self,
        _conversation: &ConversationId,
        _page: &Page,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        unimplemented!()
    }

    /// Messages that hold all words of a query, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn search(
        &self,
        _query: &str,
        _conversation: Option<&ConversationId>,
        _limit: usize,
    ) -> Result<Vec<HistoryRow>, StoreError> {
        unimplemented!()
    }

    /// One message.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn message(&self, _message: &MessageId) -> Result<Option<HistoryRow>, StoreError> {
        unimplemented!()
    }

    /// All conversations, the one with the newest message first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn conversations(&self) -> Result<Vec<ConversationRow>, StoreError> {
        unimplemented!()
    }

    /// How much there is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        unimplemented!()
    }

    /// A consistent copy of the database at a path that does not exist yet.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn copy_to(&self, _path: &Path) -> Result<(), StoreError> {
        unimplemented!()
    }

    /// The descriptor of a conversation that the store knows.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn descriptor(&self, _conversation: &ConversationId) -> Result<Option<Descriptor>, StoreError> {
        unimplemented!()
    }
}
