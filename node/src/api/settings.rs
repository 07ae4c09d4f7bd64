//! Settings, backup and the end of the program over HTTP.

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Body;
use crate::api::types::{DONE, DoneJson};
use crate::config::KEYS;
use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// All settings: one object, a key for each.
#[utoipa::path(get, path = "/api/v1/config", responses((status = 200, description = "an object with every setting")))]
pub(crate) async fn list(State(api): State<Api>) -> Result<Json<Map<String, Value>>, ApiError> {
    let settings = api.config.current();
    let pairs = KEYS.iter().map(|key| Ok(((*key).to_owned(), settings.get(key)?)));
    Ok(Json(pairs.collect::<Result<_, ApiError>>()?))
}

/// A setting.
#[derive(Serialize, ToSchema)]
pub(crate) struct SettingJson {
    /// Its name.
    key: String,
    /// Its value; null when it is not set.
    #[schema(value_type = Object, nullable)]
    value: Value,
}

/// One setting.
#[utoipa::path(get, path = "/api/v1/config/{key}", params(("key" = String, Path)), responses((status = 200, body = SettingJson)))]
pub(crate) async fn get(
    State(api): State<Api>,
    Path(key): Path<String>,
) -> Result<Json<SettingJson>, ApiError> {
    let value = api.config.current().get(&key)?;
    Ok(Json(SettingJson { key, value }))
}

/// What somebody typed for a setting.
#[derive(Deserialize, ToSchema)]
pub(crate) struct SetBody {
    /// The text; empty goes back to the default.
    value: String,
}

/// Changes a setting; a bad value is refused and nothing changes.
#[utoipa::path(put, path = "/api/v1/config/{key}", params(("key" = String, Path)), request_body = SetBody, responses((status = 200, body = SettingJson)))]
pub(crate) async fn set(
    State(api): State<Api>,
    Path(key): Path<String>,
    Body(typed): Body<SetBody>,
) -> Result<Json<SettingJson>, ApiError> {
    let writer = api.config.clone();
    let name = key.clone();
    let written = tokio::task::spawn_blocking(move || writer.set(&name, &typed.value)).await;
    written.map_err(|_| ApiError::stopping())??;
    get(State(api), Path(key)).await
}

/// A backup.
#[derive(Deserialize, ToSchema)]
pub(crate) struct BackupBody {
    /// Absolute path of the file to write.
    #[schema(value_type = String)]
    file: PathBuf,
    /// What it is encrypted under.
    passphrase: String,
}

/// Writes everything, encrypted, to a file.
#[utoipa::path(post, path = "/api/v1/backup", request_body = BackupBody, responses((status = 200, body = DoneJson)))]
pub(crate) async fn backup(
    State(api): State<Api>,
    Body(wish): Body<BackupBody>,
) -> Result<Json<DoneJson>, ApiError> {
    if !wish.file.is_absolute() {
        return Err(ApiError::bad_request("an absolute path is needed"));
    }
    api.handle.backup(wish.file, Zeroizing::new(wish.passphrase)).await?;
    Ok(Json(DONE))
}

/// Ends the program.
#[utoipa::path(post, path = "/api/v1/shutdown", responses((status = 200, body = DoneJson)))]
pub(crate) async fn shutdown(State(api): State<Api>) -> Json<DoneJson> {
    api.handle.shutdown().await;
    Json(DONE)
}
