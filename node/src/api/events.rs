//! Events over the WebSocket: recorded once as JSON in the journal, told to each listener from its own position.
//!
//! Keeps true: the token is the first frame, within two seconds; ids rise and nothing between two of them is left out
//! without a `resync`; a listener that does not read is closed and never holds up the others. `docs/api.md#events`.

mod json;
mod moving;

use crate::api::error::{ApiError, EXIT_FAILED};
use crate::api::journal::Next;
use crate::api::limits::{PROGRESS, SOCKET_FRAME, SOCKET_PING, SOCKET_SEND, SOCKET_TOKEN};
use crate::api::{Api, Shared};
use crate::handle::NumberedEvent;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use json::Names;
use moving::Moving;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, timeout};

/// Writes the node's events into the journal until the node or the API ends.
pub(crate) async fn record(api: Api, mut events: Receiver<NumberedEvent>) {
    let mut names = Names::default();
    let mut moving = Moving::default();
    let mut tick = tokio::time::interval(PROGRESS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            _ = tick.tick(), if !moving.is_empty() => {
                moving.look(&api).await;
                continue;
            }
        };
        match event {
            Ok(numbered) => {
                let told = json::event(&api, &mut names, &numbered).await;
                // Of the bytes of a transfer only the newest word is kept, or they would push all else out.
                let replaces = told.transfer.and_then(|(offer, runs)| moving.note(offer, runs, numbered.id));
                if let Some(old) = replaces {
                    api.journal.forget(old);
                }
                api.journal.push(numbered.id, told.json);
            }
            // The next event's id shows the gap to the journal, and the journal to its listeners.
            Err(RecvError::Lagged(missed)) => tracing::warn!(missed, "Events were too many to record"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// The events as a WebSocket. First frame of the client: the token, or `{"token": …, "since": ID, "run": RUN}`.
#[utoipa::path(get, path = "/api/v1/events", responses((status = 101, description = "WebSocket; see docs/api.md#events")))]
pub(crate) async fn socket(
    State(api): State<Api>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    match upgrade {
        Ok(upgrade) => upgrade
            .max_message_size(SOCKET_FRAME)
            .max_frame_size(SOCKET_FRAME)
            .on_upgrade(move |socket| serve(api, socket)),
        Err(_) => {
            let message = "this address speaks WebSocket only";
            ApiError::new(StatusCode::UPGRADE_REQUIRED, "bad_request", EXIT_FAILED, message)
                .with("reason", message)
                .into_response()
        }
    }
}

/// What a client may say.
#[derive(Deserialize, Default)]
struct Said {
    token: Option<String>,
    since: Option<u64>,
    run: Option<String>,
}

impl Said {
    fn first(text: &str) -> Self {
        serde_json::from_str(text)
            .unwrap_or_else(|_| Self { token: Some(text.trim().to_owned()), ..Self::default() })
    }

    /// Where to go on; a position of another run is none of this one.
    fn position(&self, api: &Shared) -> Option<u64> {
        let same_run = self.run.as_ref().is_none_or(|run| *run == api.run);
        self.since.map(|since| if same_run { since } else { u64::MAX })
    }
}

async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
    // Whoever is gone needs no reason.
    drop(timeout(SOCKET_SEND, socket.send(Message::Close(Some(frame)))).await);
}

fn place(among: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    among.clone().try_acquire_owned().ok()
}

async fn serve(api: Api, mut socket: WebSocket) {
    let Some(pending) = place(&api.sockets_pending) else {
        return close(socket, close_code::AGAIN, "too many connections").await;
    };
    let first = timeout(SOCKET_TOKEN, socket.recv()).await;
    let said = match first {
        Ok(Some(Ok(Message::Text(text)))) => Said::first(&text),
        Ok(Some(Ok(_)) | None | Some(Err(_))) | Err(_) => Said::default(),
    };
    if !said.token.as_ref().is_some_and(|token| api.secrets().is_token(token)) {
        return close(socket, close_code::POLICY, "a token is needed").await;
    }
    let Some(_place) = place(&api.sockets) else {
        return close(socket, close_code::AGAIN, "too many connections").await;
    };
    drop(pending);
    let ended = tokio::select! {
        () = api.stop.cancelled() => "lanchat is shutting down",
        () = tell(&api, &mut socket, &said) => "",
    };
    close(socket, if ended.is_empty() { close_code::NORMAL } else { close_code::AWAY }, ended).await;
}

/// Sends a frame; false when the other is gone or does not read.
async fn send(socket: &mut WebSocket, frame: Message) -> bool {
    matches!(timeout(SOCKET_SEND, socket.send(frame)).await, Ok(Ok(())))
}

async fn tell(api: &Api, socket: &mut WebSocket, said: &Said) {
    let mut newest = api.journal.subscribe();
    let mut position = said.position(api).unwrap_or(api.journal.newest());
    let ready = json!({ "type": "ready", "id": api.journal.newest(), "run": api.run });
    if !send(socket, Message::Text(ready.to_string().into())).await {
        return;
    }
    // Two pings without a sign of life and the other is gone.
    let mut silent = 0;
    loop {
        newest.mark_unchanged();
        let frame = match api.journal.after(position) {
            Next::Event(id, json) => {
                position = id;
                Some(json.to_string())
            }
            Next::Resync(id) => {
                position = id;
                Some(json!({ "type": "resync", "id": id }).to_string())
            }
            Next::Nothing => None,
        };
        if let Some(frame) = frame {
            if !send(socket, Message::Text(frame.into())).await {
                return;
            }
            continue;
        }
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return },
            heard = socket.recv() => {
                silent = 0;
                match heard {
                    Some(Ok(Message::Text(text))) => {
                        let said: Said = serde_json::from_str(&text).unwrap_or_default();
                        position = said.position(api).unwrap_or(position);
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_))) => {}
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                }
            }
            () = tokio::time::sleep(SOCKET_PING) => {
                silent += 1;
                if silent > 2 || !send(socket, Message::Ping(Bytes::new())).await {
                    return;
                }
            }
        }
    }
}
