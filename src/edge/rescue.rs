//! Turns what went wrong with a request into an answer.
//!
//! Invariant: this is the only place that does, so every failure looks the same to clients.

use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::body::{EdgeBody, RequestBodyError};
use super::code::RouterCode;
use super::filters::Refusal;
use super::pages::{self, Form, Page};

/// Seconds after which a client may try an app in maintenance again.
const MAINTENANCE_RETRY: HeaderValue = HeaderValue::from_static("60");
/// The same while the keys of an issuer are being fetched.
const KEYS_RETRY: HeaderValue = HeaderValue::from_static("5");

/// What a failure came from.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a request was not forwarded, or its answer not received.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProxyError {
    #[error("the request names no host, or not a valid one")]
    InvalidHost,
    #[error("the request is for another host than its connection, or names two")]
    Misdirected,
    #[error("a header of the request begins or ends with white space, which its protocol forbids")]
    PaddedHeader,
    #[error("the path can be read in several ways that lead to different apps, or leaves its route")]
    AmbiguousPath,
    #[error("no route of the site covers the path")]
    NoRoute,
    #[error("the body is larger than the app takes")]
    BodyTooLarge,
    #[error("the request says in several ways where its body ends")]
    BadFraming,
    #[error("the path and the query are too long")]
    UriTooLong,
    #[error("a proxy of apps makes no tunnels")]
    MethodNotSupported,
    #[error("no app answers to this host")]
    UnknownHost,
    #[error("the app is in maintenance")]
    Maintenance,
    #[error("no dyno of the app takes requests")]
    NoUpstream,
    #[error("too many requests wait for a dyno of the app")]
    Backlog,
    #[error("no dyno of the app could be connected to")]
    Connect(#[source] std::io::Error),
    #[error("the dyno closed the connection instead of answering")]
    Upstream(#[source] Cause),
    #[error("the dyno's answer is no HTTP")]
    BadResponse(#[source] Cause),
    #[error("the client broke off its request, or its body is not well formed")]
    ClientBody(#[source] Cause),
    #[error("the client stopped sending its request")]
    ClientIdle,
    #[error("the dyno switched to a protocol that the client did not ask for")]
    UnaskedUpgrade,
    #[error("the dyno sent no answer in time")]
    FirstByteTimeout,
    #[error("a filter of the app did not let the request pass")]
    Filtered(#[source] Box<Refusal>),
}

impl ProxyError {
    /// Why an exchange over HTTP/2 failed of which something had been sent.
    pub(super) fn of_http2(error: hyper::Error) -> Self {
        let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref());
        if matches!(cause, Some(RequestBodyError::TooLarge)) {
            Self::BodyTooLarge
        } else if error.is_user() {
            Self::ClientBody(error.into())
        } else if error.is_parse() {
            Self::BadResponse(error.into())
        } else {
            Self::Upstream(error.into())
        }
    }

    /// What the router line says, for what is between the client and a dyno.
    pub(super) fn code(&self) -> Option<RouterCode> {
        Some(match self {
            Self::Maintenance => RouterCode::Maintenance,
            Self::NoUpstream => RouterCode::NoDynos,
            Self::Backlog => RouterCode::Backlog,
            Self::Connect(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                RouterCode::ConnectTimeout
            }
            Self::Connect(_) => RouterCode::ConnectRefused,
            Self::Upstream(_) => RouterCode::NoResponse,
            Self::BadResponse(_) | Self::UnaskedUpgrade => RouterCode::BadResponse,
            Self::ClientBody(_) => RouterCode::ClientInterrupted,
            Self::ClientIdle => RouterCode::ClientIdle,
            Self::FirstByteTimeout => RouterCode::FirstByteTimeout,
            Self::InvalidHost
            | Self::Misdirected
            | Self::PaddedHeader
            | Self::AmbiguousPath
            | Self::NoRoute
            | Self::UriTooLong
            | Self::BadFraming
            | Self::BodyTooLarge
            | Self::MethodNotSupported
            | Self::Filtered(_)
            | Self::UnknownHost => return None,
        })
    }
}

impl From<RequestBodyError> for ProxyError {
    fn from(error: RequestBodyError) -> Self {
        match error {
            RequestBodyError::TooLarge => Self::BodyTooLarge,
            RequestBodyError::Client(_) => Self::ClientBody(error.into()),
        }
    }
}

/// The answer for a failed request, in the form that its client accepts.
pub(super) fn rescue(error: &ProxyError, form: Form) -> Response<EdgeBody> {
    let (status, page) = kind(error);
    let mut response = Response::new(EdgeBody::full(page.content(form)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, form.content_type());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match error {
        ProxyError::Maintenance => drop(headers.insert(RETRY_AFTER, MAINTENANCE_RETRY)),
        // Where the next request would begin is not known.
        ProxyError::BadFraming | ProxyError::BodyTooLarge => {
            drop(headers.insert(CONNECTION, HeaderValue::from_static("close")));
        }
        ProxyError::MethodNotSupported => {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        }
        ProxyError::Filtered(refusal) => explain(refusal, headers),
        ProxyError::InvalidHost
        | ProxyError::Misdirected
        | ProxyError::PaddedHeader
        | ProxyError::AmbiguousPath
        | ProxyError::NoRoute
        | ProxyError::UriTooLong
        | ProxyError::UnknownHost
        | ProxyError::NoUpstream
        | ProxyError::Backlog
        | ProxyError::Connect(_)
        | ProxyError::Upstream(_)
        | ProxyError::BadResponse(_)
        | ProxyError::ClientBody(_)
        | ProxyError::ClientIdle
        | ProxyError::UnaskedUpgrade
        | ProxyError::FirstByteTimeout => {}
    }
    response
}

/// How a client gets past a filter.
fn explain(refusal: &Refusal, headers: &mut HeaderMap) {
    match refusal {
        Refusal::Unauthorized { challenge } => drop(headers.insert(WWW_AUTHENTICATE, challenge.clone())),
        Refusal::TooMany { retry_after } => {
            headers.insert(RETRY_AFTER, HeaderValue::from(*retry_after));
        }
        Refusal::NoKeys => drop(headers.insert(RETRY_AFTER, KEYS_RETRY)),
        Refusal::Forbidden => {}
    }
}

fn kind(error: &ProxyError) -> (StatusCode, &'static Page) {
    match error {
        ProxyError::InvalidHost => (StatusCode::BAD_REQUEST, &pages::BAD_REQUEST),
        ProxyError::Misdirected => (StatusCode::MISDIRECTED_REQUEST, &pages::MISDIRECTED),
        ProxyError::PaddedHeader => (StatusCode::BAD_REQUEST, &pages::BAD_HEADER),
        ProxyError::AmbiguousPath => (StatusCode::BAD_REQUEST, &pages::AMBIGUOUS_PATH),
        ProxyError::UriTooLong => (StatusCode::URI_TOO_LONG, &pages::URI_TOO_LONG),
        ProxyError::NoRoute => (StatusCode::NOT_FOUND, &pages::NO_ROUTE),
        ProxyError::MethodNotSupported => (StatusCode::METHOD_NOT_ALLOWED, &pages::BAD_REQUEST),
        ProxyError::UnknownHost => (StatusCode::NOT_FOUND, &pages::UNKNOWN_HOST),
        ProxyError::Maintenance => (StatusCode::SERVICE_UNAVAILABLE, &pages::MAINTENANCE),
        ProxyError::Backlog => (StatusCode::SERVICE_UNAVAILABLE, &pages::BACKLOG),
        ProxyError::NoUpstream => (StatusCode::SERVICE_UNAVAILABLE, &pages::NO_UPSTREAM),
        ProxyError::Connect(_)
        | ProxyError::Upstream(_)
        | ProxyError::BadResponse(_)
        | ProxyError::UnaskedUpgrade => (StatusCode::BAD_GATEWAY, &pages::BAD_GATEWAY),
        ProxyError::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, &pages::BODY_TOO_LARGE),
        ProxyError::BadFraming | ProxyError::ClientBody(_) => (StatusCode::BAD_REQUEST, &pages::BAD_BODY),
        ProxyError::ClientIdle => (StatusCode::REQUEST_TIMEOUT, &pages::CLIENT_IDLE),
        ProxyError::FirstByteTimeout => (StatusCode::GATEWAY_TIMEOUT, &pages::TIMEOUT),
        ProxyError::Filtered(refusal) => match **refusal {
            Refusal::Unauthorized { .. } => (StatusCode::UNAUTHORIZED, &pages::UNAUTHORIZED),
            Refusal::Forbidden => (StatusCode::FORBIDDEN, &pages::FORBIDDEN),
            Refusal::TooMany { .. } => (StatusCode::TOO_MANY_REQUESTS, &pages::TOO_MANY_REQUESTS),
            Refusal::NoKeys => (StatusCode::SERVICE_UNAVAILABLE, &pages::NO_KEYS),
        },
    }
}
