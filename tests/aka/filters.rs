//! `filters…` and `apps:filters…`.

use http::Method;
use serde_json::{Value, json};

use super::{APP, Aka, at, list, strings, text};

/// What `filters:create NAME -t jwt …` sends.
fn body() -> Value {
    json!({
        "type": "jwt", "name": "login", "description": "Only who is logged in", "organization": "akkeris",
        "options": { "jwks_uri": "https://issuer.example/jwks", "issuer": "https://issuer.example", "audiences": ["a"] }
    })
}

async fn with_filter() -> Aka {
    let aka = Aka::with_app().await;
    aka.post("/filters", body()).await;
    aka
}

/// `apps:filters:attach login -a app-default`.
async fn with_attachment() -> (Aka, Value) {
    let aka = with_filter().await;
    let filter = aka.get("/filters/login").await;
    let body = json!({ "filter": { "id": text(&filter, "id") }, "options": { "excludes": ["/public"] } });
    let made = aka.post(&format!("{APP}/filters"), body).await;
    (aka, made)
}

#[tokio::test]
async fn filters_and_filters_info_read_options_and_the_apps_with_their_spaces() {
    let (aka, _) = with_attachment().await;
    for filter in list(&aka.get("/filters").await) {
        strings(filter, &["name", "id", "type", "options.issuer"]);
        let viewed = aka.get(&format!("/filters/{}", text(filter, "name"))).await;
        for app in list(at(&viewed, "attached_apps")) {
            strings(app, &["name", "space.name"]);
        }
    }
}

#[tokio::test]
async fn filters_create_filters_update_and_filters_destroy_change_the_list() {
    let aka = with_filter().await;
    let mut change = body();
    change.as_object_mut().unwrap().insert("description".to_owned(), json!("Other words"));
    let changed = aka.send(Method::PUT, "/filters/login", change).await.json(200);
    assert_eq!(text(&changed, "description"), "Other words");
    let deleted = aka.delete("/filters/login").await;
    assert_eq!((deleted.status.as_u16(), deleted.body.len()), (204, 0));
    assert_eq!(aka.get("/filters").await, json!([]));
}

#[tokio::test]
async fn apps_filters_reads_the_options_of_the_filter_and_of_the_attachment() {
    let (aka, _) = with_attachment().await;
    for attachment in list(&aka.get(&format!("{APP}/filters")).await) {
        strings(attachment, &["id", "filter.type", "filter.name", "filter.options.issuer"]);
        assert_eq!(at(attachment, "options.excludes"), &json!(["/public"]));
    }
}

#[tokio::test]
async fn apps_filters_attach_update_and_detach_read_the_ids() {
    let (aka, made) = with_attachment().await;
    strings(&made, &["id", "filter.id"]);
    let path = format!("{APP}/filters/{}", text(&made, "id"));
    let filter = text(at(&aka.get(&path).await, "filter"), "id").to_owned();
    let body = json!({ "filter": { "id": filter }, "options": { "includes": ["/admin"] } });
    let changed = aka.send(Method::PUT, &path, body).await.json(200);
    assert_eq!(at(&changed, "options.includes"), &json!(["/admin"]));
    assert_eq!(aka.delete(&path).await.json(200), json!([]));
}
