//! Deployments, as "Create a Deployment" and "List deployments" document them, and what they leave open.

use akkerisd::model::account::Role;
use akkerisd::model::release::{ReleaseKind, ReleaseState};
use akkerisd::model::time::Timestamp;
use akkerisd::store;
use serde_json::{Value, json};

use crate::pipelines::{end, id_of, kinds, succeed, text, with_stages};
use crate::release_candidates::built;
use crate::support::{Client, TestDaemon, assert_shape};

pub(crate) fn documented() -> Value {
    json!({
        "actor": "User email or None",
        "deploy_end_at": "The timestamp that the deployment process ended at.",
        "deploy_start_at": "The timestamp that the deployment process started at.",
        "environment_name": "Release environment name",
        "error_message": "Error message associated with the deployment, or null.",
        "from_release_candidate_version": "The RC version of the previous release",
        "from_release_version": "The version of the previous release",
        "id": "Deployment id",
        "release_candidate_version": "Deployment release candidate version",
        "release_version": "Deployment release version",
        "status": "The status of the deployment."
    })
}

pub(crate) const NULLABLE: &[&str] =
    &["actor", "deploy_end_at", "error_message", "from_release_candidate_version", "from_release_version"];

/// The project `pipe`: `dev`, then `qa`, then `pa` and `pb`, and the candidates 1.0-rc1 to 1.0-rc3.
pub(crate) async fn project() -> (TestDaemon, Client) {
    let stages = [("dev", "development"), ("qa", "staging"), ("pa", "production"), ("pb", "production")];
    let (daemon, client) = with_stages(&stages).await;
    for number in 1..=3 {
        let sha = format!("{number:040}");
        built(&daemon, &client, "dev", "org/dev", &sha).await;
        let cut = json!({ "repo": "org/dev", "commit": sha });
        client.post(&format!("/api/releases/pipe/releases/1.0-rc{number}"), cut).await.json(201);
    }
    (daemon, client)
}

pub(crate) fn deployments(environment: &str) -> String {
    format!("/api/releases/pipe/environments/{environment}/deployments")
}

pub(crate) fn rc(number: u32) -> Value {
    json!({ "release_candidate_version": format!("1.0-rc{number}") })
}

pub(crate) async fn deploy(client: &Client, environment: &str, number: u32) -> Value {
    client.post(&deployments(environment), rc(number)).await.json(201)
}

/// Deploys and lets the release of the one app succeed.
pub(crate) async fn deployed(
    daemon: &TestDaemon,
    client: &Client,
    environment: &str,
    app: &str,
    number: u32,
) -> Value {
    let made = deploy(client, environment, number).await;
    succeed(daemon, id_of(client, app).await).await;
    made
}

/// The candidates and statuses of an environment's deployments, newest first.
pub(crate) async fn statuses(client: &Client, environment: &str) -> Vec<String> {
    let all = client.get(&deployments(environment)).await.json(200);
    let shown =
        |item: &Value| format!("{} {}", text(item, "release_candidate_version"), text(item, "status"));
    all.as_array().unwrap().iter().map(shown).collect()
}

pub(crate) fn failed(reason: &str) -> ReleaseState {
    ReleaseState::Failed { reason: reason.to_owned(), at: Timestamp::from_millis(3000) }
}

/// Ends the oldest release of an app that has not ended, as the reconciler does with one that is overtaken.
pub(crate) async fn overtake(daemon: &TestDaemon, client: &Client, app: &str) {
    let app = id_of(client, app).await;
    let work = move |tx: &mut store::Tx<'_>| {
        let mut release = store::releases::list_unfinished(tx, app)?.remove(0);
        release.state = failed("The release v2 was made before this one was up.");
        store::releases::set_state(tx, &release)
    };
    let daemon_itself = akkerisd::model::principal::Principal::daemon();
    daemon.state.store.write::<_, store::StoreError, _>(&daemon_itself, work).await.unwrap();
}

async fn releases(client: &Client, app: &str) -> Vec<Value> {
    client.get(&format!("/apps/{app}/releases")).await.json(200).as_array().unwrap().clone()
}

