//! HTTP/3 from clients that break its rules, are too many, or too slow.

use std::time::Duration;

use akkerisd::edge::EdgeSettings;
use akkerisd::edge::table::{AppRoute, HostRoute, Service, Upstream};
use akkerisd::model::names::DynoName;
use akkerisd::model::router_limits::RouterLimits;
use bytes::Bytes;
use h3::error::{Code, StreamError};
use http::StatusCode;
use quinn::{ConnectionError, ReadError, ReadToEndError, VarInt};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::LIMIT;
use super::backend::Backend;
use super::harness::{APP, HOST, TestEdge, app, read_to};
use super::http3_client::{Http3Client, connect, request};
use crate::support::wait::wait_until;

/// Lines of the static table (RFC 9204, appendix A).
const GET: &[u8] = &[0xd1];
const POST: &[u8] = &[0xd4];
const HTTPS: &[u8] = &[0xd7];
const ROOT: &[u8] = &[0xc1];
const STATUS_200: &[u8] = &[0xd9];

fn before(backend: &Backend, change: impl FnOnce(&mut EdgeSettings)) -> TestEdge {
    let edge = TestEdge::with_http3(change);
    edge.route_to(&[&backend.upstream]);
    edge
}

/// `:authority` of the app.
fn authority() -> Vec<u8> {
    [&[0x50, u8::try_from(HOST.len()).unwrap()], HOST.as_bytes()].concat()
}

/// A line with a short name of its own.
fn line(name: &str, value: &str) -> Vec<u8> {
    let length = |text: &str| u8::try_from(text.len()).unwrap();
    let name = if name.len() < 7 {
        [&[0x20 | length(name)], name.as_bytes()].concat()
    } else {
        [&[0x27, length(name) - 7], name.as_bytes()].concat()
    };
    [&name[..], &[length(value)], value.as_bytes()].concat()
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap() | 0x4000;
    [&[kind], &length.to_be_bytes()[..], payload].concat()
}

fn head(lines: &[&[u8]]) -> Vec<u8> {
    frame(1, &[&[0, 0], &*lines.concat()].concat())
}

/// What comes back for a stream of these bytes that ends behind them.
async fn answer_to(connection: &quinn::Connection, sent: &[u8]) -> Result<Vec<u8>, ReadToEndError> {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(sent).await.unwrap();
    // One that the edge has refused already cannot be finished.
    send.finish().ok();
    tokio::time::timeout(LIMIT, receive.read_to_end(1 << 20)).await.unwrap()
}

/// The code with which the edge closed a connection.
async fn close_code(connection: &quinn::Connection) -> Option<u64> {
    let closed = tokio::time::timeout(LIMIT, connection.closed()).await.unwrap();
    if let ConnectionError::ApplicationClosed(close) = closed {
        Some(close.error_code.into_inner())
    } else {
        None
    }
}

fn reset(code: Code) -> ReadToEndError {
    ReadToEndError::Read(ReadError::Reset(VarInt::from_u64(code.value()).unwrap()))
}

#[tokio::test]
async fn a_malformed_head_is_refused_and_the_connection_goes_on() {
    let backend = Backend::start("one").await;
    let edge = before(&backend, |_| {});
    let (_endpoint, connection) = connect(&edge, HOST).await.unwrap();
    let authority = authority();
    let malformed = [
        head(&[GET, HTTPS, ROOT, ROOT, &authority]),
        head(&[GET, POST, HTTPS, ROOT, &authority]),
        head(&[GET, HTTPS, ROOT, &authority, &authority]),
        head(&[GET, HTTPS, &authority, &line("x-a", "1"), ROOT]),
        head(&[GET, HTTPS, ROOT, &authority, STATUS_200]),
        head(&[GET, HTTPS, ROOT, &authority, &line(":protocol", "websocket")]),
        head(&[HTTPS, ROOT, &authority]),
        head(&[GET, ROOT, &authority]),
        head(&[GET, HTTPS, &authority]),
        head(&[GET, HTTPS, ROOT]),
        head(&[GET, HTTPS, ROOT, &authority, &line("X-A", "1")]),
        head(&[GET, HTTPS, ROOT, &authority, &line("x-a", "1\r\nx-b: 2")]),
        head(&[GET, HTTPS, ROOT, &authority, &line("host", "other.apps.test")]),
        head(&[GET, HTTPS, ROOT, &authority, &line("connection", "close")]),
        head(&[GET, HTTPS, ROOT, &authority, &line("transfer-encoding", "chunked")]),
        head(&[GET, HTTPS, ROOT, &authority, &line("te", "gzip")]),
        head(&[POST, HTTPS, ROOT, &authority, &line("content-length", "0x1")]),
        head(&[POST, HTTPS, ROOT, &authority, &line("content-length", "3")]),
    ];
    for sent in malformed {
        assert_eq!(answer_to(&connection, &sent).await, Err(reset(Code::H3_MESSAGE_ERROR)), "{sent:x?}");
    }
    assert_eq!(backend.connections(), 0);
    let fine = answer_to(&connection, &head(&[GET, HTTPS, ROOT, &authority])).await.unwrap();
    assert!(fine.ends_with(&[0, 3, b'o', b'n', b'e']), "{fine:x?}");
}

