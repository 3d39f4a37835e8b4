//! One connection to an upstream, driven by the request that uses it.
//!
//! A task of its own for each connection would cost two more wake-ups a request, so whoever waits for something
//! from the connection also polls it.
//!
//! Invariant: a connection in use is polled until its exchange has ended; an idle one is polled by nobody.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use super::body::{Progress, RequestBody};
use super::http1::UpstreamConnection;
use super::pace::{Pace, Terms};
use super::pool::Pool;
use super::rescue::{Cause, ProxyError};
use super::socket::Socket;
use super::table::Claim;
use super::worker::LocalExecutor;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const MAX_HEADER_LIST: u32 = 64 * 1_024;

/// A connection with at most one request on it.
pub(super) struct Connection {
    protocol: Protocol,
    pub(super) pace: Box<Pace>,
}

enum Protocol {
    Http1(Box<UpstreamConnection>),
    /// With prior knowledge (h2c); still one request at a time.
    Http2(Box<Http2>),
}

struct Http2 {
    sender: http2::SendRequest<RequestBody>,
    /// None after the connection has ended.
    driver: Option<Driver>,
    /// The body of the present answer.
    incoming: Option<Incoming>,
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// Why a request got no answer.
pub(super) enum SendError {
    /// The connection was closed before anything of the request was sent; here it is back.
    Unsent(Box<Request<RequestBody>>, Cause),
    /// The connection was closed instead of an answer. The request is back, but its body may have been read.
    Closed(Box<Request<RequestBody>>, Cause),
    Failed(ProxyError),
}

/// One exchange with an upstream: its connection, and the claim that keeps the upstream from being stopped.
pub(super) struct Lease {
    pub(super) pool: Rc<Pool>,
    pub(super) address: SocketAddr,
    pub(super) connection: Connection,
    pub(super) claim: Option<Claim>,
}

impl Connection {
    /// Connects for HTTP/1.1, within five seconds.
    pub(super) async fn open(address: SocketAddr) -> io::Result<Self> {
        let connection = UpstreamConnection::new(connect(address).await?);
        Ok(Self { protocol: Protocol::Http1(Box::new(connection)), pace: Box::new(Pace::new()) })
    }

    /// Connects for HTTP/2, within five seconds. Its frames are moved by a task of `tasks`.
    pub(super) async fn open_http2(address: SocketAddr, tasks: &TaskTracker) -> io::Result<Self> {
        let stream = TokioIo::new(Socket::new(connect(address).await?));
        let mut builder = http2::Builder::new(LocalExecutor::new(tasks.clone()));
        builder.max_header_list_size(MAX_HEADER_LIST);
        let (sender, driver) = builder.handshake(stream).await.map_err(io::Error::other)?;
        let http2 = Http2 { sender, driver: Some(Box::pin(driver)), incoming: None };
        Ok(Self { protocol: Protocol::Http2(Box::new(http2)), pace: Box::new(Pace::new()) })
    }

    /// Whether it speaks HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self.protocol, Protocol::Http2(_))
    }

    /// Sends a request and waits for the head of its answer, whose body [`Connection::poll_frame`] gives.
    pub(super) async fn send(
        &mut self,
        request: Box<Request<RequestBody>>,
        now: Instant,
        (terms, progress): (Terms, Option<Progress>),
    ) -> Result<Response<()>, SendError> {
        let pace = &mut self.pace;
        pace.begin(now, terms, progress);
        let http1 = match &mut self.protocol {
            Protocol::Http1(http1) => http1,
            Protocol::Http2(http2) => return Box::pin(http2.send(*request, pace)).await,
        };
        http1.begin(request)?;
        in_time(pace, |cx| http1.poll_head(cx)).await
    }

    /// The next piece of the answer's body.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        match &mut self.protocol {
            Protocol::Http1(http1) => http1.poll_frame(cx).map_err(Cause::from),
            Protocol::Http2(http2) => http2.poll_frame(cx),
        }
    }

    /// Whether the answer's body has come whole.
    pub(super) fn is_end_stream(&self) -> bool {
        match &self.protocol {
            Protocol::Http1(http1) => http1.is_end_stream(),
            Protocol::Http2(http2) => http2.incoming.as_ref().is_none_or(Incoming::is_end_stream),
        }
    }

    /// How much of the answer's body is to come.
    pub(super) fn size_hint(&self) -> SizeHint {
        match &self.protocol {
            Protocol::Http1(http1) => http1.size_hint(),
            Protocol::Http2(http2) => {
                http2.incoming.as_ref().map_or(SizeHint::with_exact(0), Incoming::size_hint)
            }
        }
    }

    /// Whether another request can be sent.
    pub(super) fn is_reusable(&mut self) -> bool {
        match &mut self.protocol {
            Protocol::Http1(http1) => http1.is_reusable(),
            Protocol::Http2(http2) => http2.is_reusable(),
        }
    }

    /// Whether an idle connection is still open, as far as the runtime has been told.
    pub(super) fn is_open(&mut self) -> bool {
        match &mut self.protocol {
            Protocol::Http1(http1) => http1.is_open(),
            Protocol::Http2(http2) => http2.is_open(),
        }
    }

    /// The stream of a connection that was upgraded, and what has come of the other protocol; HTTP/2 has no upgrades.
    pub(super) fn into_parts(self) -> Option<(TcpStream, Bytes)> {
        match self.protocol {
            Protocol::Http1(http1) => Some(http1.into_parts()),
            Protocol::Http2(_) => None,
        }
    }
}

