//! Builds and slugs, walked as the document shows them, and what it leaves open. The engine is not asked:
//! suite 2 builds for real.

use akkerisd::model::build::{BuildState, BuildStep, ImageId};
use akkerisd::model::event::Event;
use akkerisd::model::ids::{AppId, BuildId};
use akkerisd::model::principal::Principal;
use akkerisd::model::time::Timestamp;
use akkerisd::store::{self, StoreError};
use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

const PATH: &str = "/apps/app-default/builds";
/// "hello", as the content of a source; that it is no archive shows only when it is built.
const URL: &str = "data:base64,aGVsbG8=";

fn documented() -> Value {
    json!({
        "app": { "id": "4f739e5e-4cf7-11e6-beb8-9e71128cae77", "key": "app-name" },
        "buildpacks": null,
        "created_at": "2016-07-18T19:34:07.740Z",
        "id": "999b5ce9-b60c-42c4-bca5-e442cd86df78",
        "output_stream_url": "/apps/app-space/builds/999b5ce9-b60c-42c4-bca5-e442cd86df78/result",
        "source_blob": {
            "checksum": "sha256:b0cef53230ead3fb08b2b82d8f933a5a611fbabf416b2117d6896c7f5bde57b8",
            "url": "",
            "version": "v1.0",
            "commit": "123456",
            // Not in the document, but what `aka` reads.
            "author": "", "repo": "", "branch": "", "message": ""
        },
        "release": null,
        "slug": { "id": "999b5ce9-b60c-42c4-bca5-e442cd86df78" },
        "status": "succeeded",
        "updated_at": "2016-07-18T19:36:56.609Z",
        "user": { "id": "09eac4cd-4824-f569-bdc4-420656e65ce2", "email": "" }
    })
}

async fn with_app() -> (TestDaemon, Client, AppId) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let body = json!({ "name": "app", "space": "default", "org": "akkeris" });
    let app = client.post("/apps", body).await.json(201);
    let id = app.get("id").and_then(Value::as_str).unwrap().parse().unwrap();
    (daemon, client, id)
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap()
}

fn id(build: &Value) -> BuildId {
    text(build, "id").parse().unwrap()
}

async fn create(client: &Client) -> BuildId {
    id(&client.post(PATH, json!({ "url": URL })).await.json(201))
}

/// Moves a build on behind the daemon's back, as the builder would.
pub(crate) async fn set_state(daemon: &TestDaemon, build: BuildId, state: BuildState) {
    let write = move |tx: &mut store::Tx<'_>| store::builds::set_state(tx, build, &state);
    daemon.state.store.write::<(), StoreError, _>(&Principal::daemon(), write).await.unwrap();
}

pub(crate) fn running() -> BuildState {
    BuildState::Running { step: BuildStep::Building, since: Timestamp::from_millis(1), attempt: 1 }
}

pub(crate) fn succeeded() -> BuildState {
    BuildState::Succeeded { image: ImageId::new("sha256:1"), finished_at: Timestamp::from_millis(2) }
}

#[tokio::test]
async fn create_build_as_documented() {
    let (_daemon, client, _) = with_app().await;
    let body = json!({
        "sha": "e700000c19787fcd0c1a10b6a02b6221f5d73523", "org": "test",
        "repo": "https://github.com/akkeris/some-repo", "branch": "master", "version": "v1.0",
        "checksum": "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "url": URL
    });
    let made = client.post(PATH, body).await.json(201);
    assert_shape(&documented(), &made, &["buildpacks", "release"]);
    assert_eq!(text(&made, "status"), "queued");
    let source = made.get("source_blob").unwrap();
    assert_eq!(
        (text(source, "url"), text(source, "branch"), text(source, "author")),
        ("", "master", "admin")
    );
    assert_eq!(made.get("slug").and_then(|slug| slug.get("id")), made.get("id"));
}

