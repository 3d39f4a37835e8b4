//! `apps…` and `maintenance…`.

use http::Method;
use serde_json::json;

use super::{APP, Aka, at, list, strings, text};
use crate::pipelines::released;

/// What `apps:info` crashes without.
const CRITICAL: &[&str] =
    &["id", "name", "description", "organization.name", "region.name", "image", "simple_name", "web_url"];

#[tokio::test]
async fn apps_lists_names_addresses_and_where_they_are() {
    let aka = Aka::with_app().await;
    for app in list(&aka.get("/apps").await) {
        strings(app, &["name", "web_url", "git_url", "space.name", "space.id", "organization.name"]);
        assert!(app.get("preview").is_some(), "{app}");
    }
}

#[tokio::test]
async fn apps_info_reads_strings_everywhere() {
    let aka = Aka::with_app().await;
    for released_once in [false, true] {
        if released_once {
            released(&aka.daemon, &aka.client, "app-default").await;
        }
        let app = aka.get(APP).await;
        strings(&app, CRITICAL);
        strings(&app, &["git_url", "git_branch"]);
        assert!(app.get("preview").is_some() && app.get("released_at").is_some(), "{app}");
        aka.client.get(&format!("{APP}/pipeline-couplings")).await.error(404);
    }
    aka.post("/pipelines", json!({ "name": "pipe" })).await;
    aka.post("/pipeline-couplings", json!({ "app": "app-default", "pipeline": "pipe", "stage": "staging" }))
        .await;
    strings(&aka.get(&format!("{APP}/pipeline-couplings")).await, &["pipeline.name", "stage"]);
}

#[tokio::test]
async fn apps_blueprint_and_apps_fork_read_the_whole_document_and_send_it_back() {
    let aka = Aka::with_app().await;
    released(&aka.daemon, &aka.client, "app-default").await;
    let mut blueprint = aka.get(&format!("{APP}/app-setups")).await;
    assert!(at(&blueprint, "env.PORT").is_object(), "{blueprint}");
    let app = blueprint.get_mut("app").and_then(serde_json::Value::as_object_mut).unwrap();
    for (field, value) in [("name", "fork"), ("space", "default"), ("org", "akkeris")] {
        app.insert(field.to_owned(), json!(value));
    }
    let made = aka.post("/app-setups", blueprint).await;
    strings(&made, &["app.id", "app.name", "status"]);
    strings(&aka.get("/apps/fork-default").await, CRITICAL);
}

#[tokio::test]
async fn apps_create_makes_the_app_and_marks_it_as_a_favorite() {
    let aka = Aka::start().await;
    let body =
        json!({ "space": "default", "name": "app", "org": "akkeris", "description": "What it is for" });
    let made = aka.post("/apps", body).await;
    strings(&made, &["web_url"]);
    aka.post("/favorites", json!({ "app": "app-default" })).await;
}

#[tokio::test]
async fn apps_create_without_a_space_picks_one_and_an_organization_from_the_lists() {
    let aka = Aka::start().await;
    let (spaces, organizations) = (aka.get("/spaces").await, aka.get("/organizations").await);
    let (space, org) = (text(&list(&spaces)[0], "name"), text(&list(&organizations)[0], "name"));
    strings(&aka.post("/apps", json!({ "space": space, "name": "app", "org": org })).await, &["web_url"]);
    aka.post("/favorites", json!({ "app": format!("app-{space}") })).await;
}

#[tokio::test]
async fn apps_update_changes_the_description() {
    let aka = Aka::with_app().await;
    aka.patch(APP, json!({ "description": "Newer words" })).await;
    assert_eq!(text(&aka.get(APP).await, "description"), "Newer words");
}

#[tokio::test]
async fn maintenance_reads_and_switches_a_boolean() {
    let aka = Aka::with_app().await;
    for on in [true, false] {
        aka.get(APP).await;
        assert_eq!(aka.patch(APP, json!({ "maintenance": on })).await["maintenance"], on);
        assert_eq!(aka.get(APP).await["maintenance"], on);
    }
}

#[tokio::test]
async fn maintenance_batch_switches_each_app() {
    let aka = Aka::with_app().await;
    aka.create_app("other").await;
    for app in list(&aka.get("/apps").await) {
        let path = format!("/apps/{}", text(app, "name"));
        aka.get(&path).await;
        assert_eq!(aka.patch(&path, json!({ "maintenance": true })).await["maintenance"], true);
    }
}

#[tokio::test]
async fn apps_destroy_finds_the_text_that_confirms_it() {
    let aka = Aka::with_app().await;
    assert_eq!(aka.get(APP).await["name"], "app-default");
    aka.delete(APP).await.json(200);
    aka.client.get(APP).await.error(404);
}

#[tokio::test]
async fn apps_favorites_lists_what_was_added_and_not_what_was_removed() {
    let aka = Aka::with_app().await;
    aka.post("/favorites", json!({ "app": "app-default" })).await;
    for favorite in list(&aka.get("/favorites").await) {
        strings(favorite, &["name", "web_url", "git_url"]);
        assert!(favorite.get("preview").is_some(), "{favorite}");
        assert_eq!(favorite["name"], "app-default");
    }
    let gone = aka.delete("/favorites/app-default").await;
    assert_eq!((gone.status.as_u16(), gone.text().as_str()), (204, ""));
    assert_eq!(aka.get("/favorites").await, json!([]));
}

#[tokio::test]
async fn apps_open_reads_an_address() {
    let aka = Aka::with_app().await;
    let address = text(&aka.get(APP).await, "web_url").to_owned();
    assert!(address.parse::<http::Uri>().is_ok_and(|uri| uri.scheme_str() == Some("https")), "{address}");
}

#[tokio::test]
async fn audits_lists_words_that_can_be_told_apart_newest_first() {
    let aka = Aka::with_app().await;
    aka.send(Method::PATCH, &format!("{APP}/config-vars"), json!({ "A": "1" })).await.json(200);
    for path in [
        "/audits?app=app&space=default",
        "/audits?app=app&space=default&size=1000",
        "/audits?app=app&space=default&user=admin",
    ] {
        let audits = aka.get(path).await;
        assert_eq!(audits, aka.get(path).await, "its ids are made of the elements' bytes");
        for audit in list(&audits) {
            strings(audit, &["action", "username", "received_at", "info"]);
            assert!(serde_json::from_str::<serde_json::Value>(text(audit, "info")).unwrap().is_object());
        }
        assert_eq!(audits[0]["action"], "config_change");
    }
    assert_eq!(list(&aka.get("/audits?app=app&space=default&size=1").await).len(), 1);
}
