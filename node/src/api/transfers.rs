//! Files: offering them, what becomes of them, and what the user wants of them.
//!
//! Keeps true: a path is one of this machine, since the API is; a transfer is shown as it is when it is asked for; a wait
//! that ends changes nothing. An id may be shortened to its first digits, as long as it means one transfer.

mod acts;
mod hints;
mod readings;
mod view;

pub(super) use acts::{__path_accept, __path_cancel, __path_pause, __path_reject, __path_resume};
pub(super) use acts::{accept, cancel, pause, reject, resume};
pub(super) use readings::{__path_readings, Readings, readings};

use crate::api::error::{ApiError, EXIT_FAILED};
use crate::api::extract::{Body, Params};
use crate::api::limits::{ANSWER, CANDIDATES, ID_DIGITS, WAIT, WAIT_DEFAULT};
use crate::api::types::{OfferWait, TransferJson};
use crate::api::{Api, Shared};
use crate::blobs::OfferError;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use lanchat_node_core::input::Command;
use lanchat_node_core::output::{Answer, CommandError, Event};
use lanchat_proto::ids::MessageId;
use serde::Deserialize;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout, timeout_at};
use utoipa::{IntoParams, ToSchema};

fn no_such_transfer() -> ApiError {
    CommandError::NoSuchTransfer.into()
}

impl Shared {
    /// The transfer that a person means by an id or its first digits.
    async fn transfer_id(&self, given: &str) -> Result<MessageId, ApiError> {
        let given = given.trim().to_ascii_lowercase();
        if let Ok(id) = given.parse() {
            return Ok(id);
        }
        let is_hex = given.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex || given.len() < ID_DIGITS {
            return Err(no_such_transfer());
        }
        let all = self.handle.transfers().await?;
        let ids = all.iter().map(|view| view.stored.offer).filter(|id| id.to_string().starts_with(&given));
        let found: Vec<MessageId> = ids.collect();
        match found.as_slice() {
            [] => Err(no_such_transfer()),
            [one] => Ok(*one),
            several => {
                let ids: Vec<String> = several.iter().take(CANDIDATES).map(MessageId::to_string).collect();
                let message = format!("several transfers begin with '{given}': {}", ids.join(", "));
                let error = ApiError::new(StatusCode::CONFLICT, "ambiguous_transfer", EXIT_FAILED, message);
                Err(error.with("id", given).with("candidates", json!(ids)))
            }
        }
    }

    /// Waits until nothing more happens to a transfer by itself, or for as long as this; then tells how it is.
    async fn transfer_over(&self, offer: MessageId, deadline: Instant) -> Result<TransferJson, ApiError> {
        let mut events = self.handle.events();
        loop {
            let transfer = self.transfer(offer).await?.ok_or_else(no_such_transfer)?;
            if transfer.is_over() {
                return Ok(transfer);
            }
            let news = async {
                loop {
                    match events.recv().await {
                        Ok(told) if !matches!(*told.event, Event::Transfer { offer: of } if of == offer) => {}
                        // Missed events may have been about it.
                        Ok(_) | Err(RecvError::Lagged(_)) => return Ok(()),
                        Err(RecvError::Closed) => return Err(ApiError::stopping()),
                    }
                }
            };
            tokio::select! {
                waited = timeout_at(deadline, news) => match waited {
                    Ok(told) => told?,
                    Err(_) => return self.transfer(offer).await?.ok_or_else(no_such_transfer),
                },
                () = self.stop.cancelled() => return Err(ApiError::stopping()),
            }
        }
    }
}

/// All transfers, those that were offered first in front.
#[utoipa::path(get, path = "/api/v1/transfers", responses((status = 200, body = Vec<TransferJson>)))]
pub(crate) async fn list(State(api): State<Api>) -> Result<Json<Vec<TransferJson>>, ApiError> {
    api.transfers().await.map(Json)
}

/// How long to wait for a transfer's end.
#[derive(Deserialize, IntoParams)]
pub(crate) struct TransferQuery {
    /// Most milliseconds to wait until the transfer is over; without it the answer comes at once.
    wait_ms: Option<u64>,
}

/// One transfer, by its id or the first 4 digits or more of it. After the wait it is told as it is, over or not.
#[utoipa::path(get, path = "/api/v1/transfers/{id}", params(("id" = String, Path), TransferQuery), responses((status = 200, body = TransferJson)))]
pub(crate) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
    Params(wish): Params<TransferQuery>,
) -> Result<Json<TransferJson>, ApiError> {
    let offer = api.transfer_id(&id).await?;
    let limit = Duration::from_millis(wish.wait_ms.unwrap_or(0)).min(Duration::from_secs(WAIT));
    api.transfer_over(offer, Instant::now() + limit).await.map(Json)
}

