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

fn documented_member() -> Value {
    json!({ "id": "", "user": { "id": "", "name": "" }, "role": "", "created_at": "" })
}

#[tokio::test]
async fn create_organization_makes_a_member_its_administrator() {
    let daemon = TestDaemon::start().await;
    let (alice, bob) = (daemon.personal("alice").await, daemon.personal("bob").await);
    alice.post("/organizations", json!({ "name": "hers" })).await.json(201);
    let names = |all: &Value| -> Vec<String> {
        all.as_array().unwrap().iter().map(|o| format!("{}:{}", o["name"], o["role"])).collect()
    };
    let seen = names(&alice.get("/organizations").await.json(200));
    assert_eq!(seen, ["\"akkeris\":\"member\"", "\"hers\":\"admin\""]);
    assert_eq!(names(&bob.get("/organizations").await.json(200)), ["\"akkeris\":\"member\""]);
    let message = bob.get("/organizations/hers").await.error(403);
    assert!(message.starts_with("You are no member of the organization hers"), "{message}");
    let app = json!({ "name": "app", "space": "default", "org": "hers" });
    bob.post("/apps", app.clone()).await.error(403);
    alice.post("/apps", app).await.json(201);
    assert_eq!(names(&daemon.admin().get("/organizations").await.json(200)).len(), 2);
}

#[tokio::test]
async fn list_organization_members_of_one_s_own_only() {
    let daemon = TestDaemon::start().await;
    let (alice, bob) = (daemon.personal("alice").await, daemon.personal("bob").await);
    alice.post("/organizations", json!({ "name": "hers" })).await.json(201);
    let members = alice.get("/organizations/hers/members").await.json(200);
    assert_shape(&json!([documented_member()]), &members, &[]);
    assert_eq!((&members[0]["user"]["name"], &members[0]["role"]), (&json!("alice"), &json!("admin")));
    bob.get("/organizations/hers/members").await.error(403);
    let all = bob.get("/organizations/akkeris/members").await.json(200);
    assert_eq!(all.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn update_organization_member_is_an_administrator_s_business() {
    let daemon = TestDaemon::start().await;
    let (alice, bob) = (daemon.personal("alice").await, daemon.personal("bob").await);
    alice.post("/organizations", json!({ "name": "hers" })).await.json(201);
    let put = async |client: &crate::support::Client, path: &str, body: Value| {
        client.send_body(http::Method::PUT, path, body.to_string()).await
    };
    let of_bob = "/organizations/hers/members/bob";
    put(&bob, of_bob, json!({})).await.error(403);
    put(&alice, of_bob, json!({ "role": "emperor" })).await.error(422);
    put(&alice, "/organizations/hers/members/nobody", json!({})).await.error(404);
    let member = put(&alice, of_bob, json!({})).await.json(200);
    assert_shape(&documented_member(), &member, &[]);
    assert_eq!(member["role"], "member");
    bob.post("/apps", json!({ "name": "app", "space": "default", "org": "hers" })).await.json(201);
    let message = put(&bob, "/organizations/hers/members/bob", json!({ "role": "admin" })).await.error(403);
    assert_eq!(message, "Only an administrator of the organization hers may change its members.");
    assert_eq!(put(&alice, of_bob, json!({ "role": "admin" })).await.json(200)["role"], "admin");
    put(&bob, "/organizations/hers/members/alice", json!({})).await.json(200);
}

#[tokio::test]
async fn delete_organization_member_takes_its_apps_out_of_reach() {
    let daemon = TestDaemon::start().await;
    let (alice, bob) = (daemon.personal("alice").await, daemon.personal("bob").await);
    alice.post("/apps", json!({ "name": "app", "space": "default", "org": "akkeris" })).await.json(201);
    bob.get("/apps/app").await.json(200);
    bob.post("/favorites", json!({ "app": "app" })).await.json(201);
    alice.delete("/organizations/akkeris/members/bob").await.error(403);
    let gone = daemon.admin().delete("/organizations/akkeris/members/bob").await.json(200);
    assert_shape(&documented_member(), &gone, &[]);
    bob.get("/apps/app").await.error(403);
    assert_eq!(bob.get("/apps").await.json(200), json!([]));
    assert_eq!(bob.get("/favorites").await.json(200), json!([]));
    daemon.admin().delete("/organizations/akkeris/members/bob").await.error(404);
    alice.delete("/organizations/akkeris/members/alice").await.json(200);
    alice.get("/apps/app").await.error(403);
}
