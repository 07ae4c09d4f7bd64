//! Comparing what two devices hold: digests, then heads of what differs; and what each is known to have.
//!
//! Keeps true: a device is never sent an entry of a conversation that it has no part in, a barred one nothing; after a link came up both ends
//! learn of every log where the other stands. `Acknowledge` answers exactly one `Entries` frame, in order; `Heads`
//! without `answer` and `last` are news of what the sender holds, at any time. The rules: `docs/protocol.md#sync`.

use crate::boot::{LinkId, LoadId};
use crate::limits::{DIGEST_BYTES, STATES_AT_ONCE, STATES_PAUSE};
use crate::log::Log;
use crate::state::NodeState;
use crate::timers::Timer;
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::entry::Descriptor;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{ConversationId, DeviceId, EntryHash, LogId, UserId};
use lanchat_proto::limits::{MAX_HEADS, MAX_STATES};
use lanchat_proto::state::SignedState;
use lanchat_proto::wire::link::{Bucket, ConversationDigest, Digests, Head, Heads, States};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Where a device stands in one log.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    /// It has this on disk.
    pub(crate) acked: u64,
    /// The hash of that entry, where it said so.
    pub(crate) hash: EntryHash,
    /// It was sent this.
    pub(crate) sent: u64,
    /// Times in a row that sending brought nothing.
    pub(crate) stuck: u8,
    /// Something was not taken: nothing more is sent until all that is in flight is decided.
    pub(crate) rewinding: bool,
}

impl Cursor {
    pub(crate) fn at(number: u64, hash: EntryHash) -> Self {
        Self { acked: number, hash, sent: number, stuck: 0, rewinding: false }
    }
}

/// Part of a frame of entries on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) log: LogId,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// A frame of entries that came and is to be acknowledged, once its write is decided.
#[derive(Clone, Debug)]
pub(crate) struct Due {
    pub(crate) conversation: ConversationId,
    pub(crate) logs: BTreeSet<LogId>,
    pub(crate) write: Option<crate::boot::PersistId>,
}

/// What a link knows of its other end.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkSync {
    /// Their digests are complete: a log of which nothing is known is one that they have nothing of.
    compared: bool,
    listed: BTreeSet<ConversationId>,
    /// Conversations whose heads are still to come.
    waiting: BTreeSet<ConversationId>,
    pub(crate) cursors: BTreeMap<LogId, Cursor>,
    pub(crate) todo: BTreeSet<LogId>,
    pub(crate) loading: BTreeSet<LogId>,
    pub(crate) in_flight: VecDeque<Vec<Span>>,
    pub(crate) due: VecDeque<Due>,
    /// Where logs begin for this device, by the other's word.
    pub(crate) floors: BTreeMap<LogId, (u64, EntryHash)>,
    /// State records that are still to go out, and the conversations that they are of; no more than are stored.
    states: VecDeque<SignedState>,
    states_of: BTreeSet<ConversationId>,
}

impl LinkSync {
    /// Whether it is known where the other stands in a conversation.
    pub(crate) fn knows(&self, conversation: &ConversationId) -> bool {
        (self.compared || self.listed.contains(conversation)) && !self.waiting.contains(conversation)
    }
}

/// What a read is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// To send it on a link.
    Push { link: LinkId, log: LogId, from: u64 },
    /// To learn where the log ends.
    End(LogId),
    /// To learn where the log begins; `again` after a failure that nobody could say the outcome of.
    Beginning { log: LogId, again: bool },
    /// To find where an own log parts from what others hold of it.
    Fork(LogId),
}

/// Reads under way.
#[derive(Clone, Default)]
pub(crate) struct Loads {
    next: u64,
    all: BTreeMap<LoadId, Purpose>,
}

impl Loads {
    pub(crate) fn add(&mut self, purpose: Purpose) -> LoadId {
        self.next += 1;
        self.all.insert(LoadId(self.next), purpose);
        LoadId(self.next)
    }

    pub(crate) fn take(&mut self, id: LoadId) -> Option<Purpose> {
        self.all.remove(&id)
    }

    pub(crate) fn forget_link(&mut self, gone: LinkId) {
        self.all.retain(|_, purpose| !matches!(purpose, Purpose::Push { link, .. } if *link == gone));
    }

