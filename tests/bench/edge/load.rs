//! The loads: wrk for HTTP/1.1, h2load for HTTP/2, an own client for a connection per request.

use std::path::Path;
#[expect(clippy::disallowed_types, reason = "the load generators are programs")]
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::contenders::{Contender, HOST};

/// Clients that open a connection for each request.
const CONNECTING_CLIENTS: usize = 16;

/// What is asked for, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Http1,
    Tls,
    TlsConnections,
    Http2,
}

impl Case {
    pub(crate) const ALL: [Self; 4] = [Self::Http1, Self::Tls, Self::TlsConnections, Self::Http2];

    /// The name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "h1",
            Self::Tls => "tls",
            Self::TlsConnections => "tls-connections",
            Self::Http2 => "h2",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1, 1 KiB",
            Self::Tls => "TLS 1.3, 1 KiB",
            Self::TlsConnections => "TLS 1.3, connection each",
            Self::Http2 => "HTTP/2 over TLS, 1 KiB",
        }
    }

    /// Loads a proxy for a while; how many requests were answered. Any failed request is an error.
    pub(crate) fn run(self, contender: &Contender, folder: &Path, time: Duration) -> Result<u32> {
        match self {
            Self::Http1 => wrk(&format!("http://{}/", contender.http), time),
            Self::Tls => wrk(&format!("https://{}/", contender.https), time),
            Self::TlsConnections => connect_for_each(contender, folder, time),
            Self::Http2 => h2load(&format!("https://{}/", contender.https), time),
        }
    }
}

fn wrk(url: &str, time: Duration) -> Result<u32> {
    let seconds = format!("{}s", time.as_secs().max(1));
    let output = run("wrk", &["-t1", "-c64", "-d", &seconds, "-H", &format!("Host: {HOST}"), url])?;
    ensure!(!output.contains("Non-2xx") && !output.contains("Socket errors"), "wrk saw failures: {output}");
    let line = output.lines().find(|line| line.contains("requests in")).context("wrk shows no count")?;
    Ok(line.split_whitespace().next().context("wrk shows no count")?.parse()?)
}

fn h2load(url: &str, time: Duration) -> Result<u32> {
    let seconds = time.as_secs().max(1).to_string();
    let authority = format!(":authority: {HOST}");
    let output = run("h2load", &["-t1", "-c16", "-m8", "-D", &seconds, "-H", &authority, url])?;
    let line = output.lines().find(|line| line.starts_with("requests:")).context("h2load shows no count")?;
    let count = |what: &str| {
        let part = line.split(',').find(|part| part.trim_end().ends_with(what))?;
        part.trim_start_matches("requests:").split_whitespace().next()?.parse::<u32>().ok()
    };
    ensure!(count("failed") == Some(0) && output.contains("status codes:"), "h2load saw failures: {output}");
    let (succeeded, done) = (count("succeeded"), count("done"));
    ensure!(succeeded == done, "h2load saw failures: {output}");
    done.context("h2load shows no count")
}

#[expect(clippy::disallowed_types, reason = "the load generators are programs")]
fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output();
    let output = output.with_context(|| format!("cannot run {program}: is it installed?"))?;
    if !output.status.success() {
        bail!("{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::main(flavor = "current_thread")]
async fn connect_for_each(contender: &Contender, folder: &Path, time: Duration) -> Result<u32> {
    let connector = TlsConnector::from(client_config(folder)?);
    let until = Instant::now() + time;
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTING_CLIENTS {
        let (connector, address) = (connector.clone(), contender.https);
        clients.spawn(async move {
            let mut answered = 0;
            while Instant::now() < until {
                ask_once(&connector, address).await?;
                answered += 1;
            }
            anyhow::Ok(answered)
        });
    }
    let mut sum = 0;
    while let Some(answered) = clients.join_next().await {
        sum += answered??;
    }
    Ok(sum)
}

async fn ask_once(connector: &TlsConnector, address: std::net::SocketAddr) -> Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut stream = connector.connect(ServerName::try_from(HOST)?, stream).await?;
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(2_048);
    while stream.read_buf(&mut answer).await? > 0 {}
    ensure!(answer.starts_with(b"HTTP/1.1 200") && answer.len() > 1_024, "not a good answer");
    Ok(())
}

/// A client that checks certificates and resumes nothing, so that each connection is a whole handshake.
fn client_config(folder: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.crt"))?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
