//! Rollbacks of environments, as the section "Rollback" documents them.

use akkerisd::model::release::ReleaseKind;
use akkerisd::store;
use serde_json::{Value, json};

use crate::deployments::{
    NULLABLE, deploy, deployed, deployments, documented, failed, overtake, project, rc, statuses,
};
use crate::pipelines::{end, id_of, succeed, text};
use crate::support::{Answer, Client, assert_shape};

fn rollback(environment: &str) -> String {
    format!("/api/releases/pipe/environments/{environment}/rollback")
}

async fn roll_back(client: &Client, environment: &str) -> Answer {
    client.post(&rollback(environment), json!({})).await
}

#[tokio::test]
async fn create_rollback_after_a_success_goes_to_the_version_before_it() {
    let (daemon, client) = project().await;
    let first = deployed(&daemon, &client, "staging", "qa", 1).await;
    deployed(&daemon, &client, "staging", "qa", 2).await;
    let made = roll_back(&client, "staging").await.json(201);
    assert_shape(&documented(), &made, NULLABLE);
    assert_eq!((text(&made, "status"), text(&made, "release_candidate_version")), ("pending", "1.0-rc1"));
    assert_eq!(text(&made, "from_release_candidate_version"), "1.0-rc2");
    assert_eq!((&made["deploy_end_at"], &made["error_message"]), (&Value::Null, &Value::Null));
    assert!(made["deploy_start_at"].is_string() && made["id"] != first["id"]);
    let releases = client.get("/apps/qa/releases").await.json(200);
    assert_eq!(
        (&releases[2]["slug"], text(&releases[2], "description")),
        (&releases[0]["slug"], "Rollback to 1.0-rc1")
    );
    let app = id_of(&client, "qa").await;
    let stored =
        daemon.state.store.read(move |c| store::releases::newest_live(c, app)).await.unwrap().unwrap();
    assert_eq!(stored.kind, ReleaseKind::Rollback { of: text(&releases[0], "id").parse().unwrap() });
    succeed(&daemon, app).await;
    // Before the rollback, rc2 ran: that is where the next one leads.
    let again = client.send_body(http::Method::POST, &rollback("staging"), "").await.json(201);
    assert_eq!(text(&again, "release_candidate_version"), "1.0-rc2");
}

#[tokio::test]
async fn create_rollback_after_a_failure_goes_to_the_last_success() {
    let (daemon, client) = project().await;
    deployed(&daemon, &client, "staging", "qa", 1).await;
    deployed(&daemon, &client, "staging", "qa", 2).await;
    let qa = id_of(&client, "qa").await;
    deploy(&client, "staging", 3).await;
    end(&daemon, qa, failed("no")).await;
    let made = roll_back(&client, "staging").await.json(201);
    assert_eq!(text(&made, "release_candidate_version"), "1.0-rc2");
    assert_eq!(text(&made, "from_release_candidate_version"), "1.0-rc2");
    end(&daemon, qa, failed("no")).await;
    let report = async |status: &str| {
        let body = json!({ "release_candidate_version": "1.0-rc1", "status": status });
        client.patch(&deployments("staging"), body).await.json(200);
    };
    for reported in ["failure", "error", "canceled", "unknown", "in_progress"] {
        report("pending").await;
        report(reported).await;
        let made = roll_back(&client, "staging").await.json(201);
        assert_eq!(text(&made, "release_candidate_version"), "1.0-rc2", "{reported}");
        end(&daemon, qa, failed("no")).await;
    }
}

#[tokio::test]
async fn create_rollback_cancels_what_is_still_being_deployed() {
    let (daemon, client) = project().await;
    deployed(&daemon, &client, "staging", "qa", 1).await;
    deploy(&client, "staging", 2).await;
    let made = roll_back(&client, "staging").await.json(201);
    assert_eq!(text(&made, "release_candidate_version"), "1.0-rc1");
    assert_eq!(
        statuses(&client, "staging").await,
        ["1.0-rc1 pending", "1.0-rc2 canceling", "1.0-rc1 success"]
    );
    overtake(&daemon, &client, "qa").await;
    succeed(&daemon, id_of(&client, "qa").await).await;
    assert_eq!(
        statuses(&client, "staging").await,
        ["1.0-rc1 success", "1.0-rc2 canceled", "1.0-rc1 success"]
    );
}

#[tokio::test]
async fn create_rollback_wants_force_for_a_frozen_environment() {
    let (daemon, client) = project().await;
    deployed(&daemon, &client, "staging", "qa", 1).await;
    deployed(&daemon, &client, "staging", "qa", 2).await;
    client.patch("/api/releases/pipe/environments/staging", json!({ "frozen": true })).await.json(200);
    for body in [json!({}), json!({ "force": false }), json!({ "force": null })] {
        let error = client.post(&rollback("staging"), body).await.release_error(400);
        assert!(error.starts_with("Environment is frozen"), "{error}");
    }
    client.post(&rollback("staging"), json!({ "force": "yes" })).await.release_error(422);
    client.post(&rollback("staging"), json!([])).await.release_error(400);
    assert_eq!(statuses(&client, "staging").await.len(), 2);
    let made = client.post(&rollback("staging"), json!({ "force": true })).await.json(201);
    assert_eq!(text(&made, "release_candidate_version"), "1.0-rc1");
}

#[tokio::test]
async fn create_rollback_needs_something_to_go_back_to() {
    let (daemon, client) = project().await;
    let nothing = async |environment: &str| {
        let error = roll_back(&client, environment).await.release_error(404);
        assert!(error.starts_with("No previous deployment to roll back from"), "{error}");
    };
    nothing("staging").await;
    deploy(&client, "staging", 1).await;
    nothing("staging").await;
    assert_eq!(statuses(&client, "staging").await, ["1.0-rc1 pending"], "what goes on was not canceled");
    end(&daemon, id_of(&client, "qa").await, failed("no")).await;
    nothing("staging").await;
    deployed(&daemon, &client, "staging", "qa", 1).await;
    nothing("staging").await;
    let error = roll_back(&client, "nowhere").await.release_error(404);
    assert!(error.starts_with("Release environment not found"), "{error}");
    let elsewhere = "/api/releases/none/environments/staging/rollback";
    let error = client.post(elsewhere, json!({})).await.release_error(404);
    assert!(error.starts_with("Release project not found"), "{error}");
}

#[tokio::test]
async fn create_rollback_needs_no_status_checks_and_goes_to_all_apps() {
    let (daemon, client) = project().await;
    let (pa, pb) = (id_of(&client, "pa").await, id_of(&client, "pb").await);
    for number in [1, 2] {
        deploy(&client, "production", number).await;
        succeed(&daemon, pa).await;
        succeed(&daemon, pb).await;
    }
    let coupling = client.get("/apps/pb/pipeline-couplings").await.json(200);
    let checks = json!({ "required_status_checks": { "contexts": ["tests/unit"] } });
    client.patch(&format!("/pipeline-couplings/{}", text(&coupling, "id")), checks).await.json(200);
    client.post(&deployments("production"), rc(3)).await.release_error(409);
    assert_eq!(client.get("/apps/pa/releases").await.json(200).as_array().unwrap().len(), 2, "all or none");
    roll_back(&client, "production").await.json(201);
    for app in ["pa", "pb"] {
        let releases = client.get(&format!("/apps/{app}/releases")).await.json(200);
        assert_eq!(
            (releases.as_array().unwrap().len(), &releases[2]["slug"]),
            (3, &releases[0]["slug"]),
            "{app}"
        );
    }
}
