//! Sending entries: what is new at once, what others wrote after a while, what was missed from disk.
//!
//! Keeps true: entries of a log leave in order; at most [`BATCHES_IN_FLIGHT`] frames of a link wait for their
//! acknowledgement; what was not taken is sent again from where the other stands, and not for ever. A device that is not
//! endorsed gets nothing from before it came, a barred one nothing. The rules: `docs/protocol.md#sync`.

use crate::boot::{LinkId, LoadId};
use crate::limits::{BATCHES_IN_FLIGHT, MAX_STUCK, PASS_ON_MAX, PASS_ON_MIN, UNSTICK};
use crate::output::Output;
use crate::state::NodeState;
use crate::sync::{Cursor, Purpose, Span};
use crate::timers::Timer;
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::entry::{Entry, WireEntry};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{ConversationId, EntryHash, LogId};
use lanchat_proto::limits::{MAX_BATCH, MAX_BATCH_BYTES};
use lanchat_proto::wire::link::{Acknowledge, Entries, Head, Heads};

/// In place of a count of tries: a fork or a damaged entry, which no further try mends.
const GIVEN_UP: u8 = u8::MAX;

impl NodeState {
    /// Entries of one log are on disk: they go on their way.
    pub(crate) fn spread(&mut self, log: &LogId, entries: &[&Entry]) {
        let conversation = log.conversation;
        if self.logs.stopped.contains(&conversation) {
            return;
        }
        let own = log.device == self.me.device;
        let end = self.logs.end(log);
        let mut others = false;
        for (device, link) in self.audience(&conversation) {
            if own {
                self.push_fresh(link, log, entries);
                continue;
            }
            let has = self
                .links
                .get(link)
                .and_then(|link| link.sync.cursors.get(log))
                .is_some_and(|cursor| cursor.acked >= end.number);
            if !has {
                others |= device != log.device;
                let heads = BoundedVec::first([self.head(log)]);
                let news = Heads { conversation, heads, answer: false, last: false };
                self.post(link, Frame::new(Kind::Heads, &news));
            }
        }
        if others {
            let wait = self.rng.between(PASS_ON_MIN, PASS_ON_MAX);
            self.timers.set_once(Timer::PassOn(conversation), self.after(wait));
        }
    }

    /// Sends new entries as they are, or has them read in their turn when others have to go first.
    fn push_fresh(&mut self, id: LinkId, log: &LogId, entries: &[&Entry]) {
        let Some(link) = self.links.get_mut(id) else { return };
        let sync = &mut link.sync;
        if !sync.knows(&log.conversation) {
            return;
        }
        let cursor = sync.cursors.entry(*log).or_insert_with(|| Cursor::at(0, EntryHash::NONE));
        let first = entries.first().map_or(0, |entry| entry.header.number);
        let room = sync.in_flight.len() + sync.loading.len() < BATCHES_IN_FLIGHT;
        let turn = cursor.sent.checked_add(1) == Some(first) && !cursor.rewinding && cursor.stuck < MAX_STUCK;
        if room && turn && !sync.todo.contains(log) && !sync.loading.contains(log) {
            let wires = entries.iter().map(|entry| entry.wire.clone()).collect();
            self.send_entries(id, *log, first, wires);
        } else {
            sync.todo.insert(*log);
            self.pump(id);
        }
    }

    fn send_entries(&mut self, id: LinkId, log: LogId, from: u64, wires: Vec<WireEntry>) {
        let Some(link) = self.links.get_mut(id) else { return };
        let entries = BoundedVec::<_, MAX_BATCH>::first(wires);
        let to = from.saturating_add(u64::try_from(entries.len()).unwrap_or(0).saturating_sub(1));
        if let Some(cursor) = link.sync.cursors.get_mut(&log) {
            cursor.sent = to;
        }
        link.sync.in_flight.push_back(vec![Span { log, from, to }]);
        let frame = Entries { conversation: log.conversation, entries };
        self.post(id, Frame::new(Kind::Entries, &frame));
    }

    /// Passes on what others wrote to devices that still lack it.
    pub(crate) fn pass_on(&mut self, conversation: &ConversationId) {
        let logs: Vec<LogId> = self.logs.of(conversation).map(|(log, _)| *log).collect();
        for (device, id) in self.audience(conversation) {
            let Some(link) = self.links.get_mut(id) else { continue };
            if link.sync.knows(conversation) {
                link.sync.todo.extend(logs.iter().filter(|log| log.device != device));
                self.pump(id);
            }
        }
    }

