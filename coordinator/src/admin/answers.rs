//! JSON of the administration, and how results of the rules become it.

use crate::nearby::Status;
use crate::server::Info;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lanchat_coordinator_core::{OnlineInfo, Stats, UserInfo};
use lanchat_net::clock::rfc3339;
use lanchat_net::{RelayStats, peer_id_string};
use lanchat_proto::ids::UserId;
use lanchat_proto::names::UserName;
use lanchat_proto::time::Wall;
use lanchat_proto::wire::coordinator::Presence;
use serde::Serialize;
use std::collections::BTreeMap;

/// An error with its status.
pub(super) fn error(status: StatusCode, error: impl ToString) -> Response {
    (status, Json(serde_json::json!({ "error": error.to_string() }))).into_response()
}

/// An account.
#[derive(Serialize)]
pub(super) struct UserJson {
    user_id: String,
    name: String,
    display_name: String,
    department: String,
    online: bool,
    banned: bool,
    must_change_password: bool,
    created_at: String,
    /// `null` for never.
    last_seen: Option<String>,
    devices: Vec<String>,
}

impl From<UserInfo> for UserJson {
    fn from(user: UserInfo) -> Self {
        Self {
            user_id: user.user.to_string(),
            name: user.name.to_string(),
            display_name: user.display_name.to_string(),
            department: user.department.to_string(),
            online: user.online,
            banned: user.banned,
            must_change_password: user.must_change_password,
            created_at: rfc3339(user.created),
            last_seen: (user.last_seen > Wall(0)).then(|| rfc3339(user.last_seen)),
            devices: user.devices.iter().map(peer_id_string).collect(),
        }
    }
}

/// A device that is on.
#[derive(Serialize)]
pub(super) struct OnlineJson {
    user_id: String,
    name: String,
    peer_id: String,
    addrs: Vec<String>,
    presence: &'static str,
    since: String,
}

impl From<OnlineInfo> for OnlineJson {
    fn from(online: OnlineInfo) -> Self {
        Self {
            user_id: online.user.to_string(),
            name: online.name.to_string(),
            peer_id: peer_id_string(&online.device),
            addrs: online.endpoints.iter().map(ToString::to_string).collect(),
            presence: match online.presence {
                Presence::Online => "online",
                Presence::Away => "away",
                Presence::Busy => "busy",
            },
            since: rfc3339(online.since),
        }
    }
}

/// Counters, and what the coordinator is.
#[derive(Serialize)]
pub(super) struct StatsJson {
    pub(super) org: String,
    pub(super) fingerprint: String,
    pub(super) peer_id: String,
    pub(super) version: &'static str,
    pub(super) listen: Vec<String>,
    pub(super) registration: &'static str,
    pub(super) uptime_s: u64,
    /// `off`, `starting`, `running`, `waiting`.
    mdns: &'static str,
    /// What it waits for.
    mdns_reason: Option<String>,
    mdns_interfaces: Vec<String>,
    /// Whether circuits are carried.
    relay: bool,
    relay_reservations: usize,
    relay_circuits: usize,
    relay_bytes: u64,
    relay_restarts: u64,
    introductions: u64,
    introductions_refused: u64,
    probes: u64,
    accounts: usize,
    links: usize,
    online: usize,
    registrations: u64,
    enrolments: u64,
    sign_ins: u64,
    refusals: u64,
    deltas: u64,
    frames_in: u64,
    frames_out: u64,
    bytes_in: u64,
    bytes_out: u64,
}

impl StatsJson {
    /// From the rules' counters and the server's description.
    pub(super) fn new(stats: Stats, info: &Info, relay: &RelayStats, nearby: Status, uptime_s: u64) -> Self {
        Self {
            org: info.org.clone(),
            fingerprint: info.fingerprint.clone(),
            peer_id: info.peer_id.clone(),
            version: env!("CARGO_PKG_VERSION"),
            listen: info.listen.clone(),
            registration: crate::settings::registration_word(info.registration),
            uptime_s,
            mdns: nearby.state,
            mdns_reason: nearby.reason,
            mdns_interfaces: nearby.interfaces,
            relay: info.relay.is_some(),
            relay_reservations: relay.reservations,
            relay_circuits: relay.circuits,
            relay_bytes: relay.bytes,
            relay_restarts: relay.restarts,
            introductions: stats.introductions,
            introductions_refused: stats.introductions_refused,
            probes: stats.probes,
            accounts: stats.accounts,
            links: stats.links,
            online: stats.online,
            registrations: stats.registrations,
            enrolments: stats.enrolments,
            sign_ins: stats.sign_ins,
            refusals: stats.refusals,
            deltas: stats.deltas,
            frames_in: stats.frames_in,
            frames_out: stats.frames_out,
            bytes_in: stats.bytes_in,
            bytes_out: stats.bytes_out,
        }
    }
}

/// What the relay does.
#[derive(Serialize)]
pub(super) struct RelayJson {
    /// Whether circuits are carried.
    relay: bool,
    /// Bytes a second.
    per_user: Option<u64>,
    /// Bytes a second.
    total: Option<u64>,
    reservations: usize,
    circuits: usize,
    /// Since the start.
    bytes: u64,
    restarts: u64,
    /// Most bytes first.
    users: Vec<RelayUserJson>,
}

/// What the relay does for one user.
#[derive(Serialize)]
struct RelayUserJson {
    user_id: String,
    /// `null` for an account that is gone.
    name: Option<String>,
    bytes: u64,
    circuits: usize,
}

impl RelayJson {
    /// From the network's figures and the rules' names.
    pub(super) fn new(stats: &RelayStats, info: &Info, names: &BTreeMap<UserId, UserName>) -> Self {
        let users = stats.users.iter().map(|row| RelayUserJson {
            user_id: UserId(row.user).to_string(),
            name: names.get(&UserId(row.user)).map(ToString::to_string),
            bytes: row.bytes,
            circuits: row.circuits,
        });
        Self {
            relay: info.relay.is_some(),
            per_user: info.relay.map(|terms| terms.per_user),
            total: info.relay.map(|terms| terms.total),
            reservations: stats.reservations,
            circuits: stats.circuits,
            bytes: stats.bytes,
            restarts: stats.restarts,
            users: users.collect(),
        }
    }
}
