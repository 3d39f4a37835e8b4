//! Plugins, walked as the document shows them, and what it leaves open.

use http::Method;
use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

fn documented() -> Value {
    json!({
        "created_at": "2016-10-12T04:50:58.519Z",
        "id": "2546d9f3-4316-40f2-805d-a9aaa37d918d",
        "name": "testing",
        "description": "description",
        "owner": { "name": "owner", "email": "email@email.com" },
        "repo": "https://foo.com",
        "updated_at": "2016-10-12T04:50:58.519Z"
    })
}

fn new(name: &str) -> Value {
    json!({ "name": name, "repo": "https://foo.com", "owner": "owner", "email": "email@email.com" })
}

/// The body with one field replaced, or removed by `None`.
fn but(mut body: Value, field: &str, value: Option<Value>) -> Value {
    let fields = body.as_object_mut().unwrap();
    match value {
        Some(value) => fields.insert(field.to_owned(), value),
        None => fields.remove(field),
    };
    body
}

async fn publish(client: &Client, name: &str) -> Value {
    client.post("/plugins", new(name)).await.json(201)
}

#[tokio::test]
async fn create_plugin_as_documented() {
    let daemon = TestDaemon::start().await;
    let client = daemon.personal("alice").await;
    let mut events = daemon.events().await;
    let body = r#"{"name":"testing", "repo":"https://foo2.com", "owner":"owner2", "email":"email2@email.com", "description":"description2"}"#;
    let made = client.send_body(Method::POST, "/plugins", body).await.json(201);
    assert_shape(&documented(), &made, &[]);
    assert_eq!((&made["name"], &made["repo"]), (&json!("testing"), &json!("https://foo2.com")));
    assert_eq!(made["owner"], json!({ "name": "owner2", "email": "email2@email.com" }));
    assert_eq!((&made["email"], &made["description"]), (&json!("email2@email.com"), &json!("description2")));
    assert_eq!(client.get("/plugins/testing").await.json(200), made);
    assert_eq!(events.kinds_so_far().await, ["plugin_created"]);
}

#[tokio::test]
async fn list_plugins_oldest_first_and_view_one_by_name_in_any_case_and_by_id() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    assert_eq!(client.get("/plugins").await.json(200), json!([]));
    let (zeta, alpha) = (publish(&client, "zeta").await, publish(&client, " Alpha ").await);
    let all = client.get("/plugins").await.json(200);
    assert_shape(&json!([documented()]), &all, &[]);
    assert_eq!(all, json!([zeta, alpha]));
    assert_eq!(client.get("/plugins/ALPHA").await.json(200), alpha);
    let id = alpha["id"].as_str().unwrap();
    assert_eq!(client.get(&format!("/plugins/{id}")).await.json(200), alpha);
    assert_eq!(alpha["description"], "");
    assert_eq!(client.get("/plugins/none").await.error(404), "The plugin none does not exist.");
    client.get("/plugins/-").await.error(404);
}

#[tokio::test]
async fn update_plugin_as_documented_changes_all_but_the_name() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let made = publish(&client, "testing").await;
    let mut events = daemon.events().await;
    let body = json!({ "name": "other", "repo": "https://foo2.com", "owner": "owner2",
        "email": "email2@email.com", "description": "description2" });
    let changed = client.patch("/plugins/testing", body.clone()).await.json(200);
    assert_shape(&documented(), &changed, &[]);
    assert_eq!((&changed["id"], &changed["name"]), (&made["id"], &json!("testing")));
    assert_eq!(changed["repo"], "https://foo2.com");
    assert_eq!(changed["owner"], json!({ "name": "owner2", "email": "email2@email.com" }));
    assert_eq!(changed["description"], "description2");
    assert_eq!(client.get("/plugins/testing").await.json(200), changed);
    let id = made["id"].as_str().unwrap();
    let without = but(body, "description", None);
    assert_eq!(client.patch(&format!("/plugins/{id}"), without).await.json(200), changed);
    assert_eq!(events.kinds_so_far().await, ["plugin_updated"], "the second call changed nothing");
}

#[tokio::test]
async fn update_plugin_refuses_what_is_missing_or_unusable_and_changes_nothing() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let made = publish(&client, "testing").await;
    for field in ["repo", "owner", "email"] {
        client.patch("/plugins/testing", but(new("testing"), field, None)).await.error(422);
        client.patch("/plugins/testing", but(new("testing"), field, Some(json!("")))).await.error(422);
        client.patch("/plugins/testing", but(new("testing"), field, Some(json!(7)))).await.error(400);
    }
    assert_eq!(client.get("/plugins/testing").await.json(200), made);
    client.patch("/plugins/none", new("none")).await.error(404);
    client.send(Method::PATCH, "/plugins/testing").await.error(400);
}

#[tokio::test]
async fn delete_plugin_as_documented_frees_its_name() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let made = publish(&client, "testing").await;
    let mut events = daemon.events().await;
    let gone = client.delete("/plugins/testing").await.json(200);
    assert_shape(&documented(), &gone, &[]);
    assert_eq!(gone, made);
    client.get("/plugins/testing").await.error(404);
    client.get(&format!("/plugins/{}", made["id"].as_str().unwrap())).await.error(404);
    assert_eq!(client.get("/plugins").await.json(200), json!([]));
    assert_eq!(client.delete("/plugins/testing").await.error(404), "The plugin testing does not exist.");
    assert_ne!(publish(&client, "testing").await["id"], made["id"]);
    assert_eq!(events.kinds_so_far().await, ["plugin_deleted", "plugin_created"]);
}

#[tokio::test]
async fn create_plugin_refuses_what_is_missing_unusable_or_taken() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let refused = [
        ("name", vec![json!(""), json!("a-b"), json!("a b"), json!("../x"), json!("x".repeat(65)), json!(7)]),
        (
            "repo",
            vec![json!("http://foo.com"), json!("foo"), json!("https://"), json!("https://a b"), json!([])],
        ),
        ("owner", vec![json!(""), json!(null), json!("x".repeat(129))]),
        ("email", vec![json!("nobody"), json!(""), json!(true)]),
        ("description", vec![json!("x".repeat(2000)), json!({})]),
    ];
    for (field, values) in refused {
        for value in values {
            client.post("/plugins", but(new("testing"), field, Some(value))).await.error(422);
        }
        if field != "description" {
            let message = client.post("/plugins", but(new("testing"), field, None)).await.error(422);
            assert!(message.contains(field), "{message}");
        }
    }
    assert_eq!(client.get("/plugins").await.json(200), json!([]));
    client.send_body(Method::POST, "/plugins", "").await.error(400);
    publish(&client, "testing").await;
    let taken = client.post("/plugins", new("TESTING")).await.error(409);
    assert_eq!(taken, "The plugin testing exists already.");
}

#[tokio::test]
async fn identical_creations_at_once_publish_one_plugin() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let answers =
        futures_util::future::join_all((0..8).map(|_| client.post("/plugins", new("testing")))).await;
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
    assert_eq!(client.get("/plugins").await.json(200).as_array().unwrap().len(), 1);
}
