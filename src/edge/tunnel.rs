//! Upgraded connections (WebSocket and the like): bytes both ways until either side ends, or both are silent for too
//! long.
//!
//! Invariant: a tunnel counts as in flight at its upstream until it is over.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;

use super::connection::OpenRequest;
use super::http1::ClientSide;
use super::upstream::Lease;

/// One end of a tunnel, which notes when something came.
struct End<T> {
    stream: T,
    /// What came before the tunnel was made.
    before: Bytes,
    last: Rc<Cell<Instant>>,
}

/// Relays between a client and an upstream that both agreed to an upgrade.
pub(super) async fn relay(client: ClientSide, lease: Lease, open: OpenRequest) {
    let Lease { connection, claim, .. } = lease;
    let limit = connection.pace.rolling();
    match (client.await, connection.into_parts()) {
        (Ok((client, said)), Some((upstream, before))) => {
            let last = Rc::new(Cell::new(Instant::now()));
            let mut client = End { stream: client, before: said, last: Rc::clone(&last) };
            let mut upstream = End { stream: upstream, before, last: Rc::clone(&last) };
            tokio::select! {
                copied = tokio::io::copy_bidirectional(&mut client, &mut upstream) => {
                    if let Err(error) = copied {
                        tracing::debug!(%error, "a tunnel broke off");
                    }
                }
                () = silence(&last, limit) => tracing::debug!("a tunnel was silent for too long"),
            }
        }
        (Err(_), _) | (_, None) => tracing::debug!("an upgrade was not completed"),
    }
    drop((claim, open));
}

/// Ends when nothing came from either side for `limit`.
async fn silence(last: &Cell<Instant>, limit: Duration) {
    loop {
        let left = limit.saturating_sub(last.get().elapsed());
        if left.is_zero() {
            return;
        }
        sleep(left).await;
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for End<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.before.is_empty() {
            let length = self.before.len().min(buffer.remaining());
            buffer.put_slice(&self.before.split_to(length));
            if self.before.is_empty() {
                self.before = Bytes::new();
            }
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready() {
            self.last.set(Instant::now());
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for End<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
