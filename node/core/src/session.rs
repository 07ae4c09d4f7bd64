//! The session with the coordinator: dial, welcome, sign-in, and what comes after a loss.
//!
//! Keeps true: only the pinned coordinator of the realm is believed; whoever is told to log in again does not knock any
//! more; every other failure is tried again for as long as it takes. Frames of a session that is up are handled in
//! `directory`, requests of the user in `requests`. The rules: `docs/protocol.md#coordinator`.

use crate::boot::{Channel, CoordinatorPin, DialId, LinkId, RequestId};
use crate::limits::{
    BANNED_RETRY, COPY_RETRY, SESSION_RETRY, SESSION_RETRY_MAX, SESSION_RETRY_MIN, SIGN_IN_DEADLINE,
};
use crate::links::Link;
use crate::output::{Change, Event, Notice, Output};
use crate::state::NodeState;
use crate::timers::Timer;
use crate::view::{CoordinatorState, RelayState, Route, StatusView};
use lanchat_proto::certificate::{Certificate, IssuingCertificate, ListAnchor, Revocation};
use lanchat_proto::codec::BoundedVec;
use lanchat_proto::frame::{Frame, Kind};
use lanchat_proto::ids::{DeviceId, RealmId};
use lanchat_proto::limits::{
    CERTIFICATE_RENEWAL, HEARTBEAT, LEASE, LINK_DEAD, LINK_SUSPECT, MAX_REVOCATIONS, PROBE,
};
use lanchat_proto::signed::Signed;
use lanchat_proto::time::{Mono, Wall};
use lanchat_proto::version::Version;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::coordinator::{
    Delta, DeviceReport, DirectoryMark, HostIdField, OnlineDevice, Profile, Refusal, Refused, Report, SignIn,
    SignedIn, Welcome,
};
use lanchat_proto::wire::link::{Goodbye, GoodbyeReason, Heartbeat, Renewed, Revocations};
use lanchat_proto::wire::reach::RelayTerms;
use std::collections::BTreeMap;
use std::time::Duration;

/// How far the session is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Nothing is tried: there is no coordinator, or it does not let this device in.
    Off,
    /// The next try has its timer.
    Waiting,
    Dialling(DialId),
    AwaitWelcome(LinkId),
    SigningIn(LinkId),
    On(LinkId),
}

/// The session and what is being received in it.
#[derive(Clone)]
pub(crate) struct Session {
    pin: Option<CoordinatorPin>,
    phase: Phase,
    state: CoordinatorState,
    addr: Option<Endpoint>,
    failures: u32,
    heard: Mono,
    sent: Mono,
    asked: bool,
    /// When the network changed under the session: it has to show that it lives.
    doubted: Option<Mono>,
    sign_in: u64,
    /// Why the coordinator's own revocation list is believed.
    anchor: Option<ListAnchor>,
    pub(crate) run: u64,
    pub(crate) number: Option<u64>,
    pub(crate) snapshot: Option<Vec<OnlineDevice>>,
    snapshot_asked: bool,
    pub(crate) early: Vec<Delta>,
    pub(crate) mark: DirectoryMark,
    pub(crate) pages: Vec<Profile>,
    pub(crate) pages_fresh: bool,
    /// Whether others reach this device through the coordinator, and what it promised.
    pub(crate) relay: RelayState,
    pub(crate) terms: Option<RelayTerms>,
    next_request: u64,
    pub(crate) requests: BTreeMap<u64, RequestId>,
}

impl Session {
    pub(crate) fn new(pin: Option<CoordinatorPin>, mark: DirectoryMark) -> Self {
        let state = if pin.is_some() { CoordinatorState::Reconnecting } else { CoordinatorState::None };
        Self {
            pin,
            phase: Phase::Off,
            state,
            addr: None,
            failures: 0,
            heard: Mono::default(),
            sent: Mono::default(),
            asked: false,
            doubted: None,
            sign_in: 0,
            anchor: None,
            run: 0,
            number: None,
            snapshot: None,
            snapshot_asked: false,
            early: Vec::new(),
            mark,
            pages: Vec::new(),
            pages_fresh: false,
            relay: RelayState::None,
            terms: None,
            next_request: 0,
            requests: BTreeMap::new(),
        }
    }

