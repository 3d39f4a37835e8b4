//! Pipelines and couplings, walked as the document shows them, and what it leaves open. Nothing runs here: a
//! release succeeds or fails because a test says so.

use akkerisd::model::build::{BuildState, ImageId};
use akkerisd::model::ids::{AppId, BuildId};
use akkerisd::model::principal::Principal;
use akkerisd::model::release::ReleaseState;
use akkerisd::model::time::Timestamp;
use akkerisd::store::{self, StoreError, Tx};
use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

pub(crate) const COUPLINGS: &str = "/pipeline-couplings";

fn documented() -> Value {
    json!({
        "created_at": "2016-01-01T12:00:00Z",
        "id": "abc34567-99ab-cdef-0123-456789abcdef",
        "name": "my-test-pipeline",
        "updated_at": "2016-01-01T12:00:00Z"
    })
}

fn documented_coupling() -> Value {
    json!({
        "app": { "id": "01234567-89ab-cdef-0123-456789abcdef" },
        "created_at": "2016-01-01T12:00:00Z",
        "id": "abc34567-99ab-cdef-0123-456789abcdef",
        "pipeline": { "id": "abc34567-99ab-cdef-0123-456789abcdef" },
        "stage": "development",
        "updated_at": "2016-01-01T12:00:00Z"
    })
}

pub(crate) fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap()
}

/// The pipeline `pipe` and these apps of the space `space`, each in its stage.
pub(crate) async fn with_stages(apps: &[(&str, &str)]) -> (TestDaemon, Client) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    client.post("/spaces", json!({ "name": "space" })).await.json(201);
    client.post("/pipelines", json!({ "name": "pipe" })).await.json(201);
    for (app, stage) in apps {
        add_app(&client, app).await;
        couple(&client, app, stage).await.json(201);
    }
    (daemon, client)
}

pub(crate) async fn add_app(client: &Client, name: &str) -> String {
    let app = json!({ "name": name, "space": "space", "org": "akkeris" });
    text(&client.post("/apps", app).await.json(201), "id").to_owned()
}

/// A coupling as the answer to a change shows it (`behaviour.md` §19).
fn without_release(read: &Value) -> Value {
    let mut coupling = read.clone();
    assert!(coupling.as_object_mut().unwrap().remove("release").is_some(), "{read}");
    coupling
}

async fn couple(client: &Client, app: &str, stage: &str) -> crate::support::Answer {
    let body = json!({ "app": format!("{app}-space"), "pipeline": "pipe", "stage": stage });
    client.post(COUPLINGS, body).await
}

pub(crate) async fn id_of(client: &Client, app: &str) -> AppId {
    text(&client.get(&format!("/apps/{app}")).await.json(200), "id").parse().unwrap()
}

async fn write(
    daemon: &TestDaemon,
    work: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static,
) {
    daemon.state.store.write(&Principal::daemon(), work).await.unwrap();
}

/// A slug of the app, made as a builder would.
pub(crate) async fn slug(daemon: &TestDaemon, client: &Client, app: &str) -> String {
    let source = json!({ "url": "data:,x", "sha": "c0ffee", "branch": "main" });
    let made = client.post(&format!("/apps/{app}/builds"), source).await.json(201);
    let id: BuildId = text(&made, "id").parse().unwrap();
    let finished_at = Timestamp::from_millis(1);
    let done = BuildState::Succeeded { image: ImageId::new("sha256:1"), finished_at };
    write(daemon, move |tx| store::builds::set_state(tx, id, &done)).await;
    id.to_string()
}

/// A release of a new slug of the app, not yet on its dynos.
pub(crate) async fn release(daemon: &TestDaemon, client: &Client, app: &str) -> Value {
    let slug = slug(daemon, client, app).await;
    client.post(&format!("/apps/{app}/releases"), json!({ "slug": slug })).await.json(201)
}

/// The same, on its dynos.
pub(crate) async fn released(daemon: &TestDaemon, client: &Client, app: &str) -> Value {
    let made = release(daemon, client, app).await;
    succeed(daemon, id_of(client, app).await).await;
    made
}

pub(crate) async fn succeed(daemon: &TestDaemon, app: AppId) {
    end(daemon, app, ReleaseState::Succeeded { at: Timestamp::from_millis(2) }).await;
}

