//! Receipts: what one's own device has received and its user has seen, and what others say of theirs.
//!
//! Keeps true: a receipt says only what is on disk; a record with a higher counter replaces one with a lower, in
//! whatever order they come. Receipts go to the author's devices and to one's own, which pass them on. Goes in: entries
//! being stored, `MarkRead`, `States`. Goes out: records to be stored, then `States`. `docs/protocol.md#state`.

use crate::boot::LinkId;
use crate::output::{Event, StoredEntry};
use crate::state::{Me, NodeState};
use crate::words::Words;
use crate::writes::Write;
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::entry::Descriptor;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{ConversationId, DeviceId, LogId, UserId};
use lanchat_proto::state::{
    Receipt, ReceiptRecord, STATE_FILE, STATE_RECEIPT, SignedState, StateKey, StateRecord,
};
use lanchat_proto::wire::link::States;
use std::collections::BTreeMap;

/// A record on disk.
#[derive(Clone)]
struct Slot {
    record: ReceiptRecord,
    signed: SignedState,
}

impl Slot {
    /// Whether a word of the same device for the same log cannot replace this one, and says something else.
    fn outranks(&self, word: &ReceiptRecord) -> bool {
        let same = self.record.counter == word.counter && self.record.receipt == word.receipt;
        self.record.counter >= word.counter && !same
    }
}

/// All receipts.
#[derive(Clone, Default)]
pub(crate) struct Receipts {
    all: BTreeMap<StateKey, Slot>,
    /// Own receipts as queued for the disk, where that is ahead of [`Self::all`].
    queued: BTreeMap<LogId, Receipt>,
    /// Counters of others' records that are queued for the disk.
    queued_others: BTreeMap<StateKey, u64>,
    /// Highest counter ever used for an own receipt, by log.
    counters: BTreeMap<LogId, u64>,
}

fn key(log: &LogId, reader: &DeviceId) -> StateKey {
    StateKey {
        conversation: log.conversation,
        device: *reader,
        kind: STATE_RECEIPT,
        subject: log.key().to_vec(),
    }
}

impl Receipts {
    pub(crate) fn new(me: &Me, stored: Vec<SignedState>) -> Self {
        let mut receipts = Self::default();
        for signed in stored {
            if let Ok(record) = ReceiptRecord::open(&signed, &me.realm) {
                if record.reader == me.device {
                    receipts.counters.insert(record.log, record.counter);
                }
                receipts.all.insert(key(&record.log, &record.reader), Slot { record, signed });
            }
        }
        receipts
    }

    fn get(&self, log: &LogId, reader: &DeviceId) -> Option<&Slot> {
        self.all.get(&key(log, reader))
    }

    /// An own receipt as queued, or else as stored.
    fn own(&self, log: &LogId, me: &DeviceId) -> Receipt {
        let stored = || self.get(log, me).map(|slot| slot.record.receipt);
        self.queued.get(log).copied().or_else(stored).unwrap_or_default()
    }

    /// A queued record did not reach the disk.
    pub(crate) fn forget_queued(&mut self, record: &ReceiptRecord) {
        self.queued.remove(&record.log);
        self.queued_others.remove(&key(&record.log, &record.reader));
    }

    fn of(&self, conversation: &ConversationId) -> impl Iterator<Item = &Slot> {
        let conversation = *conversation;
        let first = StateKey { conversation, device: DeviceId([0; 32]), kind: 0, subject: Vec::new() };
        self.all
            .range(first..)
            .take_while(move |(key, _)| key.conversation == conversation)
            .map(|(_, slot)| slot)
    }
}

/// Hash over receipts in order of their keys, and over all words about files.
fn digest<'a>(
    slots: impl Iterator<Item = &'a Slot>,
    words: &Words,
    conversation: &ConversationId,
) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new_derive_key("lanchat/states/1");
    for slot in slots {
        hasher.update(&slot.record.reader.0);
        hasher.update(&STATE_RECEIPT.to_le_bytes());
        hasher.update(&slot.record.log.key());
        hasher.update(&slot.record.counter.to_le_bytes());
        // A device that went back in time may have used one counter for two words.
        hasher.update(&slot.record.receipt.received.to_le_bytes());
        hasher.update(&slot.record.receipt.read.to_le_bytes());
    }
    words.digest(conversation, &mut hasher);
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

impl NodeState {
    /// A new own record, to be stored.
    fn own_receipt(&mut self, log: LogId, receipt: Receipt) -> Option<(ReceiptRecord, SignedState)> {
        let time = self.clock.stamp(self.now.wall);
        let before = self.receipts.counters.get(&log).copied().unwrap_or(0);
        let counter = time.0.max(before.saturating_add(1));
        let (reader, user) = (self.me.device, self.me.user);
        let record = ReceiptRecord { log, reader, user, receipt, counter, time };
        let signed = record.sign(&self.me.realm, &self.me.key).ok()?;
        self.receipts.counters.insert(log, counter);
        self.receipts.queued.insert(log, receipt);
        Some((record, signed))
    }

