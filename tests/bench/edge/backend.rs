//! A backend that answers every request with 1 KiB, as cheaply as it can.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Child;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::contenders::again;

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
        let connections = TaskTracker::new();
        loop {
            let (stream, _) = listener.accept().await?;
            connections.spawn(async { drop(answer_all(stream).await) });
        }
    })
}

async fn answer_all(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1024\r\n\r\n";
    let answer = [head.as_bytes(), &[b'x'; 1_024]].concat();
    let mut received = Vec::with_capacity(4_096);
    while stream.read_buf(&mut received).await? > 0 {
        if received.ends_with(b"\r\n\r\n") {
            received.clear();
            stream.write_all(&answer).await?;
        }
    }
    Ok(())
}

impl Drop for Backend {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
