//! Events that others report, as `behaviour.md` §23 has them.

use akkerisd::model::account::Role;
use serde_json::{Value, json};

use crate::support::with_app;

fn scan() -> Value {
    json!({
        "action": "security_scan",
        "key": "app-default",
        "status": "failed",
        "service_name": "scanner",
        "message": "2 findings",
        "link": "https://scanner.example.com/2"
    })
}

fn without(field: &str) -> Value {
    let mut body = scan();
    body.as_object_mut().unwrap().remove(field);
    body
}

#[tokio::test]
async fn create_event_takes_a_security_scan_and_keeps_it_in_the_audits() {
    let (_daemon, client) = with_app().await;
    assert_eq!(client.post("/events", scan()).await.json(200), json!({ "status": "ok" }));
    assert_eq!(client.post("/events", without("link")).await.json(200), json!({ "status": "ok" }));
    let audits = client.get("/audits?app=app&space=default").await.json(200);
    let told = audits.to_string();
    assert!(told.contains("security_scan") && told.contains("2 findings"), "{told}");
}

#[tokio::test]
async fn create_event_refuses_what_is_missing() {
    let (_daemon, client) = with_app().await;
    for field in ["action", "key", "status", "service_name", "message"] {
        let said = client.post("/events", without(field)).await.json(400).to_string();
        assert!(said.contains(field) && said.contains("is missing"), "{said}");
    }
}

#[tokio::test]
async fn create_event_refuses_other_actions_unknown_apps_and_strange_links() {
    let (_daemon, client) = with_app().await;
    let with = |field: &str, value: &str| {
        let mut body = scan();
        body.as_object_mut().unwrap().insert(field.to_owned(), json!(value));
        body
    };
    client.post("/events", with("action", "released")).await.json(400);
    client.post("/events", with("key", "nothing-default")).await.json(404);
    client.post("/events", with("link", "javascript:alert(1)")).await.json(400);
    client.post("/events", with("message", &"x".repeat(5_000))).await.json(400);
}

#[tokio::test]
async fn create_event_is_for_apps_within_reach() {
    let (daemon, client) = with_app().await;
    client.post("/organizations", json!({ "name": "other" })).await.json(201);
    let body = json!({ "name": "theirs", "space": "default", "org": "other" });
    client.post("/apps", body).await.json(201);
    daemon.account("stranger", Role::Member, &[]).await;
    let mut report = scan();
    report.as_object_mut().unwrap().insert("key".to_owned(), json!("theirs-default"));
    daemon.personal("stranger").await.post("/events", report).await.json(403);
}
