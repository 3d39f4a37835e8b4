//! One worker: a thread with its own runtime, listeners and upstream connections.
//!
//! Invariant: nothing of a worker is shared with another one but the routing table, the TLS configuration, the
//! upstreams' counts, and what each tells of its load.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::HeaderValue;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{interval, sleep, timeout};
use tokio_util::task::TaskTracker;

use super::EdgeSettings;
use super::access::AccessBatch;
use super::body::ClientBody;
use super::census::{Census, Room};
use super::coalesce::coalesce;
use super::connection::{Activity, Coalesced, drive};
use super::counters::WorkerCounters;
use super::drain::Stop;
use super::handover::{self, Handover, Load};
use super::headers::CameBy;
use super::http1::{self, ClientStream};
use super::http3;
use super::listener::EdgeListeners;
use super::pool::Pool;
use super::proxy::{self, Client};
use super::proxy_protocol::{self, Origin};
use super::rescue::Cause;
use super::table::RoutingTable;
use super::tls::{ALPN_ACME, ALPN_H2};
use super::tls_stream::TlsStream;

/// How long to wait after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a drain lets a connection that was accepted before take to its first request.
const DRAIN_HANDSHAKE: Duration = Duration::from_secs(5);
const SWEEP_PERIOD: Duration = Duration::from_secs(1);
pub(super) const MAX_HEADER_BYTES: u16 = 60 * 1_024;
pub(super) const MAX_STREAMS: u32 = 128;

/// What all tasks of a worker use.
pub(super) struct Worker {
    pub(super) settings: EdgeSettings,
    pub(super) table: Arc<ArcSwap<RoutingTable>>,
    pub(super) counters: Arc<WorkerCounters>,
    pub(super) load: Load,
    pub(super) census: Census,
    pub(super) access: AccessBatch,
    pub(super) pool: Rc<Pool>,
    /// Client connections and tunnels.
    pub(super) clients: TaskTracker,
    /// HTTP/2 connections to upstreams, which end with the pool.
    pub(super) upstreams: TaskTracker,
    pub(super) stop: Arc<Stop>,
    /// Raised at each choice among upstreams.
    pub(super) turn: Cell<usize>,
    pub(super) alt_svc: Option<HeaderValue>,
    start_header: InstantHeader,
    date_header: InstantHeader,
}

/// A header that tells the time, made once for each instant that it tells apart.
struct InstantHeader(RefCell<(i64, HeaderValue)>);

/// What a worker is made from, sent to its thread.
pub(super) struct WorkerParts {
    pub(super) settings: EdgeSettings,
    pub(super) listeners: EdgeListeners,
    pub(super) table: Arc<ArcSwap<RoutingTable>>,
    pub(super) tls: Arc<ServerConfig>,
    /// On the worker that serves HTTP/3.
    pub(super) http3: Option<http3::Entrance>,
    /// Tells clients over TCP that there is HTTP/3.
    pub(super) alt_svc: Option<HeaderValue>,
    pub(super) counters: Arc<WorkerCounters>,
    pub(super) load: Load,
    /// Connections that other workers hand over.
    pub(super) arriving: mpsc::Receiver<Handover>,
    pub(super) census: Census,
    pub(super) stop: Arc<Stop>,
}

/// The kind of a listener.
#[derive(Clone)]
enum Entrance {
    /// Sends its clients to HTTPS.
    Redirect,
    /// Serves apps without TLS.
    Plain {
        port: u16,
    },
    Tls(Arc<ServerConfig>),
}

/// A connection that is served to its end.
type Serving = Pin<Box<dyn Future<Output = Result<(), Cause>>>>;

/// Runs the streams of HTTP/2 connections, and connections to upstreams, on their worker.
#[derive(Debug, Clone)]
pub(super) struct LocalExecutor(TaskTracker);

/// Serves until the stop's token is cancelled and the open requests have ended, or its limit has passed.
pub(super) async fn run(parts: WorkerParts) -> io::Result<()> {
    let permits = Arc::new(Semaphore::new(parts.settings.max_connections.div_ceil(parts.settings.workers)));
    let entrances = entrances(parts.listeners, &parts.settings, &parts.tls)?;
    let worker = Rc::new(Worker {
        pool: Rc::default(),
        access: AccessBatch::new(parts.settings.access.clone()),
        settings: parts.settings,
        table: parts.table,
        counters: parts.counters,
        load: parts.load,
        census: parts.census,
        clients: TaskTracker::new(),
        upstreams: TaskTracker::new(),
        stop: parts.stop,
        turn: Cell::new(0),
        alt_svc: parts.alt_svc,
        start_header: InstantHeader::new("t=0"),
        date_header: InstantHeader::new("Thu, 01 Jan 1970 00:00:00 GMT"),
    });
    for (listener, entrance) in entrances {
        worker.clients.spawn_local(accept(Rc::clone(&worker), listener, entrance, Arc::clone(&permits)));
    }
    worker.clients.spawn_local(handover::take_over(Rc::clone(&worker), parts.arriving));
    if let Some(entrance) = parts.http3 {
        worker.clients.spawn_local(http3::accept(Rc::clone(&worker), entrance, Arc::clone(&permits)));
    }
    let sweeper = sweep(&worker);
    tokio::select! {
        () = sweeper => {}
        () = worker.access.flush_periodically() => {}
        () = worker.stop.token.cancelled() => {}
    }
    worker.clients.close();
    if timeout(worker.stop.patience().limit, worker.clients.wait()).await.is_err() {
        tracing::warn!(
            open = worker.clients.len(),
            "the edge ends with connections that did not drain in time"
        );
    }
    worker.access.flush();
    worker.pool.close();
    Ok(())
}

