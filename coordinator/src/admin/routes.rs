//! The routes of the administration, and what each does.
//!
//! | route | asks | answers |
//! |---|---|---|
//! | `GET /`, `/page.js`, `/page.css` | nothing | the page |
//! | `POST /api/session` | `{code}` | `{token}`, once for a code |
//! | `GET /api/users`, `/api/online`, `/api/stats`, `/api/relay` | nothing | lists, counters |
//! | `POST /api/page` | nothing | `{url}` with a fresh code |
//! | `POST /api/join` | nothing | `{join}` with the standing invite |
//! | `POST /api/invite` | `{uses?, expires_s?, rotate?}` | `{code, join, uses, expires_at}` |
//! | `POST /api/kick`, `/api/ban`, `/api/unban` | `{user, force?}` | `{user, closed}` |
//! | `POST /api/reset-password` | `{user}` | `{user, secret}` |
//! | `POST /api/department` | `{user, name}` | `{user, department}` |
//! | `POST /api/announce` | `{text}` | `{number}` |
//! | `POST /api/backup` | `{path}` | `{path, bytes}` |

use super::answers::{OnlineJson, RelayJson, StatsJson, UserJson, error};
use super::guard::guard;
use super::{Admin, AdminRequest, Ask};
use crate::limits::{ADMIN_TIMEOUT, FIGURES_TIME, MAX_ADMIN_BODY};
use argon2::{Algorithm, Argon2, Params, Version};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use data_encoding::BASE32_NOPAD;
use lanchat_coordinator_core::{AdminCommand, AdminError, AdminResult};
use lanchat_net::clock::rfc3339;
use lanchat_net::{NetError, RelayStats};
use lanchat_proto::ids::UserId;
use lanchat_proto::names::{DisplayName, NameError, UserName};
use lanchat_proto::wire::coordinator::PasswordProof;
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

type Shared = State<Arc<Admin>>;
type Answer = Result<Json<serde_json::Value>, Response>;

/// All routes behind the guard.
pub(super) fn router(admin: Arc<Admin>) -> Router {
    Router::new()
        .route("/", get(|| async { file("text/html; charset=utf-8", include_str!("page.html")) }))
        .route("/page.js", get(|| async { file("text/javascript; charset=utf-8", include_str!("page.js")) }))
        .route("/page.css", get(|| async { file("text/css; charset=utf-8", include_str!("page.css")) }))
        .route("/api/session", post(session))
        .route("/api/users", get(users))
        .route("/api/online", get(online))
        .route("/api/stats", get(stats))
        .route("/api/relay", get(relay))
        .route("/api/page", post(page))
        .route("/api/join", post(join))
        .route("/api/invite", post(invite))
        .route("/api/kick", post(kick))
        .route("/api/ban", post(ban))
        .route("/api/unban", post(unban))
        .route("/api/reset-password", post(reset_password))
        .route("/api/department", post(department))
        .route("/api/announce", post(announce))
        .route("/api/backup", post(backup))
        .fallback(|| async { error(StatusCode::NOT_FOUND, "no such page") })
        .layer(DefaultBodyLimit::max(MAX_ADMIN_BODY))
        .layer(middleware::from_fn_with_state(admin.clone(), guard))
        .with_state(admin)
}

