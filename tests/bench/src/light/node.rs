//! A whole node without files: the real rules over real links, with a store in memory.
//!
//! Keeps true: the rules get what the real shell would give them; a write is answered at once, as on a disk that costs
//! nothing. Goes in: commands. Goes out: answers, and [`NodeKnown`] whenever it changes.

use crate::error::BenchError;
use crate::light::office::{Identity, Office};
use crate::light::random;
use lanchat_net::clock::Clock;
use lanchat_net::{Close, DialTarget, Link, Net, NetConfig, NetEvent, NetHandle};
use lanchat_node_core::boot::{Channel, CoordinatorPin, DialId, LinkId, RequestId, Settings, Stored};
use lanchat_node_core::output::{Answer, CommandError, Event};
use lanchat_node_core::view::{CoordinatorState, Route};
use lanchat_node_core::{Boot, Command, Input, MemoryStore, NodeState, Output};
use lanchat_proto::ids::{DeviceId, Epoch, HostId, UserId};
use lanchat_proto::wire::Endpoint;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// Commands that may wait for a node; a caller beyond that waits.
const COMMANDS: usize = 16;
/// Time that goodbyes get to leave.
const GOODBYE: Duration = Duration::from_millis(700);

/// How a light node behaves.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Users up to which it dials everybody. Nodes of 1 are dialled by others and dial nobody.
    pub mesh_size: usize,
    /// Whether others can dial it, on a loopback port of its own.
    pub listen: bool,
    /// The machine that it claims to be on. Loopback is dialled only by nodes that claim the same.
    pub host: HostId,
}

/// What a node knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeKnown {
    /// Signed in at the coordinator.
    pub connected: bool,
    /// Devices with an accepted direct link.
    pub direct: usize,
    /// Users that are on, without its own.
    pub online: usize,
    /// Messages on its disk, its own included.
    pub messages: usize,
}

/// A running node.
#[derive(Debug)]
pub struct LightNode {
    /// Its user.
    pub user: UserId,
    /// What it knows.
    pub known: watch::Receiver<NodeKnown>,
    commands: mpsc::Sender<Ask>,
    task: JoinHandle<()>,
}

type Ask = (Command, oneshot::Sender<Result<Answer, CommandError>>);

impl LightNode {
    /// Starts a node of an enrolled device with an empty store.
    ///
    /// # Errors
    /// [`BenchError`].
    pub async fn start(
        office: &Office,
        identity: &Identity,
        behaviour: &Behaviour,
    ) -> Result<Self, BenchError> {
        let config = NetConfig::new(identity.key.clone(), vec![lanchat_net::Channel::Link]);
        let (net, events) = Net::start(config).map_err(BenchError::failed("starting the network"))?;
        if behaviour.listen {
            let any = Endpoint::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
            net.listen(any).await.map_err(BenchError::failed("listening"))?;
        }
        let epoch = Epoch(u64::from_le_bytes(random()?));
        let clock = Clock::start();
        let now = clock.now();
        let boot = Boot {
            realm: office.realm,
            key: identity.key.clone(),
            certificate: identity.certificate.clone(),
            chain: identity.chain.clone(),
            epoch,
            coordinator: Some(CoordinatorPin {
                device: office.coordinator,
                endpoints: office.endpoints.clone(),
            }),
            host: behaviour.host,
            seed: random()?,
            settings: Settings { mesh_size: behaviour.mesh_size, ..Settings::default() },
            stored: Stored::default(),
            started: now.wall,
        };
        let core = NodeState::new(boot, now).map_err(BenchError::failed("the certificate"))?;
        let (commands, asks) = mpsc::channel(COMMANDS);
        let (view, known) = watch::channel(NodeKnown::default());
        let driver = Driver {
            core,
            clock,
            net,
            links: BTreeMap::new(),
            endpoints: BTreeSet::new(),
            store: MemoryStore::new(epoch, identity.certificate.clone(), identity.chain.clone()),
            answers: VecDeque::new(),
            waiting: BTreeMap::new(),
            next_request: 0,
            direct: BTreeSet::new(),
            online: BTreeSet::new(),
            view,
        };
        let task = tokio::spawn(driver.run(events, asks));
        Ok(Self { user: identity.user, known, commands, task })
    }

    /// Lets the node carry out a command.
    ///
    /// # Errors
    /// [`BenchError::Unexpected`] with what the rules say.
    pub async fn command(&self, command: Command) -> Result<Answer, BenchError> {
        let (answer, answered) = oneshot::channel();
        let stopped = || BenchError::Unexpected("the node has stopped".to_owned());
        self.commands.send((command, answer)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?.map_err(BenchError::failed("a command"))
    }

    /// Says goodbye to everybody and ends.
    pub async fn stop(self) {
        drop(self.commands);
        // A node that failed has ended already.
        drop(self.task.await);
    }
}

struct Driver {
    core: NodeState,
    clock: Clock,
    net: NetHandle,
    links: BTreeMap<u64, Link>,
    endpoints: BTreeSet<Endpoint>,
    store: MemoryStore,
    /// What the store answered and the rules have not seen yet.
    answers: VecDeque<Input>,
    waiting: BTreeMap<RequestId, oneshot::Sender<Result<Answer, CommandError>>>,
    next_request: u64,
    direct: BTreeSet<DeviceId>,
    online: BTreeSet<UserId>,
    view: watch::Sender<NodeKnown>,
}

impl Driver {
    async fn run(mut self, mut events: mpsc::Receiver<NetEvent>, mut asks: mpsc::Receiver<Ask>) {
        loop {
            self.carry_out();
            let now = self.clock.now();
            let timeout = self.core.poll_timeout().map(|(at, _)| at);
            if timeout.is_some_and(|at| at <= now.mono) {
                self.core.handle_timeout(now);
                continue;
            }
            let wake = timeout.map(|at| self.clock.instant(at));
            tokio::select! {
                biased;
                ask = asks.recv() => match ask {
                    Some((command, answer)) => self.ask(command, answer),
                    None => break,
                },
                event = events.recv() => match event {
                    Some(event) => self.net_event(event),
                    None => break,
                },
                () = sleep_until(wake) => {}
            }
        }
        self.input(Input::Stop);
        self.carry_out();
        let all_closed = async {
            while !self.links.is_empty() {
                let Some(event) = events.recv().await else { break };
                self.net_event(event);
                self.carry_out();
            }
        };
        // Whoever does not read the goodbye in time sees the connection end.
        drop(tokio::time::timeout(GOODBYE, all_closed).await);
        self.net.shutdown().await;
    }

