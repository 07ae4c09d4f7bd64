//! The stage on which stories are played: real nodes, a virtual clock, links in memory, disks that can fail.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test's helper: each story uses a part of it, and a panic is a failed story"
)]

pub mod coordinator;
pub mod org;
pub mod pc;

use coordinator::Coordinator;
use lanchat_node_core::boot::{
    Channel, CoordinatorPin, DialId, LinkId, LoadId, PersistId, RequestId, Settings,
};
use lanchat_node_core::output::{Answer, Change, CommandError, Event, Notice, StoredEntry};
use lanchat_node_core::view::{Route, UserView};
use lanchat_node_core::{Boot, Command, Input, MemoryStore, NodeState, Output, Subnet};
use lanchat_proto::certificate::{Certificate, DeviceChain};
use lanchat_proto::entry::Descriptor;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{ConversationId, DeviceId, Epoch, HostId, LogId, RealmId, UserId};
use lanchat_proto::signed::SecretKey;
use lanchat_proto::time::{Mono, Now, Wall};
use lanchat_proto::wire::Endpoint;
use org::Org;
use pc::Job;
pub use pc::{DiskMood, Pc};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Wall time when every story begins.
pub const DAWN: Wall = Wall(1_800_000_000_000);

/// A PC on the stage, by number.
pub type At = usize;

/// Where a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// At a node.
    Pc(At),
    /// At the coordinator.
    Coordinator,
    /// At nobody: the story plays the other end itself.
    Story,
}

#[derive(Debug)]
enum Happening {
    Frame { to: Side, link: LinkId, frame: Frame },
    Closed { to: Side, link: LinkId },
    Dial { from: At, run: u32, dial: DialId, device: DeviceId, channel: Channel, relayed: bool },
    Disk { at: At, run: u32 },
}

/// The stage.
pub struct Stage {
    pub org: Org,
    pub pcs: Vec<Pc>,
    pub coordinator: Coordinator,
    pub now: Duration,
    happenings: BTreeMap<(Duration, u64), Happening>,
    ends: BTreeMap<LinkId, (Side, LinkId, Side)>,
    cuts: BTreeSet<(At, At)>,
    /// Pairs of which the first cannot dial the second.
    walls: BTreeSet<(At, At)>,
    relayed: BTreeSet<LinkId>,
    /// Connections of which nothing arrives any more.
    deaf: BTreeSet<LinkId>,
    last_arrival: BTreeMap<LinkId, Duration>,
    count: u64,
}

pub const TICK: Duration = Duration::from_millis(1);

impl Stage {
    pub fn new() -> Self {
        let org = Org::new();
        Self {
            coordinator: Coordinator::new(&org),
            org,
            pcs: Vec::new(),
            now: Duration::ZERO,
            happenings: BTreeMap::new(),
            ends: BTreeMap::new(),
            cuts: BTreeSet::new(),
            walls: BTreeSet::new(),
            relayed: BTreeSet::new(),
            deaf: BTreeSet::new(),
            last_arrival: BTreeMap::new(),
            count: 0,
        }
    }

    /// Alice and bob, linked.
    pub fn two() -> (Self, At, At) {
        let mut stage = Self::new();
        let (alice, bob) = (stage.pc(1, "alice"), stage.pc(2, "bob"));
        stage.connect(alice, bob);
        stage.settle();
        (stage, alice, bob)
    }

