//! The one loop of a membership: it carries inputs into the core and outputs out of it.
//!
//! Keeps true: one turn handles one input and then everything the core wants of it; local work goes before network
//! work, so that a noisy peer cannot starve the user. Nothing is waited for inside a turn but a place in the store's
//! bounded queue, and meanwhile the store's answers are taken, so that the two never wait for each other.

mod content;
mod examine;
mod requests;
mod surroundings;

use crate::adapters::{self, Adapter};
use crate::api::Contacts;
use crate::app::address::{self, CoordinatorAddress};
use crate::app::enrol::Enrolment;
use crate::app::listen::{self, Listeners};
use crate::app::nearby::Nearby;
use crate::app::pulse::Pulse;
use crate::blobs::{Files, FromFiles};
use crate::config::{self, Config};
use crate::handle::{EnrolError, Entered, HandleEnd, HandleError, NumberedEvent};
use crate::identity::{self, Identity};
use crate::paths::DataDir;
use crate::platform;
use crate::store::{Membership, Opened, Reader, Store, StoreAnswer};
use lanchat_net::clock::Clock;
use lanchat_net::{Close, DialTarget, Link, Net, NetConfig, NetEvent, NetHandle, RelayRole};
use lanchat_node_core::boot::{Channel, CoordinatorPin, DialId, LinkId, RequestId, Settings};
use lanchat_node_core::output::{Answer, CommandError, Event};
use lanchat_node_core::view::CoordinatorState;
use lanchat_node_core::{Boot, Command, Input, NodeState, Output};
use lanchat_proto::wire::Endpoint;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};

/// Answers of the store that may wait for the loop.
const STORE_ANSWERS: usize = 1024;
/// Results of work off the loop that may wait for it.
const BACK: usize = 16;
/// Time that goodbyes get to leave.
const GOODBYE: Duration = Duration::from_millis(700);
/// How often the coordinator's names are looked up while it is out of reach.
const LOOK_UP_AGAIN: Duration = Duration::from_secs(15);
/// Time that a login waits for the new membership to be signed in before it is called done anyway.
pub(crate) const SIGN_IN: Duration = Duration::from_secs(5);

/// Where the answer to a login or logout goes.
pub(crate) type EnrolAnswer = oneshot::Sender<Result<Entered, EnrolError>>;

/// Why a membership's loop ended.
pub(crate) enum Outcome {
    /// The program ends.
    Shutdown,
    /// Another membership was granted and is to be run.
    Enter(Box<Enrolment>, EnrolAnswer),
    /// The open LAN is to be run.
    Leave(EnrolAnswer),
}

/// What work off the loop brings back.
enum Back {
    /// The proofs for a password change.
    Proofs(Result<Command, HandleError>, oneshot::Sender<Result<(), HandleError>>),
    /// Addresses of the coordinator.
    Found(Vec<Endpoint>),
    /// The adapters of this machine; `None` when the system did not tell.
    Adapters(Option<Vec<Adapter>>),
    /// A login's end.
    Enrolled(Result<Box<Enrolment>, EnrolError>, EnrolAnswer),
    /// A logout's end.
    LoggedOut(Result<Answer, CommandError>, EnrolAnswer),
}

/// What lives as long as the program, across memberships.
pub(crate) struct Shared {
    /// The API's end.
    pub(crate) end: HandleEnd,
    /// Clocks.
    pub(crate) clock: Clock,
    /// Number of the newest event.
    pub(crate) events: u64,
    /// Told when the running membership is signed in.
    pub(crate) on_signed_in: Option<(Instant, Entered, EnrolAnswer)>,
    /// Settings for the core.
    pub(crate) settings: Settings,
    /// The settings that people change.
    pub(crate) config: Arc<Config>,
    /// The starred people.
    pub(crate) contacts: Arc<Contacts>,
    /// Coordinators that the command line named.
    pub(crate) coordinators: Vec<CoordinatorAddress>,
    /// Whether the command line lets mDNS run.
    pub(crate) mdns: bool,
    /// When the program started.
    pub(crate) started: lanchat_proto::time::Wall,
}