    /// Has the next entries read that a link's other end lacks, as far as there is room.
    pub(crate) fn pump(&mut self, id: LinkId) {
        if self.is_barred_link(id) {
            return;
        }
        let Some(link) = self.links.get(id) else { return };
        let device = link.device;
        let turn: Vec<LogId> = link.sync.todo.iter().copied().collect();
        for log in turn {
            let end = self.logs.end(&log);
            let stopped = self.logs.stopped.contains(&log.conversation);
            let withheld = self.is_withheld(&device, &log);
            let Some(link) = self.links.get_mut(id) else { return };
            let sync = &mut link.sync;
            if sync.in_flight.len() + sync.loading.len() >= BATCHES_IN_FLIGHT {
                return;
            }
            if !sync.knows(&log.conversation) || sync.loading.contains(&log) {
                continue;
            }
            let cursor = sync.cursors.entry(log).or_insert_with(|| Cursor::at(0, EntryHash::NONE));
            // The same number with another hash: the entry itself shows the other end that there is a fork.
            if cursor.acked == end.number
                && cursor.sent == end.number
                && cursor.hash != end.hash
                && end.number > 0
            {
                let stuck = cursor.stuck;
                *cursor = Cursor { stuck, ..Cursor::at(end.number.saturating_sub(1), EntryHash::NONE) };
                if log.device == self.me.device && stuck < MAX_STUCK {
                    cursor.stuck = GIVEN_UP;
                    sync.todo.remove(&log);
                    self.look_for_fork(id, &log);
                    continue;
                }
            }
            if cursor.rewinding {
                continue;
            }
            let from = cursor.sent.saturating_add(1);
            if stopped || withheld || cursor.sent >= end.number || cursor.stuck >= MAX_STUCK {
                sync.todo.remove(&log);
                continue;
            }
            sync.todo.remove(&log);
            sync.loading.insert(log);
            let load = self.loads.add(Purpose::Push { link: id, log, from });
            self.load(load, log, from);
        }
    }

    fn load(&mut self, id: LoadId, log: LogId, from: u64) {
        let (max_entries, max_bytes) = (MAX_BATCH, MAX_BATCH_BYTES);
        self.out.push_back(Output::Load { id, log, from, max_entries, max_bytes });
    }

    pub(crate) fn read_log_end(&mut self, log: LogId) {
        let from = self.logs.end(&log).number.saturating_add(1);
        let load = self.loads.add(Purpose::End(log));
        self.load(load, log, from);
    }

    pub(crate) fn read_fork(&mut self, log: LogId, from: u64) {
        let load = self.loads.add(Purpose::Fork(log));
        self.load(load, log, from);
    }

    pub(crate) fn loaded(&mut self, id: LoadId, entries: Vec<(u64, WireEntry)>) {
        match self.loads.take(id) {
            Some(Purpose::Push { link, log, from }) => {
                self.push_loaded(link, log, from, entries);
                self.pump(link);
            }
            Some(Purpose::End(log)) => self.log_end_read(log, entries),
            Some(Purpose::Beginning { log, again }) => self.beginning_read(log, again, &entries),
            Some(Purpose::Fork(log)) => self.fork_read(log, entries),
            None => {}
        }
    }

    fn push_loaded(&mut self, id: LinkId, log: LogId, from: u64, entries: Vec<(u64, WireEntry)>) {
        let Some(device) = self.links.get(id).map(|link| link.device) else { return };
        let (floor, barred) = (self.floor_of(&device), self.is_barred(&device));
        let Some(link) = self.links.get_mut(id) else { return };
        link.sync.loading.remove(&log);
        if barred {
            return;
        }
        let Some(cursor) = link.sync.cursors.get_mut(&log) else { return };
        if cursor.sent.checked_add(1) != Some(from) || cursor.rewinding {
            link.sync.todo.insert(log);
            return;
        }
        let held_back = entries.iter().take_while(|(arrival, _)| *arrival <= floor).count();
        let all = entries.len();
        let last_held = held_back.checked_sub(1).and_then(|at| entries.get(at)).map(|(_, wire)| wire.clone());
        let wires: Vec<WireEntry> = entries.into_iter().skip(held_back).map(|(_, wire)| wire).collect();
        if all > held_back || held_back == 0 {
            link.sync.todo.insert(log);
        }
        if let Some(last) = last_held
            && let Ok(last) = Entry::read(&last)
        {
            *cursor = Cursor { stuck: cursor.stuck, ..Cursor::at(last.header.number, last.hash) };
            link.sync.todo.insert(log);
            self.tell_floor(id, log, last.header.number, last.hash);
        }
        self.push_read(id, log, wires);
    }