    /// Receipts that go to disk together with these entries of others.
    pub(crate) fn receipts_for(&mut self, entries: &[StoredEntry]) -> Vec<(ReceiptRecord, SignedState)> {
        let mut newest: BTreeMap<LogId, u64> = BTreeMap::new();
        for stored in entries.iter().filter(|stored| stored.author != self.me.user) {
            newest.insert(stored.entry.header.log(), stored.entry.header.number);
        }
        let mut records = Vec::new();
        for (log, received) in newest {
            let before = self.receipts.own(&log, &self.me.device);
            let received = received.max(before.received);
            records.extend(self.own_receipt(log, Receipt { received, ..before }));
        }
        records
    }

    /// Gives the receipt for entries that turned out to be on disk.
    pub(crate) fn catch_up_receipt(&mut self, log: LogId) {
        let end = self.logs.end(&log).number;
        let others = self.logs.all.get(&log).is_some_and(|row| row.author != self.me.user);
        let before = self.receipts.own(&log, &self.me.device);
        if others && before.received < end {
            let receipts: Vec<_> =
                self.own_receipt(log, Receipt { received: end, ..before }).into_iter().collect();
            self.write(Write { receipts, ..Write::default() }, Vec::new());
        }
    }

    /// The user has seen everything of a conversation that is on disk now.
    pub(crate) fn mark_read(&mut self, conversation: &ConversationId) {
        let others: Vec<(LogId, u64)> = self
            .logs
            .of(conversation)
            .filter(|(_, log)| log.author != self.me.user)
            .map(|(id, log)| (*id, log.end.number))
            .collect();
        let mut receipts = Vec::new();
        for (log, end) in others {
            let before = self.receipts.own(&log, &self.me.device);
            if before.read < end {
                let receipt = Receipt { received: before.received.max(end), read: end };
                receipts.extend(self.own_receipt(log, receipt));
            }
        }
        if !receipts.is_empty() {
            self.write(Write { receipts, ..Write::default() }, Vec::new());
        }
    }

    /// Of records whose write failed, those that nothing newer has replaced; they count as queued again.
    pub(crate) fn still_newest(
        &mut self,
        records: Vec<(ReceiptRecord, SignedState)>,
    ) -> Vec<(ReceiptRecord, SignedState)> {
        let mut kept = BTreeMap::new();
        for (record, signed) in records {
            let slot = key(&record.log, &record.reader);
            let own = record.reader == self.me.device;
            let used = if own { self.receipts.counters.get(&record.log) } else { None };
            let stored = self.receipts.all.get(&slot).map(|slot| slot.record.counter);
            let queued = self.receipts.queued_others.get(&slot).copied();
            let newer = stored.max(queued).is_none_or(|newest| newest < record.counter);
            if newer && used.is_none_or(|used| *used <= record.counter) {
                let end = self.logs.end(&record.log).number;
                if own && record.receipt.received > end {
                    // It was given while entries were on their way to the disk, and they did not get there.
                    let receipt = Receipt { received: end, read: record.receipt.read.min(end) };
                    kept.extend(self.own_receipt(record.log, receipt).map(|record| (slot, record)));
                    continue;
                }
                if own {
                    self.receipts.queued.insert(record.log, record.receipt);
                } else {
                    self.receipts.queued_others.insert(slot.clone(), record.counter);
                }
                kept.insert(slot, (record, signed));
            }
        }
        kept.into_values().collect()
    }

    /// A record is on disk: it is told, and goes on its way.
    pub(crate) fn receipt_on_disk(&mut self, record: ReceiptRecord, signed: SignedState) {
        let slot = key(&record.log, &record.reader);
        if self.receipts.queued_others.get(&slot) == Some(&record.counter) {
            self.receipts.queued_others.remove(&slot);
        }
        let newer = self.receipts.all.get(&slot).is_none_or(|old| old.record.counter < record.counter);
        if !newer {
            return;
        }
        self.receipts.all.insert(slot, Slot { record: record.clone(), signed: signed.clone() });
        if record.reader != self.me.device {
            let Receipt { received, read } = record.receipt;
            self.event(Event::Receipt { log: record.log, user: record.user, received, read });
        } else if self.receipts.queued.get(&record.log) == Some(&record.receipt) {
            self.receipts.queued.remove(&record.log);
        }
        let author = self.author_of(&record.log);
        let to: Vec<LinkId> = self
            .peers
            .linked()
            .filter(|(device, user, _)| {
                let meant = *user == self.me.user || Some(*user) == author;
                *device != record.reader && meant && !self.is_barred(device)
            })
            .map(|(_, _, link)| link)
            .collect();
        let frame = States { records: BoundedVec::first([signed]) };
        for link in to {
            self.post(link, Frame::new(Kind::States, &frame));
        }
    }

