//! What apps use of the addons of others, in the order of the document.

use serde_json::{Value, json};

use crate::addons::harness::{create_app, create_space, ready, start, vars_with};
use crate::support::assert_shape;

const PATH: &str = "/apps/other-default/addon-attachments";

fn documented() -> Value {
    let (id, at) = ("5feef9bb-2bed-4b62-bdf5-e31691fab88c", "2016-08-11T20:16:45.820Z");
    json!({
        "addon": {
            "actions": null, "addon_service": { "id": id, "name": "alamo-postgresql" },
            "app": { "id": id, "name": "sourceapp-space" }, "config_vars": {}, "created_at": at, "id": id,
            "name": "alamo-postgresql-1", "plan": { "id": id, "name": "alamo-postgresql:small" },
        },
        "app": { "id": id, "name": "attachedapp-space" }, "created_at": at, "updated_at": at, "id": id, "name": "x-1",
    })
}

#[tokio::test]
async fn list_app_addon_attachments_shows_what_is_of_others_only() {
    let (daemon, _, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db" })).await;
    client.post(PATH, json!({ "addon": addon["id"], "app": "other-default" })).await.json(201);
    let all = client.get(PATH).await.json(200);
    assert_shape(&json!([documented()]), &all, &["actions"]);
    assert_eq!((all.as_array().unwrap().len(), &all[0]["addon"]["app"]["name"]), (1, &json!("app-default")));
    assert_eq!(client.get("/apps/app-default/addon-attachments").await.json(200), json!([]));
}

#[tokio::test]
async fn view_app_addon_attachment_takes_its_id_its_name_or_the_id_of_the_addon() {
    let (daemon, _, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db" })).await;
    let made = client.post(PATH, json!({ "addon": addon["name"], "name": "shared" })).await.json(201);
    for text in [&made["id"], &made["name"], &addon["id"]] {
        let found = client.get(&format!("{PATH}/{}", text.as_str().unwrap())).await.json(200);
        assert_eq!(found["id"], made["id"]);
    }
    client.get(&format!("{PATH}/nothing")).await.error(404);
    let own = format!("/apps/app-default/addon-attachments/{}", addon["id"].as_str().unwrap());
    client.get(&own).await.error(404);
}

#[tokio::test]
async fn create_app_addon_attachment_gives_the_app_the_variables() {
    let (daemon, scripted, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db", "name": "mydb" })).await;
    let app = client.get("/apps/other-default").await.json(200);
    let body = json!({ "app": app["id"], "addon": "mydb", "force": false, "name": null });
    let made = client.post(PATH, body).await.json(201);
    assert_shape(&documented(), &made, &["actions"]);
    assert_eq!(made["primary"], true);
    let vars = vars_with(&client, "other-default", "DATABASE_URL").await;
    assert_eq!(vars["DATABASE_URL"], "db://u:secret@host/mydb/small");
    let viewed =
        client.get(&format!("/apps/app-default/addons/{}", addon["id"].as_str().unwrap())).await.json(200);
    assert_eq!(viewed["attached_to"][1], json!({ "id": app["id"], "name": "other-default", "owner": false }));
    assert_eq!(scripted.calls(), ["provision", "bind", "bind"]);
}

#[tokio::test]
async fn create_app_addon_attachment_refuses_what_cannot_be_shared() {
    let (daemon, _, client) = start().await;
    create_space(&client, "safe", &["socs"]).await;
    create_space(&client, "live", &["prod"]).await;
    create_app(&client, "secret", "safe").await;
    create_app(&client, "shop", "live").await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db" })).await;
    let alone = ready(&client, json!({ "plan": "alone:small" })).await;
    let key = ready(&client, json!({ "plan": "securekey:manual" })).await;
    client.post("/apps/secret-safe/addons", json!({ "plan": "db", "name": "hidden" })).await.json(201);
    vars_with(&client, "secret-safe", "DATABASE_URL").await;
    client.post("/apps/other-default/addons", json!({ "plan": "securekey:manual" })).await.json(201);
    client.post(PATH, json!({ "addon": addon["id"] })).await.json(201);
    for (path, body, status, text) in [
        (PATH, json!({}), 422, "The field \"addon\" is missing"),
        (PATH, json!({ "addon": "nothing" }), 404, "The addon nothing does not exist"),
        (PATH, json!({ "addon": addon["id"], "app": "app-default" }), 422, "name one app"),
        (PATH, json!({ "addon": addon["id"] }), 409, "uses the addon"),
        ("/apps/app-default/addon-attachments", json!({ "addon": addon["id"] }), 409, "uses the addon"),
        (PATH, json!({ "addon": "hidden" }), 409, "with the compliance socs"),
        ("/apps/shop-live/addon-attachments", json!({ "addon": addon["id"] }), 409, "the compliance prod"),
        (PATH, json!({ "addon": alone["id"] }), 409, "for one app only"),
        (PATH, json!({ "addon": key["id"] }), 409, "only one of it"),
        (
            "/apps/secret-safe/addon-attachments",
            json!({ "addon": addon["id"], "name": "1" }),
            422,
            "is not usable",
        ),
        (
            "/apps/secret-safe/addon-attachments",
            json!({ "addon": addon["id"], "name": "hidden" }),
            409,
            "already",
        ),
    ] {
        let error = client.post(path, body.clone()).await.error(status);
        assert!(error.contains(text), "{body}: {error}");
    }
}

#[tokio::test]
async fn create_addon_attachment_names_the_app_in_the_body() {
    let (daemon, _, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db" })).await;
    client.post("/addon-attachments", json!({ "addon": addon["id"] })).await.error(422);
    let body = json!({ "addon": addon["id"], "app": "other-default" });
    let made = client.post("/addon-attachments", body).await.json(201);
    assert_eq!(made["app"]["name"], "other-default");
}

#[tokio::test]
async fn create_addon_attachment_before_the_addon_is_there_is_not_ready() {
    let (_daemon, _, client) = start().await;
    let addon = client.post("/apps/app-default/addons", json!({ "plan": "db" })).await.json(201);
    client.post(PATH, json!({ "addon": addon["id"] })).await.error(424);
}

#[tokio::test]
async fn list_addon_attachments_view_addon_attachment_and_delete_addon_attachment_need_no_app() {
    let (daemon, _, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db" })).await;
    let made = client.post(PATH, json!({ "addon": addon["id"] })).await.json(201);
    let path = format!("/addon-attachments/{}", made["id"].as_str().unwrap());
    assert_eq!(client.get("/addon-attachments").await.json(200)[0]["id"], made["id"]);
    assert_eq!(client.get(&path).await.json(200)["id"], made["id"]);
    client.post("/organizations", json!({ "name": "hers" })).await.json(201);
    daemon.account("alice", akkerisd::model::account::Role::Member, &["hers"]).await;
    let alice = daemon.personal("alice").await;
    assert_eq!(alice.get("/addon-attachments").await.json(200), json!([]));
    alice.get(&path).await.error(403);
    client.delete(&path).await.json(200);
    client.get(&path).await.error(404);
}

#[tokio::test]
async fn view_addon_attachment_of_no_id_is_not_found() {
    let (_daemon, _, client) = start().await;
    client.get("/addon-attachments/x").await.error(404);
}

#[tokio::test]
async fn update_app_addon_attachment_promotes_what_is_of_others() {
    let (daemon, _, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db", "name": "shared" })).await;
    client.post("/apps/other-default/addons", json!({ "plan": "db", "name": "own" })).await.json(201);
    vars_with(&client, "other-default", "DATABASE_URL").await;
    let made = client.post(PATH, json!({ "addon": addon["id"], "name": "theirs" })).await.json(201);
    assert_eq!(made["primary"], false);
    vars_with(&client, "other-default", "THEIRS_DATABASE_URL").await;
    client.patch("/apps/other-default/addons/theirs", json!({ "primary": true })).await.error(404);
    let promoted = client.patch(&format!("{PATH}/theirs"), json!({ "primary": true })).await.json(200);
    assert_eq!(promoted["primary"], true);
    let vars = client.get("/apps/other-default/config-vars").await.json(200);
    assert!(vars["DATABASE_URL"].as_str().unwrap().contains("/shared/"), "{vars}");
    assert!(vars["OWN_DATABASE_URL"].as_str().unwrap().contains("/own/"), "{vars}");
}

#[tokio::test]
async fn delete_app_addon_attachment_takes_the_variables_and_promotes_another() {
    let (daemon, scripted, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db" })).await;
    client.post(PATH, json!({ "addon": addon["id"], "name": "theirs" })).await.json(201);
    vars_with(&client, "other-default", "DATABASE_URL").await;
    client.post("/apps/other-default/addons", json!({ "plan": "db", "name": "own" })).await.json(201);
    vars_with(&client, "other-default", "OWN_DATABASE_URL").await;
    let detached = client.delete(&format!("{PATH}/theirs")).await.json(200);
    assert_shape(&documented(), &detached, &["actions"]);
    scripted.wait_for("unbind", 1).await;
    let vars = client.get("/apps/other-default/config-vars").await.json(200);
    assert!(
        vars["DATABASE_URL"].as_str().unwrap().contains("/own/") && vars.get("OWN_DATABASE_URL").is_none()
    );
    client.delete(&format!("{PATH}/theirs")).await.error(404);
    assert_eq!(client.get("/apps/app-default/addons").await.json(200)[0]["state"], "provisioned");
}
