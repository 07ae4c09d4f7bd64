//! Logs: their ends, on disk and as queued; appending one's own entries; epochs.
//!
//! Keeps true: an own number is used once; a log's `end` is what is on disk, its `tail` what is queued behind it; only the
//! former is ever told to others. A conversation with a critical entry of an unknown kind is written no more. Goes in:
//! commands. Goes out: entries to be stored. The rules: `docs/protocol.md#entries`.

use crate::boot::{PersistId, RequestId, StoredLog};
use crate::limits::{MAX_NEW_EPOCHS, NUDGE_EVERY, OUTSTANDING, RECENT_MESSAGES};
use crate::output::{Answer, Change, CommandError, Notice, StoredEntry};
use crate::state::{Me, NodeState};
use crate::writes::Write;
use lanchat_proto::codec::{self, Text};
use lanchat_proto::entry::{Descriptor, Draft, Entry, EntryKind, LogEnd, NudgeBody, OpenBody, TextBody};
use lanchat_proto::ids::{ConversationId, DeviceId, Epoch, LogId, MessageId, UserId};
use lanchat_proto::limits::MAX_TEXT;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A log.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) descriptor: Descriptor,
    pub(crate) author: UserId,
    /// What is on disk.
    pub(crate) end: LogEnd,
    /// What is on disk and what is queued behind it.
    pub(crate) tail: LogEnd,
    /// Nothing is ever appended again: a fork was seen.
    pub(crate) frozen: bool,
    /// Entries queued.
    pub(crate) queued: u32,
    /// The newest write with entries of this log.
    pub(crate) write: Option<PersistId>,
    /// A write failed: nothing is appended until it is clear what is on disk.
    pub(crate) broken: bool,
    /// Nobody could say where the log ends: nothing is appended until that was read.
    pub(crate) doubted: bool,
}

/// All logs.
#[derive(Clone, Default)]
pub(crate) struct Logs {
    pub(crate) all: BTreeMap<LogId, Log>,
    pub(crate) conversations: BTreeMap<ConversationId, Descriptor>,
    /// Conversations in which something unknown and critical was said.
    pub(crate) stopped: BTreeSet<ConversationId>,
    /// Entries on disk, ever.
    arrival: u64,
    queued: u64,
    recent: VecDeque<MessageId>,
    recent_set: BTreeSet<MessageId>,
}

impl Logs {
    pub(crate) fn new(me: &Me, stored: Vec<StoredLog>, arrival: u64) -> Self {
        let mut logs = Self { arrival, ..Self::default() };
        for row in stored {
            if row.descriptor.id(&me.realm) != Some(row.log.conversation) {
                continue;
            }
            logs.open(row.log, row.descriptor, row.author);
            if let Some(log) = logs.all.get_mut(&row.log) {
                (log.end, log.tail, log.frozen) = (row.end, row.end, row.frozen);
            }
        }
        logs
    }

    /// Takes in an empty log, unless it is known.
    pub(crate) fn open(&mut self, id: LogId, descriptor: Descriptor, author: UserId) {
        self.conversations.entry(id.conversation).or_insert_with(|| descriptor.clone());
        let (end, tail) = (LogEnd::EMPTY, LogEnd::EMPTY);
        let (queued, write) = (0, None);
        let (frozen, broken, doubted) = (false, false, false);
        let log = Log { descriptor, author, end, tail, frozen, queued, write, broken, doubted };
        self.all.entry(id).or_insert(log);
    }

    /// The logs of a conversation of which something is on disk.
    pub(crate) fn of(&self, conversation: &ConversationId) -> impl Iterator<Item = (&LogId, &Log)> {
        let conversation = *conversation;
        let first = LogId { conversation, device: DeviceId([0; 32]), epoch: Epoch(0) };
        self.all
            .range(first..)
            .take_while(move |(id, _)| id.conversation == conversation)
            .filter(|(_, log)| log.end.number > 0)
    }

    pub(crate) fn end(&self, id: &LogId) -> LogEnd {
        self.all.get(id).map_or(LogEnd::EMPTY, |log| log.end)
    }

    /// The newest write under way with entries of one of these logs.
    pub(crate) fn write_of(&self, logs: &BTreeSet<LogId>) -> Option<PersistId> {
        let rows = logs.iter().filter_map(|log| self.all.get(log));
        rows.filter(|row| row.queued > 0).filter_map(|row| row.write).max()
    }