    fn count(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// A PC with the key of this number, of the user with this name, that presents this certificate and chain.
    pub fn pc_with(&mut self, number: u8, certificate: Certificate, chain: DeviceChain) -> At {
        let key = org::key(number);
        let epoch = Epoch(u64::from(number) << 8);
        let user = certificate.membership.peek().unwrap().user;
        let address = format!("192.168.1.{number}:7420").parse().unwrap();
        self.pcs.push(Pc {
            key,
            user,
            core: None,
            disk: MemoryStore::new(epoch, certificate, chain),
            mood: DiskMood::Fine,
            host: HostId([number; 16]),
            address: Endpoint::new(address),
            skew: 0,
            settings: Settings::default(),
            events: Vec::new(),
            answers: BTreeMap::new(),
            sent: Vec::new(),
            closed: Vec::new(),
            admitted: Vec::new(),
            dialled: Vec::new(),
            fetches: Vec::new(),
            saves: Vec::new(),
            discarded: Vec::new(),
            reserved: false,
            jobs: VecDeque::new(),
            run: 0,
        });
        self.pcs.len() - 1
    }

    /// A member's PC, started: the user's first device, which endorses itself.
    pub fn pc(&mut self, number: u8, name: &str) -> At {
        let certificate = self.org.certificate(name, number);
        let chain = self.org.first_chain(name, number);
        let at = self.pc_with(number, certificate, chain);
        self.start(at);
        at
    }

    /// A PC that is not started yet.
    pub fn dark_pc(&mut self, number: u8, name: &str) -> At {
        let at = self.pc(number, name);
        self.crash(at);
        at
    }

    pub fn clock(&self, at: At) -> Now {
        let wall = DAWN.plus(self.now).corrected(self.pcs[at].skew);
        Now { mono: Mono(self.now + Duration::from_secs(1000)), wall }
    }

    pub fn start(&mut self, at: At) {
        self.start_in(at, false);
    }

    /// Starts a PC that knows the coordinator.
    pub fn start_in_office(&mut self, at: At) {
        self.start_in(at, true);
    }

    fn start_in(&mut self, at: At, office: bool) {
        let clock = self.clock(at);
        let number = self.count();
        let coordinator = office.then(|| CoordinatorPin {
            device: self.org.coordinator.public(),
            endpoints: vec![coordinator::ADDRESS.parse().map(Endpoint::new).unwrap()],
        });
        let pc = &mut self.pcs[at];
        let (certificate, chain) = pc.disk.own().unwrap().clone();
        let realm = certificate.membership.peek().unwrap().realm;
        let mut seed = [0; 32];
        seed[0] = u8::try_from(at).unwrap();
        seed[1..9].copy_from_slice(&number.to_le_bytes());
        let boot = Boot {
            realm,
            key: pc.key.clone(),
            certificate,
            chain,
            epoch: pc.disk.epoch().unwrap(),
            coordinator,
            host: pc.host,
            seed,
            settings: pc.settings.clone(),
            stored: pc.disk.stored(),
            started: clock.wall,
        };
        pc.run += 1;
        pc.core = Some(NodeState::new(boot, clock).unwrap());
        let endpoints = vec![pc.address];
        self.input(at, Input::Listening { endpoints, subnets: Vec::new() });
    }

    /// Kills a PC: what was not written is lost, its connections break.
    pub fn crash(&mut self, at: At) {
        self.pcs[at].core = None;
        self.pcs[at].jobs.clear();
        let mine: Vec<LinkId> =
            self.ends.iter().filter(|(_, (side, ..))| *side == Side::Pc(at)).map(|(link, _)| *link).collect();
        mine.into_iter().for_each(|link| self.hang_up(link));
    }

    /// Ends a PC in order.
    pub fn stop(&mut self, at: At) {
        self.input(at, Input::Stop);
        self.pcs[at].core = None;
        self.pcs[at].jobs.clear();
    }

    pub fn cut(&mut self, a: At, b: At) {
        self.cuts.insert((a.min(b), a.max(b)));
    }

    pub fn heal(&mut self) {
        self.cuts.clear();
        self.walls.clear();
    }

    /// A PC gets another address: what it was linked to hears no more of it, nor it of them.
    pub fn moves(&mut self, at: At, address: std::net::SocketAddr) {
        self.pcs[at].address = Endpoint::new(address);
        let deaf = |(_, (side, _, far)): &(&LinkId, &(Side, LinkId, Side))| {
            *side == Side::Pc(at) || *far == Side::Pc(at)
        };
        let links: Vec<LinkId> = self.ends.iter().filter(deaf).map(|(link, _)| *link).collect();
        self.deaf.extend(links);
        let (endpoints, ip) = (vec![self.pcs[at].address], address.ip());
        let subnets = vec![Subnet { ip, prefix: 24, is_virtual: false }];
        self.input(at, Input::Listening { endpoints, subnets });
        self.input(at, Input::NetworkChanged);
    }

    /// From now on the first cannot dial the second; what is linked stays so.
    pub fn wall(&mut self, from: At, to: At) {
        self.walls.insert((from, to));
    }

    /// Whether a dial succeeds: a circuit needs the other's place at the relay, and everybody reaches the coordinator.
    fn gets_through(&self, from: At, to: Side, relayed: bool) -> bool {
        match to {
            Side::Pc(to) if relayed => self.coordinator.relays && self.pcs[to].reserved,
            Side::Pc(at) => !self.walls.contains(&(from, at)) && !self.is_cut(Side::Pc(from), to),
            Side::Coordinator | Side::Story => true,
        }
    }

    fn cuts_link(&self, link: LinkId, a: Side, b: Side) -> bool {
        self.deaf.contains(&link) || (!self.relayed.contains(&link) && self.is_cut(a, b))
    }

    fn is_cut(&self, a: Side, b: Side) -> bool {
        match (a, b) {
            (Side::Pc(a), Side::Pc(b)) => self.cuts.contains(&(a.min(b), a.max(b))),
            _ => false,
        }
    }

    pub fn find(&self, device: &DeviceId) -> Option<At> {
        self.pcs.iter().position(|pc| pc.device() == *device && pc.core.is_some())
    }

    /// Connects two PCs, the first one dialling. Returns the link ids at both ends.
    pub fn connect(&mut self, a: At, b: At) -> (LinkId, LinkId) {
        self.join(Side::Pc(a), Side::Pc(b), Channel::Link, None, false)
    }

    /// A connection of the story itself with a PC, which a device with this key made or accepted. Returns the PC's end.
    pub fn stranger(&mut self, at: At, device: DeviceId, pc_dials: bool) -> LinkId {
        let (mine, theirs) = (LinkId(self.count()), LinkId(self.count()));
        self.ends.insert(theirs, (Side::Pc(at), mine, Side::Story));
        let remote = Endpoint::new("192.168.1.99:999".parse().unwrap());
        let channel = Channel::Link;
        let (dialler, relayed, dial) = (pc_dials, false, None);
        let opened = Input::Opened { link: theirs, device, channel, dialler, remote, relayed, dial };
        self.input(at, opened);
        theirs
    }

    fn device_at(&self, side: Side) -> DeviceId {
        match side {
            Side::Pc(at) => self.pcs[at].device(),
            Side::Coordinator | Side::Story => self.org.coordinator.public(),
        }
    }

    fn join(
        &mut self,
        from: Side,
        to: Side,
        channel: Channel,
        dial: Option<DialId>,
        relayed: bool,
    ) -> (LinkId, LinkId) {
        let (a, b) = (LinkId(self.count()), LinkId(self.count()));
        if relayed {
            self.relayed.extend([a, b]);
        }
        self.ends.insert(a, (from, b, to));
        self.ends.insert(b, (to, a, from));
        for (side, link, other, dialler) in [(to, b, from, false), (from, a, to, true)] {
            let device = self.device_at(other);
            let remote = match other {
                Side::Pc(_) if relayed => coordinator::ADDRESS.parse().map(Endpoint::new).unwrap(),
                Side::Pc(at) if dialler => self.pcs[at].address,
                Side::Pc(at) => self.pcs[at].address.with_port(50_000),
                Side::Coordinator | Side::Story => coordinator::ADDRESS.parse().map(Endpoint::new).unwrap(),
            };
            let dial = dial.filter(|_| dialler);
            match side {
                Side::Pc(at) => {
                    self.input(at, Input::Opened { link, device, channel, dialler, remote, relayed, dial });
                }
                Side::Coordinator => {
                    let frames = self.coordinator.opened(link, device, DAWN.plus(self.now));
                    self.coordinator_sends(frames);
                }
                Side::Story => {}
            }
        }
        (a, b)
    }

    pub fn coordinator_sends(&mut self, frames: Vec<(LinkId, Frame)>) {
        for (link, frame) in frames {
            self.carry(link, frame);
        }
    }

    fn hang_up(&mut self, link: LinkId) {
        let Some((side, other, far)) = self.ends.remove(&link) else { return };
        if !self.cuts_link(link, side, far) {
            let at = self.arrival(link);
            let count = self.count();
            self.happenings.insert((at, count), Happening::Closed { to: far, link: other });
        }
    }

    /// The moment at which something sent on a link now arrives: in order.
    fn arrival(&mut self, link: LinkId) -> Duration {
        let last = self.last_arrival.get(&link).copied().unwrap_or_default();
        let at = (self.now + TICK).max(last);
        self.last_arrival.insert(link, at);
        at
    }

    fn carry(&mut self, link: LinkId, frame: Frame) {
        let Some((side, other, far)) = self.ends.get(&link).copied() else { return };
        if far != Side::Story && !self.cuts_link(link, side, far) {
            let at = self.arrival(link);
            let count = self.count();
            self.happenings.insert((at, count), Happening::Frame { to: far, link: other, frame });
        }
    }

    pub fn input(&mut self, at: At, input: Input) {
        let clock = self.clock(at);
        if let Some(core) = &mut self.pcs[at].core {
            core.handle_input(input, clock);
        }
        self.drain(at);
    }

    pub fn command(&mut self, at: At, command: Command) -> RequestId {
        let request = RequestId(self.count());
        self.input(at, Input::Command { request, command });
        request
    }

    pub fn says(&mut self, from: At, to: At, text: &str) -> RequestId {
        let to = self.pcs[to].user;
        self.command(from, Command::SendText { to, text: text.to_owned(), reply_to: None })
    }

    fn drain(&mut self, at: At) {
        while let Some(output) = self.pcs[at].core.as_mut().and_then(NodeState::poll_output) {
            self.carry_out(at, output);
        }
    }

    fn carry_out(&mut self, at: At, output: Output) {
        let run = self.pcs[at].run;
        match output {
            Output::Send { link, frame } => {
                self.pcs[at].sent.push((link, frame.clone()));
                self.carry(link, frame);
            }
            Output::Admit { link } => self.pcs[at].admitted.push(link),
            Output::Close { link, .. } => {
                self.pcs[at].closed.push(link);
                self.hang_up(link);
            }
            Output::Dial { dial, device, endpoints, channel, via } => {
                self.pcs[at].dialled.push((device, endpoints, channel));
                let count = self.count();
                let relayed = via.is_some();
                let dial = Happening::Dial { from: at, run, dial, device, channel, relayed };
                self.happenings.insert((self.now + 5 * TICK, count), dial);
            }
            Output::Reserve { .. } => {
                self.pcs[at].reserved = true;
                self.input(at, Input::Reserved);
            }
            Output::Release => self.pcs[at].reserved = false,
            Output::Fetch(order) => self.pcs[at].fetches.push(order),
            Output::SaveFile { offer, .. } => self.pcs[at].saves.push(offer),
            Output::StopFile { offer, discard } => {
                self.pcs[at].discarded.extend(discard.then_some(offer));
            }
            Output::Persist { id, changes } => self.job(at, Job::Write(id, changes)),
            Output::Load { id, log, from, max_entries, max_bytes } => {
                self.job(at, Job::Read(id, log, from, max_entries, max_bytes));
            }
            Output::Answer { request, result } => {
                assert!(self.pcs[at].answers.insert(request, result).is_none(), "answered twice");
            }
            Output::Event(event) => self.pcs[at].events.push(event),
        }
    }

    fn job(&mut self, at: At, job: Job) {
        let run = self.pcs[at].run;
        self.pcs[at].jobs.push_back(job);
        let count = self.count();
        self.happenings.insert((self.now + TICK, count), Happening::Disk { at, run });
    }

    /// Changes how a disk behaves; what waits is done now.
    pub fn set_mood(&mut self, at: At, mood: DiskMood) {
        self.pcs[at].mood = mood;
        let run = self.pcs[at].run;
        while self.pcs[at].run == run && mood != DiskMood::Held && !self.pcs[at].jobs.is_empty() {
            self.work(at);
        }
    }

    fn work(&mut self, at: At) {
        let mood = self.pcs[at].mood;
        if mood == DiskMood::Held {
            return;
        }
        let Some(job) = self.pcs[at].jobs.pop_front() else { return };
        let disk = &mut self.pcs[at].disk;
        let input = match job {
            Job::Read(id, log, from, max_entries, max_bytes) => {
                Input::Loaded { id, entries: disk.load(&log, from, max_entries, max_bytes) }
            }
            Job::Write(id, changes) => {
                if matches!(mood, DiskMood::Fine | DiskMood::Failing { written: true }) {
                    disk.apply(&changes).unwrap();
                }
                match mood {
                    DiskMood::Fine | DiskMood::Held => Input::Stored { id },
                    DiskMood::Failing { .. } => {
                        let ends = disk.ends(&changes);
                        Input::StoreFailed { id, ends, reason: "disk full".into() }
                    }
                    DiskMood::Blind => {
                        Input::StoreFailed { id, ends: Vec::new(), reason: "input/output error".into() }
                    }
                }
            }
        };
        self.input(at, input);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Frame { to, link, frame } => {
                if !self.ends.contains_key(&link) {
                    return;
                }
                match to {
                    Side::Pc(at) => self.input(at, Input::Frame { link, frame }),
                    Side::Coordinator => {
                        let wall = DAWN.plus(self.now);
                        let frames = self.coordinator.frame(link, &frame, wall, &self.org);
                        self.coordinator_sends(frames);
                    }
                    Side::Story => {}
                }
            }
            Happening::Closed { to, link } => {
                if self.ends.remove(&link).is_none() {
                    return;
                }
                match to {
                    Side::Pc(at) => self.input(at, Input::Closed { link }),
                    Side::Coordinator => {
                        let frames = self.coordinator.closed(link, DAWN.plus(self.now));
                        self.coordinator_sends(frames);
                    }
                    Side::Story => {}
                }
            }
            Happening::Dial { from, run, dial, device, channel, relayed } => {
                if self.pcs[from].run != run || self.pcs[from].core.is_none() {
                    return;
                }
                let to = match channel {
                    Channel::Coordinator => self.coordinator.up.then_some(Side::Coordinator),
                    Channel::Link => self.find(&device).map(Side::Pc),
                };
                match to.filter(|to| self.gets_through(from, *to, relayed)) {
                    Some(to) => {
                        self.join(Side::Pc(from), to, channel, Some(dial), relayed);
                    }
                    None => {
                        let reason = "unreachable".to_owned();
                        let tried = to.and_then(|to| if let Side::Pc(at) = to { Some(at) } else { None });
                        let attempts = tried.filter(|_| !relayed);
                        let attempts =
                            attempts.map(|at| (self.pcs[at].address, reason.clone())).into_iter().collect();
                        self.input(from, Input::DialFailed { dial, attempts, reason });
                    }
                }
            }
            Happening::Disk { at, run } => {
                if self.pcs[at].run == run {
                    self.work(at);
                }
            }
        }
    }

