//! The JSON of OTLP/HTTP, version 1: what is common to traces and metrics, and the form of spans.
//!
//! Written by hand: the protocol's JSON is a handful of nested objects, while the libraries bring a second set of
//! counters and fourteen crates, protobuf's among them.

use serde_json::{Value, json};

use super::span::{AttributeValue, Span, SpanKind};
use crate::model::time::Timestamp;

/// Who made the telemetry, in every message.
pub fn scope() -> Value {
    json!({ "name": "akkerisd", "version": env!("CARGO_PKG_VERSION") })
}

/// One attribute; numbers are texts, because JSON's have no 64 bits.
pub fn attribute(name: &str, value: &AttributeValue) -> Value {
    let value = match value {
        AttributeValue::Text(text) => json!({ "stringValue": text }),
        AttributeValue::Number(number) => json!({ "intValue": number.to_string() }),
    };
    json!({ "key": name, "value": value })
}

/// Nanoseconds since 1970, as a text.
pub fn nanos(at: Timestamp) -> String {
    whole_nanos(at).to_string()
}

/// The body of `POST /v1/traces`.
pub(super) fn traces(resource: &Value, spans: &[Span]) -> String {
    let spans: Vec<Value> = spans.iter().map(span).collect();
    let scoped = json!([{ "scope": scope(), "spans": spans }]);
    json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": scoped }] }).to_string()
}

fn span(span: &Span) -> Value {
    let ended = whole_nanos(span.ended_at);
    let began = ended.saturating_sub(span.took.as_nanos());
    let attributes: Vec<Value> = span.attributes.iter().map(|(name, value)| attribute(name, value)).collect();
    let mut form = json!({
        "traceId": span.traced.trace.to_string(),
        "spanId": span.traced.span.to_string(),
        "flags": 1,
        "name": span.name,
        "kind": match span.kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
        },
        "startTimeUnixNano": began.to_string(),
        "endTimeUnixNano": ended.to_string(),
        "attributes": attributes,
        "status": match &span.failure {
            Some(message) => json!({ "code": 2, "message": message }),
            None => json!({}),
        },
    });
    if let (Some(parent), Some(form)) = (span.traced.parent, form.as_object_mut()) {
        form.insert("parentSpanId".to_owned(), parent.to_string().into());
    }
    form
}

fn whole_nanos(at: Timestamp) -> u128 {
    at.since(Timestamp::from_millis(0)).as_nanos()
}
