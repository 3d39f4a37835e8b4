//! Release candidates, as the section "Create a Release" documents them, and what it leaves open.

use akkerisd::model::auto_build::SourceProvider;
use akkerisd::model::build::{BuildState, ImageId};
use akkerisd::model::ids::BuildId;
use akkerisd::model::principal::Principal;
use akkerisd::model::time::Timestamp;
use akkerisd::service::{self, release_candidates};
use akkerisd::store;
use serde_json::{Value, json};

use crate::auto_builds::harness::{Bench, TIP};
use crate::pipelines::{text, with_stages};
use crate::support::{Client, TestDaemon, assert_shape};

pub(crate) const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

/// Begins a build of that commit; gives its id.
async fn begin(client: &Client, app: &str, repo: &str, sha: &str) -> BuildId {
    let source = json!({ "url": "data:,x", "repo": repo, "sha": sha });
    let made = client.post(&format!("/apps/{app}/builds"), source).await.json(201);
    text(&made, "id").parse().unwrap()
}

/// Ends a build with success, as a builder would.
async fn finish(daemon: &TestDaemon, client: &Client, app: &str, id: BuildId, sha: &str) {
    let app_id = text(&client.get(&format!("/apps/{app}")).await.json(200), "id").parse().unwrap();
    let sha = sha.to_owned();
    let done =
        BuildState::Succeeded { image: ImageId::new("sha256:1"), finished_at: Timestamp::from_millis(1) };
    let work = move |tx: &mut store::Tx<'_>| {
        store::builds::set_state(tx, id, &done)?;
        release_candidates::complete(tx, app_id, id, &sha)
    };
    daemon.state.store.write::<_, service::Error, _>(&Principal::daemon(), work).await.unwrap();
}

/// A build of that commit that succeeded; gives its id.
pub(crate) async fn built(daemon: &TestDaemon, client: &Client, app: &str, repo: &str, sha: &str) -> String {
    let id = begin(client, app, repo, sha).await;
    finish(daemon, client, app, id, sha).await;
    id.to_string()
}

fn path(version: &str) -> String {
    format!("/api/releases/pipe/releases/{version}")
}

fn cut(commit: &str) -> Value {
    json!({ "repo": "org/dev", "commit": commit })
}

#[tokio::test]
async fn create_release_candidate_takes_the_newest_build_of_the_commit_that_succeeded() {
    let (daemon, client) = with_stages(&[("dev", "development"), ("prod", "production")]).await;
    built(&daemon, &client, "dev", "https://github.com/Org/Dev.git", SHA).await;
    let newest = built(&daemon, &client, "dev", "https://github.com/Org/Dev.git", SHA).await;
    begin(&client, "dev", "https://github.com/Org/Dev.git", SHA).await;
    built(&daemon, &client, "dev", "https://github.com/Org/Dev.git", "ffffffff").await;
    let mut body = cut(SHA);
    body["trigger_build_workflow"] = json!(false);
    let made = client.post(&path("1.4.0-rc1"), body).await.json(201);
    let expected = json!({
        "id": "", "release_candidate_version": "1.4.0-rc1", "release_version": "1.4.0", "repo": "org/dev",
        "commit": SHA, "status": "ready", "build": { "id": newest }, "created_at": "", "updated_at": ""
    });
    assert_shape(&expected, &made, &[]);
    for field in ["release_candidate_version", "release_version", "repo", "commit", "status", "build"] {
        assert_eq!(made[field], expected[field], "{field}");
    }
}

#[tokio::test]
async fn create_release_candidate_waits_for_a_build_and_gets_the_first_that_succeeds() {
    let (daemon, client) = with_stages(&[("dev", "development")]).await;
    built(&daemon, &client, "dev", "org/dev", "ffffffff").await;
    let made = client.post(&path("1.0-rc1"), cut(&SHA.to_uppercase())).await.json(201);
    assert_eq!((text(&made, "status"), text(&made, "commit")), ("waiting", SHA));
    assert_eq!(made["build"], Value::Null);
    let rc = json!({ "release_candidate_version": "1.0-rc1" });
    let deployments = "/api/releases/pipe/environments/development/deployments";
    let error = client.post(deployments, rc.clone()).await.release_error(409);
    assert!(error.contains("waits for a build") && error.contains(SHA), "{error}");
    assert_eq!(client.get(deployments).await.json(200), json!([]));
    // Git's abbreviation of the commit is the commit.
    let first = built(&daemon, &client, "dev", "org/dev", "01234567").await;
    built(&daemon, &client, "dev", "org/dev", SHA).await;
    let all = client.get("/api/releases/pipe/releases").await.json(200);
    assert_eq!(all[0]["status"], "ready");
    assert_eq!(all[0]["build"]["id"], json!(first));
    client.post(deployments, rc).await.json(201);
}