    /// Sends entries that were read, when they go on from where the other stands.
    fn push_read(&mut self, id: LinkId, log: LogId, wires: Vec<WireEntry>) {
        let first = wires.first().and_then(|wire| Entry::read(wire).ok());
        let Some(link) = self.links.get_mut(id) else { return };
        let Some(cursor) = link.sync.cursors.get_mut(&log) else { return };
        let Some(first) = first else {
            if wires.is_empty() {
                return;
            }
            // Damaged on disk: nothing of this log leaves here until it was mended.
            cursor.stuck = GIVEN_UP;
            return;
        };
        let (number, previous) = (first.header.number, first.header.previous);
        let settled = cursor.sent == cursor.acked && cursor.hash != EntryHash::NONE;
        if settled && cursor.acked.checked_add(1) == Some(number) && previous != cursor.hash {
            cursor.stuck = GIVEN_UP;
            if log.device == self.me.device {
                // This copy may be old, and have been written to since.
                self.look_for_fork(id, &log);
                return;
            }
            // A fork. The one entry, signed by its author, shows it to the other end.
            self.send_entries(id, log, number, wires.into_iter().take(1).collect());
            return;
        }
        if number > cursor.sent.saturating_add(1) {
            // What comes before was never here.
            let floor = number.saturating_sub(1);
            *cursor = Cursor { stuck: cursor.stuck, ..Cursor::at(floor, previous) };
            self.tell_floor(id, log, floor, previous);
        }
        self.send_entries(id, log, number, wires);
    }

    /// Tells a device where a log begins for it.
    fn tell_floor(&mut self, id: LinkId, log: LogId, floor_number: u64, floor_hash: EntryHash) {
        let head = Head { floor_number, floor_hash, ..self.head(&log) };
        let heads = BoundedVec::first([head]);
        let frame = Heads { conversation: log.conversation, heads, answer: false, last: false };
        self.post(id, Frame::new(Kind::Heads, &frame));
    }

    pub(crate) fn acknowledge_came(&mut self, id: LinkId, ack: &Acknowledge) {
        let Some(link) = self.links.get_mut(id) else { return };
        let Some(spans) = link.sync.in_flight.pop_front() else { return };
        for span in spans {
            let head = ack.heads.iter().find(|head| {
                head.device == span.log.device
                    && head.epoch == span.log.epoch
                    && ack.conversation == span.log.conversation
            });
            self.span_decided(id, span, head.copied());
        }
        self.pump(id);
    }

    /// What was sent was taken, or not: then it is sent again once nothing of that log is in flight.
    fn span_decided(&mut self, id: LinkId, span: Span, head: Option<Head>) {
        if let Some(head) = head {
            self.check_own_log(id, &span.log, &head);
        }
        let end = self.logs.end(&span.log);
        let Some(link) = self.links.get_mut(id) else { return };
        let more = link.sync.in_flight.iter().flatten().any(|other| other.log == span.log);
        let Some(cursor) = link.sync.cursors.get_mut(&span.log) else { return };
        let (number, hash) = head.map_or((cursor.acked, cursor.hash), |head| (head.number, head.hash));
        let forked = number == end.number && hash != end.hash;
        if number >= span.to {
            cursor.stuck = if forked { GIVEN_UP } else { 0 };
            if number >= cursor.acked {
                (cursor.acked, cursor.hash) = (number, hash);
            }
            cursor.sent = cursor.sent.max(number);
        } else {
            cursor.rewinding = true;
            (cursor.acked, cursor.hash) = (number, hash);
        }
        if cursor.rewinding && !more {
            cursor.rewinding = false;
            cursor.stuck =
                if number >= span.from { 0 } else { cursor.stuck.saturating_add(1).min(GIVEN_UP - 1) };
            cursor.sent = cursor.acked;
        }
        let waits = (MAX_STUCK..GIVEN_UP).contains(&cursor.stuck);
        link.sync.todo.insert(span.log);
        if waits {
            self.timers.set_once(Timer::Unstick(id), self.after(UNSTICK));
        }
        // The other end has other entries of this device: only this device can mend that.
        if forked && number >= span.to && span.log.device == self.me.device {
            self.look_for_fork(id, &span.log);
        }
    }

    /// What was not taken for a while is offered again: the other end's disk may have recovered unnoticed.
    pub(crate) fn unstick(&mut self, id: LinkId) {
        let Some(link) = self.links.get_mut(id) else { return };
        let sync = &mut link.sync;
        for (log, cursor) in &mut sync.cursors {
            if (MAX_STUCK..GIVEN_UP).contains(&cursor.stuck) {
                cursor.stuck = 0;
                sync.todo.insert(*log);
            }
        }
        self.pump(id);
    }
}
