//! The JSON of the API, and how it is made from what the node says. Shapes are those of `CONTRACT`, keys in snake_case.

mod files;

pub use files::{FileJson, OfferWait, TRANSFER_CODES, TransferJson};

use crate::api::peer_id::peer_id;
use crate::handle::NodeStatus;
use crate::store::rows::{HistoryRow, StoreStats};
use lanchat_net::clock::rfc3339;
use lanchat_node_core::view::{CoordinatorState, DeviceView, RelayState, Route, UserView};
use lanchat_proto::entry::EntryKind;
use lanchat_proto::ids::{LogId, UserId};
use lanchat_proto::time::Wall;
use lanchat_proto::wire::coordinator::Presence;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How a device or user is reached.
#[must_use]
pub fn route_name(route: Route) -> &'static str {
    match route {
        Route::None => "none",
        Route::Relay => "relay",
        Route::Direct => "direct",
    }
}

/// Whether others can reach this device through the coordinator.
#[must_use]
pub fn relay_name(relay: RelayState) -> &'static str {
    match relay {
        RelayState::None => "none",
        RelayState::Reserving => "reserving",
        RelayState::Reserved => "reserved",
    }
}

/// How a user is seen.
#[must_use]
pub fn presence_name(presence: Option<Presence>) -> &'static str {
    match presence {
        None => "offline",
        Some(Presence::Online) => "online",
        Some(Presence::Away) => "away",
        Some(Presence::Busy) => "busy",
    }
}

/// The presence of a name that a user may choose.
#[must_use]
pub fn presence_of(name: &str) -> Option<Presence> {
    match name {
        "online" => Some(Presence::Online),
        "away" => Some(Presence::Away),
        "busy" => Some(Presence::Busy),
        _ => None,
    }
}

/// The way to the coordinator: its state, and why not, when it refuses.
#[must_use]
pub fn coordinator_state(state: CoordinatorState) -> (&'static str, Option<&'static str>) {
    match state {
        CoordinatorState::None => ("none", None),
        CoordinatorState::Reconnecting => ("reconnecting", None),
        CoordinatorState::Connected => ("connected", None),
        CoordinatorState::Refused(refusal) => ("reconnecting", Some(super::error::refusal_code(refusal).0)),
    }
}

/// The way to the coordinator.
#[derive(Serialize, ToSchema)]
pub struct CoordinatorJson {
    /// `connected`, `reconnecting` or `none`.
    pub state: &'static str,
    /// Its address.
    pub addr: Option<String>,
    /// Code of the refusal, when it does not let this device in until the user acts.
    pub refused: Option<&'static str>,
    /// Whether others can reach this device through it: `reserved`, `reserving` or `none`.
    pub relay: &'static str,
}

/// Numbers of linked devices.
#[derive(Serialize, ToSchema)]
pub struct LinksJson {
    /// Linked directly.
    pub direct: usize,
    /// Linked through the coordinator.
    pub relay: usize,
}

/// How much is stored.
#[derive(Serialize, ToSchema)]
pub struct StoreJson {
    /// Entries.
    pub events: u64,
    /// Bytes.
    pub bytes: u64,
}

/// The node.
#[derive(Serialize, ToSchema)]
pub struct StatusJson {
    /// The own user, hex.
    pub user_id: String,
    /// The own login.
    pub name: String,
    /// The own device as libp2p prints it.
    pub peer_id: String,
    /// Version of the program.
    pub version: &'static str,
    /// Seconds since the start.
    pub uptime_s: u64,
    /// The way to the coordinator.
    pub coordinator: CoordinatorJson,
    /// The organisation's name; empty in the open LAN.
    pub org: String,
    /// The organisation's fingerprint; empty in the open LAN.
    pub fingerprint: String,
    /// Whether mDNS runs.
    pub mdns: bool,
    /// Listening multiaddrs.
    pub listen: Vec<String>,
    /// Linked devices.
    pub links: LinksJson,
    /// What is stored.
    pub store: StoreJson,
    /// By how many milliseconds this machine's clock is corrected.
    pub clock_offset_ms: i64,
}

