//! One connection to an upstream, driven by the request that uses it.
//!
//! A task of its own for each connection would cost two more wake-ups a request, so whoever waits for something
//! from the connection also polls it. Its parts are therefore polled without a waker: they move only when the
//! connection is polled, and that registers the waker.
//!
//! Invariant: a connection in use is polled until its exchange has ended; an idle one is polled by nobody.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use super::body::{Progress, RequestBody};
use super::pace::{Pace, Terms};
use super::pool::Pool;
use super::replay::{KeptSocket, Sent};
use super::rescue::ProxyError;
use super::socket::Socket;
use super::table::Claim;
use super::worker::LocalExecutor;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const MAX_HEADER_BYTES: usize = 64 * 1_024;
const MAX_HEADER_LIST: u32 = 64 * 1_024;

/// A connection with at most one request on it.
pub(super) struct Connection {
    sender: Sender,
    /// None after the connection has ended.
    driver: Option<Driver>,
    pub(super) pace: Box<Pace>,
    sent: Sent,
}

/// The two ways to hand a request to a connection.
enum Sender {
    Http1(http1::SendRequest<RequestBody>),
    /// With prior knowledge (h2c); still one request at a time.
    Http2(http2::SendRequest<RequestBody>),
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>>>>;

/// Why a request got no answer.
pub(super) enum SendError {
    /// The connection was closed before anything of the request was sent; here it is back.
    Unsent(Box<Request<RequestBody>>, hyper::Error),
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
        let stream = connect(address).await?;
        let sent = Sent::default();
        let stream = KeptSocket::new(Socket::new(stream)?, sent.clone());
        let (sender, driver) = http1::Builder::new()
            .max_header_size(MAX_HEADER_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let driver: Driver = Box::pin(driver.with_upgrades());
        let sender = Sender::Http1(sender);
        Ok(Self { sender, driver: Some(driver), pace: Box::new(Pace::new()), sent })
    }

    /// Connects for HTTP/2, within five seconds. Its frames are moved by a task of `tasks`.
    pub(super) async fn open_http2(address: SocketAddr, tasks: &TaskTracker) -> io::Result<Self> {
        let stream = TokioIo::new(Socket::new(connect(address).await?)?);
        let mut builder = http2::Builder::new(LocalExecutor::new(tasks.clone()));
        builder.max_header_list_size(MAX_HEADER_LIST);
        let (sender, driver) = builder.handshake(stream).await.map_err(io::Error::other)?;
        let (sender, driver): (_, Driver) = (Sender::Http2(sender), Box::pin(driver));
        Ok(Self { sender, driver: Some(driver), pace: Box::new(Pace::new()), sent: Sent::default() })
    }

    /// Whether it speaks HTTP/2, whose parts move also when the connection is not polled.
    pub(super) fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
    }

    /// Whether the next request shall come back from [`Connection::take_sent`].
    pub(super) fn keep_sent(&self, wanted: bool) {
        self.sent.begin(wanted);
    }

    /// The request that was sent last, when it was to be kept and its head was written whole.
    pub(super) fn take_sent(&self) -> Option<Box<Request<RequestBody>>> {
        self.sent.take().map(Box::new)
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Box<Request<RequestBody>>,
        terms: Terms,
        progress: Option<Progress>,
    ) -> Result<Response<Incoming>, SendError> {
        let sender = match &mut self.sender {
            Sender::Http1(sender) => sender,
            Sender::Http2(_) => return Box::pin(self.send_http2(*request, terms, progress)).await,
        };
        let mut answer = Box::pin(sender.try_send_request(*request));
        let (driver, pace) = (&mut self.driver, &mut self.pace);
        pace.begin(terms, progress);
        std::future::poll_fn(|cx| {
            drive(driver, cx);
            if let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return Poll::Ready(answer.map_err(SendError::of));
            }
            match pace.poll_head(cx) {
                Some(error) => Poll::Ready(Err(SendError::Failed(error))),
                None => Poll::Pending,
            }
        })
        .await
    }

    async fn send_http2(
        &mut self,
        request: Request<RequestBody>,
        terms: Terms,
        progress: Option<Progress>,
    ) -> Result<Response<Incoming>, SendError> {
        let Sender::Http2(sender) = &mut self.sender else {
            return Err(SendError::Failed(ProxyError::NoUpstream));
        };
        let mut answer = Box::pin(sender.try_send_request(with_authority(request)));
        let (driver, pace) = (&mut self.driver, &mut self.pace);
        pace.begin(terms, progress);
        std::future::poll_fn(|cx| {
            drive(driver, cx);
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(answer.map_err(SendError::of));
            }
            match pace.poll_head(cx) {
                Some(error) => Poll::Ready(Err(SendError::Failed(error))),
                None => Poll::Pending,
            }
        })
        .await
    }

    /// Moves the connection on; whatever it has for its user is there afterwards.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, cx);
    }

    /// Whether another request can be sent.
    pub(super) fn is_reusable(&mut self) -> bool {
        if !self.sender.is_ready() {
            self.drive(&mut Context::from_waker(Waker::noop()));
        }
        self.driver.is_some() && self.sender.is_ready()
    }

    /// Whether an idle connection is still open, as far as the runtime has been told.
    pub(super) fn is_open(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some()
    }

    /// Drives a connection that is being upgraded to the end of HTTP on it.
    pub(super) async fn finish(mut self) {
        if let Some(driver) = self.driver.take()
            && let Err(error) = driver.await
        {
            tracing::debug!(%error, "a connection to an upstream ended");
        }
    }
}

impl Sender {
    fn is_ready(&self) -> bool {
        match self {
            Self::Http1(sender) => sender.is_ready(),
            Self::Http2(sender) => sender.is_ready(),
        }
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
            Some(unsent) => Self::Unsent(Box::new(unsent), error.into_error()),
            None => Self::Failed(ProxyError::of_upstream(error.into_error())),
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let limited = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address)).await;
    limited.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection within five seconds"))?
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
