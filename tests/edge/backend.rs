//! A small app for the edge to stand before.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use akkerisd::edge::table::Upstream;
use akkerisd::model::names::DynoName;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// An HTTP/1.1 server that ends when it is dropped.
pub(super) struct Backend {
    pub(super) upstream: Arc<Upstream>,
    /// Requests to `/wait` are answered once this is true.
    pub(super) gate: watch::Sender<bool>,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

struct Shared {
    name: &'static str,
    connections: AtomicUsize,
    gate: watch::Receiver<bool>,
}

type Body = BoxBody<Bytes, hyper::Error>;

impl Backend {
    /// Starts a server that names itself in its answers.
    pub(super) async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream::new(DynoName::new("1", name), listener.local_addr().unwrap());
        let (gate, watched) = watch::channel(false);
        let shared = Arc::new(Shared { name, connections: AtomicUsize::new(0), gate: watched });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { upstream, gate, shared, _tasks: tasks }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.upstream.address
    }

    /// Connections that were made so far.
    pub(super) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&shared)));
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            drop(connection.await);
        });
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Body>, Infallible> {
    Ok(match request.uri().path() {
        "/headers" => Response::builder()
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("keep-alive", "timeout=5")
            .header("x-end", "2")
            .body(text(format!("{} {}\n{:?}", request.method(), request.uri(), request.headers())))
            .unwrap(),
        "/echo" => Response::new(request.into_body().boxed()),
        "/wait" => {
            drop(shared.gate.clone().wait_for(|open| *open).await);
            Response::new(text(shared.name.to_owned()))
        }
        "/upgrade" => upgrade(request),
        "/close" => {
            Response::builder().header("connection", "close").body(text("closed".to_owned())).unwrap()
        }
        _ => Response::new(text(shared.name.to_owned())),
    })
}

fn upgrade(mut request: Request<Incoming>) -> Response<Body> {
    let upgraded = hyper::upgrade::on(&mut request);
    let mut tunnels = JoinSet::new();
    tunnels.spawn(async move {
        let stream = TokioIo::new(upgraded.await.unwrap());
        let (mut read, mut write) = tokio::io::split(stream);
        drop(tokio::time::timeout(Duration::from_secs(30), tokio::io::copy(&mut read, &mut write)).await);
    });
    tunnels.detach_all();
    Response::builder()
        .status(101)
        .header("connection", "Upgrade")
        .header("upgrade", request.headers()["upgrade"].clone())
        .body(text(String::new()))
        .unwrap()
}

fn text(text: String) -> Body {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed()
}
