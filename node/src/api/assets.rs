//! The page's own files, embedded. They are open to whoever passes the guard and hold nothing of anybody.

use crate::api::error::ApiError;
use crate::api::guard;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// Name, content type, content.
const FILES: &[(&str, &str, &str)] = &[
    ("index.html", "text/html; charset=utf-8", include_str!("../page/index.html")),
    ("style.css", "text/css; charset=utf-8", include_str!("../page/style.css")),
    ("app.js", JAVASCRIPT, include_str!("../page/app.js")),
    ("api.js", JAVASCRIPT, include_str!("../page/api.js")),
    ("view.js", JAVASCRIPT, include_str!("../page/view.js")),
    ("lang.js", JAVASCRIPT, include_str!("../page/lang.js")),
    ("icon.svg", "image/svg+xml", include_str!("../page/icon.svg")),
];

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

async fn named(name: &str) -> Result<Response, ApiError> {
    match FILES.iter().find(|(known, _, _)| *known == name) {
        Some((_, kind, content)) => Ok(([(CONTENT_TYPE, *kind)], *content).into_response()),
        None => Err(guard::no_such_page().await),
    }
}

/// The page.
#[utoipa::path(get, path = "/", responses((status = 200, description = "the page")))]
pub(crate) async fn index() -> Result<Response, ApiError> {
    named("index.html").await
}

/// A file of the page.
#[utoipa::path(get, path = "/{file}", params(("file" = String, Path)), responses((status = 200, description = "a file of the page")))]
pub(crate) async fn file(Path(name): Path<String>) -> Result<Response, ApiError> {
    named(&name).await
}
