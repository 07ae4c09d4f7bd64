//! Who else is in the local network: announces this device by mDNS / DNS-SD and tells of others.
//!
//! Keeps true: whatever comes from the network is a hint, checked for form only (the certificates decide who somebody
//! is); the own device is never told of; no news is lost and none is told twice, though its reader may be slow; nothing
//! that others send makes this grow beyond [`crate::limits`]; that mDNS cannot run is a state with a reason, and is tried
//! again; the end says goodbye to the others.
//! Goes in: what to announce. Goes out: [`DiscoveryEvent`]s and, for the doctor, [`DiscoveryStatus`].
//! Names and keys are in `docs/protocol.md#discovery`.

mod daemon;
mod probe;
mod record;
mod table;
mod task;

use crate::limits::{DISCOVERY_EVENTS, MDNS_STOP};
use crate::lock;
use lanchat_proto::ids::{DeviceId, RealmId};
use lanchat_proto::wire::Endpoint;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What is announced or looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// A person's program.
    Node,
    /// An organisation's coordinator.
    Coordinator,
}

impl Service {
    /// Its name in DNS-SD, with the domain.
    #[must_use]
    pub const fn dns_name(self) -> &'static str {
        match self {
            Self::Node => "_lanchat._tcp.local.",
            Self::Coordinator => "_lanchat-coord._tcp.local.",
        }
    }
}

/// What a device says of itself; may change while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// The realm that it belongs to.
    pub realm: RealmId,
    /// Where it listens. A wildcard address stands for every address of its family on every adapter, as they come and
    /// go. Of at most [`crate::limits::MAX_ANNOUNCED_PORTS`] different ports; empty: nothing is announced.
    pub listen: Vec<Endpoint>,
}

/// How to start.
#[derive(Debug, Clone)]
pub struct DiscoveryConfig {
    /// The own device.
    pub device: DeviceId,
    /// What it is.
    pub service: Service,
    /// What to announce of it.
    pub announced: Announced,
    /// What to look for at first.
    pub browse: Vec<Service>,
    /// Whether to speak and to believe in loopback addresses too.
    pub loopback: bool,
    /// UDP port of mDNS; only devices with the same one hear each other.
    pub udp_port: u16,
}

impl DiscoveryConfig {
    /// Announces on every adapter and looks for nodes and coordinators.
    #[must_use]
    pub fn new(device: DeviceId, service: Service, announced: Announced) -> Self {
        let browse = vec![Service::Node, Service::Coordinator];
        Self { device, service, announced, browse, loopback: false, udp_port: mdns_sd::MDNS_PORT }
    }
}

/// News of the local network. Only hints: anybody there can say anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoveryEvent {
    /// A device is announced, for the first time or differently from before.
    Found(Found),
    /// A device is announced no more.
    Lost(Lost),
}

/// A device that is announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub service: Service,
    /// The device.
    pub device: DeviceId,
    /// The realm that it names. A device that changed its realm is lost in the old one and found in the new one.
    pub realm: RealmId,
    /// Where it listens: one to [`lanchat_proto::limits::MAX_ENDPOINTS`] usable addresses; all that is known of it now.
    pub endpoints: Vec<Endpoint>,
    /// The newest protocol version that it speaks; may be newer than any known here.
    pub version: u16,
}

/// A device that is announced no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// What it is.
    pub service: Service,
    /// The device.
    pub device: DeviceId,
    /// The realm that it named.
    pub realm: RealmId,
}

/// Why mDNS does not run. It is tried again by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// No adapter is up.
    #[error("nobody can be found in the local network: no network adapter is up")]
    NoInterface,
    /// No adapter takes part in multicast.
    #[error("nobody can be found in the local network: no network adapter takes multicast ({0})")]
    NoMulticast(String),
    /// The port cannot be shared with whoever has it.
    #[error("nobody can be found in the local network: UDP port {port} cannot be opened ({reason})")]
    Port {
        /// The port.
        port: u16,
        /// What the system says.
        reason: String,
    },
    /// Somebody fills the network with announcements.
    #[error("looking for others in the local network pauses: too many announcements arrive there")]
    Flooded,
    /// The program part that speaks mDNS ended.
    #[error("looking for others in the local network stopped: {0}")]
    Ended(String),
}

