//! Taking entries that others send.
//!
//! Keeps true: an entry is taken only as the next of its log, signed by its device, in a conversation that both the
//! author and the one who brings it have a part in; every frame is acknowledged once, in order, after its entries are on
//! disk. From a revoked device nothing new is taken. The rules: `docs/protocol.md#sync`.

use crate::boot::{LinkId, PersistId};
use crate::limits::MAX_UNACKNOWLEDGED;
use crate::output::StoredEntry;
use crate::state::NodeState;
use crate::sync::{Cursor, Due};
use crate::writes::Write;
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::entry::{Descriptor, Entry, LogEnd, OpenBody, WireEntry};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{LogId, UserId};
use lanchat_proto::wire::link::{Acknowledge, Entries, Head};
use std::collections::{BTreeMap, BTreeSet};

/// A frame of entries while it is being judged.
struct Taking {
    link: LinkId,
    sender: UserId,
    descriptor: Descriptor,
    touched: BTreeSet<LogId>,
    /// Ends of logs with what was taken from this frame.
    ends: BTreeMap<LogId, LogEnd>,
    revoked: BTreeMap<LogId, bool>,
    taken: Vec<StoredEntry>,
}

impl NodeState {
    /// `None`: the other end sends without waiting for acknowledgements, the link is closed.
    pub(crate) fn entries_came(&mut self, id: LinkId, came: Entries) -> Option<()> {
        let sender = self.user_of_link(id)?;
        if self.links.get(id)?.sync.due.len() >= MAX_UNACKNOWLEDGED {
            return None;
        }
        let conversation = came.conversation;
        let mut touched = BTreeSet::new();
        let mut write = None;
        let opened = || self.opened_by(&came, &sender);
        if let Some(descriptor) = self.shared(&conversation, &sender).or_else(opened) {
            let mut taking = Taking {
                link: id,
                sender,
                descriptor,
                touched: BTreeSet::new(),
                ends: BTreeMap::new(),
                revoked: BTreeMap::new(),
                taken: Vec::new(),
            };
            for wire in came.entries {
                self.take_entry(&mut taking, wire);
            }
            touched = taking.touched;
            if !taking.taken.is_empty() {
                write = Some(self.store_taken(id, taking.taken));
            }
        }
        // A copy of what another link brought waits for that one's write: before it nobody knows what is held here.
        let write = write.or_else(|| self.logs.write_of(&touched));
        self.links.get_mut(id)?.sync.due.push_back(Due { conversation, logs: touched, write });
        self.flush_due(id);
        Some(())
    }

    /// A conversation that this device did not know, from the opening entry of its first log: what another device of the
    /// own user began.
    fn opened_by(&self, came: &Entries, sender: &UserId) -> Option<Descriptor> {
        let first = Entry::read(came.entries.first()?).ok()?;
        let body: OpenBody = (first.header.number == 1).then(|| first.body().ok()).flatten()??;
        let fits = body.descriptor.id(&self.me.realm) == Some(came.conversation);
        (fits && self.in_audience(&body.descriptor, sender)).then_some(body.descriptor)
    }

    fn store_taken(&mut self, id: LinkId, entries: Vec<StoredEntry>) -> PersistId {
        if let Some(link) = self.links.get_mut(id) {
            for stored in &entries {
                let (log, end) = (stored.entry.header.log(), stored.entry.end());
                let behind = link.sync.cursors.get(&log).is_none_or(|cursor| cursor.acked < end.number);
                if behind {
                    link.sync.cursors.insert(log, Cursor::at(end.number, end.hash));
                }
            }
        }
        let receipts = self.receipts_for(&entries);
        let again = self.issue_again(&entries);
        let entries = entries.into_iter().chain(again).collect();
        self.write(Write { entries, receipts, ..Write::default() }, Vec::new())
    }