    fn link(&self) -> Option<LinkId> {
        match self.phase {
            Phase::AwaitWelcome(link) | Phase::SigningIn(link) | Phase::On(link) => Some(link),
            Phase::Off | Phase::Waiting | Phase::Dialling(_) => None,
        }
    }

    pub(crate) fn is_link(&self, link: LinkId) -> bool {
        self.link() == Some(link)
    }

    /// The link, when this device is signed in.
    pub(crate) fn on(&self) -> Option<LinkId> {
        if let Phase::On(link) = self.phase { Some(link) } else { None }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.on().is_some()
    }

    /// The coordinator as a relay: its key, and where it is connected.
    pub(crate) fn relay_address(&self) -> Option<(DeviceId, Endpoint)> {
        Some((self.pin.as_ref()?.device, self.addr.filter(|_| self.is_on())?))
    }

    pub(crate) fn has_organisation(&self) -> bool {
        self.pin.is_some()
    }

    pub(crate) fn sent(&mut self, link: LinkId, now: Mono) {
        if self.is_link(link) {
            self.sent = now;
        }
    }

    pub(crate) fn request_id(&mut self) -> u64 {
        self.next_request += 1;
        self.next_request
    }

    /// Notes that a snapshot is being asked for. Returns whether it is to be asked for now.
    pub(crate) fn ask_snapshot(&mut self) -> bool {
        self.number = None;
        !std::mem::replace(&mut self.snapshot_asked, true)
    }

    /// A snapshot is complete.
    pub(crate) fn snapshot_done(&mut self, number: u64) {
        self.number = Some(number);
        self.snapshot_asked = false;
    }

    pub(crate) fn take_requests(&mut self) -> Vec<RequestId> {
        std::mem::take(&mut self.requests).into_values().collect()
    }
}

impl NodeState {
    /// The node as a whole.
    #[must_use]
    pub fn status(&self) -> StatusView {
        let routes = || self.peers.linked().filter_map(|(_, _, link)| self.links.get(link)).map(Link::route);
        StatusView {
            realm: self.me.realm,
            user: self.me.user,
            name: self.me.name.to_string(),
            device: self.me.device,
            coordinator: self.session.state,
            coordinator_addr: self
                .session
                .addr
                .or_else(|| self.session.pin.as_ref().and_then(|pin| pin.endpoints.first().copied())),
            listening: self.me.place.listening.clone(),
            direct: routes().filter(|route| *route == Route::Direct).count(),
            relay: routes().filter(|route| *route == Route::Relay).count(),
            clock_offset: self.clock.offset(),
            relay_state: self.session.relay,
        }
    }

    pub(crate) fn start_session(&mut self) {
        if self.session.has_organisation() {
            self.session.phase = Phase::Waiting;
            self.timers.set(Timer::Session, self.now.mono);
        }
    }

    /// The coordinator was found somewhere else.
    pub(crate) fn coordinator_moved(&mut self, endpoints: Vec<Endpoint>) {
        if let Some(pin) = &mut self.session.pin {
            pin.endpoints = endpoints;
            self.retry_session_now();
        }
    }

    pub(crate) fn retry_session_now(&mut self) {
        if self.session.phase == Phase::Waiting {
            self.session.failures = 0;
            self.timers.set(Timer::Session, self.now.mono);
        } else if let Some(link) = self.session.on() {
            self.session.asked = true;
            self.session.doubted = Some(self.now.mono);
            self.post(link, Frame::new(Kind::Heartbeat, &Heartbeat { answer: true }));
            self.timers.set(Timer::Session, self.after(PROBE));
        }
    }

    /// The session's timer: the next try, a deadline, or a heartbeat.
    pub(crate) fn session_due(&mut self) {
        match self.session.phase {
            Phase::Off => {}
            Phase::Waiting => self.dial_coordinator(),
            Phase::Dialling(_) => self.session_lost(),
            Phase::AwaitWelcome(link) | Phase::SigningIn(link) => self.drop_session(link),
            Phase::On(link) => self.session_beat(link),
        }
    }

