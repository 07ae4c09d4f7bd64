//! Copies of the data that went back in time, and logs that part in two.
//!
//! Keeps true: an entry of an own log that a peer holds and this copy does not, signed by this device, opens a new
//! epoch; a peer's mere word never does; what was written on the losing branch is issued again there under the same message ids, so that everybody
//! gets it once. Of others' logs that part in two what is here is kept, and nothing is added. `docs/protocol.md#epochs`.
//!
//! An own log that parted is mended so: the own entries' ends are read, the peer is told that nothing is held here and
//! sends from the start, and the first entry that differs is where the own branch is moved aside. Once for each log, so
//! that two peers with two branches cannot keep it going.

use crate::boot::LinkId;
use crate::output::{Change, StoredEntry};
use crate::state::NodeState;
use crate::writes::Write;
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::entry::{Entry, EntryKind, LogEnd, WireEntry};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{LogId, MessageId};
use lanchat_proto::wire::link::{Head, Heads};
use std::collections::{BTreeMap, BTreeSet};

/// An own log that is being mended.
#[derive(Clone, Debug)]
struct Mending {
    link: LinkId,
    /// Ends of the own entries, by number.
    ours: BTreeMap<u64, LogEnd>,
    /// Whether all of them were read.
    ready: bool,
    /// Up to where the peer's entries are the same.
    same: LogEnd,
    /// The own branch, once the first difference was found.
    branch: Option<Vec<Entry>>,
}

/// Own logs that part in two.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forks {
    mending: BTreeMap<LogId, Mending>,
    /// Logs whose entries from peers are issued again, since others may hold the other branch.
    mended: BTreeSet<LogId>,
}

/// A message to be issued again.
fn again(entry: &Entry) -> Option<(EntryKind, MessageId, Vec<u8>)> {
    let kind = EntryKind::from_number(entry.header.kind).filter(|kind| *kind != EntryKind::Open)?;
    Some((kind, entry.header.message, entry.content()?.to_vec()))
}

impl NodeState {
    /// A peer says that it holds more of an own log than this copy does. Anybody can say so; the entries, which only this
    /// device can have signed, are the proof, and the peer sends them once it knows where this copy stands.
    pub(crate) fn check_own_log(&mut self, link: LinkId, log: &LogId, head: &Head) {
        let own = log.device == self.me.device;
        let tail = self.logs.all.get(log).map_or(0, |row| row.tail.number);
        if own && head.number > tail {
            self.tell_head(link, *log);
        }
    }

    /// An own entry of the epoch in use, signed, comes from a peer and is not held here: this copy is old.
    pub(crate) fn check_restored(&mut self, log: &LogId) {
        if log.device == self.me.device && log.epoch == self.me.epoch {
            self.new_epoch(true);
        }
    }

    /// What a link was to bring does not come any more.
    pub(crate) fn forget_mending(&mut self, gone: LinkId) {
        self.forks.mending.retain(|_, mending| mending.link != gone || mending.branch.is_some());
    }

    /// A log has two branches: a signed entry shows it.
    pub(crate) fn fork_proved(&mut self, link: LinkId, log: &LogId) {
        if log.device != self.me.device {
            if let Some(row) = self.logs.all.get_mut(log) {
                row.frozen = true;
                self.save(vec![Change::Freeze { log: *log }]);
            }
            return;
        }
        self.check_restored(log);
        self.look_for_fork(link, log);
    }

    /// Compares an own log with what a peer holds of it. The peer's word is enough to look, and nothing more.
    pub(crate) fn look_for_fork(&mut self, link: LinkId, log: &LogId) {
        if self.forks.mended.contains(log) || self.forks.mending.contains_key(log) {
            return;
        }
        let (ours, same) = (BTreeMap::new(), LogEnd::EMPTY);
        self.forks.mending.insert(*log, Mending { link, ours, ready: false, same, branch: None });
        self.read_fork(*log, 1);
    }