impl StatusJson {
    /// From the node's status and the store's figures.
    #[must_use]
    pub fn new(status: NodeStatus, store: StoreStats, now: Wall) -> Self {
        let (state, refused) = coordinator_state(status.core.coordinator);
        let relay = relay_name(status.core.relay_state);
        let addr = status.coordinator_addr.or(status.core.coordinator_addr.map(|addr| addr.to_string()));
        Self {
            user_id: status.core.user.to_string(),
            name: status.core.name,
            peer_id: status.peer_id,
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: now.0.saturating_sub(status.started.0) / 1000,
            coordinator: CoordinatorJson { state, addr, refused, relay },
            org: status.org,
            fingerprint: status.fingerprint,
            mdns: status.mdns,
            listen: status.listen,
            links: LinksJson { direct: status.core.direct, relay: status.core.relay },
            store: StoreJson { events: store.events, bytes: store.bytes },
            clock_offset_ms: status.core.clock_offset,
        }
    }
}

/// A device of a user.
#[derive(Serialize, ToSchema)]
pub struct DeviceJson {
    /// As libp2p prints it.
    pub peer_id: String,
    /// `direct`, `relay` or `none`.
    pub route: &'static str,
    /// `ip:port`.
    pub addr: Option<String>,
    /// Whether it is vouched for.
    pub endorsed: bool,
}

impl From<&DeviceView> for DeviceJson {
    fn from(device: &DeviceView) -> Self {
        Self {
            peer_id: peer_id(&device.device),
            route: route_name(device.route),
            addr: device.addr.map(|addr| addr.to_string()),
            endorsed: device.endorsed,
        }
    }
}

/// A user.
#[derive(Serialize, ToSchema)]
pub struct UserJson {
    /// Hex.
    pub user_id: String,
    /// Login.
    pub name: String,
    /// Name to display.
    pub display_name: String,
    /// Department.
    pub department: String,
    /// Title.
    pub title: String,
    /// Note.
    pub note: String,
    /// BLAKE3 of the avatar, hex; null without one.
    pub avatar: Option<String>,
    /// `online`, `away`, `busy` or `offline`.
    pub presence: &'static str,
    /// The best of the devices' routes.
    pub route: &'static str,
    /// Its address.
    pub addr: Option<String>,
    /// Whether the safety code was compared.
    pub verified: bool,
    /// Whether the user is starred.
    pub contact: bool,
    /// When a device was last on; null when unknown.
    pub last_seen: Option<String>,
    /// The devices.
    pub devices: Vec<DeviceJson>,
}

impl UserJson {
    /// From the node's view; `contact`: whether starred.
    #[must_use]
    pub fn new(user: &UserView, contact: bool) -> Self {
        let avatar = user.avatar.iter().any(|byte| *byte != 0);
        Self {
            user_id: user.user.to_string(),
            name: user.name.clone(),
            display_name: user.display_name.clone(),
            department: user.department.clone(),
            title: user.title.clone(),
            note: user.note.clone(),
            avatar: avatar.then(|| data_encoding::HEXLOWER.encode(&user.avatar)),
            presence: presence_name(user.presence),
            route: route_name(user.route),
            addr: user.addr.map(|addr| addr.to_string()),
            verified: user.verified,
            contact,
            last_seen: user.last_seen.map(rfc3339),
            devices: user.devices.iter().map(DeviceJson::from).collect(),
        }
    }
}

/// A message.
#[derive(Serialize, ToSchema)]
pub struct MessageJson {
    /// Hex.
    pub id: String,
    /// Hex.
    pub conversation: String,
    /// The author, hex.
    pub author: String,
    /// The author's login, empty when unknown.
    pub author_name: String,
    /// `text`, `nudge`, `file` or `unknown`.
    pub kind: &'static str,
    /// The text; a file's name; null for other kinds and deleted ones.
    pub text: Option<String>,
    /// The message that it answers, hex.
    pub reply_to: Option<String>,
    /// The author's stamp.
    pub sent_at: String,
    /// When it came to this disk.
    pub received_at: String,
    /// Whether it was edited.
    pub edited: bool,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Whether the own user wrote it.
    pub own: bool,
    /// Users by reaction.
    pub reactions: BTreeMap<String, Vec<String>>,
    /// `pending`, `stored`, `delivered` or `read`; of others' messages always `stored`.
    pub state: &'static str,
    /// Users on whose disk it is.
    pub delivered_to: Vec<String>,
    /// Users who have seen it.
    pub read_by: Vec<String>,
    /// The file, for a file.
    pub file: Option<FileJson>,
    /// The log that it is part of, as receipts name it.
    pub log: String,
    /// Its number there.
    pub number: u64,
}

