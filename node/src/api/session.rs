//! Codes, sessions and tickets over HTTP.

use crate::api::Api;
use crate::api::error::{ApiError, EXIT_FAILED, EXIT_REFUSED};
use crate::api::extract::Body;
use crate::api::secrets::NoRandom;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use utoipa::ToSchema;

impl From<NoRandom> for ApiError {
    fn from(error: NoRandom) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", EXIT_FAILED, error.to_string())
            .with("reason", error.to_string())
    }
}

/// A one-time code.
#[derive(Deserialize, ToSchema)]
pub(crate) struct CodeBody {
    /// From the page's address.
    code: String,
}

/// A session.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionJson {
    /// The bearer token for this run of the node.
    token: String,
}

/// Exchanges a one-time code for a session's token.
#[utoipa::path(post, path = "/api/v1/session", request_body = CodeBody, responses((status = 200, body = SessionJson)))]
pub(crate) async fn open(
    State(api): State<Api>,
    Body(given): Body<CodeBody>,
) -> Result<Json<SessionJson>, ApiError> {
    let opened = api.secrets().open_session(&given.code, Instant::now())?;
    let message = "the code was used or is older than a minute: run `lanchat` for a new one";
    let token =
        opened.ok_or_else(|| ApiError::new(StatusCode::UNAUTHORIZED, "bad_code", EXIT_REFUSED, message))?;
    Ok(Json(SessionJson { token }))
}

/// A new one-time code.
#[derive(Serialize, ToSchema)]
pub(crate) struct NewCodeJson {
    /// Works once, within a minute.
    code: String,
}

/// Makes a one-time code, for another window.
#[utoipa::path(post, path = "/api/v1/code", responses((status = 200, body = NewCodeJson)))]
pub(crate) async fn new_code(State(api): State<Api>) -> Result<Json<NewCodeJson>, ApiError> {
    let code = api.secrets().new_code(Instant::now())?;
    Ok(Json(NewCodeJson { code }))
}

/// What a ticket is wanted for.
#[derive(Deserialize, ToSchema)]
pub(crate) struct TicketBody {
    /// The path, without a query.
    path: String,
}

/// A ticket.
#[derive(Serialize, ToSchema)]
pub(crate) struct TicketJson {
    /// Works once, within a minute.
    ticket: String,
    /// The path with the ticket.
    url: String,
}

/// Makes a ticket, for what a page opens without headers: images.
#[utoipa::path(post, path = "/api/v1/tickets", request_body = TicketBody, responses((status = 200, body = TicketJson)))]
pub(crate) async fn new_ticket(
    State(api): State<Api>,
    Body(wish): Body<TicketBody>,
) -> Result<Json<TicketJson>, ApiError> {
    if !wish.path.starts_with("/api/v1/") || wish.path.len() > 256 || wish.path.contains(['?', '#']) {
        return Err(ApiError::bad_request("a path below /api/v1/ is needed"));
    }
    let ticket = api.secrets().new_ticket(&wish.path, Instant::now())?;
    Ok(Json(TicketJson { url: format!("{}?ticket={ticket}", wish.path), ticket }))
}
