//! The node, the people, the own profile, the starred.

use crate::api::error::{ApiError, EXIT_FAILED};
use crate::api::extract::{Body, Params, Raw};
use crate::api::limits::CANDIDATES;
use crate::api::types::{DONE, DoneJson, StatusJson, UserJson, presence_of};
use crate::api::{Api, Shared, wall_now};
use crate::store::rows::StoreStats;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use lanchat_node_core::input::Command;
use lanchat_node_core::output::Answer;
use lanchat_node_core::view::UserView;
use lanchat_proto::codec::Blob;
use lanchat_proto::ids::UserId;
use lanchat_proto::limits::MAX_AVATAR;
use lanchat_proto::names::{DisplayName, DisplayText};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

impl Shared {
    /// Whom a person means by a login or `@user_id`.
    pub(crate) async fn resolve(&self, to: &str) -> Result<UserView, ApiError> {
        let to = to.trim();
        if to.starts_with('#') {
            let message = "groups do not exist yet: give a user name or @user_id";
            return Err(ApiError::new(StatusCode::NOT_IMPLEMENTED, "no_groups", EXIT_FAILED, message));
        }
        let users = self.handle.users().await?;
        if let Some(id) = to.strip_prefix('@') {
            let found =
                id.parse::<UserId>().ok().and_then(|id| users.into_iter().find(|user| user.user == id));
            return found.ok_or_else(|| ApiError::no_such_user(to));
        }
        let name = to.to_lowercase();
        let mut found: Vec<UserView> =
            users.into_iter().filter(|user| !user.gone && user.name == name).collect();
        match (found.pop(), found.is_empty()) {
            (None, _) => Err(self.nobody(to, &name).await?),
            (Some(user), true) => Ok(user),
            (Some(last), false) => {
                found.push(last);
                Err(ambiguous(to, &found))
            }
        }
    }

    /// The error for a name that is nobody else's.
    async fn nobody(&self, to: &str, name: &str) -> Result<ApiError, ApiError> {
        if self.handle.status().await?.core.name == name {
            return Ok(lanchat_node_core::output::CommandError::Yourself.into());
        }
        Ok(ApiError::no_such_user(to))
    }

    /// Logins by user, one's own included.
    pub(crate) async fn names(&self) -> Result<BTreeMap<UserId, String>, ApiError> {
        let mut names: BTreeMap<_, _> =
            self.handle.users().await?.into_iter().map(|user| (user.user, user.name)).collect();
        let own = self.handle.status().await?.core;
        names.insert(own.user, own.name);
        Ok(names)
    }
}

fn ambiguous(name: &str, found: &[UserView]) -> ApiError {
    let ids: Vec<String> = found.iter().take(CANDIDATES).map(|user| format!("@{}", user.user)).collect();
    let message = format!("several people are called '{name}'; give one of {}", ids.join(", "));
    ApiError::new(StatusCode::CONFLICT, "ambiguous", EXIT_FAILED, message)
        .with("name", name)
        .with("candidates", json!(ids))
}

/// The node.
#[utoipa::path(get, path = "/api/v1/status", responses((status = 200, body = StatusJson)))]
pub(crate) async fn status(State(api): State<Api>) -> Result<Json<StatusJson>, ApiError> {
    let status = api.handle.status().await?;
    // Between two memberships there is nothing stored to count.
    let stats = match api.handle.reader() {
        Some(_) => api.read(|reader| reader.stats()).await?,
        None => StoreStats::default(),
    };
    Ok(Json(StatusJson::new(status, stats, wall_now())))
}

/// Which users.
#[derive(Deserialize, IntoParams)]
pub(crate) struct UsersQuery {
    /// Part of a login, displayed name or department, or `@user_id`; all without it.
    query: Option<String>,
}

fn matches(user: &UserView, wanted: &str) -> bool {
    let id = user.user.to_string();
    wanted.strip_prefix('@').is_some_and(|given| given == id)
        || [&user.name, &user.display_name, &user.department]
            .iter()
            .any(|field| field.to_lowercase().contains(wanted))
}

