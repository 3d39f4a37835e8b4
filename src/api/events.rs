//! Events that others report of an app (`behaviour.md` §23).

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::Policy;
use super::extract::Json;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::security_scan::SecurityScan;
use crate::service::{self, events};

pub(super) fn router() -> Routes {
    Routes::new("events").route(Policy::User, routes!(create))
}

/// What happened. Whatever the platform sees by itself cannot be reported.
#[derive(Deserialize, ToSchema)]
struct CreateEvent {
    /// `security_scan`
    #[serde(default)]
    #[schema(required)]
    action: String,
    /// The key of the app.
    #[serde(default)]
    #[schema(required)]
    key: String,
    /// How it went, in the scanner's words.
    #[serde(default)]
    #[schema(required)]
    status: String,
    /// Who scanned.
    #[serde(default)]
    #[schema(required)]
    service_name: String,
    #[serde(default)]
    #[schema(required)]
    message: String,
    /// Where people read more.
    link: Option<String>,
}

/// What became of a reported event.
#[derive(Serialize, ToSchema)]
struct ReportedEventView {
    /// Always `ok`.
    status: &'static str,
}

/// Report an event of an app.
///
/// Scanners report `security_scan`, of which the app's webhooks are told. What is missing is answered with 400.
#[utoipa::path(post, path = "/events", operation_id = "create_event", request_body = CreateEvent,
    responses((status = 200, description = "It was taken", body = ReportedEventView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    Json(body): Json<CreateEvent>,
) -> Result<Json<ReportedEventView>, Error> {
    let CreateEvent { action, key, status, service_name, message, link } = body;
    for (field, text) in [("action", &action), ("key", &key)] {
        if text.is_empty() {
            let text = format!("The field \"{field}\" is missing; an event needs it.");
            return Err(service::Error::BadRequest(text).into());
        }
    }
    if action != "security_scan" {
        let text = format!("The action {} cannot be reported; only security_scan can.", shown(&action));
        return Err(service::Error::BadRequest(text).into());
    }
    let scan = SecurityScan { status, service_name, message, link };
    events::report_security_scan(&state.store, &author, key, scan).await?;
    Ok(Json(ReportedEventView { status: "ok" }))
}
