//! Writes under way, and what happens when they are on disk or fail.
//!
//! Keeps true: nothing of a write is told to anybody before it is on disk; a write that failed is unknown until the
//! ends of its logs were read. Goes in: `Stored`, `StoreFailed`, ends read again. Goes out: answers, events, and the
//! news for the links.

use crate::boot::{LinkId, PersistId, RequestId};
use crate::limits::{MAX_RETRIES, STORE_RETRY};
use crate::output::{Answer, Change, CommandError, Event, Notice, Output, StoredEntry};
use crate::state::NodeState;
use crate::timers::Timer;
use lanchat_proto::entry::{ENTRY_CRITICAL, Entry, EntryKind, LogEnd, WireEntry};
use lanchat_proto::ids::LogId;
use lanchat_proto::state::{FileRecord, ReceiptRecord, SignedState};
use std::collections::{BTreeMap, BTreeSet};

/// What waits for one write.
#[derive(Clone, Default)]
pub(crate) struct Write {
    pub(crate) entries: Vec<StoredEntry>,
    pub(crate) receipts: Vec<(ReceiptRecord, SignedState)>,
    /// Words about files.
    pub(crate) words: Vec<(FileRecord, SignedState)>,
    pub(crate) answer: Option<(RequestId, Answer)>,
    /// An own log whose branch is moved aside, with the end that it has then.
    pub(crate) moved: Option<(LogId, LogEnd)>,
    /// A log that is moved aside whole.
    pub(crate) emptied: Option<LogId>,
    /// Changes that are tried again when the write fails.
    pub(crate) retry: Vec<Change>,
}

/// All writes under way.
#[derive(Clone, Default)]
pub(crate) struct Writes {
    next: u64,
    all: BTreeMap<PersistId, Write>,
    own: usize,
    failing: bool,
    retry: Vec<Change>,
    /// Logs of which something could not be taken, with the links that have to be asked for it again.
    owed: BTreeSet<(LinkId, LogId)>,
    /// Logs that are to be moved aside whole, and could not be.
    emptying: BTreeSet<LogId>,
    /// Receipts that are written again: nobody sends them a second time.
    receipts: Vec<(ReceiptRecord, SignedState)>,
    /// Words about files that are written again.
    words: Vec<(FileRecord, SignedState)>,
}

impl Writes {
    /// Entries written for commands that are not on disk yet.
    pub(crate) fn own_entries(&self) -> usize {
        self.own
    }

    fn take(&mut self, id: PersistId) -> Option<Write> {
        let write = self.all.remove(&id)?;
        if write.answer.is_some() {
            self.own = self.own.saturating_sub(1);
        }
        Some(write)
    }

    pub(crate) fn take_requests(&mut self) -> Vec<RequestId> {
        self.all.values_mut().filter_map(|write| write.answer.take()).map(|(request, _)| request).collect()
    }
}

impl NodeState {
    /// Has `before`, then the write's entries and receipts stored in one transaction.
    pub(crate) fn write(&mut self, write: Write, before: Vec<Change>) -> PersistId {
        self.writes.next += 1;
        let id = PersistId(self.writes.next);
        let mut changes = before;
        for stored in &write.entries {
            self.logs.queue(&stored.entry);
            if let Some(log) = self.logs.all.get_mut(&stored.entry.header.log()) {
                log.write = Some(id);
            }
            changes.push(Change::Entry(stored.clone()));
            changes.extend(self.offer_queued(stored).map(Change::Transfer));
        }
        for (record, signed) in &write.receipts {
            changes.push(Change::Receipt { record: record.clone(), signed: signed.clone() });
        }
        for (record, signed) in &write.words {
            changes.push(Change::Word { record: record.clone(), signed: signed.clone() });
        }
        self.writes.own += usize::from(write.answer.is_some());
        self.writes.all.insert(id, write);
        self.out.push_back(Output::Persist { id, changes });
        id
    }