impl Shared {
    fn publish(&mut self, event: Event) {
        self.events += 1;
        let event = NumberedEvent { id: self.events, at: self.clock.now().wall, event: Arc::new(event) };
        // Nobody may be listening.
        drop(self.end.events.send(event));
    }

    /// Answers a login or logout that waited for the new membership.
    pub(crate) fn signed_in(&mut self) {
        if let Some((_, entered, answer)) = self.on_signed_in.take() {
            // The asker may have gone.
            drop(answer.send(Ok(entered)));
        }
    }
}

/// A running membership.
pub(crate) struct MembershipLoop<'a> {
    shared: &'a mut Shared,
    core: NodeState,
    store: Store,
    reader: Reader,
    membership: Membership,
    answers: mpsc::Receiver<StoreAnswer>,
    early: VecDeque<StoreAnswer>,
    net: NetHandle,
    net_events: mpsc::Receiver<NetEvent>,
    links: BTreeMap<u64, Link>,
    listeners: Listeners,
    adapters: Vec<Adapter>,
    /// When the adapters are looked at next, and whether that is under way.
    next_look: Instant,
    looking: bool,
    pulse: Pulse,
    nearby: Nearby,
    settings: watch::Receiver<config::Settings>,
    /// The way to the coordinator, and since when it is so.
    coordinator: (CoordinatorState, Instant),
    waiting: BTreeMap<RequestId, oneshot::Sender<Result<Answer, CommandError>>>,
    next_request: u64,
    back: mpsc::Receiver<Back>,
    back_sender: mpsc::Sender<Back>,
    next_look_up: Option<Instant>,
    enrolling: bool,
    identity: Identity,
    dir: DataDir,
    files: Files,
    from_files: mpsc::Receiver<FromFiles>,
}

