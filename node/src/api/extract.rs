//! What routes read from a request, with errors in the API's own form.

use crate::api::error::{ApiError, EXIT_FAILED};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// The body's bytes within the route's bound.
pub(crate) struct Raw(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await;
        bytes.map(Raw).map_err(|rejection: BytesRejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                let message = "the request is too large";
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", EXIT_FAILED, message)
            } else {
                ApiError::bad_request("the body cannot be read")
            }
        })
    }
}

/// The body as JSON.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Raw(bytes) = Raw::from_request(request, state).await?;
        // The line and column of the fault, never the text itself.
        let parsed = serde_json::from_slice(&bytes);
        parsed.map(Body).map_err(|error| ApiError::bad_request(format!("body: {error}")))
    }
}

/// The query's parameters.
pub(crate) struct Params<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(value)| Params(value)).map_err(|error| ApiError::bad_request(error.body_text()))
    }
}
