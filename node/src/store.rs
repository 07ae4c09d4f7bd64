//! The store: one SQLite database for one membership (a user in a realm), written by one thread, read by a few.
//!
//! Keeps true: what was answered `Stored` is on disk, also after a power cut; a file that is damaged, not ours or from a
//! newer lanchat is told apart before anything in it changes, and nothing is ever deleted. Goes in: [`Change`]s of the
//! core. Goes out: [`StoreAnswer`]s, [`Opened`] at the start, rows for people through [`Reader`]. SQL stops here.
//! Tables and settings: `docs/storage.md`.

mod apply;
mod convert;
mod error;
pub(crate) mod files;
mod index;
pub mod limits;
mod load;
mod reader;
pub mod rows;
mod sqlite;
mod words;
mod writer;

#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use reader::Reader;

use apply::Owner;
use lanchat_node_core::boot::{LoadId, PersistId, Stored};
use lanchat_node_core::output::Change;
use lanchat_proto::certificate::{Certificate, DeviceChain};
use lanchat_proto::entry::{LogEnd, WireEntry};
use lanchat_proto::ids::{DeviceId, Epoch, LogId, RealmId, UserId};
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use tokio::sync::{Semaphore, oneshot};
use writer::{Job, Persist, Writer};

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
    /// Unknown, with the touched logs' ends read again, and the reason for people. A log whose end could not be read is
    /// missing.
    Failed(PersistId, Vec<(LogId, LogEnd)>, String),
    /// Entries that were asked for, with arrival numbers.
    Loaded(LoadId, Vec<(u64, WireEntry)>),
}

/// The writer: one thread, commits in groups. When all clones are gone without [`Self::close`], the thread ends as in a
/// crash: what was answered is on disk, and the next start checks the file.
#[derive(Clone, Debug)]
pub struct Store {
    jobs: SyncSender<Job>,
    room: Arc<Semaphore>,
    readers: Arc<reader::Pool>,
}

/// Reads whom a database belongs to, without starting anything.
///
/// # Errors
/// [`StoreError`].
pub fn peek(path: &Path) -> Result<Membership, StoreError> {
    let sql = sqlite::open_writer(path)?;
    sqlite::check_version(&sql, path)?;
    load::membership(&sql).map(|(membership, _)| membership).map_err(|error| StoreError::of(path, &error))
}

/// Gives a database that is not open another epoch, as every restored copy needs.
///
/// # Errors
/// [`StoreError`].
pub fn set_epoch(path: &Path, epoch: Epoch) -> Result<(), StoreError> {
    change(path, |sql| apply::set_epoch(sql, epoch).map_err(|error| StoreError::of(path, &error)))
}

/// Replaces certificate, chain, device, name, organisation and coordinator in a database that is not open. An open one:
/// [`Store::set_membership`].
///
/// # Errors
/// [`StoreError::OtherMembership`] for another user or realm.
pub fn set_membership(path: &Path, membership: &Membership) -> Result<(), StoreError> {
    change(path, |sql| {
        writer::replace_membership(sql, membership)
            .map_err(|error| error.map_or(StoreError::OtherMembership, |error| StoreError::of(path, &error)))
    })
}

fn change(path: &Path, work: impl FnOnce(&Connection) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let mut sql = sqlite::open_writer(path)?;
    ready(&mut sql, path)?;
    work(&sql)
}

/// Checks the version, brings the schema up to date, sets the connection up for writing.
fn ready(sql: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let version = sqlite::check_version(sql, path)?;
    sqlite::prepare_writer(sql).map_err(|error| StoreError::of(path, &error))?;
    if version < sqlite::VERSION { sqlite::migrate(sql) } else { Ok(()) }
}

/// Renames a damaged database with its log to `NAME.damaged-YYYYMMDD-HHMMSS`; answers the new path. Nothing may have
/// it open.
///
/// # Errors
/// [`StoreError`]: not all was renamed.
pub fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    files::set_aside(path).map_err(|error| StoreError::file(path, error))
}

