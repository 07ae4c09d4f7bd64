//! What can go wrong with machines: crashes, old copies, wrong clocks, and the coordinator's own life.

use crate::net::{At, OFFICE};
use crate::office::{self, ENROLMENTS, Enrolment};
use crate::pc::{Job, Standing};
use crate::time::{MS, Micros};
use crate::world::{Event, World};
use lanchat_coordinator_core::{Input, LinkId, Output};
use lanchat_node_core::Input as NodeInput;
use lanchat_proto::certificate::Certificate;
use lanchat_proto::frame::Kind;
use lanchat_proto::wire::coordinator::Enrolled;
use std::collections::BTreeSet;

impl World {
    /// Kills a program. Of the writes under way a part may have become durable. With `power`, the machine goes too and
    /// tells nobody.
    pub fn crash(&mut self, at: At, power: bool) {
        let survives = self.rng.below(4);
        let Some(pc) = self.pc_mut(at).filter(|pc| pc.runs()) else { return };
        pc.core = None;
        pc.powered = !power;
        pc.frozen_until = 0;
        let run = pc.run;
        let jobs = std::mem::take(&mut pc.jobs);
        self.trace.mix(&[10, self.now, at as u64]);
        self.trace.say(self.now, || format!("pc {at} crashes, power {power}"));
        let writes = jobs.into_iter().filter_map(|job| match job {
            Job::Write(_, changes, _) => Some(changes),
            Job::Read { .. } => None,
        });
        let kept: Vec<_> = writes.take(usize::try_from(survives).unwrap_or(0)).collect();
        kept.iter().for_each(|changes| self.commit(at, changes));
        self.drop_streams(at, run, power);
    }

    /// Ends a program in order.
    pub fn quit(&mut self, at: At) {
        let Some(run) = self.pc(at).filter(|pc| pc.runs()).map(|pc| pc.run) else { return };
        self.tell(at, run, NodeInput::Stop);
        self.run_for(200 * MS);
        self.trace.say(self.now, || format!("pc {at} quits"));
        let Some(pc) = self.pc_mut(at) else { return };
        pc.core = None;
        pc.frozen_until = 0;
        let jobs = std::mem::take(&mut pc.jobs);
        for job in jobs {
            if let Job::Write(_, changes, _) = job {
                self.commit(at, &changes);
            }
        }
        self.drop_streams(at, run, false);
    }

    /// Nothing happens on a machine for a while: a laptop sleeps.
    pub fn freeze(&mut self, at: At, time: Micros) {
        let until = self.now + time;
        if let Some(pc) = self.pc_mut(at) {
            pc.frozen_until = pc.frozen_until.max(until);
        }
        self.trace.say(self.now, || format!("pc {at} sleeps {} ms", time / MS));
    }

    /// Moves a machine's wall clock.
    pub fn jump_clock(&mut self, at: At, by_ms: i64) {
        self.trace.say(self.now, || format!("clock of {at} jumps {by_ms} ms"));
        if at == OFFICE {
            self.office.clock.offset_ms += by_ms;
        } else if let Some(pc) = self.pc_mut(at) {
            pc.clock.offset_ms += by_ms;
            pc.clock_jumped = true;
        }
    }

    /// Keeps a copy of a disk.
    pub fn backup(&mut self, at: At) {
        if let Some(pc) = self.pc_mut(at) {
            pc.backup = Some(pc.disk.clone());
        }
    }

    /// Replaces a disk by the copy kept, behind the program's back: a restored virtual machine. The program is killed
    /// and started again.
    pub fn restore(&mut self, at: At) {
        if self.pc(at).is_none_or(|pc| pc.backup.is_none()) {
            return;
        }
        self.crash(at, false);
        self.trace.say(self.now, || format!("pc {at} is restored from an old copy"));
        let Some(pc) = self.pc_mut(at) else { return };
        let Some(backup) = pc.backup.clone() else { return };
        let certificate = pc.disk.certificate.clone();
        let chain = pc.disk.chain.clone();
        pc.disk = backup;
        pc.disk.certificate = certificate;
        pc.disk.chain = chain;
        pc.rolled_back = true;
        let kept: BTreeSet<_> = pc.disk.shown().into_iter().map(|shown| shown.message).collect();
        self.model.rolled_back(at, &kept);
        self.start(at);
    }

    /// Starts the coordinator's program.
    pub fn start_office(&mut self) {
        if self.office.core.is_some() {
            return;
        }
        let (seed, run) = (self.rng.bytes(), self.rng.next());
        self.office.clock.started = self.now;
        let now = self.office.clock.now(self.now);
        self.trace.say(self.now, || "office starts".to_owned());
        if let Err(error) = self.office.start(seed, run, now) {
            self.breaks(format!("the coordinator cannot start: {error}"));
        }
        self.pump_office();
    }

    /// Kills the coordinator's program.
    pub fn crash_office(&mut self) {
        if self.office.core.take().is_none() {
            return;
        }
        self.trace.mix(&[11, self.now]);
        self.trace.say(self.now, || "office crashes".to_owned());
        if let Some((_, changes)) = self.office.writing.take()
            && self.rng.chance(50)
        {
            self.office.apply(&changes);
        }
        self.office.enrolling.clear();
        self.drop_streams(OFFICE, self.office.run, false);
    }

