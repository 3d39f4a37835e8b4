//! Environments of a release project, and freezing them (reading 28).

use serde_json::{Value, json};

use crate::pipelines::{id_of, succeed, text, with_stages};
use crate::release_candidates::{SHA, built};

const ENVIRONMENTS: &str = "/api/releases/pipe/environments";

fn names(environments: &Value) -> Vec<&str> {
    environments.as_array().unwrap().iter().map(|item| text(item, "name")).collect()
}

#[tokio::test]
async fn list_environments_shows_each_stage_that_has_apps_and_each_app() {
    let stages = [("pa", "production"), ("dev", "development"), ("pb", "production")];
    let (_daemon, client) = with_stages(&stages).await;
    let all = client.get(ENVIRONMENTS).await.json(200);
    assert_eq!(names(&all), ["development", "dev-space", "production", "pa-space", "pb-space"]);
    let production = json!({
        "name": "production", "kind": "stage", "stage": "production", "apps": ["pa-space", "pb-space"],
        "frozen": false, "release_candidate_version": null, "release_version": null
    });
    assert_eq!(all[2], production);
    assert_eq!((text(&all[3], "kind"), &all[3]["apps"]), ("app", &json!(["pa-space"])));
    client.get("/api/releases/other/environments").await.release_error(404);
}

#[tokio::test]
async fn list_environments_tells_which_candidate_runs_wherever_it_came_from() {
    let (daemon, client) = with_stages(&[("dev", "development")]).await;
    let slug = built(&daemon, &client, "dev", "org/dev", SHA).await;
    client.post("/apps/dev/releases", json!({ "slug": slug })).await.json(201);
    succeed(&daemon, id_of(&client, "dev").await).await;
    let body = json!({ "repo": "org/dev", "commit": SHA });
    client.post("/api/releases/pipe/releases/1.0-rc1", body).await.json(201);
    let all = client.get(ENVIRONMENTS).await.json(200);
    assert_eq!(
        (text(&all[0], "release_candidate_version"), text(&all[0], "release_version")),
        ("1.0-rc1", "1.0")
    );
    assert_eq!(all[1]["release_candidate_version"], "1.0-rc1");
}

#[tokio::test]
async fn update_environment_freezes_and_thaws_a_stage_with_its_apps() {
    let (_daemon, client) =
        with_stages(&[("dev", "development"), ("pa", "production"), ("pb", "production")]).await;
    let frozen = async || {
        let all = client.get(ENVIRONMENTS).await.json(200);
        let frozen = |item: &&Value| item["frozen"] == true;
        all.as_array()
            .unwrap()
            .iter()
            .filter(frozen)
            .map(|item| text(item, "name").to_owned())
            .collect::<Vec<_>>()
    };
    let freeze = async |name: &str, frozen: bool| {
        client.patch(&format!("{ENVIRONMENTS}/{name}"), json!({ "frozen": frozen })).await.json(200)
    };
    assert_eq!(freeze("production", true).await["frozen"], true);
    assert_eq!(frozen().await, ["production", "pa-space", "pb-space"]);
    freeze("production", true).await;
    assert_eq!(freeze("production", false).await["frozen"], false);
    assert!(frozen().await.is_empty());
    freeze("pa-space", true).await;
    assert_eq!(frozen().await, ["production", "pa-space"], "a deployment to the stage would reach the app");
    freeze("pa-space", false).await;
    assert!(frozen().await.is_empty());
}

#[tokio::test]
async fn update_environment_refuses_what_is_none_and_what_is_no_answer() {
    let (_daemon, client) = with_stages(&[("dev", "development")]).await;
    for unknown in ["production", "Development", "dev", "DEV-space", "other"] {
        let error = client.patch(&format!("{ENVIRONMENTS}/{unknown}"), json!({ "frozen": true })).await;
        let error = error.release_error(404);
        assert!(error.starts_with("Release environment not found"), "{unknown}: {error}");
    }
    client
        .patch("/api/releases/none/environments/development", json!({ "frozen": true }))
        .await
        .release_error(404);
    for body in [json!({}), json!({ "frozen": "yes" }), json!({ "frozen": null }), json!([])] {
        client.patch(&format!("{ENVIRONMENTS}/development"), body).await.release_error(400);
    }
}
