//! The unmodified client `aka`, command by command: what it sends, and what it reads of the answers.
//!
//! Each test is one row of section 3 of `aka-client.md`. Not here: what needs app-setups (`apps:fork`,
//! `apps:blueprint`, `apps:one-click`) and webhooks,
//! none of which is served yet; and commands that send nothing (`apps:stacks`, `auth:token`).

mod addons;
mod apps;
mod auth;
mod builds;
mod config;
mod drains;
mod dynos;
mod features;
mod filters;
mod formations;
mod invoices;
mod logs;
mod metrics;
mod pipelines;
mod plugins;
mod recommendations;
mod releases;
mod repo;
mod sites;
mod spaces;

use akkerisd::clock::Clock;
use axum::body::Body;
use futures_util::stream;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, TestDaemon};

/// The app that most commands are about.
const APP: &str = "/apps/app-default";

/// The client, logged in as an administrator.
struct Aka {
    daemon: TestDaemon,
    client: Client,
}

impl Aka {
    async fn start() -> Self {
        Self::of(TestDaemon::start().await)
    }

    /// On a clock that the test moves.
    async fn at(clock: Clock) -> Self {
        Self::of(TestDaemon::at(clock).await)
    }

    /// With the app `app-default`.
    async fn with_app() -> Self {
        let aka = Self::start().await;
        aka.create_app("app").await;
        aka
    }

    fn of(daemon: TestDaemon) -> Self {
        let client = speaking(&daemon.admin());
        Self { daemon, client }
    }

    /// `apps:create NAME -s default -o akkeris`, without what it sends then.
    async fn create_app(&self, name: &str) -> Value {
        let body = json!({ "name": name, "space": "default", "org": "akkeris" });
        self.send(Method::POST, "/apps", body).await.json(201)
    }

    /// A request without a body; the answer is 200.
    async fn get(&self, path: &str) -> Value {
        self.client.get(path).await.json(200)
    }

    /// A DELETE without a body.
    async fn delete(&self, path: &str) -> Answer {
        self.client.delete(path).await
    }

    /// A PUT without a body, which is one that tells its length.
    async fn put(&self, path: &str) -> Answer {
        self.client.header("content-length", "0").send(Method::PUT, path).await
    }

    /// A request whose body comes in chunks of unknown number.
    async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        chunked(&self.client, method, path, body).await
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        self.send(Method::POST, path, body).await.json(201)
    }

    async fn patch(&self, path: &str, body: Value) -> Value {
        self.send(Method::PATCH, path, body).await.json(200)
    }
}

/// A request whose body comes in chunks of unknown number.
async fn chunked(client: &Client, method: Method, path: &str, body: Value) -> Answer {
    let bytes = body.to_string().into_bytes();
    let chunks: Vec<_> = bytes.chunks(7).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect();
    let body = Body::from_stream(stream::iter(chunks));
    client.header("transfer-encoding", "chunked").send_body(method, path, body).await
}

/// The headers of every request of the client.
fn speaking(client: &Client) -> Client {
    client
        .header("user-agent", "akkeris-cli")
        .header("content-type", "application/json")
        .header("accept", "*/*")
}

/// What stands at a path such as `organization.name`; nothing is `null`.
fn at<'v>(value: &'v Value, path: &str) -> &'v Value {
    value.pointer(&format!("/{}", path.replace('.', "/"))).unwrap_or(&Value::Null)
}

/// The text at a path.
#[track_caller]
fn text<'v>(value: &'v Value, path: &str) -> &'v str {
    let found = at(value, path).as_str();
    assert!(found.is_some(), "{path} is no text in {value}");
    found.unwrap()
}

/// At each of these paths stands a text, which may be empty.
#[track_caller]
fn strings(value: &Value, paths: &[&str]) {
    for path in paths {
        text(value, path);
    }
}

/// The elements of a list that is not empty, so that what is said of each is said of something.
#[track_caller]
fn list(value: &Value) -> &[Value] {
    let elements = value.as_array().filter(|elements| !elements.is_empty());
    assert!(elements.is_some(), "{value} is no list with elements");
    elements.unwrap()
}

