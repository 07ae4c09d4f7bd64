//! The coordinator in one process: start, addresses, end.
//!
//! Keeps true: `bind` returns only when devices can connect and the admin is answered; after `shutdown` ports and lock
//! are free and everything answered is on disk.

mod event_loop;

use crate::admin::{self, Admin, Around};
use crate::error::ServerError;
use crate::keys;
use crate::limits::{CONNECTIONS, PORTS_TRIED, UNPROVED, UNPROVED_PER_SOURCE};
use crate::nearby::Nearby;
use crate::settings::{self, DataDir, Loaded};
use crate::store::{Database, Files};
use event_loop::EventLoop;
use lanchat_coordinator_core::{Boot, CoordinatorState, Input, Output, Registration};
use lanchat_net::clock::Clock;
use lanchat_net::{
    Channel, Net, NetConfig, NetError, NetHandle, NetLimits, RelayLimits, RelayRole, multiaddr,
    peer_id_string,
};
use lanchat_proto::ids::DeviceId;
use lanchat_proto::join::JoinLink;
use lanchat_proto::limits::MAX_ENDPOINTS;
use lanchat_proto::version::COORDINATOR_PORT;
use lanchat_proto::wire::Endpoint;
use lanchat_proto::wire::reach::RelayTerms;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

/// How to run a coordinator.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Addresses to listen on, port 0 for any; empty for all interfaces at the usual port or the next free one.
    pub listen: Vec<SocketAddr>,
    /// Loopback address of the administration; `None` for the usual port or the next free one.
    pub admin: Option<SocketAddr>,
    /// The organisation's name; `None` for the one of `config.toml`.
    pub org: Option<String>,
    /// Who may register; `None` for what `config.toml` says.
    pub registration: Option<Registration>,
    /// Whether circuits are carried between devices that have no other way to each other; `None` for what `config.toml`
    /// says.
    pub relay: Option<bool>,
    /// Bytes a second that are carried for one user; `None` for what `config.toml` says.
    pub relay_per_user: Option<u64>,
    /// Bytes a second that are carried in total, not less than for one user; `None` for what `config.toml` says.
    pub relay_total: Option<u64>,
    /// False hides the coordinator from the local network, whatever `config.toml` says.
    pub mdns: bool,
    /// Replace the issuing key by a new one: needed once after a restore.
    pub new_issuing_key: bool,
    /// Bounds of the network.
    pub limits: NetLimits,
}

impl Config {
    /// The usual settings for this data directory.
    #[must_use]
    pub fn new(data_dir: PathBuf) -> Self {
        let limits = NetLimits {
            // A person who types a password holds an unproved link; the rules close those that do not.
            hello_deadline: lanchat_coordinator_core::limits::ENROL_DEADLINE,
            connections: CONNECTIONS,
            unproved: UNPROVED,
            unproved_per_source: UNPROVED_PER_SOURCE,
            ..NetLimits::default()
        };
        Self {
            data_dir,
            listen: Vec::new(),
            admin: None,
            org: None,
            registration: None,
            relay: None,
            relay_per_user: None,
            relay_total: None,
            mdns: true,
            new_issuing_key: false,
            limits,
        }
    }
}

/// What a running coordinator tells of itself.
#[derive(Clone, Debug)]
pub struct Info {
    /// The organisation's name.
    pub org: String,
    /// The organisation's fingerprint, as people compare it.
    pub fingerprint: String,
    /// The coordinator's key.
    pub device: DeviceId,
    /// The same as libp2p prints it.
    pub peer_id: String,
    /// Addresses at which devices can reach it.
    pub endpoints: Vec<Endpoint>,
    /// The same as multiaddrs.
    pub listen: Vec<String>,
    /// Address of the administration.
    pub admin: SocketAddr,
    /// Who may register.
    pub registration: Registration,
    /// The budgets within which circuits are carried; `None` when they are not.
    pub relay: Option<RelayTerms>,
    /// The organisation.
    pub realm: lanchat_proto::ids::RealmId,
}

impl Info {
    /// The join link with this invite.
    pub(crate) fn join_with(&self, invite: Option<&str>) -> String {
        let link = JoinLink {
            addresses: self.endpoints.iter().map(ToString::to_string).collect(),
            coordinator: self.device,
            realm: self.realm,
            invite: invite.map(ToOwned::to_owned),
        };
        link.to_string()
    }
}

/// The standing invite as the loop last saw it.
pub(crate) type StandingInvite = Arc<RwLock<Option<String>>>;

/// A running coordinator.
pub struct Server {
    info: Info,
    standing: StandingInvite,
    admin: Arc<Admin>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServerError>>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.info.peer_id)
    }
}

