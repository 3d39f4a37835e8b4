//! What outside pipelines report, as "Update Deployment status" documents it, and what that leaves open.

use serde_json::{Value, json};

use crate::deployments::{
    NULLABLE, deploy, deployed, deployments, documented, failed, overtake, project, rc, statuses,
};
use crate::pipelines::{end, id_of, text};
use crate::support::{Answer, Client, assert_shape};

async fn report(client: &Client, number: u32, status: &str) -> Answer {
    let body = json!({ "release_candidate_version": format!("1.0-rc{number}"), "status": status });
    client.patch(&deployments("staging"), body).await
}

#[tokio::test]
async fn update_deployment_makes_what_is_not_there_and_follows_the_reports() {
    let (_daemon, client) = project().await;
    let made = report(&client, 1, "in_progress").await.json(200);
    assert_shape(&documented(), &made, NULLABLE);
    assert_eq!((text(&made, "status"), &made["deploy_end_at"]), ("in_progress", &Value::Null));
    let ended = report(&client, 1, "success").await.json(200);
    assert_eq!((&ended["id"], text(&ended, "status")), (&made["id"], "success"));
    assert!(ended["deploy_end_at"].is_string());
    assert_eq!(report(&client, 1, "success").await.json(200), ended, "the end is noted once");
    let second = report(&client, 2, "pending").await.json(200);
    assert_eq!(text(&second, "from_release_candidate_version"), "1.0-rc1");
    for status in ["in_progress", "canceling", "canceled", "unknown", "error", "failure"] {
        assert_eq!(text(&report(&client, 2, status).await.json(200), "status"), status);
    }
    assert_eq!(statuses(&client, "staging").await[0], "1.0-rc2 failure");
    assert_eq!(client.get("/apps/qa/releases").await.json(200), json!([]), "nothing was released");
}

#[tokio::test]
async fn update_deployment_refuses_what_it_does_not_know() {
    let (_daemon, client) = project().await;
    for status in ["", "done", "Success", "in progress", "succeeded"] {
        let error = report(&client, 1, status).await.release_error(400);
        assert!(error.contains("in_progress"), "{status}: {error}");
    }
    let error = report(&client, 9, "success").await.release_error(404);
    assert!(error.starts_with("Release not found"), "{error}");
    let mut body = rc(1);
    body["status"] = json!("success");
    let error = client.patch(&deployments("nowhere"), body.clone()).await.release_error(404);
    assert!(error.starts_with("Release environment not found"), "{error}");
    let elsewhere = "/api/releases/none/environments/staging/deployments";
    let error = client.patch(elsewhere, body.clone()).await.release_error(404);
    assert!(error.starts_with("Release project not found"), "{error}");
    body["release_candidate_version"] = json!("1.0");
    let error = client.patch(&deployments("staging"), body).await.release_error(400);
    assert!(error.starts_with("Invalid release candidate version"), "{error}");
    client.patch(&deployments("staging"), rc(1)).await.release_error(400);
    assert!(statuses(&client, "staging").await.is_empty());
}

#[tokio::test]
async fn update_deployment_leaves_what_is_made_here_to_its_releases() {
    let (daemon, client) = project().await;
    let made = deploy(&client, "staging", 1).await;
    let error = report(&client, 1, "success").await.release_error(409);
    assert!(error.contains("pending") && error.contains("success"), "{error}");
    assert_eq!(report(&client, 1, "pending").await.json(200)["id"], made["id"]);
    end(&daemon, id_of(&client, "qa").await, failed("no")).await;
    report(&client, 1, "success").await.release_error(409);
    assert_eq!(text(&report(&client, 1, "failure").await.json(200), "error_message"), "qa-space: no");
    assert_eq!(statuses(&client, "staging").await, ["1.0-rc1 failure"]);
}

#[tokio::test]
async fn update_deployment_begins_another_when_what_is_over_begins_again() {
    let (_daemon, client) = project().await;
    let first = report(&client, 1, "success").await.json(200);
    report(&client, 2, "success").await.json(200);
    let again = report(&client, 1, "in_progress").await.json(200);
    assert_ne!(again["id"], first["id"]);
    assert_eq!(text(&again, "from_release_candidate_version"), "1.0-rc2");
    report(&client, 1, "success").await.json(200);
    assert_eq!(statuses(&client, "staging").await, ["1.0-rc1 success", "1.0-rc2 success", "1.0-rc1 success"]);
    let all = client.get("/api/releases/pipe/environments").await.json(200);
    let staging = all.as_array().unwrap().iter().find(|item| item["name"] == "staging").unwrap();
    assert_eq!(text(staging, "release_candidate_version"), "1.0-rc1");
}

#[tokio::test]
async fn update_deployment_and_what_is_made_here_take_turns_in_an_environment() {
    let (daemon, client) = project().await;
    report(&client, 1, "in_progress").await.json(200);
    report(&client, 2, "in_progress").await.json(200);
    assert_eq!(statuses(&client, "staging").await, ["1.0-rc2 in_progress", "1.0-rc1 canceled"]);
    deploy(&client, "staging", 3).await;
    assert_eq!(statuses(&client, "staging").await[..2], ["1.0-rc3 pending", "1.0-rc2 canceled"]);
    let error = report(&client, 2, "in_progress").await.release_error(409);
    assert!(error.contains("1.0-rc3"), "{error}");
    report(&client, 1, "pending").await.release_error(409);
    // One that comes to its end all the same says so.
    assert_eq!(text(&report(&client, 2, "success").await.json(200), "status"), "success");
    end(&daemon, id_of(&client, "qa").await, failed("no")).await;
    deployed(&daemon, &client, "staging", "qa", 3).await;
    deploy(&client, "staging", 3).await;
    report(&client, 1, "in_progress").await.release_error(409);
    report(&client, 2, "in_progress").await.json(200);
    assert_eq!(statuses(&client, "staging").await[..2], ["1.0-rc2 in_progress", "1.0-rc3 canceling"]);
    overtake(&daemon, &client, "qa").await;
    assert_eq!(statuses(&client, "staging").await[..2], ["1.0-rc2 in_progress", "1.0-rc3 canceled"]);
}

#[tokio::test]
async fn update_deployment_is_heard_of_a_frozen_environment_too() {
    let (_daemon, client) = project().await;
    client.patch("/api/releases/pipe/environments/staging", json!({ "frozen": true })).await.json(200);
    report(&client, 1, "success").await.json(200);
    assert_eq!(statuses(&client, "staging").await, ["1.0-rc1 success"]);
}