    fn input(&mut self, input: Input) {
        let now = self.clock.now();
        self.core.handle_input(input, now);
    }

    fn ask(&mut self, command: Command, answer: oneshot::Sender<Result<Answer, CommandError>>) {
        self.next_request += 1;
        let request = RequestId(self.next_request);
        self.waiting.insert(request, answer);
        self.input(Input::Command { request, command });
    }

    fn carry_out(&mut self) {
        loop {
            while let Some(output) = self.core.poll_output() {
                self.output(output);
            }
            match self.answers.pop_front() {
                Some(answer) => self.input(answer),
                None => return,
            }
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Send { link, frame } => {
                if self.links.get(&link.0).is_some_and(|link| link.send(frame).is_err()) {
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
                let channel = match channel {
                    Channel::Link => lanchat_net::Channel::Link,
                    Channel::Coordinator => lanchat_net::Channel::Coordinator,
                };
                let target = DialTarget { device: Some(device), endpoints, channel, via };
                if let Err(error) = self.net.dial(lanchat_net::DialId(dial.0), target) {
                    let (attempts, reason) = (Vec::new(), error.to_string());
                    self.answers.push_back(Input::DialFailed { dial, attempts, reason });
                }
            }
            Output::Reserve { .. }
            | Output::Release
            | Output::Fetch(_)
            | Output::SaveFile { .. }
            | Output::StopFile { .. } => {}
            Output::Persist { id, changes } => {
                let stored = self.store.apply(&changes).map(|()| Input::Stored { id });
                self.answers.push_back(stored.unwrap_or_else(|error| {
                    let (ends, reason) = (self.store.ends(&changes), error.to_string());
                    Input::StoreFailed { id, ends, reason }
                }));
            }
            Output::Load { id, log, from, max_entries, max_bytes } => {
                let entries = self.store.load(&log, from, max_entries, max_bytes);
                self.answers.push_back(Input::Loaded { id, entries });
            }
            Output::Answer { request, result } => {
                if let Some(answer) = self.waiting.remove(&request) {
                    // The asker may have gone.
                    drop(answer.send(result));
                }
            }
            Output::Event(event) => self.event(event),
        }
    }

    fn listening(&self) -> Input {
        Input::Listening { endpoints: self.endpoints.iter().copied().collect(), subnets: Vec::new() }
    }

    fn close(&self, link: LinkId, how: Close) {
        if let Some(link) = self.links.get(&link.0) {
            link.close(how);
        }
    }

    fn event(&mut self, event: Event) {
        let mut known = *self.view.borrow();
        match event {
            Event::Coordinator(state) => known.connected = state == CoordinatorState::Connected,
            Event::Link { device, route: Route::Direct, .. } => {
                self.direct.insert(device);
            }
            Event::Link { device, .. } => {
                self.direct.remove(&device);
            }
            Event::Presence { user, presence: Some(_) } => {
                self.online.insert(user);
            }
            Event::Presence { user, presence: None } => {
                self.online.remove(&user);
            }
            Event::Message(_) => known.messages += 1,
            Event::Receipt { .. } | Event::Profile { .. } | Event::Transfer { .. } | Event::Notice(_) => {}
        }
        known.direct = self.direct.len();
        known.online = self.online.len();
        self.view.send_if_modified(|old| std::mem::replace(old, known) != known);
    }

    fn net_event(&mut self, event: NetEvent) {
        let input = match event {
            NetEvent::Opened(opened) => {
                let link = LinkId(opened.link.id().0);
                self.links.insert(link.0, opened.link);
                Input::Opened {
                    link,
                    device: opened.device,
                    channel: match opened.channel {
                        lanchat_net::Channel::Link => Channel::Link,
                        lanchat_net::Channel::Coordinator => Channel::Coordinator,
                    },
                    dialler: opened.dialler,
                    remote: opened.remote,
                    relayed: opened.relayed,
                    dial: opened.dial.map(|dial| DialId(dial.0)),
                }
            }
            NetEvent::Frame { link, frame } => Input::Frame { link: LinkId(link.0), frame },
            NetEvent::Closed { link, .. } => {
                self.links.remove(&link.0);
                Input::Closed { link: LinkId(link.0) }
            }
            NetEvent::DialFailed(failure) => {
                let (attempts, reason) = (failure.attempts, failure.reason);
                Input::DialFailed { dial: DialId(failure.dial.0), attempts, reason }
            }
            NetEvent::Listening(endpoint) => {
                self.endpoints.insert(endpoint);
                self.listening()
            }
            NetEvent::NotListening(endpoint) => {
                self.endpoints.remove(&endpoint);
                self.listening()
            }
            NetEvent::Reserved { .. }
            | NetEvent::ReservationLost { .. }
            | NetEvent::RelayRestarted
            | NetEvent::Stream { .. } => return,
        };
        self.input(input);
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