impl Server {
    /// Starts a coordinator on the current tokio runtime (a multi-threaded one: the start reads files).
    ///
    /// # Errors
    /// [`ServerError`]; nothing keeps running then.
    pub async fn bind(config: Config) -> Result<Self, ServerError> {
        let clock = Clock::start();
        let dir = DataDir(config.data_dir.clone());
        let lock = dir.lock()?;
        let Loaded { core: core_config, mdns } = settings::load(&dir, &config)?;
        let registration = core_config.registration;
        let (mut keys, _) = keys::load_or_create(&dir, clock.now().wall)?;
        let mut database = Database::open(&dir.database())?;
        if config.new_issuing_key {
            keys = keys.renew_issuing(&dir, clock.now().wall)?;
            database.set_generation(getrandom::u64()?)?;
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let boot = Boot {
            config: core_config.clone(),
            keys: keys.keys.clone(),
            seed,
            run: getrandom::u64()?,
            stored: database.load(getrandom::u64()?)?,
        };
        let mut state = CoordinatorState::new(boot, clock.now())?;
        finish_boot(&mut state, &mut database, &clock)?;

        let mut net_config = NetConfig::new(keys.coordinator.clone(), vec![Channel::Coordinator]);
        net_config.limits = config.limits.clone();
        net_config.relay = core_config.relay.map_or(RelayRole::None, |terms| {
            let RelayTerms { per_user, total } = terms;
            RelayRole::Server(RelayLimits { per_user, total, ..RelayLimits::default() })
        });
        let (net, events) = Net::start(net_config)?;
        let bound = match listen(&net, &config.listen).await {
            Ok(bound) => bound,
            Err(error) => {
                net.shutdown().await;
                return Err(error);
            }
        };
        let listener = match admin::bind(config.admin).await {
            Ok(listener) => listener,
            Err(error) => {
                net.shutdown().await;
                return Err(error);
            }
        };
        let endpoints = reachable(&bound);
        let device = keys.keys.coordinator;
        let realm = keys.keys.realm();
        let info = Info {
            org: core_config.org.to_string(),
            fingerprint: realm.fingerprint(),
            device,
            peer_id: peer_id_string(&device),
            listen: endpoints.iter().map(multiaddr).collect(),
            endpoints,
            admin: listener.local_addr().map_err(ServerError::file(&dir.admin()))?,
            registration,
            relay: core_config.relay,
            realm,
        };
        let standing: StandingInvite = Arc::new(RwLock::new(state.standing_invite().map(ToOwned::to_owned)));
        let files: Files = vec![
            ("org.key", Zeroizing::new(keys.to_text(&dir)?)),
            ("config.toml", Zeroizing::new(settings::read_small(&dir.config())?.unwrap_or_default())),
        ];
        let (store, answers) = database.start()?;
        let nearby = if mdns { Nearby::start(device, realm, &bound) } else { Nearby::default() };
        let around = Around { net: net.clone(), nearby: nearby.clone() };
        let (admin, requests) = Admin::start(listener, info.clone(), standing.clone(), around, &dir)?;
        let (stop, stopped) = oneshot::channel();
        let event_loop = EventLoop::new(state, clock, store, net, nearby, standing.clone(), files);
        let admin_file = dir.admin();
        let serving = admin.clone();
        let task = tokio::spawn(async move {
            let result = event_loop.run(events, answers, requests, stopped).await;
            serving.stop();
            if let Err(error) = std::fs::remove_file(&admin_file) {
                tracing::debug!(%error, "admin.json is gone already");
            }
            drop(lock);
            result
        });
        tracing::info!(peer_id = info.peer_id, admin = %info.admin, "Coordinator is up");
        Ok(Self { info, standing, admin, stop: Some(stop), task })
    }

    /// What it tells of itself.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The join link as of now, with the standing invite where registration asks for one.
    #[must_use]
    pub fn join_link(&self) -> String {
        let standing = self.standing.read().unwrap_or_else(PoisonError::into_inner);
        self.info.join_with(standing.as_deref())
    }

    /// URL of the administration page with a code that serves once within a minute.
    ///
    /// # Errors
    /// [`ServerError::Random`].
    pub fn admin_url(&self) -> Result<String, ServerError> {
        self.admin.new_url()
    }

    /// Waits until it ends: at [`Self::shutdown`] never before, else when it cannot go on.
    ///
    /// # Errors
    /// Why it could not go on.
    pub async fn join(mut self) -> Result<(), ServerError> {
        // Without this the sender would be dropped, which the loop takes for a request to stop.
        let stop = self.stop.take();
        let result = (&mut self.task).await;
        drop(stop);
        flatten(result)
    }

    /// Closes all links, writes what is not on disk yet, frees the ports; within three seconds.
    ///
    /// # Errors
    /// Why it could not go on before.
    pub async fn shutdown(mut self) -> Result<(), ServerError> {
        if let Some(stop) = self.stop.take()
            && stop.send(()).is_err()
        {
            tracing::debug!("The coordinator had stopped already");
        }
        flatten((&mut self.task).await)
    }

    /// Waits for either: the program is asked to end and it shuts down in order, or it cannot go on.
    ///
    /// # Errors
    /// Why it could not go on.
    pub async fn run_until(mut self, asked: impl Future<Output = ()>) -> Result<(), ServerError> {
        tokio::select! {
            result = &mut self.task => flatten(result),
            () = asked => self.shutdown().await,
        }
    }
}

fn flatten(result: Result<Result<(), ServerError>, tokio::task::JoinError>) -> Result<(), ServerError> {
    result.unwrap_or_else(|error| {
        tracing::error!(%error, "The coordinator's loop panicked");
        Err(ServerError::Net(NetError::Stopped))
    })
}

/// Carries out what the rules want before anybody can connect: the first invite, a new list.
fn finish_boot(
    state: &mut CoordinatorState,
    database: &mut Database,
    clock: &Clock,
) -> Result<(), ServerError> {
    while let Some(output) = state.poll_output() {
        if let Output::Persist { id, changes } = output {
            database.write(&changes)?;
            state.handle_input(Input::Stored { id }, clock.now());
        }
    }
    Ok(())
}

/// Listens where asked, or at the usual port or the next free one.
async fn listen(net: &NetHandle, asked: &[SocketAddr]) -> Result<Vec<Endpoint>, ServerError> {
    let mut bound = Vec::new();
    for address in asked {
        let endpoint = net.listen(Endpoint::new(*address)).await.map_err(|error| match error {
            NetError::PortTaken(endpoint) => ServerError::PortTaken(endpoint),
            error => ServerError::Net(error),
        })?;
        bound.push(endpoint);
    }
    if !asked.is_empty() {
        return Ok(bound);
    }
    let v4 = listen_near(net, Ipv4Addr::UNSPECIFIED.into(), COORDINATOR_PORT).await?;
    bound.push(v4);
    // Many hosts have no IPv6; that is no reason not to start.
    match listen_near(net, Ipv6Addr::UNSPECIFIED.into(), v4.port()).await {
        Ok(v6) => bound.push(v6),
        Err(error) => tracing::info!(%error, "No IPv6"),
    }
    Ok(bound)
}

async fn listen_near(net: &NetHandle, ip: IpAddr, port: u16) -> Result<Endpoint, ServerError> {
    let mut result = Err(NetError::Stopped);
    for port in (port..=u16::MAX).take(usize::from(PORTS_TRIED)) {
        result = net.listen(Endpoint::new(SocketAddr::new(ip, port))).await;
        if !matches!(result, Err(NetError::PortTaken(_))) {
            break;
        }
    }
    result.map_err(|error| match error {
        NetError::PortTaken(endpoint) => ServerError::PortTaken(endpoint),
        error => ServerError::Net(error),
    })
}

/// Addresses that others can use: those of the interfaces for a wildcard, loopback only where nothing else is there.
fn reachable(bound: &[Endpoint]) -> Vec<Endpoint> {
    let interfaces: Vec<IpAddr> =
        if_addrs::get_if_addrs().unwrap_or_default().into_iter().map(|interface| interface.ip()).collect();
    let mut all: Vec<Endpoint> = Vec::new();
    for endpoint in bound {
        if endpoint.ip().is_unspecified() {
            let family = interfaces.iter().filter(|ip| ip.is_ipv4() == endpoint.ip().is_ipv4());
            all.extend(family.map(|ip| Endpoint::new(SocketAddr::new(*ip, endpoint.port()))));
        } else {
            all.push(*endpoint);
        }
    }
    all.retain(Endpoint::is_usable);
    let asked = |endpoint: &Endpoint| bound.contains(endpoint);
    if all.iter().any(|endpoint| !endpoint.ip().is_loopback()) {
        all.retain(|endpoint| !endpoint.ip().is_loopback() || asked(endpoint));
    }
    all.sort_by_key(|endpoint| (endpoint.ip().is_loopback(), endpoint.ip().is_ipv6()));
    all.dedup();
    all.truncate(MAX_ENDPOINTS);
    all
}
