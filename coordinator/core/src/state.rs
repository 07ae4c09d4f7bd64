//! The machine: links, timers, and the batch that is under way to the disk.
//!
//! Keeps true: requests are carried out in the order in which they came. A request that changes records changes them in
//! memory, and what follows from it (every answer, every notice to others) waits until the store has them; when the
//! store fails, the records are taken back and everybody who waited is told so. While a batch is under way, further
//! requests wait and form the next one: that is the group commit. Signs of life, presence and introductions do not wait.

use crate::admin::{AdminCommand, AdminError, AdminResult, Stats};
use crate::guess::Guesses;
use crate::introductions::Introductions;
use crate::io::{Boot, Config, Input, LinkId, Notice, Output};
use crate::issuer::Keys;
use crate::limits::{
    HOUSEKEEPING, MAX_JOBS, MAX_JOBS_IN_BATCH, MAX_JOBS_OF_LINK, MAX_LINKS, MAX_STRANGERS, TICK,
};
use crate::presence::Presence;
use crate::probes::Probes;
use crate::random::Random;
use crate::record::Change;
use crate::records::{Records, Undo};
use lanchat_proto::certificate::{Act, CertificateError};
use lanchat_proto::codec::{BoundedVec, EncodeError};
use lanchat_proto::frame::{Frame, HEADER_LEN, Kind};
use lanchat_proto::ids::{DeviceId, UserId};
use lanchat_proto::limits::{HELLO_DEADLINE, LINK_SUSPECT};
use lanchat_proto::time::{Mono, Now, Wall};
use lanchat_proto::version::Version;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::{Refusal, Refused, Welcome};
use lanchat_proto::wire::reach::Dialled;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What follows once the store has the changes of a step.
pub(crate) type Then = Box<dyn FnOnce(&mut CoordinatorState, Now) + Send>;

/// Who waits for a step.
#[derive(Clone, Copy)]
pub(crate) enum Origin {
    Link(LinkId, u64),
    Admin(u64),
    /// The coordinator itself: when the store fails, nothing follows.
    System,
    /// Somebody whose step depends on no record: it goes on when the store fails.
    Nobody,
}

/// What a request comes to: changes, and what follows from them.
pub(crate) struct Step {
    pub(crate) origin: Origin,
    pub(crate) changes: Vec<Change>,
    pub(crate) then: Then,
}

impl Step {
    pub(crate) fn new(
        origin: Origin,
        changes: Vec<Change>,
        then: impl FnOnce(&mut CoordinatorState, Now) + Send + 'static,
    ) -> Self {
        Self { origin, changes, then: Box::new(then) }
    }

    /// No change, only this.
    pub(crate) fn only(then: impl FnOnce(&mut CoordinatorState, Now) + Send + 'static) -> Self {
        Self::new(Origin::Nobody, Vec::new(), then)
    }

    /// An answer to a link that changes nothing, but may rest on a change before it.
    pub(crate) fn read(
        link: LinkId,
        request: u64,
        then: impl FnOnce(&mut CoordinatorState) + Send + 'static,
    ) -> Self {
        Self::new(Origin::Link(link, request), Vec::new(), move |state, _| then(state))
    }

    /// A refusal.
    pub(crate) fn refuse(link: LinkId, request: u64, refusal: Refusal) -> Self {
        Self::read(link, request, move |state| state.refuse(link, request, refusal, Duration::ZERO))
    }

    /// An answer to the admin.
    pub(crate) fn admin(request: u64, result: Result<AdminResult, AdminError>) -> Self {
        Self::new(Origin::Admin(request), Vec::new(), move |state, _| {
            state.out.push_back(Output::AdminAnswer { request, result });
        })
    }
}

/// What waits for its turn.
pub(crate) enum Job {
    Frame(LinkId, Frame),
    Admin(u64, AdminCommand),
    Renew(LinkId),
    LastSeen,
    Restate(Vec<Act>),
    StandingInvite,
}

impl Job {
    fn link(&self) -> Option<LinkId> {
        match self {
            Self::Frame(link, _) | Self::Renew(link) => Some(*link),
            Self::Admin(..) | Self::LastSeen | Self::Restate(_) | Self::StandingInvite => None,
        }
    }
}

/// A batch that is under way to the disk.
struct UnderWay {
    id: u64,
    undo: Vec<Undo>,
    thens: Vec<(Origin, Then)>,
}

/// What a signed-in link has been told.
pub(crate) struct Told {
    pub(crate) user: UserId,
    /// Directory version up to which it was told.
    pub(crate) version: u64,
    /// Whether its next directory page empties its copy.
    pub(crate) fresh: bool,
    /// Whether a directory page is owed even when nothing is newer.
    pub(crate) owed: bool,
    /// Whether it waits for a snapshot, and so for no deltas.
    pub(crate) wants_snapshot: bool,
}

