//! Organizations, walked as the document shows them, and what it leaves open.

use serde_json::{Value, json};

use crate::support::{TestDaemon, assert_shape};

fn documented() -> Value {
    json!({
        "created_at": "2016-07-26T15:47:05.126Z",
        "id": "3911c0ec-e967-4497-8db5-54a52c5174b4",
        "name": "myorg",
        "updated_at": "2016-07-26T15:47:07.267Z",
        "role": "admin"
    })
}

#[tokio::test]
async fn create_organization_as_documented() {
    let daemon = TestDaemon::start().await;
    let client = daemon.personal("alice").await;
    let body = r#"{"name":"myorg","description":"My organizations name."}"#;
    let made = client.send_body(http::Method::POST, "/organizations", body).await.json(201);
    assert_shape(&documented(), &made, &[]);
    assert_eq!(made["name"], "myorg");
    assert_eq!(made["role"], "admin");
    assert_eq!(made["description"], "My organizations name.");
}

#[tokio::test]
async fn view_organization_by_name_in_any_case_and_by_id() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let found = client.get("/organizations/akkeris").await.json(200);
    assert_shape(&documented(), &found, &[]);
    let id = found["id"].as_str().unwrap();
    assert_eq!(client.get("/organizations/AKKERIS").await.json(200), found);
    assert_eq!(client.get(&format!("/organizations/{id}")).await.json(200), found);
    assert_eq!(
        client.get("/organizations/nobody").await.error(404),
        "The organization nobody does not exist."
    );
    client.get("/organizations/-").await.error(404);
}

#[tokio::test]
async fn list_organizations_oldest_first() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    for name in ["zeta", "alpha"] {
        client.post("/organizations", json!({ "name": name })).await.json(201);
    }
    let all = client.get("/organizations").await.json(200);
    assert_shape(&json!([documented()]), &all, &[]);
    let names: Vec<&str> = all.as_array().unwrap().iter().map(|o| o["name"].as_str().unwrap()).collect();
    assert_eq!(names.first(), Some(&"akkeris"));
    assert!(names.ends_with(&["zeta", "alpha"]), "{names:?}");
}

#[tokio::test]
async fn create_organization_refuses_unusable_and_taken_names() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    for name in [json!(""), json!("a b"), json!("a-b"), json!("abcdefghijkl"), json!(7), json!(null)] {
        client.post("/organizations", json!({ "name": name })).await.error(422);
    }
    client.post("/organizations", json!({})).await.error(422);
    client.post("/organizations", json!({ "name": "ok", "description": "x".repeat(2000) })).await.error(422);
    let taken = client.post("/organizations", json!({ "name": " AKKERIS " })).await;
    assert_eq!(taken.error(409), "The organization akkeris exists already.");
}
