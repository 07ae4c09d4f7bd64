//! Who may ask: the checks that every request passes before it reaches a route.
//!
//! Keeps true: a web page of somewhere else cannot reach the administration, whatever name it gives to this address.

use super::{Admin, Power};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'; \
         base-uri 'none'; form-action 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cache-control", "no-store"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Checks host, origin and token, and sets the headers of every answer.
pub(super) async fn guard(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&admin, &request) {
        Some((status, error)) => super::answers::error(status, error),
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response.into_response()
}

fn refusal(admin: &Admin, request: &Request) -> Option<(StatusCode, &'static str)> {
    let headers = request.headers();
    if !ours(admin, headers) {
        return Some((StatusCode::FORBIDDEN, "wrong host or origin"));
    }
    let path = request.uri().path();
    if !path.starts_with("/api/") || path == "/api/session" {
        return None;
    }
    let needed = if request.method() == Method::GET { Power::Look } else { Power::All };
    match (token(headers).and_then(|token| admin.power(token)), needed) {
        (None, _) => Some((StatusCode::UNAUTHORIZED, "a valid token is needed")),
        (Some(Power::Look), Power::All) => Some((StatusCode::FORBIDDEN, "this page may only look")),
        (Some(_), _) => None,
    }
}

fn ours(admin: &Admin, headers: &HeaderMap) -> bool {
    let port = admin.info.admin.port();
    let hosts = [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        admin.info.admin.to_string(),
    ];
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(HOST).is_some_and(|host| hosts.iter().any(|ours| ours == host));
    let origin = text(ORIGIN).is_none_or(|origin| {
        origin.strip_prefix("http://").is_some_and(|origin| hosts.iter().any(|ours| ours == origin))
    });
    let site = text(HeaderName::from_static("sec-fetch-site"));
    host && origin && site.is_none_or(|site| site == "same-origin" || site == "none")
}

fn token(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}