/// Whether mDNS runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiscoveryState {
    /// It is about to.
    Starting,
    /// It does.
    Running,
    /// It does not, and is tried again.
    Waiting(DiscoveryError),
    /// It was stopped.
    Stopped,
}

/// What stands behind the news, for the doctor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscoveryStatus {
    /// Whether it runs.
    pub state: DiscoveryState,
    /// Adapters that it uses, with their addresses.
    pub interfaces: BTreeMap<String, Vec<IpAddr>>,
    /// Announcements sent to the network since the start, a few for each adapter and change.
    pub announcements: u64,
    /// Other devices that are known now.
    pub devices: usize,
    /// Time since something new was last heard of another device; repetitions do not count.
    pub heard: Option<Duration>,
}

/// What the owner wants now.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    announced: Announced,
    browse: Vec<Service>,
}

/// What the task and the handle share.
#[derive(Debug)]
struct Progress {
    state: DiscoveryState,
    announcements: u64,
    devices: usize,
    heard: Option<Instant>,
}

/// A running announcement and search. Dropping it ends both, with a goodbye when there is time.
#[derive(Debug)]
pub struct Discovery {
    wanted: watch::Sender<Wanted>,
    again: Arc<Notify>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    progress: Arc<Mutex<Progress>>,
    loopback: bool,
}

impl Discovery {
    /// Starts. Never fails: what is in the way stands in [`Discovery::status`], and is tried again. Call it inside of a
    /// Tokio runtime. Whoever only announces may drop the receiver.
    #[must_use]
    pub fn start(config: DiscoveryConfig) -> (Self, mpsc::Receiver<DiscoveryEvent>) {
        let (news, events) = mpsc::channel(DISCOVERY_EVENTS);
        let (stop, stopped) = oneshot::channel();
        let (announced, browse) = (config.announced.clone(), config.browse.clone());
        let (wanted, changed) = watch::channel(Wanted { announced, browse });
        let again = Arc::new(Notify::new());
        let progress = Arc::new(Mutex::new(Progress {
            state: DiscoveryState::Starting,
            announcements: 0,
            devices: 0,
            heard: None,
        }));
        let loopback = config.loopback;
        let task = task::Task::new(config, changed, Arc::clone(&again), stopped, news, Arc::clone(&progress));
        let task = tokio::spawn(task.run());
        (Self { wanted, again, stop, task, progress, loopback }, events)
    }

    /// Announces this from now on; withdraws what is no longer so.
    pub fn announce(&self, announced: Announced) {
        self.want(|wanted| wanted.announced = announced);
    }

    /// Looks for these from now on; what is no longer looked for is told as lost. Everybody who looks asks for the
    /// records of each device about once in 90 seconds, so a hundred devices that all look make some 200 packets a
    /// second: whoever knows the others from a coordinator need not look.
    pub fn search(&self, browse: Vec<Service>) {
        self.want(|wanted| wanted.browse = browse);
    }

    fn want(&self, change: impl FnOnce(&mut Wanted)) {
        self.wanted.send_if_modified(|wanted| {
            let before = wanted.clone();
            change(wanted);
            *wanted != before
        });
    }

    /// Announces and asks again at once: after a wake-up or a change of the network.
    pub fn refresh(&self) {
        self.again.notify_one();
    }

    /// How it goes.
    #[must_use]
    pub fn status(&self) -> DiscoveryStatus {
        let mut interfaces: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
        for interface in probe::interfaces(self.loopback) {
            interfaces.entry(interface.name.clone()).or_default().push(interface.ip());
        }
        let progress = lock(&self.progress);
        let state = match &progress.state {
            DiscoveryState::Running if interfaces.is_empty() => {
                DiscoveryState::Waiting(DiscoveryError::NoInterface)
            }
            state => state.clone(),
        };
        DiscoveryStatus {
            state,
            interfaces,
            announcements: progress.announcements,
            devices: progress.devices,
            heard: progress.heard.map(|at| at.elapsed()),
        }
    }

    /// Says goodbye and ends, within [`MDNS_STOP`].
    pub async fn stop(self) {
        drop(self.stop);
        let abort = self.task.abort_handle();
        if timeout(MDNS_STOP, self.task).await.is_err() {
            abort.abort();
        }
    }
}