#[tokio::test]
async fn create_release_candidate_refuses_versions_without_rc_and_a_number() {
    let (daemon, client) = with_stages(&[("dev", "development")]).await;
    built(&daemon, &client, "dev", "org/dev", SHA).await;
    for version in
        ["1.0", "1.0-rc", "-rc1", "1.0-rcX", "1.0-RC1", "1.0-rc01", "1.0-rc-1", "a%20b-rc1", "1.0-rc1x"]
    {
        let error = client.post(&path(version), cut(SHA)).await.release_error(400);
        assert!(error.starts_with("Invalid release candidate version"), "{version}: {error}");
    }
}

#[tokio::test]
async fn create_release_candidate_refuses_what_names_no_single_commit() {
    let (daemon, client) = with_stages(&[("dev", "development")]).await;
    built(&daemon, &client, "dev", "org/dev", "abcd1111").await;
    built(&daemon, &client, "dev", "org/dev", "abcd2222").await;
    for commit in ["", "abc", "main", "abcd", "abce", "abcd1111 ", &"a".repeat(41), "'--"] {
        let error = client.post(&path("1.0-rc1"), cut(commit)).await.release_error(400);
        assert!(error.starts_with("Invalid commit hash"), "{commit}: {error}");
    }
    let made = client.post(&path("1.0-rc1"), cut("abcd2")).await.json(201);
    assert_eq!((text(&made, "commit"), text(&made, "status")), ("abcd2222", "ready"));
}

#[tokio::test]
async fn create_release_candidate_wants_the_repository_of_the_first_stage() {
    let (daemon, client) = with_stages(&[("dev", "development"), ("prod", "production")]).await;
    let error = client.post(&path("1.0-rc1"), cut(SHA)).await.release_error(404);
    assert!(error.starts_with("GitHub repository not found"), "{error}");
    built(&daemon, &client, "dev", "org/dev", SHA).await;
    built(&daemon, &client, "prod", "org/prod", SHA).await;
    for repo in ["org/prod", "org/other", "dev", "", "org/dev/more x"] {
        let body = json!({ "repo": repo, "commit": SHA });
        let error = client.post(&path("1.0-rc1"), body).await.release_error(404);
        assert!(error.starts_with("GitHub repository not found"), "{repo}: {error}");
    }
    client.post("/pipelines", json!({ "name": "empty" })).await.json(201);
    client.post("/api/releases/empty/releases/1.0-rc1", cut(SHA)).await.release_error(404);
    let error = client.post("/api/releases/none/releases/1.0-rc1", cut(SHA)).await.release_error(404);
    assert!(error.starts_with("Release project not found"), "{error}");
    for body in [json!({}), json!({ "repo": "org/dev" }), json!({ "repo": 7, "commit": SHA })] {
        client.post(&path("1.0-rc1"), body).await.release_error(422);
    }
}

#[tokio::test]
async fn create_release_candidate_of_the_same_version_is_a_conflict() {
    let (daemon, client) = with_stages(&[("dev", "development")]).await;
    built(&daemon, &client, "dev", "org/dev", SHA).await;
    client.post(&path("1.0-rc1"), cut(SHA)).await.json(201);
    let error = client.post(&path("1.0-rc1"), cut(SHA)).await.release_error(409);
    assert!(error.contains("1.0-rc1"), "{error}");
    client.post(&path("1.0-rc2"), cut(SHA)).await.json(201);
    client.post("/pipelines", json!({ "name": "another" })).await.json(201);
    client.post("/api/releases/another/releases/1.0-rc1", cut(SHA)).await.release_error(404);
}