/// The client can print this with its `print`.
#[track_caller]
fn assert_printable(value: &Value) {
    let complaint = unprintable(value);
    assert!(complaint.is_none(), "{} is what print crashes on, in {value}", complaint.unwrap_or_default());
}

/// Where `print` crashes: it shows two levels whatever they are, and below them flat things without null.
/// A list is shown as a table with the columns of its first row.
fn unprintable(value: &Value) -> Option<String> {
    match value {
        Value::Object(_) => children(value).find_map(|(a, inner)| {
            children(inner).find_map(|(b, deep)| {
                let flat = |of: &Value| !(of.is_null() || of.is_object() || of.is_array());
                children(deep).find(|(_, leaf)| !flat(leaf)).map(|(c, _)| format!("{a}.{b}.{c}"))
            })
        }),
        Value::Array(rows) => {
            let columns = rows.first().map(|row| children(row).map(|(name, _)| name).collect::<Vec<_>>());
            let complete = |row: &Value| {
                let mut columns = columns.iter().flatten();
                row.is_object() && columns.all(|name| row.get(name).is_some())
            };
            rows.iter().position(|row| !complete(row)).map(|row| format!("[{row}]"))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Some("what is no object and no list".to_owned())
        }
    }
}

/// The named parts of an object, or the numbered ones of a list.
fn children(value: &Value) -> Box<dyn Iterator<Item = (String, &Value)> + '_> {
    match value {
        Value::Object(fields) => Box::new(fields.iter().map(|(name, field)| (name.clone(), field))),
        Value::Array(elements) => {
            Box::new(elements.iter().enumerate().map(|(index, element)| (index.to_string(), element)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Box::new(std::iter::empty()),
    }
}

#[test]
fn print_crashes_on_null_three_levels_deep_only() {
    for good in [
        json!({ "a": null, "b": { "c": null, "d": { "e": "x", "f": 1 } }, "g": [1, { "h": true }] }),
        json!([]),
        json!([{ "a": 1 }, { "a": null, "b": 2 }]),
    ] {
        assert_eq!(unprintable(&good), None, "{good}");
    }
    for (bad, at) in [
        (json!({ "a": { "b": { "c": null } } }), "a.b.c"),
        (json!({ "a": { "b": { "c": { "d": 1 } } } }), "a.b.c"),
        (json!({ "a": [{ "b": null }] }), "a.0.b"),
        (json!([{ "a": 1 }, { "b": 2 }]), "[1]"),
        (json!([{ "a": 1 }, null]), "[1]"),
        (json!(null), "what is no object and no list"),
    ] {
        assert_eq!(unprintable(&bad).as_deref(), Some(at), "{bad}");
    }
}

#[tokio::test]
async fn any_command_shows_an_error_as_its_status_and_its_message() {
    let aka = Aka::with_app().await;
    for (answer, status) in [
        (aka.client.get("/apps/nobody-default").await, 404),
        (
            aka.send(Method::POST, "/apps", json!({ "name": "app", "space": "default", "org": "akkeris" }))
                .await,
            409,
        ),
        (aka.send(Method::POST, "/apps", json!({ "name": "app" })).await, 422),
        (aka.delete("/apps/app-default/formation/nothing").await, 404),
        (aka.client.get("/no/such/path").await, 404),
    ] {
        assert!(!answer.error(status).is_empty());
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/json"));
        strings(&answer.json(status), &["id", "message"]);
    }
}

#[tokio::test]
async fn any_command_says_not_logged_in_for_401_only() {
    let aka = Aka::start().await;
    for stranger in [aka.daemon.anonymous(), aka.daemon.with_secret("wrong")] {
        speaking(&stranger).get("/apps").await.error(401);
    }
    // Known, but not allowed: only an administrator makes regions and stacks.
    let alice = speaking(&aka.daemon.personal("alice").await);
    alice.post("/stacks", json!({ "name": "ds9", "region": "us-seattle" })).await.error(403);
}

#[tokio::test]
async fn any_command_lacking_an_app_picks_one_of_the_names_that_the_list_shows() {
    let aka = Aka::with_app().await;
    let apps = aka.get("/apps").await;
    let picked = text(&list(&apps)[0], "name");
    assert_eq!(picked, "app-default");
    assert_eq!(text(&aka.get(&format!("/apps/{picked}")).await, "name"), picked);
}
