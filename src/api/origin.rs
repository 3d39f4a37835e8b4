//! The start of the links that clients follow.

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;

use super::ApiState;

/// The operator's `public_url`, else what the request was sent to; without a slash at its end.
#[derive(Debug, Clone)]
pub(super) struct Origin(pub(super) String);

impl Origin {
    /// The address of a WebSocket at that path.
    pub(super) fn socket_url(&self, path: &str) -> String {
        match self.0.strip_prefix("http") {
            Some(rest) => format!("ws{rest}{path}"),
            None => format!("{}{path}", self.0),
        }
    }
}

impl FromRequestParts<ApiState> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Self::Rejection> {
        if let Some(url) = &state.settings.public_url {
            return Ok(Self(url.clone()));
        }
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        // The edge says which host and scheme it was asked for.
        let host = text("x-forwarded-host").or_else(|| text(header::HOST.as_str())).unwrap_or("localhost");
        let scheme = text("x-forwarded-proto").filter(|scheme| *scheme == "https").unwrap_or("http");
        Ok(Self(format!("{scheme}://{host}")))
    }
}
