//! Logs: sessions as the section "View App Logs" documents them, and an app's log with a token.

mod stream;

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use self::stream::Form;
use super::auth::Policy;
use super::extract::{AppPath, Json, Path, Query};
use super::origin::Origin;
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::logs::LogRequest;
use crate::model::RuleError;
use crate::model::log::{DynoFilter, LogFilter, SourceKind};
use crate::model::names::API_HOST_LABEL;
use crate::model::rule::shown;
use crate::model::time::Timestamp;
use crate::service;

pub(super) use self::stream::{Streamed, is_compressible};

/// Lines of a session that asks for no number, as the client does (`behaviour.md` §10).
const DEFAULT_LINES: usize = 100;
/// Most lines of a session (`behaviour.md` §10).
const SESSION_LINES: usize = 250;
/// Most lines of the past of a log that is read with a token.
const MOST_LINES: usize = 10_000;
/// The one client that opens a session over TLS whatever its address says (`aka-client.md` §1).
const TLS_ONLY_CLIENT: &str = "akkeris-cli";

pub(super) fn router() -> Routes {
    Routes::new("logs")
        .route(Policy::User, routes!(create))
        .route(Policy::Public, routes!(read_session))
        .route(Policy::User, routes!(read))
}

/// What is wanted of a log.
#[derive(Deserialize, ToSchema)]
struct CreateLogSession {
    /// Lines of the past, 1 to 250; 100 when absent.
    #[schema(value_type = Option<u32>)]
    lines: Option<Value>,
    /// Whether to go on with the lines to come; `false` when absent.
    tail: Option<bool>,
}

/// An address at which an app's log can be read for five minutes, without a token.
#[derive(Serialize, ToSchema)]
struct LogSessionView {
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    id: Uuid,
    logplex_url: String,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct SessionPath {
    session: String,
}

/// What is wanted of a log.
#[derive(Debug, Default, Deserialize)]
struct LogQuery {
    lines: Option<String>,
    tail: Option<String>,
    dyno: Option<String>,
    source: Option<String>,
}

/// Create a log session.
#[utoipa::path(post, path = "/apps/{app}/log-sessions", operation_id = "create_log_session",
    request_body = CreateLogSession, responses((status = 201, description = "Created", body = LogSessionView)))]
async fn create(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    origin: Origin,
    headers: HeaderMap,
    Json(body): Json<CreateLogSession>,
) -> Result<Created<LogSessionView>, Error> {
    let lines = match body.lines {
        None | Some(Value::Null) => DEFAULT_LINES,
        Some(lines) => number_of_lines(lines.as_str().unwrap_or(&lines.to_string()), SESSION_LINES)?,
    };
    let (key, filter) = (app.key(), LogFilter::default());
    let request = LogRequest { app: app.id, key, lines, tail: body.tail.unwrap_or(false), filter };
    let secret = state.log_sessions.create(request);
    let now = state.clock.now();
    Ok(Created(LogSessionView {
        created_at: now,
        id: state.ids.next(),
        logplex_url: format!("{}/log-sessions/{secret}", reachable(&state, origin, &headers)),
        updated_at: now,
    }))
}

/// Read the log of a session.
#[utoipa::path(get, path = "/log-sessions/{session}", operation_id = "read_log_session",
    params(("session" = String, Path, description = "The secret of the session")),
    responses((status = 200, description = "A line each", body = String, content_type = "text/plain")))]
async fn read_session(
    State(state): State<ApiState>,
    Path(path): Path<SessionPath>,
) -> Result<Response, Error> {
    let request = state.log_sessions.find(&path.session).ok_or_else(|| {
        let text = "This log session does not exist or has expired; create another one.";
        service::Error::NotFound(text.to_owned())
    })?;
    stream::answer(&state, request, Form::Text).await
}

/// Read an app's log.
#[utoipa::path(get, path = "/apps/{app}/logs", operation_id = "read_logs",
    params(
        ("lines" = Option<u32>, Query, description = "Lines of the past, 1 to 10000; 100 when absent"),
        ("tail" = Option<bool>, Query, description = "Whether to go on with the lines to come"),
        ("dyno" = Option<String>, Query, description = "Only dynos of this type or name"),
        ("source" = Option<String>, Query, description = "`app`, `build`, `router` or `controller`")),
    responses((status = 200, description = "A line each; server-sent events for those who accept them",
        body = String, content_type = "text/plain")))]
async fn read(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    headers: HeaderMap,
    Query(query): Query<LogQuery>,
) -> Result<Response, Error> {
    let lines = query.lines.map_or(Ok(DEFAULT_LINES), |text| number_of_lines(&text, MOST_LINES))?;
    let tail = match query.tail.as_deref() {
        None | Some("false") => false,
        Some("true" | "") => true,
        Some(other) => {
            let text = format!("The tail \"{}\" is neither true nor false.", shown(other));
            return Err(RuleError::new(text).into());
        }
    };
    let kind = query.source.map(|text| text.parse::<SourceKind>()).transpose()?;
    let filter = LogFilter { kind, dyno: query.dyno.as_deref().map(DynoFilter::new) };
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let form = if accept.contains("text/event-stream") { Form::Events } else { Form::Text };
    stream::answer(&state, LogRequest { app: app.id, key: app.key(), lines, tail, filter }, form).await
}

fn number_of_lines(text: &str, most: usize) -> Result<usize, RuleError> {
    text.parse().ok().filter(|number| (1..=most).contains(number)).ok_or_else(|| {
        RuleError::new(format!(
            "The number of lines \"{}\" is not a whole number from 1 to {most}.",
            shown(text)
        ))
    })
}

/// Where the asking client can open a session: where it asked, or the edge for a client that speaks TLS only.
fn reachable(state: &ApiState, origin: Origin, headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if origin.0.starts_with("https:") || !agent.starts_with(TLS_ONLY_CLIENT) {
        return origin.0;
    }
    let settings = &state.settings;
    match settings.https_port {
        443 => format!("https://{API_HOST_LABEL}.{}", settings.apps_domain),
        port => format!("https://{API_HOST_LABEL}.{}:{port}", settings.apps_domain),
    }
}
