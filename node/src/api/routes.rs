//! The one table of routes. A route that is not here does not exist, and one that is here has said who may use it and
//! what body it takes.

use crate::api::limits::{BODY, BODY_AVATAR, BODY_TEXT};
use crate::api::{
    Api, account, assets, doctor, events, guard, messages, openapi, people, safety, session, settings,
    transfers,
};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::middleware;
use axum::routing::{MethodRouter, delete, get, post, put};

/// Who may use a route. Host and origin are checked for all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Whoever passes the check of host and origin: the page's own files, and what proves itself in another way.
    Open,
    /// Whoever has a token.
    Bearer,
    /// Whoever has a token, or a ticket for this path.
    BearerOrTicket,
}

/// What body a route takes, with the most bytes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Body {
    /// None.
    None,
    /// JSON.
    Json(usize),
    /// An image.
    Image(usize),
}

/// A route.
pub struct Route {
    /// Its method.
    pub method: Method,
    /// Its path, parameters in braces.
    pub path: &'static str,
    /// Who may use it.
    pub access: Access,
    /// What it takes.
    pub body: Body,
    handler: fn() -> MethodRouter<Api>,
}

macro_rules! routes {
    ($($method:ident $path:literal $access:ident $body:expr => $handler:expr;)*) => {
        /// Every route there is.
        pub static ROUTES: &[Route] = &[$(Route {
            method: Method::$method,
            path: $path,
            access: Access::$access,
            body: $body,
            handler: || routes!(@$method)($handler),
        }),*];
    };
    (@GET) => { get };
    (@POST) => { post };
    (@PUT) => { put };
    (@DELETE) => { delete };
}

routes! {
    GET "/" Open Body::None => assets::index;
    GET "/{file}" Open Body::None => assets::file;

    POST "/api/v1/session" Open Body::Json(BODY) => session::open;
    POST "/api/v1/code" Bearer Body::Json(BODY) => session::new_code;
    POST "/api/v1/tickets" Bearer Body::Json(BODY) => session::new_ticket;
    GET "/api/v1/openapi.json" Bearer Body::None => openapi::document;
    // The token is the first frame.
    GET "/api/v1/events" Open Body::None => events::socket;

    GET "/api/v1/status" Bearer Body::None => people::status;
    GET "/api/v1/doctor" Bearer Body::None => doctor::doctor;
    GET "/api/v1/users" Bearer Body::None => people::users;
    GET "/api/v1/users/{user}/avatar" BearerOrTicket Body::None => people::avatar;
    GET "/api/v1/users/{user}/safety" Bearer Body::None => safety::show;
    PUT "/api/v1/users/{user}/safety" Bearer Body::Json(BODY) => safety::confirm;
    DELETE "/api/v1/users/{user}/safety" Bearer Body::None => safety::forget;
    GET "/api/v1/profile" Bearer Body::None => people::profile;
    PUT "/api/v1/profile" Bearer Body::Json(BODY) => people::set_profile;
    PUT "/api/v1/profile/avatar" Bearer Body::Image(BODY_AVATAR) => people::set_avatar;
    DELETE "/api/v1/profile/avatar" Bearer Body::None => people::remove_avatar;
    PUT "/api/v1/presence" Bearer Body::Json(BODY) => people::set_presence;
    GET "/api/v1/contacts" Bearer Body::None => people::contacts;
    POST "/api/v1/contacts" Bearer Body::Json(BODY) => people::add_contact;
    DELETE "/api/v1/contacts/{user}" Bearer Body::None => people::remove_contact;

    POST "/api/v1/messages" Bearer Body::Json(BODY_TEXT) => messages::send;
    GET "/api/v1/messages/{id}" Bearer Body::None => messages::message;
    POST "/api/v1/nudges" Bearer Body::Json(BODY) => messages::nudge;
    GET "/api/v1/conversations" Bearer Body::None => messages::conversations;
    GET "/api/v1/history" Bearer Body::None => messages::history;
    POST "/api/v1/read" Bearer Body::Json(BODY) => messages::mark_read;
    GET "/api/v1/search" Bearer Body::None => messages::search;

    GET "/api/v1/transfers" Bearer Body::None => transfers::list;
    POST "/api/v1/transfers" Bearer Body::Json(BODY) => transfers::offer;
    GET "/api/v1/readings" Bearer Body::None => transfers::readings;
    GET "/api/v1/transfers/{id}" Bearer Body::None => transfers::show;
    POST "/api/v1/transfers/{id}/accept" Bearer Body::Json(BODY) => transfers::accept;
    POST "/api/v1/transfers/{id}/reject" Bearer Body::Json(BODY) => transfers::reject;
    POST "/api/v1/transfers/{id}/pause" Bearer Body::Json(BODY) => transfers::pause;
    POST "/api/v1/transfers/{id}/resume" Bearer Body::Json(BODY) => transfers::resume;
    POST "/api/v1/transfers/{id}/cancel" Bearer Body::Json(BODY) => transfers::cancel;

    POST "/api/v1/account/register" Bearer Body::Json(BODY) => account::register;
    POST "/api/v1/account/login" Bearer Body::Json(BODY) => account::login;
    POST "/api/v1/account/logout" Bearer Body::Json(BODY) => account::logout;
    POST "/api/v1/account/password" Bearer Body::Json(BODY) => account::password;
    GET "/api/v1/devices" Bearer Body::None => account::devices;
    POST "/api/v1/devices/endorse" Bearer Body::Json(BODY) => account::endorse;
    POST "/api/v1/devices/accept" Bearer Body::Json(BODY) => account::accept;

    GET "/api/v1/config" Bearer Body::None => settings::list;
    GET "/api/v1/config/{key}" Bearer Body::None => settings::get;
    PUT "/api/v1/config/{key}" Bearer Body::Json(BODY) => settings::set;
    POST "/api/v1/backup" Bearer Body::Json(BODY) => settings::backup;
    POST "/api/v1/shutdown" Bearer Body::Json(BODY) => settings::shutdown;
}

/// The router of all routes behind the guard.
pub(crate) fn router(api: &Api) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let most = match route.body {
            Body::None => 0,
            Body::Json(most) | Body::Image(most) => most,
        };
        let handler = (route.handler)()
            .route_layer(DefaultBodyLimit::max(most))
            .route_layer(middleware::from_fn_with_state((api.clone(), route), guard::one_route));
        router = router.route(route.path, handler);
    }
    router
        .method_not_allowed_fallback(guard::wrong_method)
        .fallback(guard::no_such_page)
        .layer(middleware::from_fn_with_state(api.clone(), guard::every_request))
        .with_state(api.clone())
}
