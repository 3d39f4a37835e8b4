//! Traces through the edge: what the app gets, and the span that tells of the request.

use akkerisd::edge::AccessSink;
use akkerisd::model::trace::Sampler;
use akkerisd::tasks::Tasks;
use serde_json::json;

use super::app_request;
use super::backend::Backend;
use super::harness::{APP, TestEdge};
use crate::support::sink::Sink;
use crate::telemetry::{LIMIT, PARENT, TRACE, attribute, span, telemetry};

/// Asks an app for `/headers` and returns what it was sent.
async fn seen_by_the_app(sampler: Option<Sampler>, headers: &[(&str, &str)]) -> String {
    let edge = TestEdge::with(|settings| {
        settings.no_redirect = true;
        settings.access = Some(AccessSink::new().0);
        settings.sampler = sampler;
    });
    let backend = Backend::start("one").await;
    edge.route_to(&[&backend.upstream]);
    let request =
        headers.iter().fold(app_request("/headers"), |request, (name, value)| request.header(*name, *value));
    edge.ask(request).await.body
}

#[tokio::test]
async fn the_span_of_a_request_lies_below_its_caller() {
    let (sink, tasks) = (Sink::start().await, Tasks::new());
    let telemetry = telemetry(&sink.url, &tasks);
    let (access, mut records) = AccessSink::new();
    let edge = TestEdge::with(|settings| {
        settings.no_redirect = true;
        settings.access = Some(access);
        settings.sampler = telemetry.sampler();
    });
    let backend = Backend::start("one").await;
    edge.route_to(&[&backend.upstream]);
    edge.ask(app_request("/path?token=secret").header("traceparent", format!("00-{TRACE}-{PARENT}-01")))
        .await;
    let records = tokio::time::timeout(LIMIT, records.recv()).await.unwrap().unwrap();
    telemetry.record_request(records.get(0).unwrap().0);
    let found = span(&sink, "the span of the request", |_| true).await;
    assert_eq!((&found["traceId"], &found["parentSpanId"]), (&json!(TRACE), &json!(PARENT)));
    assert_eq!((&found["name"], &found["kind"]), (&json!("GET"), &json!(2)));
    assert_eq!(attribute(&found, "url.path"), Some("/path"));
    assert_eq!(attribute(&found, "server.address"), Some("web.apps.test"));
    assert_eq!(attribute(&found, "http.response.status_code"), Some("200"));
    assert_eq!(attribute(&found, "akkeris.app.id"), Some(APP.to_string().as_str()));
}

#[tokio::test]
async fn a_trace_passes_through_unchanged_whether_it_is_recorded_or_not() {
    for sampler in [None, Some(Sampler::new(0.0)), Some(Sampler::new(1.0))] {
        for flags in ["00", "01"] {
            let parent = format!("00-{TRACE}-{PARENT}-{flags}");
            let seen = seen_by_the_app(sampler, &[("traceparent", &parent), ("tracestate", "a=1,b=2")]).await;
            assert!(seen.contains(&parent) && seen.contains("a=1,b=2"), "{seen}");
        }
    }
}

#[tokio::test]
async fn a_trace_that_begins_at_the_edge_is_handed_on_to_the_app() {
    let none: &[(&str, &str)] = &[];
    assert!(seen_by_the_app(Some(Sampler::new(1.0)), none).await.contains("\"traceparent\": \"00-"));
    for sampler in [None, Some(Sampler::new(0.0))] {
        assert!(!seen_by_the_app(sampler, none).await.contains("traceparent"));
    }
    // One that nobody can read is no trace, and its state belongs to nothing.
    let broken = [("traceparent", "broken"), ("tracestate", "a=1")];
    let seen = seen_by_the_app(Some(Sampler::new(1.0)), &broken).await;
    assert!(!seen.contains("broken") && !seen.contains("tracestate"), "{seen}");
    let seen = seen_by_the_app(None, &broken).await;
    assert!(seen.contains("broken") && seen.contains("tracestate"), "what is off changes nothing: {seen}");
}
