//! Audits, walked as the document shows them: every change, who made it, and when.

use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

fn documented() -> Value {
    json!({
        "action": "feature_change",
        "app": { "name": "api", "id": "fa2b535d-de4d-4a14-be36-d44af53b59e3" },
        "space": { "name": "default" },
        "changes": [{ "type": "update", "name": "auto-release", "value": true }],
        "feature": {
            "description": "When the application receives a new build whether or not it should automatically release the build.",
            "doc_url": "/features/auto-release",
            "id": "8e7ec5d2-c410-4d04-8d5e-db7746c40b44",
            "state": "public",
            "name": "auto-release",
            "display_name": "Auto release builds",
            "feedback_email": "cobra@octanner.com",
            "enabled": true
        },
        "username": "test",
        "timestamp": "2018-04-25T18:00:10.218Z",
        // Not in the document, but what `aka` reads.
        "received_at": "2018-04-25T18:00:10.218Z",
        "info": "{}"
    })
}

async fn with_apps() -> (TestDaemon, Client) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    client.post("/spaces", json!({ "name": "other" })).await.json(201);
    for (name, space) in [("front", "default"), ("front", "other"), ("back", "other")] {
        client.post("/apps", json!({ "name": name, "space": space, "org": "akkeris" })).await.json(201);
    }
    (daemon, client)
}

fn actions(audits: &Value) -> Vec<&str> {
    audits.as_array().unwrap().iter().map(|audit| audit["action"].as_str().unwrap()).collect()
}

fn apps(audits: &Value) -> Vec<String> {
    let text = |audit: &Value, field: &str| audit.pointer(field).and_then(Value::as_str).unwrap().to_owned();
    let key = |audit: &Value| format!("{}-{}", text(audit, "/app/name"), text(audit, "/space/name"));
    audits.as_array().unwrap().iter().map(key).collect()
}

#[tokio::test]
async fn list_audits_as_documented() {
    let (daemon, client) = with_apps().await;
    let alice = daemon.personal("alice").await;
    alice.patch("/apps/back/features/auto-release", json!({ "enabled": false })).await.json(200);
    let found = client.get("/audits?app=back&space=other").await.json(200);
    let newest = found.as_array().unwrap().first().unwrap();
    assert_shape(&documented(), newest, &[]);
    assert_eq!((&newest["action"], &newest["username"]), (&json!("feature_change"), &json!("alice")));
    assert_eq!(newest["changes"], json!([{ "type": "update", "name": "auto-release", "value": false }]));
    assert_eq!(newest["feature"]["enabled"], false);
    let info: Value = serde_json::from_str(newest["info"].as_str().unwrap()).unwrap();
    assert_eq!((&info["action"], &info["app"]["name"]), (&json!("feature_change"), &json!("back")));
    assert_eq!(client.get("/audits?app=back&space=other").await.json(200), found, "stable between calls");
}

#[tokio::test]
async fn list_audits_newest_first_filtered_by_app_space_and_user() {
    let (daemon, client) = with_apps().await;
    let alice = daemon.personal("alice").await;
    alice.patch("/apps/front-other", json!({ "description": "new" })).await.json(200);
    assert_eq!(
        apps(&client.get("/audits?app=front").await.json(200)),
        ["front-other", "front-other", "front-default"]
    );
    assert_eq!(apps(&client.get("/audits?app=FRONT&space=default").await.json(200)), ["front-default"]);
    assert_eq!(
        apps(&client.get("/audits?space=other").await.json(200)),
        ["front-other", "back-other", "front-other"]
    );
    assert_eq!(actions(&client.get("/audits?user=alice").await.json(200)), ["app_updated"]);
    assert_eq!(actions(&client.get("/audits?user=Alice").await.json(200)), ["app_updated"]);
    assert_eq!(client.get("/audits?app=nothing").await.json(200), json!([]));
}

#[tokio::test]
async fn list_audits_answers_ten_and_up_to_a_thousand_on_request() {
    let (_daemon, client) = with_apps().await;
    for number in 0..15 {
        client.patch("/apps/back/config-vars", json!({ "NUMBER": number })).await.json(200);
    }
    let count = async |query: &str| client.get(query).await.json(200).as_array().unwrap().len();
    assert_eq!(count("/audits?app=back").await, 10);
    assert_eq!(count("/audits?app=back&size=1000").await, 16);
    assert_eq!(count("/audits?app=back&size=1").await, 1);
    for size in ["0", "1001", "x", "-1"] {
        client.get(&format!("/audits?size={size}")).await.error(422);
    }
}

#[tokio::test]
async fn no_value_of_a_config_var_is_in_an_audit() {
    let (_daemon, client) = with_apps().await;
    client.patch("/apps/back/config-vars", json!({ "PLAIN": "opensesame" })).await.json(200);
    let answer = client.get("/audits?app=back&size=1000").await;
    assert!(!answer.text().contains("opensesame"));
    let found = answer.json(200);
    assert_eq!(actions(&found).first(), Some(&"config_change"));
    assert_eq!(found[0]["changes"], json!([{ "type": "create", "name": "PLAIN" }]));
}

#[tokio::test]
async fn what_happened_to_a_deleted_app_is_still_told() {
    let (_daemon, client) = with_apps().await;
    client.delete("/apps/back").await.json(200);
    assert_eq!(actions(&client.get("/audits?app=back").await.json(200)), ["destroy", "created"]);
}