#[tokio::test]
async fn create_deployment_releases_the_candidate_s_slug_on_every_app_of_the_environment() {
    let (daemon, client) = project().await;
    daemon.account("alice", Role::Member, &["akkeris"]).await;
    let alice = daemon.personal("alice").await;
    deployed(&daemon, &alice, "development", "dev", 1).await;
    let made = deploy(&alice, "production", 1).await;
    assert_shape(&documented(), &made, NULLABLE);
    let shown = |field: &str| made[field].clone();
    assert_eq!((shown("status"), shown("environment_name")), (json!("pending"), json!("production")));
    assert_eq!(
        (shown("release_version"), shown("release_candidate_version")),
        (json!("1.0"), json!("1.0-rc1"))
    );
    assert_eq!(shown("actor"), "alice@example.com");
    for nothing in
        ["deploy_end_at", "error_message", "from_release_version", "from_release_candidate_version"]
    {
        assert_eq!(shown(nothing), Value::Null, "{nothing}");
    }
    let slug = releases(&client, "dev").await[0]["slug"].clone();
    for app in ["pa", "pb"] {
        let all = releases(&client, app).await;
        assert_eq!((all.len(), &all[0]["slug"], text(&all[0], "status")), (1, &slug, "queued"));
        assert_eq!(text(&all[0], "description"), "Deployment of 1.0-rc1");
        let recorded = kinds(&daemon, id_of(&client, app).await).await;
        assert!(
            recorded.ends_with(&["release_created".to_owned(), "release_promoted".to_owned()]),
            "{recorded:?}"
        );
    }
    assert_eq!(releases(&client, "qa").await.len(), 0);
    let (source, app) = (&releases(&client, "dev").await[0], id_of(&client, "pa").await);
    let of = text(source, "id").parse().unwrap();
    let stored =
        daemon.state.store.read(move |c| store::releases::newest_live(c, app)).await.unwrap().unwrap();
    assert_eq!(stored.kind, ReleaseKind::Promotion { of });
    assert_eq!(stored.created_by.as_str(), "alice");
}

#[tokio::test]
async fn create_deployment_brings_one_app_to_a_candidate_by_its_key() {
    let (daemon, client) = project().await;
    let made = deployed(&daemon, &client, "pa-space", "pa", 2).await;
    assert_eq!((text(&made, "environment_name"), &made["actor"]), ("pa-space", &Value::Null));
    assert_eq!(statuses(&client, "pa-space").await, ["1.0-rc2 success"]);
    assert!(statuses(&client, "production").await.is_empty());
    assert_eq!(releases(&client, "pb").await.len(), 0);
}

#[tokio::test]
async fn create_deployment_refuses_unknown_projects_environments_and_candidates() {
    let (_daemon, client) = project().await;
    let elsewhere = "/api/releases/Pipe/environments/production/deployments";
    let error = client.post(elsewhere, rc(1)).await.release_error(404);
    assert!(error.starts_with("Release project not found"), "{error}");
    for environment in ["review", "Production", "pa", "nowhere"] {
        let error = client.post(&deployments(environment), rc(1)).await.release_error(404);
        assert!(error.starts_with("Release environment not found"), "{environment}: {error}");
    }
    let error = client.post(&deployments("production"), rc(9)).await.release_error(404);
    assert!(error.starts_with("Release not found"), "{error}");
    for version in ["", "1.0", "1.0-rc", "1.0-RC1"] {
        let body = json!({ "release_candidate_version": version });
        let error = client.post(&deployments("production"), body).await.release_error(400);
        assert!(error.starts_with("Invalid release candidate version"), "{version}: {error}");
    }
    assert!(statuses(&client, "production").await.is_empty());
}

