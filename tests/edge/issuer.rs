//! An issuer of tokens: a web server with a set of keys that the test changes. The keys and the tokens are those of
//! `tokens.json`, which another implementation made.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use akkerisd::model::filter::{JwksUri, JwtOptions};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Ends when it is dropped.
pub(super) struct Issuer {
    pub(super) uri: JwksUri,
    shared: Arc<Mutex<Shared>>,
    _tasks: JoinSet<()>,
}

struct Shared {
    status: u16,
    body: String,
    asked: usize,
}

/// What another implementation made.
pub(super) fn tokens() -> Value {
    serde_json::from_str(include_str!("tokens.json")).unwrap()
}

/// The token at that place of [`tokens`].
pub(super) fn token(pointer: &str) -> String {
    tokens().pointer(pointer).and_then(Value::as_str).unwrap().to_owned()
}

impl Issuer {
    /// Answers with the first set of keys.
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let body = tokens().get("jwks").unwrap().to_string();
        let shared = Arc::new(Mutex::new(Shared { status: 200, body, asked: 0 }));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&shared)));
        Self { uri: JwksUri::parse(&uri).unwrap(), shared, _tasks: tasks }
    }

    /// From now on it answers so.
    pub(super) fn answer(&self, status: u16, body: &str) {
        let mut shared = self.shared.lock().unwrap();
        (shared.status, shared.body) = (status, body.to_owned());
    }

    /// From now on it has other keys.
    pub(super) fn rotate(&self) {
        self.answer(200, &tokens().get("rotated").unwrap().to_string());
    }

    /// How often it was asked so far.
    pub(super) fn asked(&self) -> usize {
        self.shared.lock().unwrap().asked
    }

    /// The options of a filter that trusts it.
    pub(super) fn options(&self) -> JwtOptions {
        JwtOptions::new(self.uri.as_str(), &token("/issuer"), &[token("/audience")]).unwrap()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|_: Request<Incoming>| {
                let mut shared = shared.lock().unwrap();
                shared.asked += 1;
                let body = Full::new(Bytes::from(shared.body.clone()));
                let response = Response::builder().status(shared.status).body(body).unwrap();
                std::future::ready(Ok::<_, Infallible>(response))
            });
            let server = hyper::server::conn::http1::Builder::new();
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}