    pub(crate) fn stored(&mut self, id: PersistId) {
        let Some(write) = self.writes.take(id) else { return };
        if std::mem::take(&mut self.writes.failing) {
            self.notice(Notice::StoreRecovered);
        }
        self.committed(write);
        self.write_decided(id);
    }

    /// A write is on disk: now it may be told.
    fn committed(&mut self, write: Write) {
        if let Some((log, end)) = write.moved {
            self.branch_moved(log, Some(end));
        }
        if let Some(log) = write.emptied {
            self.log_emptied(log);
        }
        if let Some((request, answer)) = write.answer {
            self.out.push_back(Output::Answer { request, result: Ok(answer) });
        }
        for stored in &write.entries {
            self.logs.commit(&stored.entry);
            self.entry_on_disk(stored);
        }
        let mut logs: BTreeMap<LogId, Vec<&Entry>> = BTreeMap::new();
        for stored in &write.entries {
            logs.entry(stored.entry.header.log()).or_default().push(&stored.entry);
        }
        for (log, entries) in logs {
            self.spread(&log, &entries);
        }
        for (record, signed) in write.receipts {
            self.receipt_on_disk(record, signed);
        }
        for (record, signed) in write.words {
            self.word_on_disk(record, signed);
        }
    }

    /// Tells the user of an entry, and takes its stamp into account.
    fn entry_on_disk(&mut self, stored: &StoredEntry) {
        let header = &stored.entry.header;
        if header.device != self.me.device {
            self.clock.observe(header.time, self.now.wall);
        }
        let kind = EntryKind::from_number(header.kind);
        if kind.is_none() && header.flags & ENTRY_CRITICAL != 0 {
            self.logs.stopped.insert(header.conversation);
        }
        if kind != Some(EntryKind::Open) && self.logs.is_news(header.message) {
            self.event(Event::Message(Box::new(stored.clone())));
            if kind == Some(EntryKind::File) {
                self.offer_on_disk(header.message);
            }
        }
    }

    pub(crate) fn store_failed(&mut self, id: PersistId, ends: &[(LogId, LogEnd)], reason: String) {
        let Some(write) = self.writes.take(id) else { return };
        let there = |entry: &Entry| {
            let end = ends.iter().find(|(log, _)| *log == entry.header.log()).map(|(_, end)| end);
            end.map(|end| {
                end.number > entry.header.number
                    || end.number == entry.header.number && end.hash == entry.hash
            })
        };
        if !write.entries.is_empty() && write.entries.iter().all(|stored| there(&stored.entry) == Some(true))
        {
            self.committed(write);
            self.write_decided(id);
            return;
        }
        if !std::mem::replace(&mut self.writes.failing, true) {
            self.notice(Notice::StoreFailing { reason: reason.clone() });
        }
        let mut unread = BTreeSet::new();
        for stored in &write.entries {
            if there(&stored.entry).is_none() {
                unread.insert(stored.entry.header.log());
            }
            self.logs.fail(&stored.entry);
            self.transfers.not_written(&stored.entry.header.message);
        }
        unread.into_iter().for_each(|log| self.doubt_log(log));
        for (link, log) in self.waiting_for(id) {
            self.ask_again_later(link, log);
        }
        for (record, _) in &write.receipts {
            self.receipts.forget_queued(record);
        }
        for (record, _) in &write.words {
            self.words.forget_queued(record);
        }
        if write.entries.is_empty() && !write.words.is_empty() {
            self.writes.words.extend(write.words);
            let over = self.writes.words.len().saturating_sub(MAX_RETRIES);
            self.writes.words.drain(..over);
            self.timers.set_once(Timer::StoreRetry, self.after(STORE_RETRY));
        }
        if write.entries.is_empty() && !write.receipts.is_empty() {
            self.writes.receipts.extend(write.receipts);
            let over = self.writes.receipts.len().saturating_sub(MAX_RETRIES);
            self.writes.receipts.drain(..over);
            self.timers.set_once(Timer::StoreRetry, self.after(STORE_RETRY));
        }
        if let Some((log, _)) = write.moved {
            self.branch_moved(log, None);
        }
        if let Some(log) = write.emptied {
            let end = ends.iter().find(|(other, _)| *other == log).map(|(_, end)| *end);
            self.log_not_emptied(log, end);
        }
        if let Some((request, _)) = write.answer {
            self.out.push_back(Output::Answer { request, result: Err(CommandError::Store(reason)) });
        }
        if !write.retry.is_empty() {
            self.keep_for_retry(write.retry);
        }
        self.write_decided(id);
    }

