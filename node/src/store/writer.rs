//! The writer: one thread, one connection, commits in groups.
//!
//! Keeps true: `Stored` is answered only after COMMIT with `synchronous=FULL`; one job that cannot be done takes no
//! other with it; when COMMIT itself fails, every job of the group and all that waited behind are answered `Failed`, with
//! the ends of their logs read again. Goes in: jobs. Goes out: answers, in the order of the writes. Indexing happens
//! here too, in small steps while nothing waits.

use super::apply::{ApplyError, Owner, apply, set_membership, touched};
use super::error::{StoreError, reason};
use super::limits::{ANSWER_RETRY, ANSWERS, GROUP, INDEX_BACKLOG};
use super::{Membership, StoreAnswer, index, load};
use lanchat_node_core::boot::{LoadId, PersistId};
use lanchat_node_core::output::Change;
use lanchat_proto::entry::LogEnd;
use lanchat_proto::ids::LogId;
use rusqlite::{Connection, ErrorCode};
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// What the thread can be asked for.
pub(super) enum Job {
    /// Write.
    Persist(Persist),
    /// Read entries.
    Load { id: LoadId, log: LogId, from: u64, max_entries: usize, max_bytes: usize },
    /// Replace the membership's row.
    Membership(Box<Membership>, oneshot::Sender<Result<(), StoreError>>),
    /// Finish what is queued, close in order, then drop the sender.
    Close(oneshot::Sender<()>),
    /// Let no further page be allocated, as on a full disk; `false` ends it.
    #[cfg(test)]
    Full(bool),
    /// Stop at once, as in a crash.
    #[cfg(test)]
    Crash,
}

/// A write.
pub(super) struct Persist {
    pub(super) id: PersistId,
    pub(super) changes: Vec<Change>,
}

/// The thread's own things.
pub(super) struct Writer {
    sql: Connection,
    path: PathBuf,
    owner: Owner,
    jobs: Receiver<Job>,
    room: Arc<Semaphore>,
    answers: mpsc::Sender<StoreAnswer>,
    kept: VecDeque<StoreAnswer>,
    unindexed: u64,
    index_fails: bool,
}

enum Next {
    Job(Job),
    Again,
    End,
}

impl Writer {
    /// A writer for an opened database.
    pub(super) fn new(
        sql: Connection,
        path: PathBuf,
        owner: Owner,
        (jobs, room): (Receiver<Job>, Arc<Semaphore>),
        answers: mpsc::Sender<StoreAnswer>,
    ) -> Result<Self, rusqlite::Error> {
        let unindexed = index::backlog(&sql)?;
        let kept = VecDeque::new();
        Ok(Self { sql, path, owner, jobs, room, answers, kept, unindexed, index_fails: false })
    }

    /// Works until it is closed or nobody is left to ask.
    pub(super) fn run(mut self) {
        loop {
            self.hand_out();
            match self.next() {
                Next::Job(first) => {
                    if let Some(done) = self.group(first) {
                        self.close(done);
                        return;
                    }
                }
                Next::Again => {}
                Next::End => return,
            }
        }
    }