    /// What is read of a log that is not mended any more is not for the next time that it is.
    pub(crate) fn forget_fork(&mut self, gone: &LogId) {
        self.all.retain(|_, purpose| !matches!(purpose, Purpose::Fork(log) if log == gone));
    }
}

/// The bucket of a digest that a log falls into.
fn bucket_of(log: &LogId) -> u8 {
    blake3::hash(&log.key()).as_bytes().first().copied().unwrap_or(0)
}

/// Digests over the heads of logs, by bucket. The logs come in the order of their keys.
fn buckets<'a>(logs: impl Iterator<Item = (&'a LogId, &'a Log)>) -> BTreeMap<u8, [u8; 16]> {
    let mut hashers: BTreeMap<u8, blake3::Hasher> = BTreeMap::new();
    for (id, log) in logs {
        let hasher =
            hashers.entry(bucket_of(id)).or_insert_with(|| blake3::Hasher::new_derive_key("lanchat/heads/1"));
        hasher.update(&id.key());
        hasher.update(&log.end.number.to_le_bytes());
        hasher.update(&log.end.hash.0);
    }
    let digest = |hasher: blake3::Hasher| {
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    };
    hashers.into_iter().map(|(bucket, hasher)| (bucket, digest(hasher))).collect()
}

fn log_of(conversation: ConversationId, head: &Head) -> LogId {
    LogId { conversation, device: head.device, epoch: head.epoch }
}

impl NodeState {
    pub(crate) fn user_of_link(&self, link: LinkId) -> Option<UserId> {
        self.links.get(link)?.member().map(|member| member.membership.user)
    }

    /// The conversation, when the own user and `peer` both have a part in it.
    pub(crate) fn shared(&self, conversation: &ConversationId, peer: &UserId) -> Option<Descriptor> {
        let direct = Descriptor::direct(self.me.user, *peer);
        if *peer != self.me.user && direct.id(&self.me.realm) == Some(*conversation) {
            return Some(direct);
        }
        let known = self.logs.conversations.get(conversation)?;
        self.in_audience(known, peer).then(|| known.clone())
    }

    /// Whether both the own user and `peer` have a part in a conversation.
    pub(crate) fn in_audience(&self, descriptor: &Descriptor, peer: &UserId) -> bool {
        match descriptor {
            Descriptor::Direct(a, b) => [a, b].contains(&&self.me.user) && [a, b].contains(&peer) && a != b,
            // Not spoken yet: nobody is in their audience.
            Descriptor::Group(_) | Descriptor::Department(_) | Descriptor::Everyone => false,
        }
    }

    /// Whether the other end of a link is barred.
    pub(crate) fn is_barred_link(&self, id: LinkId) -> bool {
        self.links.get(id).is_some_and(|link| self.is_barred(&link.device))
    }

    /// Links that carry messages to devices with a part in a conversation.
    pub(crate) fn audience(&self, conversation: &ConversationId) -> Vec<(DeviceId, LinkId)> {
        let Some(descriptor) = self.logs.conversations.get(conversation) else { return Vec::new() };
        self.peers
            .linked()
            .filter(|(device, user, _)| self.in_audience(descriptor, user) && !self.is_barred(device))
            .map(|(device, _, link)| (device, link))
            .collect()
    }

    /// Conversations to compare with a user's device.
    fn conversations_with(&self, peer: &UserId) -> BTreeMap<ConversationId, Descriptor> {
        if *peer == self.me.user {
            return self.logs.conversations.clone();
        }
        let direct = Descriptor::direct(self.me.user, *peer);
        direct.id(&self.me.realm).map(|id| (id, direct)).into_iter().collect()
    }

    /// A link carries messages from now on, perhaps again, after another did for a while: tells what is held here.
    pub(crate) fn begin_sync(&mut self, id: LinkId) {
        let Some(peer) = self.user_of_link(id) else { return };
        let mut list = Vec::new();
        let mut bytes = 0;
        // A barred device only learns that it may send what it wrote.
        let conversations =
            if self.is_barred_link(id) { BTreeMap::new() } else { self.conversations_with(&peer) };
        for (conversation, descriptor) in conversations {
            let held = buckets(self.logs.of(&conversation));
            let rows = held.into_iter().map(|(bucket, digest)| Bucket { bucket, digest });
            let (states_for_you, states_for_me) = self.state_digests(&conversation, &peer);
            let buckets = BoundedVec::first(rows);
            bytes += 128 + 17 * buckets.len();
            list.push(ConversationDigest { descriptor, buckets, states_for_you, states_for_me });
            if bytes > DIGEST_BYTES || list.len() >= MAX_HEADS {
                let frame = Digests { list: BoundedVec::first(std::mem::take(&mut list)), last: false };
                self.post(id, Frame::new(Kind::Digests, &frame));
                bytes = 0;
            }
        }
        let frame = Digests { list: BoundedVec::first(list), last: true };
        self.post(id, Frame::new(Kind::Digests, &frame));
        // Where they have compared already, what was told since went to another link, or was not theirs to hear.
        if self.links.get(id).is_some_and(|link| link.sync.compared) && !self.is_barred_link(id) {
            for conversation in self.conversations_with(&peer).into_keys() {
                self.send_states(id, &conversation, &peer);
            }
        }
    }

