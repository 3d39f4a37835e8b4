//! Spaces, walked as the document shows them, and what it leaves open.

use http::Method;
use serde_json::{Value, json};

use crate::support::{TestDaemon, assert_shape};

fn documented() -> Value {
    json!({
        "compliance": ["socs", "pci"],
        "created_at": "2016-07-26T16:10:50.391Z",
        "id": "3911c0ec-e967-4497-8db5-54a52c5174b4",
        "name": "default",
        "region": { "id": "7edbac4b-6a5e-09e1-ef3a-08084a904621", "name": "us-seattle" },
        "stack": { "id": "77d8c44b-6a5e-09e1-ef3a-08084a904622", "name": "ds1" },
        "state": "allocated",
        "updated_at": "2016-07-26T16:10:53.114Z"
    })
}

#[tokio::test]
async fn create_space_as_documented() {
    let daemon = TestDaemon::start().await;
    let body = r#"{"name":"perf-dev-us","description":"Performance dev in US", "stack":"ds1"}"#;
    let made = daemon.personal("alice").await.send_body(Method::POST, "/spaces", body).await.json(201);
    assert_shape(&documented(), &made, &[]);
    assert_eq!(made["name"], "perf-dev-us");
    assert_eq!(made["description"], "Performance dev in US");
    assert_eq!(made["compliance"], json!([]));
    assert_eq!(made["region"]["name"], "us-seattle");
    assert_eq!(made["stack"]["name"], "ds1");
    assert_eq!(made["apps"], 0);
    assert_eq!(made["state"], "allocated");
}

#[tokio::test]
async fn update_space_as_documented_answers_one_object() {
    let daemon = TestDaemon::start().await;
    let body = r#"{"compliance":["socs","canary"]}"#;
    let changed = daemon.admin().send_body(Method::PATCH, "/spaces/default", body).await.json(200);
    assert_shape(&documented(), &changed, &[]);
    assert_eq!(changed["compliance"], json!(["socs", "canary"]));
    assert_eq!(daemon.admin().get("/spaces/default").await.json(200), changed);
}

#[tokio::test]
async fn list_spaces_and_view_space_as_documented() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let all = client.get("/spaces").await.json(200);
    assert_shape(&json!([documented()]), &all, &[]);
    assert_eq!(all[0]["name"], "default");
    let space = client.get("/spaces/default").await.json(200);
    assert_eq!(space, all[0]);
    assert_eq!(client.get("/spaces/DEFAULT").await.json(200), space);
    let id = space["id"].as_str().unwrap();
    assert_eq!(client.get(&format!("/spaces/{id}")).await.json(200), space);
    assert_eq!(client.get("/spaces/nowhere").await.error(404), "The space nowhere does not exist.");
}

#[tokio::test]
async fn view_space_counts_its_live_apps() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    for name in ["one", "two"] {
        client.post("/apps", json!({ "name": name, "space": "default", "org": "akkeris" })).await.json(201);
    }
    client.delete("/apps/one-default").await.json(200);
    assert_eq!(client.get("/spaces/default").await.json(200)["apps"], 1);
    assert_eq!(client.get("/spaces").await.json(200)[0]["apps"], 1);
}

#[tokio::test]
async fn create_space_checks_in_the_documented_order() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let mut body = json!({ "name": "a b", "stack": "no", "compliance": "socs" });
    client.post("/spaces", body.clone()).await.error(422);
    body["name"] = json!("cert-manager");
    let reserved = client.post("/spaces", body.clone()).await.error(409);
    assert!(reserved.contains("reserved"), "{reserved}");
    body["name"] = json!("default");
    assert!(client.post("/spaces", body.clone()).await.error(404).contains("The stack no does not exist"));
    body["stack"] = json!("ds1");
    assert_eq!(client.post("/spaces", body.clone()).await.error(409), "The space default exists already.");
    body["name"] = json!("fresh");
    assert!(client.post("/spaces", body.clone()).await.error(422).contains("array of texts"));
    for compliance in [json!({}), json!([1]), json!(["a b"]), json!(7)] {
        body["compliance"] = compliance;
        client.post("/spaces", body.clone()).await.error(422);
    }
    body["compliance"] = json!(["internal"]);
    client.post("/spaces", body.clone()).await.error(409);
    body["compliance"] = json!(["socs", "pci", "socs"]);
    assert_eq!(client.post("/spaces", body).await.json(201)["compliance"], json!(["socs", "pci"]));
    client.post("/spaces", json!({ "name": "abcdefghijkl" })).await.error(422);
    client.post("/spaces", json!({})).await.error(422);
}

#[tokio::test]
async fn update_space_changes_only_what_is_named() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    client.post("/spaces", json!({ "name": "s", "description": "d", "compliance": ["dev"] })).await.json(201);
    let changed = client.patch("/spaces/s", json!({ "description": "e" })).await.json(200);
    assert_eq!((&changed["description"], &changed["compliance"]), (&json!("e"), &json!(["dev"])));
    client.patch("/spaces/s", json!({ "compliance": "dev" })).await.error(422);
    client.patch("/spaces/s", json!({ "description": 7 })).await.error(400);
    client.patch("/spaces/nowhere", json!({})).await.error(404);
    assert_eq!(client.patch("/spaces/s", json!({})).await.json(200), changed);
}

#[tokio::test]
async fn update_space_lets_only_an_administrator_take_protection_away() {
    let daemon = TestDaemon::start().await;
    let user = daemon.personal("alice").await;
    user.patch("/spaces/default", json!({ "compliance": ["socs", "prod"] })).await.json(200);
    let refused = user.patch("/spaces/default", json!({ "compliance": ["socs"] })).await.error(403);
    assert!(refused.contains("administrator"), "{refused}");
    user.patch("/spaces/default", json!({ "compliance": ["prod", "socs", "x"] })).await.json(200);
    daemon.admin().patch("/spaces/default", json!({ "compliance": [] })).await.json(200);
}
