//! What the edge tells of requests, and the line that the log of their app gets for each.

use std::time::Duration;

use akkerisd::edge::table::Service;
use akkerisd::edge::{AccessRecords, AccessSink};
use akkerisd::logs::{Rings, RouterLines};
use akkerisd::model::log::LogLine;
use bytes::Bytes;
use http_body_util::Empty;
use tokio::sync::mpsc::Receiver;

use super::backend::Backend;
use super::harness::{APP, TestEdge, patience};
use super::{LIMIT, app_request};

fn told_edge() -> (TestEdge, Receiver<AccessRecords>) {
    let (sink, records) = AccessSink::new();
    let edge = TestEdge::with(|settings| {
        settings.no_redirect = true;
        settings.access = Some(sink);
    });
    (edge, records)
}

async fn next(records: &mut Receiver<AccessRecords>) -> AccessRecords {
    let batch = tokio::time::timeout(LIMIT, records.recv()).await.unwrap().unwrap();
    assert_eq!(batch.len(), 1);
    batch
}

fn status(records: &AccessRecords) -> u16 {
    records.get(0).unwrap().0.status
}

#[tokio::test]
async fn a_request_is_a_router_line_in_the_log_of_its_app() {
    let ((edge, mut records), backend) = (told_edge(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    edge.ask(app_request("/path?x=1").header("x-request-id", "mine-1")).await;
    let told = next(&mut records).await;
    let (record, _) = told.get(0).unwrap();
    assert_eq!((record.app, record.status), (APP, 200));
    assert!(record.total > Duration::ZERO);
    let dir = tempfile::tempdir().unwrap();
    let rings = Rings::new(dir.path(), 1 << 20);
    RouterLines::new(rings.clone()).write(told).await;
    let chunk = rings.reader(APP, 0).await.unwrap().available().await.unwrap();
    let text = chunk.lines.first().map(LogLine::text).unwrap();
    let start =
        "host=web.apps.test fwd=127.0.0.1 method=GET path=/path?x=1 request_id=mine-1 status=200 service=";
    assert!(text.starts_with(start), "{text}");
    assert!(text.contains("ms connect=") && text.contains("ms total="), "{text}");
    assert!(text.contains("ms bytes=3 dyno=web."), "{text}");
    let millis = |name: &str| -> u64 {
        let (_, value) = text.split_once(&format!(" {name}=")).unwrap();
        value.split_once("ms").unwrap().0.parse().unwrap()
    };
    assert!(millis("total") >= millis("service"), "{text}");
    assert!(millis("total") >= millis("connect"), "{text}");
}

#[tokio::test]
async fn what_the_edge_answers_itself_for_an_app_is_told_too_and_strangers_are_not() {
    let (edge, mut records) = told_edge();
    edge.route_to(&[]);
    edge.ask(http::Request::get("/").header("host", "nobody.apps.test")).await;
    edge.get("/none").await;
    let told = next(&mut records).await;
    let (record, line) = told.get(0).unwrap();
    assert_eq!(record.status, 503);
    assert!(line.contains(" path=/none ") && !line.contains(" dyno="), "{line}");
    edge.route(Service::Maintenance);
    edge.get("/maintained").await;
    assert_eq!(status(&next(&mut records).await), 503);
}

#[tokio::test]
async fn a_client_that_goes_away_before_it_is_answered_is_499() {
    let ((edge, mut records), backend) = (told_edge(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut sender = edge.connect().await;
    let waiting = sender.send_request(app_request("/wait").body(Empty::<Bytes>::new()).unwrap());
    let gone = tokio::time::timeout(Duration::from_millis(200), waiting).await;
    assert!(gone.is_err());
    drop(sender);
    assert_eq!(status(&next(&mut records).await), 499);
}

#[tokio::test]
async fn a_stop_tells_what_was_not_told_yet_and_a_full_channel_holds_nothing_up() {
    let (sink, mut records) = AccessSink::new();
    let watched = sink.clone();
    let backend = Backend::start("one").await;
    let edge = TestEdge::with(|settings| {
        settings.no_redirect = true;
        settings.access = Some(sink);
    });
    edge.route_to(&[&backend.upstream]);
    let mut sender = edge.connect().await;
    // Far more than the channel takes, which nobody empties.
    for _ in 0..9_000 {
        sender.ready().await.unwrap();
        let request = app_request("/").body(Empty::<Bytes>::new()).unwrap();
        super::answer(sender.send_request(request).await.unwrap()).await;
    }
    drop(sender);
    edge.handle.drain(patience(LIMIT)).await;
    let mut told = 0;
    while let Ok(batch) = records.try_recv() {
        told += batch.len() as u64;
    }
    assert!(watched.dropped() > 0);
    assert_eq!(told + watched.dropped(), 9_000);
}
