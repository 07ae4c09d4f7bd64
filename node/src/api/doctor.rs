//! The doctor over HTTP: the facts as JSON, and what follows from them.

use crate::adapters::{Adapter, AdapterKind};
use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::peer_id::peer_id;
use crate::api::types::{coordinator_state, relay_name, route_name};
use crate::doctor::{Advice, Dialled, Facts, Failure, Mdns, MdnsState, MdnsWish, advise};
use crate::lang::{Lang, advice_text, fill};
use crate::platform::Firewall;
use axum::Json;
use axum::extract::State;
use lanchat_node_core::view::{AddressView, ReachView, Source};
use lanchat_proto::wire::reach::Dialled as Outcome;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use utoipa::ToSchema;

/// Something that stands in the way.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProblemJson {
    /// Stable name.
    code: &'static str,
    /// `problem`: somebody or something is not reached; `hint`: it would work better.
    severity: &'static str,
    /// What is wrong and what to do about it, in English.
    message: String,
    /// What the message is made of.
    args: BTreeMap<&'static str, String>,
    /// Whom it is about, hex; null when it is about this PC.
    user_id: Option<String>,
    /// Which of their devices.
    peer_id: Option<String>,
}

impl From<&Advice> for ProblemJson {
    fn from(advice: &Advice) -> Self {
        let args: Vec<(&str, &str)> =
            advice.args.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Self {
            code: advice.code.name(),
            severity: advice.severity.name(),
            message: fill(advice_text(advice.code, Lang::En), &args),
            args: advice.args.iter().cloned().collect(),
            user_id: advice.device.map(|(user, _)| user.to_string()),
            peer_id: advice.device.map(|(_, device)| peer_id(&device)),
        }
    }
}

/// An address of an adapter.
#[derive(Serialize, ToSchema)]
pub(crate) struct InterfaceJson {
    /// As the system calls it.
    name: String,
    /// The address.
    #[schema(value_type = String)]
    ip: IpAddr,
    /// Leading bits of its subnet.
    prefix: u8,
    /// `real` (cable or radio), `virtual` (VPN, containers, virtual machines) or `loopback`.
    kind: &'static str,
    /// Place among all of them, 1 for the best.
    rank: usize,
    /// Whether others can use it: not link-local, and the adapter is up.
    usable: bool,
}

fn interface((at, adapter): (usize, &Adapter)) -> InterfaceJson {
    let kind = match adapter.kind {
        AdapterKind::Real => "real",
        AdapterKind::Virtual => "virtual",
        AdapterKind::Loopback => "loopback",
    };
    let Adapter { name, ip, prefix, usable, .. } = adapter.clone();
    InterfaceJson { name, ip, prefix, kind, rank: at + 1, usable }
}

/// A listening port and whether somebody could dial it.
#[derive(Serialize, ToSchema)]
pub(crate) struct PortJson {
    /// TCP.
    port: u16,
    /// `reached`, `failed` or `not_tried`.
    result: &'static str,
}

/// Who was asked to dial this node.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReachableJson {
    /// `coordinator`, `peer`, `nobody` (there was nobody to ask) or `no_answer`.
    asked: &'static str,
    /// The device that dialled, of a peer.
    peer_id: Option<String>,
    /// Its user's login.
    name: Option<String>,
    /// What happened at each port.
    ports: Vec<PortJson>,
    /// `ufw`, `firewalld`, `windows`, `macos` or `other`.
    firewall: &'static str,
}

fn reachable(facts: &Facts) -> ReachableJson {
    let result = |outcome| match outcome {
        Outcome::Reached => "reached",
        Outcome::Failed => "failed",
        Outcome::NotTried => "not_tried",
    };
    let (asked, by, ports) = match &facts.dialled {
        Dialled::Tried { by: None, ports } => ("coordinator", None, ports.as_slice()),
        Dialled::Tried { by: Some(by), ports } => ("peer", Some(*by), ports.as_slice()),
        Dialled::NobodyToAsk => ("nobody", None, Default::default()),
        Dialled::NoAnswer => ("no_answer", None, Default::default()),
    };
    let owner = facts.ways.iter().find(|way| Some(way.device) == by).map(|way| way.user);
    ReachableJson {
        asked,
        peer_id: by.map(|by| peer_id(&by)),
        name: owner.and_then(|owner| facts.people.get(&owner)).map(|person| person.name.clone()),
        ports: ports.iter().map(|row| PortJson { port: row.port, result: result(row.outcome) }).collect(),
        firewall: match facts.firewall {
            Firewall::Ufw => "ufw",
            Firewall::Firewalld => "firewalld",
            Firewall::Windows => "windows",
            Firewall::MacOs => "macos",
            Firewall::Other => "other",
        },
    }
}

/// mDNS.
#[derive(Serialize, ToSchema)]
pub(crate) struct MdnsJson {
    /// Whether option and setting let it run.
    enabled: bool,
    /// Whether it runs.
    running: bool,
    /// Why not, when it should.
    error: Option<String>,
    /// Devices that are announced now, those of other organisations among them.
    devices: usize,
    /// Announcements sent.
    announcements: u64,
    /// Seconds since another device was last heard of.
    heard_s: Option<u64>,
    /// Adapters that it uses, with their addresses.
    interfaces: BTreeMap<String, Vec<String>>,
}

fn mdns(mdns: &Mdns) -> MdnsJson {
    let shown = |ips: &Vec<IpAddr>| ips.iter().map(IpAddr::to_string).collect();
    MdnsJson {
        enabled: mdns.wish == MdnsWish::On,
        running: mdns.state == MdnsState::Running,
        error: match &mdns.state {
            MdnsState::Failed(_, reason) => Some(reason.clone()),
            MdnsState::Off | MdnsState::Starting | MdnsState::Running => None,
        },
        devices: mdns.devices,
        announcements: mdns.announcements,
        heard_s: mdns.heard.map(|heard| heard.as_secs()),
        interfaces: mdns.interfaces.iter().map(|(name, ips)| (name.clone(), shown(ips))).collect(),
    }
}

