//! Caddy. It has no part in the ratios: it is here because people run it.

use anyhow::Result;

use super::{Contender, Site, run, write};

pub(super) fn start(site: &Site<'_>) -> Result<Contender> {
    let Site { folder, backend, http, https } = site;
    let root = folder.display();
    let served = format!(
        "log {{
    output file {root}/caddy.access.log
  }}
  header X-Request-Id {{http.request.uuid}}
  reverse_proxy {backend} {{
    header_up X-Request-Id {{http.request.uuid}}
    header_up X-Request-Start t={{time.now.unix_ms}}
    header_up X-Forwarded-Port {{http.request.port}}
  }}"
    );
    let config = format!(
        "{{
  admin off
  auto_https off
  storage file_system {root}/caddy
  servers {{
    protocols h1 h2
  }}
}}
http://:{} {{
  bind 127.0.0.1
  {served}
}}
https://:{} {{
  bind 127.0.0.1
  tls {root}/leaf.pem {root}/leaf.pem
  {served}
}}
",
        http.port(),
        https.port()
    );
    let config = write(folder, "Caddyfile", &config)?;
    let process = run("caddy", &["run", "--config", &config, "--adapter", "caddyfile"])?;
    Ok(Contender { name: "Caddy", http: *http, https: *https, process, stop: None })
}
