//! What HTTP/1.1 can do beside plain requests, through the edge.

use std::sync::Arc;

use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::backend::Backend;
use super::harness::{HOST, TestEdge, before_listener, read_to};

#[tokio::test]
async fn trailers_of_an_answer_reach_its_client() {
    let (edge, listener) = before_listener().await;
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    let head = format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nte: trailers\r\nconnection: te\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut dyno, _) = listener.accept().await.unwrap();
    let asked = read_to(&mut dyno, "\r\n\r\n").await;
    assert!(asked.contains("te: trailers\r\n"), "{asked}");
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n";
    dyno.write_all(answer.as_bytes()).await.unwrap();
    let answered = read_to(&mut client, "\r\n0\r\nx-sum: 7\r\n\r\n").await;
    assert!(answered.contains("\r\n2\r\nok"), "{answered}");
}

#[tokio::test]
async fn trailers_of_a_request_reach_its_app() {
    let (edge, listener) = before_listener().await;
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    let request = format!(
        "POST / HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 7\r\n\r\n"
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let (mut dyno, _) = listener.accept().await.unwrap();
    read_to(&mut dyno, "\r\n0\r\nx-sum: 7\r\n\r\n").await;
}

#[tokio::test]
async fn an_answer_may_come_before_the_upload_is_over() {
    let (edge, listener) = before_listener().await;
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 10\r\n\r\nhalf.");
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut dyno, _) = listener.accept().await.unwrap();
    read_to(&mut dyno, "half.").await;
    dyno.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\n\r\nmuch").await.unwrap();
    let answered = read_to(&mut client, "much").await;
    assert!(answered.starts_with("HTTP/1.1 413 "), "{answered}");
}

#[tokio::test]
async fn events_of_a_server_come_one_by_one() {
    let (edge, listener) = before_listener().await;
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    client
        .write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\naccept: text/event-stream\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let (mut dyno, _) = listener.accept().await.unwrap();
    read_to(&mut dyno, "\r\n\r\n").await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    dyno.write_all(head.as_bytes()).await.unwrap();
    let answered = read_to(&mut client, "\r\n\r\n").await;
    assert!(answered.contains("content-type: text/event-stream\r\n"), "{answered}");
    for event in ["a", "b", "c"] {
        dyno.write_all(format!("9\r\ndata: {event}\n\n\r\n").as_bytes()).await.unwrap();
        // The next is sent only after this one has come.
        read_to(&mut client, &format!("data: {event}\n\n\r\n")).await;
    }
}

#[tokio::test]
async fn an_interim_answer_comes_before_the_answer_where_the_client_understands_it() {
    for (version, hints) in
        [("HTTP/1.1", "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n"), ("HTTP/1.0", "")]
    {
        let (edge, listener) = before_listener().await;
        let mut client = TcpStream::connect(edge.http).await.unwrap();
        client.write_all(format!("GET / {version}\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
        let (mut dyno, _) = listener.accept().await.unwrap();
        read_to(&mut dyno, "\r\n\r\n").await;
        dyno.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nconnection: x\r\nx: y\r\n\r\n")
            .await
            .unwrap();
        if !hints.is_empty() {
            // It does not wait for the answer.
            assert_eq!(read_to(&mut client, "\r\n\r\n").await, hints);
        }
        dyno.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        let answered = read_to(&mut client, "\r\n\r\nok").await;
        assert!(answered.starts_with("HTTP/1.1 200 OK\r\n"), "{answered}");
    }
}

#[tokio::test]
async fn requests_that_come_at_once_are_answered_in_their_order() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    let ask = |path: &str, last: &str| format!("POST {path} HTTP/1.1\r\nhost: {HOST}\r\n{last}");
    let requests = [
        ask("/echo", "content-length: 3\r\n\r\nabc"),
        ask("/echo", "transfer-encoding: chunked\r\n\r\n3\r\ndef\r\n0\r\n\r\n"),
        "\r\n".to_owned(),
        ask("/echo", "connection: close\r\ncontent-length: 3\r\n\r\nghi"),
        ask("/echo", "content-length: 3\r\n\r\njkl"),
    ];
    client.write_all(requests.concat().as_bytes()).await.unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).await.unwrap();
    let places = ["abc", "def", "ghi"].map(|body| answers.find(body).unwrap());
    assert!(places.is_sorted(), "{answers}");
    assert_eq!(
        answers.matches("HTTP/1.1 200 OK\r\n").count(),
        3,
        "nothing is read behind a close: {answers}"
    );
}