    fn dial_coordinator(&mut self) {
        let Some(pin) = self.session.pin.clone() else { return };
        if pin.endpoints.is_empty() {
            self.session_lost();
            return;
        }
        let dial = self.reach.next_id();
        self.session.phase = Phase::Dialling(dial);
        self.timers.set(Timer::Session, self.after(crate::limits::DIAL_DEADLINE));
        let channel = Channel::Coordinator;
        let (device, endpoints, via) = (pin.device, pin.endpoints, None);
        self.out.push_back(Output::Dial { dial, device, endpoints, channel, via });
    }

    pub(crate) fn session_dial_failed(&mut self, dial: DialId) {
        if self.session.phase == Phase::Dialling(dial) {
            self.session_lost();
        }
    }

    pub(crate) fn session_opened(
        &mut self,
        link: LinkId,
        device: DeviceId,
        remote: Endpoint,
        dial: Option<DialId>,
    ) {
        let expected = dial.is_some_and(|dial| self.session.phase == Phase::Dialling(dial));
        if !expected || self.session.pin.as_ref().is_none_or(|pin| pin.device != device) {
            self.out.push_back(Output::Close { link, after_flush: false });
            return;
        }
        self.session.phase = Phase::AwaitWelcome(link);
        self.session.addr = Some(remote);
        self.session.heard = self.now.mono;
        self.session.sent = self.now.mono;
        self.timers.set(Timer::Session, self.after(SIGN_IN_DEADLINE));
    }

    fn drop_session(&mut self, link: LinkId) {
        self.out.push_back(Output::Close { link, after_flush: false });
        self.session_lost();
    }

    /// The connection or the try is over; the next try comes after a wait.
    pub(crate) fn session_lost(&mut self) {
        let was_on = self.session.is_on();
        self.session.failures = if was_on { 0 } else { self.session.failures.saturating_add(1) };
        let longest = SESSION_RETRY.saturating_mul(1 << self.session.failures.min(8)).min(SESSION_RETRY_MAX);
        let wait = self.rng.between(SESSION_RETRY_MIN, longest);
        self.end_session(Some(wait), CoordinatorState::Reconnecting, was_on);
    }

    fn end_session(&mut self, wait: Option<Duration>, state: CoordinatorState, was_on: bool) {
        self.session.phase = if wait.is_some() { Phase::Waiting } else { Phase::Off };
        match wait {
            Some(wait) => self.timers.set(Timer::Session, self.after(wait)),
            None => self.timers.cancel(Timer::Session),
        }
        self.timers.cancel(Timer::Renew);
        self.relay_gone();
        self.session.number = None;
        self.session.snapshot = None;
        self.session.snapshot_asked = false;
        self.session.early.clear();
        self.session.pages.clear();
        self.fail_requests();
        self.set_coordinator_state(state);
        if was_on {
            self.timers.set(Timer::Stale, self.after(LEASE));
            self.redial_all();
        }
    }

    fn set_coordinator_state(&mut self, state: CoordinatorState) {
        if self.session.state != state {
            self.session.state = state;
            self.event(Event::Coordinator(state));
        }
    }

    pub(crate) fn session_frame(&mut self, link: LinkId, frame: &Frame) {
        self.session.heard = self.now.mono;
        self.session.asked = false;
        let fine = match (self.session.phase, frame.known()) {
            (Phase::AwaitWelcome(_), Some(Kind::Welcome)) => self.welcome_came(link, frame),
            (Phase::SigningIn(_) | Phase::On(_), Some(Kind::SignedIn)) => self.signed_in(link, frame),
            (Phase::SigningIn(_) | Phase::On(_), Some(Kind::Refused)) => self.refused_came(link, frame),
            (Phase::SigningIn(_) | Phase::On(_), Some(Kind::Revocations)) => {
                frame.decode().ok().map(|came| self.revocations_came(None, &came))
            }
            (Phase::SigningIn(_) | Phase::On(_), Some(Kind::Heartbeat)) => {
                frame.decode().ok().map(|beat: Heartbeat| {
                    if beat.answer {
                        self.post(link, Frame::new(Kind::Heartbeat, &Heartbeat { answer: false }));
                    }
                })
            }
            (Phase::On(_), Some(kind)) => self.coordinator_frame(link, kind, frame),
            (_, None) => Some(()),
            (_, Some(_)) => None,
        };
        if fine.is_none() && self.session.is_link(link) {
            self.drop_session(link);
        }
    }

