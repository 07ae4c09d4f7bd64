//! A node's disk: what is durable, and what a person would be shown of it.
//!
//! Keeps true: a change is applied whole and in order; an entry that does not follow its log's end is refused, as the
//! real store's keys refuse it. Written apart from the real store on purpose: it is the second opinion on it.

use lanchat_node_core::boot::{KnownDevice, Stored, StoredLog, StoredRoot, StoredTransfer};
use lanchat_node_core::output::{Change, StoredEntry};
use lanchat_proto::certificate::{Certificate, DeviceChain, ListAnchor, Revocation};
use lanchat_proto::entry::{Descriptor, EntryKind, LogEnd, TextBody, WireEntry};
use lanchat_proto::ids::{DeviceId, Epoch, LogId, MessageId, UserId};
use lanchat_proto::limits::MAX_CLOCK_AHEAD;
use lanchat_proto::signed::Signed;
use lanchat_proto::state::{FileRecord, ReceiptRecord, SignedState, StateRecord};
use lanchat_proto::time::Hlc;
use lanchat_proto::wire::coordinator::{DirectoryMark, Profile};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A log on the disk.
#[derive(Clone, Debug)]
pub struct DiskLog {
    /// Its conversation.
    pub descriptor: Descriptor,
    /// Its author.
    pub author: UserId,
    /// Its entries with their arrival numbers, oldest first.
    pub entries: Vec<(u64, Arc<StoredEntry>)>,
    /// Nothing is appended any more.
    pub frozen: bool,
}

impl DiskLog {
    /// Its end.
    #[must_use]
    pub fn end(&self) -> LogEnd {
        self.entries.last().map_or(LogEnd::EMPTY, |(_, entry)| entry.entry.end())
    }
}

/// A message as a person is shown it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// The message.
    pub message: MessageId,
    /// Where it stands.
    pub log: LogId,
    /// At which number.
    pub number: u64,
    /// Its stamp.
    pub time: Hlc,
    /// Who wrote it.
    pub author: UserId,
    /// In which conversation.
    pub descriptor: Descriptor,
    /// What it says.
    pub text: String,
}

/// The disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// The database's epoch.
    pub epoch: Epoch,
    /// The own certificate.
    pub certificate: Certificate,
    /// The own chain.
    pub chain: DeviceChain,
    /// Logs.
    pub logs: BTreeMap<LogId, DiskLog>,
    /// Entries that lost to a fork.
    pub branches: Vec<Arc<StoredEntry>>,
    /// Receipts, the newest of each reader and log.
    pub receipts: BTreeMap<(LogId, DeviceId), (ReceiptRecord, SignedState)>,
    /// Words about files, the newest of each device and offer.
    pub words: BTreeMap<(MessageId, DeviceId), (FileRecord, SignedState)>,
    /// Transfers.
    pub transfers: BTreeMap<MessageId, StoredTransfer>,
    /// Offers whose files are whole and under their final names.
    pub saved: BTreeSet<MessageId>,
    /// Offers whose files came whole.
    pub whole: BTreeSet<MessageId>,
    /// Revocation acts.
    pub revocations: Vec<(ListAnchor, Signed<Revocation>)>,
    profiles: BTreeMap<UserId, Profile>,
    directory: DirectoryMark,
    devices: BTreeMap<DeviceId, KnownDevice>,
    roots: BTreeMap<UserId, StoredRoot>,
    clock_offset: i64,
    last_stamp: Hlc,
    arrival: u64,
    announcement: u64,
}

impl Disk {
    /// A new database.
    #[must_use]
    pub fn new(epoch: Epoch, certificate: Certificate, chain: DeviceChain) -> Self {
        Self {
            epoch,
            certificate,
            chain,
            logs: BTreeMap::new(),
            branches: Vec::new(),
            receipts: BTreeMap::new(),
            words: BTreeMap::new(),
            transfers: BTreeMap::new(),
            saved: BTreeSet::new(),
            whole: BTreeSet::new(),
            revocations: Vec::new(),
            profiles: BTreeMap::new(),
            directory: DirectoryMark::default(),
            devices: BTreeMap::new(),
            roots: BTreeMap::new(),
            clock_offset: 0,
            last_stamp: Hlc::default(),
            arrival: 0,
            announcement: 0,
        }
    }

