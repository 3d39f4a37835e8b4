//! One client connection: served until it closes, is quiet for too long, or the edge drains.
//!
//! Invariant: a connection with an open request is never closed for being quiet, but when its client takes nothing of an
//! answer that is there, or breaks off far more requests than it lets end.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::rt::bounds::Http2ServerConnExec;
use hyper::rt::{Read, Write};
use hyper::server::conn::http2;
use hyper::service::HttpService;
use tokio::time::sleep;

use super::access::ToldBody;
use super::census::Room;
use super::coalesce::{Coalesce, Drain};
use super::rescue::Cause;
use super::worker::Worker;

/// Requests that a client may break off beyond those that it lets end (rapid reset).
const MOST_BROKEN_OFF: u32 = 200;

/// What a client connection is doing.
#[derive(Debug)]
pub(super) struct Activity {
    open: Cell<u32>,
    reading_head: Cell<bool>,
    /// Milliseconds after `start` at which the present quiet began.
    since: Cell<u64>,
    /// Answers of which the client has to take something before the rest is asked for.
    unread: Cell<u32>,
    /// Raised whenever the client took something.
    taken: Cell<u32>,
    /// Requests that the client broke off, less those that ended.
    broken_off: Cell<u32>,
    start: Instant,
}

/// A request that is being served, from its head to the end of its answer.
#[derive(Debug)]
pub(super) struct OpenRequest {
    activity: Rc<Activity>,
    /// The client has to take what it was given.
    unread: bool,
    /// It has been sent on, and has no answer yet.
    waiting: bool,
}

/// Keeps a connection from being quiet, beside the requests on it.
#[derive(Debug)]
pub(super) struct KeptOpen(Rc<Activity>);

/// How much of the answers a client had taken, and when that was seen.
struct Taken {
    count: u32,
    at: Instant,
}

/// A connection whose client can be told that it ends.
pub(super) trait ClientConnection {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Cause>>;

    /// Tells the client that no new request will be taken, where the protocol has a message for that. Over HTTP/1.1
    /// the next answer says so: closing a connection without a request would lose the one that may be under way to it.
    fn announce_end(self: Pin<&mut Self>);
}

/// An HTTP/2 connection whose small writes go out together after each poll.
pub(super) struct Coalesced<T, S: HttpService<Incoming>, E> {
    connection: http2::Connection<Coalesce<T>, S, E>,
    drain: Drain<T>,
    activity: Rc<Activity>,
    put_off: bool,
    _room: Room,
}

/// Drives a connection to its end.
pub(super) async fn drive(
    mut connection: Pin<Box<impl ClientConnection>>,
    activity: Rc<Activity>,
    worker: Rc<Worker>,
) -> Result<(), Cause> {
    let limits = worker.settings.limits;
    let mut stop = pin!(worker.stop.token.cancelled());
    let mut quiet = pin!(sleep(limits.header));
    let mut listening = false;
    let mut ending = false;
    let mut taken = Taken { count: 0, at: Instant::now() };
    poll_fn(|cx| {
        if let Poll::Ready(end) = connection.as_mut().poll(cx) {
            return Poll::Ready(end);
        }
        if activity.broken_off.get() > MOST_BROKEN_OFF {
            tracing::debug!("a client breaks off one request after the other");
            return Poll::Ready(Ok(()));
        }
        // The first poll leaves the waker there; until the worker stops another one would tell nothing new.
        if !ending && (!listening || worker.is_stopping()) {
            listening = true;
            if stop.as_mut().poll(cx).is_ready() {
                ending = true;
                quiet.as_mut().reset(tokio::time::Instant::now() + worker.stop.patience().quiet);
                connection.as_mut().announce_end();
                if let Poll::Ready(end) = connection.as_mut().poll(cx) {
                    return Poll::Ready(end);
                }
            }
        }
        while quiet.as_mut().poll(cx).is_ready() {
            let left = if ending {
                let quiet = worker.stop.patience().quiet;
                activity.quiet_left(quiet, quiet)
            } else {
                activity
                    .quiet_left(limits.header, limits.idle)
                    .min(activity.unread_left(&mut taken, limits.rolling))
            };
            if left.is_zero() {
                return Poll::Ready(Ok(()));
            }
            quiet.as_mut().reset(tokio::time::Instant::now() + left);
        }
        Poll::Pending
    })
    .await
}

