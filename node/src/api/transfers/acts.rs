//! What a user can want of a transfer. Each answers with the transfer as it is then.

use crate::api::Api;
use crate::api::error::{ApiError, EXIT_FAILED};
use crate::api::extract::Body;
use crate::api::transfers::hints::impossible;
use crate::api::transfers::no_nul;
use crate::api::types::TransferJson;
use crate::blobs::WishError;
use crate::handle::HandleError;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use lanchat_node_core::input::{Command, TransferAct};
use lanchat_node_core::output::CommandError;
use lanchat_proto::ids::MessageId;
use serde::Deserialize;
use std::path::PathBuf;
use utoipa::ToSchema;

async fn act(api: &Api, offer: MessageId, act: TransferAct) -> Result<Json<TransferJson>, ApiError> {
    match api.handle.command(Command::Transfer { offer, act }).await {
        Err(HandleError::Command(CommandError::TransferState(state))) => {
            let known = api.handle.transfer(offer).await?.ok_or(CommandError::NoSuchTransfer)?;
            return Err(impossible(known.outgoing, state, act));
        }
        answered => drop(answered?),
    }
    api.transfer(offer).await?.map(Json).ok_or_else(|| CommandError::NoSuchTransfer.into())
}

fn bad_directory(error: &WishError) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_directory", EXIT_FAILED, error.to_string())
        .with("dir", error.dir.display().to_string())
        .with("reason", error.reason.as_str())
}

/// Where to save it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptBody {
    /// Absolute path of a directory on this machine, made if it is not there; without it the one of the settings.
    #[schema(value_type = Option<String>)]
    to_dir: Option<PathBuf>,
}

/// Fetches an offered file.
#[utoipa::path(post, path = "/api/v1/transfers/{id}/accept", params(("id" = String, Path)), request_body = AcceptBody, responses((status = 200, body = TransferJson)))]
pub(crate) async fn accept(
    State(api): State<Api>,
    Path(id): Path<String>,
    Body(wish): Body<AcceptBody>,
) -> Result<Json<TransferJson>, ApiError> {
    wish.to_dir.as_deref().map_or(Ok(()), no_nul)?;
    let offer = api.transfer_id(&id).await?;
    let known = api.handle.transfer(offer).await?.ok_or(CommandError::NoSuchTransfer)?;
    if !known.can_be_accepted() {
        // The wish about the directory is not to change one that is under way.
        return Err(impossible(known.outgoing, known.stored.state, TransferAct::Accept));
    }
    let files = api.handle.files().ok_or_else(ApiError::switching)?;
    let wished = tokio::task::spawn_blocking(move || files.wish(offer, wish.to_dir.as_deref())).await;
    wished.map_err(|_| ApiError::stopping())?.map_err(|error| bad_directory(&error))?;
    act(&api, offer, TransferAct::Accept).await
}

/// Says that the user does not want an offered file.
#[utoipa::path(post, path = "/api/v1/transfers/{id}/reject", params(("id" = String, Path)), responses((status = 200, body = TransferJson)))]
pub(crate) async fn reject(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<TransferJson>, ApiError> {
    act(&api, api.transfer_id(&id).await?, TransferAct::Reject).await
}

/// Fetches or sends no more for now.
#[utoipa::path(post, path = "/api/v1/transfers/{id}/pause", params(("id" = String, Path)), responses((status = 200, body = TransferJson)))]
pub(crate) async fn pause(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<TransferJson>, ApiError> {
    act(&api, api.transfer_id(&id).await?, TransferAct::Pause).await
}

/// Goes on with what is paused.
#[utoipa::path(post, path = "/api/v1/transfers/{id}/resume", params(("id" = String, Path)), responses((status = 200, body = TransferJson)))]
pub(crate) async fn resume(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<TransferJson>, ApiError> {
    act(&api, api.transfer_id(&id).await?, TransferAct::Resume).await
}

/// Gives a transfer up; an offer of one's own is withdrawn.
#[utoipa::path(post, path = "/api/v1/transfers/{id}/cancel", params(("id" = String, Path)), responses((status = 200, body = TransferJson)))]
pub(crate) async fn cancel(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<TransferJson>, ApiError> {
    act(&api, api.transfer_id(&id).await?, TransferAct::Cancel).await
}