#[tokio::test]
async fn create_build_takes_the_three_forms_of_data_and_hides_userinfo() {
    let (_daemon, client, _) = with_app().await;
    for url in ["data:base64,aGVsbG8=", "data:application/zip;base64,aGVsbG8=", "data:,hello"] {
        let made = client.post(PATH, json!({ "url": url })).await.json(201);
        assert_eq!(text(made.get("source_blob").unwrap(), "url"), "", "{url}");
    }
    for (url, shown) in [
        ("https://user:word@host/x.zip", "https://host/x.zip"),
        ("docker://user:word@registry/repo:1", "docker://registry/repo:1"),
    ] {
        let answer = client.post(PATH, json!({ "url": url })).await;
        assert_eq!(text(answer.json(201).get("source_blob").unwrap(), "url"), shown);
        assert!(!answer.text().contains("word"), "{}", answer.text());
    }
}

#[tokio::test]
async fn create_build_refuses_what_is_no_source_and_stores_nothing() {
    let (daemon, client, _) = with_app().await;
    for body in [
        json!({}),
        json!({ "url": "" }),
        json!({ "url": 5 }),
        json!({ "url": "ftp://host/x" }),
        json!({ "url": "data:base64," }),
        json!({ "url": "data:base64,?" }),
        json!({ "url": "docker://registry/repo" }),
        json!({ "url": URL, "sha": "x".repeat(9000) }),
        json!({ "url": URL, "checksum": "x".repeat(300) }),
    ] {
        let shown = body.to_string();
        let answer = client.post(PATH, body).await;
        assert_eq!(answer.status.as_u16(), 422, "{shown}: {}", answer.text());
        assert!(!answer.error(422).is_empty());
    }
    for malformed in ["", "{", "[1]", "\"x\""] {
        let answer = client.send_body(http::Method::POST, PATH, malformed).await;
        assert_eq!(answer.status.as_u16(), 400, "{malformed:?}: {}", answer.text());
    }
    let too_long = json!({ "url": URL, "branch": "x".repeat(9000) });
    client.post(PATH, too_long).await.error(422);
    let invalid = client.send_body(http::Method::POST, PATH, b"{\"url\":\"\xff\"}".to_vec()).await;
    assert_eq!(invalid.status.as_u16(), 400);
    assert_eq!(client.get(PATH).await.json(200), json!([]));
    let kept = std::fs::read_dir(daemon.dir.path().join("sources")).unwrap().count();
    assert_eq!(kept, 0, "an upload of a refused build is not kept");
    client.post("/apps/nothing-default/builds", json!({ "url": URL })).await.error(404);
}

#[tokio::test]
async fn create_build_needs_elevation_in_a_protected_space() {
    let (daemon, client, _) = with_app().await;
    client.patch("/spaces/default", json!({ "compliance": ["socs"] })).await.json(200);
    daemon.personal("ada").await.post(PATH, json!({ "url": URL })).await.error(403);
    client.post(PATH, json!({ "url": URL })).await.json(201);
}

#[tokio::test]
async fn list_builds_and_view_build_as_documented() {
    let (_daemon, client, _) = with_app().await;
    let (first, second) = (create(&client).await, create(&client).await);
    let all = client.get(PATH).await.json(200);
    assert_shape(&json!([documented()]), &all, &["buildpacks", "release"]);
    let ids: Vec<BuildId> = all.as_array().unwrap().iter().map(id).collect();
    assert_eq!(ids, [first, second], "oldest first");
    let one = client.get(&format!("{PATH}/{first}")).await.json(200);
    assert_eq!(Some(&one), all.as_array().unwrap().first());
    client.get(&format!("{PATH}/nonsense")).await.error(422);
    client.get(&format!("{PATH}/{}", uuid::Uuid::nil())).await.error(404);
}

#[tokio::test]
async fn view_build_result_grows_and_ends_with_its_last_line() {
    let (daemon, client, _) = with_app().await;
    let build = create(&client).await;
    let path = format!("{PATH}/{build}/result");
    let queued = client.get(&path).await.json(200);
    assert_eq!(queued.get("lines"), Some(&json!([])));
    let mut log = daemon.state.build_logs.open(build).await.unwrap();
    log.note("Building").await.unwrap();
    assert_eq!(client.get(&path).await.json(200).get("lines"), Some(&json!(["Building"])));
    log.finish(true).await.unwrap();
    let ended = client.get(&path).await.json(200);
    assert_eq!(ended.get("lines"), Some(&json!(["Building", "Finished: SUCCESS"])));
    let documented = json!({ "build": { "id": "x", "status": "succeeded" }, "lines": ["x"] });
    assert_shape(&documented, &ended, &[]);
}

