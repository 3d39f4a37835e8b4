//! What every answer carries: the request's id, the fixed headers, and errors in the form the client prefers.

use std::any::Any;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use uuid::Uuid;

use super::error::{Error, Failure, ReleasesErrorView};
use super::git;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit-remaining");
/// Ids that clients send are kept up to this length.
const REQUEST_ID_LIMIT: usize = 64;

/// Gives the answer its headers, and an error its body.
pub(super) async fn wrap(request: Request, next: Next) -> Response {
    let id = request_id(request.headers());
    let form = ErrorForm::of(&request);
    let mut response = next.run(request).await;
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        write_error(&mut response, &failure, &id, form);
    }
    let headers = response.headers_mut();
    headers.insert(RATE_LIMIT, HeaderValue::from_static("2400"));
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    response
}

/// Whether a path is of the Releases API, whose errors have a form of their own.
pub(super) fn is_of_releases(path: &str) -> bool {
    path.strip_prefix("/api/releases").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// How an error is written (reading 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorForm {
    Plain,
    Json,
    Releases,
}

impl ErrorForm {
    fn of(request: &Request) -> Self {
        if is_of_releases(request.uri().path()) {
            Self::Releases
        } else if git::is_repository(request.uri().path()) || prefers_plain_text(request.headers()) {
            Self::Plain
        } else {
            Self::Json
        }
    }
}

/// The answer of a handler that panicked. The panic's text is in the log already, by the panic hook.
pub(super) fn panicked(_panic: Box<dyn Any + Send + 'static>) -> Response {
    Error::Panicked.into_response()
}

fn write_error(response: &mut Response, failure: &Failure, id: &str, form: ErrorForm) {
    let view = failure.view(id);
    *response.status_mut() = failure.status();
    tracing::debug!(request_id = id, status = response.status().as_u16(), "a request was refused");
    let text = view.message().to_owned();
    let json = match form {
        ErrorForm::Plain => None,
        ErrorForm::Json => serde_json::to_string(&view).ok(),
        ErrorForm::Releases => serde_json::to_string(&ReleasesErrorView::from(view)).ok(),
    };
    let (content_type, body) = match json {
        Some(json) => ("application/json", json),
        None => ("text/plain; charset=utf-8", text),
    };
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    *response.body_mut() = Body::from(body);
}

/// The client's own id when it is harmless, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let harmless = |id: &&str| {
        !id.is_empty()
            && id.len() <= REQUEST_ID_LIMIT
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let sent = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(harmless);
    sent.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

fn prefers_plain_text(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    quality(accept, "text/plain") > quality(accept, "application/json")
}

/// The weight, in thousandths, that an `Accept` header gives to a media type; the most specific range decides.
fn quality(accept: &str, media_type: &str) -> u32 {
    let (kind, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let specificity = match name.split_once('/') {
            Some(("*", "*")) => 1,
            Some((k, "*")) if k == kind => 2,
            _ if name == media_type => 3,
            _ => continue,
        };
        let weight = parts
            .find_map(|part| part.strip_prefix("q="))
            .and_then(|q| q.trim().parse::<f32>().ok())
            .map_or(1000, thousandths);
        if specificity > best.0 {
            best = (specificity, weight);
        }
    }
    best.1
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is clamped to 0..=1000"
)]
fn thousandths(weight: f32) -> u32 {
    (weight.clamp(0.0, 1.0) * 1000.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_sent_only_to_those_who_prefer_it() {
        let prefers = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            prefers_plain_text(&headers)
        };
        for accept in ["text/plain", "text/*", "application/json;q=0.1, text/plain", "text/plain, */*;q=0.5"]
        {
            assert!(prefers(accept), "{accept}");
        }
        for accept in [
            "*/*",
            "application/json",
            "application/json, text/plain, */*",
            "text/html",
            "",
            "text/plain;q=0",
        ] {
            assert!(!prefers(accept), "{accept}");
        }
        assert!(!prefers_plain_text(&HeaderMap::new()));
    }

    #[test]
    fn a_client_s_request_id_is_kept_when_it_is_harmless() {
        let with = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(id).unwrap());
            request_id(&headers)
        };
        assert_eq!(with("abc-1"), "abc-1");
        assert_ne!(with("a b"), "a b");
        assert_ne!(with(&"a".repeat(65)), "a".repeat(65));
    }
}
