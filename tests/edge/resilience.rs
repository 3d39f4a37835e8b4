//! Dynos that refuse, hang, break off or stand still, and what the router line says of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use akkerisd::edge::table::{HostRoute, Service, Upstream};
use akkerisd::edge::{AccessRecords, AccessSink};
use akkerisd::model::names::DynoName;
use akkerisd::model::router_limits::RouterLimits;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinSet;

use super::backend::Backend;
use super::harness::{APP, HOST, TestEdge, app};
use super::{LIMIT, app_request, closed_upstream, stream_of};
use crate::support::wait::wait_until;

const SHORT: Duration = Duration::from_millis(200);

/// A dyno that reads a request and sends these bytes, whatever they are.
struct RawDyno {
    upstream: Arc<Upstream>,
    requests: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

/// What a dyno does after its bytes.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Closes,
    Stays,
}

impl RawDyno {
    async fn start(bytes: &'static str, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream::new(DynoName::new("1", "raw"), listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (seen, mut task) = (Arc::clone(&requests), JoinSet::new());
        task.spawn(async move {
            let mut kept = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                if stream.read(&mut [0; 4_096]).await.unwrap_or(0) == 0 {
                    continue;
                }
                seen.fetch_add(1, Ordering::SeqCst);
                stream.write_all(bytes.as_bytes()).await.unwrap();
                if then == Then::Stays {
                    kept.push(stream);
                }
            }
        });
        Self { upstream, requests, _task: task }
    }
}

fn impatient() -> (TestEdge, Receiver<AccessRecords>) {
    let (sink, records) = AccessSink::new();
    let edge = TestEdge::with(|settings| {
        settings.no_redirect = true;
        settings.access = Some(sink);
        (settings.limits.first_byte, settings.limits.rolling) = (SHORT, SHORT);
    });
    (edge, records)
}

/// The code of the next request that ended.
async fn next(records: &mut Receiver<AccessRecords>) -> (u16, Option<&'static str>) {
    let batch = tokio::time::timeout(LIMIT, records.recv()).await.unwrap().unwrap();
    assert_eq!(batch.len(), 1);
    let (record, line) = batch.get(0).unwrap();
    let code = line.split_once(" at=error code=").map(|(_, rest)| rest.split(' ').next().unwrap());
    (record.status, code.map(|code| &*code.to_owned().leak()))
}

#[tokio::test]
async fn a_dyno_that_refused_gets_requests_again_once_it_listens() {
    let (edge, backend, gone) = (TestEdge::start(), Backend::start("one").await, closed_upstream().await);
    edge.route_to(&[&gone, &backend.upstream]);
    for _ in 0..6 {
        assert_eq!(edge.get("/").await.body, "one");
    }
    let listener = TcpListener::bind(gone.address).await.unwrap();
    let mut task = JoinSet::new();
    task.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // A probe sends nothing.
            if stream.read(&mut [0; 4_096]).await.unwrap_or(0) > 0 {
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nback").await);
            }
        }
    });
    wait_until("the dyno is back", LIMIT, async || (edge.get("/").await.body == "back").then_some(())).await;
}

