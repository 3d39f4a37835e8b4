//! The loads: wrk for HTTP/1.1, h2load for HTTP/2, own clients where a connection is made for each request or a
//! rate is kept.

use std::fs;
use std::path::Path;
#[expect(clippy::disallowed_types, reason = "the load generators are programs")]
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::case::Case;
use crate::contenders::{Contender, HOST};
use crate::paced;
use crate::wire::Wire;

/// Clients that open a connection for each request.
const CONNECTING_CLIENTS: usize = 16;

/// What a load saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Requests that were answered.
    pub(crate) requests: u32,
    /// The 99th percentile of their times, where a rate was kept.
    pub(crate) p99: Option<Duration>,
}

impl Case {
    /// Loads a proxy for a while. Any failed request is an error.
    pub(crate) fn run(self, contender: &Contender, folder: &Path, time: Duration) -> Result<Load> {
        let plain = format!("http://{}", contender.http);
        let tls = format!("https://{}", contender.https);
        let requests = match self {
            Self::Http1 => wrk(&format!("{plain}/"), 64, None, time)?,
            Self::Tls => wrk(&format!("{tls}/"), 64, None, time)?,
            Self::Large => wrk(&format!("{plain}/large"), 32, None, time)?,
            Self::LargeTls => wrk(&format!("{tls}/large"), 32, None, time)?,
            Self::Upload => {
                let script = folder.join("upload.lua");
                fs::write(&script, "wrk.method = 'POST'\nwrk.body = string.rep('x', 1048576)\n")?;
                wrk(&format!("{plain}/upload"), 16, Some(&script), time)?
            }
            Self::Http2 => h2load(&format!("{tls}/"), time)?,
            Self::Connections => connect_for_each(&Wire::plain(contender.http), time)?,
            Self::TlsConnections => {
                connect_for_each(&Wire::tls(contender.https, &client_config(folder)?), time)?
            }
            Self::Paced => return paced::run(&Wire::plain(contender.http), time),
            Self::PacedTls => return paced::run(&Wire::tls(contender.https, &client_config(folder)?), time),
        };
        Ok(Load { requests, p99: None })
    }
}

/// Asks as fast as it can over some connections; how many requests were answered.
pub(crate) fn wrk(url: &str, connections: u32, script: Option<&Path>, time: Duration) -> Result<u32> {
    let (seconds, connections) = (format!("{}s", time.as_secs().max(1)), connections.to_string());
    let host = format!("Host: {HOST}");
    let mut arguments = vec!["-t1", "-c", &connections, "-d", &seconds, "-H", &host];
    if let Some(script) = script {
        arguments.extend(["-s", script.to_str().context("the folder has a strange name")?]);
    }
    arguments.push(url);
    let output = run("wrk", &arguments)?;
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
async fn connect_for_each(wire: &Wire, time: Duration) -> Result<u32> {
    let until = Instant::now() + time;
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTING_CLIENTS {
        let wire = wire.clone();
        clients.spawn(async move {
            let mut answered = 0;
            while Instant::now() < until {
                ask_once(&wire).await?;
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

async fn ask_once(wire: &Wire) -> Result<()> {
    let mut stream = wire.connect().await?;
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::with_capacity(2_048);
    while stream.read_buf(&mut answer).await? > 0 {}
    ensure!(answer.starts_with(b"HTTP/1.1 200") && answer.len() > 1_024, "not a good answer");
    Ok(())
}

/// A client that checks certificates and resumes nothing, so that each connection is a whole handshake.
pub(crate) fn client_config(folder: &Path) -> Result<Arc<ClientConfig>> {
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