impl Store {
    /// Creates a database for a membership at a path that does not exist yet. It appears there complete or not at all.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::ReadOnly`], [`StoreError::Full`] and others.
    pub fn create(path: &Path, membership: &Membership, epoch: Epoch) -> Result<(), StoreError> {
        let file = |error| StoreError::file(path, error);
        if path.try_exists().map_err(file)? {
            return Err(StoreError::Exists(path.to_owned()));
        }
        // Private to its owner, and gone again if anything fails below.
        let new = tempfile::Builder::new()
            .prefix(".lanchat-new-")
            .tempfile_in(files::directory_of(path))
            .map_err(file)?
            .into_temp_path();
        let sql = |error: rusqlite::Error| StoreError::of(path, &error);
        let mut connection = sqlite::open_writer(&new)?;
        connection.pragma_update(None, "application_id", sqlite::APPLICATION_ID).map_err(sql)?;
        sqlite::prepare_writer(&connection).map_err(sql)?;
        sqlite::migrate(&mut connection)?;
        apply::first_rows(&connection, membership, epoch).map_err(sql)?;
        connection.close().map_err(|(_, error)| sql(error))?;
        new.persist_noclobber(path).map_err(|error| file(error.error))?;
        files::sync_directory_of(path).map_err(file)
    }

    /// Opens a database, migrates it, checks it when it was not closed in order, and starts the writer thread. Answers come
    /// on `answers`, which may hold any number of them: the writer keeps a few thousand more.
    ///
    /// # Errors
    /// [`StoreError`]; the file is then as it was.
    pub fn open(
        path: &Path,
        answers: tokio::sync::mpsc::Sender<StoreAnswer>,
    ) -> Result<(Self, Reader, Opened), StoreError> {
        let failed = |error: rusqlite::Error| StoreError::of(path, &error);
        let mut sql = sqlite::open_writer(path)?;
        sqlite::check_version(&sql, path)?;
        let clean: bool =
            sql.query_row("SELECT clean FROM progress", [], |row| row.get(0)).map_err(failed)?;
        if !clean {
            tracing::info!(path = %path.display(), "the database was not closed in order; checking it");
            sqlite::quick_check(&sql, path)?;
        }
        ready(&mut sql, path)?;
        let opened = load::opened(&sql).map_err(failed)?;
        sql.execute("UPDATE progress SET clean = 0", []).map_err(failed)?;

        let readers = Arc::new(reader::Pool::open(path, opened.membership.user)?);
        let (jobs, queue) = std::sync::mpsc::sync_channel(limits::QUEUE);
        let room = Arc::new(Semaphore::new(limits::QUEUE));
        let owner = Owner { realm: opened.membership.realm, device: opened.membership.device };
        let writer =
            Writer::new(sql, path.to_owned(), owner, (queue, room.clone()), answers).map_err(failed)?;
        std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::file(path, error))?;
        Ok((Self { jobs, room, readers: readers.clone() }, Reader::new(readers), opened))
    }

    /// Queues a write; waits while the queue is full. After [`Self::close`] there is no answer.
    pub async fn persist(&self, id: PersistId, changes: Vec<Change>) {
        self.queue(Job::Persist(Persist { id, changes })).await;
    }

    /// Queues a read for the core. `from` is the first number wanted.
    pub async fn load(&self, id: LoadId, log: LogId, from: u64, max_entries: usize, max_bytes: usize) {
        self.queue(Job::Load { id, log, from, max_entries, max_bytes }).await;
    }

    /// Replaces certificate, chain, device, name, organisation and coordinator, after a new sign-in of the same user in the
    /// same realm.
    ///
    /// # Errors
    /// [`StoreError::OtherMembership`] for another user or realm.
    pub async fn set_membership(&self, membership: Membership) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        self.queue(Job::Membership(Box::new(membership), done)).await;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Finishes what is queued, gives all answers out, checkpoints, closes the file. Readers answer
    /// [`StoreError::Closed`] from now on.
    pub async fn close(self) {
        self.readers.close();
        let (done, closed) = oneshot::channel();
        self.queue(Job::Close(done)).await;
        // Dropped, never sent: what counts is that the thread is through.
        drop(closed.await);
    }

    async fn queue(&self, job: Job) {
        let Ok(room) = self.room.acquire().await else { return };
        // The writer gives the place back when it takes the job.
        room.forget();
        // There is a place, so this does not wait; it fails only when the thread has ended, and then nobody is to answer.
        drop(self.jobs.send(job));
    }
}