/// Everybody but oneself.
#[utoipa::path(get, path = "/api/v1/users", params(UsersQuery), responses((status = 200, body = Vec<UserJson>)))]
pub(crate) async fn users(
    State(api): State<Api>,
    Params(wish): Params<UsersQuery>,
) -> Result<Json<Vec<UserJson>>, ApiError> {
    let me = api.handle.status().await?.core.user;
    let stars = api.contacts.of(&me);
    let wanted = wish.query.unwrap_or_default().trim().to_lowercase();
    let mut found = api.handle.users().await?;
    found.retain(|user| !user.gone && user.user != me && matches(user, &wanted));
    found.sort_by(|a, b| (&a.name, a.user).cmp(&(&b.name, b.user)));
    let json = found.iter().map(|user| UserJson::new(user, stars.contains(&user.user.to_string())));
    Ok(Json(json.collect()))
}

/// The own profile.
#[utoipa::path(get, path = "/api/v1/profile", responses((status = 200, body = UserJson)))]
pub(crate) async fn profile(State(api): State<Api>) -> Result<Json<UserJson>, ApiError> {
    let mut own = api.handle.me().await?;
    if own.name.is_empty() {
        // Nobody told this node about itself yet.
        own.name = api.handle.status().await?.core.name;
    }
    Ok(Json(UserJson::new(&own, false)))
}

/// What changes; what is not there stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProfileBody {
    /// At most 64 characters, not empty.
    display_name: Option<String>,
    /// At most 64 characters.
    department: Option<String>,
    /// At most 64 characters.
    title: Option<String>,
    /// At most 256 characters.
    note: Option<String>,
}

fn text<const N: usize>(name: &str, given: Option<String>) -> Result<Option<DisplayText<N>>, ApiError> {
    let parsed = given.map(|text| DisplayText::parse(&text)).transpose();
    parsed.map_err(|error| ApiError::invalid("bad_profile", format!("{name}: {error}")))
}

/// Changes the own profile.
#[utoipa::path(put, path = "/api/v1/profile", request_body = ProfileBody, responses((status = 200, body = DoneJson)))]
pub(crate) async fn set_profile(
    State(api): State<Api>,
    Body(wish): Body<ProfileBody>,
) -> Result<Json<DoneJson>, ApiError> {
    let display_name = wish.display_name.map(|name| DisplayName::parse_filled(&name)).transpose();
    let command = Command::SetProfile {
        display_name: display_name
            .map_err(|error| ApiError::invalid("bad_profile", format!("display_name: {error}")))?,
        department: text("department", wish.department)?,
        title: text("title", wish.title)?,
        note: text("note", wish.note)?,
        avatar: None,
    };
    api.handle.command(command).await?;
    Ok(Json(DONE))
}

/// The content type of an image, from its first bytes.
fn image_type(bytes: &[u8]) -> Option<&'static str> {
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some("image/png")
    } else if bytes.starts_with(b"\xff\xd8\xff") {
        Some("image/jpeg")
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        Some("image/gif")
    } else if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        Some("image/webp")
    } else {
        None
    }
}

async fn put_avatar(api: &Api, avatar: Blob<MAX_AVATAR>) -> Result<Json<DoneJson>, ApiError> {
    let (display_name, department, title, note) = (None, None, None, None);
    let command = Command::SetProfile { display_name, department, title, note, avatar: Some(avatar) };
    api.handle.command(command).await?;
    Ok(Json(DONE))
}

/// Sets the own avatar.
#[utoipa::path(put, path = "/api/v1/profile/avatar", request_body(content_type = "image/png", description = "PNG, JPEG, WebP or GIF of at most 64 KiB"), responses((status = 200, body = DoneJson)))]
pub(crate) async fn set_avatar(State(api): State<Api>, Raw(bytes): Raw) -> Result<Json<DoneJson>, ApiError> {
    if image_type(&bytes).is_none() {
        return Err(ApiError::invalid("bad_image", "an avatar is a PNG, JPEG, WebP or GIF image"));
    }
    let avatar = Blob::new(bytes.to_vec()).map_err(|_| {
        let reason = format!("an avatar has at most {} KiB", MAX_AVATAR / 1024);
        ApiError::invalid("bad_image", reason)
    })?;
    put_avatar(&api, avatar).await
}

