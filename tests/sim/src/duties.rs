//! What programs ask their machines for, carried out, and the rules that are checked while that happens.
//!
//! Checked here: what a person or a peer is told is durable at that moment; a message is told once; a delivered receipt
//! is true; nothing unsent is shown; the store is never asked for the impossible.

use crate::model::{Fate, Said};
use crate::net::At;
use crate::pc::{Job, Standing};
use crate::spell;
use crate::time::MS;
use crate::world::{Event, World};
use lanchat_node_core::boot::{PersistId, RequestId};
use lanchat_node_core::output::{Answer, Change, CommandError, Event as Told, Notice, StoredEntry};
use lanchat_node_core::{Command, Input, Output};
use lanchat_proto::certificate::{Act, Revocation};
use lanchat_proto::entry::{Entry, EntryKind, TextBody};
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{LogId, UserId};
use lanchat_proto::signed::Signed;
use lanchat_proto::state::StateRecord;
use lanchat_proto::wire::link::{Acknowledge, Entries, Head, Heads, States};
use std::sync::Arc;

impl World {
    pub(crate) fn carry_out(&mut self, at: At, output: Output) {
        let Some(run) = self.pc(at).map(|pc| pc.run) else { return };
        match output {
            Output::Send { link, frame } => {
                self.check_frame(at, &frame);
                self.count_introduction(at, &frame);
                if let Some(side) = self.side(link.0, at, run) {
                    self.transmit(link.0, side, Arc::new(frame));
                }
            }
            Output::Admit { link } => {
                if let Some(side) = self.side(link.0, at, run) {
                    self.admit(link.0, side);
                }
            }
            Output::Close { link, after_flush } => {
                if let Some(side) = self.side(link.0, at, run) {
                    self.close(link.0, side, after_flush);
                    if self.rng.chance(50) {
                        let input = Box::new(Input::Closed { link });
                        self.push(self.now, Event::Tell { at, run, input });
                    }
                }
            }
            Output::Dial { dial, device, endpoints, channel, via } => {
                let how = if via.is_some() { " through the coordinator" } else { "" };
                self.trace.say(self.now, || format!("{at} dials {}{how}", device.short()));
                self.count_dial(at, device, channel, via.is_some());
                if via.is_some() {
                    self.dial_circuit(at, dial, device);
                } else {
                    self.dial(at, dial, device, &endpoints, channel);
                }
            }
            Output::Fetch(order) => self.fetch(at, run, order),
            Output::SaveFile { offer, .. } => self.save_file(at, run, offer),
            Output::StopFile { offer, discard } => self.stop_file(at, offer, discard),
            Output::Reserve { .. } => self.reserve(at),
            Output::Release => self.release(at),
            Output::Persist { id, changes } => {
                let heard = self.pc(at).map_or(0, |pc| pc.failures_heard);
                self.queue_job(at, Job::Write(id, changes, heard));
            }
            Output::Load { id, log, from, max_entries, max_bytes } => {
                self.queue_job(at, Job::Read { id, log, from, max_entries, max_bytes });
            }
            Output::Answer { request, result } => self.answered(at, run, request, result),
            Output::Event(event) => self.hears(at, event),
        }
    }

    fn side(&self, conn: u64, at: At, run: u32) -> Option<usize> {
        self.net.conns.get(&conn)?.side_of(at, run)
    }

    fn queue_job(&mut self, at: At, job: Job) {
        let delay = self.disk_delay();
        let now = self.now;
        let Some(pc) = self.pc_mut(at) else { return };
        pc.jobs.push_back(job);
        let run = pc.run;
        if pc.jobs.len() == 1 {
            self.push(now + delay, Event::Disk { at, run });
        }
    }

    fn disk_delay(&mut self) -> u64 {
        if self.rng.chance(3) { self.rng.range(20, 400) * MS } else { self.rng.range(300, 3000) }
    }