/// One link.
pub(crate) struct Session {
    pub(crate) device: DeviceId,
    pub(crate) remote: Endpoint,
    pub(crate) opened: Mono,
    pub(crate) heard: Mono,
    pub(crate) asked: bool,
    jobs: usize,
    /// Whether it asked for a salt or enrolled, and has the longer deadline.
    pub(crate) enrolling: bool,
    pub(crate) told: Option<Told>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    Tick,
    Link(LinkId),
    Lease(DeviceId),
    Probe(LinkId),
    Housekeeping,
}

impl Timer {
    fn name(self) -> &'static str {
        match self {
            Self::Tick => "tick",
            Self::Link(_) => "silence of a link",
            Self::Lease(_) => "lease of a device",
            Self::Probe(_) => "question whether a device can be dialled",
            Self::Housekeeping => "housekeeping",
        }
    }
}

/// The coordinator.
pub struct CoordinatorState {
    pub(crate) config: Config,
    pub(crate) keys: Keys,
    pub(crate) random: Random,
    pub(crate) records: Records,
    pub(crate) presence: Presence,
    pub(crate) guesses: Guesses,
    pub(crate) introductions: Introductions,
    pub(crate) probes: Probes,
    pub(crate) sessions: BTreeMap<LinkId, Session>,
    pub(crate) seen: BTreeMap<UserId, Wall>,
    /// Devices that hold a longer list of ours than we do: we were restored from an old copy.
    pub(crate) claims: BTreeMap<DeviceId, u64>,
    pub(crate) stats: Stats,
    pub(crate) out: VecDeque<Output>,
    pub(crate) timers: BTreeSet<(Mono, Timer)>,
    ticking: bool,
    late: bool,
    /// Whether some link may lack a directory page or a snapshot.
    pub(crate) news: bool,
    pub(crate) strangers: usize,
    pub(crate) jobs: VecDeque<Job>,
    under_way: Option<UnderWay>,
    next_persist: u64,
    pub(crate) stopping: bool,
}

impl CoordinatorState {
    /// A coordinator with these keys and records.
    ///
    /// # Errors
    /// [`CertificateError`] when a revocation list of the store is broken.
    pub fn new(boot: Boot, now: Now) -> Result<Self, CertificateError> {
        let Boot { config, keys, seed, run, stored } = boot;
        let issuer = keys.issuer();
        let former: Vec<_> = stored
            .acts
            .iter()
            .filter(|act| act.peek().is_ok_and(|act| act.issuer != issuer))
            .cloned()
            .collect();
        let records = Records::load(stored, keys.realm(), issuer)?;
        let mut state = Self {
            config,
            random: Random::new(seed),
            records,
            presence: Presence::new(run),
            guesses: Guesses::new(),
            introductions: Introductions::new(),
            probes: Probes::new(),
            sessions: BTreeMap::new(),
            seen: BTreeMap::new(),
            claims: BTreeMap::new(),
            stats: Stats::default(),
            out: VecDeque::new(),
            timers: BTreeSet::from([(now.mono.plus(HOUSEKEEPING), Timer::Housekeeping)]),
            ticking: false,
            late: false,
            news: false,
            strangers: 0,
            jobs: VecDeque::new(),
            under_way: None,
            next_persist: 1,
            stopping: false,
            keys,
        };
        let restated = state.records.restated(&former);
        if state.records.revocations().head(&issuer).number == 0 && !restated.is_empty() {
            state.jobs.push_back(Job::Restate(restated));
        }
        if !state.records.invites().any(|invite| invite.standing) {
            state.jobs.push_back(Job::StandingInvite);
        }
        state.pump(now);
        Ok(state)
    }

    /// The code of the standing invite; `None` until it is on disk, and where registration asks for none.
    #[must_use]
    pub fn standing_invite(&self) -> Option<&str> {
        let wanted = self.config.registration == crate::io::Registration::Invite && self.under_way.is_none();
        self.records.invites().find(|invite| invite.standing && wanted).map(|invite| invite.code.as_str())
    }