/// A file to offer.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfferBody {
    /// Login or `@user_id`.
    to: String,
    /// The file's path on this machine, absolute.
    #[schema(value_type = String)]
    path: PathBuf,
    /// What to wait for before answering.
    #[serde(default)]
    wait: OfferWait,
    /// Seconds to wait once it is offered, at most a day; 30 without it.
    timeout_s: Option<u64>,
}

/// A path that no system takes is a mistake of whoever asks.
fn no_nul(path: &std::path::Path) -> Result<(), ApiError> {
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err(ApiError::bad_request("a path has no NUL in it"));
    }
    Ok(())
}

/// How long to wait for a file's end.
fn wait_limit(seconds: Option<u64>) -> Result<Duration, ApiError> {
    match seconds.unwrap_or(WAIT_DEFAULT) {
        seconds if seconds > WAIT => Err(ApiError::bad_request(format!("timeout_s is at most {WAIT}"))),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

/// Why a file cannot be offered.
fn offer_error(error: &OfferError) -> ApiError {
    use StatusCode as S;
    let message = error.to_string();
    let with = |status, code, path: &std::path::Path| {
        ApiError::new(status, code, EXIT_FAILED, message.clone()).with("path", path.display().to_string())
    };
    match error {
        OfferError::Missing(path) => with(S::NOT_FOUND, "no_such_file", path),
        OfferError::Directory(path) => with(S::UNPROCESSABLE_ENTITY, "is_directory", path),
        OfferError::Special(path) => with(S::UNPROCESSABLE_ENTITY, "special_file", path),
        OfferError::Read { path, reason } => {
            with(S::UNPROCESSABLE_ENTITY, "file_unreadable", path).with("reason", reason.as_str())
        }
        OfferError::Changed(path) => with(S::CONFLICT, "file_changed", path),
        OfferError::Name { path, reason } => {
            with(S::UNPROCESSABLE_ENTITY, "bad_file_name", path).with("reason", reason.as_str())
        }
        OfferError::Keep { path, reason } => {
            with(S::INSUFFICIENT_STORAGE, "storage", path).with("reason", reason.as_str())
        }
        OfferError::Stopped => ApiError::stopping(),
    }
}

/// Offers a file, which is read as a whole first, and waits for what the caller wants to wait for. A file that its
/// receiver did not want is an answer, not an error: `state` tells.
#[utoipa::path(post, path = "/api/v1/transfers", request_body = OfferBody, responses((status = 200, body = TransferJson)))]
pub(crate) async fn offer(
    State(api): State<Api>,
    Body(wish): Body<OfferBody>,
) -> Result<Json<TransferJson>, ApiError> {
    if !wish.path.is_absolute() {
        return Err(ApiError::bad_request("an absolute path is needed"));
    }
    no_nul(&wish.path)?;
    let limit = wait_limit(wish.timeout_s)?;
    let to = api.resolve(&wish.to).await?.user;
    let files = api.handle.files().ok_or_else(ApiError::switching)?;
    let size = tokio::fs::metadata(&wish.path).await.map_or(0, |found| found.len());
    let reading = api.readings.begin(&wish.path, size);
    let prepared = tokio::select! {
        prepared = files.offer(&wish.path, |done| reading.reached(done)) => prepared.map_err(|error| offer_error(&error))?,
        () = api.stop.cancelled() => return Err(ApiError::stopping()),
    };
    drop(reading);
    let command = Command::OfferFile { to, file: prepared.file };
    let answered = timeout(ANSWER, api.handle.command(command)).await;
    let answer = answered.map_err(|_| ApiError::timed_out("the offer could not be stored in time"))??;
    let Answer::Sent { message: offer, .. } = answer else { return Err(ApiError::stopping()) };
    if wish.wait == OfferWait::Offered {
        return api.transfer(offer).await?.map(Json).ok_or_else(no_such_transfer);
    }
    let transfer = api.transfer_over(offer, Instant::now() + limit).await?;
    if transfer.is_over() {
        return Ok(Json(transfer));
    }
    let message = "not there within the time; the transfer goes on";
    let error = ApiError { code: "transfer_timed_out", ..ApiError::timed_out(message) };
    Err(error.with("transfer", serde_json::to_value(&transfer).unwrap_or_default()))
}
