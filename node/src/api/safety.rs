//! The safety code of a pair: shown, marked as compared, taken back.
//!
//! Keeps true: only the code that somebody saw is ever marked as compared; if it changed meanwhile, the answer says so.

use crate::api::error::ApiError;
use crate::api::extract::Body;
use crate::api::{Api, Shared};
use axum::Json;
use axum::extract::{Path, State};
use lanchat_node_core::input::Command;
use lanchat_node_core::output::{Answer, CommandError};
use lanchat_node_core::view::UserView;
use lanchat_proto::certificate::SafetyCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The safety code with a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct SafetyJson {
    /// Hex.
    user_id: String,
    /// Login.
    name: String,
    /// Twelve groups of five digits, with spaces between.
    code: String,
    /// Whether it was compared and still stands.
    verified: bool,
}

impl Shared {
    async fn safety(&self, user: &UserView) -> Result<(SafetyCode, bool), ApiError> {
        match self.handle.command(Command::AskSafetyCode { user: user.user }).await? {
            Answer::SafetyCode { code, verified } => Ok((code, verified)),
            Answer::Done
            | Answer::Sent { .. }
            | Answer::Salt(_)
            | Answer::Avatar(_)
            | Answer::Dialled { .. } => Err(ApiError::stopping()),
        }
    }

    async fn safety_json(&self, user: UserView) -> Result<Json<SafetyJson>, ApiError> {
        let (code, verified) = self.safety(&user).await?;
        let (user_id, code) = (user.user.to_string(), code.to_string());
        Ok(Json(SafetyJson { user_id, name: user.name, code, verified }))
    }
}

/// The code to be compared with a user.
#[utoipa::path(get, path = "/api/v1/users/{user}/safety", params(("user" = String, Path)), responses((status = 200, body = SafetyJson)))]
pub(crate) async fn show(
    State(api): State<Api>,
    Path(user): Path<String>,
) -> Result<Json<SafetyJson>, ApiError> {
    let user = api.resolve(&user).await?;
    api.safety_json(user).await
}

/// What the two people compared.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SafetyBody {
    /// The code as it was shown; spaces and hyphens do not matter.
    code: String,
}

/// Marks the code as compared.
#[utoipa::path(put, path = "/api/v1/users/{user}/safety", params(("user" = String, Path)), request_body = SafetyBody, responses((status = 200, body = SafetyJson)))]
pub(crate) async fn confirm(
    State(api): State<Api>,
    Path(user): Path<String>,
    Body(compared): Body<SafetyBody>,
) -> Result<Json<SafetyJson>, ApiError> {
    let user = api.resolve(&user).await?;
    let (code, _) = api.safety(&user).await?;
    if !code.is(&compared.code) {
        return Err(CommandError::CodeChanged.into());
    }
    api.handle.command(Command::ConfirmSafetyCode { user: user.user, code }).await?;
    api.safety_json(user).await
}

/// Takes it back.
#[utoipa::path(delete, path = "/api/v1/users/{user}/safety", params(("user" = String, Path)), responses((status = 200, body = SafetyJson)))]
pub(crate) async fn forget(
    State(api): State<Api>,
    Path(user): Path<String>,
) -> Result<Json<SafetyJson>, ApiError> {
    let user = api.resolve(&user).await?;
    api.handle.command(Command::ForgetSafetyCode { user: user.user }).await?;
    api.safety_json(user).await
}