    /// Whether nothing waits for the store.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.jobs.is_empty()
    }

    /// Takes an input.
    pub fn handle_input(&mut self, input: Input, now: Now) {
        match input {
            Input::Opened { link, device, remote, dial: None } => self.opened(link, device, remote, now),
            Input::Opened { link, dial: Some(dial), .. } => {
                self.out.push_back(Output::Close { link, after_flush: false });
                self.dialled(dial, Dialled::Reached);
            }
            Input::DialFailed { dial, tried } => {
                self.dialled(dial, if tried { Dialled::Failed } else { Dialled::NotTried });
            }
            Input::RelayRestarted => self.relay_restarted(),
            Input::Frame { link, frame } => self.frame(link, frame, now),
            Input::Closed { link } => self.lost(link),
            Input::Stored { id } => self.stored(id, now),
            Input::StoreFailed { id } => self.store_failed(id, now),
            Input::AvatarRead { link, request, user, picture } => {
                self.avatar_read(link, request, user, picture);
            }
            Input::Admin { request, command } => {
                self.jobs.push_back(Job::Admin(request, command));
            }
            Input::Stop => self.stop(),
        }
        self.pump(now);
    }

    /// The next thing to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.out.pop_front();
        if let Some(Output::Send { frame, .. }) = &output {
            self.stats.frames_out += 1;
            self.stats.bytes_out += bytes_of(frame);
        }
        output
    }

    /// When to call [`Self::handle_timeout`] at the latest, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        self.timers.first().map(|(at, timer)| (*at, timer.name()))
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some((at, timer)) = self.timers.first().copied() {
            if at > now.mono {
                break;
            }
            self.timers.pop_first();
            match timer {
                // While a batch is under way, the records hold what must not be told yet.
                Timer::Tick if self.under_way.is_some() => {
                    self.ticking = false;
                    self.late = true;
                    self.tell_deltas();
                }
                Timer::Tick => {
                    self.ticking = false;
                    self.tick();
                }
                Timer::Link(link) => self.look_at(link, now),
                Timer::Lease(device) => self.end_lease(&device, now),
                Timer::Probe(link) => self.probe_over(link, now),
                Timer::Housekeeping => {
                    self.timers.insert((now.mono.plus(HOUSEKEEPING), Timer::Housekeeping));
                    self.keep_house(now);
                }
            }
        }
        self.rearm(now);
        self.pump(now);
    }

    /// Has the next tick come after [`TICK`] when there is something to tell.
    pub(crate) fn rearm(&mut self, now: Now) {
        if !self.ticking && ((self.news && !self.late) || self.presence.has_changes()) {
            self.ticking = true;
            self.timers.insert((now.mono.plus(TICK), Timer::Tick));
        }
    }

    fn opened(&mut self, link: LinkId, device: DeviceId, remote: Endpoint, now: Now) {
        if self.stopping || self.sessions.len() >= MAX_LINKS || self.strangers >= MAX_STRANGERS {
            self.stats.refusals += 1;
            self.out.push_back(Output::Close { link, after_flush: false });
            return;
        }
        let session = Session {
            device,
            remote,
            opened: now.mono,
            heard: now.mono,
            asked: false,
            jobs: 0,
            enrolling: false,
            told: None,
        };
        self.strangers += 1;
        self.sessions.insert(link, session);
        self.timers.insert((now.mono.plus(HELLO_DEADLINE), Timer::Link(link)));
        let welcome = Welcome {
            versions: BoundedVec::first(Version::offered()),
            org: self.config.org.clone(),
            root: self.keys.root,
            issuing: self.keys.certificate.clone(),
            time: now.wall,
        };
        self.send(link, Frame::new(Kind::Welcome, &welcome));
    }

    fn frame(&mut self, link: LinkId, frame: Frame, now: Now) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        session.heard = now.mono;
        session.asked = false;
        self.stats.frames_in += 1;
        self.stats.bytes_in += bytes_of(&frame);
        if session.told.is_some()
            && let Some(online) = self.presence.get_mut(&session.device)
            && online.link == Some(link)
        {
            online.heard = now.mono;
            online.heard_at = now.wall;
        }
        match frame.known() {
            None => {}
            Some(Kind::Heartbeat | Kind::Report | Kind::Goodbye | Kind::AskSnapshot) => {
                self.sign_of_life(link, &frame, now);
                self.rearm(now);
            }
            Some(Kind::Introduce | Kind::DialMe) => self.reach(link, &frame, now),
            Some(_) if self.jobs.len() >= MAX_JOBS || session.jobs >= MAX_JOBS_OF_LINK => {
                self.close(link, false);
            }
            Some(_) => {
                session.jobs += 1;
                self.jobs.push_back(Job::Frame(link, frame));
            }
        }
    }

    /// Carries out what waits, until there is something that the store has to take first.
    pub(crate) fn pump(&mut self, now: Now) {
        if self.under_way.is_some() {
            return;
        }
        let (mut changes, mut undo, mut thens) = (Vec::new(), Vec::new(), Vec::new());
        let mut links = BTreeSet::new();
        while let Some(link) = self.jobs.front().map(Job::link) {
            let again = link.is_some_and(|link| links.contains(&link));
            if !changes.is_empty() && (again || thens.len() >= MAX_JOBS_IN_BATCH) {
                break;
            }
            let Some(job) = self.jobs.pop_front() else { break };
            let step = self.run(job, now);
            undo.extend(step.changes.iter().map(|change| self.records.apply(change)));
            changes.extend(step.changes);
            if changes.is_empty() {
                (step.then)(self, now);
            } else {
                links.extend(link);
                thens.push((step.origin, step.then));
            }
        }
        if !changes.is_empty() {
            let id = self.next_persist;
            self.next_persist += 1;
            self.under_way = Some(UnderWay { id, undo, thens });
            self.out.push_back(Output::Persist { id, changes });
        }
        self.rearm(now);
    }

    fn run(&mut self, job: Job, now: Now) -> Step {
        match job {
            Job::Frame(link, frame) => match self.sessions.get_mut(&link) {
                Some(session) => {
                    session.jobs = session.jobs.saturating_sub(1);
                    self.request(link, &frame, now)
                }
                None => Step::only(|_, _| {}),
            },
            Job::Admin(request, command) => self.admin(request, command, now),
            Job::Renew(link) => self.renew(link, now),
            Job::LastSeen => self.flush_seen(),
            Job::Restate(acts) => self.restate(acts, now),
            Job::StandingInvite => {
                let changes = self.rotate_invite().1;
                Step::new(Origin::System, changes, |_, _| {})
            }
        }
    }

    fn stored(&mut self, id: u64, now: Now) {
        if let Some(batch) = self.under_way.take_if(|batch| batch.id == id) {
            for (_, then) in batch.thens {
                then(self, now);
            }
            self.news = true;
            self.tick_if_late();
        }
    }

    /// Makes up for a tick that came while a batch was under way.
    fn tick_if_late(&mut self) {
        if std::mem::take(&mut self.late) {
            self.tick();
        }
    }

    fn store_failed(&mut self, id: u64, now: Now) {
        let Some(batch) = self.under_way.take_if(|batch| batch.id == id) else { return };
        self.notice("the store failed", None, None);
        batch.undo.into_iter().rev().for_each(|undo| self.records.undo(undo));
        for (origin, then) in batch.thens {
            match origin {
                Origin::Link(link, request) => {
                    self.refuse(link, request, Refusal::Unavailable, Duration::from_secs(1));
                }
                Origin::Admin(request) => {
                    let result = Err(AdminError::Store);
                    self.out.push_back(Output::AdminAnswer { request, result });
                }
                Origin::System => {}
                Origin::Nobody => then(self, now),
            }
        }
        self.tick_if_late();
    }

    /// A signed-in link's member data, or `None`.
    pub(crate) fn told(&self, link: LinkId) -> Option<&Told> {
        self.sessions.get(&link).and_then(|session| session.told.as_ref())
    }

    /// Marks a link as signed in.
    pub(crate) fn set_told(&mut self, link: LinkId, told: Told, now: Now) {
        let Some(session) = self.sessions.get_mut(&link) else { return };
        self.news = true;
        if session.told.replace(told).is_none() {
            self.strangers = self.strangers.saturating_sub(1);
        }
        self.timers.insert((now.mono.plus(LINK_SUSPECT), Timer::Link(link)));
    }

    pub(crate) fn send(&mut self, link: LinkId, frame: Result<Frame, EncodeError>) {
        match frame {
            Ok(frame) => self.out.push_back(Output::Send { link, frame: Arc::new(frame) }),
            Err(_) => {
                self.notice("a frame did not fit", None, None);
                self.close(link, false);
            }
        }
    }

    /// Sends one frame, encoded once, to all who are signed in.
    pub(crate) fn send_all(&mut self, frame: Result<Frame, EncodeError>) {
        let Ok(frame) = frame.map(Arc::new) else {
            return self.notice("a frame did not fit", None, None);
        };
        let members = self.sessions.iter().filter(|(_, session)| session.told.is_some());
        self.out.extend(members.map(|(link, _)| Output::Send { link: *link, frame: Arc::clone(&frame) }));
    }

    pub(crate) fn refuse(&mut self, link: LinkId, request: u64, refusal: Refusal, retry: Duration) {
        if !self.sessions.contains_key(&link) {
            return;
        }
        self.stats.refusals += 1;
        let retry_after_ms = lanchat_proto::time::millis(retry);
        self.send(
            link,
            Frame::new(Kind::Refused, &Refused { request, code: refusal.number(), retry_after_ms }),
        );
    }

    pub(crate) fn notice(&mut self, what: &'static str, device: Option<DeviceId>, user: Option<UserId>) {
        self.out.push_back(Output::Notice(Notice { what, device, user }));
    }
}

fn bytes_of(frame: &Frame) -> u64 {
    u64::try_from(HEADER_LEN + frame.payload.len()).unwrap_or(u64::MAX)
}
