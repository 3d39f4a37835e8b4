//! The proxies that are compared, each with two threads or workers, with logs as they are commonly set, and all
//! with the same work per request: the forwarding headers, the request id both ways, the start time.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
#[expect(clippy::disallowed_types, reason = "a comparison has to start what it compares with")]
use std::process::Command;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use akkerisd::certs::{CertificateStore, LocalAuthority};
use akkerisd::clock::Clock;
use akkerisd::edge::table::{AppRoute, RoutingTable, Service, Upstream};
use akkerisd::edge::{AccessSink, Edge, EdgeListeners, EdgeSettings};
use akkerisd::logs::{Rings, RouterLines};
use akkerisd::model::ids::AppId;
use akkerisd::model::names::{AppKey, DynoName};
use akkerisd::model::router_limits::RouterLimits;
use anyhow::{Context, Result, bail};
use arc_swap::ArcSwap;
use rcgen::{CertificateParams, Issuer, KeyPair};

pub(crate) const HOST: &str = "bench.localhost";

/// A running proxy, ended when it is dropped.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    process: Child,
    nginx_config: Option<String>,
}

/// nginx, HAProxy and, last, the edge, all before the same backend.
pub(crate) fn start_all(folder: &Path, backend: SocketAddr) -> Result<Vec<Contender>> {
    LocalAuthority::open(folder, Clock::system())?;
    write_leaf(folder)?;
    let contenders = vec![nginx(folder, backend)?, haproxy(folder, backend)?, edge(folder, backend)?];
    for contender in &contenders {
        wait_for(contender.http)?;
        wait_for(contender.https)?;
    }
    Ok(contenders)
}

/// Starts this program again in another role.
#[expect(clippy::disallowed_types, reason = "a comparison has to start what it compares with")]
pub(crate) fn again(arguments: &[&str]) -> Result<Child> {
    let program = std::env::current_exe()?;
    Command::new(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start this program again")
}

/// Writes the line of each request to a log of the bench's own, as the daemon does.
fn keep_router_lines(folder: &Path) -> Result<AccessSink> {
    let lines = RouterLines::new(Rings::new(folder.join("logs"), 64 << 20));
    let (sink, mut records) = AccessSink::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            while let Some(records) = records.recv().await {
                lines.write(&records).await;
            }
        });
    });
    Ok(sink)
}

/// Serves as the edge until the process is ended.
pub(crate) fn serve_edge(folder: &Path, backend: SocketAddr) -> Result<()> {
    let authority = LocalAuthority::open(folder, Clock::system())?;
    let certificates = CertificateStore::new(authority, "localhost")?;
    let upstreams = vec![Upstream::new(DynoName::new("1", "a"), backend)];
    let key = AppKey::from_stored("bench-default".to_owned());
    let id = AppId::new(uuid::Uuid::nil());
    let mut table = RoutingTable::default();
    table.insert_app(
        HOST,
        AppRoute {
            id,
            key,
            released: true,
            limits: RouterLimits::default(),
            http2: false,
            hold: None,
            service: Service::Upstreams(upstreams),
            filters: None,
        },
    );
    let mut settings = EdgeSettings::new(Clock::system());
    (settings.workers, settings.no_redirect) = (2, true);
    settings.access = Some(keep_router_lines(folder)?);
    let [http, https] = read_ports(folder)?;
    let listeners = EdgeListeners::bind(http, https, 2)?;
    let table = Arc::new(ArcSwap::from_pointee(table));
    let _handle = Edge::start(settings, &listeners, &table, Arc::new(certificates))?;
    drop(listeners);
    loop {
        std::thread::park();
    }
}

impl Contender {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // Killing the master of nginx would leave its workers behind.
        if let Some(config) = &self.nginx_config {
            drop(start("nginx", &["-c", config, "-s", "stop"]).and_then(|mut stop| Ok(stop.wait()?)));
        } else {
            drop(self.process.kill());
        }
        drop(self.process.wait());
    }
}