/// Takes the listeners whole: what stays behind would go on listening during a drain.
fn entrances(
    listeners: EdgeListeners,
    settings: &EdgeSettings,
    tls: &Arc<ServerConfig>,
) -> io::Result<Vec<(TcpListener, Entrance)>> {
    let mut entrances = Vec::new();
    for listener in listeners.http {
        let address = listener.local_addr()?;
        let entrance = if settings.no_redirect && address.ip().is_loopback() {
            Entrance::Plain { port: address.port() }
        } else {
            Entrance::Redirect
        };
        entrances.push((TcpListener::from_std(listener)?, entrance));
    }
    for listener in listeners.https {
        entrances.push((TcpListener::from_std(listener)?, Entrance::Tls(Arc::clone(tls))));
    }
    Ok(entrances)
}

async fn sweep(worker: &Worker) {
    let mut ticks = interval(SWEEP_PERIOD);
    let mut table = worker.table.load_full();
    let mut routed: HashSet<SocketAddr> = table.addresses();
    loop {
        ticks.tick().await;
        let present = worker.table.load_full();
        if !Arc::ptr_eq(&present, &table) {
            routed = present.addresses();
            table = present;
        }
        worker.pool.sweep(&routed);
    }
}

async fn accept(worker: Rc<Worker>, listener: TcpListener, entrance: Entrance, permits: Arc<Semaphore>) {
    loop {
        let accepted = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = worker.stop.token.cancelled() => return,
        };
        let Ok(permit) = permit else { return };
        match accepted {
            Ok((stream, peer)) => {
                worker.counters.connections.increment();
                worker.clients.spawn_local(enter(
                    Rc::clone(&worker),
                    stream,
                    peer,
                    (entrance.clone(), permit),
                ));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn enter(
    worker: Rc<Worker>,
    stream: TcpStream,
    peer: SocketAddr,
    entrance: (Entrance, OwnedSemaphorePermit),
) {
    if let Err(error) = admit(&worker, stream, peer.ip(), entrance).await {
        tracing::debug!(%error, %peer, "a client's connection ended");
    }
    worker.counters.closed_connections.increment();
}

/// Serves a client, unless its address has too many connections already.
async fn admit(
    worker: &Rc<Worker>,
    mut stream: TcpStream,
    mut peer: IpAddr,
    (entrance, permit): (Entrance, OwnedSemaphorePermit),
) -> io::Result<()> {
    if worker.settings.proxy_protocol && worker.trusts(peer) {
        let header = timeout(worker.settings.limits.header, proxy_protocol::read(&mut stream)).await;
        if let Origin::Client(client) = header.map_err(|_| io::ErrorKind::TimedOut)?? {
            peer = client;
        }
    }
    // A trusted proxy speaks for any number of clients.
    let counted = if worker.trusts(peer) { Ok(None) } else { worker.census.admit(peer) };
    let Ok(counted) = counted else { return Err(io::Error::other("too many connections of one address")) };
    serve(worker, stream, peer, (entrance, Room::new(permit, counted))).await.map_err(io::Error::other)
}

async fn serve(
    worker: &Rc<Worker>,
    stream: TcpStream,
    peer: IpAddr,
    (entrance, room): (Entrance, Room),
) -> Result<(), Cause> {
    match entrance {
        Entrance::Redirect => {
            let client = worker.client(worker.came_by(peer, "http", 80), true, None);
            serve_http1(client, ClientStream::Left(stream), room).await
        }
        Entrance::Plain { port } => {
            let client = worker.client(worker.came_by(peer, "http", port), false, None);
            serve_http1(client, ClientStream::Left(stream), room).await
        }
        Entrance::Tls(config) => serve_tls(worker, config, stream, (peer, room)).await,
    }
}

async fn serve_tls(
    worker: &Rc<Worker>,
    config: Arc<ServerConfig>,
    stream: TcpStream,
    origin: (IpAddr, Room),
) -> Result<(), Cause> {
    // In a box, whose memory goes with the handshake.
    match Box::pin(shake_hands(worker, config, stream, origin)).await {
        Some(serving) => serving.await,
        None => Ok(()),
    }
}

/// What serves a client after its handshake; nothing when that failed, or was all.
async fn shake_hands(
    worker: &Rc<Worker>,
    config: Arc<ServerConfig>,
    stream: TcpStream,
    (peer, room): (IpAddr, Room),
) -> Option<Serving> {
    let limit = worker.settings.limits.header;
    let handshake = tokio::select! {
        handshake = timeout(limit, TlsStream::accept(config, stream)) => handshake,
        () = worker.handshakes_end() => return None,
    };
    let Ok(Ok(stream)) = handshake else {
        worker.counters.failed_handshakes.increment();
        return None;
    };
    let came_by = worker.came_by(peer, "https", worker.settings.public_https_port);
    let client = worker.client(came_by, false, stream.server_name().map(Box::from));
    match stream.protocol() {
        Some(ALPN_H2) => Some(Box::pin(serve_http2(client, stream, room))),
        // The handshake was all: the proof is in the certificate.
        Some(ALPN_ACME) => None,
        Some(_) | None => Some(Box::pin(serve_http1(client, ClientStream::Right(stream), room))),
    }
}

/// Serves a client over HTTP/1.1. Not itself async, as [`serve_http2`]: what a connection takes is one box of its size,
/// and not each place that it is moved through on its way.
pub(super) fn serve_http1(
    client: Rc<Client>,
    stream: ClientStream,
    room: Room,
) -> impl Future<Output = Result<(), Cause>> {
    let (worker, activity) = (Rc::clone(&client.worker), Rc::clone(&client.activity));
    drive(Box::pin(http1::serve(client, stream, room)), activity, worker)
}

fn serve_http2(
    client: Rc<Client>,
    stream: Box<TlsStream>,
    room: Room,
) -> impl Future<Output = Result<(), Cause>> {
    let (worker, activity) = (Rc::clone(&client.worker), Rc::clone(&client.activity));
    let (stream, drain) = coalesce(TokioIo::new(stream));
    let connection = http2::Builder::new(LocalExecutor(worker.clients.clone()))
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES.into())
        .serve_connection(
            stream,
            service_fn(move |request| proxy::answer(Rc::clone(&client), request.map(ClientBody::Http2))),
        );
    drive(Box::pin(Coalesced::new(connection, (drain, room), Rc::clone(&activity))), activity, worker)
}

impl Worker {
    pub(super) fn is_stopping(&self) -> bool {
        self.stop.has_begun()
    }

    /// Waits until a drain waits for handshakes no longer.
    pub(super) async fn handshakes_end(&self) {
        self.stop.token.cancelled().await;
        sleep(DRAIN_HANDSHAKE).await;
    }

    /// `X-Request-Start`: when the edge received a request, in milliseconds; made once for each millisecond.
    pub(super) fn request_start(&self) -> HeaderValue {
        let now = self.settings.clock.now().as_millis();
        self.start_header.at(now, || format!("t={now}"))
    }

    /// `Date`, made once for each second.
    pub(super) fn date(&self) -> HeaderValue {
        let now = self.settings.clock.now();
        self.date_header.at(now.as_millis().div_euclid(1_000), || now.to_http_date())
    }

    /// Whether an address is believed when it says for whom it speaks.
    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
        self.settings.trusted_proxies.iter().any(|network| network.contains(peer))
    }

    pub(super) fn came_by(&self, peer: IpAddr, proto: &'static str, port: u16) -> CameBy {
        CameBy::new(peer, proto, port).trusted(self.trusts(peer))
    }

    pub(super) fn client(
        self: &Rc<Self>,
        came_by: CameBy,
        redirected: bool,
        server_name: Option<Box<str>>,
    ) -> Rc<Client> {
        let (worker, activity) = (Rc::clone(self), Activity::new());
        Rc::new(Client { worker, activity, came_by, redirected, server_name })
    }
}

impl InstantHeader {
    /// One whose text is right for the instant 0.
    fn new(text: &'static str) -> Self {
        Self(RefCell::new((0, HeaderValue::from_static(text))))
    }

    fn at(&self, instant: i64, text: impl FnOnce() -> String) -> HeaderValue {
        let mut made = self.0.borrow_mut();
        if made.0 != instant
            && let Ok(header) = HeaderValue::try_from(text())
        {
            *made = (instant, header);
        }
        made.1.clone()
    }
}

impl LocalExecutor {
    pub(super) fn new(tasks: TaskTracker) -> Self {
        Self(tasks)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, stream: F) {
        self.0.spawn_local(stream);
    }
}