#[tokio::test]
async fn delete_build_stops_a_running_one_only() {
    let (daemon, client, _) = with_app().await;
    let build = create(&client).await;
    let path = format!("{PATH}/{build}");
    client.delete(&path).await.error(409);
    set_state(&daemon, build, running()).await;
    assert_eq!(text(&client.get(&path).await.json(200), "status"), "pending");
    let stopped = client.delete(&path).await;
    assert_eq!((stopped.status.as_u16(), stopped.text().as_str()), (205, ""));
    let view = client.get(&path).await.json(200);
    assert_eq!(
        (text(&view, "status"), text(&view, "failure_message")),
        ("failed", "The build was stopped by admin.")
    );
    client.delete(&path).await.error(422);
    client.delete(&format!("{PATH}/{}", uuid::Uuid::nil())).await.error(404);
}

#[tokio::test]
async fn builds_tell_what_happened_to_them() {
    let (daemon, client, app) = with_app().await;
    let mut events = daemon.events().await;
    let build = create(&client).await;
    assert_eq!(*events.next().await, Event::BuildCreated { app, build });
    set_state(&daemon, build, running()).await;
    client.send(http::Method::DELETE, &format!("{PATH}/{build}")).await;
    assert_eq!(*events.next().await, Event::BuildStopped { app, build });
}

#[tokio::test]
async fn a_build_is_not_found_below_another_app() {
    let (_daemon, client, _) = with_app().await;
    let build = create(&client).await;
    client.post("/apps", json!({ "name": "other", "space": "default", "org": "akkeris" })).await.json(201);
    let path = format!("/apps/other-default/builds/{build}");
    for (method, path) in [
        (http::Method::GET, path.clone()),
        (http::Method::GET, format!("{path}/result")),
        (http::Method::PUT, path.clone()),
        (http::Method::DELETE, path),
    ] {
        client.send(method, &path).await.error(404);
    }
}

#[tokio::test]
async fn rebuild_build_keeps_an_address_and_needs_elevation_in_a_protected_space() {
    let (daemon, client, _) = with_app().await;
    for url in ["https://user:word@host/x.zip", "docker://registry/repo:1"] {
        let old = client.post(PATH, json!({ "url": url })).await.json(201);
        let again = client.send(http::Method::PUT, &format!("{PATH}/{}", id(&old))).await.json(201);
        assert_eq!(again.get("source_blob"), old.get("source_blob"));
    }
    let path = format!("{PATH}/{}", create(&client).await);
    client.patch("/spaces/default", json!({ "compliance": ["socs"] })).await.json(200);
    daemon.personal("ada").await.send(http::Method::PUT, &path).await.error(403);
}

#[tokio::test]
async fn rebuild_build_makes_another_of_the_same_source() {
    let (daemon, client, _) = with_app().await;
    let body = json!({ "url": URL, "sha": "abc", "branch": "main", "checksum": "sha256:x" });
    let old = client.post(PATH, body).await.json(201);
    let again = client.send(http::Method::PUT, &format!("{PATH}/{}", id(&old))).await.json(201);
    assert_ne!(id(&again), id(&old));
    assert_eq!(again.get("source_blob"), old.get("source_blob"));
    assert_eq!(text(&again, "status"), "queued");
    daemon.state.sources.remove(id(&old)).await.unwrap();
    let gone = client.send(http::Method::PUT, &format!("{PATH}/{}", id(&old))).await;
    assert!(gone.error(422).contains("no longer stored"));
    assert_eq!(client.get(PATH).await.json(200).as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn view_slug_answers_for_every_build_also_of_a_deleted_app() {
    let (daemon, client, _) = with_app().await;
    let build = create(&client).await;
    let path = format!("/slugs/{build}");
    assert_eq!(text(&client.get(&path).await.json(200), "status"), "queued");
    set_state(&daemon, build, succeeded()).await;
    client.delete("/apps/app-default").await.json(200);
    let slug = client.get(&path).await.json(200);
    assert_shape(&documented(), &slug, &["buildpacks", "release"]);
    assert_eq!(text(&slug, "status"), "succeeded");
    client.get("/slugs/nonsense").await.error(422);
    client.get(&format!("/slugs/{}", uuid::Uuid::nil())).await.error(404);
}