    pub(crate) fn talks_with(&self, me: &UserId, user: &UserId) -> bool {
        let direct = Descriptor::direct(*me, *user);
        self.conversations.values().any(|descriptor| *descriptor == direct)
    }

    /// Arrival number of the newest entry, queued ones included.
    pub(crate) fn arrival(&self) -> u64 {
        self.arrival + self.queued
    }

    /// An entry is being written.
    pub(crate) fn queue(&mut self, entry: &Entry) {
        self.queued += 1;
        if let Some(log) = self.all.get_mut(&entry.header.log()) {
            log.tail = entry.end();
            log.queued = log.queued.saturating_add(1);
        }
    }

    /// A queued entry is on disk.
    pub(crate) fn commit(&mut self, entry: &Entry) {
        self.queued = self.queued.saturating_sub(1);
        self.arrival += 1;
        if let Some(log) = self.all.get_mut(&entry.header.log()) {
            log.queued = log.queued.saturating_sub(1);
            log.end = entry.end();
            log.recover();
        }
    }

    /// A queued entry is not on disk. Its log takes nothing until all that was queued with it is decided.
    pub(crate) fn fail(&mut self, entry: &Entry) {
        self.queued = self.queued.saturating_sub(1);
        if let Some(log) = self.all.get_mut(&entry.header.log()) {
            log.queued = log.queued.saturating_sub(1);
            log.broken = true;
            log.recover();
        }
    }

    /// Whether a message is told for the first time, as far as this run remembers.
    pub(crate) fn is_news(&mut self, message: MessageId) -> bool {
        if !self.recent_set.insert(message) {
            return false;
        }
        self.recent.push_back(message);
        if self.recent.len() > RECENT_MESSAGES
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_set.remove(&oldest);
        }
        true
    }
}

impl Log {
    fn recover(&mut self) {
        if self.broken && self.queued == 0 {
            self.broken = false;
            self.tail = self.end;
        }
    }
}

/// Whether a character may stand in a text.
fn allowed(c: char) -> bool {
    !c.is_control() || matches!(c, '\n' | '\t' | '\r')
}

fn check_text(text: &str) -> Result<Text<MAX_TEXT>, CommandError> {
    if text.trim().is_empty() {
        return Err(CommandError::EmptyText);
    }
    let too_long = CommandError::TextTooLong { len: text.len(), max: MAX_TEXT };
    let checked = Text::new(text).map_err(|_| too_long)?;
    match text.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(CommandError::TextCharacter(u32::from(c))),
        None => Ok(checked),
    }
}

impl NodeState {
    pub(crate) fn send_text(
        &mut self,
        request: RequestId,
        to: UserId,
        text: &str,
        reply_to: Option<MessageId>,
    ) -> Result<(), CommandError> {
        let text = check_text(text)?;
        self.check_recipient(&to)?;
        self.say(
            request,
            to,
            EntryKind::Text,
            codec::encode(&TextBody { text, reply_to }).map_err(too_large)?,
        )
    }

    pub(crate) fn nudge(&mut self, request: RequestId, to: UserId) -> Result<(), CommandError> {
        self.check_recipient(&to)?;
        if let Some(last) = self.nudged.get(&to) {
            let left = NUDGE_EVERY.saturating_sub(self.now.mono.since(*last));
            if !left.is_zero() {
                return Err(CommandError::NudgeTooSoon(left.as_secs().max(1)));
            }
        }
        self.say(
            request,
            to,
            EntryKind::Nudge,
            codec::encode(&NudgeBody { strength: 1 }).map_err(too_large)?,
        )?;
        self.nudged.insert(to, self.now.mono);
        Ok(())
    }

    pub(crate) fn check_recipient(&self, to: &UserId) -> Result<(), CommandError> {
        if *to == self.me.user {
            return Err(CommandError::Yourself);
        }
        let user = self.peers.users.get(to).ok_or(CommandError::NoSuchUser)?;
        let gone = user.profile.as_ref().is_some_and(|profile| profile.gone);
        if gone { Err(CommandError::NoSuchUser) } else { Ok(()) }
    }

