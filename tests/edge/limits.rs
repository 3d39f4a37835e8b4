//! Requests that are too large, and clients that are too many.

use std::sync::Arc;
use std::time::Duration;

use akkerisd::edge::table::{AppRoute, Service};
use akkerisd::model::network::Network;
use akkerisd::model::router_limits::RouterLimits;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::backend::Backend;
use super::harness::{APP, HOST, TestEdge, app};
use super::{LIMIT, app_request};
use crate::support::wait::wait_until;

#[tokio::test]
async fn an_address_of_more_than_8_kib_is_414() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let path = |length: usize| format!("/{}", "a".repeat(length - 1));
    assert_eq!(edge.get(&path(8_192)).await.status, StatusCode::OK);
    assert_eq!(edge.get(&path(8_193)).await.status, StatusCode::URI_TOO_LONG);
}

#[tokio::test]
async fn too_many_and_too_large_headers_are_431() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    for headers in ["x: y\r\n".repeat(200), format!("x: {}\r\n", "y".repeat(70_000))] {
        let mut stream = TcpStream::connect(edge.http).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n{headers}\r\n");
        drop(stream.write_all(head.as_bytes()).await);
        let mut answer = [0; 13];
        tokio::time::timeout(LIMIT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 431 ");
    }
    let mut sender = edge.http2::<http_body_util::Empty<bytes::Bytes>>().await;
    let request = http::Request::get(format!("https://{HOST}/")).header("x", "y".repeat(70_000));
    let answered = sender.send_request(request.body(http_body_util::Empty::new()).unwrap()).await;
    assert!(answered.map_or(true, |answer| answer.status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    assert_eq!(backend.connections(), 0);
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_a_trusted_one_any_number() {
    let limited = |trusted: &[&str]| {
        let trusted: Arc<[Network]> = trusted.iter().map(|text| Network::parse(text).unwrap()).collect();
        TestEdge::with(|settings| {
            settings.no_redirect = true;
            settings.max_connections_per_address = 3;
            settings.trusted_proxies = trusted;
        })
    };
    let (edge, backend) = (limited(&[]), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(TcpStream::connect(edge.http).await.unwrap());
    }
    wait_until("they are open", LIMIT, async || (edge.handle.counters().open_connections == 3).then_some(()))
        .await;
    let mut fourth = TcpStream::connect(edge.http).await.unwrap();
    let read = tokio::time::timeout(LIMIT, fourth.read(&mut [0; 16])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));
    drop(open);
    wait_until("one is free", LIMIT, async || (edge.handle.counters().open_connections == 0).then_some(()))
        .await;
    assert_eq!(edge.get("/").await.body, "one");

    let edge = limited(&["127.0.0.0/8"]);
    edge.route_to(&[&backend.upstream]);
    let mut open = Vec::new();
    for _ in 0..6 {
        open.push(TcpStream::connect(edge.http).await.unwrap());
    }
    assert_eq!(edge.get("/").await.body, "one");
}

#[tokio::test]
async fn slow_headers_hold_up_nobody_else_and_are_closed() {
    const SLOW: usize = 500;
    let edge = TestEdge::with(|settings| {
        settings.no_redirect = true;
        settings.limits.header = Duration::from_secs(2);
    });
    let backend = Backend::start("one").await;
    edge.route_to(&[&backend.upstream]);
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut stream = TcpStream::connect(edge.http).await.unwrap();
        stream.write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nx: ").as_bytes()).await.unwrap();
        slow.push(stream);
    }
    for _ in 0..20 {
        assert_eq!(edge.ask(app_request("/")).await.body, "one");
    }
    for mut stream in slow {
        let read = tokio::time::timeout(LIMIT, stream.read(&mut [0; 64])).await.unwrap();
        assert!(matches!(read, Ok(0) | Err(_)));
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_of_its_app_is_413_with_and_without_a_length() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    let service = Service::Upstreams(vec![Arc::clone(&backend.upstream)]);
    let limits = RouterLimits { body: Some(10), ..RouterLimits::default() };
    edge.change(|table| table.insert_app(HOST, AppRoute { limits, ..app(APP, service) }));
    for (rest, status) in [
        ("content-length: 10\r\n\r\n0123456789", "200"),
        ("content-length: 11\r\n\r\n01234567890", "413"),
        ("transfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n", "200"),
        ("transfer-encoding: chunked\r\n\r\n8\r\n01234567\r\n3\r\n890\r\n0\r\n\r\n", "413"),
    ] {
        let mut stream = TcpStream::connect(edge.http).await.unwrap();
        let request = format!("POST /wait HTTP/1.1\r\nhost: {HOST}\r\n{rest}");
        stream.write_all(request.as_bytes()).await.unwrap();
        if status == "200" {
            backend.gate.send(true).unwrap();
        }
        let mut answer = [0; 12];
        tokio::time::timeout(LIMIT, stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), format!("HTTP/1.1 {status}"), "{rest}");
        backend.gate.send(false).unwrap();
    }
}
