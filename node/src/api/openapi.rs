//! The OpenAPI document, generated from the routes' own types. A test compares it with the table of routes.

use crate::api::{account, assets, doctor, events, messages, people, safety, session, settings, transfers};
use axum::Json;
use utoipa::OpenApi;

/// The document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "lanchat",
        description = "The local API of a lanchat node. Every route but the page's files, the session and the events needs the header `Authorization: Bearer TOKEN`."
    ),
    paths(
        assets::index,
        assets::file,
        session::open,
        session::new_code,
        session::new_ticket,
        document,
        events::socket,
        people::status,
        doctor::doctor,
        people::users,
        people::avatar,
        safety::show,
        safety::confirm,
        safety::forget,
        people::profile,
        people::set_profile,
        people::set_avatar,
        people::remove_avatar,
        people::set_presence,
        people::contacts,
        people::add_contact,
        people::remove_contact,
        messages::send,
        messages::message,
        messages::nudge,
        messages::conversations,
        messages::history,
        messages::mark_read,
        messages::search,
        transfers::list,
        transfers::offer,
        transfers::readings,
        transfers::show,
        transfers::accept,
        transfers::reject,
        transfers::pause,
        transfers::resume,
        transfers::cancel,
        account::register,
        account::login,
        account::logout,
        account::password,
        account::devices,
        account::endorse,
        account::accept,
        settings::list,
        settings::get,
        settings::set,
        settings::backup,
        settings::shutdown,
    )
)]
pub struct Document;

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", responses((status = 200, description = "OpenAPI")))]
pub(crate) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
