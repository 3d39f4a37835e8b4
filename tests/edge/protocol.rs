//! What HTTP/1.1 can do beside plain requests, through the edge.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::harness::{HOST, before_listener, read_to};

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
async fn an_interim_answer_of_a_dyno_does_not_end_the_exchange() {
    let (edge, listener) = before_listener().await;
    let mut client = TcpStream::connect(edge.http).await.unwrap();
    client.write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await.unwrap();
    let (mut dyno, _) = listener.accept().await.unwrap();
    read_to(&mut dyno, "\r\n\r\n").await;
    let answer =
        "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    dyno.write_all(answer.as_bytes()).await.unwrap();
    let answered = read_to(&mut client, "\r\n\r\nok").await;
    assert!(answered.contains("HTTP/1.1 200 OK\r\n"), "{answered}");
}
