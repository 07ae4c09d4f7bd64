//! Puts the parts of a node together, runs one membership after the other, takes everything down in order.
//!
//! Keeps true: ready means that the API and the listeners are up; what a person asked to end has ended within 3 s.

pub mod address;
mod enrol;
pub mod event_loop;
pub mod listen;
pub mod membership;
mod nearby;
pub mod pins;
mod pulse;
pub mod saving;

use crate::api::{self, ApiConfig, ApiServer, Contacts};
use crate::cli::RunOptions;
use crate::config::{self, Config};
use crate::handle::{self, EnrolError, Entered, Handle};
use crate::identity::Identity;
use crate::paths::{DataDir, Lock, PathError};
use crate::platform;
use crate::store::{Store, StoreError};
use enrol::Enrolment;
use event_loop::{EnrolAnswer, LoopError, MembershipLoop, Outcome, SIGN_IN, Shared};
use lanchat_net::clock::Clock;
use lanchat_node_core::boot::Settings;
use lanchat_proto::ids::{RealmId, UserId};
use lanchat_proto::names::UserName;
use membership::MembershipError;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Time after which a node that was asked to end is left to the system.
const END: Duration = Duration::from_millis(2800);

/// The node cannot run.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The data directory.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The settings.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// Keys, databases.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The local API.
    #[error(transparent)]
    Api(#[from] api::ServeError),
    /// A code for the page.
    #[error(transparent)]
    Random(#[from] api::NoRandom),
    /// The network.
    #[error(transparent)]
    Loop(#[from] LoopError),
    /// The name that was asked for.
    #[error("{0}")]
    Name(String),
    /// An address that was asked for.
    #[error(transparent)]
    Listen(#[from] listen::ListenError),
    /// A coordinator that was named.
    #[error(transparent)]
    Coordinator(#[from] EnrolError),
    /// The node ended before it was ready.
    #[error("lanchat ended before it was ready")]
    Ended,
}

/// What the ready line says.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    /// `ready`.
    pub event: &'static str,
    /// The user.
    pub user_id: String,
    /// The login or chosen name.
    pub name: String,
    /// The device as libp2p prints it.
    pub peer_id: String,
    /// Listening multiaddrs.
    pub listen: Vec<String>,
    /// The page, with a single-use code.
    pub ui: String,
}

/// A running node.
pub struct Node {
    /// How to speak to it.
    pub handle: Handle,
    /// What its ready line says.
    pub ready: Ready,
    task: JoinHandle<Result<(), AppError>>,
}

impl Node {
    /// Starts a node and waits until it is ready.
    ///
    /// # Errors
    /// [`AppError`]; nothing is left running then.
    pub async fn start(options: RunOptions) -> Result<Self, AppError> {
        let dir = DataDir::at(&options.data_dir);
        dir.create()?;
        let lock = dir.lock()?;
        let config = Arc::new(Config::open(dir.root())?);
        let contacts = Arc::new(Contacts::open(dir.root())?);
        let settings = config.current();
        let clock = Clock::start();
        let started = clock.now().wall;
        let listen =
            listen::Wish::parse(if options.listen.is_empty() { &settings.listen } else { &options.listen })?;
        membership::open_or_create(&dir, &chosen_name(&options, &settings)?, started)?;
        let (handle, end) = handle::channel();
        let shared = Shared {
            end,
            clock,
            events: 0,
            on_signed_in: None,
            config: config.clone(),
            contacts: contacts.clone(),
            coordinators: options
                .coordinators
                .iter()
                .map(|text| address::CoordinatorAddress::parse(text))
                .collect::<Result<_, _>>()?,
            settings: Settings {
                mesh_size: usize::try_from(settings.mesh_size).unwrap_or(usize::MAX),
                ..Settings::default()
            },
            mdns: options.mdns,
            started,
        };
        let api = ApiConfig { listen: options.ui, data_dir: options.data_dir.clone(), config, contacts };
        let api = api::serve(handle.clone(), api).await?;
        let (ready, readied) = oneshot::channel();
        let task = tokio::spawn(memberships(dir, lock, shared, listen, ready));
        match readied.await {
            Ok((user, name, peer_id, listen)) => {
                let ui = api.url_with_code()?;
                let ready = Ready { event: "ready", user_id: user.to_string(), name, peer_id, listen, ui };
                Ok(Self { handle, ready, task: tokio::spawn(until_ended(task, api)) })
            }
            Err(_) => {
                let outcome = task.await;
                api.shutdown().await;
                Err(match outcome {
                    Ok(Err(error)) => error,
                    Ok(Ok(())) | Err(_) => AppError::Ended,
                })
            }
        }
    }

    /// Asks the node to end and waits for it, 3 s at most.
    ///
    /// # Errors
    /// [`AppError`] that ended it earlier.
    pub async fn stop(self) -> Result<(), AppError> {
        let stopping = async {
            self.handle.shutdown().await;
            self.task.await.unwrap_or(Err(AppError::Ended))
        };
        tokio::time::timeout(END, stopping).await.unwrap_or(Ok(()))
    }

    /// Waits until the person or the system asks the program to end, or the node ends by itself.
    ///
    /// # Errors
    /// [`AppError`] that ended it.
    pub async fn run(mut self) -> Result<(), AppError> {
        tokio::select! {
            () = platform::asked_to_end() => self.stop().await,
            ended = &mut self.task => ended.unwrap_or(Err(AppError::Ended)),
        }
    }
}

async fn until_ended(task: JoinHandle<Result<(), AppError>>, api: ApiServer) -> Result<(), AppError> {
    let outcome = task.await.unwrap_or(Err(AppError::Ended));
    api.shutdown().await;
    outcome
}

/// The name in the open LAN: asked for, set, or taken from the system.
fn chosen_name(options: &RunOptions, config: &config::Settings) -> Result<UserName, AppError> {
    if let Some(name) = options.name.as_ref().or(config.name.as_ref()) {
        return name
            .parse()
            .map_err(|error: lanchat_proto::names::NameError| AppError::Name(error.to_string()));
    }
    let person = platform::person().and_then(|person| UserName::suggest(&person));
    person
        .or_else(|| UserName::suggest("lanchat-user"))
        .ok_or_else(|| AppError::Name("choose a name with --name".to_owned()))
}

type ReadyFacts = (UserId, String, String, Vec<String>);

/// Runs one membership after the other until the program ends.
async fn memberships(
    dir: DataDir,
    _lock: Lock,
    mut shared: Shared,
    mut listen: listen::Wish,
    ready: oneshot::Sender<ReadyFacts>,
) -> Result<(), AppError> {
    let mut ready = Some(ready);
    loop {
        let identity = Identity::load(&dir.device_key()).map_err(MembershipError::from)?;
        let (sender, answers) = MembershipLoop::store_answers();
        let opened = Store::open(&dir.database(), sender).map_err(|error| set_damaged_aside(&dir, error))?;
        let membership = opened.2.membership.clone();
        if membership.device != identity.device() {
            return Err(MembershipError::Mismatch.into());
        }
        let running = MembershipLoop::start(&mut shared, &dir, &identity, &listen, opened, answers).await?;
        listen = running.settled(&listen);
        if let Some(ready) = ready.take() {
            let peer_id = lanchat_net::peer_id_string(&identity.device());
            // Nobody waits any more: the start was given up.
            drop(ready.send((membership.user, membership.name.clone(), peer_id, running.listen_addrs())));
        }
        tracing::info!(realm = membership.realm.short(), user = %membership.user, "Membership runs");
        match running.run().await {
            Outcome::Shutdown => return Ok(()),
            Outcome::Enter(enrolment, answer) => {
                let entered = enter(&dir, &enrolment, (membership.realm, membership.user));
                let done = Entered { must_change_password: enrolment.must_change_password };
                settle(&mut shared, entered.map(|()| done), answer);
            }
            Outcome::Leave(answer) => {
                let left = leave(&dir, &identity, &membership.name, shared.clock.now().wall);
                settle(&mut shared, left.map(|()| Entered::default()), answer);
            }
        }
    }
}

/// A damaged database is kept under another name, so that the next start begins anew instead of failing for ever; what
/// peers hold of its entries comes back from them after a login.
fn set_damaged_aside(dir: &DataDir, error: StoreError) -> StoreError {
    let StoreError::Damaged { path, .. } = error else { return error };
    match crate::store::set_aside(&dir.database()) {
        Ok(aside) => StoreError::Damaged { path, set_aside: Some(aside) },
        Err(error) => {
            tracing::error!(%error, "A damaged database could not be set aside");
            StoreError::Damaged { path, set_aside: None }
        }
    }
}

/// Lays a granted membership down and makes it the active one.
fn enter(dir: &DataDir, enrolment: &Enrolment, active: (RealmId, UserId)) -> Result<(), MembershipError> {
    let membership = &enrolment.membership;
    if active == (membership.realm, membership.user) {
        crate::store::set_membership(&dir.database(), membership)?;
        return Ok(enrolment.identity.save(&dir.device_key())?);
    }
    membership::prepare(dir, &enrolment.identity, membership)?;
    membership::switch_to(dir, &membership.realm, &membership.user)
}

/// Makes the open LAN the active membership: the one of before, or a new one with the same device key.
fn leave(
    dir: &DataDir,
    identity: &Identity,
    name: &str,
    now: lanchat_proto::time::Wall,
) -> Result<(), MembershipError> {
    let open = match membership::parked_open(dir)? {
        Some(open) => open,
        None => {
            let name = UserName::suggest(name).or_else(|| UserName::suggest("lanchat-user"));
            let name = name.ok_or(MembershipError::Mismatch)?;
            let open = membership::open_lan(identity, name, now)?;
            membership::prepare(dir, identity, &open)?;
            open
        }
    };
    membership::switch_to(dir, &open.realm, &open.user)
}

/// Says no at once; says yes when the new membership is signed in, or after a while without.
fn settle(shared: &mut Shared, outcome: Result<Entered, MembershipError>, answer: EnrolAnswer) {
    match outcome {
        Ok(entered) => shared.on_signed_in = Some((Instant::now() + SIGN_IN, entered, answer)),
        // The asker may have gone.
        Err(error) => drop(answer.send(Err(EnrolError::Storage(error.to_string())))),
    }
}
