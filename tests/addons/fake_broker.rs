//! An Open Service Broker: a real HTTP server that keeps what it made, and answers as a test tells it.

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Ends when it is dropped.
pub(crate) struct FakeBroker {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct State {
    catalogue: Option<(u16, String)>,
    /// What is answered to the next requests of that kind instead.
    replies: VecDeque<(&'static str, Reply)>,
    /// Kinds with their paths and bodies, in the order in which they came.
    asked: Vec<(&'static str, String, Value)>,
    instances: BTreeSet<String>,
    bindings: BTreeSet<String>,
}

/// What is answered once.
#[derive(Clone)]
pub(crate) enum Reply {
    Json(u16, Value),
    Text(u16, &'static str),
    /// Nothing ever.
    Silence,
}

pub(crate) fn catalogue() -> Value {
    json!({ "services": [{
        "id": "service-1", "name": "osb-db", "description": "A database", "bindable": true, "plan_updateable": true,
        "metadata": { "displayName": "OSB DB" },
        "plans": [
            { "id": "plan-small", "name": "small", "description": "s", "metadata": { "price": { "cents": 700 } } },
            { "id": "plan-big", "name": "big", "description": "b", "metadata": { "price": { "cents": 900 } } },
            { "id": "plan-plain", "name": "plain", "description": "nothing to bind", "bindable": false },
        ],
    }] })
}

impl FakeBroker {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&state)));
        Self { url, state, _tasks: tasks }
    }

    /// The next request of that kind (`provision`, `poll`, `bind`, `credentials`, `update`, `unbind`, `deprovision`,
    /// `action`) is answered so.
    pub(crate) fn tell(&self, kind: &'static str, reply: Reply) {
        self.state.lock().unwrap().replies.push_back((kind, reply));
    }

    /// The catalogue is answered so from now on.
    pub(crate) fn offer(&self, status: u16, body: &str) {
        self.state.lock().unwrap().catalogue = Some((status, body.to_owned()));
    }

    /// The kinds of what was asked, without the catalogue.
    pub(crate) fn asked(&self) -> Vec<&'static str> {
        self.state.lock().unwrap().asked.iter().map(|(kind, ..)| *kind).collect()
    }

    /// Path and body of the last request of that kind.
    pub(crate) fn last(&self, kind: &str) -> (String, Value) {
        let state = self.state.lock().unwrap();
        let found = state.asked.iter().rev().find(|(one, ..)| *one == kind);
        found.map(|(_, path, body)| (path.clone(), body.clone())).unwrap()
    }

    /// Instances and bindings that are there.
    pub(crate) fn kept(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.instances.len(), state.bindings.len())
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = Arc::clone(&state);
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&state)));
            let server = hyper::server::conn::http1::Builder::new();
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

fn kind_of(method: &Method, path: &str) -> &'static str {
    match (method.as_str(), path.contains("/service_bindings/"), path.ends_with("/last_operation")) {
        _ if path.contains("/actions/") => "action",
        ("GET", _, true) => "poll",
        ("GET", true, false) => "credentials",
        ("PUT", true, _) => "bind",
        ("PUT", false, _) => "provision",
        ("PATCH", ..) => "update",
        ("DELETE", true, _) => "unbind",
        ("DELETE", false, _) => "deprovision",
        _ => "unknown",
    }
}

async fn answer(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let (path, full) = (parts.uri.path().to_owned(), parts.uri.to_string());
    let known = parts.headers.get("authorization").is_some_and(|value| value == "Basic dTpw");
    let versioned = parts.headers.get("x-broker-api-version").is_some_and(|value| value == "2.17");
    if !known || !versioned {
        return Ok(response(401, json!({ "description": "who are you?" }).to_string()));
    }
    if path == "/v2/catalog" {
        let told = state.lock().unwrap().catalogue.clone();
        let (status, body) = told.unwrap_or_else(|| (200, catalogue().to_string()));
        return Ok(response(status, body));
    }
    let kind = kind_of(&parts.method, &path);
    let reply = {
        let mut state = state.lock().unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        state.asked.push((kind, full, body));
        let told = state.replies.iter().position(|(one, _)| *one == kind);
        let told = told.and_then(|index| state.replies.remove(index)).map(|(_, reply)| reply);
        let regular = regular(&mut state, kind, &path, told.as_ref());
        told.unwrap_or(regular)
    };
    Ok(match reply {
        Reply::Json(status, json) => response(status, json.to_string()),
        Reply::Text(status, text) => response(status, text.to_owned()),
        Reply::Silence => std::future::pending().await,
    })
}

/// What a broker answers that does all at once. Also one that fails, is slow or lies may have made what it was asked for.
fn regular(state: &mut State, kind: &str, path: &str, told: Option<&Reply>) -> Reply {
    let refused = matches!(told, Some(Reply::Json(400..=499, _)));
    match kind {
        "provision" if !refused => {
            state.instances.insert(path.to_owned());
        }
        "bind" if !refused => {
            state.bindings.insert(path.to_owned());
        }
        "unbind" if told.is_none() => {
            state.bindings.remove(path);
        }
        "deprovision" if told.is_none() => {
            state.instances.remove(path);
        }
        _ => {}
    }
    match kind {
        "provision" => Reply::Json(201, json!({ "dashboard_url": "https://dash.example.com/1" })),
        "bind" | "credentials" => Reply::Json(
            if kind == "bind" { 201 } else { 200 },
            json!({ "credentials": { "uri": "db://u:osbpw@h/d", "DATABASE_URL": "x" } }),
        ),
        "poll" => Reply::Json(200, json!({ "state": "succeeded" })),
        "action" => Reply::Json(200, json!({ "acted": path })),
        _ => Reply::Json(200, json!({})),
    }
}

fn response(status: u16, body: String) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap()
}
