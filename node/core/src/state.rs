//! The node as a whole: what it is made of, and which part an input goes to.
//!
//! Keeps true: outputs leave in the order in which they were decided; a stopped node does nothing more. Goes in:
//! [`Input`] and due times. Goes out: [`Output`] and the next due time. Parts: `links`, `duplicates`, `peers`,
//! `reach`, `session`, `log`, `writes`, `sync`, `receipts`, `trust`, `safety`, `revocations`; each holds the rules of one
//! thing.

use crate::boot::{Boot, Channel, LinkId, Settings};
use crate::clock::{Clock, ClockStep};
use crate::fork::Forks;
use crate::input::{Command, Input};
use crate::links::Links;
use crate::log::Logs;
use crate::output::{Answer, Change, CommandError, Event, Notice, Output};
use crate::peers::Peers;
use crate::reach::{Place, Reach};
use crate::receipts::Receipts;
use crate::revocations::RevocationLists;
use crate::rng::Rng;
use crate::session::Session;
use crate::sync::Loads;
use crate::timers::{Timer, Timers};
use crate::transfers::Transfers;
use crate::words::Words;
use crate::writes::Writes;
use lanchat_proto::certificate::{Certificate, CertificateError, DeviceChain};
use lanchat_proto::codec::EncodeError;
use lanchat_proto::frame::Frame;
use lanchat_proto::ids::{DeviceId, Epoch, HostId, RealmId, UserId};
use lanchat_proto::names::UserName;
use lanchat_proto::signed::SecretKey;
use lanchat_proto::time::{Mono, Now, Wall};
use std::collections::{BTreeMap, VecDeque};

/// Who this node is.
#[derive(Clone)]
pub(crate) struct Me {
    pub(crate) realm: RealmId,
    pub(crate) key: SecretKey,
    pub(crate) device: DeviceId,
    pub(crate) user: UserId,
    pub(crate) name: UserName,
    pub(crate) certificate: Certificate,
    pub(crate) chain: DeviceChain,
    pub(crate) epoch: Epoch,
    pub(crate) new_epochs: u32,
    pub(crate) host: HostId,
    pub(crate) place: Place,
}

/// A node: the rules, without clock, files, sockets or chance.
#[derive(Clone)]
pub struct NodeState {
    pub(crate) me: Me,
    pub(crate) settings: Settings,
    pub(crate) now: Now,
    pub(crate) rng: Rng,
    pub(crate) clock: Clock,
    pub(crate) timers: Timers,
    pub(crate) out: VecDeque<Output>,
    pub(crate) links: Links,
    pub(crate) peers: Peers,
    pub(crate) reach: Reach,
    pub(crate) session: Session,
    pub(crate) logs: Logs,
    pub(crate) writes: Writes,
    pub(crate) loads: Loads,
    pub(crate) receipts: Receipts,
    pub(crate) words: Words,
    pub(crate) transfers: Transfers,
    pub(crate) revoked: RevocationLists,
    pub(crate) forks: Forks,
    pub(crate) nudged: BTreeMap<UserId, Mono>,
    pub(crate) announcement: u64,
    pub(crate) stopping: bool,
}

impl NodeState {
    /// A node that starts from what the store holds.
    ///
    /// # Errors
    /// When the own certificate is not one of the realm for the own key.
    pub fn new(boot: Boot, now: Now) -> Result<Self, CertificateError> {
        let member = boot.certificate.check_ever(&boot.realm)?;
        let device = boot.key.public();
        if member.membership.device != device {
            return Err(CertificateError::Device);
        }
        let open = boot.realm == RealmId::OPEN;
        let stored = boot.stored;
        let me = Me {
            realm: boot.realm,
            device,
            user: member.membership.user,
            name: member.membership.name,
            key: boot.key,
            certificate: boot.certificate,
            chain: boot.chain,
            epoch: boot.epoch,
            new_epochs: 0,
            host: boot.host,
            place: Place::default(),
        };
        let mut node = Self {
            clock: Clock::new(stored.last_stamp, (!open).then_some(stored.clock_offset)),
            rng: Rng::new(boot.seed),
            settings: boot.settings,
            timers: Timers::default(),
            out: VecDeque::new(),
            links: Links::default(),
            peers: Peers::default(),
            reach: Reach::default(),
            session: Session::new(boot.coordinator.filter(|_| !open), stored.directory),
            logs: Logs::new(&me, stored.logs, stored.arrival),
            writes: Writes::default(),
            loads: Loads::default(),
            words: Words::new(&me, &stored.states),
            transfers: Transfers::new(stored.transfers),
            receipts: Receipts::new(&me, stored.states),
            revoked: RevocationLists::new(&me.realm, stored.revocations),
            forks: Forks::default(),
            nudged: BTreeMap::new(),
            announcement: stored.announcement,
            stopping: false,
            me,
            now,
        };
        node.peers.restore(&node.me, stored.profiles, stored.roots, stored.devices);
        node.rejoin_words();
        node.start_session();
        node.dial_known_devices();
        Ok(node)
    }

