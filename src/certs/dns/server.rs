//! A DNS server that is spoken to over TCP (RFC 7766), a connection a message.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::DnsError;

/// From the first step to the last byte of the answer.
const LIMIT: Duration = Duration::from_secs(10);

/// Where it listens.
#[derive(Debug)]
pub(super) struct NameServer(String);

impl NameServer {
    /// `host:port`.
    pub(super) fn new(address: &str) -> Self {
        Self(address.to_owned())
    }

    /// Sends a message and gives the answer.
    pub(super) async fn exchange(&self, message: &[u8]) -> Result<Vec<u8>, DnsError> {
        let failed = |reason: String| DnsError::Unreachable { server: self.0.clone(), reason };
        let answer = tokio::time::timeout(LIMIT, self.ask(message)).await;
        answer
            .map_err(|_| failed(format!("no answer within {} s", LIMIT.as_secs())))?
            .map_err(|error| failed(error.to_string()))
    }

    async fn ask(&self, message: &[u8]) -> io::Result<Vec<u8>> {
        let length = u16::try_from(message.len()).map_err(io::Error::other)?;
        let mut stream = TcpStream::connect(&self.0).await?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(message);
        stream.write_all(&framed).await?;
        let length = stream.read_u16().await?;
        let mut answer = vec![0; usize::from(length)];
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