/// The membership cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    /// The network.
    #[error(transparent)]
    Net(#[from] lanchat_net::NetError),
    /// Addresses.
    #[error(transparent)]
    Listen(#[from] listen::ListenError),
    /// Random numbers.
    #[error(transparent)]
    Identity(#[from] identity::IdentityError),
    /// The directory for files cannot be used.
    #[error("the directory for files cannot be used: {0}")]
    Files(std::io::Error),
    /// The own certificate is not one for this key.
    #[error("the database's own certificate: {0}")]
    Certificate(#[from] lanchat_proto::certificate::CertificateError),
}

impl<'a> MembershipLoop<'a> {
    /// Starts the network and the core of an opened membership.
    pub(crate) async fn start(
        shared: &'a mut Shared,
        dir: &DataDir,
        identity: &Identity,
        listen: &listen::Wish,
        (store, reader, opened): (Store, Reader, Opened),
        answers: mpsc::Receiver<StoreAnswer>,
    ) -> Result<Self, LoopError> {
        let Opened { membership, epoch, stored } = opened;
        let mut config = NetConfig::new(identity.key.clone(), vec![lanchat_net::Channel::Link]);
        if membership.coordinator.is_some() {
            config.relay = RelayRole::Client;
        }
        let (net, net_events) = Net::start(config)?;
        let mut listeners = Listeners::bind(&net, listen).await?;
        let adapters = surroundings::list_adapters().await.unwrap_or_default();
        listeners.expand(&adapters);
        let coordinator = membership
            .coordinator
            .as_ref()
            .map(|(device, _)| CoordinatorPin { device: *device, endpoints: Vec::new() });
        let boot = Boot {
            realm: membership.realm,
            key: identity.key.clone(),
            certificate: membership.certificate.clone(),
            chain: membership.chain.clone(),
            epoch,
            coordinator,
            host: platform::host_id(),
            seed: identity::random()?,
            settings: shared.core_settings(&membership.user),
            stored,
            started: shared.started,
        };
        let now = shared.clock.now();
        let core = NodeState::new(boot, now)?;
        let pinned = membership.coordinator.as_ref().map(|(device, _)| *device);
        let trying = if pinned.is_some() { CoordinatorState::Reconnecting } else { CoordinatorState::None };
        shared.end.set_reader(Some(reader.clone()));
        let (files, from_files) = content::open(dir, &membership, shared)?;
        let (back_sender, back) = mpsc::channel(BACK);
        let mut running = Self {
            core,
            settings: shared.config.subscribe(),
            shared,
            store,
            reader,
            nearby: Nearby::new(membership.device, membership.realm, pinned),
            membership,
            answers,
            early: VecDeque::new(),
            net,
            net_events,
            links: BTreeMap::new(),
            listeners,
            adapters,
            next_look: Instant::now() + surroundings::LOOK,
            looking: false,
            pulse: Pulse::new(now),
            coordinator: (trying, Instant::now()),
            waiting: BTreeMap::new(),
            next_request: 0,
            back,
            back_sender,
            next_look_up: None,
            enrolling: false,
            identity: identity.clone(),
            dir: dir.clone(),
            files,
            from_files,
        };
        running.follow_settings();
        Ok(running)
    }

    /// A channel for the store's answers, of the size that the loop is made for.
    pub(crate) fn store_answers() -> (mpsc::Sender<StoreAnswer>, mpsc::Receiver<StoreAnswer>) {
        mpsc::channel(STORE_ANSWERS)
    }

    /// Addresses that the node listens on, as multiaddrs with its peer id.
    pub(crate) fn listen_addrs(&self) -> Vec<String> {
        self.listeners.multiaddrs(&self.membership.device, &self.adapters)
    }

    /// The wish to listen, with the ports that were found.
    pub(crate) fn settled(&self, wish: &listen::Wish) -> listen::Wish {
        wish.settled(&self.listeners)
    }

    /// Runs until the program ends or another membership is wanted; everything is closed then.
    pub(crate) async fn run(mut self) -> Outcome {
        self.look_up();
        self.input(self.listening()).await;
        let outcome = self.turns().await;
        self.stop().await;
        outcome
    }

    async fn turns(&mut self) -> Outcome {
        loop {
            self.carry_out().await;
            if let Some(answer) = self.early.pop_front() {
                self.store_answer(answer);
                continue;
            }
            let now = self.shared.clock.now();
            if self.pulse.turn(now) {
                self.woke_up();
                continue;
            }
            let timeout = self.core.poll_timeout().map(|(at, _)| at);
            if timeout.is_some_and(|at| at <= now.mono) {
                self.core.handle_timeout(now);
                continue;
            }
            let wake = timeout.map(|at| self.shared.clock.instant(at));
            let signed_in = self.shared.on_signed_in.as_ref().map(|(at, ..)| *at);
            let deadlines = [wake, self.next_look_up, signed_in].into_iter().flatten();
            let deadline = deadlines.fold(self.next_look, Instant::min);
            tokio::select! {
                biased;
                Some(answer) = self.answers.recv() => self.store_answer(answer),
                request = self.shared.end.requests.recv() => match request {
                    Some(request) => if let Some(outcome) = self.request(request) { return outcome; },
                    None => return Outcome::Shutdown,
                },
                Some(back) = self.back.recv() => if let Some(outcome) = self.come_back(back) { return outcome; },
                Ok(()) = self.settings.changed() => self.follow_settings(),
                Some(said) = self.from_files.recv() => self.files_said(said),
                Some(event) = self.net_events.recv() => self.net_event(event),
                event = self.nearby.next() => self.heard(event),
                () = tokio::time::sleep_until(deadline.into()) => self.wake(),
            }
        }
    }

    /// A deadline of the shell's own passed; the core's are looked at in every turn.
    fn wake(&mut self) {
        let now = Instant::now();
        if self.next_look <= now {
            self.look_around();
        }
        if self.next_look_up.is_some_and(|at| at <= now) {
            self.look_up();
        }
        if self.shared.on_signed_in.as_ref().is_some_and(|(at, ..)| *at <= now) {
            self.shared.signed_in();
        }
    }

    /// Looks the coordinator's addresses up, off the loop.
    fn look_up(&mut self) {
        self.next_look_up = None;
        let Some((_, mut addresses)) = self.membership.coordinator.clone() else { return };
        let named = self.shared.coordinators.iter().flat_map(|named| named.addresses.iter().cloned());
        addresses.splice(0..0, named);
        self.next_look_up = Some(Instant::now() + LOOK_UP_AGAIN);
        let announced = self.nearby.coordinator().to_vec();
        let back = self.back_sender.clone();
        tokio::spawn(async move {
            let endpoints = address::with_announced(address::resolve(&addresses).await, &announced);
            // A loop that has ended needs none.
            drop(back.send(Back::Found(endpoints)).await);
        });
    }

    async fn input(&mut self, input: Input) {
        let now = self.shared.clock.now();
        self.core.handle_input(input, now);
        self.carry_out().await;
    }

    /// Carries out everything that the core wants.
    async fn carry_out(&mut self) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::Send { link, frame } => {
                    let full = self.links.get(&link.0).is_some_and(|link| link.send(frame).is_err());
                    if full {
                        tracing::info!(link = link.0, "Closing a link that does not take what it is sent");
                        self.close(link, Close::Now);
                    }
                }
                Output::Admit { link } => {
                    if let Some(link) = self.links.get(&link.0) {
                        link.admit();
                    }
                }
                Output::Close { link, after_flush } => {
                    self.close(link, if after_flush { Close::AfterFlush } else { Close::Now });
                }
                Output::Dial { dial, device, endpoints, channel, via } => {
                    let target =
                        DialTarget { device: Some(device), endpoints, channel: net_channel(channel), via };
                    if let Err(error) = self.net.dial(lanchat_net::DialId(dial.0), target) {
                        let now = self.shared.clock.now();
                        let (attempts, reason) = (Vec::new(), error.to_string());
                        self.core.handle_input(Input::DialFailed { dial, attempts, reason }, now);
                    }
                }
                Output::Reserve { relay, endpoint } => self.net.reserve(relay, endpoint),
                Output::Release => self.net.release(),
                Output::Persist { id, changes } => {
                    let store = self.store.clone();
                    self.with_answers(store.persist(id, changes)).await;
                }
                Output::Load { id, log, from, max_entries, max_bytes } => {
                    let store = self.store.clone();
                    self.with_answers(store.load(id, log, from, max_entries, max_bytes)).await;
                }
                Output::Fetch(order) => self.fetch(order),
                Output::SaveFile { offer, file } => self.files.save_whole(offer, file),
                Output::StopFile { offer, discard } => self.files.stop(offer, discard),
                Output::Answer { request, result } => {
                    if let Some(answer) = self.waiting.remove(&request) {
                        // The asker may have gone.
                        drop(answer.send(result));
                    }
                }
                Output::Event(event) => self.event(event),
            }
        }
    }

    /// Waits for a place in the store's queue and takes its answers meanwhile.
    async fn with_answers(&mut self, place: impl Future<Output = ()>) {
        tokio::pin!(place);
        loop {
            tokio::select! {
                biased;
                () = &mut place => return,
                Some(answer) = self.answers.recv() => self.early.push_back(answer),
            }
        }
    }

    fn event(&mut self, event: Event) {
        if let Event::Coordinator(state) = &event {
            if self.coordinator.0 != *state {
                self.coordinator = (*state, Instant::now());
            }
            let connected = matches!(state, CoordinatorState::Connected);
            if connected {
                self.shared.signed_in();
            }
            let trying = matches!(state, CoordinatorState::Reconnecting);
            self.next_look_up = trying.then(|| Instant::now() + LOOK_UP_AGAIN);
        }
        self.shared.publish(event);
    }

    fn close(&mut self, link: LinkId, how: Close) {
        if let Some(link) = self.links.get(&link.0) {
            link.close(how);
        }
    }

    fn store_answer(&mut self, answer: StoreAnswer) {
        let input = match answer {
            StoreAnswer::Stored(id) => Input::Stored { id },
            StoreAnswer::Failed(id, ends, reason) => Input::StoreFailed { id, ends, reason },
            StoreAnswer::Loaded(id, entries) => Input::Loaded { id, entries },
        };
        let now = self.shared.clock.now();
        self.core.handle_input(input, now);
    }

    fn listening(&self) -> Input {
        let endpoints = self.listeners.endpoints(&self.adapters);
        Input::Listening { endpoints, subnets: adapters::subnets(&self.adapters) }
    }

    fn net_event(&mut self, event: NetEvent) {
        let input = match event {
            NetEvent::Opened(opened) => {
                let link = LinkId(opened.link.id().0);
                self.links.insert(link.0, opened.link);
                Input::Opened {
                    link,
                    device: opened.device,
                    channel: core_channel(opened.channel),
                    dialler: opened.dialler,
                    remote: opened.remote,
                    relayed: opened.relayed,
                    dial: opened.dial.map(|dial| DialId(dial.0)),
                }
            }
            NetEvent::Frame { link, frame } => Input::Frame { link: LinkId(link.0), frame },
            NetEvent::Closed { link, reason } => {
                tracing::debug!(link = link.0, %reason, "Link closed");
                self.links.remove(&link.0);
                Input::Closed { link: LinkId(link.0) }
            }
            NetEvent::DialFailed(failure) => {
                tracing::debug!(dial = failure.dial.0, reason = failure.reason, "Dial failed");
                let (attempts, reason) = (failure.attempts, failure.reason);
                Input::DialFailed { dial: DialId(failure.dial.0), attempts, reason }
            }
            NetEvent::Listening(endpoint) => match self.listeners.add(endpoint) {
                true => self.listening_elsewhere(),
                false => return,
            },
            NetEvent::NotListening(endpoint) => match self.listeners.remove(&endpoint) {
                true => self.listening_elsewhere(),
                false => return,
            },
            NetEvent::Reserved { .. } => Input::Reserved,
            NetEvent::ReservationLost { reason, .. } => {
                tracing::info!(%reason, "The place at the relay is gone");
                Input::ReservationLost
            }
            NetEvent::Stream { stream, .. } => {
                self.files.serve(stream);
                return;
            }
            NetEvent::RelayRestarted => return,
        };
        let now = self.shared.clock.now();
        self.core.handle_input(input, now);
    }

    /// Says goodbye, writes what is queued, closes everything.
    async fn stop(mut self) {
        self.shared.end.set_reader(None);
        self.shared.end.set_files(None);
        // Nobody listens any more to what becomes of a fetch.
        self.from_files.close();
        let files = self.files.clone();
        let fetches = tokio::spawn(async move { files.shutdown().await });
        let (_, discovery) = self.nearby.stop();
        let goodbye = tokio::spawn(async move {
            if let Some(discovery) = discovery {
                discovery.stop().await;
            }
        });
        self.input(Input::Stop).await;
        let all_closed = async {
            while !self.links.is_empty() {
                let Some(event) = self.net_events.recv().await else { break };
                self.net_event(event);
            }
        };
        // Whoever does not read the goodbye in time sees the connection end.
        drop(tokio::time::timeout(GOODBYE, all_closed).await);
        self.carry_out().await;
        self.net.shutdown().await;
        let close = self.store.clone().close();
        self.with_answers(close).await;
        // A goodbye that could not be said leaves entries that expire.
        drop(goodbye.await);
        // What was not written down in time is hashed again when its fetch goes on.
        drop(fetches.await);
    }
}

fn net_channel(channel: Channel) -> lanchat_net::Channel {
    match channel {
        Channel::Link => lanchat_net::Channel::Link,
        Channel::Coordinator => lanchat_net::Channel::Coordinator,
    }
}

fn core_channel(channel: lanchat_net::Channel) -> Channel {
    match channel {
        lanchat_net::Channel::Link => Channel::Link,
        lanchat_net::Channel::Coordinator => Channel::Coordinator,
    }
}