    /// A device may have more than before: everything is compared again.
    pub(crate) fn compare_again(&mut self, device: &DeviceId) {
        let Some(id) = self.peers.link_of(device) else { return };
        if let Some(link) = self.links.get_mut(id) {
            link.sync.cursors.clear();
        }
        self.begin_sync(id);
    }

    pub(crate) fn digests_came(&mut self, id: LinkId, digests: &Digests) {
        let Some(peer) = self.user_of_link(id) else { return };
        if self.is_barred_link(id) {
            // Where it stands is asked when it is trusted; until then nothing is sent that would depend on it.
            self.links.all.entry(id).and_modify(|link| link.sync.compared |= digests.last);
            return;
        }
        for theirs in &digests.list {
            if self.in_audience(&theirs.descriptor, &peer)
                && let Some(conversation) = theirs.descriptor.id(&self.me.realm)
            {
                if peer == self.me.user {
                    self.logs.conversations.entry(conversation).or_insert_with(|| theirs.descriptor.clone());
                }
                self.compare(id, &peer, conversation, theirs);
            }
        }
        if digests.last
            && let Some(link) = self.links.get_mut(id)
        {
            link.sync.compared = true;
            let conversations: Vec<ConversationId> = self.conversations_with(&peer).into_keys().collect();
            for conversation in conversations {
                self.want_all(id, &conversation);
                let listed = self.links.get(id).is_some_and(|link| link.sync.listed.contains(&conversation));
                if !listed {
                    self.send_states(id, &conversation, &peer);
                }
            }
            self.pump(id);
        }
    }

    fn compare(
        &mut self,
        id: LinkId,
        peer: &UserId,
        conversation: ConversationId,
        theirs: &ConversationDigest,
    ) {
        let ours = buckets(self.logs.of(&conversation));
        let theirs_by_bucket: BTreeMap<u8, [u8; 16]> =
            theirs.buckets.iter().map(|bucket| (bucket.bucket, bucket.digest)).collect();
        let equal = |bucket: u8| ours.get(&bucket) == theirs_by_bucket.get(&bucket);
        let differ = ours.keys().chain(theirs_by_bucket.keys()).any(|bucket| !equal(*bucket));
        let same: Vec<(LogId, Cursor)> = self
            .logs
            .of(&conversation)
            .filter(|(log, _)| equal(bucket_of(log)))
            .map(|(log, row)| (*log, Cursor::at(row.end.number, row.end.hash)))
            .collect();
        let Some(link) = self.links.get_mut(id) else { return };
        link.sync.listed.insert(conversation);
        link.sync.cursors.extend(same);
        if differ {
            link.sync.waiting.insert(conversation);
            self.send_heads(id, conversation, |log| !equal(bucket_of(log)), true);
        } else {
            link.sync.waiting.remove(&conversation);
        }
        let (for_you, for_me) = self.state_digests(&conversation, peer);
        let same_states = if *peer == self.me.user {
            for_you == theirs.states_for_you && for_me == theirs.states_for_me
        } else {
            for_you == theirs.states_for_me
        };
        if !same_states {
            self.send_states(id, &conversation, peer);
        }
    }

    pub(crate) fn head(&self, log: &LogId) -> Head {
        let end = self.logs.end(log);
        Head {
            device: log.device,
            epoch: log.epoch,
            number: end.number,
            hash: end.hash,
            floor_number: 0,
            floor_hash: EntryHash::NONE,
        }
    }

