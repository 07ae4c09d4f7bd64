//! Entering and leaving an organisation, the password, the devices.

use crate::api::Api;
use crate::api::error::ApiError;
use crate::api::extract::Body;
use crate::api::peer_id::{parse_device, peer_id};
use crate::api::types::{DONE, DoneJson, OwnedDeviceJson, route_name};
use crate::handle::{Enrol, EnrolMode};
use axum::Json;
use axum::extract::State;
use lanchat_node_core::input::Command;
use lanchat_node_core::output::CommandError;
use lanchat_node_core::view::{Route, UserView};
use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// An account, new or not.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnrolBody {
    /// Join link, `host`, `host:port`, multiaddr or `auto`; without it the configured or last one.
    #[serde(default)]
    coordinator: String,
    /// The login.
    user: String,
    /// The password.
    password: String,
    /// The organisation's fingerprint that the person confirmed.
    trust: Option<String>,
    /// Whether a changed key of a known coordinator is accepted.
    #[serde(default)]
    trust_new_key: bool,
    /// For a new account: the invite; without it the join link's.
    invite: Option<String>,
    /// For a new account: the name to display; without it the login.
    display_name: Option<String>,
}

/// A login or registration that worked.
#[derive(serde::Serialize, ToSchema)]
pub(crate) struct EnteredJson {
    /// Always true.
    done: bool,
    /// Whether the password was a one-time secret and is to be changed.
    must_change_password: bool,
}

async fn enrol(api: &Api, wish: EnrolBody, register: bool) -> Result<Json<EnteredJson>, ApiError> {
    let mode = if register {
        EnrolMode::Register { invite: wish.invite, display_name: wish.display_name }
    } else {
        EnrolMode::Login
    };
    let enrol = Enrol {
        coordinator: wish.coordinator,
        trust: wish.trust,
        trust_new_key: wish.trust_new_key,
        user: wish.user,
        password: Zeroizing::new(wish.password),
        mode,
    };
    let entered = api.handle.enrol(enrol).await?;
    Ok(Json(EnteredJson { done: true, must_change_password: entered.must_change_password }))
}

/// Creates an account and signs in.
#[utoipa::path(post, path = "/api/v1/account/register", request_body = EnrolBody, responses((status = 200, body = EnteredJson)))]
pub(crate) async fn register(
    State(api): State<Api>,
    Body(wish): Body<EnrolBody>,
) -> Result<Json<EnteredJson>, ApiError> {
    enrol(&api, wish, true).await
}

/// Signs this device in.
#[utoipa::path(post, path = "/api/v1/account/login", request_body = EnrolBody, responses((status = 200, body = EnteredJson)))]
pub(crate) async fn login(
    State(api): State<Api>,
    Body(wish): Body<EnrolBody>,
) -> Result<Json<EnteredJson>, ApiError> {
    enrol(&api, wish, false).await
}

/// Signs this device out; the node goes back to the open LAN.
#[utoipa::path(post, path = "/api/v1/account/logout", responses((status = 200, body = DoneJson)))]
pub(crate) async fn logout(State(api): State<Api>) -> Result<Json<DoneJson>, ApiError> {
    api.handle.logout().await?;
    Ok(Json(DONE))
}

/// Two passwords.
#[derive(Deserialize, ToSchema)]
pub(crate) struct PasswordBody {
    /// The one until now.
    old: String,
    /// The one from now on.
    new: String,
}

/// Changes the password.
#[utoipa::path(post, path = "/api/v1/account/password", request_body = PasswordBody, responses((status = 200, body = DoneJson)))]
pub(crate) async fn password(
    State(api): State<Api>,
    Body(wish): Body<PasswordBody>,
) -> Result<Json<DoneJson>, ApiError> {
    api.handle.change_password(Zeroizing::new(wish.old), Zeroizing::new(wish.new)).await?;
    Ok(Json(DONE))
}

/// The own devices, and those of others that nobody vouches for.
#[utoipa::path(get, path = "/api/v1/devices", responses((status = 200, body = Vec<OwnedDeviceJson>)))]
pub(crate) async fn devices(State(api): State<Api>) -> Result<Json<Vec<OwnedDeviceJson>>, ApiError> {
    let status = api.handle.status().await?;
    let this = status.peer_id;
    let own = api.handle.me().await?;
    let others = api.handle.users().await?;
    let rows = |user: &UserView, is_own: bool| -> Vec<OwnedDeviceJson> {
        let shown = user.devices.iter().filter(|device| is_own || !device.endorsed);
        let row = shown.map(|device| OwnedDeviceJson {
            user_id: user.user.to_string(),
            name: user.name.clone(),
            peer_id: peer_id(&device.device),
            own: is_own,
            this: peer_id(&device.device) == this,
            endorsed: Some(device.endorsed),
            route: route_name(device.route),
            addr: device.addr.map(|addr| addr.to_string()),
        });
        row.collect()
    };
    let mut own = rows(&own, true);
    if !own.iter().any(|device| device.this) {
        // The table of peers has no row for this device itself.
        let this = OwnedDeviceJson {
            user_id: status.core.user.to_string(),
            name: status.core.name,
            peer_id: this.clone(),
            own: true,
            this: true,
            endorsed: None,
            route: route_name(Route::None),
            addr: None,
        };
        own.insert(0, this);
    }
    let others = others.iter().filter(|user| !user.gone).flat_map(|user| rows(user, false));
    Ok(Json(own.into_iter().chain(others).collect()))
}

/// Which device.
#[derive(Deserialize, ToSchema)]
pub(crate) struct DeviceBody {
    /// As libp2p prints it.
    peer_id: String,
}

/// Vouches for another device of one's own.
#[utoipa::path(post, path = "/api/v1/devices/endorse", request_body = DeviceBody, responses((status = 200, body = DoneJson)))]
pub(crate) async fn endorse(
    State(api): State<Api>,
    Body(wish): Body<DeviceBody>,
) -> Result<Json<DoneJson>, ApiError> {
    let device = parse_device(&wish.peer_id).ok_or(CommandError::NoSuchDevice)?;
    api.handle.command(Command::Endorse { device }).await?;
    Ok(Json(DONE))
}

/// Accepts a device of somebody else that nobody vouches for.
#[utoipa::path(post, path = "/api/v1/devices/accept", request_body = DeviceBody, responses((status = 200, body = DoneJson)))]
pub(crate) async fn accept(
    State(api): State<Api>,
    Body(wish): Body<DeviceBody>,
) -> Result<Json<DoneJson>, ApiError> {
    let device = parse_device(&wish.peer_id).ok_or(CommandError::NoSuchDevice)?;
    api.handle.command(Command::AcceptDevice { device }).await?;
    Ok(Json(DONE))
}
