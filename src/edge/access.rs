//! What the edge tells of each request of an app, once it has ended.
//!
//! Invariant: telling never waits. Records go in batches into a bounded channel; those that do not fit are dropped and
//! counted.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{Notify, mpsc};

use super::body::{BodyError, EdgeBody};
use super::code::RouterCode;
use super::proxy::Client;
use super::table::{AppRoute, Upstream};
use super::worker::Worker;
use crate::clock::Clock;
use crate::model::ids::{AppId, SiteId};
use crate::model::log::one_line;
use crate::model::names::DynoName;
use crate::model::time::Timestamp;
use crate::model::trace::{TraceContext, Traced};

/// Records that are sent together, and bytes of lines: each batch wakes threads, and a larger text would be one for which
/// the allocator asks the system each time.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 96 * 1_024;
/// How long a record waits for company.
const BATCH_PERIOD: Duration = Duration::from_millis(100);
/// Batches that wait to be taken; a few megabytes at most.
const QUEUE: usize = 16;
/// Bytes of a path that are told.
const PATH_LIMIT: usize = 1024;
/// A client that went away before it was answered (`behaviour.md` §10).
const CLIENT_CLOSED: u16 = 499;
/// Room for what a line has besides host, path and id.
const REST_OF_LINE: usize = 208;
/// Requests that have ended whose memory is kept for others, and how long a line may be that is kept.
const MOST_SPARE: usize = 64;
const MOST_SPARE_LINE: usize = 1_024;
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// One request of an app that has ended.
#[derive(Debug)]
pub struct AccessRecord {
    pub app: AppId,
    /// The site by whose route it came; `None` when it was for the app's own host.
    pub site: Option<SiteId>,
    /// When it ended.
    pub at: Timestamp,
    /// 499 when the client went away first.
    pub status: u16,
    /// From the request's head to the last byte of the answer.
    pub total: Duration,
    /// There when the request is traced.
    pub trace: Option<Box<TracedRequest>>,
}

/// Requests that have ended, each with its line: `host=… fwd=… method=… path=… request_id=… status=… service=…
/// connect=… total=… bytes=…`, and then the dyno and what went wrong, where there was one and something did
/// (`behaviour.md` §10).
///
/// The lines are one text, because what one thread allocates and another one frees costs both of them.
#[derive(Debug, Default)]
pub struct AccessRecords {
    /// Each with where its line ends.
    records: Vec<(AccessRecord, usize)>,
    lines: String,
}

/// A request of which a span is wanted.
#[derive(Debug)]
pub struct TracedRequest {
    pub traced: Traced,
    pub method: Method,
    pub host: String,
    /// Without the query.
    pub path: String,
    /// The dyno that it was sent to last.
    pub dyno: Option<DynoName>,
}

/// Where the workers put their records. Clones share it.
#[derive(Debug, Clone)]
pub struct AccessSink {
    sender: mpsc::Sender<AccessRecords>,
    dropped: Arc<AtomicU64>,
}

/// A worker's records until they are sent.
pub(super) struct AccessBatch {
    sink: Option<AccessSink>,
    records: RefCell<AccessRecords>,
    /// What has been told, for those to come: a busy worker has more requests open than the allocator keeps at hand.
    #[expect(clippy::vec_box, reason = "the boxes are what is kept")]
    spare: RefCell<Vec<Box<Details>>>,
    begun: Notify,
}

/// A request on its way; it is told when this is dropped.
pub(super) struct Access(Option<(Rc<Worker>, Box<Details>)>);

struct Details {
    /// The beginning of the line, with room for the rest.
    line: String,
    began: Instant,
    app: Option<AppId>,
    site: Option<SiteId>,
    /// The dyno that it was sent to last.
    dyno: Option<Arc<Upstream>>,
    /// Spent on a new connection; zero where one was there.
    connect: Duration,
    /// From the dyno's getting the request to the head of its answer.
    service: Duration,
    status: u16,
    code: Option<RouterCode>,
    /// Of the answer's body.
    bytes: u64,
    trace: Option<Box<TracedRequest>>,
}

/// A body that is told of when it has ended.
pub(super) struct ToldBody {
    body: EdgeBody,
    access: Access,
}

