//! HTTP/3 to clients: the same requests and answers as over the other protocols, on streams of QUIC.

use std::sync::Arc;
use std::time::Duration;

use akkerisd::edge::table::{Service, Upstream};
use akkerisd::edge::{AccessSink, QuicSocket};
use akkerisd::model::names::DynoName;
use bytes::{Buf, Bytes};
use futures_util::FutureExt;
use h3::error::{Code, StreamError};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Empty;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use super::LIMIT;
use super::backend::Backend;
use super::harness::{APP, HOST, TestEdge, patience, read_to};
use super::http3_client::{Http3Client, connect, request};
use crate::support::wait::wait_until;

fn start() -> TestEdge {
    TestEdge::with_http3(|settings| settings.no_redirect = true)
}

/// An edge, and a listener in the place of its app's only dyno.
async fn before_listener() -> (TestEdge, TcpListener) {
    let (edge, listener) = (start(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    edge.route_to(&[&Upstream::new(DynoName::new("1", "raw"), listener.local_addr().unwrap())]);
    (edge, listener)
}

#[tokio::test]
async fn a_request_over_http3_is_one_like_any_other() {
    let (sink, mut records) = AccessSink::new();
    let edge = TestEdge::with_http3(|settings| settings.access = Some(sink));
    let backend = Backend::start("one").await;
    edge.route_to(&[&backend.upstream]);
    let mut client = Http3Client::connect(&edge).await;
    let asked = request("GET", "/headers?x=1")
        .header("x-request-id", "mine-1")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-orig-host", "evil.test")
        .header("cookie", "a=1")
        .header("cookie", "b=2");
    let answer = client.ask(asked, Bytes::new()).await.unwrap();
    assert!(answer.text().starts_with("GET /headers?x=1\n"), "{}", answer.text());
    for expected in [
        "\"host\": \"web.apps.test\"",
        "\"x-forwarded-for\": \"127.0.0.1\"",
        "\"x-forwarded-proto\": \"https\"",
        "\"x-forwarded-port\": \"443\"",
        "\"x-request-id\": \"mine-1\"",
        "\"cookie\": \"a=1; b=2\"",
        "\"x-request-start\": \"t=1",
    ] {
        assert!(answer.text().contains(expected), "{expected} in {}", answer.text());
    }
    assert!(
        !answer.text().contains("transfer-encoding") && !answer.text().contains("evil"),
        "{}",
        answer.text()
    );
    assert_eq!(
        (answer.status, &answer.headers["x-request-id"]),
        (StatusCode::OK, &"mine-1".parse().unwrap())
    );
    assert!(!answer.headers.contains_key("x-hop") && !answer.headers.contains_key("keep-alive"));
    assert!(!answer.headers.contains_key("alt-svc"), "it is there already");
    let told = tokio::time::timeout(LIMIT, records.recv()).await.unwrap().unwrap();
    let (record, line) = told.get(0).unwrap();
    assert_eq!((record.app, record.status), (APP, 200));
    assert!(line.starts_with("host=web.apps.test fwd=127.0.0.1 method=GET path=/headers?x=1 "));
    assert!(line.contains(&format!(" bytes={} ", answer.body.len())), "{}", line);
    for _ in 0..3 {
        assert_eq!(client.get("/").await.unwrap().text(), "one");
    }
    assert_eq!(backend.connections(), 1, "the upstream's connection is kept");
    let counters = edge.handle.counters();
    assert_eq!((counters.requests, counters.connections, counters.open_connections), (4, 1, 1));
}

#[tokio::test]
async fn the_edge_answers_by_itself_as_over_other_protocols() {
    let edge = start();
    edge.route(Service::Maintenance);
    let mut client = Http3Client::connect(&edge).await;
    let maintenance =
        client.ask(request("GET", "/").header("accept", "text/html"), Bytes::new()).await.unwrap();
    assert_eq!(maintenance.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(maintenance.headers["content-length"], maintenance.body.len().to_string());
    assert!(maintenance.headers["date"].to_str().unwrap().ends_with(" GMT"));
    assert!(maintenance.text().starts_with("<!doctype html>"));
    let head = client.ask(request("HEAD", "/"), Bytes::new()).await.unwrap();
    assert_eq!((head.status, head.body.len()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    edge.route_to(&[]);
    assert_eq!(client.get("/").await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        client.get(&format!("/{}", "a".repeat(8_192))).await.unwrap().status,
        StatusCode::URI_TOO_LONG
    );
    let connect =
        client.ask(Request::builder().method("CONNECT").uri("web.apps.test:443"), Bytes::new()).await;
    assert_eq!(connect.unwrap().status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn another_host_than_that_of_the_connection_is_421() {
    let (edge, backend) = (start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut other = Http3Client::to(&edge, "other.apps.test").await;
    assert_eq!(other.get("/").await.unwrap().status, StatusCode::MISDIRECTED_REQUEST);
    let unknown = Request::get("https://other.apps.test/");
    assert_eq!(other.ask(unknown, Bytes::new()).await.unwrap().status, StatusCode::NOT_FOUND);
    assert!(connect(&edge, "example.org").await.is_err(), "there is no certificate for it");
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn a_large_body_goes_both_ways_unchanged() {
    let (edge, backend) = (start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let content: Bytes = (0..=250).cycle().take(5_000_000).collect();
    let mut client = Http3Client::connect(&edge).await;
    let answer = client.ask(request("POST", "/echo"), content.clone()).await.unwrap();
    assert!(answer.body == content);
    let told = request("POST", "/echo").header("content-length", content.len());
    assert!(client.ask(told, content.clone()).await.unwrap().body == content);
}

#[tokio::test]
async fn many_streams_of_one_connection_are_answered() {
    let (edge, backend) = (start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let client = Http3Client::connect(&edge).await;
    let mut requests = JoinSet::new();
    for number in 0..300 {
        let mut sender = client.sender.clone();
        requests.spawn(async move {
            let asked = request("GET", &format!("/headers?{number}")).body(()).unwrap();
            let mut stream = sender.send_request(asked).await.unwrap();
            stream.finish().await.unwrap();
            stream.recv_response().await.unwrap();
            let mut text = String::new();
            while let Some(data) = stream.recv_data().await.unwrap() {
                text.push_str(std::str::from_utf8(data.chunk()).unwrap());
            }
            assert!(text.starts_with(&format!("GET /headers?{number}\n")), "{text}");
        });
    }
    while let Some(done) = requests.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn bodies_stream_both_ways_before_they_are_complete() {
    let (edge, backend) = (start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut client = Http3Client::connect(&edge).await;
    let mut stream = client.sender.send_request(request("POST", "/echo").body(()).unwrap()).await.unwrap();
    for (number, piece) in ["first", "second"].into_iter().enumerate() {
        stream.send_data(Bytes::from_static(piece.as_bytes())).await.unwrap();
        if number == 0 {
            stream.recv_response().await.unwrap();
        }
        let mut echoed = stream.recv_data().await.unwrap().unwrap();
        assert_eq!(echoed.copy_to_bytes(echoed.remaining()), piece);
    }
    stream.finish().await.unwrap();
    assert!(stream.recv_data().await.unwrap().is_none());
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let (edge, listener) = before_listener().await;
    let mut client = Http3Client::connect(&edge).await;
    let asked = request("POST", "/").header("te", "trailers").header("trailer", "x-sum").body(()).unwrap();
    let mut stream = client.sender.send_request(asked).await.unwrap();
    stream.send_data(Bytes::from_static(b"ok")).await.unwrap();
    stream
        .send_trailers(HeaderMap::from_iter([("x-sum".parse().unwrap(), "7".parse().unwrap())]))
        .await
        .unwrap();
    stream.finish().await.unwrap();
    let (mut dyno, _) = listener.accept().await.unwrap();
    let came = read_to(&mut dyno, "\r\n0\r\nx-sum: 7\r\n\r\n").await;
    assert!(came.contains("te: trailers\r\n") && came.contains("\r\n2\r\nok"), "{came}");
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-end\r\n\r\n2\r\nok\r\n0\r\nx-end: 8\r\n\r\n";
    dyno.write_all(answer.as_bytes()).await.unwrap();
    stream.recv_response().await.unwrap();
    assert_eq!(stream.recv_data().await.unwrap().unwrap().chunk(), b"ok");
    assert!(stream.recv_data().await.unwrap().is_none());
    assert_eq!(stream.recv_trailers().await.unwrap().unwrap()["x-end"], "8");
}

#[tokio::test]
async fn a_request_without_a_body_has_none_for_its_app() {
    let (edge, listener) = before_listener().await;
    let mut client = Http3Client::connect(&edge).await;
    let mut stream = client.sender.send_request(request("GET", "/").body(()).unwrap()).await.unwrap();
    // The end comes in a packet of its own.
    tokio::task::yield_now().await;
    stream.finish().await.unwrap();
    let (mut dyno, _) = listener.accept().await.unwrap();
    let came = read_to(&mut dyno, "\r\n\r\n").await;
    assert!(!came.contains("transfer-encoding") && !came.contains("content-length"), "{came}");
    dyno.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    let answer = stream.recv_response().await.unwrap();
    assert_eq!(
        (answer.status(), answer.headers().contains_key("content-length")),
        (StatusCode::NO_CONTENT, false)
    );
    assert!(stream.recv_data().await.unwrap().is_none());
}

#[tokio::test]
async fn a_client_that_wants_no_answer_any_more_cancels_its_request() {
    let (edge, backend) = (start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut client = Http3Client::connect(&edge).await;
    let mut stream = client.sender.send_request(request("GET", "/wait").body(()).unwrap()).await.unwrap();
    stream.finish().await.unwrap();
    wait_until("the request is open", LIMIT, async || (backend.upstream.in_flight() == 1).then_some(()))
        .await;
    stream.stop_sending(Code::H3_REQUEST_CANCELLED);
    drop(stream);
    wait_until("it is cancelled", LIMIT, async || (backend.upstream.in_flight() == 0).then_some(())).await;
    assert_eq!(client.get("/").await.unwrap().text(), "one", "the connection goes on");
}

#[tokio::test]
async fn an_answer_that_a_dyno_breaks_off_does_not_look_whole() {
    let (edge, listener) = before_listener().await;
    let mut client = Http3Client::connect(&edge).await;
    let broken = async {
        let (mut dyno, _) = listener.accept().await.unwrap();
        read_to(&mut dyno, "\r\n\r\n").await;
        dyno.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await.unwrap();
    };
    let (answer, ()) = tokio::join!(client.get("/"), broken);
    let code = match answer.err() {
        Some(StreamError::RemoteTerminate { code, .. }) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code, Code::H3_INTERNAL_ERROR);
}

#[tokio::test]
async fn clients_over_tls_are_told_of_http3_and_others_are_not() {
    let (edge, without) = (start(), TestEdge::start());
    let backend = Backend::start("one").await;
    for (edge, offered) in [(&edge, Some("h3=\":443\"; ma=86400")), (&without, None)] {
        edge.route_to(&[&backend.upstream]);
        let mut http2 = edge.http2().await;
        let asked = Request::get(format!("https://{HOST}/")).body(Empty::<Bytes>::new()).unwrap();
        let answer = http2.send_request(asked).await.unwrap();
        let offer = answer.headers().get("alt-svc").map(|offer| offer.to_str().unwrap());
        assert_eq!(offer, offered);
        let mut http1 = edge.tls(HOST, &[b"http/1.1"]).await.unwrap();
        http1
            .write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        http1.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer.contains("alt-svc: h3="), offered.is_some(), "{answer}");
        assert!(!edge.get("/").await.headers.contains_key("alt-svc"), "nothing is said without TLS");
    }
}

#[tokio::test]
async fn a_client_whose_address_changes_goes_on_as_who_it_is_now() {
    let (edge, backend) = (start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut client = Http3Client::connect(&edge).await;
    assert!(client.get("/headers").await.unwrap().text().contains("\"x-forwarded-for\": \"127.0.0.1\""));
    client.endpoint.rebind(std::net::UdpSocket::bind("127.0.0.2:0").unwrap()).unwrap();
    wait_until("the new address is known", LIMIT, async || {
        client
            .get("/headers")
            .await
            .unwrap()
            .text()
            .contains("\"x-forwarded-for\": \"127.0.0.2\"")
            .then_some(())
    })
    .await;
    assert_eq!(edge.handle.counters().connections, 1);
}

#[tokio::test]
async fn a_drain_lets_the_open_request_end_and_takes_no_new_connection() {
    let (edge, backend) = (start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let (address, mut client) = (edge.https, Http3Client::connect(&edge).await);
    let mut stream = client.sender.send_request(request("GET", "/wait").body(()).unwrap()).await.unwrap();
    stream.finish().await.unwrap();
    let upstream = Arc::clone(&backend.upstream);
    let TestEdge { handle, .. } = &edge;
    assert_eq!(handle.counters().open_connections, 1);
    let drain = async {
        wait_until("the request is open", LIMIT, async || (upstream.in_flight() == 1).then_some(())).await;
        let released = async {
            // The edge says that it takes no more.
            wait_until("no new request", LIMIT, async || {
                let mut sender = client.sender.clone();
                sender.send_request(request("GET", "/").body(()).unwrap()).await.err()
            })
            .await;
            backend.gate.send(true).unwrap();
        };
        tokio::join!(edge.handle.drain(patience(LIMIT)), released);
    };
    let answered = async {
        let status = stream.recv_response().await.unwrap().status();
        let mut body = stream.recv_data().await.unwrap().unwrap();
        (status, body.copy_to_bytes(body.remaining()))
    };
    let (answer, ()) = tokio::join!(answered, drain);
    assert_eq!(answer, (StatusCode::OK, Bytes::from_static(b"one")));
    // Nobody has the port any more.
    UdpSocket::bind(address).await.unwrap();
}

#[tokio::test]
async fn a_drain_ends_at_its_limit_and_tells_who_is_left() {
    let (edge, backend) = (start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut client = Http3Client::connect(&edge).await;
    let mut stream = client.sender.send_request(request("GET", "/wait").body(()).unwrap()).await.unwrap();
    stream.finish().await.unwrap();
    let upstream = Arc::clone(&backend.upstream);
    wait_until("the request is open", LIMIT, async || (upstream.in_flight() == 1).then_some(())).await;
    tokio::time::timeout(LIMIT, edge.handle.drain(patience(Duration::from_secs(1)))).await.unwrap();
    assert_eq!(upstream.in_flight(), 0);
    let closed = tokio::time::timeout(LIMIT, client.connection.closed()).await.unwrap();
    assert!(matches!(closed, quinn::ConnectionError::ApplicationClosed(_)), "{closed}");
}

#[tokio::test]
async fn a_socket_may_come_after_the_edge_has_started_and_is_free_after_its_drain() {
    let (socket, quic) = QuicSocket::awaited();
    let (edge, backend) = (TestEdge::with_quic(quic.clone()), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    assert!(quic.get().is_none());
    socket.send(Some(Arc::new(QuicSocket::bind_address(edge.https).unwrap()))).unwrap();
    let mut client = Http3Client::connect(&edge).await;
    assert_eq!(client.get("/").await.unwrap().text(), "one");
    assert!(quic.get().is_some(), "the next one can have it");
    let ended = edge.handle.http3_ended();
    let ((), ()) = tokio::join!(
        tokio::time::timeout(LIMIT, ended).map(Result::unwrap),
        edge.handle.drain(patience(LIMIT))
    );
}