    /// The disk has done the job in front.
    pub(crate) fn disk(&mut self, at: At, run: u32) {
        let now = self.now;
        let failing = self.pc(at).map_or(0, |pc| pc.failing);
        // What was asked for before the program knows of a failure rests on the same wrong belief: it fails too.
        let failures = self.pc(at).map_or(0, |pc| pc.failures);
        let fails = failing > 0 && self.rng.chance(failing);
        let written = self.rng.chance(50);
        let Some(pc) = self.pc_mut(at).filter(|pc| pc.run == run) else { return };
        let Some(job) = pc.jobs.pop_front() else { return };
        match job {
            Job::Read { id, log, from, max_entries, max_bytes } => {
                let entries = pc.disk.load(&log, from, max_entries, max_bytes);
                self.tell_of_disk(at, run, 0, Input::Loaded { id, entries });
            }
            Job::Write(id, changes, heard) if heard < failures => {
                self.fail_writes(at, run, (id, changes), false)
            }
            Job::Write(id, changes, _) if fails => self.fail_writes(at, run, (id, changes), written),
            Job::Write(id, changes, _) => {
                self.commit(at, &changes);
                let later = if self.rng.chance(10) { self.rng.below(30 * MS) } else { 0 };
                self.tell_of_disk(at, run, later, Input::Stored { id });
            }
        }
        if self.pc(at).is_some_and(|pc| !pc.jobs.is_empty()) {
            let delay = self.disk_delay();
            self.push(now + delay, Event::Disk { at, run });
        }
    }

    /// A write fails, and every write behind it. Whether the first one is there nevertheless is chance.
    fn fail_writes(&mut self, at: At, run: u32, first: (PersistId, Vec<Change>), written: bool) {
        self.trace.say(self.now, || format!("{at} store fails, written: {written}"));
        if written {
            self.commit(at, &first.1);
        }
        let readable = !self.rng.chance(20);
        let Some(pc) = self.pc_mut(at) else { return };
        let mut failed = vec![first];
        let mut reads = Vec::new();
        for job in std::mem::take(&mut pc.jobs) {
            match job {
                Job::Write(id, changes, _) => failed.push((id, changes)),
                read @ Job::Read { .. } => reads.push(read),
            }
        }
        pc.jobs.extend(reads);
        pc.failures += failed.len() as u64;
        let outcomes: Vec<Input> = failed
            .into_iter()
            .map(|(id, changes)| Input::StoreFailed {
                id,
                ends: if readable { pc.disk.ends(&changes) } else { Vec::new() },
                reason: "no space left".to_owned(),
            })
            .collect();
        for input in outcomes {
            self.tell_of_disk(at, run, 0, input);
        }
    }

    /// Outcomes reach the program in the order of the jobs, some of them late.
    fn tell_of_disk(&mut self, at: At, run: u32, later: u64, input: Input) {
        let moment = self.now + later;
        let Some(pc) = self.pc_mut(at) else { return };
        pc.disk_told = pc.disk_told.max(moment);
        let moment = pc.disk_told;
        self.push(moment, Event::Tell { at, run, input: Box::new(input) });
    }

    /// A transaction becomes durable.
    pub(crate) fn commit(&mut self, at: At, changes: &[Change]) {
        let now = self.now;
        let mut words = Vec::new();
        self.trace.say(now, || {
            words = changes.iter().map(spell::change).collect();
            format!("{at} stores {}", words.join(", "))
        });
        self.trace.mix(&[7, now, at as u64, changes.len() as u64]);
        self.check_rows(at, changes);
        let outcome = self.pc_mut(at).map_or(Ok(()), |pc| pc.commit(changes));
        if let Err(error) = outcome {
            self.breaks(format!("{}: {error}", self.name(at)));
        }
        for change in changes {
            if let Change::Entry(stored) = change {
                self.check_entry(at, stored);
            }
        }
    }

