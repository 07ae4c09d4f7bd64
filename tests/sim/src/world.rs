//! The world: machines, the network between them, one queue of what happens next. Nothing in it waits or guesses.
//!
//! Keeps true: everything follows from the seed and the calls, so that a failing seed replays the same trace. A rule
//! that is broken is noted at the moment it is broken ([`World::broken`]), with the time.

use crate::files::{Files, Step};
use crate::model::Model;
use crate::net::{At, Item, Network, OFFICE};
use crate::office::{Enrolment, Office, Person};
use crate::pc::Pc;
use crate::relay::Circuit;
use crate::rng::Rng;
use crate::time::{Micros, SECOND};
use crate::trace::{Detail, Trace};
use crate::watch::Watch;
use lanchat_node_core::boot::{DialId, RequestId};
use lanchat_node_core::{Command, Input, NodeState};
use lanchat_proto::certificate::Certificate;
use lanchat_proto::frame::Frame;
use lanchat_proto::ids::Epoch;
use lanchat_proto::signed::SecretKey;
use lanchat_proto::wire::Endpoint;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Events after which a schedule counts as a storm.
const MAX_EVENTS: u64 = 400_000;

/// What happens next.
#[derive(Debug)]
pub(crate) enum Event {
    Timer { at: At, run: u32, due: Micros },
    Opened { conn: u64, side: usize, dial: Option<DialId> },
    Connect { at: At, run: u32, dial: DialId, channel: lanchat_node_core::boot::Channel, target: Option<At> },
    DialFailed { at: At, run: u32, dial: DialId, attempts: Vec<(Endpoint, String)> },
    Circuit(Box<Circuit>),
    Place { at: At, run: u32, attempt: u64 },
    PlaceFails { at: At, run: u32, attempt: u64 },
    Wake { at: At },
    Arrive { conn: u64, side: usize },
    Gone { conn: u64, side: usize },
    HelloDue { conn: u64, side: usize },
    Disk { at: At, run: u32 },
    Tell { at: At, run: u32, input: Box<Input> },
    OfficeDisk { run: u32 },
    File { at: At, number: u64, step: Step },
    Enrolled { login: Enrolment, certificate: Box<Certificate> },
}

impl Event {
    /// The machine on which it happens.
    fn place(&self, net: &Network) -> Option<At> {
        match self {
            Self::Timer { at, .. }
            | Self::Connect { at, .. }
            | Self::DialFailed { at, .. }
            | Self::Disk { at, .. }
            | Self::Tell { at, .. }
            | Self::Place { at, .. }
            | Self::PlaceFails { at, .. }
            | Self::Wake { at }
            | Self::File { at, .. } => Some(*at),
            Self::Enrolled { login, .. } => Some(login.at),
            Self::OfficeDisk { .. } | Self::Circuit(_) => Some(OFFICE),
            Self::Opened { conn, side, .. }
            | Self::Arrive { conn, side }
            | Self::Gone { conn, side }
            | Self::HelloDue { conn, side } => net.conns.get(conn).map(|conn| conn.side(*side).at),
        }
    }
}

/// The world.
pub struct World {
    /// Chance.
    pub rng: Rng,
    /// True time.
    pub now: Micros,
    /// The network.
    pub net: Network,
    /// The coordinator.
    pub office: Office,
    /// Machines; the one at index `i` is at `i + 1` on the network.
    pub pcs: Vec<Pc>,
    /// The second opinion.
    pub model: Model,
    /// What happened.
    pub trace: Trace,
    /// Rules that were broken.
    pub broken: Vec<String>,
    /// Events so far.
    pub events: u64,
    /// What is watched of ways, where that is what the run is about.
    pub watch: Option<Watch>,
    /// Offered files, and what is under way for them.
    pub files: Files,
    queue: BTreeMap<(Micros, u64), Event>,
    order: u64,
    requests: u64,
}