fn file(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Asks the rules and waits for the answer.
async fn ask(admin: &Admin, command: AdminCommand) -> Result<AdminResult, Response> {
    let (reply, answer) = oneshot::channel();
    let result = send(admin, Ask::Rules(command, reply), answer).await?;
    result.map_err(|refused| {
        let status = match refused {
            AdminError::NoSuchUser(_) => StatusCode::NOT_FOUND,
            AdminError::Store | AdminError::Sign => StatusCode::SERVICE_UNAVAILABLE,
            AdminError::AlreadyBanned(_)
            | AdminError::NotBanned(_)
            | AdminError::Behind(_)
            | AdminError::TooManyInvites
            | AdminError::Announcement => StatusCode::CONFLICT,
        };
        error(status, refused)
    })
}

async fn send<T>(admin: &Admin, ask: Ask, answer: oneshot::Receiver<T>) -> Result<T, Response> {
    let stopping = || error(StatusCode::SERVICE_UNAVAILABLE, "the coordinator is busy or stopping");
    let waited = timeout(ADMIN_TIMEOUT, async {
        admin.requests.send(AdminRequest { ask }).await.ok()?;
        answer.await.ok()
    });
    waited.await.ok().flatten().ok_or_else(stopping)
}

fn unexpected() -> Response {
    error(StatusCode::INTERNAL_SERVER_ERROR, "an unexpected answer of the rules")
}

fn internal(reason: impl ToString) -> Response {
    error(StatusCode::INTERNAL_SERVER_ERROR, reason)
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

async fn session(State(admin): Shared, Json(ask): Json<Code>) -> Answer {
    match admin.exchange(&ask.code).map_err(internal)? {
        Some(token) => Ok(Json(json!({ "token": token }))),
        None => Err(error(StatusCode::UNAUTHORIZED, "the code was used or is too old")),
    }
}

async fn users(State(admin): Shared) -> Answer {
    match ask(&admin, AdminCommand::Users).await? {
        AdminResult::Users(users) => {
            Ok(Json(json!(users.into_iter().map(UserJson::from).collect::<Vec<_>>())))
        }
        _ => Err(unexpected()),
    }
}

async fn online(State(admin): Shared) -> Answer {
    match ask(&admin, AdminCommand::Online).await? {
        AdminResult::Online(online) => {
            Ok(Json(json!(online.into_iter().map(OnlineJson::from).collect::<Vec<_>>())))
        }
        _ => Err(unexpected()),
    }
}

async fn stats(State(admin): Shared) -> Answer {
    match ask(&admin, AdminCommand::Stats).await? {
        AdminResult::Stats(stats) => {
            let uptime = admin.clock.now().mono.0.as_secs();
            let relay = relay_stats(&admin).await?;
            // It looks at the adapters.
            let nearby = admin.around.nearby.clone();
            let status = tokio::task::spawn_blocking(move || nearby.status()).await.map_err(internal)?;
            Ok(Json(json!(StatsJson::new(stats, &admin.info, &relay, status, uptime))))
        }
        _ => Err(unexpected()),
    }
}

async fn relay_stats(admin: &Admin) -> Result<RelayStats, Response> {
    let stats = timeout(FIGURES_TIME, admin.around.net.relay_stats()).await;
    stats
        .map_err(|_| NetError::Busy)
        .flatten()
        .map_err(|failed| error(StatusCode::SERVICE_UNAVAILABLE, failed))
}

async fn relay(State(admin): Shared) -> Answer {
    let stats = relay_stats(&admin).await?;
    let users = stats.users.iter().map(|row| UserId(row.user)).collect();
    match ask(&admin, AdminCommand::Names { users }).await? {
        AdminResult::Names(names) => Ok(Json(json!(RelayJson::new(&stats, &admin.info, &names)))),
        _ => Err(unexpected()),
    }
}

async fn page(State(admin): Shared) -> Answer {
    Ok(Json(json!({ "url": admin.new_url().map_err(internal)? })))
}

async fn join(State(admin): Shared) -> Answer {
    let standing = admin.standing.read().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Json(json!({ "join": admin.info.join_with(standing.as_deref()) })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct InviteAsk {
    uses: Option<u32>,
    expires_s: Option<u64>,
    #[serde(default)]
    rotate: bool,
}

async fn invite(State(admin): Shared, Json(wanted): Json<InviteAsk>) -> Answer {
    let command = if wanted.rotate {
        AdminCommand::RotateInvite
    } else {
        let uses = wanted.uses.unwrap_or(1).max(1);
        AdminCommand::Invite { uses, lifetime: wanted.expires_s.map(Duration::from_secs) }
    };
    match ask(&admin, command).await? {
        AdminResult::Invite(invite) => Ok(Json(json!({
            "join": admin.info.join_with(Some(&invite.code)),
            "code": invite.code,
            "uses": invite.uses,
            "expires_at": invite.expires.map(rfc3339),
        }))),
        _ => Err(unexpected()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct User {
    user: String,
    #[serde(default)]
    force: bool,
}

impl User {
    fn name(&self) -> Result<UserName, NameError> {
        self.user.parse()
    }
}

fn bad_name(wrong: NameError) -> Response {
    error(StatusCode::BAD_REQUEST, wrong)
}

async fn act(admin: &Admin, user: &User, command: AdminCommand) -> Answer {
    match ask(admin, command).await? {
        AdminResult::Done { closed } => Ok(Json(json!({ "user": user.user, "closed": closed }))),
        _ => Err(unexpected()),
    }
}

async fn kick(State(admin): Shared, Json(user): Json<User>) -> Answer {
    let command = AdminCommand::Kick { user: user.name().map_err(bad_name)?, force: user.force };
    act(&admin, &user, command).await
}

async fn ban(State(admin): Shared, Json(user): Json<User>) -> Answer {
    let command = AdminCommand::Ban { user: user.name().map_err(bad_name)?, force: user.force };
    act(&admin, &user, command).await
}

async fn unban(State(admin): Shared, Json(user): Json<User>) -> Answer {
    let command = AdminCommand::Unban { user: user.name().map_err(bad_name)?, force: user.force };
    act(&admin, &user, command).await
}

/// A one-time secret of 80 bits, as it is read over the telephone.
fn one_time_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes)?;
    let letters = BASE32_NOPAD.encode(&bytes).to_lowercase();
    let groups: Vec<String> =
        letters.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    Ok(groups.join("-"))
}

/// The proof of a secret, as a node makes it of a password (`docs/protocol.md#passwords`).
fn prove(secret: &str, salt: &[u8; 16]) -> Result<PasswordProof, argon2::Error> {
    let params = Params::new(64 * 1024, 3, 1, Some(32))?;
    let mut proof = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
        secret.as_bytes(),
        salt,
        &mut proof,
    )?;
    Ok(PasswordProof(proof))
}

async fn reset_password(State(admin): Shared, Json(user): Json<User>) -> Answer {
    let AdminResult::Salt(salt) =
        ask(&admin, AdminCommand::Salt { user: user.name().map_err(bad_name)? }).await?
    else {
        return Err(unexpected());
    };
    let secret = one_time_secret().map_err(internal)?;
    let text = secret.clone();
    let proof = tokio::task::spawn_blocking(move || prove(&text, &salt.0)).await.map_err(internal)?;
    let proof = proof.map_err(internal)?;
    match ask(&admin, AdminCommand::ResetPassword { user: user.name().map_err(bad_name)?, proof }).await? {
        AdminResult::Done { .. } => Ok(Json(json!({ "user": user.user, "secret": secret }))),
        _ => Err(unexpected()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Department {
    user: String,
    name: String,
}

async fn department(State(admin): Shared, Json(wanted): Json<Department>) -> Answer {
    let user: UserName = wanted.user.parse().map_err(bad_name)?;
    let name = DisplayName::parse(&wanted.name).map_err(bad_name)?;
    match ask(&admin, AdminCommand::Department { user, name: name.clone() }).await? {
        AdminResult::Done { .. } => Ok(Json(json!({ "user": wanted.user, "department": name.as_str() }))),
        _ => Err(unexpected()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Announce {
    text: String,
}

async fn announce(State(admin): Shared, Json(wanted): Json<Announce>) -> Answer {
    match ask(&admin, AdminCommand::Announce { text: wanted.text }).await? {
        AdminResult::Announced(number) => Ok(Json(json!({ "number": number }))),
        _ => Err(unexpected()),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Backup {
    path: PathBuf,
}

async fn backup(State(admin): Shared, Json(wanted): Json<Backup>) -> Answer {
    if !wanted.path.is_absolute() {
        return Err(error(StatusCode::BAD_REQUEST, "the path of a backup is absolute"));
    }
    let (reply, answer) = oneshot::channel();
    let written = send(&admin, Ask::Backup(wanted.path.clone(), reply), answer).await?;
    let bytes = written.map_err(|failed| error(StatusCode::CONFLICT, failed))?;
    Ok(Json(json!({ "path": wanted.path, "bytes": bytes })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_one_time_secret_has_eighty_bits_in_groups() {
        let (one, two) = (one_time_secret().unwrap(), one_time_secret().unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), 19);
        assert!(one.split('-').all(|group| group.len() == 4));
    }

    #[test]
    fn a_secret_is_proved_as_a_password_is() {
        let proof = prove("correct horse", &[1; 16]).unwrap();
        assert_eq!(proof, prove("correct horse", &[1; 16]).unwrap());
        assert_ne!(proof, prove("correct horse", &[2; 16]).unwrap());
    }
}