    fn welcome_came(&mut self, link: LinkId, frame: &Frame) -> Option<()> {
        let welcome: Welcome = frame.decode().ok()?;
        // The pinned key speaks, so its time may judge its own certificate: a wrong clock here must not lock out.
        let issuing =
            IssuingCertificate::check(&welcome.issuing, &welcome.root, &self.me.realm, welcome.time).ok();
        let device = self.session.pin.as_ref().map(|pin| pin.device);
        if issuing.is_none_or(|issuing| {
            Some(issuing.coordinator) != device || self.revoked.folded().is_issuer_revoked(&issuing.issuer)
        }) {
            self.refuse_for_now(link, Refusal::BadCertificate);
            return Some(());
        }
        if Version::choose(&welcome.versions).is_none() {
            self.refuse_for_now(link, Refusal::Version);
            return Some(());
        }
        self.session.anchor = Some(ListAnchor { root: welcome.root, issuing: Some(welcome.issuing) });
        self.take_coordinator_time(welcome.time);
        self.out.push_back(Output::Admit { link });
        self.session.phase = Phase::SigningIn(link);
        self.timers.set(Timer::Session, self.after(SIGN_IN_DEADLINE));
        self.send_sign_in(link);
        Some(())
    }

    fn take_coordinator_time(&mut self, time: Wall) {
        if let Some(offset) = self.clock.coordinator_says(time, self.now.wall) {
            self.save(vec![Change::ClockOffset(offset)]);
        }
        self.warn_of_clock();
    }

    fn send_sign_in(&mut self, link: LinkId) {
        self.session.sign_in = self.session.request_id();
        let sign_in = SignIn {
            request: self.session.sign_in,
            versions: BoundedVec::first(Version::offered()),
            realm: self.me.realm,
            certificate: self.me.certificate.clone(),
            chain: self.me.chain.clone(),
            epoch: self.me.epoch,
            directory: self.session.mark,
            revocations: BoundedVec::first(self.revoked.heads()),
            report: self.device_report(),
        };
        self.post(link, Frame::new(Kind::SignIn, &sign_in));
    }

    /// On a session that is up: shows the coordinator a changed chain, or asks for a renewed certificate.
    pub(crate) fn sign_in_again(&mut self) {
        if let Some(link) = self.session.on() {
            self.send_sign_in(link);
        }
    }

    pub(crate) fn renew(&mut self) {
        self.sign_in_again();
        self.timers.set(Timer::Renew, self.after(CERTIFICATE_RENEWAL));
    }

    fn device_report(&self) -> DeviceReport {
        let usable = self.me.place.listening.iter().filter(|endpoint| endpoint.is_usable()).copied();
        DeviceReport {
            endpoints: BoundedVec::first(usable),
            host: HostIdField(self.me.host),
            presence: self.settings.presence,
        }
    }

    /// Addresses or presence changed.
    pub(crate) fn report(&mut self) {
        if let Some(link) = self.session.on() {
            let report = Report { report: self.device_report() };
            self.post(link, Frame::new(Kind::Report, &report));
        }
    }

    fn signed_in(&mut self, link: LinkId, frame: &Frame) -> Option<()> {
        let answer: SignedIn = frame.decode().ok()?;
        if answer.request != self.session.sign_in {
            return None;
        }
        Version::choose(&[answer.version])?;
        self.take_coordinator_time(answer.time);
        if let Some(renewed) = answer.renewed {
            self.adopt_certificate(renewed)?;
        }
        let came_on = !self.session.is_on();
        self.session.phase = Phase::On(link);
        self.session.failures = 0;
        if came_on || self.session.run != answer.run {
            self.session.run = answer.run;
            self.session.number = None;
            // The snapshot follows by itself.
            self.session.snapshot_asked = true;
        }
        self.timers.set(Timer::Session, self.after(HEARTBEAT));
        self.timers.set_once(Timer::Renew, self.after(CERTIFICATE_RENEWAL));
        self.take_sign_in_revocations(answer.revocations);
        self.set_coordinator_state(CoordinatorState::Connected);
        Some(())
    }

