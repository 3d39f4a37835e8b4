//! What apps are told of their clients, with and without a proxy before the edge.

use std::net::SocketAddr;
use std::sync::Arc;

use akkerisd::model::network::Network;
use http::{Request, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::LIMIT;
use super::backend::Backend;
use super::harness::{HOST, TestEdge};

fn trusting(network: &str, proxy_protocol: bool, no_redirect: bool) -> TestEdge {
    let trusted: Arc<[Network]> = [Network::parse(network).unwrap()].into();
    TestEdge::with(|settings| {
        settings.no_redirect = no_redirect;
        settings.trusted_proxies = trusted;
        settings.proxy_protocol = proxy_protocol;
    })
}

fn claiming() -> http::request::Builder {
    Request::get("/headers")
        .header("host", HOST)
        .header("x-forwarded-for", "192.0.2.7")
        .header("x-forwarded-for", "192.0.2.8")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "public.test")
        .header("forwarded", "for=192.0.2.7")
}

#[tokio::test]
async fn a_stranger_says_nothing_about_its_client() {
    let (edge, backend) = (trusting("10.0.0.0/8", false, true), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let told = edge.ask(claiming()).await.body;
    for line in [
        "\"x-forwarded-for\": \"127.0.0.1\"",
        "\"x-forwarded-proto\": \"http\"",
        "\"x-forwarded-host\": \"web.apps.test\"",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    assert!(!told.contains("192.0.2.") && !told.contains("\"forwarded\""), "{told}");
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_and_added_to_the_chain() {
    let (edge, backend) = (trusting("127.0.0.0/8", false, true), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let told = edge.ask(claiming()).await.body;
    for line in [
        "\"x-forwarded-for\": \"192.0.2.7, 192.0.2.8, 127.0.0.1\"",
        "\"x-forwarded-proto\": \"https\"",
        "\"x-forwarded-host\": \"public.test\"",
        "\"forwarded\": \"for=192.0.2.7\"",
        "\"forwarded\": \"for=127.0.0.1\"",
    ] {
        assert!(told.contains(line), "{line} in {told}");
    }
    let bare = edge.get("/headers").await.body;
    assert!(bare.contains("\"x-forwarded-for\": \"127.0.0.1\""), "{bare}");
    assert!(bare.contains("\"x-forwarded-proto\": \"http\""), "{bare}");
}

#[tokio::test]
async fn a_trusted_proxy_that_ends_tls_is_not_sent_to_https() {
    let (edge, backend) = (trusting("127.0.0.0/8", false, false), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    assert_eq!(edge.ask(claiming()).await.status, StatusCode::OK);
    assert!(edge.get("/").await.status.is_redirection());
}

/// Speaks to the edge behind these bytes, and gives all that came back.
async fn behind(address: SocketAddr, start: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /headers HTTP/1.1\r\nhost: {HOST}\r\nx-forwarded-for: 192.0.2.9\r\nconnection: close\r\n\r\n"
    );
    drop(stream.write_all(&[start, request.as_bytes()].concat()).await);
    let mut answer = Vec::new();
    drop(tokio::time::timeout(LIMIT, stream.read_to_end(&mut answer)).await.unwrap());
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_proxy_protocol_names_the_client() {
    let (edge, backend) = (trusting("127.0.0.0/8", true, true), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\x7f\x00\x00\x01\x00\x01\x00\x02";
    for start in [&b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n"[..], version_2] {
        let told = behind(edge.http, start).await;
        assert!(told.contains("\"x-forwarded-for\": \"192.0.2.7\""), "{told}");
        assert!(!told.contains("192.0.2.9"), "the client itself is not trusted: {told}");
    }
    let own = behind(edge.http, b"PROXY UNKNOWN\r\n").await;
    assert!(own.contains("\"x-forwarded-for\": \"192.0.2.9, 127.0.0.1\""), "{own}");
    assert_eq!(behind(edge.http, b"").await, "", "without a header a trusted balancer is not served");
    assert_eq!(behind(edge.http, b"PROXY TCP4 localhost 127.0.0.1 1 2\r\n").await, "");

    let strange = trusting("10.0.0.0/8", true, true);
    strange.route_to(&[&backend.upstream]);
    assert!(behind(strange.http, b"").await.contains("\"x-forwarded-for\": \"127.0.0.1\""));
    let refused = behind(strange.http, b"PROXY TCP4 192.0.2.7 127.0.0.1 1 2\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
}
