//! A request that the edge has served, as a span.

use super::Telemetry;
use super::span::{AttributeValue, Span, SpanKind};
use crate::edge::AccessRecord;

impl Telemetry {
    /// Takes the span of a request that is traced. Never waits.
    pub fn record_request(&self, record: &AccessRecord) {
        if let Some(span) = span_of(record) {
            self.record(span);
        }
    }
}

fn span_of(record: &AccessRecord) -> Option<Span> {
    let request = record.trace.as_ref()?;
    let mut attributes: Vec<(&'static str, AttributeValue)> = vec![
        ("http.request.method", request.method.as_str().into()),
        ("server.address", request.host.clone().into()),
        // Without its query, which may hold what is nobody's business.
        ("url.path", request.path.clone().into()),
        ("http.response.status_code", record.status.into()),
        ("akkeris.app.id", record.app.to_string().into()),
    ];
    attributes.extend(request.dyno.as_ref().map(|dyno| ("akkeris.dyno", dyno.as_str().into())));
    Some(Span {
        traced: request.traced,
        name: request.method.to_string(),
        kind: SpanKind::Server,
        ended_at: record.at,
        took: record.total,
        attributes,
        failure: (record.status >= 500).then(|| format!("status {}", record.status)),
    })
}
