//! The two dialects of the API, and all that differs between them (README of the specification).
//!
//! Invariant: no handler asks which dialect it speaks; it calls a function here.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;
use serde_json::Value;

use super::ApiState;
use crate::config::Dialect;
use crate::model::app::App;
use crate::model::recommendation::DetailValue;

/// How the client `aka` names itself.
const REFERENCE_CLIENT: &str = "akkeris-cli";

impl Dialect {
    /// The `name` of an app inside an object: its short name, or its key.
    pub(super) fn app_name(self, app: &App) -> String {
        match self {
            Self::Document => app.name.to_string(),
            Self::Reference => app.key().to_string(),
        }
    }

    /// A detail of a recommendation: `aka` prints texts only.
    pub(super) fn detail(self, value: &DetailValue) -> Value {
        match (self, value) {
            (Self::Document, DetailValue::Number(number)) => Value::from(*number),
            (Self::Reference, DetailValue::Number(number)) => Value::from(number.to_string()),
            (_, DetailValue::Text(text)) => Value::from(text.as_str()),
        }
    }
}

/// The header decides, then the client, then the server's setting.
impl FromRequestParts<ApiState> for Dialect {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, Infallible> {
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let chosen =
            header("x-akkeris-dialect").and_then(|text| text.trim().to_ascii_lowercase().parse().ok());
        let by_client = || {
            let agent = header(header::USER_AGENT.as_str())?;
            agent.starts_with(REFERENCE_CLIENT).then_some(Self::Reference)
        };
        Ok(chosen.or_else(by_client).unwrap_or(state.settings.dialect))
    }
}