impl AccessSink {
    /// A sink, and what takes the records out of it.
    pub fn new() -> (Self, mpsc::Receiver<AccessRecords>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self { sender, dropped: Arc::default() }, receiver)
    }

    /// Records that did not fit, since the start.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl AccessRecords {
    /// Adds a request with its line; line breaks and NULs within it become spaces.
    pub fn push(&mut self, record: AccessRecord, line: &str) {
        self.lines.push_str(&one_line(line));
        self.records.push((record, self.lines.len()));
    }

    /// Adds others behind these, and frees what they lay in.
    pub fn append(&mut self, others: Self) {
        let before = self.lines.len();
        self.lines.push_str(&others.lines);
        self.records.extend(others.records.into_iter().map(|(record, end)| (record, before + end)));
    }

    /// The requests and their lines, in the order in which they ended.
    pub fn iter(&self) -> impl Iterator<Item = (&AccessRecord, &str)> {
        (0..self.len()).filter_map(|number| self.get(number))
    }

    /// One of them, counted from 0.
    pub fn get(&self, number: usize) -> Option<(&AccessRecord, &str)> {
        let (record, end) = self.records.get(number)?;
        let before = number.checked_sub(1).and_then(|before| self.records.get(before));
        let line = self.lines.get(before.map_or(0, |(_, end)| *end)..*end)?;
        Some((record, line))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The memory that they take, without the room for more.
    pub fn bytes(&self) -> usize {
        self.lines.len() + self.records.len() * size_of::<(AccessRecord, usize)>()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    fn is_full(&self) -> bool {
        self.records.len() >= BATCH || self.lines.len() >= BATCH_BYTES
    }

    /// With room for as much as there is here, and a little more: what does not fit doubles the room.
    fn with_room_of(&self) -> Self {
        let length = self.lines.len();
        let (records, lines) =
            (Vec::with_capacity(self.records.len()), String::with_capacity(length + length / 8));
        Self { records, lines }
    }
}

impl AccessBatch {
    pub(super) fn new(sink: Option<AccessSink>) -> Self {
        Self { sink, records: RefCell::default(), spare: RefCell::default(), begun: Notify::new() }
    }

    /// Sends what has waited; never ends.
    pub(super) async fn flush_periodically(&self) {
        loop {
            self.begun.notified().await;
            tokio::time::sleep(BATCH_PERIOD).await;
            self.flush();
        }
    }

    pub(super) fn flush(&self) {
        let mut present = self.records.borrow_mut();
        // Where one batch was full, the next one will be so soon.
        let next = if present.is_full() { present.with_room_of() } else { AccessRecords::default() };
        let records = std::mem::replace(&mut *present, next);
        drop(present);
        let Some(sink) = self.sink.as_ref().filter(|_| !records.is_empty()) else { return };
        if let Err(error) = sink.sender.try_send(records) {
            let lost = error.into_inner().len() as u64;
            sink.dropped.fetch_add(lost, Ordering::Relaxed);
        }
    }

    /// Adds a request that has ended, if it was for an app, and keeps its memory.
    fn tell(&self, mut details: Box<Details>, clock: &Clock) {
        if let Some(app) = details.app {
            let (at, total) = (clock.now(), details.began.elapsed());
            details.complete(total);
            let mut trace = details.trace.take();
            if let (Some(trace), Some(upstream)) = (&mut trace, &details.dyno) {
                trace.dyno = Some(upstream.dyno.clone());
            }
            let (site, status) = (details.site, details.status);
            self.push(AccessRecord { app, site, at, status, total, trace }, &details.line);
        }
        (details.dyno, details.trace) = (None, None);
        let mut spare = self.spare.borrow_mut();
        if spare.len() < MOST_SPARE && details.line.capacity() <= MOST_SPARE_LINE {
            spare.push(details);
        }
    }

    fn push(&self, record: AccessRecord, line: &str) {
        let mut records = self.records.borrow_mut();
        if records.is_empty() {
            self.begun.notify_one();
        }
        records.push(record, line);
        let full = records.is_full();
        drop(records);
        if full {
            self.flush();
        }
    }
}

impl Access {
    /// Begins to watch a request; nothing when nobody takes records.
    pub(super) fn begin<B>(client: &Client, request: &Request<B>, id: &HeaderValue) -> Self {
        let batch = &client.worker.access;
        if batch.sink.is_none() {
            return Self(None);
        }
        let mut spare = batch.spare.borrow_mut().pop();
        let mut line = spare.as_mut().map(|spare| std::mem::take(&mut spare.line)).unwrap_or_default();
        describe(client, request, id, &mut line);
        let details = Details {
            line,
            began: Instant::now(),
            app: None,
            site: None,
            dyno: None,
            connect: Duration::ZERO,
            service: Duration::ZERO,
            status: CLIENT_CLOSED,
            code: Some(RouterCode::ClientInterrupted),
            bytes: 0,
            trace: trace(client, request),
        };
        let details = match spare {
            Some(mut spare) => {
                *spare = details;
                spare
            }
            None => Box::new(details),
        };
        Self(Some((Rc::clone(&client.worker), details)))
    }

    /// Gives the app the trace that begins here. A trace that began elsewhere passes as it is.
    pub(super) fn hand_on(&self, headers: &mut HeaderMap) {
        let Some(request) = self.0.as_ref().and_then(|(_, details)| details.trace.as_ref()) else { return };
        if request.traced.parent.is_none()
            && let Ok(value) = HeaderValue::try_from(request.traced.context().to_string())
        {
            headers.insert(TRACEPARENT, value);
            headers.remove(TRACESTATE);
        }
    }

    /// The request is for this app, by a route of that site.
    pub(super) fn is_for(&mut self, app: &AppRoute, site: Option<SiteId>) {
        if let Some((_, details)) = &mut self.0 {
            (details.app, details.site) = (Some(app.id), site);
        }
    }

    /// The request goes to this dyno.
    pub(super) fn goes_to(&mut self, upstream: &Arc<Upstream>) {
        if let Some((_, details)) = &mut self.0 {
            details.dyno = Some(Arc::clone(upstream));
        }
    }

    /// A new connection took the time since then.
    pub(super) fn connected(&mut self, began: Instant) {
        if let Some((_, details)) = &mut self.0 {
            details.connect = began.elapsed();
        }
    }

    /// The head of the answer came; the request was sent then.
    pub(super) fn answered(&mut self, sent: Instant) {
        if let Some((_, details)) = &mut self.0 {
            details.service = sent.elapsed();
        }
    }

    /// Goes on with the body of the answer, or of what tells the client what went wrong.
    pub(super) fn told_with(
        mut self,
        status: StatusCode,
        code: Option<RouterCode>,
        body: EdgeBody,
    ) -> ToldBody {
        if let Some((_, details)) = &mut self.0 {
            (details.status, details.code) = (status.as_u16(), code);
        }
        ToldBody { body, access: self }
    }
}

impl Drop for Access {
    fn drop(&mut self) {
        if let Some((worker, details)) = self.0.take() {
            worker.access.tell(details, &worker.settings.clock);
        }
    }
}

impl Details {
    /// Writes the rest of the line. Here and not where it is kept: what the line tells of is still at hand, and nothing
    /// that the workers share goes with the record.
    fn complete(&mut self, total: Duration) {
        let mut number = itoa::Buffer::new();
        let numbers = [
            (" status=", u128::from(self.status)),
            (" service=", self.service.as_millis()),
            ("ms connect=", self.connect.as_millis()),
            ("ms total=", total.as_millis()),
            ("ms bytes=", u128::from(self.bytes)),
        ];
        for (name, value) in numbers {
            self.line.push_str(name);
            self.line.push_str(number.format(u64::try_from(value).unwrap_or(u64::MAX)));
        }
        if let Some(upstream) = &self.dyno {
            self.line.extend([" dyno=web.", upstream.dyno.as_str()]);
        }
        if let Some(code) = self.code {
            self.line.extend([" at=error code=", code.code(), " desc=\"", code.description(), "\""]);
        }
    }
}

impl Body for ToldBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if let (Some((_, details)), Poll::Ready(Some(frame))) = (&mut this.access.0, &frame) {
            match frame {
                Ok(frame) => details.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
                Err(error) => details.code = Some(error.code()),
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Makes it the beginning of the request's line.
fn describe<B>(client: &Client, request: &Request<B>, id: &HeaderValue, line: &mut String) {
    let host = host(request);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let path = path.get(..path.floor_char_boundary(PATH_LIMIT)).unwrap_or(path);
    let id = id.to_str().unwrap_or("");
    line.clear();
    // Grown once: this happens for each request.
    line.reserve(host.len() + path.len() + id.len() + REST_OF_LINE);
    line.extend(["host=", host, " fwd=", client.came_by.address(), " method=", request.method().as_str()]);
    line.extend([" path=", path, " request_id=", id]);
}

fn host<B>(request: &Request<B>) -> &str {
    match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => request.headers().get(HOST).and_then(|value| value.to_str().ok()).unwrap_or(""),
    }
}

/// Costs one branch when nothing is traced.
fn trace<B>(client: &Client, request: &Request<B>) -> Option<Box<TracedRequest>> {
    let sampler = client.worker.settings.sampler?;
    let caller =
        request.headers().get(TRACEPARENT).and_then(|value| TraceContext::parse(value.to_str().ok()?));
    let traced = sampler.begin(caller, rand::random())?;
    let path = request.uri().path();
    let path = path.get(..path.floor_char_boundary(PATH_LIMIT)).unwrap_or(path);
    let (method, host, path) = (request.method().clone(), host(request).to_owned(), path.to_owned());
    Some(Box::new(TracedRequest { traced, method, host, path, dyno: None }))
}
