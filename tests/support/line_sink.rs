//! A syslog server on a connection: it remembers the lines that it was sent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::wait::wait_until;

const WAIT: Duration = Duration::from_mins(1);

/// Ends when it is dropped: what was not read is lost, as with a server that is killed.
pub(crate) struct LineSink {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// A certificate authority of its own, and a certificate of `localhost` and `127.0.0.1` by it.
pub(crate) struct Authority {
    /// PEM.
    pub(crate) ca: String,
    /// PEM.
    pub(crate) certificate: String,
    /// PEM.
    pub(crate) key: String,
}

#[derive(Default)]
struct Shared {
    lines: Mutex<Vec<String>>,
    connections: AtomicUsize,
    open: AtomicUsize,
    /// Lines after which nothing more is read; 0 for none.
    reads: AtomicUsize,
}

/// Whether a connection is open, counted.
struct Open(Arc<Shared>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let ca = authority.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(authority, authority_key);
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap().pem();
        Self { ca, certificate, key: key.serialize_pem() }
    }

    /// For a server with the certificate.
    pub(crate) fn server(&self) -> Arc<ServerConfig> {
        use rustls_pki_types::pem::PemObject;
        use rustls_pki_types::{CertificateDer, PrivateKeyDer};
        let certificate = CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = builder.unwrap().with_no_client_auth().with_single_cert(vec![certificate], key);
        Arc::new(config.unwrap())
    }
}

impl LineSink {
    /// Without TLS.
    pub(crate) async fn tcp() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), None, 0).await
    }

    /// With TLS.
    pub(crate) async fn tls(config: Arc<ServerConfig>) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), Some(config), 0).await
    }

    /// At an address where one was before. After `reads` lines nothing more is read, unless that is 0.
    pub(crate) async fn at(address: SocketAddr, tls: Option<Arc<ServerConfig>>, reads: usize) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { reads: reads.into(), ..Shared::default() });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, tls.map(TlsAcceptor::from), Arc::clone(&shared)));
        Self { address, shared, tasks }
    }

    /// Ends it; what was not read is lost.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    /// Every line so far, without line ends.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.shared.lines.lock().unwrap().clone()
    }

    /// The texts of the messages so far.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text =
            |line: String| line.split_once(" - - - ").map_or(line.clone(), |(_, text)| text.to_owned());
        self.lines().into_iter().map(text).collect()
    }

    /// Waits until there are so many lines.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<String> {
        wait_until(&format!("{count} lines"), WAIT, async || {
            (self.shared.lines.lock().unwrap().len() >= count).then_some(())
        })
        .await;
        self.texts()
    }

    /// Connections that are open now.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Connections that were made.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        shared.connections.fetch_add(1, Ordering::SeqCst);
        shared.open.fetch_add(1, Ordering::SeqCst);
        connections.spawn(serve(stream, tls.clone(), Open(Arc::clone(&shared))));
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, open: Open) {
    match tls {
        None => read(stream, &open.0).await,
        Some(tls) => {
            if let Ok(stream) = tls.accept(stream).await {
                read(stream, &open.0).await;
            }
        }
    }
}

async fn read(stream: impl AsyncRead + Unpin, shared: &Shared) {
    let mut lines = BufReader::new(stream).lines();
    loop {
        let reads = shared.reads.load(Ordering::SeqCst);
        if reads > 0 && shared.lines.lock().unwrap().len() >= reads {
            std::future::pending::<()>().await;
        }
        let Ok(Some(line)) = lines.next_line().await else { return };
        shared.lines.lock().unwrap().push(line);
    }
}
