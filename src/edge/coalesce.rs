//! Gathers the small writes of one turn of an HTTP/2 connection into one write to its stream.
//!
//! hyper writes each frame by itself and flushes whenever it is polled; behind TLS each write is a record and a
//! system call. Here small writes are kept, flushing them is put off, and they go out after the poll.
//!
//! Invariant: after every poll of the connection what was gathered is written out, or the task is registered to be
//! woken when the stream takes more; bytes keep their order.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};

/// One TLS record's content: more in one write would save nothing.
const GATHER_LIMIT: usize = 16 * 1_024;
/// Larger writes are passed on: copying them costs more than a system call.
const SMALL: usize = 4 * 1_024;

/// The connection's side of a gathered stream.
#[derive(Debug)]
pub(super) struct Coalesce<T>(Rc<RefCell<Gathered<T>>>);

/// The driver's side: writes out what was gathered.
#[derive(Debug)]
pub(super) struct Drain<T>(Rc<RefCell<Gathered<T>>>);

#[derive(Debug)]
struct Gathered<T> {
    stream: T,
    kept: BytesMut,
    unflushed: bool,
}

/// Both sides of a stream whose small writes are gathered.
pub(super) fn coalesce<T>(stream: T) -> (Coalesce<T>, Drain<T>) {
    let gathered = Gathered { stream, kept: BytesMut::with_capacity(GATHER_LIMIT), unflushed: false };
    let gathered = Rc::new(RefCell::new(gathered));
    (Coalesce(Rc::clone(&gathered)), Drain(gathered))
}

impl<T: Write + Unpin> Drain<T> {
    /// Writes out and flushes what was gathered. To be called after every poll of the connection, with the
    /// context of the same task.
    pub(super) fn poll_drain(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_drain(cx)
    }
}

impl<T: Write + Unpin> Gathered<T> {
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_write_out(cx))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.kept.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.kept))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.kept.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Keeps `length` bytes from `slices`, or says that they have to be passed on.
    fn poll_keep(
        &mut self,
        cx: &mut Context<'_>,
        length: usize,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<bool>> {
        self.unflushed = true;
        let keep = length <= SMALL;
        if !keep || self.kept.len() + length > GATHER_LIMIT {
            ready!(self.poll_write_out(cx))?;
        }
        if keep {
            for slice in slices {
                self.kept.extend_from_slice(slice);
            }
        }
        Poll::Ready(Ok(keep))
    }
}

impl<T: Read + Unpin> Read for Coalesce<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0.borrow_mut().stream).poll_read(cx, buffer)
    }
}

impl<T: Write + Unpin> Write for Coalesce<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut gathered = self.0.borrow_mut();
        if ready!(gathered.poll_keep(cx, bytes.len(), &[io::IoSlice::new(bytes)]))? {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut gathered.stream).poll_write(cx, bytes)
    }

    /// Only notes that a flush is due; the drain after this poll does it.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().unflushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut gathered = self.0.borrow_mut();
        ready!(gathered.poll_drain(cx))?;
        Pin::new(&mut gathered.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.borrow().stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut gathered = self.0.borrow_mut();
        let length = slices.iter().map(|slice| slice.len()).sum();
        if ready!(gathered.poll_keep(cx, length, slices))? {
            return Poll::Ready(Ok(length));
        }
        Pin::new(&mut gathered.stream).poll_write_vectored(cx, slices)
    }
}