#[tokio::test]
async fn create_deployment_wants_the_status_checks_of_the_environment() {
    let (daemon, client) = project().await;
    let coupling = client.get("/apps/qa/pipeline-couplings").await.json(200);
    let coupling = format!("/pipeline-couplings/{}", text(&coupling, "id"));
    let checks = json!({ "required_status_checks": { "contexts": ["tests/unit"] } });
    client.patch(&coupling, checks).await.json(200);
    let error = client.post(&deployments("staging"), rc(1)).await.release_error(409);
    assert!(error.contains("tests/unit") && error.contains("qa-space"), "{error}");
    deployed(&daemon, &client, "development", "dev", 1).await;
    client.post(&deployments("staging"), rc(1)).await.release_error(409);
    let release = text(&releases(&client, "dev").await[0], "id").to_owned();
    let passed = json!({ "context": "tests/unit", "state": "success", "name": "Tests" });
    client.post(&format!("/apps/dev/releases/{release}/statuses"), passed).await.json(201);
    deploy(&client, "staging", 1).await;
    client.post(&deployments("staging"), rc(2)).await.release_error(409);
    assert_eq!(statuses(&client, "staging").await, ["1.0-rc1 pending"], "what goes on was not canceled");
}

#[tokio::test]
async fn create_deployment_follows_its_releases_to_their_end() {
    let (daemon, client) = project().await;
    deployed(&daemon, &client, "staging", "qa", 1).await;
    deploy(&client, "staging", 2).await;
    let qa = id_of(&client, "qa").await;
    end(&daemon, qa, ReleaseState::Pending { since: Timestamp::from_millis(2000) }).await;
    assert_eq!(statuses(&client, "staging").await, ["1.0-rc2 in_progress", "1.0-rc1 success"]);
    end(&daemon, qa, failed("web.1 answered 500")).await;
    let all = client.get(&deployments("staging")).await.json(200);
    assert_shape(&json!([documented()]), &all, NULLABLE);
    assert_eq!(text(&all[0], "status"), "failure");
    assert_eq!(text(&all[0], "error_message"), "qa-space: web.1 answered 500");
    assert_eq!(text(&all[0], "deploy_end_at"), "1970-01-01T00:00:03.000Z");
    assert_eq!(text(&all[0], "from_release_candidate_version"), "1.0-rc1");
    assert_eq!(text(&all[0], "from_release_version"), "1.0");
    assert_eq!((text(&all[1], "status"), &all[1]["error_message"]), ("success", &Value::Null));
    assert_eq!(text(&all[1], "deploy_end_at"), "1970-01-01T00:00:00.002Z");
    deploy(&client, "staging", 3).await;
    let all = client.get(&deployments("staging")).await.json(200);
    assert_eq!(text(&all[0], "from_release_candidate_version"), "1.0-rc1", "rc2 never ran");
}

#[tokio::test]
async fn create_deployment_to_several_apps_succeeds_when_all_of_them_have() {
    let (daemon, client) = project().await;
    let (pa, pb) = (id_of(&client, "pa").await, id_of(&client, "pb").await);
    deploy(&client, "production", 1).await;
    succeed(&daemon, pa).await;
    assert_eq!(statuses(&client, "production").await, ["1.0-rc1 in_progress"]);
    succeed(&daemon, pb).await;
    deploy(&client, "production", 2).await;
    succeed(&daemon, pa).await;
    end(&daemon, pb, failed("no")).await;
    deploy(&client, "production", 3).await;
    assert_eq!(
        statuses(&client, "production").await,
        ["1.0-rc3 pending", "1.0-rc2 failure", "1.0-rc1 success"]
    );
    let all = client.get(&deployments("production")).await.json(200);
    assert_eq!(text(&all[0], "from_release_candidate_version"), "1.0-rc1", "what ran on all of them");
    client.delete("/apps/pb").await.json(200);
    succeed(&daemon, pa).await;
    let all = client.get(&deployments("production")).await.json(200);
    assert_eq!(text(&all[0], "status"), "failure", "the app was deleted before its release had ended");
    assert!(text(&all[0], "error_message").contains("pb-space"));
}

