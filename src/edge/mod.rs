//! The edge: the reverse proxy on rustls, with an HTTP/1.1 of its own, the HTTP/2 of hyper, and h3.
//!
//! Invariant: depends on nothing but a published [`table::RoutingTable`], listeners that are handed to it and
//! a certificate source; it keeps serving while the engine or the store is slow or gone.
//!
//! Each worker is a thread with a runtime of its own, so a request never changes cores, and no work of the
//! control plane delays it.

mod access;
mod balance;
mod body;
mod buckets;
mod census;
mod challenges;
mod coalesce;
mod code;
mod connection;
mod counters;
mod destination;
mod drain;
mod exchange;
pub mod filters;
mod handover;
mod headers;
mod health;
mod host;
mod http1;
mod http3;
mod listener;
mod pace;
mod pages;
mod pause;
mod pool;
mod proxy;
mod proxy_protocol;
mod redirect;
mod rescue;
mod scheduling;
mod site;
mod socket;
pub mod table;
mod tls;
mod tls_stream;
mod tunnel;
mod upstream;
mod worker;

use std::io;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::HeaderValue;
use rustls::server::ResolvesServerCert;
use tokio::runtime::LocalOptions;

pub use access::{AccessRecord, AccessRecords, AccessSink, TracedRequest};
pub use challenges::{Challenges, PresentedChallenge};
pub use counters::EdgeCounters;
pub use drain::Patience;
pub use listener::{EdgeListeners, QuicSocket};
pub use pause::Hold;
pub use tls::ALPN_ACME;

use crate::clock::Clock;
use crate::model::network::Network;
use crate::model::trace::Sampler;
use census::Census;
use counters::WorkerCounters;
use drain::Stop;
use handover::{Load, Peer};
use table::RoutingTable;
use worker::WorkerParts;

/// How the edge behaves.
#[derive(Debug, Clone)]
pub struct EdgeSettings {
    /// Threads, at least one; as many as there are cores is best.
    pub workers: usize,
    /// The port at which clients reach the TLS listeners, for redirects and `X-Forwarded-Port`.
    pub public_https_port: u16,
    /// Serves apps on plain listeners whose address is loopback, where others redirect to HTTPS.
    pub no_redirect: bool,
    /// Client connections that may be open at once; more wait to be accepted.
    pub max_connections: usize,
    /// Client connections of one address that may be open at once; more are closed. Zero sets no limit.
    pub max_connections_per_address: usize,
    /// What is believed when it says for whom it speaks, by headers or by the PROXY protocol.
    pub trusted_proxies: Arc<[Network]>,
    /// Connections from trusted addresses begin with a header of the PROXY protocol.
    pub proxy_protocol: bool,
    pub limits: TimeLimits,
    pub clock: Clock,
    /// Takes a record of each request of an app; `None` tells nobody.
    pub access: Option<AccessSink>,
    /// What certificate authorities are answered.
    pub challenges: Challenges,
    /// Who decides which requests are traced; their records say so. `None` traces none.
    pub sampler: Option<Sampler>,
}

/// What the edge waits for, and for how long.
#[derive(Debug, Clone, Copy)]
pub struct TimeLimits {
    /// From a request's first byte, or from the connection's start, to the end of its headers.
    pub header: Duration,
    /// Between two requests on a connection.
    pub idle: Duration,
    /// From the last byte of a request to the first of its answer, where the app has no limit of its own.
    pub first_byte: Duration,
    /// Between two bytes of a body or a tunnel, whoever sends them, where the app has no limit of its own.
    pub rolling: Duration,
}

/// The running edge. Dropping the handle stops the edge without waiting for open requests.
#[derive(Debug)]
pub struct EdgeHandle {
    stop: Arc<Stop>,
    counters: Vec<Arc<WorkerCounters>>,
    threads: Vec<JoinHandle<()>>,
}

/// Reads what the edge counts, also beside its handle. Without an edge everything is zero.
#[derive(Debug, Clone, Default)]
pub struct EdgeMeter(Vec<Arc<WorkerCounters>>);

/// Starts the edge.
#[derive(Debug)]
pub struct Edge;

