//! Release projects, and what holds for everything below `/api/releases`.

use akkerisd::model::account::Role;
use http::Method;
use serde_json::{Value, json};

use crate::pipelines::{text, with_stages};
use crate::support::{Client, TestDaemon};

const PROJECTS: &str = "/api/releases";

#[tokio::test]
async fn list_release_projects_shows_the_pipelines() {
    let (_daemon, client) = with_stages(&[("dev", "development")]).await;
    let pipelines = client.get("/pipelines").await.json(200);
    let projects = client.get(PROJECTS).await.json(200);
    assert_eq!(projects.as_array().unwrap().len(), 1);
    for field in ["id", "name", "description", "created_at", "updated_at"] {
        assert_eq!(projects[0][field], pipelines[0][field], "{field}");
    }
}

#[tokio::test]
async fn view_release_project_takes_the_name_as_it_is_written() {
    let (_daemon, client) = with_stages(&[]).await;
    assert_eq!(text(&client.get("/api/releases/pipe").await.json(200), "name"), "pipe");
    for unknown in ["Pipe", "other", "x", "pipe%20"] {
        let error = client.get(&format!("{PROJECTS}/{unknown}")).await.release_error(404);
        assert!(error.starts_with("Release project not found"), "{error}");
    }
    client.delete("/pipelines/pipe").await.json(200);
    client.get("/api/releases/pipe").await.release_error(404);
}

#[tokio::test]
async fn every_refusal_below_api_releases_has_the_form_of_its_document() {
    let (daemon, client) = with_stages(&[("dev", "development")]).await;
    let deployments = "/api/releases/pipe/environments/development/deployments";
    let anonymous = daemon.anonymous();
    let answer = anonymous.get(PROJECTS).await;
    answer.release_error(401);
    assert_eq!(answer.headers["www-authenticate"], "Bearer");
    client.get("/api/releases/a/b/c/d/e/f").await.release_error(404);
    client.get("/api/releases/").await.release_error(404);
    client.delete(PROJECTS).await.release_error(405);
    client.header("accept", "text/plain").delete(deployments).await.release_error(405);
    client.header("range", "nothing ..").get(PROJECTS).await.release_error(416);
    for body in ["", "[]", "7", "\"x\"", "{", "{\"release_candidate_version\": \"1-rc1\""] {
        for method in [Method::POST, Method::PATCH] {
            client.send_body(method, deployments, body).await.release_error(400);
        }
    }
    client.post(deployments, json!({ "release_candidate_version": 7 })).await.release_error(422);
    client.patch(deployments, json!({ "release_candidate_version": 7 })).await.release_error(400);
    client.post(deployments, json!({})).await.release_error(422);
    let large = format!("{{\"x\": \"{}\"}}", "x".repeat(1 << 20));
    client.send_body(Method::POST, deployments, large).await.release_error(413);
    // A path that only begins alike is none of it.
    client.get("/api/releasesx").await.error(404);
}

/// Asks for everything below the project `pipe`, with bodies that fit.
async fn ask_all(client: &Client) -> Vec<(String, u16)> {
    let rc = json!({ "release_candidate_version": "1.0-rc1", "status": "success" });
    let cut = json!({ "repo": "akkeris/dev", "commit": "a".repeat(40) });
    let environment = "/api/releases/pipe/environments/staging";
    let mut asked = Vec::new();
    for (method, path, body) in [
        (Method::POST, "/api/releases/pipe/releases/2.0-rc1".to_owned(), cut),
        (Method::PATCH, environment.to_owned(), json!({ "frozen": true })),
        (Method::POST, format!("{environment}/deployments"), rc.clone()),
        (Method::PATCH, format!("{environment}/deployments"), rc),
        (Method::POST, format!("{environment}/rollback"), json!({ "force": true })),
        (Method::GET, format!("{environment}/deployments"), json!({})),
    ] {
        let answer = client.send_body(method.clone(), &path, body.to_string()).await;
        asked.push((format!("{method} {path}: {}", answer.text()), answer.status.as_u16()));
    }
    asked
}

#[tokio::test]
async fn nothing_of_a_project_is_done_for_one_outside_the_organization_of_its_apps() {
    let daemon = TestDaemon::start().await;
    let admin = daemon.admin();
    admin.post("/organizations", json!({ "name": "theirs" })).await.json(201);
    admin.post("/pipelines", json!({ "name": "pipe" })).await.json(201);
    for (app, stage) in [("secret", "staging"), ("hidden", "production")] {
        admin.post("/apps", json!({ "name": app, "space": "default", "org": "theirs" })).await.json(201);
        let coupling = json!({ "app": app, "pipeline": "pipe", "stage": stage });
        admin.post("/pipeline-couplings", coupling).await.json(201);
    }
    crate::release_candidates::built(&daemon, &admin, "secret", "org/secret", "abcd1234").await;
    let cut = json!({ "repo": "org/secret", "commit": "abcd1234" });
    admin.post("/api/releases/pipe/releases/1.0-rc1", cut).await.json(201);
    daemon.account("mallory", Role::Member, &["akkeris"]).await;
    let mallory = daemon.personal("mallory").await;
    for (what, status) in ask_all(&mallory).await {
        assert_eq!(status, 403, "{what}");
        assert!(!what.contains("secret") && !what.contains("abcd1234"), "{what}");
    }
    for list in ["releases", "environments"] {
        assert_eq!(mallory.get(&format!("/api/releases/pipe/{list}")).await.json(200), json!([]));
    }
    let deployments = "/api/releases/pipe/environments/staging/deployments";
    assert_eq!(admin.get(deployments).await.json(200), json!([]), "nothing was done");
    assert_eq!(admin.get("/apps/secret/releases").await.json(200), json!([]));
    let reader = daemon.reader("admin").await;
    for (what, status) in ask_all(&reader).await {
        assert_eq!(status, if what.starts_with("GET") { 200 } else { 403 }, "{what}");
    }
}

#[tokio::test]
async fn audits_tell_who_did_what_to_a_project() {
    let (daemon, client) = with_stages(&[("dev", "development")]).await;
    crate::release_candidates::built(&daemon, &client, "dev", "org/dev", "abcd1234").await;
    let cut = json!({ "repo": "org/dev", "commit": "abcd1234" });
    client.post("/api/releases/pipe/releases/1.0-rc1", cut).await.json(201);
    let rc = json!({ "release_candidate_version": "1.0-rc1" });
    let environment = "/api/releases/pipe/environments/development";
    client.post(&format!("{environment}/deployments"), rc).await.json(201);
    client.patch(environment, json!({ "frozen": true })).await.json(200);
    let audits = client.get("/audits?size=20").await.json(200);
    let actions: Vec<&str> =
        audits.as_array().unwrap().iter().filter_map(|it| it["action"].as_str()).collect();
    for wanted in ["environment_changed", "deployment_created", "release", "release_candidate_created"] {
        assert!(actions.contains(&wanted), "{wanted} is not in {actions:?}");
    }
    assert!(
        audits
            .as_array()
            .unwrap()
            .iter()
            .all(|audit| audit["username"].as_str().is_some_and(|it| !it.is_empty()))
    );
    assert!(audits[0].get("changes").is_some_and(Value::is_array));
}
