//! Sending, waiting for what becomes of it, history, search.

mod waiting;

use crate::api::Api;
use crate::api::error::{ApiError, EXIT_FAILED};
use crate::api::extract::{Body, Params};
use crate::api::limits::{PAGE, PAGE_DEFAULT, QUERY, WAIT, WAIT_DEFAULT};
use crate::api::types::{ConversationJson, DONE, DoneJson, MessageJson, PartnerJson, SentJson, Wait};
use crate::store::rows::{HistoryRow, Page};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use lanchat_node_core::input::Command;
use lanchat_proto::entry::Descriptor;
use lanchat_proto::ids::{ConversationId, MessageId, UserId};
use serde::Deserialize;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// A message to send.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendBody {
    /// Login or `@user_id`.
    to: String,
    /// 1 to 65,536 bytes of UTF-8.
    text: String,
    /// The message that it answers, hex.
    reply_to: Option<String>,
    /// What to wait for before answering.
    #[serde(default)]
    wait: Wait,
    /// Seconds to wait; 30 without it.
    timeout_s: Option<u64>,
}

fn message_id(text: &str) -> Result<MessageId, ApiError> {
    text.parse().map_err(|_| no_such_message())
}

fn no_such_message() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no_such_message", EXIT_FAILED, "there is no such message")
}

/// Sends a text and waits for what the caller wants to wait for. When the wait ends first, the error carries what was
/// reached, and the message stays on its way.
#[utoipa::path(post, path = "/api/v1/messages", request_body = SendBody, responses((status = 200, body = SentJson)))]
pub(crate) async fn send(
    State(api): State<Api>,
    Body(wish): Body<SendBody>,
) -> Result<Json<SentJson>, ApiError> {
    let to = api.resolve(&wish.to).await?.user;
    let reply_to = wish.reply_to.as_deref().map(message_id).transpose()?;
    let command = Command::SendText { to, text: wish.text, reply_to };
    let limit = Duration::from_secs(wish.timeout_s.unwrap_or(WAIT_DEFAULT).min(WAIT));
    waiting::send_and_wait(&api, command, wish.wait, limit).await.map(Json)
}

/// Whom.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ToBody {
    /// Login or `@user_id`.
    to: String,
}

/// Shakes a user's window.
#[utoipa::path(post, path = "/api/v1/nudges", request_body = ToBody, responses((status = 200, body = SentJson)))]
pub(crate) async fn nudge(
    State(api): State<Api>,
    Body(wish): Body<ToBody>,
) -> Result<Json<SentJson>, ApiError> {
    let to = api.resolve(&wish.to).await?.user;
    let limit = Duration::from_secs(WAIT_DEFAULT);
    waiting::send_and_wait(&api, Command::Nudge { to }, Wait::Stored, limit).await.map(Json)
}

/// The conversation with whom a person means; by `@user_id` also with somebody whose account is gone.
async fn conversation_with(api: &Api, to: &str) -> Result<ConversationId, ApiError> {
    let other = api.resolve(to).await?.user;
    let own = api.handle.status().await?.core;
    Descriptor::direct(own.user, other).id(&own.realm).ok_or_else(|| ApiError::no_such_user(to))
}

async fn as_json(api: &Api, rows: Vec<HistoryRow>) -> Result<Vec<MessageJson>, ApiError> {
    let names = api.names().await?;
    let me = api.handle.status().await?.core.user;
    let mut messages: Vec<_> = rows.into_iter().map(|row| MessageJson::new(row, &me, &names)).collect();
    api.add_transfers(&mut messages).await?;
    Ok(messages)
}

/// Which part of a history.
#[derive(Deserialize, IntoParams)]
pub(crate) struct HistoryQuery {
    /// Login or `@user_id`.
    to: String,
    /// Most messages; 50 without it, at most 1,000.
    limit: Option<usize>,
    /// Only what is shown before this message, hex.
    before: Option<String>,
}

