//! `plugins…`.

use serde_json::json;

use super::{Aka, assert_printable, list, strings, text};

const PLUGIN: &str = "/plugins/testing";

async fn publish(aka: &Aka) {
    let body = json!({
        "description": "What it does", "name": "testing", "repo": "https://foo.com",
        "owner": "owner", "email": "email@email.com"
    });
    aka.post("/plugins", body).await;
}

#[tokio::test]
async fn plugins_and_plugins_info_read_names_and_repositories() {
    let aka = Aka::start().await;
    publish(&aka).await;
    for plugin in list(&aka.get("/plugins").await) {
        strings(plugin, &["name", "id", "repo", "description"]);
        assert_printable(&aka.get(&format!("/plugins/{}", text(plugin, "name"))).await);
    }
}

#[tokio::test]
async fn plugins_install_reads_the_repository() {
    let aka = Aka::start().await;
    publish(&aka).await;
    assert_eq!(text(&aka.get(PLUGIN).await, "repo"), "https://foo.com");
}

#[tokio::test]
async fn plugins_publish_plugins_revise_and_plugins_unpublish_change_the_list() {
    let aka = Aka::start().await;
    publish(&aka).await;
    let body = json!({
        "description": "More words", "name": "testing", "repo": "https://bar.com",
        "owner": "owner", "email": "email@email.com"
    });
    aka.patch(PLUGIN, body).await;
    assert_eq!(text(&aka.get(PLUGIN).await, "description"), "More words");
    aka.delete(PLUGIN).await.json(200);
    assert_eq!(aka.get("/plugins").await, json!([]));
}