#[tokio::test]
async fn create_deployment_cancels_what_is_still_being_deployed() {
    let (daemon, client) = project().await;
    deploy(&client, "staging", 1).await;
    deploy(&client, "staging", 2).await;
    assert_eq!(statuses(&client, "staging").await, ["1.0-rc2 pending", "1.0-rc1 canceling"]);
    overtake(&daemon, &client, "qa").await;
    assert_eq!(statuses(&client, "staging").await, ["1.0-rc2 pending", "1.0-rc1 canceled"]);
    succeed(&daemon, id_of(&client, "qa").await).await;
    assert_eq!(statuses(&client, "staging").await, ["1.0-rc2 success", "1.0-rc1 canceled"]);
    let audits = client.get("/audits?size=50").await.json(200);
    let canceled = audits.as_array().unwrap().iter().filter(|audit| audit["action"] == "deployment_canceled");
    assert_eq!(canceled.count(), 1);
    // A stage and one of its apps are two environments over the same app.
    deploy(&client, "production", 1).await;
    deploy(&client, "pa-space", 2).await;
    assert_eq!(statuses(&client, "production").await, ["1.0-rc1 canceling"]);
}

#[tokio::test]
async fn create_deployment_is_overtaken_by_a_release_of_the_first_api_as_any_release_is() {
    let (daemon, client) = project().await;
    deployed(&daemon, &client, "development", "dev", 1).await;
    deploy(&client, "development", 2).await;
    client.post("/apps/dev/releases", json!({ "slug": "latest" })).await.json(201);
    overtake(&daemon, &client, "dev").await;
    succeed(&daemon, id_of(&client, "dev").await).await;
    assert_eq!(statuses(&client, "development").await, ["1.0-rc2 failure", "1.0-rc1 success"]);
    // What runs is what the other API released: the newest build, which is that of rc3.
    let all = client.get("/api/releases/pipe/environments").await.json(200);
    assert_eq!(text(&all[0], "release_candidate_version"), "1.0-rc3");
}

#[tokio::test]
async fn create_deployment_is_refused_by_a_frozen_environment() {
    let (_daemon, client) = project().await;
    client.patch("/api/releases/pipe/environments/production", json!({ "frozen": true })).await.json(200);
    for environment in ["production", "pa-space"] {
        let error = client.post(&deployments(environment), rc(1)).await.release_error(400);
        assert!(error.starts_with("Environment is frozen"), "{error}");
    }
    deploy(&client, "staging", 1).await;
    client.patch("/api/releases/pipe/environments/production", json!({ "frozen": false })).await.json(200);
    deploy(&client, "production", 1).await;
}

#[tokio::test]
async fn list_deployments_gives_pages_newest_first() {
    let (daemon, client) = project().await;
    for number in (1..=3).cycle().take(12) {
        deployed(&daemon, &client, "staging", "qa", number).await;
    }
    let list = deployments("staging");
    let ids = async |query: &str| {
        let all = client.get(&format!("{list}{query}")).await.json(200);
        all.as_array().unwrap().iter().map(|item| text(item, "id").to_owned()).collect::<Vec<_>>()
    };
    let all = ids("?per_page=100").await;
    assert_eq!(all.len(), 12);
    assert_eq!(statuses(&client, "staging").await[..2], ["1.0-rc3 success", "1.0-rc2 success"]);
    assert_eq!(ids("").await, all[..10]);
    assert_eq!(ids("?page=2").await, all[10..]);
    assert_eq!(ids("?page=2&per_page=5").await, all[5..10]);
    assert!(ids("?page=3").await.is_empty());
    assert!(ids("?page=4294967295&per_page=100").await.is_empty());
    for bad in [
        "page=0",
        "page=-1",
        "page=x",
        "page=",
        "per_page=0",
        "per_page=101",
        "per_page=1000",
        "per_page=1.5",
    ] {
        let error = client.get(&format!("{list}?{bad}")).await.release_error(400);
        assert!(error.contains("is not a whole number from 1 to"), "{bad}: {error}");
    }
}

#[tokio::test]
async fn list_deployments_refuses_unknown_projects_and_environments() {
    let (_daemon, client) = project().await;
    let error = client.get(&deployments("nowhere")).await.release_error(404);
    assert!(error.starts_with("Release environment not found"), "{error}");
    let error = client.get("/api/releases/none/environments/staging/deployments").await.release_error(404);
    assert!(error.starts_with("Release project not found"), "{error}");
    assert_eq!(client.get(&deployments("staging")).await.json(200), json!([]));
}
