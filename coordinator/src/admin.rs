//! The administration: HTTP on a loopback address, for the command line and a small page.
//!
//! Keeps true: every request names a host and an origin of ours and carries a token; the token of `admin.json` may do
//! everything, the token of a page may only look; the code in a page's URL serves once, for a minute. No cookies.

mod answers;
mod guard;
mod routes;

use crate::error::ServerError;
use crate::limits::{ADMIN_QUEUE, CODE_LIFETIME, MAX_CODES, MAX_PAGES, PORTS_TRIED};
use crate::nearby::Nearby;
use crate::platform::write_private;
use crate::server::{Info, StandingInvite};
use crate::settings::DataDir;
use crate::store::StoreError;
use data_encoding::BASE64URL_NOPAD;
use lanchat_coordinator_core::{AdminCommand, AdminError, AdminResult};
use lanchat_net::NetHandle;
use lanchat_net::clock::Clock;
use lanchat_proto::time::Mono;
use lanchat_proto::version::COORDINATOR_ADMIN_PORT;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// What `admin.json` holds.
#[derive(Serialize, Deserialize)]
pub(crate) struct AdminFile {
    /// Address of the administration.
    pub(crate) addr: SocketAddr,
    /// Its port.
    pub(crate) port: u16,
    /// The token that may do everything.
    pub(crate) token: String,
    /// The process.
    pub(crate) pid: u32,
}

/// A request to the loop.
pub(crate) struct AdminRequest {
    pub(crate) ask: Ask,
}

/// What is asked of the loop.
pub(crate) enum Ask {
    /// Something that the rules decide.
    Rules(AdminCommand, oneshot::Sender<Result<AdminResult, AdminError>>),
    /// A backup into this file.
    Backup(PathBuf, oneshot::Sender<Result<u64, StoreError>>),
}

/// What a token may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Power {
    /// Look.
    Look,
    /// Everything.
    All,
}

/// Secrets that are handed out, newest last.
#[derive(Default)]
struct Secrets {
    codes: VecDeque<(String, Mono)>,
    pages: VecDeque<String>,
}

/// What is looked at without asking the rules.
pub(crate) struct Around {
    /// The network, for the relay's figures.
    pub(crate) net: NetHandle,
    /// The announcement in the local network.
    pub(crate) nearby: Nearby,
}

/// The running administration.
pub(crate) struct Admin {
    info: Info,
    around: Around,
    standing: StandingInvite,
    token: String,
    secrets: Mutex<Secrets>,
    clock: Clock,
    requests: mpsc::Sender<AdminRequest>,
    stop: CancellationToken,
}

/// Binds the administration's address.
pub(crate) async fn bind(asked: Option<SocketAddr>) -> Result<TcpListener, ServerError> {
    if let Some(address) = asked {
        if !address.ip().is_loopback() {
            return Err(ServerError::AdminAddress(address));
        }
        return TcpListener::bind(address).await.map_err(|_| ServerError::AdminTaken(address));
    }
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, COORDINATOR_ADMIN_PORT));
    for port in (COORDINATOR_ADMIN_PORT..=u16::MAX).take(usize::from(PORTS_TRIED)) {
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
            return Ok(listener);
        }
    }
    Err(ServerError::AdminTaken(usual))
}

fn secret() -> Result<String, ServerError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

impl Admin {
    /// Writes `admin.json` and serves until stopped.
    pub(crate) fn start(
        listener: TcpListener,
        info: Info,
        standing: StandingInvite,
        around: Around,
        dir: &DataDir,
    ) -> Result<(Arc<Self>, mpsc::Receiver<AdminRequest>), ServerError> {
        let (requests, requests_out) = mpsc::channel(ADMIN_QUEUE);
        let file = AdminFile {
            addr: info.admin,
            port: info.admin.port(),
            token: secret()?,
            pid: std::process::id(),
        };
        let text = serde_json::to_vec(&file)
            .map_err(|error| ServerError::File { path: dir.admin(), error: error.into() })?;
        write_private(&dir.admin(), &text).map_err(ServerError::file(&dir.admin()))?;
        let admin = Arc::new(Self {
            info,
            around,
            standing,
            token: file.token,
            secrets: Mutex::default(),
            clock: Clock::start(),
            requests,
            stop: CancellationToken::new(),
        });
        let (stop, router) = (admin.stop.clone(), routes::router(admin.clone()));
        tokio::spawn(async move {
            // Requests under way end with the program; none of them is worth waiting for.
            let serve = axum::serve(listener, router);
            tokio::select! {
                result = serve => tracing::error!(?result, "The administration ended"),
                () = stop.cancelled() => {}
            }
        });
        Ok((admin, requests_out))
    }

    /// Ends it.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// URL of the page with a fresh code.
    pub(crate) fn new_url(&self) -> Result<String, ServerError> {
        let code = secret()?;
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if secrets.codes.len() >= MAX_CODES {
            secrets.codes.pop_front();
        }
        secrets.codes.push_back((code.clone(), self.clock.now().mono));
        Ok(format!("http://{}/#{code}", self.info.admin))
    }

    /// A page's token for its code, once.
    pub(crate) fn exchange(&self, code: &str) -> Result<Option<String>, ServerError> {
        let now = self.clock.now().mono;
        let token = secret()?;
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.codes.retain(|(_, made)| now.since(*made) < CODE_LIFETIME);
        let Some(at) = secrets.codes.iter().position(|(known, _)| same(known, code)) else {
            return Ok(None);
        };
        secrets.codes.remove(at);
        if secrets.pages.len() >= MAX_PAGES {
            secrets.pages.pop_front();
        }
        secrets.pages.push_back(token.clone());
        Ok(Some(token))
    }

    /// What a token may do; `None` for nothing.
    pub(crate) fn power(&self, token: &str) -> Option<Power> {
        if same(token, &self.token) {
            return Some(Power::All);
        }
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.pages.iter().any(|page| same(page, token)).then_some(Power::Look)
    }
}