/// A log's name in JSON.
#[must_use]
pub fn log_name(log: &LogId) -> String {
    format!("{}-{}", log.device, log.epoch)
}

/// Name of an entry's kind.
#[must_use]
pub fn kind_name(kind: u16) -> &'static str {
    match EntryKind::from_number(kind) {
        Some(EntryKind::Text) => "text",
        Some(EntryKind::Nudge) => "nudge",
        Some(EntryKind::File) => "file",
        Some(EntryKind::Open) | None => "unknown",
    }
}

impl MessageJson {
    /// From a row of the store.
    #[must_use]
    pub fn new(row: HistoryRow, me: &UserId, names: &BTreeMap<UserId, String>) -> Self {
        let own = row.author == *me;
        // A note to oneself is delivered when it is stored; receipts are never one's own.
        let others = |users: &[UserId]| users.iter().any(|user| user != me);
        let state = if own && others(&row.read_by) {
            "read"
        } else if own && others(&row.delivered_to) {
            "delivered"
        } else {
            "stored"
        };
        let hex = |users: Vec<UserId>| users.iter().map(UserId::to_string).collect();
        Self {
            id: row.message.to_string(),
            conversation: row.conversation.to_string(),
            author: row.author.to_string(),
            author_name: names.get(&row.author).cloned().unwrap_or_default(),
            kind: kind_name(row.kind),
            text: row.text,
            reply_to: row.reply_to.map(|id| id.to_string()),
            sent_at: rfc3339(row.sent_at),
            received_at: rfc3339(row.received_at),
            edited: false,
            deleted: row.deleted,
            own,
            reactions: BTreeMap::new(),
            state,
            delivered_to: hex(row.delivered_to),
            read_by: hex(row.read_by),
            file: row.file.as_ref().map(FileJson::new),
            log: log_name(&row.log),
            number: row.number,
        }
    }
}

/// The other side of a direct conversation.
#[derive(Serialize, ToSchema)]
pub struct PartnerJson {
    /// Hex.
    pub user_id: String,
    /// Login, empty when unknown.
    pub name: String,
    /// Name to display, empty when unknown.
    pub display_name: String,
}

/// A conversation.
#[derive(Serialize, ToSchema)]
pub struct ConversationJson {
    /// Hex.
    pub conversation: String,
    /// `direct` or `unknown`.
    pub kind: &'static str,
    /// Who is on the other side.
    pub with: Option<PartnerJson>,
    /// Its newest message.
    pub newest: Option<MessageJson>,
    /// Messages of others that the user has not seen.
    pub unread: u64,
}

/// What became of a message that was sent.
#[derive(Serialize, ToSchema)]
pub struct SentJson {
    /// The message, hex.
    pub id: String,
    /// Its conversation, hex.
    pub conversation: String,
    /// Its stamp.
    pub sent_at: String,
    /// Users on whose disk it is.
    pub delivered_to: Vec<String>,
    /// Users on whose disk it is not yet.
    pub pending: Vec<String>,
    /// Users who have seen it.
    pub read_by: Vec<String>,
}

/// How long `send` waits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Until it is on this disk.
    #[default]
    Stored,
    /// Until it is on the disk of a device of every recipient.
    Delivered,
    /// Until every recipient has seen it.
    Read,
}

/// A device, with whose it is.
#[derive(Serialize, ToSchema)]
pub struct OwnedDeviceJson {
    /// The user, hex.
    pub user_id: String,
    /// The user's login.
    pub name: String,
    /// The device as libp2p prints it.
    pub peer_id: String,
    /// Whether it is one's own.
    pub own: bool,
    /// Whether it is this one.
    pub this: bool,
    /// Whether it is vouched for; null when not known.
    pub endorsed: Option<bool>,
    /// `direct`, `relay` or `none`.
    pub route: &'static str,
    /// `ip:port`.
    pub addr: Option<String>,
}

/// Nothing to tell but that it is done.
#[derive(Serialize, ToSchema)]
pub struct DoneJson {
    /// Always true.
    pub done: bool,
}

/// It is done.
pub const DONE: DoneJson = DoneJson { done: true };
