//! Releases, walked as the document shows them, and what it leaves open. Nothing runs here: suite 2 releases
//! for real.

use akkerisd::model::build::{BuildState, ImageId};
use akkerisd::model::command::Command;
use akkerisd::model::ids::{AppId, BuildId};
use akkerisd::model::names::ProcessType;
use akkerisd::model::principal::Principal;
use akkerisd::model::release::ReleaseState;
use akkerisd::model::time::Timestamp;
use akkerisd::store::{self, StoreError};
use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

const PATH: &str = "/apps/app-space/releases";

fn documented() -> Value {
    json!({
        "app": { "id": "4f739e5e-4cf7-11e6-beb8-9e71128cae77", "name": "app-space" },
        "created_at": "2016-07-19T00:34:21.602Z",
        "description": "new release v1.0",
        "slug": { "id": "c5b5896f-7896-4a11-80f0-dbb0e6c00ac5" },
        "id": "09a1a1b8-8318-4445-8752-fb3339173100",
        "status": "succeeded",
        "state": "success",
        "user": { "id": "09eac4cd-4824-f569-bdc4-420656e65ce2", "email": "" },
        // A number, by reading 6.
        "version": 1,
        "current": true
    })
}

async fn with_app() -> (TestDaemon, Client, AppId) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    client.post("/spaces", json!({ "name": "space" })).await.json(201);
    let body = json!({ "name": "app", "space": "space", "org": "akkeris" });
    let app = client.post("/apps", body).await.json(201);
    let id = app.get("id").and_then(Value::as_str).unwrap().parse().unwrap();
    (daemon, client, id)
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value.get(field).and_then(Value::as_str).unwrap()
}

