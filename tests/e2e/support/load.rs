//! A constant rate of requests over the edge's HTTPS, in which every failure counts.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::daemon::{Daemon, host};

/// How the load connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Connections are used again.
    Http1KeepAlive,
    /// A connection for each request.
    Http1NewConnections,
    /// One connection, many streams.
    Http2,
}

/// Longest wait for one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// A load that runs until it is stopped.
pub struct Load {
    stop: CancellationToken,
    tracker: TaskTracker,
    shared: Arc<Shared>,
}

/// What came of a load.
#[derive(Debug, Default, Clone)]
pub struct Outcome {
    pub answered: u64,
    /// Each kind of failure, with its count.
    pub failures: BTreeMap<String, u64>,
    /// Answers by body.
    pub bodies: BTreeMap<String, u64>,
    /// From each request to the last byte of its answer.
    pub latencies: Vec<Duration>,
}

struct Shared {
    address: SocketAddr,
    host: String,
    tls: TlsConnector,
    protocol: Protocol,
    idle: Mutex<Vec<http1::SendRequest<Empty<Bytes>>>>,
    http2: Mutex<Option<http2::SendRequest<Empty<Bytes>>>>,
    outcome: Mutex<Outcome>,
}

impl Load {
    /// Begins `rate` requests a second for `/` of the app.
    pub fn start(daemon: &Daemon, app: &str, protocol: Protocol, rate: u32) -> Self {
        let alpn: &[&[u8]] = if protocol == Protocol::Http2 { &[b"h2"] } else { &[b"http/1.1"] };
        let shared = Arc::new(Shared {
            address: ([127, 0, 0, 1], daemon.https_port()).into(),
            host: host(app),
            tls: daemon.tls(alpn).into(),
            protocol,
            idle: Mutex::default(),
            http2: Mutex::default(),
            outcome: Mutex::default(),
        });
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        let (requests, ended, sent_by) = (tracker.clone(), stop.clone(), Arc::clone(&shared));
        tracker.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
            while !ended.is_cancelled() {
                ticks.tick().await;
                let shared = Arc::clone(&sent_by);
                requests.spawn(async move { shared.request().await });
            }
        });
        Self { stop, tracker, shared }
    }

    /// Ends the load, waits for the open requests, and tells what came of it.
    pub async fn stop(self) -> Outcome {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(ANSWER_LIMIT * 2, self.tracker.wait()).await.expect("every request ends");
        self.shared.outcome.lock().await.clone()
    }

    /// Waits until this many requests were answered.
    pub async fn wait_for_answers(&self, count: u64) {
        super::wait_until("the load is answered", Duration::from_mins(1), || async {
            let outcome = self.shared.outcome.lock().await;
            if outcome.answered >= count { Ok(()) } else { Err(format!("{outcome:?}")) }
        })
        .await;
    }
}

impl Outcome {
    /// The latency that so many percent of the answers stayed within.
    pub fn latency(&self, percent: usize) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let place = sorted.len() * percent / 100;
        sorted[place.min(sorted.len() - 1)]
    }

    /// The test ends unless every request was answered with 200.
    pub fn assert_no_failure(&self) {
        assert!(self.failures.is_empty(), "of {} requests failed: {:#?}", self.answered, self.failures);
    }
}

impl Shared {
    async fn request(&self) {
        let began = Instant::now();
        let result = match tokio::time::timeout(ANSWER_LIMIT, self.exchange()).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {ANSWER_LIMIT:?}")),
        };
        let mut outcome = self.outcome.lock().await;
        match result {
            Ok((200, body)) => {
                outcome.answered += 1;
                outcome.latencies.push(began.elapsed());
                *outcome.bodies.entry(body).or_default() += 1;
            }
            Ok((status, body)) => {
                let body: String = body.chars().take(80).collect();
                *outcome
                    .failures
                    .entry(format!("status {status} after {:?}: {body}", began.elapsed()))
                    .or_default() += 1;
            }
            Err(error) => *outcome.failures.entry(error).or_default() += 1,
        }
    }

    async fn exchange(&self) -> Result<(u16, String), String> {
        match self.protocol {
            Protocol::Http1KeepAlive => self.keep_alive().await,
            Protocol::Http1NewConnections => {
                let mut sender = self.connect_http1().await?;
                self.over_http1(&mut sender).await
            }
            Protocol::Http2 => self.over_http2().await,
        }
    }

    async fn keep_alive(&self) -> Result<(u16, String), String> {
        let idle = self.idle.lock().await.pop();
        let mut sender = match idle {
            Some(sender) if sender.is_ready() => sender,
            _ => self.connect_http1().await?,
        };
        let answer = self.over_http1(&mut sender).await?;
        if sender.ready().await.is_ok() {
            self.idle.lock().await.push(sender);
        }
        Ok(answer)
    }

    async fn over_http1(
        &self,
        sender: &mut http1::SendRequest<Empty<Bytes>>,
    ) -> Result<(u16, String), String> {
        let request = hyper::Request::get("/").header("Host", &self.host).body(Empty::new()).unwrap();
        let response = sender.send_request(request).await.map_err(|error| format!("request: {error:?}"))?;
        read(response).await
    }

    async fn over_http2(&self) -> Result<(u16, String), String> {
        let mut sender = {
            let mut shared = self.http2.lock().await;
            match &*shared {
                Some(sender) if !sender.is_closed() => sender.clone(),
                _ => {
                    let stream = self.connect().await?;
                    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                        .await
                        .map_err(|error| format!("handshake: {error:?}"))?;
                    drop(tokio::task::spawn(connection));
                    shared.insert(sender).clone()
                }
            }
        };
        let request =
            hyper::Request::get(format!("https://{}/", self.host)).body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.map_err(|error| format!("request: {error:?}"))?;
        read(response).await
    }

    async fn connect_http1(&self) -> Result<http1::SendRequest<Empty<Bytes>>, String> {
        let stream = self.connect().await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("handshake: {error:?}"))?;
        drop(tokio::task::spawn(connection));
        Ok(sender)
    }

    async fn connect(&self) -> Result<TlsStream<TcpStream>, String> {
        let stream = TcpStream::connect(self.address).await.map_err(|error| format!("connect: {error:?}"))?;
        stream.set_nodelay(true).map_err(|error| format!("connect: {error:?}"))?;
        let name = ServerName::try_from(self.host.clone()).unwrap();
        self.tls.connect(name, stream).await.map_err(|error| format!("tls: {error:?}"))
    }
}

async fn read(response: hyper::Response<hyper::body::Incoming>) -> Result<(u16, String), String> {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|error| format!("body: {error:?}"))?;
    Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
}