fn edge(folder: &Path, backend: SocketAddr) -> Result<Contender> {
    let [http, https] = free_ports()?;
    fs::write(folder.join("ports"), format!("{http} {https}"))?;
    let folder = folder.to_str().context("the folder has a strange name")?;
    let process = again(&["serve-edge", folder, &backend.to_string()])?;
    Ok(Contender { name: "edge", http, https, process, nginx_config: None })
}

fn nginx(folder: &Path, backend: SocketAddr) -> Result<Contender> {
    let [http, https] = free_ports()?;
    let root = folder.display();
    let config = write(
        folder,
        "nginx.conf",
        &format!(
            "worker_processes 2;
pid {root}/nginx.pid;
error_log {root}/nginx.error.log;
events {{ worker_connections 4096; }}
http {{
  access_log {root}/nginx.access.log combined buffer=64k flush=1s;
  client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
  keepalive_requests 1000000000;
  upstream app {{ server {backend}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen {http} reuseport;
    listen {https} ssl http2 reuseport;
    ssl_certificate {root}/leaf.pem; ssl_certificate_key {root}/leaf.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {{
      proxy_pass http://app; proxy_http_version 1.1;
      proxy_set_header Connection \"\"; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Request-Start t=$msec; proxy_set_header X-Request-Id $request_id;
      add_header X-Request-Id $request_id;
    }}
  }}
}}
"
        ),
    )?;
    let process = start("nginx", &["-c", &config, "-g", "daemon off;"])?;
    Ok(Contender { name: "nginx", http, https, process, nginx_config: Some(config) })
}

fn haproxy(folder: &Path, backend: SocketAddr) -> Result<Contender> {
    let [http, https] = free_ports()?;
    let root = folder.display();
    let config = write(
        folder,
        "haproxy.cfg",
        &format!(
            "global
  nbthread 2
  maxconn 8000
defaults
  mode http
  timeout connect 5s
  timeout client 75s
  timeout server 30s
  option forwardfor
  http-reuse always
frontend plain
  bind {http}
  http-request set-header X-Forwarded-Proto http
  default_backend app
frontend tls
  bind {https} ssl crt {root}/leaf.pem alpn h2,http/1.1
  http-request set-header X-Forwarded-Proto https
  default_backend app
backend app
  http-request set-header X-Forwarded-Port %[dst_port]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Request-Start t=%[date(0,ms)]
  http-request set-var(txn.id) uuid()
  http-request set-header X-Request-Id %[var(txn.id)]
  http-response set-header X-Request-Id %[var(txn.id)]
  server one {backend}
"
        ),
    )?;
    let process = start("haproxy", &["-db", "-f", &config])?;
    Ok(Contender { name: "HAProxy", http, https, process, nginx_config: None })
}

#[expect(clippy::disallowed_types, reason = "a comparison has to start what it compares with")]
fn start(program: &str, arguments: &[&str]) -> Result<Child> {
    let started = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    started.with_context(|| format!("cannot start {program}: install it with apt-get install {program}"))
}

/// Certificate and key in one file, signed by the authority that the edge uses, for the same kind of key.
fn write_leaf(folder: &Path) -> Result<PathBuf> {
    let key = KeyPair::from_pem(&fs::read_to_string(folder.join("ca.key"))?)?;
    let issuer = Issuer::from_ca_cert_pem(&fs::read_to_string(folder.join("ca.crt"))?, key)?;
    let leaf_key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec![HOST.to_owned()])?.signed_by(&leaf_key, &issuer)?;
    let path = folder.join("leaf.pem");
    fs::write(&path, leaf.pem() + &leaf_key.serialize_pem())?;
    Ok(path)
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

fn read_ports(folder: &Path) -> Result<[SocketAddr; 2]> {
    let ports = fs::read_to_string(folder.join("ports"))?;
    let (http, https) = ports.split_once(' ').context("the file of ports is damaged")?;
    Ok([http.parse()?, https.parse()?])
}

fn wait_for(address: SocketAddr) -> Result<()> {
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        if started.elapsed() > Duration::from_secs(10) {
            bail!("nobody listens at {address} after ten seconds");
        }
        std::thread::yield_now();
    }
    Ok(())
}