impl Activity {
    /// The activity of a fresh connection, whose first request is awaited.
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            open: Cell::new(0),
            reading_head: Cell::new(true),
            since: Cell::new(0),
            unread: Cell::new(0),
            taken: Cell::new(0),
            broken_off: Cell::new(0),
            start: Instant::now(),
        })
    }

    /// Notes that the connection had a request already, and awaits the next.
    pub(super) fn resume(&self) {
        self.reading_head.set(false);
    }

    /// Counts a request in.
    pub(super) fn begin(self: &Rc<Self>) -> OpenRequest {
        add(&self.open, 1);
        self.reading_head.set(false);
        OpenRequest { activity: Rc::clone(self), unread: false, waiting: false }
    }

    /// Counts a stream in that has no request yet, or of whose answer something is not acknowledged.
    pub(super) fn keep_open(self: &Rc<Self>) -> KeptOpen {
        add(&self.open, 1);
        KeptOpen(Rc::clone(self))
    }

    /// Notes a request that was broken off before it was one.
    pub(super) fn break_off(&self) {
        add(&self.broken_off, 1);
    }

    /// How much longer the client may leave answers where they are.
    fn unread_left(&self, taken: &mut Taken, limit: Duration) -> Duration {
        let count = self.taken.get();
        if self.unread.get() == 0 || count != taken.count {
            *taken = Taken { count, at: Instant::now() };
        }
        limit.saturating_sub(taken.at.elapsed())
    }

    /// How much longer the connection may be quiet; all of a limit while a request is open.
    fn quiet_left(&self, header: Duration, idle: Duration) -> Duration {
        let limit = if self.reading_head.get() { header } else { idle };
        if self.open.get() > 0 {
            return limit;
        }
        let quiet = self.start.elapsed().saturating_sub(Duration::from_millis(self.since.get()));
        limit.saturating_sub(quiet)
    }

    pub(super) fn note_read(&self) {
        if !self.reading_head.get() && self.open.get() == 0 {
            self.reading_head.set(true);
            self.note_time();
        }
    }

    fn close_one(&self) {
        add(&self.open, u32::MAX);
        if self.open.get() == 0 {
            self.note_time();
        }
    }

    fn note_time(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.set(millis);
    }
}

impl<T: Write + Unpin, S: HttpService<Incoming>, E> Coalesced<T, S, E> {
    pub(super) fn new(
        connection: http2::Connection<Coalesce<T>, S, E>,
        (drain, room): (Drain<T>, Room),
        activity: Rc<Activity>,
    ) -> Self {
        Self { connection, drain, activity, put_off: false, _room: room }
    }

    /// Whether to wait one turn for the answers of other requests before writing; never two in a row.
    fn puts_off(&mut self) -> bool {
        let others = self.activity.open.get() > 0;
        self.put_off = !self.put_off && others && self.drain.is_holding();
        self.put_off
    }
}

/// Wakes the task after the runtime has looked at its sockets once more.
fn come_back(cx: &mut Context<'_>) {
    let turn = pin!(tokio::task::yield_now());
    // Its first poll leaves the waker with the runtime; it is never ready at once.
    if turn.poll(cx).is_ready() {
        cx.waker().wake_by_ref();
    }
}

impl OpenRequest {
    /// The client has been given a head or a piece of a body.
    pub(super) fn give(&mut self) {
        if !self.unread {
            self.unread = true;
            add(&self.activity.unread, 1);
        }
    }

    /// The client has taken what it was given.
    pub(super) fn take(&mut self) {
        if self.unread {
            self.unread = false;
            add(&self.activity.unread, u32::MAX);
            add(&self.activity.taken, 1);
        }
    }

    /// Whether an answer is waited for; a client that goes meanwhile breaks the request off.
    pub(super) fn set_waiting(&mut self, waiting: bool) {
        self.waiting = waiting;
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.take();
        let activity = &self.activity;
        let broken_off = activity.broken_off.get();
        let now = if self.waiting { broken_off.saturating_add(1) } else { broken_off.saturating_sub(1) };
        if now != broken_off {
            activity.broken_off.set(now);
        }
        activity.close_one();
    }
}

impl Drop for KeptOpen {
    fn drop(&mut self) {
        self.0.close_one();
    }
}

/// Adds to a number; `u32::MAX` takes one away.
fn add(number: &Cell<u32>, difference: u32) {
    number.set(number.get().wrapping_add(difference));
}

impl<F: Future<Output = Result<(), Cause>>> ClientConnection for F {
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Future::poll(self, cx)
    }

    fn announce_end(self: Pin<&mut Self>) {}
}

impl<T, S, E> ClientConnection for Coalesced<T, S, E>
where
    T: Read + Write + Unpin + 'static,
    S: HttpService<Incoming, ResBody = ToldBody> + Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: 'static,
    E: Http2ServerConnExec<S::Future, ToldBody> + Unpin,
{
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        let end = Pin::new(&mut self.connection).poll(cx).map_err(Cause::from);
        if end.is_pending() && self.puts_off() {
            come_back(cx);
            return Poll::Pending;
        }
        match self.drain.poll_drain(cx) {
            // The connection meets the same error at its next read or write.
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "cannot write to a client");
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(())) | Poll::Pending => end,
        }
    }

    fn announce_end(mut self: Pin<&mut Self>) {
        Pin::new(&mut self.connection).graceful_shutdown();
    }
}
