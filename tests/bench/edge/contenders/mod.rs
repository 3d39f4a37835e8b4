//! The proxies that are compared, each with two threads or workers, with a buffered log of requests, and all with the
//! same work per request: the forwarding headers, the request id both ways, the start time.

mod caddy;
pub(crate) mod edge;
mod haproxy;
mod nginx;

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
#[expect(clippy::disallowed_types, reason = "a comparison has to start what it compares with")]
use std::process::Command;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use akkerisd::certs::LocalAuthority;
use akkerisd::clock::Clock;
use anyhow::{Context, Result, bail};
use rcgen::{CertificateParams, Issuer, KeyPair};

use crate::unit;

pub(crate) const HOST: &str = "bench.localhost";

/// A running proxy, ended when it is dropped.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    process: Child,
    /// How it is asked to stop where a kill would leave children behind.
    stop: Option<Vec<String>>,
}

/// Where a proxy listens, what it serves, and where its files lie.
struct Site<'a> {
    folder: &'a Path,
    backend: SocketAddr,
    http: SocketAddr,
    https: SocketAddr,
}

/// nginx, HAProxy, Caddy, and, last, the edge without its router lines and as it is, all before the same backend.
pub(crate) fn start_all(folder: &Path, backend: SocketAddr) -> Result<Vec<Contender>> {
    LocalAuthority::open(folder, Clock::system())?;
    write_leaf(folder)?;
    let site = || {
        let [http, https] = free_ports()?;
        anyhow::Ok(Site { folder, backend, http, https })
    };
    let contenders = vec![
        nginx::start(&site()?)?,
        haproxy::start(&site()?)?,
        caddy::start(&site()?)?,
        edge::start(folder, backend, edge::Variant::WithoutLines)?,
        edge::start(folder, backend, edge::Variant::Usual)?,
    ];
    for contender in &contenders {
        contender.wait()?;
    }
    Ok(contenders)
}

/// Starts this program again in another role, with the environment of the daemon.
#[expect(clippy::disallowed_types, reason = "a comparison has to start what it compares with")]
pub(crate) fn again(arguments: &[&str]) -> Result<Child> {
    let program = std::env::current_exe()?;
    Command::new(program)
        .args(arguments)
        .envs(unit::environment())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start this program again")
}

impl Contender {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it listens.
    pub(crate) fn wait(&self) -> Result<()> {
        wait_for(self.http)?;
        wait_for(self.https)
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        if let Some([program, arguments @ ..]) = self.stop.as_deref() {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            drop(run(program, &arguments).and_then(|mut stop| Ok(stop.wait()?)));
        } else {
            drop(self.process.kill());
        }
        drop(self.process.wait());
    }
}

#[expect(clippy::disallowed_types, reason = "a comparison has to start what it compares with")]
fn run(program: &str, arguments: &[&str]) -> Result<Child> {
    let started = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    started.with_context(|| format!("cannot start {program}: install it with apt-get install {program}"))
}

/// Certificate and key in one file, signed by the authority that the edge uses, for the same kind of key.
fn write_leaf(folder: &Path) -> Result<()> {
    let key = KeyPair::from_pem(&fs::read_to_string(folder.join("ca.key"))?)?;
    let issuer = Issuer::from_ca_cert_pem(&fs::read_to_string(folder.join("ca.crt"))?, key)?;
    let leaf_key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec![HOST.to_owned()])?.signed_by(&leaf_key, &issuer)?;
    Ok(fs::write(folder.join("leaf.pem"), leaf.pem() + &leaf_key.serialize_pem())?)
}

fn write(folder: &Path, name: &str, content: &str) -> Result<String> {
    let path = folder.join(name);
    fs::write(&path, content)?;
    Ok(path.display().to_string())
}

fn free_ports() -> Result<[SocketAddr; 2]> {
    let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let [http, https] = listeners.each_ref().map(TcpListener::local_addr);
    Ok([http?, https?])
}

fn wait_for(address: SocketAddr) -> Result<()> {
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        if started.elapsed() > Duration::from_secs(30) {
            bail!("nobody listens at {address} after thirty seconds");
        }
        std::thread::yield_now();
    }
    Ok(())
}
