//! An edge on free ports of loopback, and clients for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use akkerisd::certs::{CertificateStore, LocalAuthority};
use akkerisd::clock::Clock;
use akkerisd::edge::table::{AppRoute, HostRoute, RoutingTable, Service, Upstream};
use akkerisd::edge::{Edge, EdgeHandle, EdgeListeners, EdgeSettings, Patience, QuicSocket};
use akkerisd::model::ids::AppId;
use akkerisd::model::names::{AppKey, DynoName};
use akkerisd::model::router_limits::RouterLimits;
use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::LIMIT;

pub(super) const HOST: &str = "web.apps.test";
pub(super) const APP: AppId = AppId::new(uuid::Uuid::from_u128(5));

/// A running edge with two workers.
pub(super) struct TestEdge {
    pub(super) handle: EdgeHandle,
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    pub(super) ca: CertificateDer<'static>,
    table: Arc<ArcSwap<RoutingTable>>,
    _folder: TempDir,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl TestEdge {
    /// Serves apps on the plain port too.
    pub(super) fn start() -> Self {
        Self::with(|settings| settings.no_redirect = true)
    }

    pub(super) fn with(change: impl FnOnce(&mut EdgeSettings)) -> Self {
        Self::build(change, |_| None)
    }

    /// Serves HTTP/3, too.
    pub(super) fn with_http3(change: impl FnOnce(&mut EdgeSettings)) -> Self {
        Self::build(change, |https| Some(QuicSocket::bind(https).unwrap()))
    }

    /// Serves HTTP/3 on this socket.
    pub(super) fn with_quic(socket: QuicSocket) -> Self {
        Self::build(|_| {}, |_| Some(socket))
    }

    fn build(
        change: impl FnOnce(&mut EdgeSettings),
        quic: impl FnOnce(SocketAddr) -> Option<QuicSocket>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = LocalAuthority::open(folder.path(), Clock::system()).unwrap();
        let ca = CertificateDer::from_pem_slice(authority.ca_pem().as_bytes()).unwrap();
        let table: Arc<ArcSwap<RoutingTable>> = Arc::default();
        let certificates = CertificateStore::new(authority, "apps.test").unwrap();
        let certificates = Arc::new(certificates.with_sites(Arc::clone(&table)));
        let loopback = "127.0.0.1:0".parse().unwrap();
        let mut listeners = EdgeListeners::bind(loopback, loopback, 2).unwrap();
        listeners.quic = quic(listeners.https.first().unwrap().local_addr().unwrap());
        let mut settings = EdgeSettings::new(Clock::system());
        settings.workers = 2;
        change(&mut settings);
        let handle = Edge::start(settings, &listeners, &table, certificates).unwrap();
        Self {
            handle,
            http: listeners.http.first().unwrap().local_addr().unwrap(),
            https: listeners.https.first().unwrap().local_addr().unwrap(),
            ca,
            table,
            _folder: folder,
        }
    }

    /// Publishes a table in which [`HOST`] is that of the app [`APP`].
    pub(super) fn route(&self, service: Service) {
        self.change(|table| table.insert_app(HOST, app(APP, service)));
    }

    pub(super) fn route_to(&self, upstreams: &[&Arc<Upstream>]) {
        self.route(Service::Upstreams(upstreams.iter().map(|upstream| Arc::clone(upstream)).collect()));
    }

    pub(super) fn publish(&self, route: HostRoute) {
        self.change(|table| table.insert_host(HOST, route));
    }

    /// Publishes a changed copy of the table.
    pub(super) fn change(&self, change: impl FnOnce(&mut RoutingTable)) {
        let mut table = RoutingTable::clone(&self.table.load());
        change(&mut table);
        self.table.store(Arc::new(table));
    }

    /// Asks for a path of [`HOST`] on the plain port.
    pub(super) async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).header("host", HOST)).await
    }

    pub(super) async fn ask(&self, request: http::request::Builder) -> Answer {
        let mut sender = self.connect().await;
        answer(sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap()).await
    }

    /// A plain connection whose driver runs until it closes.
    pub(super) async fn connect<B>(&self) -> hyper::client::conn::http1::SendRequest<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        http1(TcpStream::connect(self.http).await.unwrap()).await
    }

    /// The same over TLS.
    pub(super) async fn connect_tls<B>(&self) -> hyper::client::conn::http1::SendRequest<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        http1(self.tls(HOST, &[b"http/1.1"]).await.unwrap()).await
    }

    /// A TLS stream that offers these protocols and checks the certificate against `name`.
    pub(super) async fn tls(&self, name: &str, protocols: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
        let config = self.client_config(protocols);
        let stream = TcpStream::connect(self.https).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// What a client trusts and offers.
    pub(super) fn client_config(&self, protocols: &[&[u8]]) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.ca.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config
    }

    /// An HTTP/2 connection over TLS.
    pub(super) async fn http2<B>(&self) -> hyper::client::conn::http2::SendRequest<B>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = self.tls(HOST, &[b"h2"]).await.unwrap();
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        in_background(async { drop(connection.await) });
        sender
    }
}

async fn http1<T, B>(stream: T) -> hyper::client::conn::http1::SendRequest<B>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    in_background(async { drop(connection.with_upgrades().await) });
    sender
}

/// An app that has a release.
pub(super) fn app(id: AppId, service: Service) -> AppRoute {
    AppRoute {
        id,
        key: AppKey::from_stored("web-default".to_owned()),
        released: true,
        limits: RouterLimits::default(),
        http2: false,
        hold: None,
        service,
        filters: None,
    }
}

/// An edge, and a listener in the place of its app's only dyno.
pub(super) async fn before_listener() -> (TestEdge, TcpListener) {
    let (edge, listener) = (TestEdge::start(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    edge.route_to(&[&Upstream::new(DynoName::new("1", "raw"), listener.local_addr().unwrap())]);
    (edge, listener)
}

/// Reads until the text has come.
pub(super) async fn read_to(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let came = tokio::time::timeout(LIMIT, stream.read_buf(&mut read)).await;
        assert!(matches!(came, Ok(Ok(1..))), "{came:?} after {:?}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}

pub(super) async fn answer(response: http::Response<hyper::body::Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() }
}

/// That of a daemon that stops.
pub(super) fn patience(limit: Duration) -> Patience {
    Patience { limit, quiet: Duration::from_secs(1) }
}

/// Runs a client's half of the work until it ends, at most a minute.
pub(super) fn in_background(work: impl Future<Output = ()> + Send + 'static) {
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async { drop(tokio::time::timeout(Duration::from_mins(1), work).await) });
    tasks.detach_all();
}
