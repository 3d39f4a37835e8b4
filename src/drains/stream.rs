//! Syslog on a connection, with or without TLS.
//!
//! Invariant: what was handed to the kernel and is not known to have been read stands in the ledger.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use super::error::DrainError;
use super::ledger::{Ledger, Unsettled};
use super::message::Batch;
use crate::clock::Clock;
use crate::model::drain_url::DrainTarget;
use crate::outbound::Outbound;

/// After so many bytes that are not known to have been read, the server is asked by closing our side.
pub(super) const CONFIRM_AT: usize = 256 * 1024;
/// How long the other kernel may leave bytes unacknowledged, before the connection is broken off.
pub(super) const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// Bytes of whole messages that are written at once.
const PIECE: usize = 16 * 1024;
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// How long a server may take to read what is left and close its side.
const CONFIRM_LIMIT: Duration = Duration::from_secs(5);
/// After the server has closed its side: how long it may take until what came too late is known for it.
const LINGER: Duration = Duration::from_secs(1);

/// A connection to a syslog server.
pub(super) struct Stream {
    read: ReadHalf<Box<dyn Socket>>,
    write: WriteHalf<Box<dyn Socket>>,
    /// The same socket, for its error.
    socket: std::net::TcpStream,
    ledger: Ledger,
    clock: Clock,
}

/// What came of asking whether all was read.
#[derive(Debug)]
pub(super) enum Confirmation {
    Read,
    /// The server does not close its side when ours is closed.
    Silent,
    Broken(DrainError),
}

trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

impl Stream {
    /// Connects, with TLS where there is a configuration for it.
    pub(super) async fn connect(
        outbound: &Outbound,
        target: &DrainTarget,
        tls: Option<Arc<ClientConfig>>,
        clock: Clock,
    ) -> Result<Self, DrainError> {
        let stream = outbound.connect(&target.host, target.port).await?;
        let (stream, socket) = prepare(stream).map_err(DrainError::Broken)?;
        let stream: Box<dyn Socket> = match tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from(target.host.clone())
                    .map_err(|_| DrainError::Tls("the host is no name for a certificate".to_owned()))?;
                let handshake = TlsConnector::from(tls).connect(name, stream);
                let shaken = tokio::time::timeout(HANDSHAKE_LIMIT, handshake).await;
                Box::new(
                    shaken
                        .map_err(|_| DrainError::SlowHandshake(HANDSHAKE_LIMIT))?
                        .map_err(DrainError::Handshake)?,
                )
            }
        };
        let (read, write) = tokio::io::split(stream);
        Ok(Self { read, write, socket, ledger: Ledger::default(), clock })
    }

    /// Hands messages over and counts them in `handed`, also when it ends early.
    pub(super) async fn send(&mut self, batch: &Batch, handed: &mut usize) -> Result<(), DrainError> {
        let Self { read, write, ledger, clock, .. } = self;
        let (mut start, mut first) = (0, 0);
        while let Some((messages, end)) = piece(batch.ends(), first, start) {
            let bytes = batch.text().as_bytes().get(start..end).unwrap_or_default();
            let mut accepted = 0;
            let result = tokio::select! {
                biased;
                ended = ended(read) => Err(ended),
                written = write_all(write, bytes, &mut accepted) => written,
            };
            let whole = batch.ends().iter().skip(first).take_while(|end| **end <= start + accepted).count();
            if whole > 0 {
                ledger.take((whole as u64, accepted), batch.told(), (clock.now(), Instant::now()));
            }
            *handed += whole;
            result?;
            (start, first) = (end, first + messages);
        }
        Ok(())
    }

    /// Waits until the server ends the connection. Cancel-safe.
    pub(super) async fn ended(&mut self) -> DrainError {
        ended(&mut self.read).await
    }

    /// Whether so much is on its way that the server is to be asked.
    pub(super) fn is_full(&mut self) -> bool {
        self.ledger.bytes(Instant::now()) >= CONFIRM_AT
    }

    /// Closes our side and waits for the server to close its own, which it does when it has read everything.
    pub(super) async fn confirm(&mut self) -> Confirmation {
        let asked = async {
            self.write.shutdown().await.map_err(DrainError::Broken)?;
            Ok(self.ended().await)
        };
        match tokio::time::timeout(CONFIRM_LIMIT, asked).await {
            Ok(Ok(DrainError::Closed)) => Confirmation::Read,
            Ok(Ok(error) | Err(error)) => Confirmation::Broken(error),
            Err(_) => Confirmation::Silent,
        }
    }

    /// What is lost when the connection ended with that error.
    ///
    /// A server that closes its side has read all that came before; what comes after, its kernel answers with a reset.
    pub(super) async fn lost(&mut self, error: &DrainError) -> Option<Unsettled> {
        let unsettled = self.ledger.unsettled(Instant::now())?;
        // Of the socket alone: the last words of TLS would be such bytes themselves.
        let closed = matches!(error, DrainError::Closed) && self.socket.shutdown(Shutdown::Write).is_ok();
        if !closed {
            return Some(unsettled);
        }
        tokio::time::sleep(LINGER).await;
        match self.socket.take_error() {
            Ok(None) => None,
            Ok(Some(_)) | Err(_) => Some(unsettled),
        }
    }
}

/// A dead server is noticed, and messages leave at once.
fn prepare(stream: TcpStream) -> io::Result<(TcpStream, std::net::TcpStream)> {
    let stream = stream.into_std()?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_mins(1)))?;
    let probe = stream.try_clone()?;
    Ok((TcpStream::from_std(stream)?, probe))
}

/// The next messages of up to [`PIECE`] bytes, but at least one: their number, and where they end.
fn piece(ends: &[usize], first: usize, start: usize) -> Option<(usize, usize)> {
    let rest = ends.get(first..)?;
    let fitting = rest.iter().take_while(|end| **end - start <= PIECE).count().max(1);
    Some((fitting, *rest.get(fitting - 1)?))
}

/// Reads until the end. What a server says is not listened to.
async fn ended(read: &mut ReadHalf<Box<dyn Socket>>) -> DrainError {
    let mut ignored = [0; 512];
    loop {
        match read.read(&mut ignored).await {
            Ok(0) => return DrainError::Closed,
            Ok(_) => {}
            // TLS that was ended by the end of the connection alone.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return DrainError::Closed,
            Err(error) => return DrainError::Broken(error),
        }
    }
}

async fn write_all(
    write: &mut WriteHalf<Box<dyn Socket>>,
    bytes: &[u8],
    accepted: &mut usize,
) -> Result<(), DrainError> {
    let stalled = |_| DrainError::Stalled(UNACKNOWLEDGED);
    while let Some(rest) = bytes.get(*accepted..).filter(|rest| !rest.is_empty()) {
        let written = tokio::time::timeout(UNACKNOWLEDGED, write.write(rest)).await.map_err(stalled)?;
        match written.map_err(DrainError::Broken)? {
            0 => return Err(DrainError::Closed),
            count => *accepted += count,
        }
    }
    tokio::time::timeout(UNACKNOWLEDGED, write.flush()).await.map_err(stalled)?.map_err(DrainError::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_whole_messages_up_to_their_size() {
        let ends = [10, PIECE, PIECE + 1, 3 * PIECE + 7];
        assert_eq!(piece(&ends, 0, 0), Some((2, PIECE)));
        assert_eq!(piece(&ends, 2, PIECE), Some((1, PIECE + 1)));
        assert_eq!(piece(&ends, 3, PIECE + 1), Some((1, 3 * PIECE + 7)));
        assert_eq!(piece(&ends, 4, 3 * PIECE + 7), None);
    }
}
