//! The JSON of an event: `event`, `id`, `at`, and what the event is about.

use crate::api::Api;
use crate::api::peer_id::peer_id;
use crate::api::types::{MessageJson, coordinator_state, log_name, presence_name, route_name};
use crate::handle::NumberedEvent;
use crate::store::rows::HistoryRow;
use lanchat_net::clock::rfc3339;
use lanchat_node_core::boot::TransferState;
use lanchat_node_core::output::{Event, Notice, StoredEntry};
use lanchat_proto::entry::{EntryKind, FileBody, TextBody};
use lanchat_proto::ids::{MessageId, UserId};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Logins by user, asked for again only when one is missing or a profile changed.
#[derive(Default)]
pub(super) struct Names {
    known: BTreeMap<UserId, String>,
    me: Option<UserId>,
}

impl Names {
    async fn refresh(&mut self, api: &Api) {
        // A node that stops has no names any more; events then go without.
        if let Ok(names) = api.names().await {
            self.known = names;
        }
        self.me = api.handle.status().await.ok().map(|status| status.core.user);
    }

    async fn of(&mut self, api: &Api, user: &UserId) -> String {
        if !self.known.contains_key(user) {
            self.refresh(api).await;
            // Unknown stays unknown until a profile tells otherwise.
            self.known.entry(*user).or_default();
        }
        self.known.get(user).cloned().unwrap_or_default()
    }
}

/// An event as listeners get it.
pub(super) struct Told {
    /// One line of JSON.
    pub(super) json: String,
    /// The transfer that it is about, and whether its bytes move.
    pub(super) transfer: Option<(MessageId, bool)>,
}

/// An event as one line of JSON.
pub(super) async fn event(api: &Api, names: &mut Names, numbered: &NumberedEvent) -> Told {
    let body = body(api, names, &numbered.event).await;
    let transfer = match &*numbered.event {
        Event::Transfer { offer } => {
            let state = body.pointer("/transfer/state").and_then(Value::as_str);
            Some((*offer, state == Some(TransferState::Running.name())))
        }
        _ => None,
    };
    let mut fields = match body {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    };
    fields.insert("id".into(), numbered.id.into());
    fields.insert("at".into(), rfc3339(numbered.at).into());
    Told { json: Value::Object(fields).to_string(), transfer }
}

async fn body(api: &Api, names: &mut Names, event: &Event) -> Value {
    match event {
        Event::Message(stored) => message(api, names, stored).await,
        Event::Receipt { log, user, received, read } => json!({
            "event": "receipt",
            "conversation": log.conversation.to_string(),
            "log": log_name(log),
            "user_id": user.to_string(),
            "name": names.of(api, user).await,
            "received": received,
            "read": read,
        }),
        Event::Presence { user, presence } => json!({
            "event": "presence",
            "user_id": user.to_string(),
            "name": names.of(api, user).await,
            "presence": presence_name(*presence),
        }),
        Event::Transfer { offer } => {
            // A node that has moved to another membership knows it no more.
            let transfer = api.transfer(*offer).await.ok().flatten();
            json!({ "event": "transfer", "transfer": transfer })
        }
        Event::Link { user, device, route, addr } => json!({
            "event": "link",
            "user_id": user.to_string(),
            "name": names.of(api, user).await,
            "peer_id": peer_id(device),
            "route": route_name(*route),
            "addr": addr.map(|addr| addr.to_string()),
        }),
        Event::Profile { user } => {
            names.refresh(api).await;
            json!({ "event": "profile", "user_id": user.to_string(), "name": names.of(api, user).await })
        }
        Event::Coordinator(state) => {
            // Another organisation knows other people.
            names.refresh(api).await;
            let (state, refused) = coordinator_state(*state);
            json!({ "event": "coordinator", "state": state, "refused": refused })
        }
        Event::Notice(notice) => notice_json(api, names, notice).await,
    }
}

async fn message(api: &Api, names: &mut Names, stored: &StoredEntry) -> Value {
    names.of(api, &stored.author).await;
    let mine = names.me.is_some_and(|me| stored.descriptor.other(&me).is_some());
    if !mine {
        // The node moved to another membership, where the own user is another.
        names.refresh(api).await;
    }
    let header = &stored.entry.header;
    let (mut text, mut reply_to, mut file) = (None, None, None);
    match EntryKind::from_number(header.kind) {
        Some(EntryKind::Text) => {
            let body: Option<TextBody> = stored.entry.body().ok().flatten();
            reply_to = body.as_ref().and_then(|body| body.reply_to);
            text = body.map(|body| body.text.into_string());
        }
        Some(EntryKind::File) => {
            file = stored.entry.body::<FileBody>().ok().flatten();
            text = file.as_ref().map(|file| file.name.to_string());
        }
        Some(EntryKind::Nudge | EntryKind::Open) | None => {}
    }
    let row = HistoryRow {
        message: header.message,
        conversation: header.conversation,
        descriptor: stored.descriptor.clone(),
        author: stored.author,
        log: header.log(),
        number: header.number,
        kind: header.kind,
        reply_to,
        text,
        file,
        sent_at: header.time.wall(),
        received_at: stored.received_at,
        deleted: stored.entry.wire.body.is_none(),
        delivered_to: Vec::new(),
        read_by: Vec::new(),
    };
    let me = names.me.unwrap_or(UserId([0; 16]));
    let with = stored.descriptor.other(&me).map(|user| user.to_string());
    let mut message = MessageJson::new(row, &me, &names.known);
    // A node that stops has no transfers any more; the file is told without.
    drop(api.add_transfers(std::slice::from_mut(&mut message)).await);
    json!({ "event": "message", "with": with, "message": message })
}

async fn notice_json(api: &Api, names: &mut Names, notice: &Notice) -> Value {
    let mut fields = match notice {
        Notice::Announcement { at, text } => {
            json!({ "notice": "announcement", "announced_at": rfc3339(*at), "text": text })
        }
        Notice::UnendorsedDevice { user, device } => json!({
            "notice": "unendorsed_device",
            "user_id": user.to_string(),
            "name": names.of(api, user).await,
            "peer_id": peer_id(device),
        }),
        Notice::NotVerified { user } => json!({
            "notice": "not_verified",
            "user_id": user.to_string(),
            "name": names.of(api, user).await,
        }),
        Notice::SignedOut(refusal) => {
            json!({ "notice": "signed_out", "reason": crate::api::error::refusal_code(*refusal).0 })
        }
        Notice::RestoredFromOldCopy => json!({ "notice": "restored_from_old_copy" }),
        Notice::ClockWrong(by) => json!({ "notice": "clock_wrong", "by_ms": by }),
        Notice::RevocationConflict { issuer } => {
            json!({ "notice": "revocation_conflict", "issuer": peer_id(issuer) })
        }
        Notice::StoreFailing { reason } => json!({ "notice": "store_failing", "reason": reason }),
        Notice::StoreRecovered => json!({ "notice": "store_recovered" }),
    };
    if let Value::Object(fields) = &mut fields {
        fields.insert("event".into(), "notice".into());
    }
    fields
}
