//! OpenTelemetry: what a collector gets of the API, of hooks, builds and releases, and that it may be gone.

use std::time::{Duration, Instant};

use akkerisd::hooks::Deliverer;
use akkerisd::model::event::Event;
use akkerisd::model::ids::{BuildId, ReleaseId};
use akkerisd::model::principal::Principal;
use akkerisd::outbound::Outbound;
use akkerisd::store::StoreError;
use akkerisd::tasks::Tasks;
use akkerisd::telemetry::{Span, SpanKind, Telemetry, TelemetrySettings, WorkSpans};
use serde_json::{Value, json};

use crate::hook_payloads::deliverer_parts;
use crate::pipelines::{id_of, released, text};
use crate::support::ports::free_ports;
use crate::support::sink::Sink;
use crate::support::wait::wait_until;
use crate::support::{Client, TestDaemon};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);
pub(crate) const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
pub(crate) const PARENT: &str = "00f067aa0ba902b7";

pub(crate) fn telemetry(endpoint: &str, tasks: &Tasks) -> Telemetry {
    let settings = TelemetrySettings {
        endpoint: endpoint.to_owned(),
        headers: vec![("x-key".to_owned(), "k".to_owned())],
        sample_ratio: 1.0,
        metrics_interval: Duration::from_secs(1),
    };
    Telemetry::start(settings, Outbound::new(true).unwrap(), tasks)
}

/// Waits for the span that `wanted` accepts.
pub(crate) async fn span(sink: &Sink, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_until(what, LIMIT, async || {
        let received = sink.received();
        let traces = received.iter().filter(|message| message.path.ends_with("/v1/traces"));
        traces
            .filter_map(|message| message.json().pointer("/resourceSpans/0/scopeSpans/0/spans").cloned())
            .filter_map(|spans| spans.as_array().cloned())
            .flatten()
            .find(&wanted)
    })
    .await
}

/// The value of an attribute as text.
pub(crate) fn attribute<'s>(span: &'s Value, name: &str) -> Option<&'s str> {
    let attributes = span.get("attributes")?.as_array()?;
    let found = attributes.iter().find(|attribute| attribute.get("key").is_some_and(|key| key == name))?;
    let value = found.get("value")?;
    value.get("stringValue").or_else(|| value.get("intValue"))?.as_str()
}

fn named(name: &str) -> impl Fn(&Value) -> bool {
    move |span| span.get("name").is_some_and(|found| found == name)
}

/// Its key.
async fn add_app(client: &Client, name: &str) -> String {
    let app = json!({ "name": name, "space": "default", "org": "akkeris" });
    client.post("/apps", app).await.json(201);
    format!("{name}-default")
}

#[tokio::test]
async fn a_request_of_the_api_is_a_span_below_its_caller() {
    let (sink, tasks) = (Sink::start().await, Tasks::new());
    let daemon = TestDaemon::traced(telemetry(&sink.url, &tasks)).await;
    let caller = daemon.admin().header("traceparent", &format!("00-{TRACE}-{PARENT}-01"));
    caller.get("/apps?x=secret").await.json(200);
    let found = span(&sink, "the span of a list", named("GET /apps")).await;
    assert_eq!((&found["traceId"], &found["parentSpanId"]), (&json!(TRACE), &json!(PARENT)));
    assert_eq!((&found["kind"], &found["status"]), (&json!(2), &json!({})));
    assert_eq!(attribute(&found, "http.response.status_code"), Some("200"));
    assert_eq!(attribute(&found, "url.path"), Some("/apps"));
    let nanos = |field: &str| found[field].as_str().unwrap().parse::<u128>().unwrap();
    assert!(nanos("startTimeUnixNano") < nanos("endTimeUnixNano"));
    assert!(nanos("startTimeUnixNano") > 1_700_000_000_000_000_000);

    daemon.admin().get("/apps/nothing").await.error(404);
    let found = span(&sink, "the span of a failure", named("GET /apps/{app}")).await;
    assert_eq!(attribute(&found, "http.response.status_code"), Some("404"));
    assert_eq!(found.get("parentSpanId"), None, "a trace of its own begins");

    let message = sink.received().first().cloned().unwrap();
    assert_eq!((message.path.as_str(), message.header("x-key")), ("/hook/v1/traces", "k"));
    assert_eq!(message.header("content-type"), "application/json");
    let resource = message.json().pointer("/resourceSpans/0/resource").cloned().unwrap();
    assert_eq!(attribute(&resource, "service.name"), Some("akkerisd"));
    assert!(!String::from_utf8_lossy(&message.body).contains("secret"));
}

