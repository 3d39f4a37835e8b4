//! A span for each request of the API, up to the head of its answer.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::ApiState;
use super::error::Failure;
use crate::model::trace::TraceContext;
use crate::telemetry::{Span, SpanKind};

/// Runs after routing, so that spans are named by the pattern of their path.
pub(super) async fn record(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let caller = request.headers().get("traceparent");
    let caller = caller.and_then(|value| TraceContext::parse(value.to_str().ok()?));
    let Some(traced) = state.telemetry.begin(caller) else { return next.run(request).await };
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let began = Instant::now();
    let response = next.run(request).await;
    let failure = response.extensions().get::<Failure>();
    let status = failure.map_or_else(|| response.status(), Failure::status);
    let mut attributes = vec![
        ("http.request.method", method.as_str().into()),
        ("url.path", path.into()),
        ("http.response.status_code", status.as_u16().into()),
    ];
    let name = route.as_ref().map_or_else(|| method.to_string(), |route| format!("{method} {route}"));
    attributes.extend(route.map(|route| ("http.route", route.into())));
    state.telemetry.record(Span {
        traced,
        name,
        kind: SpanKind::Server,
        ended_at: state.clock.now(),
        took: began.elapsed(),
        attributes,
        failure: status.is_server_error().then(|| format!("status {}", status.as_u16())),
    });
    response
}