    /// An entry became durable: it must be something that was said, by whom it says, where it belongs.
    fn check_entry(&mut self, at: At, stored: &StoredEntry) {
        if stored.entry.header.kind != EntryKind::Text.number() {
            return;
        }
        let Ok(Some(body)) = stored.entry.body::<TextBody>() else {
            self.breaks(format!("{} stores a text without a body", self.name(at)));
            return;
        };
        let Some((_, said)) = self.model.text(&body.text) else {
            self.breaks(format!("{} stores what nobody said", self.name(at)));
            return;
        };
        let author = self.pc(said.from).map(crate::pc::Pc::device);
        let right = said.author == stored.author
            && author == Some(stored.entry.header.device)
            && stored.descriptor == lanchat_proto::entry::Descriptor::direct(said.author, said.to);
        let (to, by, banned, from) = (said.to, said.author, said.banned, said.from);
        let reader = self.pc(at).map(|pc| pc.person.user);
        if !right {
            self.breaks(format!("{} stores a message under another's name or place", self.name(at)));
        }
        if reader != Some(to) && reader != Some(by) {
            self.breaks(format!("{} stores a message that is not for it", self.name(at)));
        }
        // A disk that went back behind the ban knows nothing of it.
        if banned && from != at && reader != Some(by) && self.knows_ban(at, by) {
            self.breaks(format!("{} takes a message of a banned user", self.name(at)));
        }
    }

    pub(crate) fn before_command(&mut self, at: At, run: u32, request: RequestId, command: &Command) {
        self.before_file_command(at, run, request, command);
        let Command::SendText { to, text, .. } = command else { return };
        let Some(author) = self.pc(at).map(|pc| pc.person.user) else { return };
        let banned = self.is_banned(at) && self.all_know_bans(at);
        let said = Said { from: at, author, to: *to, text: text.clone(), fate: Fate::Open, banned };
        self.trace.say(self.now, || format!("{at} says {text}"));
        self.model.says((at, run, request), said);
    }

    /// Whether the ban of a machine's user is on the coordinator's disk.
    pub(crate) fn is_banned(&self, at: At) -> bool {
        let Some(pc) = self.pc(at).filter(|pc| pc.standing == Standing::Banned) else { return false };
        let bans = |act: &Signed<Revocation>| act.peek().is_ok_and(|act| act.act == Act::Ban(pc.person.user));
        self.office.disk.acts.iter().any(bans)
    }

    /// Whether a machine has the ban of a user on its disk.
    fn knows_ban(&self, at: At, user: UserId) -> bool {
        let bans = |act: &Signed<Revocation>| act.peek().is_ok_and(|act| act.act == Act::Ban(user));
        self.pc(at).is_some_and(|pc| pc.disk.revocations.iter().any(|(_, act)| bans(act)))
    }

    /// Whether every other user's machine has all acts of the coordinator on its disk.
    fn all_know_bans(&self, banned: At) -> bool {
        let acts = self.office.disk.acts.len();
        let user = self.pc(banned).map(|pc| pc.person.user);
        let others = self.pcs.iter().filter(|pc| Some(pc.person.user) != user);
        others.into_iter().all(|pc| pc.disk.revocations.len() >= acts)
    }

    fn answered(&mut self, at: At, run: u32, request: RequestId, result: Result<Answer, CommandError>) {
        self.offer_answered((at, run, request), &result);
        let fate = match &result {
            Ok(Answer::Sent { message, .. }) => {
                if self.pc(at).is_some_and(|pc| pc.disk.find(message).is_none()) {
                    self.breaks(format!("{} shows a message as sent that is not on disk", self.name(at)));
                }
                Fate::Sent(*message)
            }
            Err(CommandError::Store(_)) => Fate::Unknown,
            _ => Fate::Refused,
        };
        self.trace.mix(&[8, self.now, at as u64, request.0]);
        if let Some(said) = self.model.answered((at, run, request), fate) {
            let text = said.text.clone();
            self.trace.say(self.now, || format!("{at} was answered {fate:?} to {text}"));
        } else if let Err(error) = result {
            self.trace.say(self.now, || format!("{at} was refused: {error}"));
        }
    }