impl World {
    /// A world with a coordinator and nobody else.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        let office = Office::found(1);
        Self::with_office(seed, office, Detail::Keep)
    }

    /// A world around an office.
    #[must_use]
    pub fn with_office(seed: u64, office: Office, detail: Detail) -> Self {
        Self {
            rng: Rng::seeded(seed),
            now: SECOND,
            net: Network::new(),
            office,
            pcs: Vec::new(),
            model: Model::default(),
            trace: Trace::new(detail),
            broken: Vec::new(),
            events: 0,
            watch: None,
            files: Files::new(seed),
            queue: BTreeMap::new(),
            order: 0,
            requests: 0,
        }
    }

    /// Puts a machine on the network; its program does not run yet.
    pub fn move_in(&mut self, person: Person) -> At {
        let at = self.pcs.len() + 1;
        let epoch = Epoch(self.rng.next());
        self.pcs.push(Pc::new(person, at, epoch));
        at
    }

    /// People with a machine each, registered, running, and given time to find each other.
    ///
    /// # Panics
    /// When the rules refuse them.
    pub fn cast<const N: usize>(&mut self, names: [&str; N]) -> [At; N] {
        let people = names.map(|name| {
            let key = SecretKey::from_seed(&self.rng.bytes());
            match self.office.enrol(name, key, None) {
                Ok(person) => self.move_in(person),
                Err(error) => unreachable!("{name} cannot register: {error}"),
            }
        });
        self.office.core = None;
        self.start_office();
        people.iter().for_each(|at| self.start(*at));
        self.run_for(3 * SECOND);
        people
    }

    /// A further machine of somebody, running.
    ///
    /// # Panics
    /// When the rules refuse it.
    pub fn second_device(&mut self, of: At) -> At {
        let Some(person) = self.pc(of).map(|pc| pc.person.clone()) else { unreachable!("nobody at {of}") };
        let key = SecretKey::from_seed(&self.rng.bytes());
        let mut office = self.office.copy();
        let at = match office.enrol(person.name.as_str(), key, Some(&person)) {
            Ok(second) => self.move_in(second),
            Err(error) => unreachable!("cannot enrol: {error}"),
        };
        self.crash_office();
        self.office.disk = office.disk;
        self.start_office();
        self.start(at);
        self.run_for(5 * SECOND);
        at
    }

    /// A machine.
    #[must_use]
    pub fn pc(&self, at: At) -> Option<&Pc> {
        at.checked_sub(1).and_then(|index| self.pcs.get(index))
    }

    /// A machine, to change it.
    pub fn pc_mut(&mut self, at: At) -> Option<&mut Pc> {
        at.checked_sub(1).and_then(|index| self.pcs.get_mut(index))
    }

    /// Notes a broken rule.
    pub(crate) fn breaks(&mut self, rule: String) {
        self.trace.say(self.now, || format!("BROKEN {rule}"));
        self.broken.push(format!("at {:.6} s: {rule}", self.now as f64 / 1e6));
    }

    /// A number that is never drawn again.
    pub(crate) fn draw_number(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    pub(crate) fn push(&mut self, at: Micros, event: Event) {
        self.order += 1;
        self.queue.insert((at, self.order), event);
    }

    /// Lets everything happen up to a moment.
    pub fn run_until(&mut self, until: Micros) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > until || self.events > MAX_EVENTS {
                break;
            }
            let ((at, _), event) = entry.remove_entry();
            self.now = self.now.max(at);
            let place = event.place(&self.net);
            let frozen = place.and_then(|at| self.pc(at)).map_or(0, |pc| pc.frozen_until);
            if frozen > self.now {
                self.push(frozen, event);
                continue;
            }
            self.events += 1;
            if self.events == MAX_EVENTS {
                self.breaks(format!("a storm: {MAX_EVENTS} events"));
            }
            self.happen(event);
        }
        self.now = self.now.max(until);
    }

    /// Lets time pass.
    pub fn run_for(&mut self, time: Micros) {
        self.run_until(self.now + time);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Timer { at, run, due } => self.timer(at, run, due),
            Event::Opened { conn, side, dial } => self.opened(conn, side, dial),
            Event::Connect { at, run, dial, channel, target } => self.connect(at, run, dial, channel, target),
            Event::DialFailed { at, run, dial, attempts } => {
                self.tell(at, run, Input::DialFailed { dial, attempts, reason: "unreachable".to_owned() });
            }
            Event::Circuit(circuit) => self.circuit(*circuit),
            Event::Place { at, run, attempt } => self.place_due(at, run, attempt),
            Event::PlaceFails { at, run, attempt } => self.place_fails(at, run, attempt),
            Event::Wake { at } => self.wake(at),
            Event::Arrive { conn, side } => self.arrive(conn, side),
            Event::Gone { conn, side } => self.gone(conn, side),
            Event::HelloDue { conn, side } => self.hello_due(conn, side),
            Event::Disk { at, run } => self.disk(at, run),
            Event::Tell { at, run, input } => self.tell(at, run, *input),
            Event::OfficeDisk { run } => self.office_disk(run),
            Event::File { at, number, step } => self.file_step(at, number, step),
            Event::Enrolled { login, certificate } => self.enrolled(login, *certificate),
        }
    }

    /// Gives an input to a machine's program if it is still that run.
    pub(crate) fn tell(&mut self, at: At, run: u32, input: Input) {
        let now = self.now;
        let Some(pc) = self.pc_mut(at).filter(|pc| pc.run == run) else { return };
        let clock = pc.clock.now(now);
        let Some(core) = pc.core.as_mut() else { return };
        pc.failures_heard += u64::from(matches!(input, Input::StoreFailed { .. }));
        match &input {
            Input::Announced { device, endpoints } => drop(pc.heard.insert(*device, endpoints.clone())),
            Input::NotAnnounced { device } => drop(pc.heard.remove(device)),
            Input::NetworkChanged => pc.changed = now,
            _ => {}
        }
        core.handle_input(input, clock);
        self.pump(at);
    }

    fn timer(&mut self, at: At, run: u32, due: Micros) {
        if at == OFFICE {
            self.office_timer(run, due);
            return;
        }
        let now = self.now;
        let Some(pc) = self.pc_mut(at).filter(|pc| pc.run == run && pc.timer == Some(due)) else { return };
        pc.timer = None;
        let clock = pc.clock.now(now);
        let Some(core) = pc.core.as_mut() else { return };
        core.handle_timeout(clock);
        self.trace.mix(&[1, now, at as u64]);
        self.pump(at);
    }

    /// Carries out what a program asks for, and sets its next timer.
    pub(crate) fn pump(&mut self, at: At) {
        while let Some(output) =
            self.pc_mut(at).and_then(|pc| pc.core.as_mut()).and_then(|core| core.poll_output())
        {
            self.carry_out(at, output);
        }
        let now = self.now;
        let late = if self.rng.chance(5) { self.rng.below(20_000) } else { 0 };
        let Some(pc) = self.pc_mut(at) else { return };
        let Some((mono, why)) = pc.core.as_ref().and_then(|core| core.poll_timeout()) else {
            pc.timer = None;
            return;
        };
        let wanted = pc.clock.moment(mono);
        if pc.timer.is_some_and(|set| set >= wanted && set <= wanted.max(now) + 20_000) {
            return;
        }
        pc.spins = if wanted <= now { pc.spins + 1 } else { 0 };
        let (run, spins) = (pc.run, pc.spins);
        let due = wanted.max(now) + late;
        pc.timer = Some(due);
        if spins == 1000 {
            self.breaks(format!("the timer '{why}' of {} spins", self.name(at)));
        }
        self.push(due, Event::Timer { at, run, due });
    }

    /// Starts a machine's program (and the machine).
    pub fn start(&mut self, at: At) {
        let (realm, coordinator) = (self.office.keys.realm(), self.office.keys.coordinator);
        let seed = self.rng.bytes();
        let now = self.now;
        let Some(pc) = self.pc_mut(at).filter(|pc| pc.core.is_none()) else { return };
        pc.run += 1;
        pc.powered = true;
        pc.clock.started = now;
        pc.jobs.clear();
        pc.told.clear();
        pc.transfers.clear();
        (pc.failures, pc.failures_heard) = (0, 0);
        pc.timer = None;
        pc.place = crate::relay::Place::default();
        pc.routes.clear();
        pc.heard.clear();
        pc.changed = 0;
        let boot = pc.boot(realm, coordinator, seed, now);
        let clock = pc.clock.now(now);
        let core = NodeState::new(boot, clock);
        let run = pc.run;
        match core {
            Ok(core) => pc.core = Some(Box::new(core)),
            Err(error) => return self.breaks(format!("{} cannot start: {error}", self.name(at))),
        }
        self.files.starts(at);
        self.trace.mix(&[2, now, at as u64]);
        self.trace.say(now, || format!("pc {at} starts"));
        self.pump(at);
        self.listens_at(at, run);
        self.announcements_at_start(at);
        self.tell_whole(at);
    }

    /// A command of the user at a machine. `None` when its program does not run.
    pub fn command(&mut self, at: At, command: Command) -> Option<RequestId> {
        self.requests += 1;
        let request = RequestId(self.requests);
        let run = self.pc(at).filter(|pc| pc.runs()).map(|pc| pc.run)?;
        self.before_command(at, run, request, &command);
        self.tell(at, run, Input::Command { request, command });
        Some(request)
    }

    /// A machine's name in traces.
    #[must_use]
    pub fn name(&self, at: At) -> String {
        self.pc(at).map_or_else(|| "office".to_owned(), |pc| format!("{}@{at}", pc.person.name))
    }

    /// Puts a frame into a stream.
    pub(crate) fn transmit(&mut self, conn: u64, from_side: usize, frame: Arc<Frame>) {
        let open = self.net.conns.get(&conn).is_some_and(|conn| conn.side(from_side).open);
        if open {
            self.enqueue(conn, from_side ^ 1, Item::Frame(frame));
        }
    }
}