    /// Takes a newer certificate for this device from the coordinator and shows it to everybody who is linked.
    fn adopt_certificate(&mut self, renewed: Certificate) -> Option<()> {
        let member =
            renewed.check(&self.me.realm, &self.me.device, self.wall(), self.revoked.folded()).ok()?;
        if member.membership.user != self.me.user {
            return None;
        }
        let serial = self.me.certificate.membership.peek().map_or(0, |own| own.serial);
        if serial < member.membership.serial {
            self.me.certificate = renewed;
            self.me.name = member.membership.name;
            self.own_changed();
        }
        Some(())
    }

    /// The coordinator renews the certificate by itself. Its word about the chain does not count: only another device of
    /// the user endorses.
    pub(crate) fn renewed_by_coordinator(&mut self, renewed: Renewed) -> Option<()> {
        self.adopt_certificate(renewed.certificate)?;
        self.timers.set(Timer::Renew, self.after(CERTIFICATE_RENEWAL));
        Some(())
    }

    /// Acts that come with the answer are the coordinator's own; its welcome anchors them.
    fn take_sign_in_revocations(&mut self, acts: BoundedVec<Signed<Revocation>, MAX_REVOCATIONS>) {
        if let Some(anchor) = self.session.anchor.clone().filter(|_| !acts.is_empty()) {
            self.revocations_came(None, &Revocations { anchor, acts });
        }
    }

    fn refused_came(&mut self, link: LinkId, frame: &Frame) -> Option<()> {
        let refused: Refused = frame.decode().ok()?;
        let refusal = Refusal::from_number(refused.code);
        if self.answer_refused(refused.request, refusal) {
            return Some(());
        }
        match refusal {
            Refusal::Revoked | Refusal::BadCertificate | Refusal::DeviceTaken => {
                self.out.push_back(Output::Close { link, after_flush: false });
                let was_on = self.session.is_on();
                self.end_session(None, CoordinatorState::Refused(refusal), was_on);
                self.notice(Notice::SignedOut(refusal));
                Some(())
            }
            Refusal::Banned | Refusal::Cloned => {
                let news = self.session.state != CoordinatorState::Refused(refusal);
                // The copy may be this device's own run before a crash, of which the coordinator has not heard the end.
                let wait = if news && refusal == Refusal::Cloned { COPY_RETRY } else { BANNED_RETRY };
                self.refuse_for(link, refusal, wait);
                if news {
                    self.notice(Notice::SignedOut(refusal));
                }
                Some(())
            }
            Refusal::Version => {
                self.refuse_for_now(link, refusal);
                Some(())
            }
            _ => None,
        }
    }

    fn refuse_for_now(&mut self, link: LinkId, refusal: Refusal) {
        self.refuse_for(link, refusal, BANNED_RETRY);
    }

    fn refuse_for(&mut self, link: LinkId, refusal: Refusal, wait: Duration) {
        self.out.push_back(Output::Close { link, after_flush: false });
        let was_on = self.session.is_on();
        self.end_session(Some(wait), CoordinatorState::Refused(refusal), was_on);
    }

    /// Heartbeats of our own, as on links.
    fn session_beat(&mut self, link: LinkId) {
        let now = self.now.mono;
        let heard = self.session.heard;
        let silent = now.since(heard);
        let mute = |since: &mut Mono| heard <= *since && now.since(*since) >= PROBE;
        if silent >= LINK_DEAD || self.session.doubted.take_if(mute).is_some() {
            self.drop_session(link);
            return;
        }
        let ask = silent >= LINK_SUSPECT && !self.session.asked;
        self.session.asked |= ask;
        if ask || now.since(self.session.sent) >= HEARTBEAT {
            self.post(link, Frame::new(Kind::Heartbeat, &Heartbeat { answer: ask }));
        }
        let patience = if self.session.asked { LINK_DEAD } else { LINK_SUSPECT };
        let next = self.session.sent.plus(HEARTBEAT).min(self.session.heard.plus(patience));
        self.timers.set(Timer::Session, next.max(now.plus(Duration::from_millis(1))));
    }

    pub(crate) fn leave_coordinator(&mut self) {
        if let Some(link) = self.session.link() {
            if self.session.is_on() {
                self.post(link, Frame::new(Kind::Goodbye, &Goodbye { reason: GoodbyeReason::Leaving }));
            }
            self.out.push_back(Output::Close { link, after_flush: true });
        }
    }

    /// Whether the realm is an organisation.
    pub(crate) fn in_organisation(&self) -> bool {
        self.me.realm != RealmId::OPEN
    }
}
