//! The edge before small servers: routing, headers, streams, tunnels, TLS, and what happens when things go away.

mod access;
mod backend;
mod conformance;
mod corpus;
mod filters;
mod floods;
mod forwarding;
mod frames;
mod handover;
mod harness;
mod hold;
mod http2_end_to_end;
mod http3;
mod http3_client;
mod http3_hostile;
mod issuer;
mod issuer_keys;
mod kept_keys;
mod limits;
mod protocol;
mod resilience;
mod sites;
mod smuggling;
mod trace;
mod websocket;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use akkerisd::edge::Patience;
use akkerisd::edge::table::{HostRoute, Service, Upstream};
use akkerisd::model::names::DynoName;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::wait::wait_until;
use backend::Backend;
use harness::{HOST, TestEdge, answer, patience};

const LIMIT: Duration = Duration::from_secs(10);

fn app_request(path: &str) -> http::request::Builder {
    Request::get(path).header("host", HOST)
}

/// An address at which nobody listens.
async fn closed_upstream() -> Arc<Upstream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Upstream::new(DynoName::new("1", "gone"), listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_request_goes_to_the_upstream_of_its_host_and_keeps_its_connection() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut sender = edge.connect().await;
    for _ in 0..5 {
        sender.ready().await.unwrap();
        let request = app_request("/").body(Empty::<Bytes>::new()).unwrap();
        assert_eq!(answer(sender.send_request(request).await.unwrap()).await.body, "one");
    }
    assert_eq!(backend.connections(), 1);
    assert_eq!(edge.handle.counters().requests, 5);
    assert_eq!(edge.handle.counters().upstream_connections, 1);
}

#[tokio::test]
async fn capitals_and_a_port_in_the_host_make_no_difference() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let answer = edge.ask(Request::get("/").header("host", "WEB.Apps.Test:8080")).await;
    assert_eq!(answer.body, "one");
}

#[tokio::test]
async fn requests_spread_over_upstreams_by_those_in_flight() {
    let (edge, one, two) = (TestEdge::start(), Backend::start("one").await, Backend::start("two").await);
    edge.route_to(&[&one.upstream]);
    let mut sender = edge.connect().await;
    let waiting = sender.send_request(app_request("/wait").body(Empty::<Bytes>::new()).unwrap());
    let others = async {
        wait_until("one is busy", LIMIT, async || (one.upstream.in_flight() == 1).then_some(())).await;
        edge.route_to(&[&one.upstream, &two.upstream]);
        for _ in 0..4 {
            assert_eq!(edge.get("/").await.body, "two");
        }
        one.gate.send(true).unwrap();
    };
    let (waited, ()) = tokio::join!(waiting, others);
    assert_eq!(answer(waited.unwrap()).await.body, "one");
    wait_until("nothing is in flight", LIMIT, async || (one.upstream.in_flight() == 0).then_some(())).await;
}

#[tokio::test]
async fn the_upstream_learns_about_its_client_and_not_what_the_client_claims() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let request = app_request("/headers?x=1")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-forwarded-proto", "https")
        .header("x-request-id", "mine-1")
        .header("connection", "x-secret-hop")
        .header("x-secret-hop", "leak")
        .header("keep-alive", "leak");
    let answer = edge.ask(request).await;
    assert!(answer.body.starts_with("GET /headers?x=1\n"), "{}", answer.body);
    for expected in [
        "\"host\": \"web.apps.test\"",
        "\"x-forwarded-for\": \"127.0.0.1\"",
        "\"x-forwarded-proto\": \"http\"",
        "\"x-forwarded-host\": \"web.apps.test\"",
        "\"x-request-id\": \"mine-1\"",
        "\"x-request-start\": \"t=1",
    ] {
        assert!(answer.body.contains(expected), "{expected} in {}", answer.body);
    }
    assert!(!answer.body.contains("leak") && !answer.body.contains("6.6.6.6"), "{}", answer.body);
    assert_eq!(answer.headers["x-request-id"], "mine-1");
    assert_eq!(answer.headers["x-end"], "2");
    assert!(!answer.headers.contains_key("x-hop") && !answer.headers.contains_key("keep-alive"));
}

#[tokio::test]
async fn a_plain_request_is_sent_to_https_with_its_path() {
    let edge = TestEdge::with(|settings| settings.public_https_port = 8443);
    let answer = edge.ask(app_request("/a/b?c=d")).await;
    assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(answer.headers["location"], "https://web.apps.test:8443/a/b?c=d");
}

