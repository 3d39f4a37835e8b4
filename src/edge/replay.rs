//! What was sent of a request without a body, so that it can be sent once more.
//!
//! hyper keeps nothing of a request that it has written, and a copy of each head would cost two allocations. So its
//! bytes are kept as they go out, in a buffer that the connection has anyway, and read back only when they are needed.
//!
//! Invariant: a request comes back only when its head was written whole.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{HeaderName, HeaderValue, Request};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::body::RequestBody;
use super::socket::Socket;

/// No head is longer.
const MOST: usize = 64 * 1_024;

/// The head of the present request, as far as it was written. A mutex only because hyper wants a connection that can
/// be upgraded to be `Send`; nobody ever waits for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent(Arc<Kept>);

#[derive(Debug, Default)]
struct Kept {
    wanted: AtomicBool,
    bytes: Mutex<Vec<u8>>,
}

/// A connection whose writes are kept while they are wanted.
#[derive(Debug)]
pub(super) struct KeptSocket {
    socket: Socket,
    sent: Sent,
}

impl Sent {
    /// Begins anew for the next request, which may be wanted again.
    pub(super) fn begin(&self, wanted: bool) {
        self.0.wanted.store(wanted, Ordering::Relaxed);
        if wanted {
            self.bytes(Vec::clear);
        }
    }

    /// The request, when it was wanted and written whole.
    pub(super) fn take(&self) -> Option<Request<RequestBody>> {
        if !self.0.wanted.swap(false, Ordering::Relaxed) {
            return None;
        }
        self.bytes(|bytes| read(bytes))
    }

    fn keep(&self, slices: &[IoSlice<'_>], written: usize) {
        if !self.0.wanted.load(Ordering::Relaxed) {
            return;
        }
        self.bytes(|bytes| {
            let end = bytes.len() + written;
            for slice in slices {
                bytes.extend_from_slice(slice);
            }
            bytes.truncate(end);
            if end > MOST {
                self.0.wanted.store(false, Ordering::Relaxed);
            }
        });
    }

    fn bytes<T>(&self, work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        work(&mut self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl KeptSocket {
    pub(super) fn new(socket: Socket, sent: Sent) -> Self {
        Self { socket, sent }
    }
}

/// Reads what hyper wrote: a line for the request, one for each header, and an empty one.
fn read(bytes: &[u8]) -> Option<Request<RequestBody>> {
    let head = bytes.strip_suffix(b"\r\n\r\n")?;
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut words = std::str::from_utf8(lines.next()?).ok()?.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let mut request = Request::builder().method(method).uri(target).body(RequestBody::empty()).ok()?;
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(value.strip_prefix(b": ")?).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}

impl AsyncRead for KeptSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for KeptSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = written {
            self.sent.keep(&[IoSlice::new(bytes)], written);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(written)) = written {
            self.sent.keep(slices, written);
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_head_comes_back_as_the_request_it_was() {
        let sent = Sent::default();
        sent.begin(true);
        sent.keep(
            &[IoSlice::new(b"GET /a?b=c HTTP/1.1\r\nhost: a.te"), IoSlice::new(b"st\r\nx: \xff\r\n")],
            41,
        );
        sent.keep(&[IoSlice::new(b"x: 2\r\n\r\nrest that was not taken")], 8);
        let request = sent.take().unwrap();
        assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("GET", "/a?b=c"));
        assert_eq!(request.headers()["host"], "a.test");
        let values: Vec<_> = request.headers().get_all("x").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(values, [&b"\xff"[..], b"2"]);
        assert!(sent.take().is_none(), "it comes back once");
    }

    #[test]
    fn a_part_of_a_head_and_one_that_nobody_wanted_do_not_come_back() {
        let sent = Sent::default();
        sent.begin(true);
        sent.keep(&[IoSlice::new(b"GET / HTTP/1.1\r\nhost: a\r\n")], 25);
        assert!(sent.take().is_none());
        sent.begin(false);
        sent.keep(&[IoSlice::new(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")], 27);
        assert!(sent.take().is_none());
    }
}
