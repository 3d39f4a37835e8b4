//! A client that costs little: one kept HTTP/1.1 connection, requests that are composed once.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::daemon::{Daemon, TOKEN};

/// More than this is no answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request as it goes over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Request(Vec<u8>);

impl Request {
    pub(crate) fn get(daemon: &Daemon, path: &str) -> Self {
        let api = daemon.api;
        Self(
            format!("GET {path} HTTP/1.1\r\nhost: {api}\r\nauthorization: Bearer {TOKEN}\r\n\r\n")
                .into_bytes(),
        )
    }

    pub(crate) fn patch(daemon: &Daemon, path: &str, body: &str) -> Self {
        let (api, length) = (daemon.api, body.len());
        let head = format!(
            "PATCH {path} HTTP/1.1\r\nhost: {api}\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {length}\r\n\r\n"
        );
        Self((head + body).into_bytes())
    }
}

/// A kept connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    body: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let stream = BufReader::with_capacity(64 * 1024, stream);
        Ok(Self { stream, line: String::new(), body: Vec::new() })
    }

    /// Sends a request and reads the whole answer, which must be 200; the length of its body.
    pub(crate) fn send(&mut self, request: &Request) -> Result<usize> {
        self.stream.get_mut().write_all(&request.0)?;
        let status = self.read_line()?.to_owned();
        let mut length = None;
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = Some(value.parse::<usize>()?);
            }
        }
        let length = length.with_context(|| format!("an answer without a length: {status}"))?;
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        ensure!(status == "HTTP/1.1 200 OK", "{status}: {}", String::from_utf8_lossy(&self.body));
        Ok(length)
    }

    fn read_line(&mut self) -> Result<&str> {
        self.line.clear();
        ensure!(self.stream.read_line(&mut self.line)? > 0, "the daemon closed the connection");
        Ok(self.line.trim_end())
    }
}