#[tokio::test]
async fn an_error_page_has_the_form_that_the_client_accepts() {
    let edge = TestEdge::start();
    let html = edge.ask(app_request("/").header("accept", "text/html,*/*")).await;
    assert_eq!(html.status, StatusCode::NOT_FOUND);
    assert!(html.body.starts_with("<!doctype html>"));
    let json = edge.ask(app_request("/").header("accept", "application/json")).await;
    let value: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(value["id"], "unknown_host");
    let text = edge.ask(app_request("/")).await;
    assert_eq!(text.headers["content-type"], "text/plain; charset=utf-8");
    assert!(text.headers.contains_key("x-request-id"));
    assert_eq!(edge.ask(Request::get("/")).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_app_without_dynos_and_one_in_maintenance_answer_503() {
    let edge = TestEdge::start();
    edge.route_to(&[]);
    let none = edge.get("/").await;
    assert_eq!(
        (none.status, none.headers.contains_key("retry-after")),
        (StatusCode::SERVICE_UNAVAILABLE, false)
    );
    edge.route(Service::Maintenance);
    let maintenance = edge.get("/").await;
    assert_eq!(maintenance.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(maintenance.headers["retry-after"], "60");
    assert!(maintenance.body.contains("maintenance"));
}

#[tokio::test]
async fn the_api_host_is_forwarded_to_its_address() {
    let (edge, backend) = (TestEdge::start(), Backend::start("api").await);
    edge.publish(HostRoute::Api { address: backend.address() });
    assert_eq!(edge.get("/").await.body, "api");
}

#[tokio::test]
async fn an_upstream_that_refuses_is_passed_over() {
    let (edge, backend, gone) = (TestEdge::start(), Backend::start("one").await, closed_upstream().await);
    edge.route_to(&[&gone, &backend.upstream]);
    for _ in 0..6 {
        assert_eq!(edge.get("/").await.body, "one");
    }
    edge.route_to(&[&gone]);
    assert_eq!(edge.get("/").await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(gone.in_flight(), 0);
}

#[tokio::test]
async fn an_upstream_that_is_silent_or_breaks_off_becomes_a_gateway_error() {
    let edge = TestEdge::with(|settings| {
        settings.no_redirect = true;
        settings.limits.first_byte = Duration::from_millis(200);
    });
    let silent = Backend::start("silent").await;
    edge.route_to(&[&silent.upstream]);
    assert_eq!(edge.get("/wait").await.status, StatusCode::GATEWAY_TIMEOUT);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rude = Upstream::new(DynoName::new("1", "rude"), listener.local_addr().unwrap());
    edge.route_to(&[&rude]);
    let hang_up = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        drop(stream.read(&mut [0; 4_096]).await);
    };
    let (answer, ()) = tokio::join!(edge.get("/"), hang_up);
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(rude.in_flight(), 0);
}

#[tokio::test]
async fn an_upload_may_take_longer_than_the_limit_of_the_first_byte() {
    let edge = TestEdge::with(|settings| {
        settings.no_redirect = true;
        settings.limits.first_byte = Duration::from_millis(300);
    });
    let backend = Backend::start("one").await;
    edge.route_to(&[&backend.upstream]);
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let (frames, received) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(1);
    let upload = async move {
        for _ in 0..8 {
            pace.tick().await;
            frames.send(Ok(Frame::data(Bytes::from_static(b"piece.")))).await.unwrap();
        }
    };
    let mut sender = edge.connect().await;
    let body = StreamBody::new(stream_of(received));
    let request = Request::post("/echo").header("host", HOST).body(body).unwrap();
    let (response, ()) =
        tokio::join!(async { answer(sender.send_request(request).await.unwrap()).await }, upload);
    assert_eq!(response.body, "piece.".repeat(8));
}

#[tokio::test]
async fn bodies_stream_both_ways_before_they_are_complete() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let (frames, received) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(1);
    let mut sender = edge.connect().await;
    let request =
        Request::post("/echo").header("host", HOST).body(StreamBody::new(stream_of(received))).unwrap();
    frames.send(Ok(Frame::data(Bytes::from_static(b"first")))).await.unwrap();
    let mut response = sender.send_request(request).await.unwrap();
    let first = response.body_mut().frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first");
    frames.send(Ok(Frame::data(Bytes::from_static(b"second")))).await.unwrap();
    drop(frames);
    assert_eq!(answer(response).await.body, "second");
}

#[tokio::test]
async fn a_large_body_comes_back_unchanged_over_http2() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let content: Bytes = (0..=250).cycle().take(3_000_000).collect();
    let mut sender = edge.http2().await;
    let request = Request::post(format!("https://{HOST}/echo")).body(Full::new(content.clone())).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert!(response.into_body().collect().await.unwrap().to_bytes() == content);
}

#[tokio::test]
async fn many_streams_of_one_http2_connection_are_answered() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let sender = edge.http2().await;
    let mut requests = JoinSet::new();
    for _ in 0..200 {
        let mut sender = sender.clone();
        requests.spawn(async move {
            sender.ready().await.unwrap();
            let request =
                Request::get(format!("https://{HOST}/headers")).body(Empty::<Bytes>::new()).unwrap();
            answer(sender.send_request(request).await.unwrap()).await
        });
    }
    while let Some(answer) = requests.join_next().await {
        let answer = answer.unwrap();
        assert!(answer.body.contains("\"host\": \"web.apps.test\""), "{}", answer.body);
        assert!(answer.body.contains("\"x-forwarded-proto\": \"https\""), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_upgraded_connection_is_a_tunnel_and_counts_as_in_flight() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut sender = edge.connect().await;
    let request = app_request("/upgrade").header("connection", "Upgrade").header("upgrade", "echo");
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers()["upgrade"], "echo");
    let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    tunnel.write_all(b"hello").await.unwrap();
    let mut echoed = [0; 5];
    tunnel.read_exact(&mut echoed).await.unwrap();
    assert_eq!(&echoed, b"hello");
    assert_eq!(backend.upstream.in_flight(), 1);
    drop(tunnel);
    wait_until("the tunnel ended", LIMIT, async || (backend.upstream.in_flight() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_pooled_connection_that_the_upstream_closed_costs_no_request() {
    let edge = TestEdge::with(|settings| (settings.no_redirect, settings.workers) = (true, 1));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    edge.route_to(&[&Upstream::new(DynoName::new("1", "a"), listener.local_addr().unwrap())]);
    // Each connection answers one request, promises to stay open, and closes.
    let mut server = JoinSet::new();
    server.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4_096]).await.unwrap() > 0);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        }
    });
    for _ in 0..20 {
        assert_eq!(edge.get("/").await.body, "ok");
    }
    assert_eq!(edge.handle.counters().rescued, 0);
}