    /// Kicks or bans the user of a machine, if the coordinator runs.
    pub fn expel(&mut self, at: At, ban: bool) {
        let Some(name) = self.pc(at).map(|pc| pc.person.name.clone()) else { return };
        if self.office.core.is_none() {
            return;
        }
        self.trace.say(self.now, || format!("{name} is {}", if ban { "banned" } else { "kicked" }));
        let standing = if ban { Standing::Banned } else { Standing::Kicked };
        for pc in self.pcs.iter_mut().filter(|pc| pc.person.name == name) {
            if pc.standing != Standing::Banned {
                pc.standing = standing;
                pc.expelled += 1;
            }
        }
        let command = office::expel(name, ban);
        self.tell_office(self.office.run, Input::Admin { request: 1, command });
    }

    /// The user of a machine logs in again after a kick, if the coordinator runs.
    pub fn log_in(&mut self, at: At) {
        let Some(pc) = self.pc(at).filter(|pc| pc.standing == Standing::Kicked) else { return };
        // A kick after this moment waits behind the login, and strikes the certificate that it brings.
        let login = Enrolment { at, run: pc.run, expelled: pc.expelled };
        let device = pc.device();
        let Ok(frame) = office::login(&pc.person.name) else { return };
        if self.office.core.is_none() {
            return;
        }
        self.trace.say(self.now, || format!("{at} logs in again"));
        let number = ENROLMENTS + (1 << 40) + self.draw_number();
        self.office.enrolling.insert(number, login);
        let link = LinkId(number);
        let run = self.office.run;
        self.tell_office(run, Input::Opened { link, device, remote: self.net.home(at), dial: None });
        self.tell_office(run, Input::Frame { link, frame });
    }

    /// The shell got a new certificate: the program goes on with it. A login ends with the program that it was made at.
    pub(crate) fn enrolled(&mut self, login: Enrolment, certificate: Certificate) {
        let Enrolment { at, run, expelled } = login;
        if self.pc(at).is_none_or(|pc| pc.run != run) {
            return;
        }
        self.crash(at, false);
        if let Some(pc) = self.pc_mut(at) {
            pc.disk.certificate = certificate;
            // A ban that was waiting behind the login holds all the same.
            if pc.expelled == expelled && pc.standing != Standing::Banned {
                pc.standing = Standing::Member;
            }
        }
        self.start(at);
    }

    pub(crate) fn tell_office(&mut self, run: u32, input: Input) {
        if self.office.run != run {
            return;
        }
        let now = self.office.clock.now(self.now);
        if let Some(core) = &mut self.office.core {
            core.handle_input(input, now);
        }
        self.pump_office();
    }

    pub(crate) fn office_timer(&mut self, run: u32, due: Micros) {
        if self.office.run != run || self.office.timer != Some(due) {
            return;
        }
        self.office.timer = None;
        let now = self.office.clock.now(self.now);
        if let Some(core) = &mut self.office.core {
            core.handle_timeout(now);
        }
        self.pump_office();
    }

    pub(crate) fn pump_office(&mut self) {
        while let Some(output) = self.office.core.as_mut().and_then(|core| core.poll_output()) {
            self.carry_out_office(output);
        }
        let Some((mono, _)) = self.office.core.as_ref().and_then(|core| core.poll_timeout()) else { return };
        let due = self.office.clock.moment(mono).max(self.now);
        if self.office.timer.is_none_or(|set| set != due) {
            self.office.timer = Some(due);
            self.push(due, Event::Timer { at: OFFICE, run: self.office.run, due });
        }
    }

    fn carry_out_office(&mut self, output: Output) {
        let run = self.office.run;
        match output {
            Output::Send { link, frame } => {
                if let Some(login) = self.office.enrolling.get(&link.0).copied() {
                    if frame.known() == Some(Kind::Enrolled)
                        && let Ok(enrolled) = frame.decode::<Enrolled>()
                    {
                        self.office.enrolling.remove(&link.0);
                        let certificate = Box::new(enrolled.certificate);
                        self.push(self.now + MS, Event::Enrolled { login, certificate });
                    }
                } else if let Some(side) = self.office_side(link.0) {
                    self.transmit(link.0, side, frame);
                }
            }
            Output::Admit { link, .. } => {
                if let Some(side) = self.office_side(link.0) {
                    self.admit(link.0, side);
                }
            }
            Output::Close { link, after_flush } => {
                if let Some(side) = self.office_side(link.0) {
                    self.close(link.0, side, after_flush);
                }
            }
            Output::Persist { id, changes } => {
                self.office.writing = Some((id, changes));
                let delay = self.rng.range(300, 5000);
                self.push(self.now + delay, Event::OfficeDisk { run });
            }
            Output::AdminAnswer { result, .. } => {
                self.trace.say(self.now, || format!("admin: {result:?}"));
            }
            Output::ReadAvatar { link, request, user } => {
                let input = Input::AvatarRead { link, request, user, picture: Vec::new() };
                self.tell_office(run, input);
            }
            // Whether a device can be dialled is for people to know; here nobody asks.
            Output::Dial { dial, .. } => self.tell_office(run, Input::DialFailed { dial, tried: false }),
            Output::Notice(_) => {}
        }
    }

    fn office_side(&self, conn: u64) -> Option<usize> {
        self.net.conns.get(&conn)?.side_of(OFFICE, self.office.run)
    }

    pub(crate) fn office_disk(&mut self, run: u32) {
        if self.office.run != run {
            return;
        }
        let Some((id, changes)) = self.office.writing.take() else { return };
        self.trace.mix(&[12, self.now, changes.len() as u64]);
        self.office.apply(&changes);
        self.tell_office(run, Input::Stored { id });
    }
}