    fn send_heads(
        &mut self,
        id: LinkId,
        conversation: ConversationId,
        pick: impl Fn(&LogId) -> bool,
        answer: bool,
    ) {
        let logs: Vec<LogId> =
            self.logs.of(&conversation).map(|(log, _)| *log).filter(|log| pick(log)).collect();
        let heads: Vec<Head> = logs.iter().map(|log| self.claimed_head(id, log)).collect();
        let frames = heads.len().div_ceil(MAX_HEADS).max(1);
        let mut heads = heads.into_iter();
        for at in 1..=frames {
            let last = at == frames;
            let heads = BoundedVec::first(heads.by_ref().take(MAX_HEADS));
            let frame = Heads { conversation, heads, answer: answer && last, last };
            self.post(id, Frame::new(Kind::Heads, &frame));
        }
    }

    pub(crate) fn heads_came(&mut self, id: LinkId, heads: &Heads) {
        let Some(peer) = self.user_of_link(id) else { return };
        if self.shared(&heads.conversation, &peer).is_none() || self.is_barred_link(id) {
            return;
        }
        let opening = heads.last
            || self.links.get(id).is_some_and(|link| link.sync.waiting.contains(&heads.conversation));
        for head in &heads.heads {
            self.head_came(id, heads.conversation, head, opening);
        }
        if heads.last {
            if let Some(link) = self.links.get_mut(id) {
                link.sync.waiting.remove(&heads.conversation);
            }
            self.want_all(id, &heads.conversation);
        }
        if heads.answer {
            self.send_heads(id, heads.conversation, |_| true, false);
        }
        self.pump(id);
    }

    /// Takes note of where the other stands in one log.
    fn head_came(&mut self, id: LinkId, conversation: ConversationId, head: &Head, opening: bool) {
        let log = log_of(conversation, head);
        self.check_own_log(id, &log, head);
        let Some(link) = self.links.get_mut(id) else { return };
        if head.floor_number > 0 {
            link.sync.floors.insert(log, (head.floor_number, head.floor_hash));
            if !opening {
                return;
            }
        }
        let busy = link.sync.in_flight.iter().flatten().any(|span| span.log == log);
        match link.sync.cursors.get_mut(&log) {
            // News of what came there by another way; what is in flight is acknowledged on its own.
            Some(cursor) if busy && head.number >= cursor.acked => {
                (cursor.acked, cursor.hash) = (head.number, head.hash);
                cursor.sent = cursor.sent.max(head.number);
            }
            // It went back. What is in flight comes to nothing; then everything is sent again from there.
            Some(cursor) if busy => {
                (cursor.acked, cursor.hash, cursor.stuck) = (head.number, head.hash, 0);
                cursor.rewinding = true;
            }
            Some(_) | None => {
                link.sync.cursors.insert(log, Cursor::at(head.number, head.hash));
            }
        }
        link.sync.todo.insert(log);
    }

    /// Has everything that the other may lack of a conversation sent.
    fn want_all(&mut self, id: LinkId, conversation: &ConversationId) {
        let logs: Vec<LogId> = self.logs.of(conversation).map(|(log, _)| *log).collect();
        if let Some(link) = self.links.get_mut(id)
            && link.sync.knows(conversation)
        {
            link.sync.todo.extend(logs);
        }
    }
}

impl NodeState {
    /// State records of a conversation go out on a link, a part at a time. What is on its way already is not sent twice.
    pub(crate) fn queue_states(
        &mut self,
        id: LinkId,
        conversation: &ConversationId,
        records: Vec<SignedState>,
    ) {
        let Some(link) = self.links.get_mut(id) else { return };
        if link.sync.states_of.insert(*conversation) {
            link.sync.states.extend(records);
        }
        if !self.timers.is_set(Timer::States(id)) {
            self.states_due(id);
        }
    }

    /// The next part of the state records that are to go out on a link.
    pub(crate) fn states_due(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let part = link.sync.states.len().min(STATES_AT_ONCE);
        let records: Vec<SignedState> = link.sync.states.drain(..part).collect();
        let more = !link.sync.states.is_empty();
        if !more {
            link.sync.states_of.clear();
        }
        if self.is_barred_link(id) {
            return;
        }
        for chunk in records.chunks(MAX_STATES) {
            let frame = States { records: BoundedVec::first(chunk.to_vec()) };
            self.post(id, Frame::new(Kind::States, &frame));
        }
        if more {
            self.timers.set(Timer::States(id), self.after(STATES_PAUSE));
        }
    }
}