/// Ends the newest release of the app as the reconciler would.
pub(crate) async fn end(daemon: &TestDaemon, app: AppId, state: ReleaseState) {
    write(daemon, move |tx| {
        let mut release = store::releases::newest_live(tx, app)?.unwrap();
        release.state = state;
        store::releases::set_state(tx, &release)
    })
    .await;
}

pub(crate) async fn kinds(daemon: &TestDaemon, app: AppId) -> Vec<String> {
    daemon.state.store.read(move |c| store::events::kinds_of_app(c, app)).await.unwrap()
}

#[tokio::test]
async fn create_pipeline_as_documented() {
    let daemon = TestDaemon::start().await;
    let client = daemon.personal("alice").await;
    let body = r#"{"name":"My-Test-Pipeline"}"#;
    let made = client.send_body(http::Method::POST, "/pipelines", body).await.json(201);
    assert_shape(&documented(), &made, &[]);
    assert_eq!((text(&made, "name"), text(&made, "description")), ("my-test-pipeline", ""));
}

#[tokio::test]
async fn create_pipeline_refuses_unusable_and_taken_names() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let long = "a".repeat(24);
    for name in [json!(""), json!("ab"), json!("1abc"), json!("a b"), json!(long), json!(7), json!(null)] {
        client.post("/pipelines", json!({ "name": name })).await.error(422);
    }
    client.post("/pipelines", json!({})).await.error(422);
    client.post("/pipelines", json!({ "name": "pipe", "description": "x".repeat(2000) })).await.error(422);
    client.post("/pipelines", json!({ "name": "pipe" })).await.json(201);
    let taken = client.post("/pipelines", json!({ "name": "PIPE" })).await;
    assert_eq!(taken.error(409), "The pipeline pipe exists already.");
}

#[tokio::test]
async fn list_pipelines_and_view_pipeline_as_documented() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    assert_eq!(client.get("/pipelines").await.json(200), json!([]));
    for name in ["zeta", "alpha"] {
        client.post("/pipelines", json!({ "name": name })).await.json(201);
    }
    let all = client.get("/pipelines").await.json(200);
    assert_shape(&json!([documented()]), &all, &[]);
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|p| text(p, "name")).collect();
    assert_eq!(names, ["zeta", "alpha"], "oldest first");
    let first = &all[0];
    assert_eq!(&client.get("/pipelines/ZETA").await.json(200), first);
    assert_eq!(&client.get(&format!("/pipelines/{}", text(first, "id"))).await.json(200), first);
    for unknown in ["nobody", "-", "00000000-0000-4000-8000-00000000dead"] {
        client.get(&format!("/pipelines/{unknown}")).await.error(404);
        client.delete(&format!("/pipelines/{unknown}")).await.error(404);
        client.get(&format!("/pipelines/{unknown}/pipeline-couplings")).await.error(404);
    }
}

#[tokio::test]
async fn delete_pipeline_removes_its_couplings_and_frees_its_name() {
    let (daemon, client) = with_stages(&[("one", "development"), ("two", "staging")]).await;
    let gone = client.delete("/pipelines/pipe").await.json(200);
    assert_shape(&documented(), &gone, &[]);
    client.get("/pipelines/pipe").await.error(404);
    assert_eq!(client.get(COUPLINGS).await.json(200), json!([]));
    client.get("/apps/one-space/pipeline-couplings").await.error(404);
    client.get("/apps/one-space").await.json(200);
    let app = id_of(&client, "one-space").await;
    assert!(kinds(&daemon, app).await.contains(&"coupling_deleted".to_owned()));
    let again = client.post("/pipelines", json!({ "name": "pipe" })).await.json(201);
    assert_ne!(again["id"], gone["id"]);
    couple(&client, "one", "production").await.json(201);
}

#[tokio::test]
async fn list_pipeline_stages_shows_what_each_is_promoted_to() {
    let daemon = TestDaemon::start().await;
    let answer = daemon.admin().get("/pipeline-stages").await;
    let expected =
        r#"{"review":"development","development":"staging","staging":"production","production":null}"#;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, expected));
}

