//! The guard: what every request has to pass before any route sees it.
//!
//! Keeps true: loopback is no boundary, for any web page and any program of the PC can reach it. So each request,
//! static files and upgrades included, has to name this address as its host and come from this very page or from no
//! page at all (against rebinding and forgery); no cookie is ever set or read; all but the page itself needs a bearer;
//! a body needs a content type that no plain form can send. The rules: `docs/api.md#guard`.

use crate::api::Api;
use crate::api::error::{ApiError, EXIT_FAILED, EXIT_REFUSED, EXIT_USAGE};
use crate::api::routes::{Access, Body, Route};
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, REFERRER_POLICY, UPGRADE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::time::Instant;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const CROSS_ORIGIN_RESOURCE: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const CROSS_ORIGIN_OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The page runs its own files and talks to its own address, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; \
    connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

/// The names under which the page may be opened at a port.
fn authorities(port: u16) -> [String; 3] {
    [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")]
}

/// The one value of a header: `Ok(None)` without one.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let mut all = headers.get_all(name).iter();
    match (all.next(), all.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| forbidden(&format!("the {name} header cannot be read")))
        }
        (Some(_), Some(_)) => Err(forbidden(&format!("there are several {name} headers"))),
    }
}

fn forbidden(reason: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", EXIT_REFUSED, reason).with("reason", reason)
}

/// Whether a request names this address as its host and comes from its own page or from no page.
///
/// # Errors
/// 403 with the reason.
pub fn check_source(port: u16, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let allowed = authorities(port);
    let is_here = |host: &str| allowed.iter().any(|name| name.eq_ignore_ascii_case(host));
    let host = single(headers, &HOST)?.ok_or_else(|| forbidden("there is no Host header"))?;
    if !is_here(host) || uri.authority().is_some_and(|authority| !is_here(authority.as_str())) {
        return Err(forbidden("the Host header does not name this address"));
    }
    if let Some(origin) = single(headers, &ORIGIN)? {
        // The very same name: a page of `localhost` has no business at `127.0.0.1`.
        let own = origin.strip_prefix("http://").is_some_and(|from| from.eq_ignore_ascii_case(host));
        if !own {
            return Err(forbidden("the request comes from another page"));
        }
    }
    match single(headers, &SEC_FETCH_SITE)? {
        None | Some("same-origin" | "none") => Ok(()),
        // Browsers disagree about what `ws:` is to `http:`; for upgrades the origin, which they always send, decides.
        Some(_) if headers.contains_key(ORIGIN) && headers.contains_key(UPGRADE) => Ok(()),
        Some(_) => Err(forbidden("the request comes from another page")),
    }
}

/// The outermost layer: source, and the headers of every answer.
pub(crate) async fn every_request(State(api): State<Api>, request: Request, next: Next) -> Response {
    let mut response = match check_source(api.port, request.uri(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            tracing::warn!(reason = %error.message, "Refused a request to the local API");
            error.into_response()
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CROSS_ORIGIN_RESOURCE, "same-origin"),
        (CROSS_ORIGIN_OPENER, "same-origin"),
        (CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn bearer(headers: &HeaderMap) -> Result<Option<&str>, ApiError> {
    Ok(single(headers, &AUTHORIZATION)?.and_then(|value| value.strip_prefix("Bearer ")))
}

fn unauthorized() -> ApiError {
    let message = "a token is needed: open the page with `lanchat`";
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", EXIT_REFUSED, message)
}

/// The ticket in `?ticket=…`.
fn ticket(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("ticket="))
}

fn check_access(api: &Api, route: &Route, request: &Request) -> Result<(), ApiError> {
    let given = bearer(request.headers())?;
    let is_token = given.is_some_and(|token| api.secrets().is_token(token));
    let open = match route.access {
        Access::Open => true,
        Access::Bearer => is_token,
        Access::BearerOrTicket => {
            let path = request.uri().path();
            is_token
                || ticket(request.uri())
                    .is_some_and(|ticket| api.secrets().use_ticket(ticket, path, Instant::now()))
        }
    };
    if open { Ok(()) } else { Err(unauthorized()) }
}

fn check_body(route: &Route, headers: &HeaderMap) -> Result<(), ApiError> {
    let kind = single(headers, &CONTENT_TYPE)?.unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (fits, needed) = match route.body {
        Body::None => (true, ""),
        Body::Json(_) => (kind == "application/json", "application/json"),
        Body::Image(_) => {
            let image = matches!(kind.as_str(), "image/png" | "image/jpeg" | "image/webp" | "image/gif");
            (image, "image/png, image/jpeg, image/webp or image/gif")
        }
    };
    if fits {
        return Ok(());
    }
    let message = format!("the content type has to be {needed}");
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type", EXIT_USAGE, message)
        .with("needed", needed))
}

/// The layer of one route: token or ticket, then content type.
pub(crate) async fn one_route(
    State((api, route)): State<(Api, &'static Route)>,
    request: Request,
    next: Next,
) -> Response {
    let checked = check_access(&api, route, &request).and_then(|()| check_body(route, request.headers()));
    match checked {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Nothing is there.
pub(crate) async fn no_such_page() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no_such_page", EXIT_FAILED, "there is no such page")
}

/// Something is there, but not for this method.
pub(crate) async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method", EXIT_USAGE, "this method is not for this page")
}
