//! The two dialects of the API, and all that differs between them (README of the specification).
//!
//! Invariant: no handler asks which dialect it speaks; it calls a function here.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::header;
use http::request::Parts;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::ApiState;
use crate::config::Dialect;
use crate::metrics::series::Series;
use crate::model::app::App;
use crate::model::names::{AppKey, AppName, SpaceName};
use crate::model::pipeline::PromotionStatus;
use crate::model::recommendation::DetailValue;

/// How the client `aka` names itself.
const REFERENCE_CLIENT: &str = "akkeris-cli";

/// Another object inside an object.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Named<T> {
    /// Its name.
    Text(String),
    /// What is shown of it.
    Object(T),
}

impl Dialect {
    /// The `name` of an app inside an object: its short name, or its key.
    pub(super) fn app_name(self, app: &App) -> String {
        self.app_name_in(&app.name, &app.space.name)
    }

    /// The same of an app of which only the names are known.
    pub(super) fn app_name_in(self, name: &AppName, space: &SpaceName) -> String {
        match self {
            Self::Document => name.to_string(),
            Self::Reference => AppKey::of(name, space).to_string(),
        }
    }

    /// The app and the site of a route: their names, or objects.
    pub(super) fn named<T>(self, name: String, object: T) -> Named<T> {
        match self {
            Self::Document => Named::Text(name),
            Self::Reference => Named::Object(object),
        }
    }

    /// A promotion's `status`: in the reference dialect it is done once every target has its release.
    pub(super) fn promotion_status(self, status: PromotionStatus) -> PromotionStatus {
        match (self, status) {
            (Self::Reference, PromotionStatus::Pending) => PromotionStatus::Successful,
            (Self::Document | Self::Reference, status) => status,
        }
    }

    /// The metrics of an app: over all of its dynos, or by their type.
    pub(super) fn metrics(self, series: &Series) -> Value {
        match self {
            Self::Document => json!(series.whole),
            Self::Reference => json!(series.by_type),
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
