//! Requests that two servers could read differently: each is refused, or seen alike by nginx and by hyper.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use akkerisd::edge::table::Upstream;
use akkerisd::model::names::DynoName;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::LIMIT;
use super::corpus::corpus;
use super::harness::TestEdge;
use crate::support::ports::free_ports;
use crate::support::wait::wait_until;

/// A server that notes method, target, host and body of each request that it sees.
trait Witness {
    fn upstream(&self) -> &Arc<Upstream>;
    fn seen(&self) -> Vec<String>;
}

struct HyperWitness {
    upstream: Arc<Upstream>,
    seen: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

struct NginxWitness {
    upstream: Arc<Upstream>,
    folder: tempfile::TempDir,
    process: std::process::Child,
}

impl HyperWitness {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream::new(DynoName::new("1", "hyper"), listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, mut task) = (Arc::clone(&seen), JoinSet::new());
        task.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let noted = Arc::clone(&noted);
                connections.spawn(async move {
                    let service = service_fn(|request| note(request, Arc::clone(&noted)));
                    let server = hyper::server::conn::http1::Builder::new();
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { upstream, seen, _task: task }
    }
}

async fn note(
    request: Request<Incoming>,
    seen: Arc<Mutex<Vec<String>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
    let start = format!("{} {} {}", request.method(), request.uri(), host.unwrap_or_default());
    // A body that is broken off is no request that was seen.
    if let Ok(body) = request.into_body().collect().await {
        let body = String::from_utf8_lossy(&body.to_bytes()).into_owned();
        seen.lock().unwrap().push(format!("{start} {body}"));
    }
    Ok(Response::new(Full::new(Bytes::from_static(b"ok"))))
}

impl NginxWitness {
    /// `None` where nginx is not installed, which only a developer's machine may be: `tests/run.sh` requires it.
    #[expect(clippy::disallowed_types, reason = "nginx is one of the two judges")]
    async fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let [port, inner] = free_ports();
        let config = folder.path().join("nginx.conf");
        std::fs::write(&config, nginx_config(folder.path(), port, inner)).unwrap();
        let nginx = std::process::Command::new("nginx")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:target/tools")
            .arg("-c")
            .arg(&config)
            .stderr(std::process::Stdio::null())
            .spawn();
        let Ok(process) = nginx else {
            let required = std::env::var_os("AKKERISD_REQUIRE_NGINX").is_some_and(|value| value == "1");
            assert!(!required, "nginx is not here: tests/run.sh fetches it");
            return None;
        };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        wait_until("nginx listens", LIMIT, async || TcpStream::connect(address).await.ok()).await;
        Some(Self { upstream: Upstream::new(DynoName::new("1", "nginx"), address), folder, process })
    }
}

impl Drop for NginxWitness {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The body is known to nginx only where it proxies, so it does, to itself.
fn nginx_config(folder: &Path, port: u16, inner: u16) -> String {
    let root = folder.display();
    format!(
        "daemon off; master_process off; pid {root}/pid; error_log {root}/error;
events {{ }}
http {{
  log_format seen escape=none '$status $request_method $request_uri $http_host $request_body';
  client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
  uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
  client_body_buffer_size 64k; client_body_in_single_buffer on; large_client_header_buffers 8 64k;
  access_log off;
  server {{
    listen 127.0.0.1:{port};
    location / {{ access_log {root}/seen seen; proxy_pass http://127.0.0.1:{inner}; }}
  }}
  server {{ listen 127.0.0.1:{inner}; location / {{ return 200 ok; }} }}
}}
"
    )
}

impl Witness for HyperWitness {
    fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

impl Witness for NginxWitness {
    fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    fn seen(&self) -> Vec<String> {
        let text = std::fs::read(self.folder.path().join("seen")).unwrap_or_default();
        // A body that is broken off is no request that was seen.
        String::from_utf8_lossy(&text)
            .lines()
            .filter_map(|line| line.strip_prefix("200 "))
            .map(str::to_owned)
            .collect()
    }
}

/// Sends bytes and reads to the end of the connection.
async fn converse(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The edge may have refused and closed before all was sent.
    drop(stream.write_all(bytes).await);
    let mut answers = Vec::new();
    drop(tokio::time::timeout(LIMIT, stream.read_to_end(&mut answers)).await.unwrap());
    String::from_utf8_lossy(&answers).into_owned()
}

/// Shows the whole corpus to an edge before a witness; gives the answers of each case.
async fn show(witness: &impl Witness) -> Vec<String> {
    let edge = TestEdge::with(|settings| {
        settings.no_redirect = true;
        settings.limits.header = Duration::from_millis(500);
        settings.limits.idle = Duration::from_millis(500);
        settings.limits.rolling = Duration::from_millis(500);
    });
    edge.route_to(&[witness.upstream()]);
    let mut cases = JoinSet::new();
    for (number, case) in corpus().into_iter().enumerate() {
        let address = edge.http;
        cases.spawn(async move { (number, converse(address, &case.bytes(number)).await) });
    }
    let mut answers = cases.join_all().await;
    answers.sort_unstable_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, text)| text).collect()
}

/// What a witness saw of one case, in an order of its own.
fn of_case(seen: &[String], number: usize) -> Vec<&String> {
    let marks = [format!("/c/{number} "), format!("/c/{number}?"), format!("/smuggled/{number} ")];
    let mut lines: Vec<&String> =
        seen.iter().filter(|line| marks.iter().any(|mark| line.contains(mark))).collect();
    lines.sort_unstable();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_ambiguous_request_is_refused_or_seen_alike_by_nginx_and_hyper() {
    let Some(nginx) = NginxWitness::start().await else { return };
    let hyper = HyperWitness::start().await;
    let (by_nginx, by_hyper) = tokio::join!(show(&nginx), show(&hyper));
    let cases = corpus();
    assert!(cases.len() >= 60, "{}", cases.len());
    // nginx writes a line when it is done with a request, which may be after its answer has come.
    wait_until("nginx has noted as much", LIMIT, async || {
        (nginx.seen().len() >= hyper.seen().len()).then_some(())
    })
    .await;
    let (nginx, hyper) = (nginx.seen(), hyper.seen());
    let mut refused = 0;
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let (one, other) = (of_case(&nginx, number), of_case(&hyper, number));
        refused += usize::from(one.is_empty());
        let (answered, by_other) = (&by_nginx[number], &by_hyper[number]);
        if one != other {
            wrong.push(format!("{}: nginx saw {one:?}, hyper {other:?}", case.name));
        }
        if case.must_be_refused && !one.is_empty() {
            wrong.push(format!("{}: must be refused, but {one:?} was seen", case.name));
        }
        for answers in [answered, by_other] {
            let served = answers.matches("HTTP/1.1 200 ").count();
            if served != one.len() || answers.contains(" 502 ") {
                wrong.push(format!("{}: {} were seen, the edge answered {answers:?}", case.name, one.len()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(refused >= 40, "only {refused} of {} were refused", cases.len());
    assert!(refused < cases.len(), "plain requests pass");
}