    /// Something happened.
    pub fn handle_input(&mut self, input: Input, now: Now) {
        self.pass_time(now);
        if self.stopping {
            self.after_stop(input);
            return;
        }
        match input {
            Input::Opened { link, device, channel, dialler, remote, relayed, dial } => match channel {
                Channel::Link => self.link_opened(link, device, dialler, remote, relayed, dial),
                Channel::Coordinator => self.session_opened(link, device, remote, dial),
            },
            Input::Frame { link, frame } => self.frame(link, &frame),
            Input::Closed { link } => self.closed(link),
            Input::DialFailed { dial, attempts, reason } => self.dial_failed(dial, attempts, reason),
            Input::Listening { endpoints, subnets } => {
                self.listening(Place { listening: endpoints, subnets })
            }
            Input::Announced { device, endpoints } => self.announced(device, endpoints),
            Input::NotAnnounced { device } => self.not_announced(&device),
            Input::Reserved => self.reserved(true),
            Input::ReservationLost => self.reserved(false),
            Input::CoordinatorEndpoints { endpoints } => self.coordinator_moved(endpoints),
            Input::NetworkChanged => self.network_changed(),
            Input::Stored { id } => self.stored(id),
            Input::StoreFailed { id, ends, reason } => self.store_failed(id, &ends, reason),
            Input::Loaded { id, entries } => self.loaded(id, entries),
            Input::Serving { offer, now } => self.serving(offer, now),
            Input::SourceLost { offer, reason } => self.source_lost(offer, reason),
            Input::FileWhole { offer } => self.file_whole(offer),
            Input::SaveEnded { offer, end } => self.save_ended(offer, end),
            Input::FetchEnded { offer, link, end } => self.fetch_ended(offer, link, end),
            Input::Command { request, command } => {
                if let Some(result) = self.command(request, command) {
                    self.out.push_back(Output::Answer { request, result });
                }
            }
            Input::Stop => self.stop(),
        }
    }