impl Http2 {
    async fn send(
        &mut self,
        request: Request<RequestBody>,
        pace: &mut Pace,
    ) -> Result<Response<()>, SendError> {
        self.incoming = None;
        let mut answer = Box::pin(self.sender.try_send_request(with_authority(request)));
        let driver = &mut self.driver;
        let answer = in_time(pace, |cx| {
            drive(driver, cx);
            answer.as_mut().poll(cx).map_err(SendError::of)
        })
        .await?;
        let (head, incoming) = answer.into_parts();
        self.incoming = Some(incoming);
        Ok(Response::from_parts(head, ()))
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cause>>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let mut frame = Pin::new(&mut *incoming).poll_frame(&mut Context::from_waker(Waker::noop()));
        if frame.is_pending() {
            drive(&mut self.driver, cx);
            frame = Pin::new(incoming).poll_frame(cx);
        }
        frame.map_err(Cause::from)
    }

    fn is_reusable(&mut self) -> bool {
        if !self.sender.is_ready() {
            self.drive_idle();
        }
        self.driver.is_some() && self.sender.is_ready()
    }

    fn is_open(&mut self) -> bool {
        self.drive_idle();
        self.driver.is_some()
    }

    fn drive_idle(&mut self) {
        drive(&mut self.driver, &mut Context::from_waker(Waker::noop()));
    }
}

impl Lease {
    /// Ends an exchange whose answer came whole: the connection can serve the next one.
    pub(super) fn end(mut self) {
        let retired = self.claim.as_ref().is_some_and(|claim| claim.upstream().is_retired());
        if !retired && self.connection.is_reusable() {
            self.pool.put(self.address, self.connection);
        }
    }
}

impl SendError {
    fn of(mut error: hyper::client::conn::TrySendError<Request<RequestBody>>) -> Self {
        match error.take_message() {
            Some(unsent) => Self::Unsent(Box::new(unsent), error.into_error().into()),
            None => Self::Failed(ProxyError::of_http2(error.into_error())),
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Waits for the head of an answer as long as the pace allows.
async fn in_time<T>(
    pace: &mut Pace,
    mut poll_answer: impl FnMut(&mut Context<'_>) -> Poll<Result<T, SendError>>,
) -> Result<T, SendError> {
    std::future::poll_fn(|cx| {
        if let Poll::Ready(answer) = poll_answer(cx) {
            return Poll::Ready(answer);
        }
        match pace.poll_head(cx) {
            Some(error) => Poll::Ready(Err(SendError::Failed(error))),
            None => Poll::Pending,
        }
    })
    .await
}

/// A stream that sends what it is given without waiting for more (`TCP_NODELAY`).
async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let limited = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address)).await;
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection within five seconds");
    let stream = limited.map_err(late)??;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// HTTP/2 names the host in the target, and only there. An unusable one is left as it is, and refused by the dyno.
fn with_authority(mut request: Request<RequestBody>) -> Request<RequestBody> {
    *request.version_mut() = Version::HTTP_2;
    let host = request
        .headers()
        .get(HOST)
        .map(HeaderValue::as_bytes)
        .and_then(|host| Authority::try_from(host).ok());
    if let Some(host) = host {
        let mut parts = request.uri().clone().into_parts();
        (parts.scheme, parts.authority) = (Some(Scheme::HTTP), Some(host));
        if let Ok(target) = Uri::from_parts(parts) {
            *request.uri_mut() = target;
            request.headers_mut().remove(HOST);
        }
    }
    request
}

/// An ended driver is dropped, which resolves what waits for it.
fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if let Some(present) = driver
        && let Poll::Ready(end) = present.as_mut().poll(cx)
    {
        *driver = None;
        if let Err(error) = end {
            tracing::debug!(%error, "a connection to an upstream ended");
        }
    }
}