#[tokio::test]
async fn head_and_204_answers_leave_the_connection_usable() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut sender = edge.connect().await;
    for method in ["HEAD", "GET", "HEAD"] {
        sender.ready().await.unwrap();
        let request = Request::builder().method(method).uri("/").header("host", HOST);
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(response.headers()["content-length"], "3");
        assert_eq!(answer(response).await.body.len(), if method == "GET" { 3 } else { 0 });
    }
}

#[tokio::test]
async fn a_client_that_expects_100_gets_it_and_then_its_answer() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut stream = TcpStream::connect(edge.http).await.unwrap();
    let head =
        format!("POST /echo HTTP/1.1\r\nhost: {HOST}\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).await.unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"body").await.unwrap();
    let mut rest = Vec::new();
    while !rest.ends_with(b"body") {
        assert!(stream.read_buf(&mut rest).await.unwrap() > 0, "{}", String::from_utf8_lossy(&rest));
    }
    assert!(rest.starts_with(b"HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn a_quiet_connection_is_closed_and_a_busy_one_is_not() {
    let edge = TestEdge::with(|settings| {
        settings.no_redirect = true;
        settings.limits.header = Duration::from_millis(100);
        settings.limits.idle = Duration::from_millis(100);
    });
    let backend = Backend::start("one").await;
    edge.route_to(&[&backend.upstream]);
    let mut quiet = TcpStream::connect(edge.http).await.unwrap();
    quiet.write_all(b"GET / HTTP/1.1\r\nhost:").await.unwrap();
    let mut sender = edge.connect().await;
    let busy = sender.send_request(app_request("/wait").body(Empty::<Bytes>::new()).unwrap());
    let closes = async {
        let read = tokio::time::timeout(LIMIT, quiet.read(&mut [0; 64])).await.unwrap();
        assert!(matches!(read, Ok(0) | Err(_)));
        backend.gate.send(true).unwrap();
    };
    let (answered, ()) = tokio::join!(busy, closes);
    assert_eq!(answered.unwrap().status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swapping_the_table_and_retiring_under_load_fails_no_request() {
    let edge = Arc::new(TestEdge::start());
    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let mut present = Backend::start("a").await;
    edge.route_to(&[&present.upstream]);
    let mut load = JoinSet::new();
    for _ in 0..8 {
        let (edge, stop, served) = (Arc::clone(&edge), Arc::clone(&stop), Arc::clone(&served));
        load.spawn(async move {
            let mut sender = edge.connect().await;
            while !stop.load(Ordering::SeqCst) {
                sender.ready().await.unwrap();
                let request = app_request("/").body(Empty::<Bytes>::new()).unwrap();
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), StatusCode::OK);
                response.into_body().collect().await.unwrap();
                served.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    for _ in 0..20 {
        let next = Backend::start("b").await;
        edge.route_to(&[&next.upstream]);
        present.upstream.retire();
        wait_until("the old one is drained", LIMIT, async || {
            (present.upstream.in_flight() == 0).then_some(())
        })
        .await;
        let before = served.load(Ordering::SeqCst);
        present = next;
        wait_until("the new one serves", LIMIT, async || {
            (served.load(Ordering::SeqCst) > before + 20).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::SeqCst);
    while let Some(client) = load.join_next().await {
        client.unwrap();
    }
    assert_eq!(edge.handle.counters().rescued, 0);
}

#[tokio::test]
async fn idle_connections_to_an_upstream_out_of_the_table_are_closed() {
    let edge = TestEdge::start();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    edge.route_to(&[&Upstream::new(DynoName::new("1", "a"), listener.local_addr().unwrap())]);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 4_096]).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        stream
    };
    let (answer, mut stream) = tokio::join!(edge.get("/"), serve);
    assert_eq!(answer.body, "ok");
    edge.route_to(&[]);
    assert_eq!(tokio::time::timeout(LIMIT, stream.read(&mut [0; 16])).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn a_drain_lets_the_open_request_end_and_takes_no_new_one() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let address = edge.http;
    let mut sender = edge.connect().await;
    let open = sender.send_request(app_request("/wait").body(Empty::<Bytes>::new()).unwrap());
    let upstream = Arc::clone(&backend.upstream);
    let drain = async {
        wait_until("the request is open", LIMIT, async || (upstream.in_flight() == 1).then_some(())).await;
        let refused = async {
            wait_until("nobody listens", LIMIT, async || TcpStream::connect(address).await.err()).await;
            backend.gate.send(true).unwrap();
        };
        tokio::join!(edge.handle.drain(patience(LIMIT)), refused);
    };
    let (response, ()) = tokio::join!(async { answer(open.await.unwrap()).await }, drain);
    assert_eq!(response.body, "one");
    assert_eq!(response.headers["connection"], "close");
}

#[tokio::test]
async fn a_drain_serves_the_request_that_was_under_way_to_a_quiet_connection() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let address = edge.http;
    let mut sender = edge.connect().await;
    let first = sender.send_request(app_request("/").body(Empty::<Bytes>::new()).unwrap());
    assert_eq!(answer(first.await.unwrap()).await.body, "one");
    let late = async {
        wait_until("nobody listens", LIMIT, async || TcpStream::connect(address).await.err()).await;
        let late = sender.send_request(app_request("/").body(Empty::<Bytes>::new()).unwrap());
        answer(late.await.unwrap()).await
    };
    let (late, ()) = tokio::join!(late, edge.handle.drain(Patience { limit: LIMIT, quiet: LIMIT }));
    assert_eq!(
        (late.body.as_str(), &late.headers["connection"]),
        ("one", &HeaderValue::from_static("close"))
    );
}

#[tokio::test]
async fn a_drain_ends_at_its_limit_whatever_is_open() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut sender = edge.connect().await;
    let open = sender.send_request(app_request("/wait").body(Empty::<Bytes>::new()).unwrap());
    let upstream = Arc::clone(&backend.upstream);
    let drain = async {
        wait_until("the request is open", LIMIT, async || (upstream.in_flight() == 1).then_some(())).await;
        tokio::time::timeout(LIMIT, edge.handle.drain(patience(Duration::from_millis(100)))).await.unwrap();
    };
    let (response, ()) = tokio::join!(open, drain);
    assert!(response.is_err());
    assert_eq!(upstream.in_flight(), 0);
}

#[tokio::test]
async fn tls_shows_a_certificate_for_the_name_that_is_asked_for() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    for name in ["web.apps.test", "other.apps.test", "apps.test"] {
        edge.tls(name, &[b"http/1.1"]).await.unwrap();
    }
    assert!(edge.tls("example.org", &[]).await.is_err());
    let mut stream = edge.tls(HOST, &[b"http/1.1"]).await.unwrap();
    let head = format!("GET /headers HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("\"x-forwarded-proto\": \"https\""), "{answer}");
    assert!(answer.contains("\"x-forwarded-port\": \"443\""), "{answer}");
}

fn stream_of<T>(mut received: tokio::sync::mpsc::Receiver<T>) -> impl futures_util::Stream<Item = T> {
    futures_util::stream::poll_fn(move |cx| received.poll_recv(cx))
}
