//! Words about offered files: what each device of the conversation says became of an offer.
//!
//! Keeps true: a word is told and sent only once it is on disk; a record with a higher counter replaces one with a lower,
//! in whatever order they come; a word counts only from a device of a user of the conversation. Words go to all devices of
//! the conversation, which pass them on. Goes in: decisions, `States`. Goes out: records to be stored, then `States`.
//! The rules: `docs/protocol.md#transfer`.

use crate::boot::LinkId;
use crate::limits::MAX_UNKNOWN_WORDS;
use crate::output::Change;
use crate::state::{Me, NodeState};
use crate::writes::Write;
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::entry::Descriptor;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{ConversationId, DeviceId, MessageId, UserId};
use lanchat_proto::state::{FileRecord, FileWord, STATE_FILE, SignedState, StateRecord};
use lanchat_proto::wire::link::States;
use std::collections::BTreeMap;

/// Whose word about which offer.
type Key = (ConversationId, MessageId, DeviceId);

fn key(record: &FileRecord) -> Key {
    (record.conversation, record.offer, record.device)
}

/// All words.
#[derive(Clone, Default)]
pub(crate) struct Words {
    all: BTreeMap<Key, (FileRecord, SignedState)>,
    /// Highest counters that are queued for the disk.
    queued: BTreeMap<Key, u64>,
}

impl Words {
    pub(crate) fn new(me: &Me, stored: &[SignedState]) -> Self {
        let mut words = Self::default();
        for signed in stored {
            let record = StateRecord::open(signed, &me.realm);
            let record = record.ok().filter(|record| record.kind == STATE_FILE);
            if let Some(record) = record.and_then(|record| FileRecord::read(&record).ok()) {
                words.all.insert(key(&record), (record, signed.clone()));
            }
        }
        words
    }

    /// Words about an offer.
    pub(crate) fn about(
        &self,
        conversation: &ConversationId,
        offer: &MessageId,
    ) -> impl Iterator<Item = &FileRecord> {
        let (conversation, offer) = (*conversation, *offer);
        let first = (conversation, offer, DeviceId([0; 32]));
        let all = self.all.range(first..).take_while(move |((c, o, _), _)| (*c, *o) == (conversation, offer));
        all.map(|(_, (record, _))| record)
    }

    /// Words of a conversation.
    pub(crate) fn of(
        &self,
        conversation: &ConversationId,
    ) -> impl Iterator<Item = &(FileRecord, SignedState)> {
        let conversation = *conversation;
        let first = (conversation, MessageId([0; 16]), DeviceId([0; 32]));
        self.all.range(first..).take_while(move |((c, ..), _)| *c == conversation).map(|(_, slot)| slot)
    }

    fn newest(&self, key: &Key) -> Option<u64> {
        self.all.get(key).map(|(record, _)| record.counter).max(self.queued.get(key).copied())
    }

    /// A queued word did not reach the disk.
    pub(crate) fn forget_queued(&mut self, record: &FileRecord) {
        self.queued.remove(&key(record));
    }

    /// An offer is forgotten, and what was said about it.
    pub(crate) fn forget(&mut self, conversation: &ConversationId, offer: &MessageId) {
        let about = |slot: &Key| (slot.0, slot.1) == (*conversation, *offer);
        let gone: Vec<Key> = self
            .about(conversation, offer)
            .map(key)
            .chain(self.queued.keys().copied().filter(about))
            .collect();
        for slot in gone {
            self.all.remove(&slot);
            self.queued.remove(&slot);
        }
    }

    /// Adds the words of a conversation to a digest of its state records.
    pub(crate) fn digest(&self, conversation: &ConversationId, hasher: &mut blake3::Hasher) {
        for (record, _) in self.of(conversation) {
            hasher.update(&record.device.0);
            hasher.update(&STATE_FILE.to_le_bytes());
            hasher.update(&record.offer.0);
            hasher.update(&record.counter.to_le_bytes());
            hasher.update(&u32::from(record.word).to_le_bytes());
        }
    }
}

