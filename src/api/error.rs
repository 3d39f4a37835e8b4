//! The one place where an error becomes a status, an id and a sentence (reading 1).
//!
//! Invariant: what is sent names nothing internal; the cause of a fault goes to the log, once.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::page::RangeHeaders;
use crate::model::RuleError;
use crate::service;
use crate::store::StoreError;

/// Asks for a one-time code in an answer, and holds it in a request.
pub(super) const ONE_TIME_CODE: HeaderName = HeaderName::from_static("x-akkeris-otp");

/// Why a request was not answered with success.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Verb(#[from] service::Error),
    #[error(
        "No valid token was sent: use the header \"Authorization: Bearer <token>\". `akkerisd token create` makes one."
    )]
    Unauthenticated,
    #[error("There is nothing at this path; GET /openapi.json lists what there is.")]
    UnknownPath,
    #[error("This path does not know this method; the header Allow lists those it knows.")]
    MethodNotAllowed,
    /// The list has no such page; `accepted` names what it may be paged by.
    #[error("{reason}")]
    Range { reason: String, accepted: String },
    #[error("The body is larger than the {limit} bytes that are accepted here.")]
    TooLarge { limit: u64 },
    #[error("The body did not arrive within {seconds} seconds.")]
    TooSlow { seconds: u64 },
    #[error("a handler panicked")]
    Panicked,
}

/// The form of every error.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(super) struct ErrorView {
    /// The kind of error, for programs: `not_found`, `conflict`, …
    id: &'static str,
    /// What was wrong, with which value, and what to do.
    message: String,
}

/// Travels from a handler to the envelope, which knows the request's id and which form the client prefers.
#[derive(Debug, Clone)]
pub(super) struct Failure(Arc<Error>);

impl Failure {
    /// The status, an id for programs, and whether the fault is ours.
    fn kind(&self) -> (StatusCode, &'static str) {
        use service::Error as Verb;
        match &*self.0 {
            Error::Verb(Verb::BadRequest(_)) => (StatusCode::BAD_REQUEST, "bad_request"),
            Error::Unauthenticated | Error::Verb(Verb::Unauthenticated(_)) => {
                (StatusCode::UNAUTHORIZED, "unauthorized")
            }
            Error::Verb(Verb::OneTimeCode(_)) => (StatusCode::UNAUTHORIZED, "two_factor"),
            Error::Verb(Verb::Forbidden(_)) => (StatusCode::FORBIDDEN, "forbidden"),
            Error::Verb(Verb::NotFound(_)) | Error::UnknownPath => (StatusCode::NOT_FOUND, "not_found"),
            Error::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Error::TooSlow { .. } => (StatusCode::REQUEST_TIMEOUT, "request_timeout"),
            Error::Verb(Verb::Conflict(_)) => (StatusCode::CONFLICT, "conflict"),
            Error::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large"),
            Error::Range { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "requested_range_not_satisfiable"),
            Error::Verb(Verb::Invalid(_)) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_params"),
            Error::Verb(Verb::TooManyAttempts { .. }) => (StatusCode::TOO_MANY_REQUESTS, "rate_limit"),
            Error::Verb(Verb::NotReady(_)) => (StatusCode::FAILED_DEPENDENCY, "not_ready"),
            Error::Verb(Verb::Unavailable(_)) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Error::Verb(Verb::Internal(_)) | Error::Panicked => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal_server_error")
            }
        }
    }

    pub(super) fn status(&self) -> StatusCode {
        self.kind().0
    }

    /// The body of the answer, and a line in the log when the fault is ours.
    pub(super) fn view(&self, request_id: &str) -> ErrorView {
        let (status, id) = self.kind();
        if status != StatusCode::INTERNAL_SERVER_ERROR {
            return ErrorView { id, message: self.0.to_string() };
        }
        tracing::error!(request_id, cause = %chain(&self.0), "a request failed because of an internal fault");
        let message = format!(
            "The server failed to do this; the fault is logged there under the request id {request_id}."
        );
        ErrorView { id, message }
    }
}

/// The form of every error below `/api/releases` (reading 1).
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub(super) struct ReleasesErrorView {
    /// What was wrong, with which value, and what to do.
    error: String,
}

impl From<ErrorView> for ReleasesErrorView {
    fn from(view: ErrorView) -> Self {
        Self { error: view.message }
    }
}

impl ErrorView {
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let accepted = if let Self::Range { accepted, .. } = &self {
            HeaderValue::from_str(accepted).ok()
        } else {
            None
        };
        let failure = Failure(Arc::new(self));
        let (status, _) = failure.kind();
        let mut response = status.into_response();
        let headers = response.headers_mut();
        // What `aka` looks for before it asks its user for a code (`aka-client.md` §3).
        if let Self::Verb(service::Error::OneTimeCode(_)) = &*failure.0 {
            headers.insert(ONE_TIME_CODE, HeaderValue::from_static("required"));
        }
        if let Self::Verb(service::Error::TooManyAttempts { wait, .. }) = &*failure.0 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        if let Some(accepted) = accepted {
            let told = HeaderMap::from_iter([(header::ACCEPT_RANGES, accepted)]);
            response.extensions_mut().insert(RangeHeaders(told));
        }
        response.extensions_mut().insert(failure);
        response
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Verb(error.into())
    }
}

impl From<RuleError> for Error {
    fn from(error: RuleError) -> Self {
        Self::Verb(error.into())
    }
}

/// The error and its causes, outermost first.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
