//! A store in memory, for stories and the simulator: applies changes, answers reads, boots a node.
//!
//! Keeps true: the same as the database: a list of changes is applied whole or not at all, an entry only at the end of
//! its log, a receipt only over one with a lower counter. A clone is a copy of the disk.

use crate::boot::{KnownDevice, Stored, StoredLog, StoredRoot, StoredTransfer};
use crate::output::{Change, StoredEntry};
use lanchat_proto::certificate::{Certificate, DeviceChain, ListAnchor, Revocation};
use lanchat_proto::entry::{Descriptor, Entry, EntryKind, LogEnd, TextBody, WireEntry};
use lanchat_proto::ids::{ConversationId, DeviceId, Epoch, LogId, MessageId, UserId};
use lanchat_proto::signed::Signed;
use lanchat_proto::state::{FileRecord, Receipt, ReceiptRecord, SignedState, StateKey};
use lanchat_proto::time::{Hlc, Wall};
use lanchat_proto::wire::coordinator::{DirectoryMark, Profile};
use std::collections::{BTreeMap, BTreeSet};

/// A list of changes could not be applied; nothing of it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot store: {0}")]
pub struct MemoryError(
    /// What is wrong.
    pub String,
);

/// A stored log.
#[derive(Clone, Debug)]
struct MemoryLog {
    descriptor: Descriptor,
    author: UserId,
    end: LogEnd,
    frozen: bool,
    entries: Vec<(u64, StoredEntry)>,
}

/// A message as history shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// The message.
    pub message: MessageId,
    /// Its author.
    pub author: UserId,
    /// The author's device.
    pub device: DeviceId,
    /// Its kind, known or not.
    pub kind: u16,
    /// The text, for a text whose body is there.
    pub text: Option<String>,
    /// The author's stamp.
    pub time: Hlc,
    /// The log that it stands in.
    pub log: LogId,
    /// Its number there.
    pub number: u64,
}

/// The store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    logs: BTreeMap<LogId, MemoryLog>,
    branches: Vec<StoredEntry>,
    states: BTreeMap<StateKey, (ReceiptRecord, SignedState)>,
    words: BTreeMap<(ConversationId, MessageId, DeviceId), (u64, SignedState)>,
    transfers: BTreeMap<MessageId, StoredTransfer>,
    profiles: BTreeMap<UserId, Profile>,
    directory: DirectoryMark,
    devices: BTreeMap<DeviceId, KnownDevice>,
    roots: BTreeMap<UserId, StoredRoot>,
    revocations: BTreeMap<(DeviceId, u64), (ListAnchor, Signed<Revocation>)>,
    clock_offset: i64,
    last_stamp: Hlc,
    arrival: u64,
    announcement: u64,
    announcements: Vec<(u64, Wall, String)>,
    epoch: Option<Epoch>,
    own: Option<(Certificate, DeviceChain)>,
}

impl MemoryStore {
    /// An empty store of a database with this epoch, certificate and chain.
    #[must_use]
    pub fn new(epoch: Epoch, certificate: Certificate, chain: DeviceChain) -> Self {
        Self { epoch: Some(epoch), own: Some((certificate, chain)), ..Self::default() }
    }

