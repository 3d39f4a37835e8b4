//! How tunnels begin and end: with one direction closed, with a reset, or with an answer that is no 101.

use std::time::Duration;

use akkerisd::edge::table::Upstream;
use akkerisd::model::names::DynoName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;

use super::super::LIMIT;
use super::super::harness::{HOST, TestEdge, before_listener, read_to};
use super::{ACCEPT, head, request};
use crate::support::wait::wait_until;

/// A client over TLS and the dyno that it has reached, with the tunnel between them open.
struct Tunnel {
    client: TlsStream<TcpStream>,
    dyno: TcpStream,
    upstream: std::sync::Arc<Upstream>,
    _edge: TestEdge,
}

impl Tunnel {
    async fn open() -> Self {
        let (edge, listener) = (TestEdge::start(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let upstream = Upstream::new(DynoName::new("1", "raw"), listener.local_addr().unwrap());
        edge.route_to(&[&upstream]);
        let mut client = edge.tls(HOST, &[b"http/1.1"]).await.unwrap();
        client.write_all(request().as_bytes()).await.unwrap();
        let (mut dyno, _) = listener.accept().await.unwrap();
        let asked = head(&mut dyno).await;
        assert!(asked.contains(&"upgrade: websocket".to_owned()), "{asked:?}");
        dyno.write_all(agreed(ACCEPT).as_bytes()).await.unwrap();
        let answered = head(&mut client).await;
        assert!(answered.contains(&"http/1.1 101 switching protocols".to_owned()), "{answered:?}");
        Self { client, dyno, upstream, _edge: edge }
    }

    /// Nothing of it is left at the edge.
    async fn is_over(&self) {
        wait_until("the tunnel is over", LIMIT, async || (self.upstream.in_flight() == 0).then_some(()))
            .await;
    }
}

fn agreed(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    )
}

/// All that still comes; a connection that breaks off has ended, too.
async fn rest<S: tokio::io::AsyncRead + Unpin>(stream: &mut S) -> Vec<u8> {
    let mut rest = Vec::new();
    drop(tokio::time::timeout(LIMIT, stream.read_to_end(&mut rest)).await.unwrap());
    rest
}

#[tokio::test]
async fn a_client_that_has_said_all_still_hears_the_answer() {
    let mut tunnel = Tunnel::open().await;
    tunnel.client.write_all(b"the last words").await.unwrap();
    tunnel.client.shutdown().await.unwrap();
    assert_eq!(rest(&mut tunnel.dyno).await, b"the last words");
    tunnel.dyno.write_all(&vec![7; 100_000]).await.unwrap();
    tunnel.dyno.shutdown().await.unwrap();
    assert_eq!(rest(&mut tunnel.client).await, vec![7; 100_000]);
    tunnel.is_over().await;
}

#[tokio::test]
async fn a_dyno_that_has_said_all_still_hears_its_client() {
    let mut tunnel = Tunnel::open().await;
    tunnel.dyno.write_all(b"the last words").await.unwrap();
    tunnel.dyno.shutdown().await.unwrap();
    assert_eq!(rest(&mut tunnel.client).await, b"the last words");
    tunnel.client.write_all(&vec![7; 100_000]).await.unwrap();
    tunnel.client.shutdown().await.unwrap();
    assert_eq!(rest(&mut tunnel.dyno).await, vec![7; 100_000]);
    tunnel.is_over().await;
}

#[tokio::test]
async fn a_reset_of_the_dyno_ends_the_clients_connection() {
    let mut tunnel = Tunnel::open().await;
    tunnel.client.write_all(b"hello").await.unwrap();
    socket2::SockRef::from(&tunnel.dyno).set_linger(Some(Duration::ZERO)).unwrap();
    let Tunnel { mut client, dyno, upstream, _edge } = tunnel;
    drop(dyno);
    assert!(rest(&mut client).await.is_empty());
    wait_until("the tunnel is over", LIMIT, async || (upstream.in_flight() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_reset_of_the_client_ends_the_dynos_connection() {
    let mut tunnel = Tunnel::open().await;
    tunnel.dyno.write_all(b"hello").await.unwrap();
    socket2::SockRef::from(tunnel.client.get_ref().0).set_linger(Some(Duration::ZERO)).unwrap();
    let Tunnel { client, mut dyno, upstream, _edge } = tunnel;
    drop(client);
    assert!(rest(&mut dyno).await.is_empty());
    wait_until("the tunnel is over", LIMIT, async || (upstream.in_flight() == 0).then_some(())).await;
}

/// Asks for a WebSocket of a dyno that answers so, and reads what comes until `end`.
async fn answered(answer: &str, end: &str) -> String {
    let (edge, listener) = before_listener().await;
    let mut client = edge.tls(HOST, &[b"http/1.1"]).await.unwrap();
    client.write_all(request().as_bytes()).await.unwrap();
    let (mut dyno, _) = listener.accept().await.unwrap();
    head(&mut dyno).await;
    dyno.write_all(answer.as_bytes()).await.unwrap();
    read_to(&mut client, end).await
}

#[tokio::test]
async fn a_dyno_that_refuses_the_upgrade_is_heard_in_its_own_words() {
    for status in
        ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found", "426 Upgrade Required"]
    {
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nsec-websocket-version: 13\r\n\r\nno");
        let came = answered(&answer, "\r\n\r\nno").await;
        assert!(came.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{came}");
        assert!(came.contains("sec-websocket-version: 13\r\n"), "{came}");
    }
}

#[tokio::test]
async fn an_accept_key_that_is_wrong_is_the_clients_to_judge() {
    let came = answered(&format!("{}at once", agreed("d3Jvbmc=")), "at once").await;
    assert!(came.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{came}");
    assert!(came.contains("sec-websocket-accept: d3Jvbmc=\r\n"), "{came}");
}
