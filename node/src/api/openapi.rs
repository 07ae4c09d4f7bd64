//! The OpenAPI document, generated from the routes' own types. A test compares it with the table of routes.

use crate::api::{account, assets, doctor, events, messages, people, safety, session, settings, transfers};
use axum::Json;
use utoipa::openapi::{self, Content, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi, ToSchema};

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
    ),
    components(schemas(ErrorJson)),
    modifiers(&Refusals)
)]
pub struct Document;

/// What every route answers when it says no.
#[derive(ToSchema)]
#[expect(dead_code, reason = "errors are made by `ApiError`; this is their description")]
struct ErrorJson {
    error: ErrorFields,
}

/// What went wrong. Besides these there are the values that the line is made of.
#[derive(ToSchema)]
#[expect(dead_code, reason = "errors are made by `ApiError`; this is their description")]
struct ErrorFields {
    /// Stable name of the error.
    code: String,
    /// One line in English.
    message: String,
    /// Exit code of the command line.
    exit: u8,
}

/// Adds to every route how it says no: the statuses and codes are those of `docs/api.md`.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let json = Content::new(Some(Ref::from_schema_name("ErrorJson")));
        let refusal =
            ResponseBuilder::new().description("Refused or failed").content("application/json", json).build();
        for item in document.paths.paths.values_mut() {
            let methods = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
            for operation in methods.into_iter().flatten() {
                operation.responses.responses.insert("default".to_owned(), refusal.clone().into());
            }
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", responses((status = 200, description = "OpenAPI")))]
pub(crate) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