#[tokio::test]
async fn create_release_candidate_triggers_no_build_of_an_app_without_auto_build() {
    let (daemon, client) = with_stages(&[("dev", "development")]).await;
    built(&daemon, &client, "dev", "org/dev", SHA).await;
    let mut body = cut(SHA);
    body["trigger_build_workflow"] = json!(true);
    let error = client.post(&path("1.0-rc1"), body).await.release_error(400);
    assert!(error.contains("dev-space") && error.contains("auto build"), "{error}");
    assert_eq!(client.get("/api/releases/pipe/releases").await.json(200), json!([]));
    assert_eq!(client.get("/apps/dev/builds").await.json(200).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn create_release_candidate_triggers_the_build_of_its_commit_and_gets_it() {
    let bench = Bench::start(SourceProvider::GitHub).await;
    let client = &bench.client;
    client.post("/pipelines", json!({ "name": "pipe" })).await.json(201);
    let coupling = json!({ "app": "app", "pipeline": "pipe", "stage": "development" });
    client.post("/pipeline-couplings", coupling).await.json(201);
    bench.connect(json!({})).await;
    bench.built(TIP, "succeeded").await;
    let body = json!({ "repo": "org/app", "commit": SHA.to_uppercase(), "trigger_build_workflow": true });
    let made = client.post(&path("1.0-rc1"), body.clone()).await.json(201);
    assert_eq!((text(&made, "status"), text(&made, "commit")), ("waiting", SHA));
    let build = bench.built(SHA, "succeeded").await;
    let all = client.get("/api/releases/pipe/releases").await.json(200);
    assert_eq!((&all[0]["status"], &all[0]["build"]["id"]), (&json!("ready"), &build["id"]));
    assert_eq!(bench.latest("built").await["trigger"], "release_candidate");
    let releases = client.get("/apps/app/releases").await.json(200);
    assert_eq!(releases.as_array().unwrap().len(), 1, "a candidate is not released by itself: {releases}");
    // An answer of 409 leaves no build behind.
    client.post(&path("1.0-rc1"), body).await.release_error(409);
    assert_eq!(bench.daemon.count("auto_build_runs"), 2);
    let short = json!({ "repo": "org/app", "commit": SHA.split_at(7).0, "trigger_build_workflow": true });
    client.post(&path("1.0-rc2"), short).await.json(201);
    let unknown = json!({ "repo": "org/app", "commit": "fedcba9", "trigger_build_workflow": true });
    client.post(&path("1.0-rc3"), unknown).await.release_error(400);
}

#[tokio::test]
async fn list_release_candidates_shows_those_of_the_project_oldest_first() {
    let (daemon, client) = with_stages(&[("dev", "development")]).await;
    built(&daemon, &client, "dev", "org/dev", SHA).await;
    for version in ["1.0-rc2", "1.0-rc1", "0.9-rc7"] {
        client.post(&path(version), cut(SHA)).await.json(201);
    }
    let all = client.get("/api/releases/pipe/releases").await.json(200);
    let versions: Vec<&str> =
        all.as_array().unwrap().iter().map(|item| text(item, "release_candidate_version")).collect();
    assert_eq!(versions, ["1.0-rc2", "1.0-rc1", "0.9-rc7"]);
    client.get("/api/releases/other/releases").await.release_error(404);
}

#[tokio::test]
async fn the_images_of_the_newest_candidates_are_kept() {
    let (daemon, client) = with_stages(&[("dev", "development")]).await;
    let mut slugs: Vec<BuildId> = Vec::new();
    for number in 0..12 {
        let sha = format!("{number:040}");
        slugs.push(built(&daemon, &client, "dev", "org/dev", &sha).await.parse().unwrap());
        client.post(&path(&format!("1.0-rc{number}")), cut(&sha)).await.json(201);
    }
    daemon.corrupt("UPDATE release_candidates SET created_at = number");
    let needed = async |slug: BuildId| {
        daemon.state.store.read(move |c| store::release_candidates::is_slug_needed(c, slug)).await.unwrap()
    };
    assert!(!needed(slugs[0]).await && !needed(slugs[1]).await);
    assert!(needed(slugs[2]).await && needed(slugs[11]).await);
    client.delete("/pipelines/pipe").await.json(200);
    assert!(!needed(slugs[11]).await);
}