#[tokio::test]
async fn a_request_without_effect_goes_to_another_dyno_when_one_hangs_up_on_it() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    let rude = RawDyno::start("", Then::Closes).await;
    edge.route_to(&[&rude.upstream, &backend.upstream]);
    for _ in 0..4 {
        let answer = edge.get("/headers?x=1").await;
        assert_eq!(answer.status, StatusCode::OK);
        assert!(answer.body.starts_with("GET /headers?x=1\n"), "{}", answer.body);
        assert!(answer.body.contains("\"host\": \"web.apps.test\""), "{}", answer.body);
    }
    assert!(rude.requests.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn a_request_is_sent_twice_at_most_and_one_with_effects_once() {
    let edge = TestEdge::start();
    let rude = [
        RawDyno::start("", Then::Closes).await,
        RawDyno::start("", Then::Closes).await,
        RawDyno::start("", Then::Closes).await,
    ];
    let seen = || rude.iter().map(|rude| rude.requests.load(Ordering::SeqCst)).sum::<usize>();
    edge.route_to(&rude.each_ref().map(|rude| &rude.upstream));
    assert_eq!(edge.get("/").await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(seen(), 2);
    assert_eq!(edge.ask(Request::post("/").header("host", HOST)).await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(seen(), 3);
}

#[tokio::test]
async fn the_router_line_says_why_a_dyno_gave_no_answer() {
    let (edge, mut records) = impatient();
    edge.route(Service::Maintenance);
    assert_eq!(edge.get("/").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(next(&mut records).await, (503, Some("H80")));
    edge.route_to(&[]);
    edge.get("/").await;
    assert_eq!(next(&mut records).await, (503, Some("H14")));
    edge.route_to(&[&closed_upstream().await]);
    edge.get("/").await;
    assert_eq!(next(&mut records).await, (502, Some("H21")));
    for (bytes, then, expected) in [
        ("", Then::Stays, (504, Some("H12"))),
        ("", Then::Closes, (502, Some("H13"))),
        ("hello, I speak no HTTP\r\n\r\n", Then::Closes, (502, Some("H17"))),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", Then::Closes, (200, None)),
        ("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", Then::Closes, (500, None)),
    ] {
        let dyno = RawDyno::start(bytes, then).await;
        edge.route_to(&[&dyno.upstream]);
        assert_eq!(edge.get("/").await.status.as_u16(), expected.0, "{bytes}");
        assert_eq!(next(&mut records).await, expected, "{bytes}");
    }
}

#[tokio::test]
async fn an_answer_that_stands_still_or_breaks_off_ends_its_stream() {
    let (edge, mut records) = impatient();
    for (then, code) in [(Then::Stays, "H15"), (Then::Closes, "H18")] {
        let dyno = RawDyno::start("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart", then).await;
        edge.route_to(&[&dyno.upstream]);
        let mut sender = edge.connect().await;
        let response = sender.send_request(app_request("/").body(Empty::<Bytes>::new()).unwrap()).await;
        // When all of it comes at once the client may not even see the head.
        if let Ok(response) = response {
            assert_eq!(response.status(), StatusCode::OK);
            let body = tokio::time::timeout(LIMIT, response.into_body().collect()).await.unwrap();
            assert!(body.is_err(), "{code}");
        }
        assert_eq!(next(&mut records).await, (200, Some(code)));
        assert_eq!(dyno.upstream.in_flight(), 0);
    }
}

#[tokio::test]
async fn the_api_may_be_silent_for_longer_than_a_dyno() {
    let (edge, _records) = impatient();
    let backend = Backend::start("api").await;
    edge.publish(HostRoute::Api { address: backend.address() });
    let late = edge.get("/wait");
    tokio::pin!(late);
    assert!(tokio::time::timeout(SHORT * 4, &mut late).await.is_err(), "its answer is waited for");
    backend.gate.send_replace(true);
    assert_eq!(late.await.body, "api");

    let followed = RawDyno::start("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart", Then::Stays).await;
    edge.publish(HostRoute::Api { address: followed.upstream.address });
    let mut sender = edge.connect().await;
    let response = sender.send_request(app_request("/").body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let body = tokio::time::timeout(SHORT * 4, response.into_body().collect()).await;
    assert!(body.is_err(), "a log that is followed goes on");
}

#[tokio::test]
async fn an_upload_that_stops_is_answered_408() {
    let (edge, mut records) = impatient();
    let backend = Backend::start("one").await;
    edge.route_to(&[&backend.upstream]);
    let mut stream = TcpStream::connect(edge.http).await.unwrap();
    let head = format!("POST /wait HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 10\r\n\r\npart");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(next(&mut records).await, (408, Some("H28")));
    assert_eq!(backend.upstream.in_flight(), 0);
}

#[tokio::test]
async fn a_client_that_goes_away_is_h27() {
    let (sink, mut records) = AccessSink::new();
    let edge = TestEdge::with(|settings| (settings.no_redirect, settings.access) = (true, Some(sink)));
    let backend = Backend::start("one").await;
    edge.route_to(&[&backend.upstream]);
    let mut stream = TcpStream::connect(edge.http).await.unwrap();
    stream.write_all(format!("GET /wait HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    wait_until("it is open", LIMIT, async || (backend.upstream.in_flight() == 1).then_some(())).await;
    drop(stream);
    assert_eq!(next(&mut records).await, (499, Some("H27")));
}

#[tokio::test]
async fn an_app_may_have_limits_of_its_own() {
    let (edge, mut records) = impatient();
    let backend = Backend::start("one").await;
    let upstreams = || Service::Upstreams(vec![Arc::clone(&backend.upstream)]);
    let limits = RouterLimits { first_byte: Some(Duration::from_mins(1)), ..RouterLimits::default() };
    edge.change(|table| {
        table.insert_app(HOST, akkerisd::edge::table::AppRoute { limits, ..app(APP, upstreams()) });
    });
    let open = async {
        tokio::time::timeout(SHORT * 3, std::future::pending::<()>()).await.unwrap_err();
        backend.gate.send(true).unwrap();
    };
    let (answer, ()) = tokio::join!(edge.get("/wait"), open);
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "one"));
    assert_eq!(next(&mut records).await, (200, None));
}

#[tokio::test]
async fn a_silent_tunnel_ends_and_a_talking_one_does_not() {
    let (edge, _records) = impatient();
    let backend = Backend::start("one").await;
    edge.route_to(&[&backend.upstream]);
    let mut sender = edge.connect().await;
    let request = app_request("/upgrade").header("connection", "Upgrade").header("upgrade", "echo");
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let mut pace = tokio::time::interval(SHORT / 4);
    for _ in 0..12 {
        pace.tick().await;
        tunnel.write_all(b"x").await.unwrap();
        tunnel.read_exact(&mut [0]).await.unwrap();
    }
    let end = tokio::time::timeout(LIMIT, tunnel.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)));
    wait_until("the tunnel ended", LIMIT, async || (backend.upstream.in_flight() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_slow_stream_may_last_longer_than_the_limit_between_two_bytes() {
    let (edge, mut records) = impatient();
    let backend = Backend::start("one").await;
    edge.route_to(&[&backend.upstream]);
    let (frames, received) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(1);
    let mut sender = edge.connect().await;
    let request =
        Request::post("/echo").header("host", HOST).body(StreamBody::new(stream_of(received))).unwrap();
    let mut pace = tokio::time::interval(SHORT / 4);
    let upload = async move {
        for _ in 0..12 {
            pace.tick().await;
            frames.send(Ok(Frame::data(Bytes::from_static(b"piece.")))).await.unwrap();
        }
    };
    let download = async {
        let response = sender.send_request(request).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    };
    let (echoed, ()) = tokio::join!(download, upload);
    assert_eq!(echoed.len(), 72);
    assert_eq!(next(&mut records).await, (200, None));
}
