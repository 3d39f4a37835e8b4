//! HAProxy, with its log of requests in a ring that one of its threads sends away in bulk: its buffered form.

use std::io::Read;
use std::net::TcpListener;

use anyhow::Result;

use super::{Contender, Site, run, write};

pub(super) fn start(site: &Site<'_>) -> Result<Contender> {
    let Site { folder, backend, http, https } = site;
    let sink = TcpListener::bind("127.0.0.1:0")?;
    let config = format!(
        "global
  nbthread 2
  maxconn 8000
ring access
  format raw
  maxlen 1200
  size 1048576
  timeout connect 5s
  timeout server 10s
  server sink {sink} log-proto octet-count
defaults
  mode http
  log ring@access local0
  option httplog
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
",
        sink = sink.local_addr()?,
        root = folder.display(),
    );
    let config = write(folder, "haproxy.cfg", &config)?;
    std::thread::spawn(move || swallow(&sink));
    let process = run("haproxy", &["-db", "-f", &config])?;
    Ok(Contender { name: "HAProxy", http: *http, https: *https, process, stop: None })
}

/// Takes the log and forgets it, as long as this program runs.
fn swallow(sink: &TcpListener) {
    for mut stream in sink.incoming().flatten() {
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
        });
    }
}