    /// The coordinator is gone, with all its connections.
    pub fn coordinator_down(&mut self) {
        self.coordinator.stop();
        let links: Vec<LinkId> = self
            .ends
            .iter()
            .filter(|(_, (side, ..))| *side == Side::Coordinator)
            .map(|(link, _)| *link)
            .collect();
        links.into_iter().for_each(|link| self.hang_up(link));
    }

    pub fn coordinator_up(&mut self) {
        self.coordinator.start();
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let happening = self.happenings.keys().next().map(|(at, _)| *at);
            let due = |pc: &Pc| pc.core.as_ref().and_then(NodeState::poll_timeout).map(|(at, _)| at.0);
            let timer =
                self.pcs.iter().filter_map(due).min().map(|at| at.saturating_sub(Duration::from_secs(1000)));
            let next = happening.into_iter().chain(timer).min().map_or(until, |at| at.max(self.now));
            if next >= until {
                self.now = until;
                return;
            }
            self.now = next;
            while let Some(entry) = self.happenings.first_entry().filter(|entry| entry.key().0 <= next) {
                let happening = entry.remove();
                self.happen(happening);
            }
            for at in 0..self.pcs.len() {
                let clock = self.clock(at);
                if let Some(core) = &mut self.pcs[at].core {
                    core.handle_timeout(clock);
                }
                self.drain(at);
            }
        }
    }

    pub fn seconds(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    pub fn settle(&mut self) {
        self.seconds(3);
    }

    pub fn conversation(&self, a: At, b: At) -> ConversationId {
        let realm = self.pcs[a].disk.own().unwrap().0.membership.peek().unwrap().realm;
        Descriptor::direct(self.pcs[a].user, self.pcs[b].user).id(&realm).unwrap()
    }

    /// What `at` is shown of the conversation of `a` and `b`.
    pub fn texts(&self, at: At, a: At, b: At) -> Vec<String> {
        self.pcs[at].disk.texts(&self.conversation(a, b))
    }

    /// How `at` sees the user of `other`.
    pub fn view(&self, at: At, other: At) -> Option<UserView> {
        self.pcs[at].core.as_ref()?.user(&self.pcs[other].user)
    }

    pub fn route(&self, at: At, other: At) -> Route {
        let device = self.pcs[other].device();
        let view = self.view(at, other);
        view.and_then(|view| view.devices.into_iter().find(|row| row.device == device))
            .map_or(Route::None, |row| row.route)
    }

    pub fn is_shown_online(&self, at: At, other: At) -> bool {
        self.view(at, other).is_some_and(|view| view.presence.is_some())
    }

    pub fn delivered(&self, at: At, request: RequestId) -> bool {
        match self.pcs[at].answers.get(&request) {
            Some(Ok(Answer::Sent { message, recipients, .. })) => {
                let users = self.pcs[at].disk.delivered_to(message);
                recipients.iter().all(|user| users.contains(user))
            }
            _ => false,
        }
    }

    pub fn answer(&self, at: At, request: RequestId) -> Option<&Result<Answer, CommandError>> {
        self.pcs[at].answers.get(&request)
    }

    pub fn is_sent(&self, at: At, request: RequestId) -> bool {
        matches!(self.answer(at, request), Some(Ok(Answer::Sent { .. })))
    }

    /// Links of a PC that are open at both ends.
    /// The newest link of one PC to another.
    pub fn link_to(&self, a: At, b: At) -> LinkId {
        let ends = self.ends.iter().filter(|(_, (side, _, far))| (*side, *far) == (Side::Pc(a), Side::Pc(b)));
        *ends.max_by_key(|(link, _)| **link).unwrap().0
    }

    pub fn open_links(&self, a: At, b: At) -> usize {
        self.ends.values().filter(|(side, _, far)| *side == Side::Pc(a) && *far == Side::Pc(b)).count()
    }

    pub fn realm(&self) -> RealmId {
        self.org.realm
    }
}
