//! A server of repositories, as GitHub, GitLab or Gitea answers: one repository `org/app`, real HTTP.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use akkerisd::model::auto_build::SourceProvider;
use bytes::Bytes;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What the provider takes at first.
pub(crate) const TOKEN: &str = "good-token-of-the-provider";

/// Ends when it is dropped.
pub(crate) struct Provider {
    pub(crate) kind: SourceProvider,
    /// Where its repositories are.
    pub(crate) url: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// A request that it answered.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

struct Shared {
    kind: SourceProvider,
    url: String,
    /// The server that sources are fetched from, where that is another one.
    files: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: Vec<Asked>,
    next_hook: u64,
    hooks: BTreeMap<u64, Value>,
    tip: String,
    checks: Vec<(String, String)>,
    reports: Vec<(String, Value)>,
    archive: Vec<u8>,
    token: String,
    down: bool,
}

impl Provider {
    /// Whose branch `main` has that commit, with this archive as its source.
    pub(crate) async fn start(kind: SourceProvider, tip: &str, archive: Vec<u8>) -> Self {
        let (api, files) = (listener().await, listener().await);
        let url = format!("http://{}", api.local_addr().unwrap());
        let state =
            State { tip: tip.to_owned(), archive, token: TOKEN.to_owned(), next_hook: 7, ..State::default() };
        let shared = Arc::new(Shared {
            kind,
            url: url.clone(),
            files: format!("http://{}", files.local_addr().unwrap()),
            state: Mutex::new(state),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(api, Arc::clone(&shared)));
        tasks.spawn(accept(files, Arc::clone(&shared)));
        Self { kind, url, shared, _tasks: tasks }
    }

    /// Where its API is.
    pub(crate) fn api(&self) -> String {
        format!("{}{}", self.url, below(self.kind))
    }

    /// The address of its repository.
    pub(crate) fn repo(&self) -> String {
        format!("{}/org/app", self.url)
    }

    pub(crate) fn set_tip(&self, sha: &str) {
        self.with(|state| sha.clone_into(&mut state.tip));
    }

    /// The checks of every commit: names and outcomes in the provider's words.
    pub(crate) fn set_checks(&self, checks: &[(&str, &str)]) {
        let checks = checks.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned()));
        self.with(|state| state.checks = checks.collect());
    }

    /// Answers everything with 503, or not any more.
    pub(crate) fn set_down(&self, down: bool) {
        self.with(|state| state.down = down);
    }

    /// What is fetched from now on, of every commit.
    pub(crate) fn set_archive(&self, archive: Vec<u8>) {
        self.with(|state| state.archive = archive);
    }

    /// From now on it takes that token alone.
    pub(crate) fn set_token(&self, token: &str) {
        self.with(|state| token.clone_into(&mut state.token));
    }

    /// Forgets its webhooks, as a person who removes them does.
    pub(crate) fn forget_hooks(&self) {
        self.with(|state| state.hooks.clear());
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.with(|state| state.asked.clone())
    }

    /// The webhooks as they were sent.
    pub(crate) fn hooks(&self) -> Vec<Value> {
        self.with(|state| state.hooks.values().cloned().collect())
    }

    /// What it was told of a commit, oldest first.
    pub(crate) fn reports(&self, sha: &str) -> Vec<Value> {
        let of = |reports: &[(String, Value)]| {
            reports.iter().filter(|(of, _)| of == sha).map(|(_, body)| body.clone()).collect()
        };
        self.with(|state| of(&state.reports))
    }

    /// The secret of its only webhook.
    pub(crate) fn secret(&self) -> String {
        let hooks = self.hooks();
        let hook = hooks.last().unwrap();
        let secret = hook.pointer("/config/secret").or_else(|| hook.get("token"));
        secret.and_then(Value::as_str).unwrap().to_owned()
    }

    /// The headers of a delivery: its event, and the proof that it is the provider's.
    pub(crate) fn headers(&self, event: &str, body: &str) -> Vec<(&'static str, String)> {
        let secret = self.secret();
        let sha256 = hex::encode(mac::<Hmac<Sha256>>(&secret, body));
        match self.kind {
            SourceProvider::GitHub => vec![
                ("x-github-event", event.to_owned()),
                ("x-hub-signature", format!("sha1={}", hex::encode(mac::<Hmac<Sha1>>(&secret, body)))),
                ("x-hub-signature-256", format!("sha256={sha256}")),
            ],
            SourceProvider::GitLab => vec![("x-gitlab-event", event.to_owned()), ("x-gitlab-token", secret)],
            SourceProvider::Gitea => vec![
                ("x-gitea-event", event.to_owned()),
                ("x-gitea-signature", sha256.clone()),
                ("x-hub-signature-256", format!("sha256={sha256}")),
            ],
        }
    }

