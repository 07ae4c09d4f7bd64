//! The page's own files, embedded. They are open to whoever passes the guard and hold nothing of anybody.

use crate::api::error::ApiError;
use crate::api::guard;
use axum::extract::Path;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

/// Name, content type, content of every file.
pub const FILES: &[(&str, &str, &str)] = &[
    ("index.html", "text/html; charset=utf-8", include_str!("../page/index.html")),
    ("style.css", "text/css; charset=utf-8", include_str!("../page/style.css")),
    ("forms.css", "text/css; charset=utf-8", include_str!("../page/forms.css")),
    ("api.js", JAVASCRIPT, include_str!("../page/api.js")),
    ("app.js", JAVASCRIPT, include_str!("../page/app.js")),
    ("avatar.js", JAVASCRIPT, include_str!("../page/avatar.js")),
    ("banners.js", JAVASCRIPT, include_str!("../page/banners.js")),
    ("chinese.js", JAVASCRIPT, include_str!("../page/chinese.js")),
    ("composer.js", JAVASCRIPT, include_str!("../page/composer.js")),
    ("english.js", JAVASCRIPT, include_str!("../page/english.js")),
    ("files.js", JAVASCRIPT, include_str!("../page/files.js")),
    ("join.js", JAVASCRIPT, include_str!("../page/join.js")),
    ("lang.js", JAVASCRIPT, include_str!("../page/lang.js")),
    ("menu.js", JAVASCRIPT, include_str!("../page/menu.js")),
    ("names.js", JAVASCRIPT, include_str!("../page/names.js")),
    ("notices.js", JAVASCRIPT, include_str!("../page/notices.js")),
    ("people.js", JAVASCRIPT, include_str!("../page/people.js")),
    ("state.js", JAVASCRIPT, include_str!("../page/state.js")),
    ("thread.js", JAVASCRIPT, include_str!("../page/thread.js")),
    ("view.js", JAVASCRIPT, include_str!("../page/view.js")),
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