    /// The next thing for the shell to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Mono, &'static str)> {
        if self.stopping { None } else { self.timers.next() }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Now) {
        self.pass_time(now);
        while let Some(timer) = self.timers.due(now.mono).filter(|_| !self.stopping) {
            match timer {
                Timer::Hello(link) => self.close(link, false),
                Timer::Beat(link) => self.beat(link),
                Timer::Probe(link) => self.probe_ended(link),
                Timer::Doubt(link) => self.doubt_ended(link),
                Timer::Left(device) => self.goodbye_is_old(&device),
                Timer::Duplicate(device) => self.duplicates_ended(device),
                Timer::Answer(device) => self.answer_overdue(&device),
                Timer::Dial(device) => self.dial(device),
                Timer::DialBack(device) => self.ask_dial_back(device),
                Timer::Circuit(device) => self.circuit(device),
                Timer::DialEnd(dial) => self.dial_ended(dial),
                Timer::ProbeEnd(link) => self.probe_over(link),
                Timer::Session => self.session_due(),
                Timer::Renew => self.renew(),
                Timer::Stale => self.coordinator_presence_stale(),
                Timer::Request(request) => self.request_timed_out(request),
                Timer::PassOn(conversation) => self.pass_on(&conversation),
                Timer::StoreRetry => self.retry_changes(),
                Timer::LogEnd(log) => self.read_log_end(log),
                Timer::Transfer(offer) => self.transfer_due(offer),
                Timer::Unstick(link) => self.unstick(link),
                Timer::States(link) => self.states_due(link),
            }
        }
    }

    /// Time went on. Where the wall clock did not go with it, the coordinator is asked what the time is.
    fn pass_time(&mut self, now: Now) {
        let step = self.clock.passed(self.now, now);
        self.now = now;
        if let ClockStep::SetBack(Some(offset)) = step {
            self.save(vec![Change::ClockOffset(offset)]);
        }
        if step != ClockStep::Even {
            self.sign_in_again();
        }
    }

    /// A command's answer, unless it comes later.
    fn command(
        &mut self,
        request: crate::boot::RequestId,
        command: Command,
    ) -> Option<Result<Answer, CommandError>> {
        match command {
            Command::SendText { to, text, reply_to } => {
                self.send_text(request, to, &text, reply_to).err().map(Err)
            }
            Command::OfferFile { to, file } => self.offer_file(request, to, &file).err().map(Err),
            Command::Transfer { offer, act } => Some(self.act_on(offer, act).map(|()| Answer::Done)),
            Command::SetAutoAccept { whose, max } => {
                self.settings.auto_accept = whose;
                self.settings.auto_accept_max = max;
                Some(Ok(Answer::Done))
            }
            Command::Nudge { to } => self.nudge(request, to).err().map(Err),
            Command::MarkRead { conversation } => {
                self.mark_read(&conversation);
                Some(Ok(Answer::Done))
            }
            Command::SetPresence { presence } => {
                self.settings.presence = presence;
                self.report();
                Some(Ok(Answer::Done))
            }
            Command::AskToBeDialled => self.ask_to_be_dialled(request).err().map(Err),
            Command::Endorse { device } => Some(self.endorse(device).map(|()| Answer::Done)),
            Command::AcceptDevice { device } => Some(self.accept_device(device).map(|()| Answer::Done)),
            Command::AskSafetyCode { user } => Some(self.tell_code(&user)),
            Command::ConfirmSafetyCode { user, code } => self.confirm(request, user, code).err().map(Err),
            Command::ForgetSafetyCode { user } => self.unconfirm(request, user).err().map(Err),
            Command::SetProfile { .. }
            | Command::AskSalt { .. }
            | Command::ChangePassword { .. }
            | Command::Logout
            | Command::AskAvatar { .. } => self.ask_coordinator(request, command).err().map(Err),
        }
    }

    fn frame(&mut self, link: LinkId, frame: &Frame) {
        if self.session.is_link(link) {
            self.session_frame(link, frame);
        } else {
            self.link_frame(link, frame);
        }
    }

    fn closed(&mut self, link: LinkId) {
        if self.session.is_link(link) {
            self.session_lost();
        } else {
            self.link_gone(link);
        }
    }

    /// Where this node listens changed: others are told, and if an adapter came or went, all ways are tried again.
    fn listening(&mut self, place: Place) {
        let moved = place.subnets != self.me.place.subnets;
        let first = self.me.place.subnets.is_empty();
        let news = place.listening != self.me.place.listening;
        self.me.place = place;
        if news {
            self.report();
        }
        if moved && !first {
            self.network_changed();
        }
    }

    fn network_changed(&mut self) {
        self.retry_session_now();
        self.redial_all();
        self.doubt_links();
    }

    /// Says goodbye everywhere and answers who still waits.
    fn stop(&mut self) {
        self.stopping = true;
        self.say_goodbye();
        self.leave_coordinator();
        for request in self.writes.take_requests().into_iter().chain(self.session.take_requests()) {
            self.out.push_back(Output::Answer { request, result: Err(CommandError::Stopping) });
        }
    }

    fn after_stop(&mut self, input: Input) {
        if let Input::Command { request, .. } = input {
            self.out.push_back(Output::Answer { request, result: Err(CommandError::Stopping) });
        }
    }

    /// Queues a frame. The types of frames keep their bounds, so one that cannot be encoded does not exist.
    pub(crate) fn post(&mut self, link: LinkId, frame: Result<Frame, EncodeError>) {
        if let Ok(frame) = frame {
            self.links.sent(link, self.now.mono);
            self.session.sent(link, self.now.mono);
            self.out.push_back(Output::Send { link, frame });
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        self.event(Event::Notice(notice));
    }

    /// Corrected wall time.
    pub(crate) fn wall(&self) -> Wall {
        self.clock.corrected(self.now.wall)
    }

    pub(crate) fn after(&self, wait: std::time::Duration) -> Mono {
        self.now.mono.plus(wait)
    }

    pub(crate) fn warn_of_clock(&mut self) {
        if let Some(offset) = self.clock.warn() {
            self.notice(Notice::ClockWrong(offset));
        }
    }

    /// Writes changes that nothing waits for; tried again when the store fails.
    pub(crate) fn save(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.write(crate::writes::Write { retry: changes.clone(), ..Default::default() }, changes);
        }
    }
}
