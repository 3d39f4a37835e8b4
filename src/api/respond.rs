//! Answers whose status is part of the handler's type; 200 is [`Json`].

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::extract::Json;

/// 201 with the object that was made (reading 14).
#[derive(Debug)]
pub(super) struct Created<T>(pub(super) T);

/// 202: it is going to be done.
#[derive(Debug)]
pub(super) struct Accepted<T>(pub(super) T);

/// 204: done, and there is nothing to show.
#[derive(Debug)]
pub(super) struct NoContent;

/// 205 without a body (reading 10).
#[derive(Debug)]
pub(super) struct ResetContent;

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self.0)).into_response()
    }
}

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self.0)).into_response()
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl IntoResponse for ResetContent {
    fn into_response(self) -> Response {
        StatusCode::RESET_CONTENT.into_response()
    }
}
