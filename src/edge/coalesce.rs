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

    /// Whether something waits to be written that could wait for more.
    pub(super) fn is_holding(&self) -> bool {
        (1..GATHER_LIMIT / 2).contains(&self.0.borrow().kept.len())
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

#[cfg(test)]
mod tests {
    use std::io::IoSlice;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};

    use proptest::prelude::*;

    use super::*;

    /// Takes `room` bytes, then none until it gets more room.
    #[derive(Default)]
    struct Stream {
        room: usize,
        taken: Vec<u8>,
        writes: usize,
        flushes: usize,
        waiting: Option<Waker>,
    }

    impl Write for Stream {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                self.waiting = Some(cx.waker().clone());
                return Poll::Pending;
            }
            self.room -= taken;
            self.writes += 1;
            self.taken.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn with_room(room: usize) -> (Coalesce<Stream>, Drain<Stream>) {
        coalesce(Stream { room, ..Stream::default() })
    }

    fn write(side: &mut Coalesce<Stream>, bytes: &[u8]) -> Poll<usize> {
        let cx = &mut Context::from_waker(Waker::noop());
        Pin::new(side).poll_write(cx, bytes).map(Result::unwrap)
    }

    fn drain(side: &Drain<Stream>) -> Poll<()> {
        side.poll_drain(&mut Context::from_waker(Waker::noop())).map(Result::unwrap)
    }

    #[test]
    fn the_small_writes_and_flushes_of_a_turn_become_one() {
        let (mut side, driver) = with_room(1_000);
        for _ in 0..3 {
            assert_eq!(write(&mut side, b"frame;"), Poll::Ready(6));
            let cx = &mut Context::from_waker(Waker::noop());
            assert!(Pin::new(&mut side).poll_flush(cx).is_ready());
        }
        assert_eq!(driver.0.borrow().stream.writes, 0);
        assert!(drain(&driver).is_ready());
        let gathered = driver.0.borrow();
        assert_eq!((gathered.stream.writes, gathered.stream.flushes), (1, 1));
        assert_eq!(gathered.stream.taken, b"frame;frame;frame;");
    }

    #[test]
    fn a_drain_that_is_stuck_wakes_its_task_and_goes_on() {
        let (mut side, driver) = with_room(2);
        assert_eq!(write(&mut side, b"frame"), Poll::Ready(5));
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        assert!(driver.poll_drain(&mut Context::from_waker(&waker)).is_pending());
        let waiting = {
            let mut gathered = driver.0.borrow_mut();
            gathered.stream.room = 10;
            gathered.stream.waiting.take().unwrap()
        };
        waiting.wake();
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
        // The connection is not polled in between: the drain alone sends the rest.
        assert!(drain(&driver).is_ready());
        assert_eq!(driver.0.borrow().stream.taken, b"frame");
    }

    #[test]
    fn a_large_write_waits_for_what_was_gathered_before_it() {
        let (mut side, driver) = with_room(3);
        assert_eq!(write(&mut side, b"small"), Poll::Ready(5));
        let large = vec![b'x'; SMALL + 1];
        assert_eq!(write(&mut side, &large), Poll::Pending);
        driver.0.borrow_mut().stream.room = 100_000;
        assert_eq!(write(&mut side, &large), Poll::Ready(SMALL + 1));
        assert!(driver.0.borrow().stream.taken.starts_with(b"smallx"));
    }

    #[test]
    fn what_is_gathered_is_bounded_and_pushes_back() {
        let (mut side, driver) = with_room(0);
        let piece = vec![b'x'; SMALL];
        let kept = (0..100).take_while(|_| write(&mut side, &piece).is_ready()).count();
        assert_eq!(kept, GATHER_LIMIT / SMALL);
        assert_eq!(driver.0.borrow().kept.len(), GATHER_LIMIT);
    }

    #[test]
    fn a_shutdown_sends_what_was_gathered_first() {
        let (mut side, driver) = with_room(100);
        assert_eq!(write(&mut side, b"goodbye"), Poll::Ready(7));
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut side).poll_shutdown(cx).is_ready());
        assert_eq!(driver.0.borrow().stream.taken, b"goodbye");
    }

    proptest! {
        #[test]
        fn bytes_come_out_whole_and_in_order(
            sizes in prop::collection::vec(1_usize..10_000, 1..30),
            room in 1_usize..9_000,
            vectored in any::<bool>(),
        ) {
            let (mut side, driver) = with_room(room);
            let content: Vec<u8> = (0..=250).cycle().take(sizes.iter().sum()).collect();
            let mut rest = content.as_slice();
            let cx = &mut Context::from_waker(Waker::noop());
            for size in sizes {
                let (mut piece, after) = rest.split_at(size);
                rest = after;
                while !piece.is_empty() {
                    let (head, tail) = piece.split_at(piece.len() / 3);
                    let slices = [IoSlice::new(head), IoSlice::new(tail)];
                    let written = if vectored {
                        Pin::new(&mut side).poll_write_vectored(cx, &slices)
                    } else {
                        Pin::new(&mut side).poll_write(cx, piece)
                    };
                    match written.map(Result::unwrap) {
                        Poll::Ready(written) => piece = &piece[written..],
                        Poll::Pending => driver.0.borrow_mut().stream.room += room,
                    }
                }
                let _sent_or_not = drain(&driver);
            }
            driver.0.borrow_mut().stream.room = usize::MAX;
            prop_assert!(drain(&driver).is_ready());
            prop_assert!(driver.0.borrow().stream.taken == content);
        }
    }
}
