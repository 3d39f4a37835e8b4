//! Release statuses: contexts, their combined state, and what is refused.

use akkerisd::model::build::{BuildState, ImageId};
use akkerisd::model::ids::BuildId;
use akkerisd::model::principal::Principal;
use akkerisd::model::time::Timestamp;
use akkerisd::store::{self, StoreError};
use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

const RELEASES: &str = "/apps/app-default/releases";

fn documented() -> Value {
    json!({
        "id": "09a1a1b8-8318-4445-8752-fb3339173100",
        "state": "pending",
        "name": "Unit tests",
        "description": "",
        "context": "ci/tests",
        "target_url": "",
        "image_url": "",
        "created_at": "2016-07-19T00:34:21.602Z",
        "updated_at": "2016-07-19T00:34:21.602Z",
        "release": { "id": "09a1a1b8-8318-4445-8752-fb3339173100" }
    })
}

/// A daemon with an app that has one release; the path of its statuses.
async fn with_release() -> (TestDaemon, Client, String) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    client.post("/apps", json!({ "name": "app", "space": "default", "org": "akkeris" })).await.json(201);
    let build = client.post("/apps/app-default/builds", json!({ "url": "data:,x" })).await.json(201);
    let id: BuildId = build.get("id").and_then(Value::as_str).unwrap().parse().unwrap();
    let done =
        BuildState::Succeeded { image: ImageId::new("sha256:1"), finished_at: Timestamp::from_millis(1) };
    let write = move |tx: &mut store::Tx<'_>| store::builds::set_state(tx, id, &done);
    daemon.state.store.write::<(), StoreError, _>(&Principal::daemon(), write).await.unwrap();
    let release = client.post(RELEASES, json!({ "slug": id.to_string() })).await.json(201);
    let path = format!("{RELEASES}/{}/statuses", release.get("id").and_then(Value::as_str).unwrap());
    (daemon, client, path)
}

fn check(context: &str, state: &str) -> Value {
    json!({ "context": context, "state": state, "name": "Unit tests" })
}

#[tokio::test]
async fn create_view_and_list_release_statuses() {
    let (_daemon, client, path) = with_release().await;
    let empty = client.get(&path).await.json(200);
    assert_eq!((&empty["state"], &empty["statuses"]), (&json!("success"), &json!([])));
    let made = client.post(&path, check("ci/tests", "pending")).await.json(201);
    assert_shape(&documented(), &made, &[]);
    assert_eq!(client.get(&format!("{path}/{}", made["id"].as_str().unwrap())).await.json(200), made);
    let all = client.get(&path).await.json(200);
    assert_eq!(all["statuses"], json!([made]));
    assert_eq!(all["release"]["id"], made["release"]["id"]);
    assert_eq!((&all["state"], &all["release"]["state"]), (&json!("pending"), &json!("pending")));
}

#[tokio::test]
async fn the_worst_check_decides_the_state_of_the_release() {
    let (_daemon, client, path) = with_release().await;
    let release = path.trim_end_matches("/statuses");
    for (context, state, combined) in [
        ("ci/one", "success", "success"),
        ("ci/two", "pending", "pending"),
        ("ci/three", "failure", "failure"),
        ("ci/four", "error", "error"),
    ] {
        client.post(&path, check(context, state)).await.json(201);
        assert_eq!(client.get(release).await.json(200)["state"], combined);
        assert_eq!(client.get(RELEASES).await.json(200)[0]["state"], combined);
    }
    for status in client.get(&path).await.json(200)["statuses"].as_array().unwrap() {
        let one = format!("{path}/{}", status["id"].as_str().unwrap());
        client.patch(&one, json!({ "state": "success" })).await.json(200);
    }
    assert_eq!(client.get(release).await.json(200)["state"], "success");
}

#[tokio::test]
async fn update_release_status_keeps_what_is_absent() {
    let (_daemon, client, path) = with_release().await;
    let made = client.post(&path, check("ci/tests", "pending")).await.json(201);
    let one = format!("{path}/{}", made["id"].as_str().unwrap());
    let change = json!({ "state": "success", "target_url": "https://ci.example/1" });
    let changed = client.patch(&one, change).await.json(200);
    assert_eq!((&changed["state"], &changed["name"]), (&json!("success"), &json!("Unit tests")));
    assert_eq!(changed["target_url"], "https://ci.example/1");
    for body in [
        json!({}),
        json!({ "state": "great" }),
        json!({ "state": "error", "context": "ci/tests" }),
        json!({ "state": "error", "name": "x" }),
        json!({ "state": "error", "image_url": "ftp://x" }),
    ] {
        let shown = body.to_string();
        assert!(!client.patch(&one, body).await.error(422).is_empty(), "{shown}");
    }
    assert_eq!(client.get(&one).await.json(200), changed);
}

#[tokio::test]
async fn bad_statuses_are_refused_and_nothing_is_stored() {
    let (_daemon, client, path) = with_release().await;
    let with = |field: &str, value: Value| {
        let mut body = check("ci/tests", "pending");
        body[field] = value;
        body
    };
    for body in [
        json!({}),
        with("context", json!("short")),
        with("context", json!("has spaces in it")),
        with("context", json!("x".repeat(32))),
        with("state", json!("great")),
        with("name", json!("abc")),
        with("name", json!("x".repeat(256))),
        with("description", json!("x".repeat(1024))),
        with("target_url", json!("javascript:1")),
        with("image_url", json!(format!("https://{}", "x".repeat(256)))),
    ] {
        let shown = body.to_string();
        assert!(!client.post(&path, body).await.error(422).is_empty(), "{shown}");
    }
    client.get(&format!("{RELEASES}/nonsense/statuses")).await.error(422);
    client.get(&format!("{path}/nonsense")).await.error(422);
    let nil = uuid::Uuid::nil();
    client.get(&format!("{RELEASES}/{nil}/statuses")).await.error(404);
    client.post(&format!("{RELEASES}/{nil}/statuses"), check("ci/tests", "error")).await.error(404);
    client.get(&format!("{path}/{nil}")).await.error(404);
    client.patch(&format!("{path}/{nil}"), json!({ "state": "error" })).await.error(404);
    assert_eq!(client.get(&path).await.json(200)["statuses"], json!([]));
    client.post(&path, check("ci/tests", "pending")).await.json(201);
    assert!(client.post(&path, check("ci/tests", "error")).await.error(422).contains("already"));
}