    /// The next job. While there is none: a step of indexing, or a wait.
    fn next(&mut self) -> Next {
        let job = match self.jobs.try_recv() {
            Ok(job) => Ok(job),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) if self.unindexed > 0 && !self.index_fails => {
                self.index();
                return Next::Again;
            }
            Err(TryRecvError::Empty) if !self.kept.is_empty() => self.jobs.recv_timeout(ANSWER_RETRY),
            Err(TryRecvError::Empty) => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match job {
            Ok(job) => {
                self.room.add_permits(1);
                Next::Job(job)
            }
            Err(RecvTimeoutError::Timeout) => Next::Again,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }

    /// Takes what waits and carries it out: writes first, in one commit, then the rest. Answers the close, if it came.
    fn group(&mut self, first: Job) -> Option<oneshot::Sender<()>> {
        let mut writes = Vec::new();
        let mut others = Vec::new();
        let mut taken = Some(first);
        let mut count = 1;
        while let Some(job) = taken {
            match job {
                Job::Persist(persist) => writes.push(persist),
                // What changes who writes, or whether anything is written, waits for what came before and lets nothing pass.
                job @ Job::Load { .. } => others.push(job),
                job => {
                    others.push(job);
                    break;
                }
            }
            taken = if count < GROUP { self.take() } else { None };
            count += 1;
        }
        if !writes.is_empty() {
            others.extend(self.write(writes));
        }
        let mut closed = None;
        for job in others {
            closed = self.other(job).or(closed);
        }
        if self.unindexed >= INDEX_BACKLOG && !self.index_fails {
            self.index();
        }
        closed
    }

    fn take(&self) -> Option<Job> {
        let job = self.jobs.try_recv().ok()?;
        self.room.add_permits(1);
        Some(job)
    }

    fn other(&mut self, job: Job) -> Option<oneshot::Sender<()>> {
        match job {
            Job::Persist(persist) => {
                let behind = self.write(vec![persist]);
                return behind.into_iter().fold(None, |closed, job| self.other(job).or(closed));
            }
            Job::Load { id, log, from, max_entries, max_bytes } => {
                let found = load::entries(&self.sql, &log, from, max_entries, max_bytes);
                let found = found.unwrap_or_else(|error| {
                    tracing::error!(%error, "cannot read entries");
                    Vec::new()
                });
                self.answer(StoreAnswer::Loaded(id, found));
            }
            Job::Membership(membership, done) => {
                let result = self.membership(&membership);
                // Whoever asked may have gone; the membership is written all the same.
                drop(done.send(result));
            }
            Job::Close(done) => return Some(done),
            #[cfg(test)]
            Job::Full(full) => {
                let pages: u32 = self.sql.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
                let most = if full { pages } else { 1 << 30 };
                self.sql.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(())).unwrap();
                self.index_fails = full;
            }
            #[cfg(test)]
            Job::Crash => self.jobs = std::sync::mpsc::channel().1,
        }
        None
    }

    /// Writes a group and answers for each job. When nothing could be written, what waits fails too; jobs among it that
    /// are no writes are given back.
    fn write(&mut self, mut jobs: Vec<Persist>) -> Vec<Job> {
        let mut behind = Vec::new();
        let refused = match self.commit(&jobs) {
            Ok(refused) => refused,
            Err(error) => {
                let reason = error.to_string();
                tracing::error!(reason, jobs = jobs.len(), "cannot write to the database");
                while let Some(job) = self.take() {
                    match job {
                        Job::Persist(persist) => jobs.push(persist),
                        job => behind.push(job),
                    }
                }
                jobs.iter().map(|_| Some(reason.clone())).collect()
            }
        };
        for (job, refused) in jobs.iter().zip(refused) {
            let answer = match refused {
                None => StoreAnswer::Stored(job.id),
                Some(reason) => StoreAnswer::Failed(job.id, self.ends(job), reason),
            };
            self.answer(answer);
        }
        behind
    }