#[tokio::test]
async fn a_caller_that_records_nothing_is_followed_in_that() {
    let (sink, tasks) = (Sink::start().await, Tasks::new());
    let daemon = TestDaemon::traced(telemetry(&sink.url, &tasks)).await;
    let caller = daemon.admin().header("traceparent", &format!("00-{TRACE}-{PARENT}-00"));
    caller.get("/apps").await.json(200);
    daemon.admin().get("/spaces").await.json(200);
    span(&sink, "the span of a later request", named("GET /spaces")).await;
    assert!(tasks.stop(LIMIT).await);
    let all = sink.received().iter().map(|message| message.json().to_string()).collect::<String>();
    assert!(!all.contains(TRACE), "{all}");
}

#[tokio::test]
async fn builds_releases_and_deliveries_are_spans_and_the_trace_of_a_build_has_its_id() {
    let (sink, hook, tasks) = (Sink::start().await, Sink::start().await, Tasks::new());
    let daemon = TestDaemon::traced(telemetry(&sink.url, &tasks)).await;
    let (store, sealer) = (daemon.state.store.clone(), daemon.state.sealer.clone());
    WorkSpans { store, sealer, telemetry: daemon.state.telemetry.clone() }.start(&tasks);
    let client = daemon.admin();
    let name = add_app(&client, "traced").await;
    let wanted = json!({ "url": hook.url, "events": ["released"], "secret": "some secret" });
    client.post(&format!("/apps/{name}/hooks"), wanted).await.json(201);
    Deliverer::start(deliverer_parts(&daemon), &tasks).await.unwrap();

    let made = released(&daemon, &client, &name).await;
    let app = id_of(&client, &name).await;
    let release: ReleaseId = text(&made, "id").parse().unwrap();
    let build: BuildId = text(&made["slug"], "id").parse().unwrap();
    let ends = move |tx: &mut akkerisd::store::Tx<'_>| {
        tx.record(Event::BuildSucceeded { app, build })?;
        tx.record(Event::ReleaseSucceeded { app, release, version: 1 })?;
        Ok::<_, StoreError>(())
    };
    daemon.state.store.write(&Principal::daemon(), ends).await.unwrap();

    let found = span(&sink, "the span of the build", named("build")).await;
    assert_eq!(found["traceId"], build.uuid().simple().to_string());
    assert_eq!(attribute(&found, "akkeris.build.id"), Some(build.to_string().as_str()));
    let found = span(&sink, "the span of the release", named("release")).await;
    assert_eq!(found["traceId"], release.uuid().simple().to_string());
    assert_eq!(attribute(&found, "akkeris.app.id"), Some(app.to_string().as_str()));
    let found = span(&sink, "the span of the delivery", named("hook delivery")).await;
    assert_eq!((attribute(&found, "http.response.status_code"), &found["kind"]), (Some("200"), &json!(3)));
}

