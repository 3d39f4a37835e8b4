//! `drains`.

use serde_json::json;

use super::{APP, Aka, text};

#[tokio::test]
async fn drains_are_created_listed_shown_and_removed() {
    let aka = Aka::with_app().await;
    let made =
        aka.post(&format!("{APP}/log-drains"), json!({ "url": "syslog+tls://logs.app.com:44112" })).await;
    let id = text(&made, "id").to_owned();
    let list = aka.get(&format!("{APP}/log-drains")).await;
    let first = list.get(0).unwrap();
    for field in ["token", "id", "url"] {
        assert_eq!(text(first, field), text(&made, field));
    }
    assert_eq!(aka.get(&format!("{APP}/log-drains/{id}")).await, made);
    let removed = aka.delete(&format!("{APP}/log-drains/{id}")).await.json(200);
    assert_eq!(text(&removed, "url"), "syslog+tls://logs.app.com:44112");
}

/// `drains -s shop.example`.
#[tokio::test]
async fn drains_of_a_site_are_created_listed_shown_and_removed() {
    let aka = Aka::with_app().await;
    aka.post("/sites", json!({ "domain": "shop.example" })).await;
    let drains = "/sites/shop.example/log-drains";
    let made = aka.post(drains, json!({ "url": "https://logs.app.com" })).await;
    let id = text(&made, "id").to_owned();
    let list = aka.get(drains).await;
    let first = list.get(0).unwrap();
    for field in ["token", "id", "url"] {
        assert_eq!(text(first, field), text(&made, field));
    }
    assert_eq!(aka.get(&format!("{drains}/{id}")).await, made);
    let removed = aka.delete(&format!("{drains}/{id}")).await.json(200);
    assert_eq!(text(&removed, "url"), "https://logs.app.com");
}