    /// One transaction for all jobs. `Ok`: committed, with a reason for each job that could not be done. `Err`: nothing
    /// is committed, as far as is known.
    fn commit(&mut self, jobs: &[Persist]) -> Result<Vec<Option<String>>, ApplyError> {
        let result = self.transaction(jobs);
        if !self.sql.is_autocommit()
            && let Err(error) = self.sql.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "cannot roll back");
        }
        if let Ok((_, entries)) = &result {
            self.unindexed += entries;
            self.index_fails = false;
        }
        result.map(|(refused, _)| refused)
    }

    fn transaction(&self, jobs: &[Persist]) -> Result<(Vec<Option<String>>, u64), ApplyError> {
        let sql = &self.sql;
        sql.execute_batch("BEGIN IMMEDIATE")?;
        let mut refused = Vec::with_capacity(jobs.len());
        let mut entries = 0;
        for job in jobs {
            sql.prepare_cached("SAVEPOINT job")?.execute([])?;
            match job.changes.iter().try_for_each(|change| apply(sql, &self.owner, change)) {
                Ok(()) => {
                    let is_entry = |change: &&Change| matches!(change, Change::Entry(_));
                    entries += u64::try_from(job.changes.iter().filter(is_entry).count()).unwrap_or(0);
                    refused.push(None);
                }
                Err(error) if is_fatal(&error) || sql.is_autocommit() => return Err(error),
                Err(error) => {
                    tracing::warn!(id = job.id.0, %error, "a write was refused");
                    sql.prepare_cached("ROLLBACK TO job")?.execute([])?;
                    refused.push(Some(error.to_string()));
                }
            }
            sql.prepare_cached("RELEASE job")?.execute([])?;
        }
        sql.execute_batch("COMMIT")?;
        Ok((refused, entries))
    }

    /// Ends of the logs that a job touched, as the disk has them now; what cannot be read is missing.
    fn ends(&self, job: &Persist) -> Vec<(LogId, LogEnd)> {
        let logs: BTreeSet<LogId> = job.changes.iter().filter_map(touched).collect();
        logs.into_iter().filter_map(|log| load::end_of(&self.sql, &log).ok().map(|end| (log, end))).collect()
    }

    fn membership(&mut self, new: &Membership) -> Result<(), StoreError> {
        replace_membership(&self.sql, new).map_err(|error| match error {
            Some(error) => StoreError::of(&self.path, &error),
            None => StoreError::OtherMembership,
        })?;
        self.owner.device = new.device;
        Ok(())
    }

    fn index(&mut self) {
        match index::step(&self.sql) {
            Ok(0) => self.unindexed = 0,
            Ok(entries) => self.unindexed = self.unindexed.saturating_sub(entries),
            Err(error) => {
                // Search looks through what is not indexed; the next commit that works is followed by another try.
                tracing::warn!(reason = reason(&error), "cannot extend the search index");
                self.index_fails = true;
            }
        }
    }

    /// Gives an answer out, or keeps it while nobody takes any: a loop that waits for room in the queue of jobs must not
    /// have to wait for itself.
    fn answer(&mut self, answer: StoreAnswer) {
        self.kept.push_back(answer);
        self.hand_out();
    }

    fn hand_out(&mut self) {
        while let Some(answer) = self.kept.pop_front() {
            if self.kept.len() >= ANSWERS {
                // Nobody listens for answers any more when this fails, so there is nobody to tell.
                drop(self.answers.blocking_send(answer));
                continue;
            }
            if let Err(TrySendError::Full(answer)) = self.answers.try_send(answer) {
                self.kept.push_front(answer);
                return;
            }
        }
    }

    fn close(mut self, done: oneshot::Sender<()>) {
        for answer in std::mem::take(&mut self.kept) {
            drop(self.answers.blocking_send(answer));
        }
        let closed = self.sql.execute_batch("UPDATE progress SET clean = 1; PRAGMA wal_checkpoint(TRUNCATE)");
        if let Err(error) = closed {
            tracing::warn!(
                reason = reason(&error),
                "the database was not closed in order; it is checked at the next start"
            );
        }
        if let Err((_, error)) = self.sql.close() {
            tracing::warn!(%error, "closing the database");
        }
        drop(done);
    }
}

/// Replaces the membership's row, for the same user in the same realm only (`Err(None)`).
pub(super) fn replace_membership(sql: &Connection, new: &Membership) -> Result<(), Option<rusqlite::Error>> {
    let (old, epoch) = load::membership(sql)?;
    if (old.realm, old.user) != (new.realm, new.user) {
        return Err(None);
    }
    Ok(set_membership(sql, new, epoch)?)
}

/// Whether the disk, not the change, is at fault: then no other change of the group can be trusted to be written.
fn is_fatal(error: &ApplyError) -> bool {
    let ApplyError::Sql(error) = error else { return false };
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::OutOfMemory
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
        )
    )
}