    /// Everything for a start.
    #[must_use]
    pub fn stored(&self) -> Stored {
        let logs = self.logs.iter().map(|(log, on_disk)| StoredLog {
            log: *log,
            descriptor: on_disk.descriptor.clone(),
            author: on_disk.author,
            end: on_disk.end(),
            frozen: on_disk.frozen,
        });
        let receipts = self.receipts.values().map(|(_, signed)| signed.clone());
        let words = self.words.values().map(|(_, signed)| signed.clone());
        Stored {
            logs: logs.collect(),
            states: receipts.chain(words).collect(),
            transfers: self.transfers.values().cloned().collect(),
            profiles: self.profiles.values().cloned().collect(),
            directory: self.directory,
            devices: self.devices.values().cloned().collect(),
            roots: self.roots.values().copied().collect(),
            revocations: self.revocations.clone(),
            clock_offset: self.clock_offset,
            last_stamp: self.last_stamp,
            arrival: self.arrival,
            announcement: self.announcement,
        }
    }

    /// Applies a transaction, or says what the real store would refuse it for.
    ///
    /// # Errors
    /// What is wrong.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), String> {
        changes.iter().try_for_each(|change| self.apply_one(change))
    }

    fn apply_one(&mut self, change: &Change) -> Result<(), String> {
        match change {
            Change::Entry(entry) => return self.append(entry),
            Change::Receipt { record, signed } => {
                let key = (record.log, record.reader);
                // An older word never replaces a newer one; to say it again does no harm.
                if self.receipts.get(&key).is_none_or(|(kept, _)| kept.counter < record.counter) {
                    self.receipts.insert(key, (record.clone(), signed.clone()));
                }
            }
            Change::Word { record, signed } => {
                let key = (record.offer, record.device);
                if self.words.get(&key).is_none_or(|(kept, _)| kept.counter < record.counter) {
                    self.words.insert(key, (record.clone(), signed.clone()));
                }
            }
            Change::Transfer(row) => {
                self.transfers.insert(row.offer, row.clone());
            }
            Change::ForgetTransfer { offer, .. } => {
                self.transfers.remove(offer);
                self.words.retain(|(about, _), _| about != offer);
            }
            Change::Epoch(epoch) => self.epoch = *epoch,
            Change::Branch { log, from } => {
                if let Some(on_disk) = self.logs.get_mut(log) {
                    let at = on_disk.entries.partition_point(|(_, entry)| entry.entry.header.number < *from);
                    self.branches.extend(on_disk.entries.drain(at..).map(|(_, entry)| entry));
                }
            }
            Change::Freeze { log } => {
                if let Some(on_disk) = self.logs.get_mut(log) {
                    on_disk.frozen = true;
                }
            }
            Change::Device(device) => {
                self.devices.insert(device.device, device.clone());
            }
            Change::Root(root) => {
                self.roots.insert(root.user, *root);
            }
            Change::Profiles { fresh, profiles, mark } => {
                if *fresh {
                    self.profiles.clear();
                }
                self.profiles.extend(profiles.iter().map(|profile| (profile.user, profile.clone())));
                self.directory = mark.unwrap_or(self.directory);
            }
            Change::Revocation { anchor, signed, .. } => {
                self.revocations.push((anchor.clone(), signed.clone()));
            }
            Change::Own { certificate, chain } => {
                self.certificate = certificate.clone();
                self.chain = chain.clone();
            }
            Change::ClockOffset(offset) => self.clock_offset = *offset,
            Change::Announcement { number, .. } => self.announcement = self.announcement.max(*number),
        }
        Ok(())
    }

    fn append(&mut self, stored: &StoredEntry) -> Result<(), String> {
        let log = stored.entry.header.log();
        let on_disk = self.logs.entry(log).or_insert_with(|| DiskLog {
            descriptor: stored.descriptor.clone(),
            author: stored.author,
            entries: Vec::new(),
            frozen: false,
        });
        if on_disk.frozen {
            return Err(format!("entry {} for a frozen log", stored.entry.header.number));
        }
        stored.entry.follows(&on_disk.end()).map_err(|error| format!("store: {error}"))?;
        self.arrival += 1;
        let own = self.certificate.membership.peek().is_ok_and(|own| own.device == log.device);
        let time = stored.entry.header.time;
        if own || time.wall() <= stored.received_at.plus(MAX_CLOCK_AHEAD) {
            self.last_stamp = self.last_stamp.max(time);
        }
        on_disk.entries.push((self.arrival, Arc::new(stored.clone())));
        Ok(())
    }

    /// Ends of the logs that these changes touch.
    #[must_use]
    pub fn ends(&self, changes: &[Change]) -> Vec<(LogId, LogEnd)> {
        let touched: BTreeSet<LogId> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Entry(entry) => Some(entry.entry.header.log()),
                Change::Branch { log, .. } | Change::Freeze { log } => Some(*log),
                _ => None,
            })
            .collect();
        touched.into_iter().map(|log| (log, self.end(&log))).collect()
    }

    /// The end of a log.
    #[must_use]
    pub fn end(&self, log: &LogId) -> LogEnd {
        self.logs.get(log).map_or(LogEnd::EMPTY, DiskLog::end)
    }

    /// Entries of a log for the core.
    #[must_use]
    pub fn load(
        &self,
        log: &LogId,
        from: u64,
        max_entries: usize,
        max_bytes: usize,
    ) -> Vec<(u64, WireEntry)> {
        let Some(on_disk) = self.logs.get(log) else { return Vec::new() };
        let mut bytes = 0;
        let mut loaded = Vec::new();
        for (arrival, stored) in &on_disk.entries {
            if stored.entry.header.number < from {
                continue;
            }
            bytes += stored.entry.wire.size();
            if loaded.len() >= max_entries || (bytes > max_bytes && !loaded.is_empty()) {
                break;
            }
            loaded.push((*arrival, stored.entry.wire.clone()));
        }
        loaded
    }

    /// Whether what a record of the own device says is on disk, or something newer.
    #[must_use]
    pub fn holds_word(&self, record: &StateRecord) -> bool {
        if let Ok(word) = FileRecord::read(record) {
            let kept = self.words.get(&(word.offer, word.device));
            return kept.is_some_and(|(kept, _)| kept.counter >= word.counter);
        }
        let Ok(receipt) = ReceiptRecord::read(record) else { return false };
        let kept = self.receipts.get(&(receipt.log, receipt.reader));
        kept.is_some_and(|(kept, _)| kept.counter >= receipt.counter)
            && receipt.receipt.received <= self.end(&receipt.log).number
    }

    /// Where a message stands, if it is here.
    #[must_use]
    pub fn find(&self, message: &MessageId) -> Option<(LogId, u64)> {
        self.logs.iter().find_map(|(log, on_disk)| {
            let found = on_disk.entries.iter().find(|(_, e)| e.entry.header.message == *message)?;
            Some((*log, found.1.entry.header.number))
        })
    }

    /// Every text in the order in which it is shown, each message once.
    #[must_use]
    pub fn shown(&self) -> Vec<Shown> {
        let mut all: Vec<Shown> = self.logs.iter().flat_map(|(log, on_disk)| texts(*log, on_disk)).collect();
        all.sort_by_key(|shown| (shown.time, shown.log, shown.number));
        let mut seen = BTreeSet::new();
        all.retain(|shown| seen.insert(shown.message));
        all
    }
}

fn texts(log: LogId, on_disk: &DiskLog) -> impl Iterator<Item = Shown> + '_ {
    on_disk.entries.iter().filter_map(move |(_, stored)| {
        let header = &stored.entry.header;
        if header.kind != EntryKind::Text.number() {
            return None;
        }
        let body: TextBody = stored.entry.body().ok().flatten()?;
        Some(Shown {
            message: header.message,
            log,
            number: header.number,
            time: header.time,
            author: stored.author,
            descriptor: stored.descriptor.clone(),
            text: body.text.to_string(),
        })
    })
}