/// Why the edge could not start.
#[derive(Debug, thiserror::Error)]
pub enum EdgeError {
    #[error("the edge cannot set up TLS")]
    Tls(#[source] rustls::Error),
    #[error("the edge cannot set up QUIC")]
    Quic(#[source] quinn::crypto::rustls::NoInitialCipherSuite),
    #[error("the edge cannot use its listeners")]
    Listeners(#[source] io::Error),
    #[error("the edge cannot start a worker thread")]
    Thread(#[source] io::Error),
}

impl EdgeSettings {
    /// The settings of production: a worker for each core, 30 s for headers, 75 s between requests, 30 s to the
    /// first byte of an answer and 55 s between two bytes from then on, 65,536 connections.
    pub fn new(clock: Clock) -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            public_https_port: 443,
            no_redirect: false,
            max_connections: 65_536,
            max_connections_per_address: 0,
            trusted_proxies: Arc::default(),
            proxy_protocol: false,
            limits: TimeLimits {
                header: Duration::from_secs(30),
                idle: Duration::from_secs(75),
                first_byte: Duration::from_secs(30),
                rolling: Duration::from_secs(55),
            },
            clock,
            access: None,
            challenges: Challenges::default(),
            sampler: None,
        }
    }
}

impl Edge {
    /// Starts the workers. They serve as soon as this returns, with whatever `table` holds at each request.
    pub fn start(
        mut settings: EdgeSettings,
        listeners: &EdgeListeners,
        table: &Arc<ArcSwap<RoutingTable>>,
        certificates: Arc<dyn ResolvesServerCert>,
    ) -> Result<EdgeHandle, EdgeError> {
        settings.workers = settings.workers.max(1);
        let quic = listeners.quic.as_ref().map(|_| http3::server_config(Arc::clone(&certificates)));
        let quic = quic.transpose()?;
        let alt_svc = quic.as_ref().map(|_| alt_svc(settings.public_https_port));
        let tls = tls::server_config(certificates)?;
        let census = Census::new(settings.max_connections_per_address);
        let mut handle = EdgeHandle { stop: Arc::default(), counters: Vec::new(), threads: Vec::new() };
        let (peers, arriving): (Vec<Peer>, Vec<_>) = (0..settings.workers).map(|_| Peer::new()).unzip();
        let (peers, start): (Arc<[Peer]>, _) = (peers.into(), Instant::now());
        for (number, arriving) in arriving.into_iter().enumerate() {
            let counters = Arc::new(WorkerCounters::default());
            handle.counters.push(Arc::clone(&counters));
            let mut listeners = listeners.share(number, settings.workers).map_err(EdgeError::Listeners)?;
            let http3 = listeners.quic.take().zip(quic.clone());
            let parts = WorkerParts {
                settings: settings.clone(),
                listeners,
                http3: http3.map(|(socket, config)| http3::Entrance { socket, config }),
                alt_svc: alt_svc.clone(),
                table: Arc::clone(table),
                tls: Arc::clone(&tls),
                census: census.clone(),
                counters,
                load: Load::new(number, Arc::clone(&peers), start),
                arriving,
                stop: Arc::clone(&handle.stop),
            };
            handle.threads.push(start_worker(number, parts)?);
        }
        Ok(handle)
    }
}

impl EdgeHandle {
    /// Stops accepting, lets open requests and tunnels end within the limit, then closes what is left.
    ///
    /// When the returned future is dropped the edge still drains, and ends by itself.
    pub async fn drain(mut self, patience: Patience) {
        self.stop.begin(patience);
        let threads = std::mem::take(&mut self.threads);
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok()));
        if !joined.await.unwrap_or(false) {
            tracing::error!("a worker of the edge had panicked");
        }
    }

    /// Ends when nothing reads the socket of HTTP/3 any more, in a drain; never where there is no HTTP/3.
    pub fn http3_ended(&self) -> impl Future<Output = ()> + Send + use<> {
        self.stop.http3.clone().cancelled_owned()
    }

    /// What all workers have counted so far.
    pub fn counters(&self) -> EdgeCounters {
        self.meter().counters()
    }

    /// A meter that outlives the handle.
    pub fn meter(&self) -> EdgeMeter {
        EdgeMeter(self.counters.clone())
    }
}

impl EdgeMeter {
    /// What all workers have counted so far.
    pub fn counters(&self) -> EdgeCounters {
        let mut sum = EdgeCounters::default();
        self.0.iter().for_each(|worker| sum.add(worker));
        sum
    }
}

impl Drop for EdgeHandle {
    fn drop(&mut self) {
        self.stop.begin(Patience::default());
    }
}

/// A day is what others say; a client that finds nobody there goes on over TCP.
fn alt_svc(port: u16) -> HeaderValue {
    let offer = HeaderValue::try_from(format!("h3=\":{port}\"; ma=86400"));
    offer.unwrap_or(HeaderValue::from_static("clear"))
}

fn start_worker(number: usize, parts: WorkerParts) -> Result<JoinHandle<()>, EdgeError> {
    // A local runtime is built on its own thread, from which it cannot move.
    let serve = move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
        if let Err(error) = runtime.and_then(|runtime| runtime.block_on(worker::run(parts))) {
            tracing::error!(%error, "a worker of the edge ended");
        }
    };
    Builder::new().name(format!("edge-{number}")).spawn(serve).map_err(EdgeError::Thread)
}