#[tokio::test]
async fn a_body_is_as_long_as_its_request_says() {
    let backend = Backend::start("one").await;
    let edge = before(&backend, |_| {});
    let mut client = Http3Client::connect(&edge).await;
    for (said, sent) in [("3", "four"), ("5", "four")] {
        let asked = request("POST", "/echo").header("content-length", said);
        let mut stream = client.sender.send_request(asked.body(()).unwrap()).await.unwrap();
        stream.send_data(Bytes::from_static(sent.as_bytes())).await.unwrap();
        drop(stream.finish().await);
        match stream.recv_response().await {
            Ok(answer) => assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{said}"),
            Err(StreamError::RemoteTerminate { code, .. }) => {
                assert_eq!(code, Code::H3_MESSAGE_ERROR, "{said}");
            }
            Err(other) => panic!("{other}"),
        }
    }
    let asked = request("POST", "/echo").header("content-length", "4");
    assert_eq!(client.ask(asked, Bytes::from_static(b"four")).await.unwrap().text(), "four");
}

#[tokio::test]
async fn pseudo_headers_in_trailers_break_the_request_off() {
    let backend = Backend::start("one").await;
    let edge = before(&backend, |_| {});
    let (_endpoint, connection) = connect(&edge, HOST).await.unwrap();
    let echo = [&[0x51, 5][..], b"/echo"].concat();
    let start = [head(&[POST, HTTPS, &echo, &authority()]), frame(0, b"body")].concat();
    let fine = [&start[..], &head(&[&line("x-sum", "7")])].concat();
    assert!(answer_to(&connection, &fine).await.is_ok_and(|answer| answer.ends_with(b"body")));
    let bad = [&start[..], &head(&[ROOT])].concat();
    assert!(answer_to(&connection, &bad).await.map_or(true, |answer| !answer.ends_with(b"body")));
}

#[tokio::test]
async fn frames_without_a_meaning_are_passed_over() {
    let backend = Backend::start("one").await;
    let edge = before(&backend, |_| {});
    let (_endpoint, connection) = connect(&edge, HOST).await.unwrap();
    let echo = [&[0x51, 5][..], b"/echo"].concat();
    let unknown = frame(0x21, &[7; 9_000]);
    let sent = [
        &unknown[..],
        &head(&[POST, HTTPS, &echo, &authority()]),
        &frame(0, b""),
        &unknown,
        &frame(0, b"one"),
        &frame(0, b""),
        &frame(0, b"two"),
        &unknown,
    ];
    let answer = answer_to(&connection, &sent.concat()).await.unwrap();
    assert!(answer.ends_with(b"\0\x03one\0\x03two"), "{answer:x?}");
}

