//! A backend that answers as cheaply as it can: 1 KiB, 64 KiB at `/large`, 10 GB at `/heavy`, a silent WebSocket at
//! `/socket`, and uploads after their last byte.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Child;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::contenders::again;

/// Bytes of the answer at `/heavy`.
pub(crate) const HEAVY: u64 = 10_000_000_000;
/// The answer to the sample key of RFC 6455; the tunnel behind it stays silent.
const SWITCHED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A backend in a process of its own, ended when it is dropped.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    process: Child,
}

/// Starts this program again as a backend.
pub(crate) fn start() -> Result<Backend> {
    let mut process = again(&["serve-backend"])?;
    let output = process.stdout.take().context("the backend has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    Ok(Backend { address: line.trim().parse().context("the backend gave no address")?, process })
}

/// Serves until the process is ended.
pub(crate) fn serve() -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let (small, large) = (answer(1 << 10), answer(64 << 10));
        let connections = TaskTracker::new();
        loop {
            let (stream, _) = listener.accept().await?;
            let (small, large) = (small.clone(), large.clone());
            connections.spawn(async move { drop(answer_all(stream, &small, &large).await) });
        }
    })
}

fn answer(length: usize) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), &vec![b'x'; length]].concat()
}

/// Requests come one after another: the loads pipeline none.
async fn answer_all(mut stream: TcpStream, small: &[u8], large: &[u8]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut received = Vec::with_capacity(256 << 10);
    loop {
        received.clear();
        let end = loop {
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
            if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let mut missing = content_length(&received).saturating_sub(received.len() - end);
        let is_heavy = received.starts_with(b"GET /heavy");
        let answer = match &received[..] {
            request if request.starts_with(b"GET /large") => large,
            request if request.starts_with(b"GET /socket") => SWITCHED,
            _ => small,
        };
        while missing > 0 {
            received.clear();
            let read = stream.read_buf(&mut received).await?;
            if read == 0 {
                return Ok(());
            }
            missing = missing.saturating_sub(read);
        }
        if is_heavy {
            pour(&mut stream).await?;
        } else {
            stream.write_all(answer).await?;
        }
    }
}

/// An answer of 10 GB.
async fn pour(stream: &mut TcpStream) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {HEAVY}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let block = vec![b'x'; 100_000];
    for _ in 0..HEAVY / 100_000 {
        stream.write_all(&block).await?;
    }
    Ok(())
}

/// Only uploads are searched for their length, so that the small requests stay cheap.
fn content_length(head: &[u8]) -> usize {
    if !head.starts_with(b"POST") {
        return 0;
    }
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let value = head.split("content-length:").nth(1).and_then(|rest| rest.lines().next());
    value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
}

impl Drop for Backend {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
