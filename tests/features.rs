//! Features, walked as the document shows them, and what it leaves open.

use akkerisd::model::event::Event;
use akkerisd::model::feature::Feature;
use serde_json::{Value, json};

use crate::support::{assert_shape, with_app};

const PATH: &str = "/apps/app-default/features";

fn documented() -> Value {
    json!({
        "description": "When the application receives a new build whether or not it should automatically release the build.",
        "doc_url": "/features/auto-release",
        "id": "8e7ec5d2-c410-4d04-8d5e-db7746c40b44",
        "state": "public",
        "name": "auto-release",
        "display_name": "Auto release builds",
        "feedback_email": "cobra@octanner.com",
        "enabled": false
    })
}

#[tokio::test]
async fn update_feature_as_documented() {
    let (_daemon, client) = with_app().await;
    let off = client.patch(&format!("{PATH}/auto-release"), json!({ "enabled": false })).await.json(200);
    assert_shape(&documented(), &off, &[]);
    for field in ["description", "doc_url", "id", "state", "name", "display_name", "enabled"] {
        assert_eq!(off[field], documented()[field], "{field}");
    }
    assert_eq!(client.get(&format!("{PATH}/auto-release")).await.json(200), off);
}

#[tokio::test]
async fn list_features_is_an_array_of_all_with_the_first_two_on() {
    let (_daemon, client) = with_app().await;
    let all = client.get(PATH).await.json(200);
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), Feature::ALL.len());
    for feature in all {
        assert_shape(&documented(), feature, &[]);
    }
    let on: Vec<&str> =
        all.iter().filter(|f| f["enabled"] == true).map(|f| f["name"].as_str().unwrap()).collect();
    assert_eq!(on, ["auto-release", "http2"]);
}

#[tokio::test]
async fn view_feature_by_name_in_any_case_and_by_id() {
    let (_daemon, client) = with_app().await;
    let found = client.get(&format!("{PATH}/preview")).await.json(200);
    let id = found["id"].as_str().unwrap();
    assert_eq!(id, "1e4ec5d3-c410-2d04-8d5e-d22346de0112");
    assert_eq!(client.get(&format!("{PATH}/PREVIEW")).await.json(200), found);
    assert_eq!(client.get(&format!("{PATH}/{id}")).await.json(200), found);
    client.get(&format!("{PATH}/nothing")).await.error(404);
    client.get("/apps/nothing-default/features").await.error(404);
}

#[tokio::test]
async fn update_feature_refuses_bad_input_and_changes_nothing() {
    let (_daemon, client) = with_app().await;
    let before = client.get(PATH).await.json(200);
    for body in [json!({}), json!({ "enabled": "true" }), json!({ "enabled": null }), json!({ "enabled": 1 })]
    {
        client.patch(&format!("{PATH}/preview"), body).await.error(422);
    }
    client.send_body(http::Method::PATCH, &format!("{PATH}/preview"), "").await.error(400);
    client.patch(&format!("{PATH}/nothing"), json!({ "enabled": true })).await.error(404);
    let deprecated = client.patch(&format!("{PATH}/http2"), json!({ "enabled": false })).await;
    assert_eq!(deprecated.error(403), "The feature http2 is deprecated and cannot be switched.");
    assert_eq!(client.get(PATH).await.json(200), before);
}

#[tokio::test]
async fn update_feature_tells_of_real_changes_only() {
    let (daemon, client) = with_app().await;
    let mut events = daemon.events().await;
    client.patch(&format!("{PATH}/auto-release"), json!({ "enabled": true })).await.json(200);
    assert!(events.so_far().await.is_empty());
    client.patch(&format!("{PATH}/preview"), json!({ "enabled": true })).await.json(200);
    assert!(matches!(
        *events.next().await,
        Event::FeatureChanged { feature: Feature::Preview, enabled: true, .. }
    ));
}