#[tokio::test]
async fn a_client_of_http_1_0_may_keep_its_connection() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    let ask = |more: &str| format!("GET / HTTP/1.0\r\nhost: {HOST}\r\n{more}\r\n");
    client.write_all(ask("connection: keep-alive\r\n").as_bytes()).await.unwrap();
    let answered = read_to(&mut client, "\r\n\r\none").await;
    assert!(answered.contains("\r\nconnection: keep-alive\r\n"), "{answered}");
    client.write_all(ask("").as_bytes()).await.unwrap();
    let mut answered = String::new();
    client.read_to_string(&mut answered).await.unwrap();
    assert!(answered.contains("\r\nconnection: close\r\n"), "{answered}");
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_comes_whole_in_the_form_of_its_client() {
    for (version, first, rest) in
        [("HTTP/1.1", "\r\n4\r\nsome\r\n", "5\r\n more\r\n0\r\n\r\n"), ("HTTP/1.0", "\r\n\r\nsome", " more")]
    {
        let (edge, listener) = before_listener().await;
        let mut client = TcpStream::connect(edge.http).await.unwrap();
        client.write_all(format!("GET / {version}\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
        let (mut dyno, _) = listener.accept().await.unwrap();
        read_to(&mut dyno, "\r\n\r\n").await;
        dyno.write_all(b"HTTP/1.0 200 OK\r\n\r\nsome").await.unwrap();
        read_to(&mut client, first).await;
        dyno.write_all(b" more").await.unwrap();
        drop(dyno);
        assert_eq!(read_to(&mut client, rest).await, rest);
    }
}

#[tokio::test]
async fn a_client_that_is_refused_while_it_sends_gets_to_read_why() {
    let (edge, listener) = before_listener().await;
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 100000\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut dyno, _) = listener.accept().await.unwrap();
    read_to(&mut dyno, "\r\n\r\n").await;
    dyno.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 4\r\nconnection: close\r\n\r\nmuch")
        .await
        .unwrap();
    drop(dyno);
    // It goes on sending, as most clients do, and reads only then.
    for _ in 0..10 {
        client.write_all(&[b'x'; 10_000]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answered = String::new();
    client.read_to_string(&mut answered).await.unwrap();
    assert!(answered.starts_with("HTTP/1.1 413 ") && answered.ends_with("much"), "{answered}");
}

#[tokio::test]
async fn what_comes_right_behind_an_upgrade_reaches_the_other_side() {
    let (edge, listener) = before_listener().await;
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    let head =
        format!("GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: upgrade\r\nupgrade: any\r\n\r\nfrom client");
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut dyno, _) = listener.accept().await.unwrap();
    read_to(&mut dyno, "\r\n\r\n").await;
    dyno.write_all(b"HTTP/1.1 101 Other\r\nconnection: upgrade\r\nupgrade: any\r\n\r\nfrom dyno")
        .await
        .unwrap();
    read_to(&mut client, "from dyno").await;
    read_to(&mut dyno, "from client").await;
}

#[tokio::test]
async fn over_tls_a_client_is_told_that_nothing_follows() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    for length in [3, 100_000] {
        let mut client = edge.tls(HOST, &[b"http/1.1"]).await.unwrap();
        let head = format!(
            "POST /echo HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(&vec![b'x'; length]).await.unwrap();
        let mut answered = Vec::new();
        // An end that nobody told of is an error.
        client.read_to_end(&mut answered).await.unwrap();
        assert!(answered.ends_with(&vec![b'x'; length]), "{} bytes", answered.len());
    }
}

#[tokio::test]
async fn a_client_over_tls_gets_the_cheapest_of_the_ciphers_that_it_offers() {
    let edge = TestEdge::start();
    let client = edge.tls(HOST, &[b"http/1.1"]).await.unwrap();
    let suite = client.get_ref().1.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(suite, rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
}

#[tokio::test]
async fn a_session_over_tls_is_resumed_after_one_answer() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let connector = TlsConnector::from(Arc::new(edge.client_config(&[b"http/1.1"])));
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed] {
        let stream = TcpStream::connect(edge.https).await.unwrap();
        let mut client = connector.connect(HOST.try_into().unwrap(), stream).await.unwrap();
        client.write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
        read_to(&mut client, "\r\n\r\none").await;
        assert_eq!(client.get_ref().1.handshake_kind(), Some(kind));
    }
}