    /// The user whose log it is, as far as this node can know.
    fn author_of(&self, log: &LogId) -> Option<UserId> {
        if log.device == self.me.device {
            return Some(self.me.user);
        }
        self.logs.all.get(log).map(|log| log.author).or_else(|| self.peers.user_of(&log.device))
    }

    /// Digests of the records for the logs of a peer's user, and for those of the own user.
    pub(crate) fn state_digests(&self, conversation: &ConversationId, peer: &UserId) -> ([u8; 16], [u8; 16]) {
        let about = |user: &UserId| {
            let user = *user;
            let slots = self.receipts.of(conversation);
            let theirs = slots.filter(move |slot| self.author_of(&slot.record.log) == Some(user));
            digest(theirs, &self.words, conversation)
        };
        if *peer == self.me.user {
            let own = *peer;
            let slots = self.receipts.of(conversation).filter(|slot| slot.record.user == own);
            let by_own = digest(slots, &self.words, conversation);
            return (about(peer), by_own);
        }
        (about(peer), about(&self.me.user))
    }

    /// Sends the records that a peer may lack.
    pub(crate) fn send_states(&mut self, link: LinkId, conversation: &ConversationId, peer: &UserId) {
        let own_device = *peer == self.me.user;
        let records: Vec<SignedState> = self
            .receipts
            .of(conversation)
            .filter(|slot| own_device || self.author_of(&slot.record.log) == Some(*peer))
            .map(|slot| slot.signed.clone())
            .chain(self.words.of(conversation).map(|(_, signed)| signed.clone()))
            .collect();
        self.queue_states(link, conversation, records);
    }

    pub(crate) fn states_came(&mut self, link: LinkId, states: &States) {
        let Some(peer) = self.user_of_link(link) else { return };
        let device = self.links.get(link).map(|link| link.device);
        let mut receipts: Vec<(ReceiptRecord, SignedState)> = Vec::new();
        let mut words = Vec::new();
        // Words of the sender that its own do not replace: it went back in time, and has to know which counters it used.
        let mut behind = Vec::new();
        for signed in &states.records {
            let Ok(state) = StateRecord::open(signed, &self.me.realm) else { continue };
            if state.kind == STATE_FILE {
                words.extend(self.word_came(&state, signed, &peer));
                continue;
            }
            let Ok(record) = ReceiptRecord::read(&state) else { continue };
            if record.reader == self.me.device {
                receipts.extend(self.own_record_came(&record));
                continue;
            }
            let stored = self.receipts.get(&record.log, &record.reader);
            if device == Some(record.reader)
                && let Some(slot) = stored.filter(|slot| slot.outranks(&record))
            {
                behind.push(slot.signed.clone());
            }
            let queued = self.receipts.queued_others.get(&key(&record.log, &record.reader));
            let newest = stored.map(|slot| slot.record.counter).max(queued.copied());
            if newest.is_none_or(|newest| newest < record.counter) && self.may_say(&record, &peer) {
                self.receipts.queued_others.insert(key(&record.log, &record.reader), record.counter);
                receipts.push((record, signed.clone()));
            }
        }
        if !behind.is_empty() {
            let frame = States { records: BoundedVec::first(behind) };
            self.post(link, Frame::new(Kind::States, &frame));
        }
        if !receipts.is_empty() || !words.is_empty() {
            self.write(Write { receipts, words, ..Write::default() }, Vec::new());
        }
    }

    /// A record of this device from before its data went back in time: what this copy knows beyond it is said again,
    /// with a counter that replaces it.
    fn own_record_came(&mut self, record: &ReceiptRecord) -> Option<(ReceiptRecord, SignedState)> {
        let used = self.receipts.counters.get(&record.log).copied().unwrap_or(0);
        // The counter in use itself may stand for another word, given before.
        if record.counter < used {
            return None;
        }
        self.receipts.counters.insert(record.log, record.counter);
        let (ours, theirs) = (self.receipts.own(&record.log, &self.me.device), record.receipt);
        let read = ours.read.max(theirs.read.min(ours.received));
        let more = ours.received > theirs.received || read > theirs.read;
        more.then(|| self.own_receipt(record.log, Receipt { read, ..ours })).flatten()
    }

    /// Whether a record's reader is whom it says, and belongs to a conversation shared with the peer that brings it.
    fn may_say(&self, record: &ReceiptRecord, peer: &UserId) -> bool {
        let theirs = self.peers.user_of(&record.reader) == Some(record.user);
        let reader = theirs && record.reader != self.me.device && !self.is_barred(&record.reader);
        let descriptor = self.shared(&record.log.conversation, peer);
        let member = match descriptor {
            Some(Descriptor::Direct(a, b)) => record.user == a || record.user == b,
            Some(Descriptor::Group(_) | Descriptor::Department(_) | Descriptor::Everyone) | None => false,
        };
        reader && member
    }
}