    fn hears(&mut self, at: At, event: Told) {
        match event {
            Told::Message(stored) => self.hears_message(at, &stored),
            Told::Receipt { log, user, received, read } => {
                self.hears_receipt(at, log, user, received.max(read))
            }
            Told::Notice(notice) => {
                self.trace.say(self.now, || format!("{at} notice {notice:?}"));
                if matches!(notice, Notice::RevocationConflict { .. }) {
                    self.breaks(format!("{} calls the coordinator a cheat", self.name(at)));
                }
            }
            Told::Presence { user, presence } => {
                self.trace.say(self.now, || format!("{at} sees {} {presence:?}", user.short()));
            }
            Told::Coordinator(state) => self.trace.say(self.now, || format!("{at} coordinator {state:?}")),
            Told::Link { device, route, .. } => {
                if let Some(pc) = self.pc_mut(at) {
                    pc.routes.insert(device, route);
                }
                self.trace.say(self.now, || format!("{at} link to {} {route:?}", device.short()));
            }
            Told::Transfer { offer } => self.hears_transfer(at, &offer),
            Told::Profile { .. } => {}
        }
    }

    fn hears_message(&mut self, at: At, stored: &StoredEntry) {
        let message = stored.entry.header.message;
        let Some(pc) = self.pc_mut(at) else { return };
        let durable = pc.disk.find(&message).is_some();
        let again = stored.entry.header.kind == EntryKind::Text.number() && !pc.told.insert(message);
        self.trace.mix(&[9, at as u64]);
        self.trace.mix_bytes(&message.0);
        if !durable {
            self.breaks(format!("{} shows a message that is not on disk", self.name(at)));
        }
        if again {
            self.breaks(format!("{} shows message {} twice", self.name(at), message.short()));
        }
    }

    fn hears_receipt(&mut self, at: At, log: LogId, user: UserId, number: u64) {
        let reached = |pc: &crate::pc::Pc| pc.furthest.get(&log).is_some_and(|furthest| *furthest >= number);
        if !self.pcs.iter().any(|pc| pc.person.user == user && reached(pc)) {
            self.breaks(format!("{} is told of a receipt that is not true", self.name(at)));
        }
    }

    /// What a peer is told must be durable.
    fn check_frame(&mut self, at: At, frame: &Frame) {
        let Some(pc) = self.pc(at) else { return };
        let own = pc.device();
        let holds = |conversation, head: &Head| {
            let log = LogId { conversation, device: head.device, epoch: head.epoch };
            head.number <= pc.disk.end(&log).number
        };
        let wrong = match frame.known() {
            Some(Kind::Acknowledge) => frame
                .decode::<Acknowledge>()
                .is_ok_and(|ack| !ack.heads.iter().all(|head| holds(ack.conversation, head))),
            Some(Kind::Heads) => frame
                .decode::<Heads>()
                .is_ok_and(|heads| !heads.heads.iter().all(|head| holds(heads.conversation, head))),
            Some(Kind::Entries) => frame.decode::<Entries>().is_ok_and(|entries| {
                let read = entries.entries.iter().filter_map(|wire| Entry::read(wire).ok());
                !read.into_iter().all(|e| e.header.number <= pc.disk.end(&e.header.log()).number)
            }),
            Some(Kind::States) => frame.decode::<States>().is_ok_and(|states| {
                let realm = self.office.keys.realm();
                let opened = |signed: &_| StateRecord::open(signed, &realm).ok();
                let records = states.records.iter().filter_map(opened);
                let mut own = records.filter(|record| record.device == own);
                !own.all(|record| pc.disk.holds_word(&record))
            }),
            _ => false,
        };
        if wrong {
            self.breaks(format!(
                "{} tells a peer of what is not on disk: {}",
                self.name(at),
                spell::frame(frame)
            ));
        }
    }
}