    /// Writes one message; the answer comes when it is on disk.
    pub(crate) fn say(
        &mut self,
        request: RequestId,
        to: UserId,
        kind: EntryKind,
        content: Vec<u8>,
    ) -> Result<(), CommandError> {
        let descriptor = Descriptor::direct(self.me.user, to);
        let message = MessageId(self.rng.bytes());
        let entries = self.append(&descriptor, vec![(kind, message, content)])?;
        let Some(last) = entries.last() else { return Err(CommandError::NoSuchUser) };
        let answer = Answer::Sent {
            message,
            conversation: last.entry.header.conversation,
            sent_at: last.entry.header.time.wall(),
            recipients: vec![to],
        };
        self.write(Write { entries, answer: Some((request, answer)), ..Write::default() }, Vec::new());
        self.dial_user(&to);
        Ok(())
    }

    /// The entries that put messages at the end of the own log of a conversation: the log's opening too, when they are
    /// the first. The caller writes them at once.
    pub(crate) fn append(
        &mut self,
        descriptor: &Descriptor,
        messages: Vec<(EntryKind, MessageId, Vec<u8>)>,
    ) -> Result<Vec<StoredEntry>, CommandError> {
        if self.writes.own_entries() >= OUTSTANDING {
            return Err(CommandError::Busy);
        }
        if self.clock.runs_ahead(self.now.wall) {
            self.new_epoch(false);
        }
        let conversation = descriptor.id(&self.me.realm).ok_or(CommandError::NoSuchUser)?;
        if self.logs.stopped.contains(&conversation) {
            return Err(CommandError::NeedsUpdate);
        }
        let log = LogId { conversation, device: self.me.device, epoch: self.me.epoch };
        self.logs.open(log, descriptor.clone(), self.me.user);
        let Some(row) = self.logs.all.get(&log) else { return Err(CommandError::NoSuchUser) };
        if row.broken || row.doubted {
            return Err(CommandError::Busy);
        }
        let mut end = row.tail;
        let mut entries = Vec::new();
        if end.number == 0 {
            let body = OpenBody {
                descriptor: descriptor.clone(),
                certificate: self.me.certificate.clone(),
                chain: self.me.chain.clone(),
            };
            let opening = MessageId(self.rng.bytes());
            let body = codec::encode(&body).map_err(too_large)?;
            let entry = self.entry(log, &end, EntryKind::Open, opening, body)?;
            end = entry.end();
            entries.push(entry);
        }
        for (kind, message, content) in messages {
            let entry = self.entry(log, &end, kind, message, content)?;
            end = entry.end();
            entries.push(entry);
        }
        let received_at = self.now.wall;
        let author = self.me.user;
        let stored = |entry| {
            let descriptor = descriptor.clone();
            StoredEntry { entry, descriptor, author, received_at, begins: false }
        };
        Ok(entries.into_iter().map(stored).collect())
    }

    fn entry(
        &mut self,
        log: LogId,
        end: &LogEnd,
        kind: EntryKind,
        message: MessageId,
        content: Vec<u8>,
    ) -> Result<Entry, CommandError> {
        // A stamp rises in its log even when the clock of a new run stands behind the log's end.
        let time = self.clock.stamp(self.now.wall).max(end.time.next());
        let draft = Draft { realm: self.me.realm, log, time, kind, message, salt: self.rng.bytes(), content };
        let too_long = CommandError::TextTooLong { len: draft.content.len(), max: MAX_TEXT };
        Entry::write(draft, end, &self.me.key).map_err(|_| too_long)
    }

    /// Own entries go to new logs from now on. `old_copy`: because peers hold more than this copy of the data.
    pub(crate) fn new_epoch(&mut self, old_copy: bool) {
        if self.me.new_epochs >= MAX_NEW_EPOCHS {
            return;
        }
        self.me.new_epochs += 1;
        self.me.epoch = Epoch(self.rng.number());
        self.clock.restart();
        self.save(vec![Change::Epoch(self.me.epoch)]);
        if old_copy {
            self.notice(Notice::RestoredFromOldCopy);
        }
    }

    /// The newest epoch in use, as the store has to have it.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.me.epoch
    }
}

/// What a body that cannot be encoded is answered with; checked texts always can.
fn too_large(_: codec::EncodeError) -> CommandError {
    CommandError::TextTooLong { len: MAX_TEXT + 1, max: MAX_TEXT }
}