    fn keep_for_retry(&mut self, changes: Vec<Change>) {
        self.writes.retry.extend(changes);
        let over = self.writes.retry.len().saturating_sub(MAX_RETRIES);
        self.writes.retry.drain(..over);
        self.timers.set_once(Timer::StoreRetry, self.after(STORE_RETRY));
    }

    /// An entry could not be taken for no fault of its sender: after a while the link is told what is held here, so that
    /// it is sent again.
    pub(crate) fn ask_again_later(&mut self, link: LinkId, log: LogId) {
        self.writes.owed.insert((link, log));
        self.timers.set_once(Timer::StoreRetry, self.after(STORE_RETRY));
    }

    /// A log could not be moved aside whole: it is tried again after a while.
    pub(crate) fn empty_later(&mut self, log: LogId) {
        self.writes.emptying.insert(log);
        self.timers.set_once(Timer::StoreRetry, self.after(STORE_RETRY));
    }

    pub(crate) fn retry_changes(&mut self) {
        for log in std::mem::take(&mut self.writes.emptying) {
            self.read_beginning(log, true);
        }
        self.move_branches();
        for (link, log) in std::mem::take(&mut self.writes.owed) {
            if self.links.get(link).is_some() {
                self.tell_head(link, log);
            }
        }
        let receipts = std::mem::take(&mut self.writes.receipts);
        let receipts = self.still_newest(receipts);
        let words = std::mem::take(&mut self.writes.words);
        let words = self.still_newest_words(words);
        if !receipts.is_empty() || !words.is_empty() {
            self.write(Write { receipts, words, ..Write::default() }, Vec::new());
        }
        let mut changes = std::mem::take(&mut self.writes.retry);
        for change in &mut changes {
            // The person may have decided otherwise since.
            if let Change::Root(stored) = change
                && let Some(now) = self.root_change(&stored.user)
            {
                *change = now;
            }
            // It may have moved on since, and be written so.
            if let Change::Transfer(stored) = change
                && let Some(now) = self.transfers.row(&stored.offer)
            {
                *stored = now.clone();
            }
        }
        self.save(changes);
    }

    /// Nobody could say where a log ends: it takes nothing until that was read.
    fn doubt_log(&mut self, log: LogId) {
        if let Some(row) = self.logs.all.get_mut(&log) {
            row.doubted = true;
        }
        self.timers.set_once(Timer::LogEnd(log), self.after(STORE_RETRY));
    }

    /// What lies behind the end that was believed is on disk after all.
    pub(crate) fn log_end_read(&mut self, log: LogId, entries: Vec<(u64, WireEntry)>) {
        let Some(row) = self.logs.all.get(&log).cloned() else { return };
        if row.queued > 0 {
            self.timers.set_once(Timer::LogEnd(log), self.after(STORE_RETRY));
            return;
        }
        let mut end = row.end;
        for (_, wire) in entries {
            let Ok(entry) = Entry::read(&wire) else { break };
            if entry.follows(&end).is_err() {
                break;
            }
            end = entry.end();
            let (descriptor, author, received_at) = (row.descriptor.clone(), row.author, self.now.wall);
            self.logs.queue(&entry);
            let stored = StoredEntry { entry, descriptor, author, received_at, begins: false };
            let offered = self.offer_queued(&stored).map(Change::Transfer);
            self.save(offered.into_iter().collect());
            self.committed(Write { entries: vec![stored], ..Write::default() });
        }
        if let Some(row) = self.logs.all.get_mut(&log) {
            (row.doubted, row.tail) = (false, row.end);
        }
        self.catch_up_receipt(log);
    }
}
