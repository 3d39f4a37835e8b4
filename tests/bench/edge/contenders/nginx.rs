//! nginx, with its access log buffered.

use anyhow::Result;

use super::{Contender, Site, run, write};

pub(super) fn start(site: &Site<'_>) -> Result<Contender> {
    let Site { folder, backend, http, https } = site;
    let root = folder.display();
    let config = format!(
        "worker_processes 2;
pid {root}/nginx.pid;
error_log {root}/nginx.error.log;
events {{ worker_connections 8192; }}
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
    client_max_body_size 0;
    location / {{
      proxy_pass http://app; proxy_http_version 1.1;
      proxy_request_buffering off; proxy_buffers 16 16k; proxy_buffer_size 16k; proxy_max_temp_file_size 0;
      proxy_set_header Connection \"\"; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Forwarded-Host $host;
      proxy_set_header X-Request-Start t=$msec; proxy_set_header X-Request-Id $request_id;
      add_header X-Request-Id $request_id;
    }}
  }}
}}
"
    );
    let config = write(folder, "nginx.conf", &config)?;
    let process = run("nginx", &["-c", &config, "-g", "daemon off;"])?;
    // Killing the master would leave its workers behind.
    let stop = ["nginx", "-c", &config, "-s", "stop"].map(str::to_owned).to_vec();
    Ok(Contender { name: "nginx", http: *http, https: *https, process, stop: Some(stop) })
}