#[tokio::test]
async fn what_prometheus_scrapes_is_pushed_under_the_same_names() {
    let (sink, tasks) = (Sink::start().await, Tasks::new());
    let daemon = TestDaemon::traced(telemetry(&sink.url, &tasks)).await;
    add_app(&daemon.admin(), "counted").await;
    daemon.state.metrics.start_push();
    let pushed = wait_until("metrics are pushed", LIMIT, async || {
        let received = sink.received();
        let message = received.iter().find(|message| message.path == "/hook/v1/metrics")?;
        message.json().pointer("/resourceMetrics/0/scopeMetrics/0/metrics").cloned()
    })
    .await;
    let names: Vec<&str> =
        pushed.as_array().unwrap().iter().map(|metric| metric["name"].as_str().unwrap()).collect();
    let scraped = daemon.admin().get("/metrics").await.text();
    // A family without samples has a name in the text, but nothing that could be pushed.
    let with_samples = scraped
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split([' ', '{']).next().unwrap());
    for name in with_samples {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    let apps = pushed.as_array().unwrap().iter().find(|metric| metric["name"] == "akkerisd_apps").unwrap();
    assert_eq!(apps.pointer("/gauge/dataPoints/0/asDouble"), Some(&json!(1.0)));
}

fn some_span(telemetry: &Telemetry) -> Span {
    Span {
        traced: telemetry.begin(None).unwrap(),
        name: "some".to_owned(),
        kind: SpanKind::Internal,
        ended_at: akkerisd::clock::Clock::system().now(),
        took: Duration::from_millis(1),
        attributes: Vec::new(),
        failure: None,
    }
}

#[tokio::test]
async fn a_collector_that_is_gone_holds_nothing_up_and_what_it_misses_is_counted() {
    const SPANS: u64 = 20_000;
    let ([closed], tasks) = (free_ports(), Tasks::new());
    let telemetry = telemetry(&format!("http://127.0.0.1:{closed}"), &tasks);
    let daemon = TestDaemon::traced(telemetry.clone()).await;
    for _ in 0..SPANS {
        telemetry.record(some_span(&telemetry));
    }
    let dropped = telemetry.figures().unwrap().dropped_spans;
    assert!(dropped >= SPANS - 4096 - 512, "the queue is bounded: {dropped}");
    daemon.admin().get("/apps").await.json(200);
    wait_until("a failed message is counted", LIMIT, async || {
        (telemetry.figures()?.failed_posts > 0).then_some(())
    })
    .await;
    let scraped = daemon.admin().get("/metrics").await.text();
    assert!(scraped.contains("\nakkerisd_telemetry_dropped_spans_total "), "{scraped}");
    let began = Instant::now();
    assert!(tasks.stop(LIMIT).await, "the end does not wait for a collector that is gone");
    eprintln!("stopped in {:?}", began.elapsed());
    let figures = telemetry.figures().unwrap();
    // The requests above are spans, too.
    assert_eq!((figures.sent_spans, figures.dropped_spans), (0, SPANS + 2));
}

#[tokio::test]
async fn the_last_spans_are_sent_when_the_daemon_stops_and_a_refusal_is_not_repeated() {
    let (sink, tasks) = (Sink::start().await, Tasks::new());
    let telemetry = telemetry(&sink.url, &tasks);
    sink.answer(&[400]);
    telemetry.record(some_span(&telemetry));
    wait_until("the first is refused", LIMIT, async || {
        (telemetry.figures()?.dropped_spans == 1).then_some(())
    })
    .await;
    telemetry.record(some_span(&telemetry));
    assert!(tasks.stop(LIMIT).await);
    let figures = telemetry.figures().unwrap();
    assert_eq!((figures.sent_spans, figures.dropped_spans, figures.failed_posts), (1, 1, 1));
    assert_eq!(sink.received().len(), 2);
}

#[tokio::test]
async fn a_collector_that_is_busy_is_asked_again() {
    let (sink, tasks) = (Sink::start().await, Tasks::new());
    let telemetry = telemetry(&sink.url, &tasks);
    sink.answer(&[503]);
    telemetry.record(some_span(&telemetry));
    wait_until("it is sent", LIMIT, async || (telemetry.figures()?.sent_spans == 1).then_some(())).await;
    assert_eq!(telemetry.figures().unwrap().failed_posts, 1);
}

#[tokio::test]
async fn without_a_collector_nothing_is_traced() {
    let telemetry = Telemetry::off();
    assert!(
        telemetry.begin(None).is_none() && telemetry.sampler().is_none() && telemetry.figures().is_none()
    );
}
