//! What was measured: of one app as the section "View App Metrics" documents it, and of everything for Prometheus.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use serde::Deserialize;
use serde_json::Value;

use super::auth::Policy;
use super::extract::{AppPath, Json, Query};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::config::Dialect;
use crate::model::RuleError;
use crate::model::metric::{Period, Resolution};
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::time::Timestamp;

/// How far back an answer goes when nothing else is asked for.
const DEFAULT_LENGTH: Duration = Duration::from_hours(24 * 7);
/// The form that Prometheus asks for.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn router() -> Routes {
    Routes::new("metrics").route(Policy::User, routes!(view)).route(Policy::Scraper, routes!(read))
}

#[derive(Debug, Default, Deserialize)]
struct MetricsQuery {
    resolution: Option<String>,
    from: Option<String>,
    to: Option<String>,
}

/// View what the dynos of an app used and how it answered.
///
/// Each metric has a value for each point of time (seconds since 1970): the sum over the dynos. `…_average` and
/// `…_90th_percentile` beside it are across the dynos. Values are kept for a week: every ten seconds for 6 hours,
/// every minute for a day, every ten minutes before.
#[utoipa::path(get, path = "/apps/{app}/metrics", operation_id = "view_metrics",
    params(
        ("resolution" = Option<String>, Query, description = "Between two values: `30s`, `1m`, `15m`, `1h`; 30m when absent"),
        ("from" = Option<String>, Query, description = "ISO 8601; a week before the end when absent"),
        ("to" = Option<String>, Query, description = "ISO 8601; now when absent")),
    responses((status = 200, description = "Values by metric and point of time", body = BTreeMap<String, BTreeMap<String, f64>>)))]
async fn view(
    State(state): State<ApiState>,
    dialect: Dialect,
    AppPath(app): AppPath,
    Query(query): Query<MetricsQuery>,
) -> Result<Json<Value>, Error> {
    let period = period(&query, state.clock.now())?;
    Ok(Json(dialect.metrics(&state.metrics.series(app.id, period).await?)))
}

/// Everything that is measured, for Prometheus.
///
/// The text format 0.0.4. Apps outside the reach of the token are left out; with the setting `metrics.public` no
/// token is needed.
#[utoipa::path(get, path = "/metrics", operation_id = "read_metrics",
    responses((status = 200, description = "Text format 0.0.4", body = String, content_type = "text/plain")))]
async fn read(State(state): State<ApiState>, principal: Principal) -> Result<Response, Error> {
    let text = state.metrics.exposition(principal.reach).await?;
    let mut response = text.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(EXPOSITION));
    Ok(response)
}

fn period(query: &MetricsQuery, now: Timestamp) -> Result<Period, RuleError> {
    let given = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    let resolution =
        given(&query.resolution).map_or(Ok(Resolution::DEFAULT), |text| Resolution::parse(&text))?;
    let to = given(&query.to).map_or(Ok(now), |text| instant("to", &text))?;
    let from = match given(&query.from) {
        Some(text) => instant("from", &text)?,
        None => to.minus(DEFAULT_LENGTH),
    };
    Period::new(from, to, resolution)
}

fn instant(name: &str, text: &str) -> Result<Timestamp, RuleError> {
    text.parse().map_err(|_| {
        RuleError::new(format!(
            "\"{name}\" is \"{}\", which is no instant; write it like 2017-06-20T23:30:45.737Z.",
            shown(text)
        ))
    })
}