#[tokio::test]
async fn create_pipeline_coupling_as_documented() {
    let (daemon, client) = with_stages(&[]).await;
    let before = client.get("/pipelines/pipe").await.json(200);
    let app = add_app(&client, "app").await;
    let made = couple(&client, "app", "development").await.json(201);
    assert_shape(&documented_coupling(), &made, &[]);
    assert_eq!(made["app"], json!({ "id": app, "name": "app" }));
    assert_eq!(made["pipeline"], json!({ "id": before["id"], "name": "pipe" }));
    assert_eq!(made["required_status_checks"], json!({ "contexts": [] }));
    assert_eq!(made.get("release"), None, "the answer to a change is printed");
    let after = client.get("/pipelines/pipe").await.json(200);
    assert_eq!(after["updated_at"], made["updated_at"], "a coupling changes its pipeline");
    let reference = client.header("x-akkeris-dialect", "reference");
    let seen = reference.get("/apps/app/pipeline-couplings").await.json(200);
    assert_eq!(seen["app"], json!({ "id": app, "name": "app-space" }));
    assert!(kinds(&daemon, app.parse().unwrap()).await.contains(&"coupling_created".to_owned()));
}

#[tokio::test]
async fn create_pipeline_coupling_refuses_what_cannot_be_coupled() {
    let (_daemon, client) = with_stages(&[("app", "development")]).await;
    add_app(&client, "free").await;
    client.post("/pipelines", json!({ "name": "other" })).await.json(201);
    let body =
        |app: &str, pipeline: &str, stage: &str| json!({ "app": app, "pipeline": pipeline, "stage": stage });
    let stage = client.post(COUPLINGS, body("free", "pipe", "qa")).await.error(422);
    assert_eq!(stage, "The stage \"qa\" is not one of review, development, staging, production.");
    client.post(COUPLINGS, body("nobody", "pipe", "staging")).await.error(404);
    client.post(COUPLINGS, body("free", "nobody", "staging")).await.error(404);
    for missing in ["app", "pipeline", "stage"] {
        let mut body = body("free", "pipe", "staging");
        body.as_object_mut().unwrap().remove(missing);
        client.post(COUPLINGS, body).await.error(422);
    }
    for pipeline in ["pipe", "other"] {
        let taken = client.post(COUPLINGS, body("app", pipeline, "staging")).await.error(409);
        assert!(taken.contains("app-space is already in the pipeline pipe"), "{taken}");
    }
    for contexts in [json!([7]), json!("tests/unit"), json!(null), json!(["a b c d e"])] {
        let mut body = body("free", "pipe", "staging");
        body["required_status_checks"] = json!({ "contexts": contexts });
        client.post(COUPLINGS, body).await.error(422);
    }
    let mut review = body("free", "pipe", "review");
    review["required_status_checks"] = json!({ "contexts": ["tests/unit"] });
    client.post(COUPLINGS, review.clone()).await.error(422);
    review["required_status_checks"] = json!({ "contexts": [] });
    client.post(COUPLINGS, review).await.json(201);
}

#[tokio::test]
async fn list_couplings_of_pipeline_and_all_of_them_as_documented() {
    let (_daemon, client) = with_stages(&[("zeta", "staging"), ("alpha", "staging")]).await;
    client.post("/pipelines", json!({ "name": "other" })).await.json(201);
    add_app(&client, "third").await;
    let other = json!({ "app": "third", "pipeline": "other", "stage": "review" });
    client.post(COUPLINGS, other).await.json(201);
    let all = client.get(COUPLINGS).await.json(200);
    assert_shape(&json!([documented_coupling()]), &all, &[]);
    let apps = |all: &Value| -> Vec<String> {
        all.as_array().unwrap().iter().map(|c| text(&c["app"], "name").to_owned()).collect()
    };
    assert_eq!(apps(&all), ["zeta", "alpha", "third"], "oldest first");
    let pipeline = client.get("/pipelines/pipe").await.json(200);
    for named in ["pipe", text(&pipeline, "id")] {
        let of_pipeline = client.get(&format!("/pipelines/{named}/pipeline-couplings")).await.json(200);
        assert_eq!(apps(&of_pipeline), ["zeta", "alpha"]);
    }
}

