//! Secure keys (`behaviour.md` §18).

use serde_json::{Value, json};

use super::harness::{ready, start, vars_with};

fn keys(vars: &Value) -> (String, String) {
    let (first, second) = vars["SECURE_KEY"].as_str().unwrap().split_once(',').unwrap();
    for key in [first, second] {
        assert!(
            key.len() == 64 && key.bytes().all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b)),
            "{key}"
        );
    }
    (first.to_owned(), second.to_owned())
}

#[tokio::test]
async fn act_on_addon_rotates_a_secure_key_for_every_app_that_uses_it() {
    let (daemon, _, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "securekey:monthly" })).await;
    let (first, second) = keys(&client.get("/apps/app-default/config-vars").await.json(200));
    assert_ne!(first, second);
    client.post("/apps/other-default/addon-attachments", json!({ "addon": addon["id"] })).await.json(201);
    assert_eq!(keys(&vars_with(&client, "other-default", "SECURE_KEY").await), (first.clone(), second));
    let path = format!("/apps/app-default/addons/{}/actions/rotate", addon["id"].as_str().unwrap());
    let answer = client.post(&path, json!({})).await;
    assert_eq!(answer.json(200), json!({ "status": "ok" }));
    let rotated = keys(&client.get("/apps/app-default/config-vars").await.json(200));
    assert_eq!(rotated.1, first);
    assert_eq!(keys(&client.get("/apps/other-default/config-vars").await.json(200)), rotated);
    client.get(&path).await.error(404);
    assert!(
        client
            .post(&path.replace("rotate", "explode"), json!({}))
            .await
            .error(404)
            .contains("has no action explode")
    );
}

#[tokio::test]
async fn act_on_addon_part_is_not_found_where_the_provider_has_none() {
    let (daemon, _, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "securekey:manual" })).await;
    let path = format!("/apps/app-default/addons/{}/actions/rotate/key", addon["id"].as_str().unwrap());
    assert!(client.post(&path, json!({})).await.error(404).contains("has no action rotate/key"));
}

#[tokio::test]
async fn act_on_addon_waits_for_nothing_that_is_not_there() {
    let (_daemon, _, client) = start().await;
    let addon =
        client.post("/apps/app-default/addons", json!({ "plan": "securekey:manual" })).await.json(201);
    let path = format!("/apps/app-default/addons/{}/actions/rotate", addon["id"].as_str().unwrap());
    assert!(client.post(&path, json!({})).await.error(409).contains("is provisioning"));
}