/// Messages of a conversation, oldest first.
#[utoipa::path(get, path = "/api/v1/history", params(HistoryQuery), responses((status = 200, body = Vec<MessageJson>)))]
pub(crate) async fn history(
    State(api): State<Api>,
    Params(wish): Params<HistoryQuery>,
) -> Result<Json<Vec<MessageJson>>, ApiError> {
    let conversation = conversation_with(&api, &wish.to).await?;
    let before = wish.before.as_deref().map(message_id).transpose()?;
    let page = Page { limit: wish.limit.unwrap_or(PAGE_DEFAULT).min(PAGE), before };
    let rows = api.read(move |reader| reader.history(&conversation, &page)).await?;
    as_json(&api, rows).await.map(Json)
}

/// One message.
#[utoipa::path(get, path = "/api/v1/messages/{id}", params(("id" = String, Path)), responses((status = 200, body = MessageJson)))]
pub(crate) async fn message(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<MessageJson>, ApiError> {
    let id = message_id(&id)?;
    let row = api.read(move |reader| reader.message(&id)).await?.ok_or_else(no_such_message)?;
    as_json(&api, vec![row]).await?.pop().map(Json).ok_or_else(no_such_message)
}

/// All conversations, the one with the newest message first.
#[utoipa::path(get, path = "/api/v1/conversations", responses((status = 200, body = Vec<ConversationJson>)))]
pub(crate) async fn conversations(State(api): State<Api>) -> Result<Json<Vec<ConversationJson>>, ApiError> {
    let rows = api.read(|reader| reader.conversations()).await?;
    let (users, names) = (api.handle.users().await?, api.names().await?);
    let me = api.handle.status().await?.core.user;
    let partner = |user: UserId| {
        let known = users.iter().find(|known| known.user == user);
        PartnerJson {
            user_id: user.to_string(),
            name: known.map(|known| known.name.clone()).unwrap_or_default(),
            display_name: known.map(|known| known.display_name.clone()).unwrap_or_default(),
        }
    };
    let mut conversations = Vec::with_capacity(rows.len());
    for row in rows {
        let with = row.descriptor.other(&me).map(partner);
        let mut newest = row.newest.map(|newest| MessageJson::new(newest, &me, &names));
        api.add_transfers(newest.as_mut_slice()).await?;
        conversations.push(ConversationJson {
            conversation: row.conversation.to_string(),
            kind: if with.is_some() { "direct" } else { "unknown" },
            with,
            newest,
            unread: row.unread,
        });
    }
    Ok(Json(conversations))
}

/// Marks all messages of a conversation as seen.
#[utoipa::path(post, path = "/api/v1/read", request_body = ToBody, responses((status = 200, body = DoneJson)))]
pub(crate) async fn mark_read(
    State(api): State<Api>,
    Body(wish): Body<ToBody>,
) -> Result<Json<DoneJson>, ApiError> {
    let conversation = conversation_with(&api, &wish.to).await?;
    api.handle.command(Command::MarkRead { conversation }).await?;
    Ok(Json(DONE))
}

/// What to look for.
#[derive(Deserialize, IntoParams)]
pub(crate) struct SearchQuery {
    /// Words; all have to be there.
    query: String,
    /// Only in the conversation with this login or `@user_id`.
    r#in: Option<String>,
    /// Most messages; 50 without it, at most 1,000.
    limit: Option<usize>,
}

/// Messages that hold all words, newest first.
#[utoipa::path(get, path = "/api/v1/search", params(SearchQuery), responses((status = 200, body = Vec<MessageJson>)))]
pub(crate) async fn search(
    State(api): State<Api>,
    Params(wish): Params<SearchQuery>,
) -> Result<Json<Vec<MessageJson>>, ApiError> {
    if wish.query.len() > QUERY {
        return Err(ApiError::bad_request(format!("a query has at most {QUERY} bytes")));
    }
    let conversation = match &wish.r#in {
        Some(to) => Some(conversation_with(&api, to).await?),
        None => None,
    };
    let limit = wish.limit.unwrap_or(PAGE_DEFAULT).min(PAGE);
    let rows = api.read(move |reader| reader.search(&wish.query, conversation.as_ref(), limit)).await?;
    as_json(&api, rows).await.map(Json)
}