/// The coordinator.
#[derive(Serialize, ToSchema)]
pub(crate) struct DoctorCoordinatorJson {
    /// `connected`, `reconnecting` or `none`.
    state: &'static str,
    /// Its address.
    addr: Option<String>,
    /// Code of the refusal, when it does not let this device in.
    refused: Option<&'static str>,
    /// Seconds since the state became so.
    since_s: u64,
    /// Whether others can reach this device through it: `reserved`, `reserving` or `none`.
    relay: &'static str,
}

/// An address of a device.
#[derive(Serialize, ToSchema)]
pub(crate) struct AddressJson {
    /// `ip:port`.
    addr: String,
    /// Who tells it: `last_link`, `mdns`, `coordinator`, or `forgotten` for one that was tried before.
    source: &'static str,
    /// Of the last try: `ok`, `refused`, `timed_out`, `unreachable`, `wrong_device`, `other`; `untried`.
    result: &'static str,
    /// What went wrong, as the system says it.
    error: Option<String>,
    /// Seconds since the last try.
    tried_s: Option<u64>,
}

fn address(view: &AddressView) -> AddressJson {
    AddressJson {
        addr: view.endpoint.to_string(),
        source: match view.source {
            Source::LastLink => "last_link",
            Source::Announced => "mdns",
            Source::Coordinator => "coordinator",
            Source::Forgotten => "forgotten",
        },
        result: match (&view.failure, view.tried_ago) {
            (Some(line), _) => Failure::of(line).name(),
            (None, Some(_)) => "ok",
            (None, None) => "untried",
        },
        error: view.failure.clone(),
        tried_s: view.tried_ago.map(|ago| ago.as_secs()),
    }
}

/// A device of somebody else.
#[derive(Serialize, ToSchema)]
pub(crate) struct PeerJson {
    /// The user, hex; null for a device that is only announced.
    user_id: Option<String>,
    /// The user's login; empty when unknown.
    name: String,
    /// The device as libp2p prints it.
    peer_id: String,
    /// Whether the user is on.
    online: bool,
    /// `direct`, `relay` or `none`.
    route: &'static str,
    /// Address of the link.
    addr: Option<String>,
    /// Whether a link to it is wanted now.
    wanted: bool,
    /// Seconds until the next try for a better way.
    next_try_s: Option<u64>,
    /// What went wrong with the last try through the coordinator.
    relay_error: Option<String>,
    /// Its addresses, best first.
    addresses: Vec<AddressJson>,
}

fn peer(facts: &Facts, way: &ReachView) -> PeerJson {
    let person = facts.people.get(&way.user);
    PeerJson {
        user_id: person.map(|_| way.user.to_string()),
        name: person.map(|person| person.name.clone()).unwrap_or_default(),
        peer_id: peer_id(&way.device),
        online: person.is_some_and(|person| person.online),
        route: route_name(way.route),
        addr: way.addr.map(|addr| addr.to_string()),
        wanted: way.wanted,
        next_try_s: way.next_try.map(|wait| wait.as_secs()),
        relay_error: way.circuit_failure.clone(),
        addresses: way.addresses.iter().map(address).collect(),
    }
}

/// What stands between this PC and the others.
#[derive(Serialize, ToSchema)]
pub(crate) struct DoctorJson {
    /// Whether nothing is a `problem`; hints may remain.
    ok: bool,
    /// What stands in the way, what matters most first.
    problems: Vec<ProblemJson>,
    /// The adapters' addresses, best first.
    interfaces: Vec<InterfaceJson>,
    /// Addresses that others are told, best first.
    listen: Vec<String>,
    /// Whether others can dial this node.
    reachable: ReachableJson,
    /// mDNS.
    mdns: MdnsJson,
    /// The coordinator.
    coordinator: DoctorCoordinatorJson,
    /// By how many milliseconds this machine's clock is corrected.
    clock_offset_ms: i64,
    /// The devices of others.
    peers: Vec<PeerJson>,
}

impl From<&Facts> for DoctorJson {
    fn from(facts: &Facts) -> Self {
        let advice = advise(facts);
        let (state, refused) = coordinator_state(facts.coordinator.state);
        Self {
            ok: advice.iter().all(|one| one.severity != crate::doctor::Severity::Problem),
            problems: advice.iter().map(ProblemJson::from).collect(),
            interfaces: facts.adapters.iter().enumerate().map(interface).collect(),
            listen: facts.listening.iter().map(ToString::to_string).collect(),
            reachable: reachable(facts),
            mdns: mdns(&facts.mdns),
            coordinator: DoctorCoordinatorJson {
                state,
                addr: facts.coordinator.addr.clone(),
                refused,
                since_s: facts.coordinator.since.as_secs(),
                relay: relay_name(facts.coordinator.relay),
            },
            clock_offset_ms: facts.clock_offset,
            peers: facts.ways.iter().map(|way| peer(facts, way)).collect(),
        }
    }
}

/// Looks at everything that may stand between this PC and the others; asks somebody to dial it, which takes seconds.
#[utoipa::path(get, path = "/api/v1/doctor", responses((status = 200, body = DoctorJson)))]
pub(crate) async fn doctor(State(api): State<Api>) -> Result<Json<DoctorJson>, ApiError> {
    Ok(Json(DoctorJson::from(&api.handle.examine().await?)))
}
