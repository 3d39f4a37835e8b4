//! Clients of HTTP/2 that send frames to do harm, byte by byte.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::LIMIT;
use super::backend::Backend;
use super::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, frame, head, open,
};
use super::harness::{HOST, TestEdge};
use crate::support::wait::wait_until;

/// Writes these bytes again and again, at most `times`, as long as the edge takes them.
async fn flood(stream: &mut TlsStream<TcpStream>, times: usize, bytes: impl Fn(usize) -> Vec<u8>) {
    for number in 0..times {
        let written =
            tokio::time::timeout(Duration::from_millis(500), stream.write_all(&bytes(number))).await;
        if !matches!(written, Ok(Ok(()))) {
            return;
        }
    }
    drop(tokio::time::timeout(Duration::from_millis(500), stream.flush()).await);
}

/// Reads to the end of the connection, which must come.
async fn ends(mut stream: TlsStream<TcpStream>) {
    let mut rest = Vec::new();
    drop(tokio::time::timeout(LIMIT, stream.read_to_end(&mut rest)).await.unwrap());
}

/// Others are served as if nothing had been.
async fn others_are_served(edge: &TestEdge) {
    for _ in 0..5 {
        assert_eq!(edge.get("/").await.body, "one");
    }
}

async fn served() -> (TestEdge, Backend) {
    let edge = TestEdge::with(|settings| {
        settings.no_redirect = true;
        settings.limits.header = Duration::from_millis(500);
        settings.limits.idle = Duration::from_millis(500);
        settings.limits.rolling = Duration::from_millis(500);
    });
    let backend = Backend::start("one").await;
    edge.route_to(&[&backend.upstream]);
    (edge, backend)
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let (edge, backend) = served().await;
    let mut stream = open(&edge, &[]).await;
    let block = head("/wait");
    flood(&mut stream, 5_000, |number| {
        let stream = u32::try_from(number).unwrap() * 2 + 1;
        let opened = frame(HEADERS, END_STREAM | END_HEADERS, stream, &block);
        [opened, frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
    })
    .await;
    others_are_served(&edge).await;
    ends(stream).await;
    wait_until("nothing is open", LIMIT, async || (backend.upstream.in_flight() == 0).then_some(())).await;
    assert!(edge.handle.counters().requests < 3_000, "{:?}", edge.handle.counters());
}

#[tokio::test]
async fn continuations_without_end_end_the_connection() {
    let (edge, _backend) = served().await;
    let mut stream = open(&edge, &[]).await;
    stream.write_all(&frame(HEADERS, END_STREAM, 1, &head("/"))).await.unwrap();
    // A literal header without an index, again and again: `x: yy…`.
    let header = [&[0x00, 1, b'x', 100][..], &[b'y'; 100]].concat().repeat(100);
    flood(&mut stream, 1_000, |_| frame(CONTINUATION, 0, 1, &header)).await;
    others_are_served(&edge).await;
    ends(stream).await;
}

#[tokio::test]
async fn empty_continuations_without_end_end_the_connection() {
    let (edge, _backend) = served().await;
    let mut stream = open(&edge, &[]).await;
    stream.write_all(&frame(HEADERS, END_STREAM, 1, &head("/"))).await.unwrap();
    flood(&mut stream, 20_000, |_| frame(CONTINUATION, 0, 1, &[])).await;
    others_are_served(&edge).await;
    ends(stream).await;
}

#[tokio::test]
async fn a_header_list_that_unpacks_to_megabytes_reaches_no_app() {
    let (edge, backend) = served().await;
    let mut stream = open(&edge, &[]).await;
    // One indexed header of 4,000 bytes (length 127 + 3,873 in seven bits), then ten thousand references to it.
    let indexed = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e][..], &[b'y'; 4_000], &[0xbe; 10_000]].concat();
    let block = [head("/"), indexed].concat();
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &block)).await.unwrap();
    others_are_served(&edge).await;
    ends(stream).await;
    assert_eq!(backend.upstream.in_flight(), 0);
}

#[tokio::test]
async fn floods_of_pings_and_settings_that_nobody_reads_the_answers_of_hold_up_nobody() {
    for bytes in [frame(PING, 0, 0, &[7; 8]), frame(SETTINGS, 0, 0, &[])] {
        let (edge, _backend) = served().await;
        let mut stream = open(&edge, &[]).await;
        let many = bytes.repeat(1_000);
        flood(&mut stream, 200, |_| many.clone()).await;
        others_are_served(&edge).await;
        ends(stream).await;
    }
}

#[tokio::test]
async fn a_client_whose_window_stays_closed_is_not_waited_for() {
    let (edge, backend) = served().await;
    // SETTINGS_INITIAL_WINDOW_SIZE = 0.
    let mut stream = open(&edge, &[0, 4, 0, 0, 0, 0]).await;
    stream.write_all(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &head("/"))).await.unwrap();
    stream.flush().await.unwrap();
    ends(stream).await;
    wait_until("nothing is open", LIMIT, async || (backend.upstream.in_flight() == 0).then_some(())).await;
    others_are_served(&edge).await;
}

#[tokio::test]
async fn a_client_of_http1_that_takes_nothing_of_its_answer_is_not_waited_for() {
    let (edge, backend) = served().await;
    let mut stream = TcpStream::connect(edge.http).await.unwrap();
    let length = 64 << 20;
    let head = format!("POST /echo HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let piece = vec![b'x'; 1 << 16];
    let sending = async {
        for _ in 0..length / piece.len() {
            stream.write_all(&piece).await?;
        }
        std::io::Result::Ok(())
    };
    // It stops when both directions are full, and ends when the edge gives up.
    assert!(tokio::time::timeout(LIMIT, sending).await.unwrap().is_err());
    wait_until("nothing is open", LIMIT, async || (backend.upstream.in_flight() == 0).then_some(())).await;
    others_are_served(&edge).await;
}
