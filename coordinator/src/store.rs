//! The database: one connection on a thread of its own.
//!
//! Keeps true: a transaction is on disk before it is answered (WAL, `synchronous = FULL`); it is there whole or not at
//! all. After a failed commit the file is asked what it holds; when it does not say, the coordinator stops, and the next
//! start reads the truth. Goes in: [`Command`]. Goes out: [`Answer`].

mod backup;
mod open;
mod rows;

use crate::limits::STORE_QUEUE;
use lanchat_coordinator_core::LinkId;
use lanchat_coordinator_core::record::{Change, Loaded};
use lanchat_proto::ids::UserId;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

pub(crate) use backup::{Files, restore};

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite.
    #[error("coordinator.db: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// A migration.
    #[error("coordinator.db cannot be brought up to date: {0}")]
    Migration(String),
    /// A database of something else.
    #[error("coordinator.db is not a database of lanchat-coordinator")]
    NotOurs,
    /// A newer program wrote it.
    #[error(
        "coordinator.db is of a newer version of lanchat-coordinator (schema {found}, known {known}); update it"
    )]
    Newer {
        /// Version found.
        found: i64,
        /// Newest version known.
        known: i64,
    },
    /// The check failed.
    #[error("coordinator.db is damaged ({0}); set it aside and restore a backup")]
    Damaged(String),
    /// A value cannot be read.
    #[error("coordinator.db holds a {0} that cannot be read; restore a backup")]
    Value(&'static str),
    /// A file.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The thread cannot be started.
    #[error("no thread for the database: {0}")]
    Thread(std::io::Error),
}

/// What the store is asked.
pub(crate) enum Command {
    /// Write all of this or nothing.
    Write { id: u64, changes: Vec<Change> },
    /// Read an avatar.
    Avatar { link: LinkId, request: u64, user: UserId },
    /// Copy everything into a new file, with the texts of other files.
    Backup { path: PathBuf, files: Files, reply: oneshot::Sender<Result<u64, StoreError>> },
}

/// What the store answers.
pub(crate) enum Answer {
    /// On disk.
    Stored { id: u64 },
    /// Not on disk, nothing of it.
    Failed { id: u64 },
    /// An avatar, empty without one.
    Avatar { link: LinkId, request: u64, user: UserId, picture: Vec<u8> },
    /// Nobody knows what is on disk.
    Broken(StoreError),
}

/// An open database, before its thread runs.
pub(crate) struct Database {
    connection: Connection,
    revision: i64,
}

impl Database {
    /// Opens, checks and migrates.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = open::open(path)?;
        let revision = rows::meta(&connection, "revision")?;
        Ok(Self { connection, revision })
    }

    /// Everything in it. A database without a generation gets this one.
    pub(crate) fn load(&self, generation: u64) -> Result<Loaded, StoreError> {
        if rows::meta(&self.connection, "generation")? == 0 {
            self.set_generation(generation)?;
        }
        rows::load(&self.connection)
    }

    /// Gives the directory a new generation, so that nodes fetch it anew.
    pub(crate) fn set_generation(&self, generation: u64) -> Result<(), StoreError> {
        // SQLite's integers have a sign; zero stands for "none yet".
        let generation = (generation >> 1).max(1);
        rows::set_meta(&self.connection, "generation", generation)
    }

    /// Writes a batch.
    pub(crate) fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        let next = self.revision.saturating_add(1);
        let transaction = self.connection.transaction()?;
        for change in changes {
            rows::write(&transaction, change)?;
        }
        rows::set_meta(&transaction, "revision", u64::try_from(next).unwrap_or_default())?;
        transaction.commit()?;
        self.revision = next;
        Ok(())
    }

    /// Writes a batch and finds out what became of it.
    fn write_surely(&mut self, id: u64, changes: &[Change]) -> Answer {
        let error = match self.write(changes) {
            Ok(()) => return Answer::Stored { id },
            Err(error) => error,
        };
        tracing::error!(%error, "Transaction failed");
        let input_output = matches!(&error, StoreError::Sqlite(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::SystemIoFailure));
        match rows::meta(&self.connection, "revision") {
            // After an error of the disk the page cache may say what the disk does not hold.
            Ok(_) if input_output => Answer::Broken(error),
            Ok(revision) if revision == self.revision => Answer::Failed { id },
            Ok(revision) if revision == self.revision.saturating_add(1) => {
                self.revision = revision;
                Answer::Stored { id }
            }
            Ok(_) => Answer::Broken(error),
            Err(error) => Answer::Broken(error),
        }
    }

    /// Runs on a thread until the handle is dropped.
    pub(crate) fn start(self) -> Result<(Store, mpsc::Receiver<Answer>), StoreError> {
        let (commands, commands_in) = sync_channel(STORE_QUEUE);
        let (answers, answers_out) = mpsc::channel(STORE_QUEUE);
        let run = move || self.run(&commands_in, &answers);
        let thread =
            std::thread::Builder::new().name("store".into()).spawn(run).map_err(StoreError::Thread)?;
        Ok((Store { commands, thread: Some(thread) }, answers_out))
    }

    fn run(mut self, commands: &Receiver<Command>, answers: &mpsc::Sender<Answer>) {
        while let Ok(command) = commands.recv() {
            let answer = match command {
                Command::Write { id, changes } => self.write_surely(id, &changes),
                Command::Avatar { link, request, user } => {
                    let picture = rows::avatar(&self.connection, &user).unwrap_or_else(|error| {
                        tracing::warn!(%error, "Avatar cannot be read");
                        Vec::new()
                    });
                    Answer::Avatar { link, request, user, picture }
                }
                Command::Backup { path, files, reply } => {
                    // Who asked may have gone; the file is there all the same.
                    drop(reply.send(backup::backup(&self.connection, &path, &files)));
                    continue;
                }
            };
            if answers.blocking_send(answer).is_err() {
                return;
            }
        }
    }
}

/// The handle of the store's thread.
pub(crate) struct Store {
    commands: SyncSender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Store {
    /// Asks; `false` when too much waits or the thread is gone.
    pub(crate) fn ask(&self, command: Command) -> bool {
        match self.commands.try_send(command) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }

    /// Lets the thread finish what it was asked and close the database.
    pub(crate) fn close(mut self) {
        let thread = self.thread.take();
        drop(self);
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("The store's thread panicked");
        }
    }
}