#[tokio::test]
async fn view_coupling_of_app_is_one_object_with_what_runs_there() {
    let (daemon, client) = with_stages(&[("app", "development")]).await;
    add_app(&client, "free").await;
    let release = released(&daemon, &client, "app-space").await;
    let one = client.get("/apps/app-space/pipeline-couplings").await.json(200);
    assert_shape(&documented_coupling(), &one, &[]);
    assert_eq!((&one["release"]["id"], &one["release"]["version"]), (&release["id"], &json!(1)));
    let build = &one["release"]["build"];
    assert_eq!((&build["id"], &build["commit"]["sha"]), (&release["slug"]["id"], &json!("c0ffee")));
    assert_eq!(build["repository"]["branch"], "main");
    assert_eq!(client.get(&format!("{COUPLINGS}/{}", text(&one, "id"))).await.json(200), one);
    client.get("/apps/free-space/pipeline-couplings").await.error(404);
    client.get("/apps/nobody/pipeline-couplings").await.error(404);
    client.get(&format!("{COUPLINGS}/nonsense")).await.error(404);
}

#[tokio::test]
async fn delete_pipeline_coupling_as_documented() {
    let (_daemon, client) = with_stages(&[("app", "development")]).await;
    let one = client.get("/apps/app/pipeline-couplings").await.json(200);
    let path = format!("{COUPLINGS}/{}", text(&one, "id"));
    assert_eq!(client.delete(&path).await.json(200), without_release(&one));
    client.delete(&path).await.error(404);
    client.get("/apps/app/pipeline-couplings").await.error(404);
    couple(&client, "app", "staging").await.json(201);
}

#[tokio::test]
async fn delete_pipeline_coupling_happens_with_its_app() {
    let (daemon, client) = with_stages(&[("app", "development")]).await;
    let app = id_of(&client, "app").await;
    client.delete("/apps/app-space").await.json(200);
    assert_eq!(client.get("/pipelines/pipe/pipeline-couplings").await.json(200), json!([]));
    assert!(kinds(&daemon, app).await.contains(&"coupling_deleted".to_owned()));
}

#[tokio::test]
async fn update_pipeline_coupling_replaces_the_required_checks() {
    let (daemon, client) = with_stages(&[("app", "staging"), ("early", "review")]).await;
    let alice = daemon.personal("alice").await;
    let path = |coupling: &Value| format!("{COUPLINGS}/{}", text(coupling, "id"));
    let one = path(&client.get("/apps/app/pipeline-couplings").await.json(200));
    let checks = |contexts: &[&str]| json!({ "required_status_checks": { "contexts": contexts } });
    let both = checks(&["tests/unit", "tests/load"]);
    let changed = alice.patch(&one, both.clone()).await.json(200);
    assert_eq!(changed["required_status_checks"], both["required_status_checks"]);
    assert_eq!(without_release(&alice.get(&one).await.json(200)), changed);
    alice.patch(&one, checks(&["tests/unit"])).await.error(403);
    assert_eq!(without_release(&alice.get(&one).await.json(200)), changed);
    let fewer = client.patch(&one, checks(&[])).await.json(200);
    assert_eq!(fewer["required_status_checks"], json!({ "contexts": [] }));
    for malformed in [
        json!({}),
        json!({ "required_status_checks": {} }),
        json!({ "required_status_checks": { "contexts": "tests/unit" } }),
        json!({ "required_status_checks": { "contexts": [7] } }),
    ] {
        client.patch(&one, malformed).await.error(400);
    }
    client.patch(&one, checks(&["a b c d e"])).await.error(422);
    let review = path(&client.get("/apps/early/pipeline-couplings").await.json(200));
    client.patch(&review, checks(&["tests/unit"])).await.error(422);
    client.patch(&format!("{COUPLINGS}/{}", uuid::Uuid::nil()), checks(&[])).await.error(404);
}

#[tokio::test]
async fn list_pipeline_statuses_shows_each_check_once() {
    let (daemon, client) = with_stages(&[("dev", "development")]).await;
    assert_eq!(client.get("/pipelines/pipe/statuses").await.json(200), json!([]));
    for name in ["Older name", "Newer name"] {
        let release = release(&daemon, &client, "dev-space").await;
        let path = format!("/apps/dev/releases/{}/statuses", text(&release, "id"));
        for context in ["tests/unit", "tests/load"] {
            let status = json!({ "context": context, "state": "pending", "name": name });
            client.post(&path, status).await.json(201);
        }
    }
    let expected = json!([
        { "context": "tests/load", "name": "Newer name" },
        { "context": "tests/unit", "name": "Newer name" }
    ]);
    assert_eq!(client.get("/pipelines/pipe/statuses").await.json(200), expected);
    client.get("/pipelines/nobody/statuses").await.error(404);
}