    /// Applies changes in order, all or none.
    ///
    /// # Errors
    /// [`MemoryError`]: an entry does not follow its log; the node has a bug.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), MemoryError> {
        if !changes.iter().any(|change| matches!(change, Change::Entry(_))) {
            return changes.iter().try_for_each(|change| self.change(change));
        }
        // Only entries can be refused, so only their logs have to be kept for the way back.
        let touched: BTreeSet<LogId> = changes.iter().filter_map(log_of).collect();
        let before: Vec<(LogId, Option<MemoryLog>)> =
            touched.into_iter().map(|log| (log, self.logs.get(&log).cloned())).collect();
        let (arrival, stamp) = (self.arrival, self.last_stamp);
        let result = changes.iter().try_for_each(|change| self.change(change));
        if result.is_err() {
            (self.arrival, self.last_stamp) = (arrival, stamp);
            for (id, log) in before {
                match log {
                    Some(log) => self.logs.insert(id, log),
                    None => self.logs.remove(&id),
                };
            }
        }
        result
    }

    fn change(&mut self, change: &Change) -> Result<(), MemoryError> {
        match change {
            Change::Entry(stored) => return self.append(stored),
            Change::Receipt { record, signed } => self.receipt(record, signed),
            Change::Word { record, signed } => self.word(record, signed),
            Change::Transfer(transfer) => {
                self.transfers.insert(transfer.offer, transfer.clone());
            }
            Change::ForgetTransfer { offer, .. } => {
                self.transfers.remove(offer);
                self.words.retain(|(_, about, _), _| about != offer);
            }
            Change::Epoch(epoch) => self.epoch = Some(*epoch),
            Change::Branch { log, from } => self.branch(log, *from),
            Change::Freeze { log } => {
                if let Some(log) = self.logs.get_mut(log) {
                    log.frozen = true;
                }
            }
            Change::Device(known) => {
                self.devices.insert(known.device, known.clone());
            }
            Change::Root(stored) => {
                self.roots.insert(stored.user, *stored);
            }
            Change::Profiles { fresh, profiles, mark } => {
                if *fresh {
                    self.profiles.clear();
                }
                self.profiles.extend(profiles.iter().map(|profile| (profile.user, profile.clone())));
                self.directory = mark.unwrap_or(self.directory);
            }
            Change::Revocation { anchor, issuer, number, signed } => {
                self.revocations.insert((*issuer, *number), (anchor.clone(), signed.clone()));
            }
            Change::Own { certificate, chain } => self.own = Some((certificate.clone(), chain.clone())),
            Change::ClockOffset(offset) => self.clock_offset = *offset,
            Change::Announcement { number, at, text } => {
                self.announcement = self.announcement.max(*number);
                self.announcements.push((*number, *at, text.clone()));
            }
        }
        Ok(())
    }

    fn append(&mut self, stored: &StoredEntry) -> Result<(), MemoryError> {
        let header = &stored.entry.header;
        let log = self.logs.entry(header.log()).or_insert_with(|| MemoryLog {
            descriptor: stored.descriptor.clone(),
            author: stored.author,
            end: LogEnd::EMPTY,
            frozen: false,
            entries: Vec::new(),
        });
        let begins = stored.begins && log.entries.is_empty();
        if log.frozen {
            return Err(MemoryError("the log is frozen".to_owned()));
        }
        if !begins {
            stored.entry.follows(&log.end).map_err(|error| MemoryError(error.to_string()))?;
        }
        self.arrival += 1;
        log.entries.push((self.arrival, stored.clone()));
        log.end = stored.entry.end();
        self.last_stamp = self.last_stamp.max(header.time);
        Ok(())
    }

    fn word(&mut self, record: &FileRecord, signed: &SignedState) {
        let key = (record.conversation, record.offer, record.device);
        if self.words.get(&key).is_none_or(|(counter, _)| *counter < record.counter) {
            self.words.insert(key, (record.counter, signed.clone()));
        }
    }

    fn receipt(&mut self, record: &ReceiptRecord, signed: &SignedState) {
        let Ok(key) = signed.peek().map(|state| state.key()) else { return };
        let newer = self.states.get(&key).is_none_or(|(old, _)| old.counter < record.counter);
        if newer {
            self.states.insert(key, (record.clone(), signed.clone()));
        }
    }

    fn branch(&mut self, id: &LogId, from: u64) {
        let Some(log) = self.logs.get_mut(id) else { return };
        let at = log.entries.partition_point(|(_, stored)| stored.entry.header.number < from);
        self.branches.extend(log.entries.split_off(at).into_iter().map(|(_, stored)| stored));
        log.end = log.entries.last().map_or(LogEnd::EMPTY, |(_, stored)| stored.entry.end());
    }

    /// Answers a read: entries with arrival numbers, from a number on.
    #[must_use]
    pub fn load(
        &self,
        log: &LogId,
        from: u64,
        max_entries: usize,
        max_bytes: usize,
    ) -> Vec<(u64, WireEntry)> {
        let mut bytes = 0;
        let mut rows = Vec::new();
        let entries = self.logs.get(log).map(|log| log.entries.as_slice()).unwrap_or_default();
        for (arrival, stored) in entries.iter().filter(|(_, stored)| stored.entry.header.number >= from) {
            bytes += stored.entry.wire.size();
            if rows.len() >= max_entries || (bytes > max_bytes && !rows.is_empty()) {
                break;
            }
            rows.push((*arrival, stored.entry.wire.clone()));
        }
        rows
    }

    /// What a node starts from.
    #[must_use]
    pub fn stored(&self) -> Stored {
        let logs = self.logs.iter().filter(|(_, log)| log.end.number > 0).map(|(id, log)| StoredLog {
            log: *id,
            descriptor: log.descriptor.clone(),
            author: log.author,
            end: log.end,
            frozen: log.frozen,
        });
        Stored {
            logs: logs.collect(),
            states: {
                let receipts = self.states.values().map(|(_, signed)| signed);
                receipts.chain(self.words.values().map(|(_, signed)| signed)).cloned().collect()
            },
            transfers: self.transfers.values().cloned().collect(),
            profiles: self.profiles.values().cloned().collect(),
            directory: self.directory,
            devices: self.devices.values().cloned().collect(),
            roots: self.roots.values().copied().collect(),
            revocations: self.revocations.values().cloned().collect(),
            clock_offset: self.clock_offset,
            last_stamp: self.last_stamp,
            arrival: self.arrival,
            announcement: self.announcement,
        }
    }

    /// The database's epoch.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// The own certificate and chain.
    #[must_use]
    pub fn own(&self) -> Option<&(Certificate, DeviceChain)> {
        self.own.as_ref()
    }

    /// The end that a log really has, as the answer to a failed write tells it.
    #[must_use]
    pub fn end(&self, log: &LogId) -> LogEnd {
        self.logs.get(log).map_or(LogEnd::EMPTY, |log| log.end)
    }

    /// Logs that changes touch, with their real ends.
    #[must_use]
    pub fn ends(&self, changes: &[Change]) -> Vec<(LogId, LogEnd)> {
        let touched: BTreeSet<LogId> = changes.iter().filter_map(log_of).collect();
        touched.into_iter().map(|log| (log, self.end(&log))).collect()
    }

    /// All conversations.
    #[must_use]
    pub fn conversations(&self) -> BTreeMap<ConversationId, Descriptor> {
        self.logs.iter().map(|(id, log)| (id.conversation, log.descriptor.clone())).collect()
    }

    /// Entries moved aside because their log parted in two.
    #[must_use]
    pub fn branches(&self) -> &[StoredEntry] {
        &self.branches
    }

    /// The announcements.
    #[must_use]
    pub fn announcements(&self) -> &[(u64, Wall, String)] {
        &self.announcements
    }

    /// A conversation as it is shown: by stamp, log and number; a message that was issued again stands once, where it
    /// comes first.
    #[must_use]
    pub fn shown(&self, conversation: &ConversationId) -> Vec<Shown> {
        let logs = self.logs.iter().filter(|(id, _)| id.conversation == *conversation);
        let entries = logs.flat_map(|(_, log)| log.entries.iter().map(|(_, stored)| stored));
        let mut rows: Vec<Shown> = entries
            .filter(|stored| stored.entry.header.kind != EntryKind::Open.number())
            .map(shown)
            .collect();
        rows.sort_by_key(|row| (row.time, row.log, row.number));
        let mut seen = BTreeSet::new();
        rows.retain(|row| seen.insert(row.message));
        rows
    }

    /// The texts of a conversation as they are shown.
    #[must_use]
    pub fn texts(&self, conversation: &ConversationId) -> Vec<String> {
        self.shown(conversation).into_iter().filter_map(|row| row.text).collect()
    }

    /// Receipts of a user's devices for a log.
    #[must_use]
    pub fn receipts(&self, log: &LogId, user: &UserId) -> Vec<Receipt> {
        let records = self.states.values().map(|(record, _)| record);
        records
            .filter(|record| record.log == *log && record.user == *user)
            .map(|record| record.receipt)
            .collect()
    }

    /// Users whose devices have a message on disk, by the receipts held here.
    #[must_use]
    pub fn delivered_to(&self, message: &MessageId) -> BTreeSet<UserId> {
        let mut users = BTreeSet::new();
        for (id, log) in &self.logs {
            for (_, stored) in
                log.entries.iter().filter(|(_, stored)| stored.entry.header.message == *message)
            {
                let number = stored.entry.header.number;
                let covering = self.states.values().filter(|(record, _)| {
                    record.log == *id && record.receipt.received >= number && record.user != log.author
                });
                users.extend(covering.map(|(record, _)| record.user));
            }
        }
        users
    }
}

fn log_of(change: &Change) -> Option<LogId> {
    match change {
        Change::Entry(stored) => Some(stored.entry.header.log()),
        Change::Branch { log, .. } | Change::Freeze { log } => Some(*log),
        Change::Receipt { .. }
        | Change::Word { .. }
        | Change::Transfer(_)
        | Change::ForgetTransfer { .. }
        | Change::Epoch(_)
        | Change::Device(_)
        | Change::Root(_)
        | Change::Profiles { .. }
        | Change::Revocation { .. }
        | Change::Own { .. }
        | Change::ClockOffset(_)
        | Change::Announcement { .. } => None,
    }
}

fn shown(stored: &StoredEntry) -> Shown {
    let entry: &Entry = &stored.entry;
    let is_text = entry.header.kind == EntryKind::Text.number();
    let body: Option<TextBody> = if is_text { entry.body().ok().flatten() } else { None };
    Shown {
        message: entry.header.message,
        author: stored.author,
        device: entry.header.device,
        kind: entry.header.kind,
        text: body.map(|body| body.text.to_string()),
        time: entry.header.time,
        log: entry.header.log(),
        number: entry.header.number,
    }
}