    /// Judges one entry; what cannot be taken is left out, and the acknowledgement shows it.
    fn take_entry(&mut self, taking: &mut Taking, wire: WireEntry) {
        let Ok(read) = Entry::read(&wire) else { return };
        let header = &read.header;
        let log = header.log();
        if taking.descriptor.id(&self.me.realm) != Some(log.conversation) {
            return;
        }
        taking.touched.insert(log);
        if self.mend(taking.link, &log, &read, &wire) {
            return;
        }
        let row = self.logs.all.get(&log);
        if row.is_some_and(|row| row.broken || row.doubted) {
            self.ask_again_later(taking.link, log);
            return;
        }
        if row.is_some_and(|row| row.frozen) {
            return;
        }
        let tail = row.map_or(LogEnd::EMPTY, |row| row.tail);
        let mut end = taking.ends.get(&log).copied().unwrap_or(tail);
        let number = header.number;
        let begins = end.number == 0 && number > 1;
        if begins {
            end = self.floor_end(taking, &log, &end);
        }
        let next = end.number.checked_add(1);
        let fork = number == end.number && read.hash != end.hash
            || next == Some(number) && header.previous != end.hash;
        if fork && end.number > 0 {
            if Entry::open(wire, &self.me.realm).is_ok() {
                self.fork_proved(taking.link, &log);
            }
            return;
        }
        // Nobody may delete yet, so an entry without a body was stripped by whoever passes it on. Taken like that its text
        // would be lost; others still have it whole.
        if next != Some(number) || wire.body.is_none() {
            return;
        }
        let Ok(entry) = Entry::open(wire, &self.me.realm) else { return };
        if entry.follows(&end).is_err() {
            return;
        }
        let Some(author) = self.author(taking, &log, &entry) else { return };
        self.logs.open(log, taking.descriptor.clone(), author);
        self.check_restored(&log);
        taking.ends.insert(log, entry.end());
        let (descriptor, received_at) = (taking.descriptor.clone(), self.now.wall);
        taking.taken.push(StoredEntry { entry, descriptor, author, received_at, begins });
    }

    /// Where a log of which nothing is here begins for this device. Only the log's author may say so, or anybody while
    /// this device is not endorsed.
    fn floor_end(&self, taking: &Taking, log: &LogId, empty: &LogEnd) -> LogEnd {
        let told = self.links.get(taking.link).and_then(|link| link.sync.floors.get(log));
        let author = self.peers.user_of(&log.device) == Some(taking.sender);
        match told {
            Some((number, hash)) if author || self.me.chain.is_empty() => {
                LogEnd { number: *number, hash: *hash, ..*empty }
            }
            Some(_) | None => *empty,
        }
    }

    /// The user whose log it is, proved by the log's opening or by the device's certificate; `None` when nothing is
    /// taken from that device.
    fn author(&self, taking: &mut Taking, log: &LogId, entry: &Entry) -> Option<UserId> {
        let known = self.logs.all.get(log).map(|row| row.author).or_else(|| self.peers.user_of(&log.device));
        let mut opened = None;
        if entry.header.number == 1 {
            let body: OpenBody = entry.body().ok()??;
            opened = Some(body.check(&entry.header).ok()?);
        }
        let author = opened.as_ref().map(|member| member.membership.user).or(known)?;
        if known.is_some_and(|known| known != author) || !taking.descriptor_has(&author) {
            return None;
        }
        let covered = || match (self.peers.known(&log.device), &opened) {
            (None, Some(member)) => self.revoked.covers(member),
            (Some(_), _) | (None, None) => self.is_revoked(&log.device),
        };
        let revoked = *taking.revoked.entry(*log).or_insert_with(covered);
        (!revoked).then_some(author)
    }

    /// Logs that links wait to hear of until a write is decided.
    pub(crate) fn waiting_for(&self, write: PersistId) -> Vec<(LinkId, LogId)> {
        let dues = self.links.all.iter().flat_map(|(id, link)| link.sync.due.iter().map(|due| (*id, due)));
        let waiting = dues.filter(|(_, due)| due.write == Some(write));
        waiting.flat_map(|(id, due)| due.logs.iter().map(move |log| (id, *log))).collect()
    }

    /// A write is decided: the frames that wait for it are acknowledged.
    pub(crate) fn write_decided(&mut self, write: PersistId) {
        let mut waited = Vec::new();
        for (id, link) in self.links.all.iter_mut().filter(|(_, link)| !link.sync.due.is_empty()) {
            for due in link.sync.due.iter_mut().filter(|due| due.write == Some(write)) {
                due.write = None;
                waited.push(*id);
            }
        }
        waited.into_iter().for_each(|id| self.flush_due(id));
    }

    fn flush_due(&mut self, id: LinkId) {
        while let Some(link) = self.links.get_mut(id) {
            if link.sync.due.front().is_none_or(|due| due.write.is_some()) {
                return;
            }
            let Some(due) = link.sync.due.pop_front() else { return };
            let heads: Vec<Head> = due.logs.iter().map(|log| self.claimed_head(id, log)).collect();
            let frame = Acknowledge { conversation: due.conversation, heads: BoundedVec::first(heads) };
            self.post(id, Frame::new(Kind::Acknowledge, &frame));
        }
    }
}

impl Taking {
    fn descriptor_has(&self, user: &UserId) -> bool {
        match &self.descriptor {
            Descriptor::Direct(a, b) => user == a || user == b,
            Descriptor::Group(_) | Descriptor::Department(_) | Descriptor::Everyone => false,
        }
    }
}