    /// The event of a push of one commit to a branch, and its documented payload.
    pub(crate) fn push(&self, branch: &str, sha: &str) -> (&'static str, Value) {
        let commit = json!({
            "id": sha, "message": format!("Change {sha}\n\nWith a body."), "timestamp": "2026-11-21T12:00:00Z",
            "url": format!("{}/commit/{sha}", self.repo()),
            "author": { "name": "Alice Liddell", "email": "alice@example.com", "username": "alice" },
        });
        let reference = format!("refs/heads/{branch}");
        match self.kind {
            SourceProvider::GitLab => (
                "Push Hook",
                json!({
                    "object_kind": "push", "event_name": "push", "ref": reference, "before": "0".repeat(40),
                    "after": sha, "checkout_sha": sha, "user_name": "Alice Liddell", "user_username": "alice",
                    "project_id": 15, "commits": [commit], "total_commits_count": 1,
                    "project": { "id": 15, "web_url": self.repo(), "git_http_url": format!("{}.git", self.repo()),
                        "path_with_namespace": "org/app", "default_branch": "main" },
                }),
            ),
            SourceProvider::GitHub | SourceProvider::Gitea => (
                "push",
                json!({
                    "ref": reference, "before": "0".repeat(40), "after": sha, "deleted": false,
                    "head_commit": commit, "commits": [commit], "repository": self.repository("org/app"),
                    "pusher": { "name": "alice" }, "sender": { "login": "alice" },
                }),
            ),
        }
    }

    /// The event of a change of the pull request 12 from a branch of a repository into `main`, in the words of
    /// GitHub, and its documented payload.
    pub(crate) fn pull_request(&self, action: &str, from: (&str, &str), sha: &str) -> (&'static str, Value) {
        let (repository, branch) = from;
        match self.kind {
            SourceProvider::GitLab => (
                "Merge Request Hook",
                json!({
                    "object_kind": "merge_request", "event_type": "merge_request", "user": { "username": "alice" },
                    "project": { "id": 15, "web_url": self.repo(), "path_with_namespace": "org/app" },
                    "object_attributes": {
                        "iid": 12, "title": "Fix", "url": format!("{}/-/merge_requests/12", self.repo()),
                        "action": match action { "opened" => "open", "closed" => "merge", _ => "update" },
                        "source_branch": branch, "target_branch": "main", "last_commit": { "id": sha },
                        "source": { "web_url": format!("{}/{repository}", self.url) },
                        "target": { "web_url": self.repo() },
                    },
                }),
            ),
            SourceProvider::GitHub | SourceProvider::Gitea => (
                "pull_request",
                json!({
                    "action": action, "number": 12, "repository": self.repository("org/app"),
                    "pull_request": {
                        "number": 12, "title": "Fix", "html_url": format!("{}/pull/12", self.repo()),
                        "user": { "login": "alice" },
                        "head": { "ref": branch, "sha": sha, "repo": self.repository(repository) },
                        "base": { "ref": "main", "sha": sha, "repo": self.repository("org/app") },
                    },
                    "sender": { "login": "alice" },
                }),
            ),
        }
    }

    /// As GitHub's and Gitea's payloads show a repository.
    pub(crate) fn repository(&self, path: &str) -> Value {
        json!({
            "id": 1, "full_name": path, "html_url": format!("{}/{path}", self.url),
            "clone_url": format!("{}/{path}.git", self.url),
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.shared.state.lock().unwrap())
    }
}

fn below(kind: SourceProvider) -> &'static str {
    match kind {
        SourceProvider::GitHub => "/api/v3",
        SourceProvider::GitLab => "/api/v4",
        SourceProvider::Gitea => "/api/v1",
    }
}

fn mac<M: Mac + KeyInit>(secret: &str, body: &str) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&shared)));
            let server = hyper::server::conn::http1::Builder::new();
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let header = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
    let asked = Asked {
        method: parts.method,
        path: parts.uri.to_string(),
        authorization: header.map(str::to_owned),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    };
    let mut state = shared.state.lock().unwrap();
    state.asked.push(asked.clone());
    Ok(shared.respond(&mut state, &asked))
}

impl Shared {
    fn respond(&self, state: &mut State, asked: &Asked) -> Response<Full<Bytes>> {
        if state.down {
            return shown(503, &json!({ "message": "Service Unavailable" }));
        }
        if asked.path.starts_with("/files/") {
            return Response::new(Full::new(Bytes::from(state.archive.clone())));
        }
        let expected = match self.kind {
            SourceProvider::GitHub | SourceProvider::GitLab => format!("Bearer {}", state.token),
            SourceProvider::Gitea => format!("token {}", state.token),
        };
        if asked.authorization.as_deref() != Some(expected.as_str()) {
            return shown(401, &json!({ "message": "Bad credentials" }));
        }
        let repository = match self.kind {
            SourceProvider::GitLab => "/projects/org%2Fapp",
            SourceProvider::GitHub | SourceProvider::Gitea => "/repos/org/app",
        };
        let path = asked.path.split('?').next().unwrap_or_default();
        let inside = path.strip_prefix(below(self.kind)).and_then(|rest| rest.strip_prefix(repository));
        let Some(inside) = inside else { return shown(404, &json!({ "message": "Not Found" })) };
        let inside = inside.strip_prefix("/repository").unwrap_or(inside);
        let inside = inside.strip_prefix("/git").unwrap_or(inside);
        let parts: Vec<&str> = inside.trim_start_matches('/').split('/').collect();
        self.of_repository(state, asked, &parts)
    }

