//! `watch`: the node's events, a line each, until the node or the reader ends.

use crate::cli::Failure;
use crate::cli::client::{Client, plain};
use crate::cli::commands::messages::shown;
use crate::cli::commands::{field, transfers, word};
use crate::cli::out::Out;
use crate::lang::Msg;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// Shows events as they come.
pub(super) fn watch(client: &Client, out: &Out, since: Option<u64>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::failed(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(follow(client, out, since))
}

async fn follow(client: &Client, out: &Out, since: Option<u64>) -> Result<(), Failure> {
    let url = format!("ws://{}/api/v1/events", client.authority());
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.map_err(|_| client.no_node())?;
    let first = json!({ "token": client.token(), "since": since }).to_string();
    socket.send(Message::text(first)).await.map_err(|_| client.no_node())?;
    let mut accepted = false;
    while let Some(Ok(frame)) = socket.next().await {
        let Message::Text(text) = frame else { continue };
        let Ok(event) = serde_json::from_str::<Value>(&text) else { continue };
        match field(&event, "type") {
            "ready" => accepted = true,
            "resync" if out.json => out.document(&json!({ "event": "resync", "id": event.get("id") }))?,
            "resync" => out.say(Msg::WatchResync, &[])?,
            _ if out.json => out.line(&text)?,
            _ => out.line(&line(out, &event))?,
        }
    }
    if accepted { Err(Failure::failed(out.lang.say(Msg::NodeEnded, &[]))) } else { Err(client.no_node()) }
}

/// An event as people read it.
fn line(out: &Out, event: &Value) -> String {
    let lang = out.lang;
    let text = |name: &str| plain(event.get(name).unwrap_or(&Value::Null));
    let user = match field(event, "name") {
        "" => format!("@{}", field(event, "user_id")),
        name => name.to_owned(),
    };
    let said = match field(event, "event") {
        "message" => return shown(out, event.get("message").unwrap_or(&Value::Null)),
        "receipt" => {
            let (received, read) = (text("received"), text("read"));
            lang.say(Msg::WatchReceipt, &[("user", &user), ("received", &received), ("read", &read)])
        }
        "presence" => lang
            .say(Msg::WatchPresence, &[("user", &user), ("presence", &word(lang, field(event, "presence")))]),
        "link" => {
            let (route, addr) = (word(lang, field(event, "route")), text("addr"));
            lang.say(Msg::WatchLink, &[("user", &user), ("route", &route), ("addr", &addr)])
        }
        "transfer" => return transfers::told(out, event.get("transfer").unwrap_or(&Value::Null)),
        "profile" => lang.say(Msg::WatchProfile, &[("user", &user)]),
        "coordinator" => lang.say(Msg::WatchCoordinator, &[("state", &word(lang, field(event, "state")))]),
        _ => {
            let told = ["name", "text", "reason", "by_ms", "peer_id"].map(text).join(" ");
            lang.say(Msg::WatchNotice, &[("notice", field(event, "notice")), ("text", told.trim())])
        }
    };
    crate::cli::out::clean_line(&said)
}