impl NodeState {
    /// Says what becomes of an offer here, unless that was said already. The changes are written in any case, and at once.
    pub(crate) fn say_of_file(
        &mut self,
        conversation: ConversationId,
        offer: MessageId,
        word: FileWord,
        changes: Vec<Change>,
    ) {
        let (device, user) = (self.me.device, self.me.user);
        let slot = (conversation, offer, device);
        let said = self.words.all.get(&slot).filter(|(record, _)| record.word == word);
        if said.is_some() && !self.words.queued.contains_key(&slot) {
            return self.save(changes);
        }
        let time = self.clock.stamp(self.now.wall);
        let counter = self.words.newest(&slot).map_or(time.0, |newest| time.0.max(newest.saturating_add(1)));
        let record = FileRecord { conversation, offer, device, user, word, counter, time };
        if let Ok(signed) = record.sign(&self.me.realm, &self.me.key) {
            self.words.queued.insert(slot, counter);
            let write = Write { words: vec![(record, signed)], retry: changes.clone(), ..Write::default() };
            self.write(write, changes);
        }
    }

    /// A word of another device came. Returns it when it is news that may be kept.
    pub(crate) fn word_came(
        &mut self,
        record: &StateRecord,
        signed: &SignedState,
        peer: &UserId,
    ) -> Option<(FileRecord, SignedState)> {
        let word = FileRecord::read(record).ok()?;
        let theirs = self.peers.user_of(&word.device) == Some(word.user) && !self.is_barred(&word.device);
        let member = match self.shared(&word.conversation, peer) {
            Some(Descriptor::Direct(a, b)) => word.user == a || word.user == b,
            Some(Descriptor::Group(_) | Descriptor::Department(_) | Descriptor::Everyone) | None => false,
        };
        let news = self.words.newest(&key(&word)).is_none_or(|newest| newest < word.counter);
        if !news || !member || !theirs || word.device == self.me.device || self.is_idle_talk(&word) {
            return None;
        }
        self.words.queued.insert(key(&word), word.counter);
        Some((word, signed.clone()))
    }

    /// Whether a device says more than it may about offers that are not known here. What is dropped comes again when the
    /// devices compare what they hold.
    fn is_idle_talk(&self, word: &FileRecord) -> bool {
        let unknown = |offer: &MessageId| self.transfers.row(offer).is_none();
        let idle = |slot: &Key| (slot.0, slot.2) == (word.conversation, word.device) && unknown(&slot.1);
        let said = || {
            let stored = self.words.of(&word.conversation).filter(|(record, _)| idle(&key(record)));
            let queued = self.words.queued.keys().filter(|slot| !self.words.all.contains_key(slot));
            stored.count() + queued.filter(|slot| idle(slot)).count()
        };
        unknown(&word.offer) && said() >= MAX_UNKNOWN_WORDS
    }

    /// Of words whose write failed, those that nothing newer has replaced; they count as queued again.
    pub(crate) fn still_newest_words(
        &mut self,
        words: Vec<(FileRecord, SignedState)>,
    ) -> Vec<(FileRecord, SignedState)> {
        let mut kept = BTreeMap::new();
        for (record, signed) in words {
            if self.words.newest(&key(&record)).is_none_or(|newest| newest < record.counter) {
                self.words.queued.insert(key(&record), record.counter);
                kept.insert(key(&record), (record, signed));
            }
        }
        kept.into_values().collect()
    }

    /// A word is on disk: it counts, is told, and goes on its way.
    pub(crate) fn word_on_disk(&mut self, record: FileRecord, signed: SignedState) {
        let slot = key(&record);
        if self.words.queued.get(&slot) == Some(&record.counter) {
            self.words.queued.remove(&slot);
        }
        if self.words.all.get(&slot).is_some_and(|(old, _)| old.counter >= record.counter) {
            return;
        }
        let (conversation, from) = (record.conversation, record.device);
        self.words.all.insert(slot, (record.clone(), signed.clone()));
        let frame = States { records: BoundedVec::first([signed]) };
        let to: Vec<LinkId> = self
            .audience(&conversation)
            .into_iter()
            .filter(|(device, _)| *device != from)
            .map(|(_, link)| link)
            .collect();
        for link in to {
            self.post(link, Frame::new(Kind::States, &frame));
        }
        self.file_word(&record);
    }
}