    /// Own entries of a log that is being mended were read.
    pub(crate) fn fork_read(&mut self, log: LogId, entries: Vec<(u64, WireEntry)>) {
        let queued = self.logs.all.get(&log).is_some_and(|row| row.queued > 0);
        let Some(mending) = self.forks.mending.get_mut(&log) else { return };
        let more = !entries.is_empty();
        let read: Vec<Entry> = entries.iter().filter_map(|(_, wire)| Entry::read(wire).ok()).collect();
        if let Some(branch) = &mut mending.branch {
            branch.extend(read);
            let next = branch.last().map_or(1, |entry| entry.header.number.saturating_add(1));
            if more {
                self.read_fork(log, next);
            } else {
                self.move_branch(log);
            }
            return;
        }
        mending.ours.extend(read.iter().map(|entry| (entry.header.number, entry.end())));
        let next = mending.ours.last_key_value().map_or(1, |(number, _)| number.saturating_add(1));
        if more || queued {
            self.read_fork(log, next);
            return;
        }
        mending.ready = true;
        let link = mending.link;
        self.tell_head(link, log);
    }

    /// Tells where this device stands in a log, so that the other end goes on from there.
    pub(crate) fn tell_head(&mut self, link: LinkId, log: LogId) {
        let heads = BoundedVec::first([self.claimed_head(&log)]);
        let news = Heads { conversation: log.conversation, heads, answer: false, last: false };
        self.post(link, Frame::new(Kind::Heads, &news));
    }

    /// What is held of a log, as far as it is known to be what the others hold.
    pub(crate) fn claimed_head(&self, log: &LogId) -> Head {
        let head = self.head(log);
        match self.forks.mending.get(log) {
            Some(mending) if mending.ready => {
                Head { number: mending.same.number, hash: mending.same.hash, ..head }
            }
            Some(_) | None => head,
        }
    }

    /// Compares an entry with the own log that is being mended. Returns whether the log is.
    pub(crate) fn mend(&mut self, link: LinkId, log: &LogId, entry: &Entry, wire: &WireEntry) -> bool {
        let Some(mending) = self.forks.mending.get_mut(log) else { return false };
        let number = entry.header.number;
        if !mending.ready || mending.link != link || mending.branch.is_some() {
            return true;
        }
        if mending.same.number.checked_add(1) != Some(number) {
            return true;
        }
        match mending.ours.get(&number).copied() {
            Some(end) if end.hash == entry.hash => mending.same = end,
            Some(_) if Entry::open(wire.clone(), &self.me.realm).is_ok() => {
                mending.branch = Some(Vec::new());
                self.check_restored(log);
                self.read_fork(*log, number);
            }
            Some(_) => {}
            // Nothing differs: the peer's log only goes on.
            None => {
                self.forks.mending.remove(log);
                return false;
            }
        }
        true
    }

    /// Moves the own branch aside and issues its messages again, in one write.
    fn move_branch(&mut self, log: LogId) {
        let Some(mending) = self.forks.mending.get(&log) else { return };
        let Some(row) = self.logs.all.get(&log) else { return };
        let descriptor = row.descriptor.clone();
        let (from, same) = (mending.same.number.saturating_add(1), mending.same);
        let drafts: Vec<_> = mending.branch.iter().flatten().filter_map(again).collect();
        for (_, message, _) in &drafts {
            self.logs.is_news(*message);
        }
        let Ok(entries) = self.append(&descriptor, drafts) else {
            self.forks.mending.remove(&log);
            return;
        };
        let write = Write { entries, moved: Some((log, same)), ..Write::default() };
        self.write(write, vec![Change::Branch { log, from }]);
    }

    /// The own branch is moved aside, or could not be; the latter is tried again at the next proof.
    pub(crate) fn branch_moved(&mut self, log: LogId, end: Option<LogEnd>) {
        let mending = self.forks.mending.remove(&log);
        let Some(end) = end else { return };
        if let Some(row) = self.logs.all.get_mut(&log) {
            (row.end, row.tail) = (end, end);
        }
        self.forks.mended.insert(log);
        if let Some(mending) = mending {
            self.tell_head(mending.link, log);
        }
    }

    /// Own entries that came back into a log which had parted: others may hold the other branch, so their messages are
    /// issued again too.
    pub(crate) fn issue_again(&mut self, taken: &[StoredEntry]) -> Vec<StoredEntry> {
        let back = taken.iter().filter(|stored| self.forks.mended.contains(&stored.entry.header.log()));
        let drafts: Vec<_> = back.clone().filter_map(|stored| again(&stored.entry)).collect();
        let descriptor = back.map(|stored| stored.descriptor.clone()).next();
        match descriptor {
            Some(descriptor) if !drafts.is_empty() => self.append(&descriptor, drafts).unwrap_or_default(),
            Some(_) | None => Vec::new(),
        }
    }
}
