//! The local API: HTTP and WebSocket on loopback, for the page and the command line alike.
//!
//! Keeps true: bound on loopback only; every route stands in one table ([`routes::ROUTES`]) and behind one guard
//! ([`guard`]); JSON stops here. Goes in: a [`Handle`] and the shared settings. Goes out: a server whose address and
//! token stand in `api.json` (0600) while it runs. Imports neither `app` nor `net`. Routes and rules: `docs/api.md`.

mod account;
pub mod assets;
mod contacts;
mod doctor;
pub mod error;
mod events;
mod extract;
pub mod guard;
pub mod journal;
pub mod limits;
mod listener;
mod messages;
pub mod openapi;
mod peer_id;
mod people;
pub mod routes;
mod safety;
mod secrets;
mod session;
mod settings;
mod transfers;
pub mod types;

pub use contacts::Contacts;
pub use peer_id::{parse_device, peer_id};
pub use secrets::NoRandom;

use crate::config::Config;
use crate::handle::Handle;
use crate::platform::write_private;
use crate::store::Reader;
use error::ApiError;
use journal::Journal;
use lanchat_proto::time::Wall;
use secrets::Secrets;
use serde::{Deserialize, Serialize};
use std::future::IntoFuture;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The file's name in the data directory.
pub const API_FILE: &str = "api.json";

/// What `api.json` holds.
#[derive(Clone, Serialize, Deserialize)]
pub struct ApiFile {
    /// Port on loopback.
    pub port: u16,
    /// The bearer token.
    pub token: String,
    /// The node's process.
    pub pid: u32,
    /// The address, when it is not 127.0.0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
}

/// How the API is served.
pub struct ApiConfig {
    /// Where; `None`: 127.0.0.1 at the default port, or the next that is free.
    pub listen: Option<SocketAddr>,
    /// Where `api.json` is kept.
    pub data_dir: PathBuf,
    /// The settings.
    pub config: Arc<Config>,
    /// The starred people.
    pub contacts: Arc<Contacts>,
}

/// The API could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another machine could reach that address.
    #[error("--ui {0}: the page is served on loopback only, such as 127.0.0.1:7421")]
    NotLoopback(SocketAddr),
    /// The address cannot be used.
    #[error("--ui {address}: {reason}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        reason: std::io::Error,
    },
    /// A file cannot be read or written.
    #[error("{file}: {reason}")]
    File {
        /// Which.
        file: String,
        /// Why.
        reason: String,
    },
    /// The system gives no random numbers.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// What all routes share.
pub struct Shared {
    handle: Handle,
    config: Arc<Config>,
    contacts: Arc<Contacts>,
    secrets: Mutex<Secrets>,
    journal: Journal,
    readings: transfers::Readings,
    // Event ids start anew with every run: a listener that comes back can tell.
    run: String,
    port: u16,
    stop: CancellationToken,
    sockets: Arc<Semaphore>,
    sockets_pending: Arc<Semaphore>,
}

/// What routes are given.
pub type Api = Arc<Shared>;

impl Shared {
    fn secrets(&self) -> MutexGuard<'_, Secrets> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a question to the store where blocking is allowed.
    async fn read<T: Send + 'static>(
        &self,
        question: impl FnOnce(Reader) -> Result<T, crate::store::StoreError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let reader = self.handle.reader().ok_or_else(ApiError::switching)?;
        match tokio::task::spawn_blocking(move || question(reader)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(ApiError::stopping()),
        }
    }
}

/// Wall time now.
fn wall_now() -> Wall {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Wall(lanchat_proto::time::millis(since))
}

/// The running API.
pub struct ApiServer {
    addr: SocketAddr,
    api: Api,
    file: PathBuf,
    server: JoinHandle<()>,
    listener: JoinHandle<()>,
}

/// Starts the API: binds, writes `api.json`, and serves until [`ApiServer::shutdown`].
///
/// # Errors
/// [`ServeError`]; an address that was given and is taken is one.
pub async fn serve(handle: Handle, settings: ApiConfig) -> Result<ApiServer, ServeError> {
    let listener = listener::bind(settings.listen).await?;
    let addr = listener
        .local_addr()
        .map_err(|reason| ServeError::Bind { address: SocketAddr::from(([127, 0, 0, 1], 0)), reason })?;
    let secrets = Secrets::new()?;
    let token = secrets.token().to_owned();
    let api: Api = Arc::new(Shared {
        handle,
        config: settings.config,
        contacts: settings.contacts,
        secrets: Mutex::new(secrets),
        journal: Journal::default(),
        readings: transfers::Readings::default(),
        run: secrets::random_secret()?,
        port: addr.port(),
        stop: CancellationToken::new(),
        sockets: Arc::new(Semaphore::new(limits::SOCKETS)),
        sockets_pending: Arc::new(Semaphore::new(limits::SOCKETS_PENDING)),
    });
    let file = settings.data_dir.join(API_FILE);
    write_api_file(&file, addr, token)?;
    let events = tokio::spawn(events::record(api.clone(), api.handle.events()));
    let stop = api.stop.clone();
    let served = axum::serve(listener::Bounded::new(listener), routes::router(&api))
        .with_graceful_shutdown(stop.cancelled_owned());
    let server = tokio::spawn(async move {
        if let Err(error) = served.into_future().await {
            tracing::error!(%error, "The local API ended");
        }
    });
    Ok(ApiServer { addr, api, file, server, listener: events })
}

fn write_api_file(file: &Path, addr: SocketAddr, token: String) -> Result<(), ServeError> {
    let host = (addr.ip() != std::net::Ipv4Addr::LOCALHOST).then(|| addr.ip().to_string());
    let content = ApiFile { port: addr.port(), token, pid: std::process::id(), host };
    let failed = |reason: String| ServeError::File { file: file.display().to_string(), reason };
    let bytes = serde_json::to_vec(&content).map_err(|error| failed(error.to_string()))?;
    write_private(file, &bytes).map_err(|error| failed(error.to_string()))
}

impl ApiServer {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The page's address with a new one-time code, as the ready line tells it.
    ///
    /// # Errors
    /// [`NoRandom`].
    pub fn url_with_code(&self) -> Result<String, NoRandom> {
        let code = self.api.secrets().new_code(Instant::now())?;
        Ok(format!("http://{}/#{code}", self.addr))
    }

    /// Ends the API: no new requests, a moment for open ones, `api.json` removed.
    pub async fn shutdown(self) {
        self.api.stop.cancel();
        let mut server = self.server;
        if tokio::time::timeout(limits::GOODBYE, &mut server).await.is_err() {
            server.abort();
        }
        self.listener.abort();
        // Only if it is still ours: another node may have begun here.
        let ours = std::fs::read(&self.file)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<ApiFile>(&bytes).ok())
            .is_some_and(|found| found.token == self.api.secrets().token());
        if ours && let Err(error) = std::fs::remove_file(&self.file) {
            tracing::warn!(%error, "Cannot remove api.json");
        }
    }
}