async fn write(
    daemon: &TestDaemon,
    work: impl FnOnce(&mut store::Tx<'_>) -> Result<(), StoreError> + Send + 'static,
) {
    daemon.state.store.write(&Principal::daemon(), work).await.unwrap();
}

/// A build of the app that succeeded, with this Procfile.
async fn slug(daemon: &TestDaemon, client: &Client, app: &str, procfile: &[(&str, &str)]) -> BuildId {
    let made = client.post(&format!("/apps/{app}/builds"), json!({ "url": "data:,x" })).await.json(201);
    let id: BuildId = text(&made, "id").parse().unwrap();
    let types: Vec<(ProcessType, Command)> = procfile
        .iter()
        .map(|(process_type, command)| {
            (ProcessType::parse(process_type).unwrap(), Command::parse(command).unwrap())
        })
        .collect();
    write(daemon, move |tx| {
        store::builds::set_process_types(tx, id, &types)?;
        let finished_at = Timestamp::from_millis(1);
        store::builds::set_state(
            tx,
            id,
            &BuildState::Succeeded { image: ImageId::new("sha256:1"), finished_at },
        )
    })
    .await;
    id
}

/// Ends the newest release as the reconciler would.
async fn succeed(daemon: &TestDaemon, app: AppId) {
    write(daemon, move |tx| {
        let mut release = store::releases::newest_live(tx, app)?.unwrap();
        release.state = ReleaseState::Succeeded { at: tx.now() };
        store::releases::set_state(tx, &release)
    })
    .await;
}

async fn formations(client: &Client) -> Vec<(String, u64, Value)> {
    let all = client.get("/apps/app-space/formation").await.json(200);
    let mut all: Vec<_> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            let quantity = f.get("quantity").and_then(Value::as_u64).unwrap();
            (text(f, "type").to_owned(), quantity, f.get("command").cloned().unwrap())
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[tokio::test]
async fn create_release_as_documented() {
    let (daemon, client, _) = with_app().await;
    let slug = slug(&daemon, &client, "app-space", &[]).await;
    let body = json!({ "slug": slug.to_string(), "description": "new release v1.0" });
    let made = client.post(PATH, body).await.json(201);
    assert_shape(&documented(), &made, &[]);
    assert_eq!((text(&made, "status"), text(&made, "description")), ("queued", "new release v1.0"));
    assert_eq!((made.get("version"), made.get("current")), (Some(&json!(1)), Some(&json!(true))));
    let kinds = {
        let app = text(made.get("app").unwrap(), "id").parse().unwrap();
        daemon.state.store.read(move |c| store::events::kinds_of_app(c, app)).await.unwrap()
    };
    assert!(kinds.contains(&"release_created".to_owned()), "{kinds:?}");
}

#[tokio::test]
async fn create_release_names_the_app_as_the_dialect_wants() {
    let (daemon, client, _) = with_app().await;
    slug(&daemon, &client, "app-space", &[]).await;
    let short = client.post(PATH, json!({ "slug": "latest" })).await.json(201);
    assert_eq!(text(short.get("app").unwrap(), "name"), "app");
    let reference = client.header("x-akkeris-dialect", "reference");
    let all = reference.get(PATH).await.json(200);
    assert_eq!(text(all.as_array().unwrap().first().unwrap().get("app").unwrap(), "name"), "app-space");
}

#[tokio::test]
async fn create_release_refuses_what_cannot_be_released() {
    let (daemon, client, _) = with_app().await;
    client.post(PATH, json!({ "slug": "latest" })).await.error(422);
    let good = slug(&daemon, &client, "app-space", &[]).await.to_string();
    let nil = uuid::Uuid::nil().to_string();
    for body in [
        json!({}),
        json!({ "slug": good, "release": nil }),
        json!({ "slug": "x" }),
        json!({ "release": "x" }),
    ] {
        client.post(PATH, body).await.error(422);
    }
    let long = json!({ "slug": good, "description": "x".repeat(2000) });
    client.post(PATH, long).await.error(422);
    client.post(PATH, json!({ "slug": nil })).await.error(409);
    client.post(PATH, json!({ "release": nil })).await.error(404);
    let queued = client.post("/apps/app-space/builds", json!({ "url": "data:,x" })).await.json(201);
    client.post(PATH, json!({ "slug": text(&queued, "id") })).await.error(409);
    let other = json!({ "name": "other", "space": "space", "org": "akkeris" });
    client.post("/apps", other).await.json(201);
    let foreign = slug(&daemon, &client, "other-space", &[]).await;
    client.post(PATH, json!({ "slug": foreign.to_string() })).await.error(409);
    assert_eq!(client.get(PATH).await.json(200), json!([]));
}

#[tokio::test]
async fn create_release_refuses_the_slug_of_a_failed_build() {
    let (daemon, client, _) = with_app().await;
    let build: BuildId =
        text(&client.post("/apps/app-space/builds", json!({ "url": "data:,x" })).await.json(201), "id")
            .parse()
            .unwrap();
    let failed =
        BuildState::Failed { reason: "no Dockerfile".to_owned(), finished_at: Timestamp::from_millis(1) };
    write(&daemon, move |tx| store::builds::set_state(tx, build, &failed)).await;
    client.post(PATH, json!({ "slug": build.to_string() })).await.error(409);
    client.post(PATH, json!({ "slug": "latest" })).await.error(422);
    assert_eq!(client.get(PATH).await.json(200), json!([]));
}

#[tokio::test]
async fn create_release_rolls_back_to_the_slug_of_an_older_one() {
    let (daemon, client, app) = with_app().await;
    let first = slug(&daemon, &client, "app-space", &[]).await;
    let old = client.post(PATH, json!({ "slug": first.to_string() })).await.json(201);
    succeed(&daemon, app).await;
    let second = slug(&daemon, &client, "app-space", &[]).await;
    client.post(PATH, json!({ "slug": second.to_string() })).await.json(201);
    succeed(&daemon, app).await;
    let back = json!({ "release": text(&old, "id"), "description": "ignored" });
    let back = client.post(PATH, back).await.json(201);
    assert_eq!(text(&back, "description"), format!("Rollback to {}", text(&old, "id")));
    assert_eq!(back.get("slug"), old.get("slug"));
    assert_eq!(back.get("version"), Some(&json!(3)));
}

#[tokio::test]
async fn list_releases_and_view_release_as_documented() {
    let (daemon, client, app) = with_app().await;
    let slug = slug(&daemon, &client, "app-space", &[]).await.to_string();
    client.post(PATH, json!({ "slug": slug })).await.json(201);
    succeed(&daemon, app).await;
    client.post(PATH, json!({ "slug": slug })).await.json(201);
    let all = client.get(PATH).await.json(200);
    assert_shape(&json!([documented()]), &all, &[]);
    let all = all.as_array().unwrap();
    let versions: Vec<_> = all.iter().filter_map(|r| r.get("version").and_then(Value::as_u64)).collect();
    assert_eq!(versions, [1, 2], "oldest first");
    let current: Vec<_> = all.iter().filter_map(|r| r.get("current").and_then(Value::as_bool)).collect();
    assert_eq!(current, [true, false], "the newest that succeeded");
    let first = all.first().unwrap();
    let one = client.get(&format!("{PATH}/{}", text(first, "id"))).await.json(200);
    assert_eq!(&one, first);
    client.get(&format!("{PATH}/nonsense")).await.error(422);
    client.get(&format!("{PATH}/{}", uuid::Uuid::nil())).await.error(404);
}

#[tokio::test]
async fn create_release_makes_web_when_there_is_no_formation() {
    let (daemon, client, _) = with_app().await;
    slug(&daemon, &client, "app-space", &[]).await;
    client.post(PATH, json!({ "slug": "latest" })).await.json(201);
    assert_eq!(formations(&client).await, [("web".to_owned(), 1, Value::Null)]);
}

#[tokio::test]
async fn create_release_follows_the_procfile_but_not_over_what_the_user_set() {
    let (daemon, client, _) = with_app().await;
    let all = [("web", "serve"), ("worker", "work"), ("clock", "tick")];
    slug(&daemon, &client, "app-space", &all).await;
    client.post(PATH, json!({ "slug": "latest" })).await.json(201);
    let expected = [("clock", 0, "tick"), ("web", 1, "serve"), ("worker", 0, "work")]
        .map(|(process_type, quantity, command)| (process_type.to_owned(), quantity, json!(command)));
    assert_eq!(formations(&client).await, expected);
    let own = json!({ "command": "my own" });
    client.patch("/apps/app-space/formation/worker", own).await.json(200);
    slug(&daemon, &client, "app-space", &[("web", "serve -v"), ("worker", "work -v")]).await;
    client.post(PATH, json!({ "slug": "latest" })).await.json(201);
    let expected = [("web", 1, "serve -v"), ("worker", 0, "my own")]
        .map(|(process_type, quantity, command)| (process_type.to_owned(), quantity, json!(command)));
    assert_eq!(formations(&client).await, expected, "the untouched clock went with its line");
}
