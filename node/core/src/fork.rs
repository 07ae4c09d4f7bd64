//! Copies of the data that went back in time, and logs that part in two.
//!
//! Keeps true: an entry of an own log that a peer holds and this copy does not, signed by this device, opens a new
//! epoch; a peer's mere word never does; what was written on the losing branch is issued again there under the same message ids, so that everybody
//! gets it once. Of others' logs that part in two what is here is kept, and nothing is added. `docs/protocol.md#epochs`.
//!
//! An own log that parted is mended so: the own entries' ends are read, the peer is told that nothing is held here and
//! sends from the start, and the first entry that differs is where the own branch is moved aside. Each link on which the
//! fork showed is compared by itself, so that none depends on another that may go. A log is mended once, so that two
//! peers with two branches cannot keep it going.

use crate::boot::LinkId;
use crate::limits::STORE_RETRY;
use crate::output::{Change, StoredEntry};
use crate::state::NodeState;
use crate::timers::Timer;
use crate::writes::Write;
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::entry::{Entry, EntryKind, LogEnd, WireEntry};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{LogId, MessageId};
use lanchat_proto::wire::link::{Head, Heads};
use std::collections::{BTreeMap, BTreeSet};

/// An own log that is being mended.
#[derive(Clone, Debug, Default)]
struct Mending {
    /// Ends of the own entries, by number.
    ours: BTreeMap<u64, LogEnd>,
    /// Whether all of them were read.
    ready: bool,
    /// Links on which the log is compared, and up to where the peer's entries are the same.
    links: BTreeMap<LinkId, LogEnd>,
    /// The own branch, once the first difference was found.
    branch: Option<Branch>,
}

/// What is to be moved aside.
#[derive(Clone, Debug)]
struct Branch {
    /// The end of what comes before it.
    same: LogEnd,
    entries: Vec<Entry>,
}

/// Own logs that part in two.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forks {
    mending: BTreeMap<LogId, Mending>,
    /// Logs whose entries from peers are issued again, since others may hold the other branch.
    mended: BTreeSet<LogId>,
    /// Logs whose branch could not be moved aside yet.
    put_off: BTreeSet<LogId>,
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

    /// What a link was to bring does not come any more; the next link shows the fork again.
    pub(crate) fn forget_mending(&mut self, gone: LinkId) {
        let loads = &mut self.loads;
        self.forks.mending.retain(|log, mending| {
            mending.links.remove(&gone);
            let goes_on = !mending.links.is_empty() || mending.branch.is_some();
            if !goes_on {
                loads.forget_fork(log);
            }
            goes_on
        });
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
        if self.forks.mended.contains(log) {
            return;
        }
        let begins = !self.forks.mending.contains_key(log);
        let mending = self.forks.mending.entry(*log).or_default();
        if mending.links.contains_key(&link) {
            return;
        }
        mending.links.insert(link, LogEnd::EMPTY);
        if begins {
            self.read_fork(*log, 1);
        } else if mending.ready {
            self.tell_head(link, *log);
        }
    }

    /// Own entries of a log that is being mended were read.
    pub(crate) fn fork_read(&mut self, log: LogId, entries: Vec<(u64, WireEntry)>) {
        let queued = self.logs.all.get(&log).is_some_and(|row| row.queued > 0);
        let Some(mending) = self.forks.mending.get_mut(&log) else { return };
        let more = !entries.is_empty();
        let read: Vec<Entry> = entries.iter().filter_map(|(_, wire)| Entry::read(wire).ok()).collect();
        if let Some(branch) = &mut mending.branch {
            branch.entries.extend(read);
            let last = branch.entries.last().map_or(branch.same.number, |entry| entry.header.number);
            if more || queued {
                self.read_fork(log, last.saturating_add(1));
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
        let links: Vec<LinkId> = mending.links.keys().copied().collect();
        links.into_iter().for_each(|link| self.tell_head(link, log));
    }

    /// Tells where this device stands in a log, so that the other end goes on from there.
    pub(crate) fn tell_head(&mut self, link: LinkId, log: LogId) {
        let heads = BoundedVec::first([self.claimed_head(link, &log)]);
        let news = Heads { conversation: log.conversation, heads, answer: false, last: false };
        self.post(link, Frame::new(Kind::Heads, &news));
    }

    /// What is held of a log, as far as it is known to be what the other end of a link holds.
    pub(crate) fn claimed_head(&self, link: LinkId, log: &LogId) -> Head {
        let head = self.head(log);
        let same = self.forks.mending.get(log).and_then(|mending| match &mending.branch {
            Some(branch) => Some(branch.same),
            None => mending.links.get(&link).copied().filter(|_| mending.ready),
        });
        same.map_or(head, |same| Head { number: same.number, hash: same.hash, ..head })
    }

    /// Compares an entry with the own log that is being mended. Returns whether that is all there is to do with it.
    pub(crate) fn mend(&mut self, link: LinkId, log: &LogId, entry: &Entry, wire: &WireEntry) -> bool {
        let Some(mending) = self.forks.mending.get_mut(log) else { return false };
        if mending.branch.is_some() {
            return true;
        }
        let Some(same) = mending.links.get_mut(&link) else { return false };
        let number = entry.header.number;
        if !mending.ready || same.number.checked_add(1) != Some(number) {
            return true;
        }
        match mending.ours.get(&number).copied() {
            Some(end) if end.hash == entry.hash => *same = end,
            Some(_) if Entry::open(wire.clone(), &self.me.realm).is_ok() => {
                mending.branch = Some(Branch { same: *same, entries: Vec::new() });
                self.check_restored(log);
                self.read_fork(*log, number);
            }
            Some(_) => {}
            // Nothing differs: the peer's log only goes on.
            None => {
                mending.links.remove(&link);
                if mending.links.is_empty() {
                    self.forks.mending.remove(log);
                }
                return false;
            }
        }
        true
    }

    /// Moves the own branch aside and issues its messages again, in one write.
    fn move_branch(&mut self, log: LogId) {
        let Some(branch) = self.forks.mending.get(&log).and_then(|mending| mending.branch.as_ref()) else {
            return;
        };
        let Some(row) = self.logs.all.get(&log) else { return };
        let descriptor = row.descriptor.clone();
        let (from, same) = (branch.same.number.saturating_add(1), branch.same);
        let drafts: Vec<_> = branch.entries.iter().filter_map(again).collect();
        for (_, message, _) in &drafts {
            self.logs.is_news(*message);
        }
        let Ok(entries) = self.append(&descriptor, drafts) else {
            self.branch_moved(log, None);
            return;
        };
        let write = Write { entries, moved: Some((log, same)), ..Write::default() };
        self.write(write, vec![Change::Branch { log, from }]);
    }

    /// The own branch is moved aside, or could not be; the latter is tried again after a while.
    pub(crate) fn branch_moved(&mut self, log: LogId, end: Option<LogEnd>) {
        let Some(end) = end else {
            self.forks.put_off.insert(log);
            self.timers.set_once(Timer::StoreRetry, self.after(STORE_RETRY));
            return;
        };
        if let Some(row) = self.logs.all.get_mut(&log) {
            (row.end, row.tail) = (end, end);
        }
        self.forks.mended.insert(log);
        let mending = self.forks.mending.remove(&log).unwrap_or_default();
        mending.links.into_keys().for_each(|link| self.tell_head(link, log));
    }

    /// Moves the branches aside that could not be.
    pub(crate) fn move_branches(&mut self) {
        std::mem::take(&mut self.forks.put_off).into_iter().for_each(|log| self.move_branch(log));
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