#[tokio::test]
async fn a_frame_without_an_end_closes_the_connection() {
    let backend = Backend::start("one").await;
    let edge = before(&backend, |_| {});
    let start = head(&[POST, HTTPS, ROOT, &authority()]);
    for part in [&[0, 5, b'x'][..], &[0, 5], &[0], &[1, 9, 0, 0]] {
        let (_endpoint, connection) = connect(&edge, HOST).await.unwrap();
        drop(answer_to(&connection, &[&start[..], part].concat()).await);
        assert_eq!(close_code(&connection).await, Some(Code::H3_FRAME_ERROR.value()), "{part:x?}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_before_it_is_kept() {
    let backend = Backend::start("one").await;
    let edge = before(&backend, |_| {});
    let (_endpoint, connection) = connect(&edge, HOST).await.unwrap();
    // A length of a gigabyte, of which nothing comes.
    let announced = answer_to(&connection, &[1, 0xc0, 0, 0, 0, 0x40, 0, 0, 0]).await;
    assert_eq!(announced, Err(reset(Code::H3_EXCESSIVE_LOAD)));
    // Two kilobytes that stand for seventy: answered, and not by the app.
    let bomb = head(&[GET, HTTPS, ROOT, &authority(), &[0xc2; 2_000]]);
    assert!(answer_to(&connection, &bomb).await.is_ok_and(|answer| !answer.is_empty()));
    assert_eq!(backend.connections(), 0);
    let fine = answer_to(&connection, &head(&[GET, HTTPS, ROOT, &authority()])).await.unwrap();
    assert!(fine.ends_with(b"one"), "{fine:x?}");
}

#[tokio::test]
async fn whatever_a_client_sends_the_edge_serves_on() {
    let backend = Backend::start("one").await;
    let edge = before(&backend, |_| {});
    let mut state = 0x5eed_u64;
    let mut noise = |length: usize| -> Vec<u8> {
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        std::iter::repeat_with(next).take(length).collect()
    };
    for length in 0..60 {
        let (_endpoint, connection) = connect(&edge, HOST).await.unwrap();
        for sent in [noise(length), frame(1, &noise(length)), head(&[GET, HTTPS, &noise(length)])] {
            let Ok((mut send, mut receive)) = connection.open_bi().await else { break };
            drop(send.write_all(&sent).await);
            send.finish().ok();
            drop(tokio::time::timeout(LIMIT, receive.read_to_end(1 << 20)).await.unwrap());
        }
    }
    assert_eq!(Http3Client::connect(&edge).await.get("/").await.unwrap().text(), "one");
    wait_until("all of them are closed", LIMIT, async || {
        (edge.handle.counters().open_connections == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn settings_without_a_measure_close_the_connection() {
    let backend = Backend::start("one").await;
    let edge = before(&backend, |_| {});
    let (_endpoint, connection) = connect(&edge, HOST).await.unwrap();
    let mut control = connection.open_uni().await.unwrap();
    control.write_all(&[0, 4, 0xc0, 0, 0, 0, 0x40, 0, 0, 0]).await.unwrap();
    assert_eq!(close_code(&connection).await, Some(Code::H3_CLOSED_CRITICAL_STREAM.value()));
}

#[tokio::test]
async fn an_app_takes_bodies_up_to_its_limit() {
    let (edge, backend) = (TestEdge::with_http3(|_| {}), Backend::start("one").await);
    let service = Service::Upstreams(vec![std::sync::Arc::clone(&backend.upstream)]);
    let limits = RouterLimits { body: Some(1_000), ..RouterLimits::default() };
    edge.publish(HostRoute::App(std::sync::Arc::new(AppRoute { limits, ..app(APP, service) })));
    let mut client = Http3Client::connect(&edge).await;
    let told = request("POST", "/echo").header("content-length", "2000");
    let answer = client.ask(told, Bytes::from(vec![7; 2_000])).await.unwrap();
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!answer.headers.contains_key("connection"), "there is no such thing in HTTP/3");
    let fits = client.ask(request("POST", "/echo"), Bytes::from(vec![7; 1_000])).await.unwrap();
    assert_eq!((fits.status, fits.body.len()), (StatusCode::OK, 1_000));
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_proves_itself_first() {
    let backend = Backend::start("one").await;
    let edge = before(&backend, |settings| settings.max_connections_per_address = 2);
    let first = Http3Client::connect(&edge).await;
    let mut second = Http3Client::connect(&edge).await;
    assert!(connect(&edge, HOST).await.is_err());
    assert_eq!(second.get("/").await.unwrap().text(), "one");
    first.connection.close(VarInt::from_u32(0x100), b"");
    wait_until("there is room again", LIMIT, async || connect(&edge, HOST).await.ok()).await;
}

#[tokio::test]
async fn there_are_so_many_connections_and_no_more() {
    let backend = Backend::start("one").await;
    // Each of the four listeners keeps room for the connection that it waits for.
    let edge = before(&backend, |settings| (settings.workers, settings.max_connections) = (1, 5));
    let mut only = Http3Client::connect(&edge).await;
    assert!(connect(&edge, HOST).await.is_err());
    assert_eq!(only.get("/").await.unwrap().text(), "one");
}

#[tokio::test]
async fn a_client_that_breaks_off_one_request_after_the_other_loses_its_connection() {
    let backend = Backend::start("one").await;
    let edge = before(&backend, |_| {});
    let client = Http3Client::connect(&edge).await;
    let mut refused = false;
    for _ in 0..1_000 {
        let mut sender = client.sender.clone();
        let Ok(mut stream) = sender.send_request(request("GET", "/wait").body(()).unwrap()).await else {
            refused = true;
            break;
        };
        drop(stream.finish().await);
        stream.stop_sending(Code::H3_REQUEST_CANCELLED);
    }
    assert!(refused);
    assert_eq!(close_code(&client.connection).await, Some(Code::H3_NO_ERROR.value()));
    wait_until("nothing is in flight", LIMIT, async || (backend.upstream.in_flight() == 0).then_some(()))
        .await;
}

#[tokio::test]
async fn a_quiet_connection_is_closed_and_a_busy_one_is_not() {
    let backend = Backend::start("one").await;
    let edge = before(&backend, |settings| {
        settings.limits.header = Duration::from_millis(500);
        settings.limits.idle = Duration::from_millis(500);
    });
    let mut busy = Http3Client::connect(&edge).await;
    let quiet = Http3Client::connect(&edge).await;
    let (_endpoint, slow) = connect(&edge, HOST).await.unwrap();
    let (mut send, mut receive) = slow.open_bi().await.unwrap();
    send.write_all(&[1, 20, 0, 0]).await.unwrap();
    let others = async {
        assert_eq!(close_code(&quiet.connection).await, Some(Code::H3_NO_ERROR.value()));
        drop(tokio::time::timeout(LIMIT, receive.read_to_end(100)).await.unwrap());
        assert_eq!(close_code(&slow).await, Some(Code::H3_NO_ERROR.value()));
        backend.gate.send(true).unwrap();
    };
    let (answer, ()) = tokio::join!(busy.get("/wait"), others);
    assert_eq!(answer.unwrap().text(), "one");
}

#[tokio::test]
async fn an_upload_that_stands_still_is_408() {
    let backend = Backend::start("one").await;
    let edge = before(&backend, |settings| settings.limits.rolling = Duration::from_millis(300));
    let mut client = Http3Client::connect(&edge).await;
    let asked = request("POST", "/headers").header("content-length", "10");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    edge.route_to(&[&Upstream::new(DynoName::new("1", "raw"), listener.local_addr().unwrap())]);
    let mut stream = client.sender.send_request(asked.body(()).unwrap()).await.unwrap();
    stream.send_data(Bytes::from_static(b"half.")).await.unwrap();
    let answer = tokio::time::timeout(LIMIT, stream.recv_response()).await.unwrap().unwrap();
    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_does_not_get_the_rest() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = TestEdge::with_http3(|settings| settings.limits.rolling = Duration::from_millis(500));
    let upstream = Upstream::new(DynoName::new("1", "raw"), listener.local_addr().unwrap());
    edge.route_to(&[&upstream]);
    let mut client = Http3Client::connect(&edge).await;
    let mut stream = client.sender.send_request(request("GET", "/").body(()).unwrap()).await.unwrap();
    stream.finish().await.unwrap();
    let (mut dyno, _) = listener.accept().await.unwrap();
    read_to(&mut dyno, "\r\n\r\n").await;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 64 << 20);
    dyno.write_all(head.as_bytes()).await.unwrap();
    let (mut written, piece) = (0_usize, vec![7; 64 << 10]);
    while dyno.write_all(&piece).await.is_ok() {
        written += 64 << 10;
    }
    assert!(written < 32 << 20, "{written} bytes were taken from the dyno for nobody");
    // Its stream was reset, or the connection closed.
    stream.recv_response().await.unwrap();
    let looks_whole = loop {
        match tokio::time::timeout(LIMIT, stream.recv_data()).await.unwrap() {
            Ok(Some(_)) => {}
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    assert!(!looks_whole);
    assert_eq!(upstream.in_flight(), 0);
}