    fn of_repository(&self, state: &mut State, asked: &Asked, parts: &[&str]) -> Response<Full<Bytes>> {
        match (asked.method.as_str(), parts) {
            ("GET", ["branches", "main"]) => {
                shown(200, &json!({ "name": "main", "commit": self.commit(&state.tip, true) }))
            }
            ("GET", ["commits", sha]) => shown(200, &self.commit(sha, false)),
            ("GET", ["commits", _, "status" | "statuses"]) => shown(200, &self.statuses(&state.checks)),
            ("GET", ["commits", _, "check-runs"]) => {
                shown(200, &json!({ "total_count": 0, "check_runs": [] }))
            }
            ("POST", ["statuses", sha]) => {
                state.reports.push(((*sha).to_owned(), asked.body.clone()));
                shown(201, &json!({ "id": 1 }))
            }
            ("GET", ["zipball" | "archive.tar.gz" | "archive", ..]) => Response::builder()
                .status(302)
                .header("location", format!("{}/files/source", self.files))
                .body(Full::default())
                .unwrap(),
            ("GET", ["hooks"]) => shown(200, &state.hooks.values().cloned().collect()),
            ("POST", ["hooks"]) => create_hook(state, asked),
            ("PATCH" | "PUT", ["hooks", id]) => match state.hooks.get_mut(&id.parse().unwrap_or(0)) {
                Some(hook) => {
                    hook.clone_from(&asked.body);
                    shown(200, &json!({ "id": id }))
                }
                None => shown(404, &json!({ "message": "Not Found" })),
            },
            ("DELETE", ["hooks", id]) => match state.hooks.remove(&id.parse().unwrap_or(0)) {
                Some(_) => Response::builder().status(204).body(Full::default()).unwrap(),
                None => shown(404, &json!({ "message": "Not Found" })),
            },
            _ => shown(404, &json!({ "message": "Not Found" })),
        }
    }

    /// As the API shows a commit, of a branch or by itself.
    fn commit(&self, sha: &str, of_branch: bool) -> Value {
        let url = format!("{}/org/app/commit/{sha}", self.url);
        match (self.kind, of_branch) {
            (SourceProvider::GitLab, _) => json!({
                "id": sha, "message": format!("Tip {sha}"), "author_name": "Alice Liddell", "web_url": url,
            }),
            (SourceProvider::Gitea, true) => json!({
                "id": sha, "message": format!("Tip {sha}"), "url": url,
                "author": { "name": "Alice Liddell", "username": "alice" },
            }),
            (SourceProvider::GitHub | SourceProvider::Gitea, _) => json!({
                "sha": sha, "html_url": url, "author": { "login": "alice" },
                "commit": { "message": format!("Tip {sha}"), "author": { "name": "Alice Liddell" } },
            }),
        }
    }

    fn statuses(&self, checks: &[(String, String)]) -> Value {
        let field = match self.kind {
            SourceProvider::GitHub => "state",
            SourceProvider::GitLab | SourceProvider::Gitea => "status",
        };
        let list: Vec<Value> = checks
            .iter()
            .map(|(name, state)| json!({ "name": name, "context": name, field: state }))
            .collect();
        match self.kind {
            SourceProvider::GitLab => Value::Array(list),
            SourceProvider::GitHub | SourceProvider::Gitea => {
                json!({ "state": "pending", "statuses": list, "total_count": list.len() })
            }
        }
    }
}

/// GitHub alone refuses a second webhook of the same address; the others take it.
fn create_hook(state: &mut State, asked: &Asked) -> Response<Full<Bytes>> {
    let url = |hook: &Value| hook.pointer("/config/url").cloned();
    let is_github = asked.body.get("name").is_some_and(|name| name == "web");
    if is_github && state.hooks.values().any(|hook| url(hook) == url(&asked.body)) {
        let reason = "Hook already exists on this repository";
        let errors = json!([{ "resource": "Hook", "code": "custom", "message": reason }]);
        return shown(422, &json!({ "message": "Validation Failed", "errors": errors }));
    }
    state.next_hook += 1;
    state.hooks.insert(state.next_hook, asked.body.clone());
    shown(201, &json!({ "id": state.next_hook }))
}

fn shown(status: u16, body: &Value) -> Response<Full<Bytes>> {
    let body = Full::new(Bytes::from(body.to_string()));
    Response::builder().status(status).header("content-type", "application/json").body(body).unwrap()
}