/// Removes the own avatar.
#[utoipa::path(delete, path = "/api/v1/profile/avatar", responses((status = 200, body = DoneJson)))]
pub(crate) async fn remove_avatar(State(api): State<Api>) -> Result<Json<DoneJson>, ApiError> {
    put_avatar(&api, Blob::default()).await
}

/// A user's avatar.
#[utoipa::path(get, path = "/api/v1/users/{user}/avatar", params(("user" = String, Path)), responses((status = 200, description = "the image")))]
pub(crate) async fn avatar(State(api): State<Api>, Path(user): Path<String>) -> Result<Response, ApiError> {
    let user = user.trim_start_matches('@').parse().map_err(|_| ApiError::no_such_user(&user))?;
    let Answer::Avatar(bytes) = api.handle.command(Command::AskAvatar { user }).await? else {
        return Err(ApiError::stopping());
    };
    // Another's bytes: only what is an image is ever called one.
    match image_type(&bytes) {
        Some(kind) => Ok(([(CONTENT_TYPE, kind)], bytes).into_response()),
        None => Err(super::guard::no_such_page().await),
    }
}

/// How the user wishes to be seen.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PresenceBody {
    /// `online`, `away` or `busy`.
    presence: String,
}

/// Sets the own presence.
#[utoipa::path(put, path = "/api/v1/presence", request_body = PresenceBody, responses((status = 200, body = DoneJson)))]
pub(crate) async fn set_presence(
    State(api): State<Api>,
    Body(wish): Body<PresenceBody>,
) -> Result<Json<DoneJson>, ApiError> {
    let presence = presence_of(&wish.presence)
        .ok_or_else(|| ApiError::invalid("bad_profile", "presence: online, away or busy is needed"))?;
    api.handle.command(Command::SetPresence { presence }).await?;
    Ok(Json(DONE))
}

/// The starred people.
#[utoipa::path(get, path = "/api/v1/contacts", responses((status = 200, body = Vec<UserJson>)))]
pub(crate) async fn contacts(State(api): State<Api>) -> Result<Json<Vec<UserJson>>, ApiError> {
    let stars = api.contacts.of(&api.handle.status().await?.core.user);
    let mut found = api.handle.users().await?;
    found.retain(|user| stars.contains(&user.user.to_string()));
    found.sort_by(|a, b| (&a.name, a.user).cmp(&(&b.name, b.user)));
    Ok(Json(found.iter().map(|user| UserJson::new(user, true)).collect()))
}

/// Whom.
#[derive(Deserialize, ToSchema)]
pub(crate) struct ContactBody {
    /// Login or `@user_id`.
    user: String,
}

async fn star(api: &Api, user: &str, star: bool) -> Result<Json<DoneJson>, ApiError> {
    let user = api.resolve(user).await?.user;
    let me = api.handle.status().await?.core.user;
    let shared = api.clone();
    let written = tokio::task::spawn_blocking(move || shared.contacts.set(&me, &user, star)).await;
    written.map_err(|_| ApiError::stopping())??;
    // Whose files are fetched unasked may depend on it.
    api.handle.contacts_changed().await?;
    Ok(Json(DONE))
}

/// Stars somebody.
#[utoipa::path(post, path = "/api/v1/contacts", request_body = ContactBody, responses((status = 200, body = DoneJson)))]
pub(crate) async fn add_contact(
    State(api): State<Api>,
    Body(whom): Body<ContactBody>,
) -> Result<Json<DoneJson>, ApiError> {
    star(&api, &whom.user, true).await
}

/// Takes a star away.
#[utoipa::path(delete, path = "/api/v1/contacts/{user}", params(("user" = String, Path)), responses((status = 200, body = DoneJson)))]
pub(crate) async fn remove_contact(
    State(api): State<Api>,
    Path(user): Path<String>,
) -> Result<Json<DoneJson>, ApiError> {
    star(&api, &user, false).await
}
