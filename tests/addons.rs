//! The addons of apps, in the order of the document.

mod broker;
mod fake_broker;
pub(crate) mod harness;
mod securekey;
mod work;

use serde_json::{Value, json};

use self::harness::{addon_in, create_app, create_space, ready, start, vars_with};
use crate::support::assert_shape;

const PATH: &str = "/apps/app-default/addons";

fn documented() -> Value {
    let id = "5feef9bb-2bed-4b62-bdf5-e31691fab88c";
    json!({
        "actions": null, "addon_service": { "id": id, "name": "alamo-postgresql" },
        "app": { "id": id, "name": "app-space" }, "config_vars": {}, "created_at": "2016-08-11T20:16:45.820Z", "id": id,
        "name": "alamo-postgresql-fire-1", "plan": { "id": id, "name": "alamo-postgresql:small" },
        "provider_id": "alamo", "updated_at": "2016-08-11T20:16:45.820Z", "web_url": "https://example.com",
    })
}

#[tokio::test]
async fn create_addon_answers_at_once_and_the_variables_come_when_it_is_ready() {
    let (daemon, _, client) = start().await;
    let made = client.post(PATH, json!({ "plan": "db:small" })).await.json(201);
    assert_shape(&documented(), &made, &["actions"]);
    assert_eq!(
        (&made["state"], &made["primary"], &made["app"]["name"]),
        (&json!("provisioning"), &json!(true), &json!("app-default"))
    );
    assert!(made["name"].as_str().unwrap().starts_with("db-"), "{made}");
    assert_eq!(made["config_vars"], json!({}));
    let _work = daemon.work_at_addons();
    let ready = addon_in(&client, &made, "provisioned").await;
    let url = ready["config_vars"]["DATABASE_URL"].as_str().unwrap().to_owned();
    assert!(url.starts_with("db://u:secret@host/"), "{url}");
    let vars = client.get("/apps/app-default/config-vars").await.json(200);
    assert_eq!(vars["DATABASE_URL"], json!(url));
    assert_eq!(
        ready["attached_to"],
        json!([{ "id": ready["app"]["id"], "name": "app-default", "owner": true }])
    );
    assert!(!daemon.disk().await.contains("u:secret"));
}

#[tokio::test]
async fn create_addon_takes_a_plan_by_its_id_or_by_the_default_of_its_service() {
    let (_daemon, _, client) = start().await;
    let plan = client.get("/addon-services/db/plans/large").await.json(200);
    let by_id = client
        .post(PATH, json!({ "plan": plan["id"], "attachment": { "name": null }, "name": null }))
        .await
        .json(201);
    assert_eq!(by_id["plan"]["name"], "db:large");
    let by_default =
        client.post(PATH, json!({ "plan": "db", "attachment": { "name": "My-DB" } })).await.json(201);
    assert_eq!((&by_default["plan"]["name"], &by_default["name"]), (&json!("db:small"), &json!("my-db")));
    assert_eq!(by_default["primary"], false);
}

#[tokio::test]
async fn create_addon_refuses_what_cannot_be_given() {
    let (_daemon, _, client) = start().await;
    for (body, status, text) in [
        (json!({}), 422, "The field \"plan\" is missing"),
        (json!({ "plan": "db:huge" }), 422, "The plan db:huge does not exist"),
        (json!({ "plan": "alone" }), 422, "The plan alone does not exist"),
        (json!({ "plan": "db:closed" }), 422, "is shut down"),
        (json!({ "plan": "db:prod" }), 422, "with the compliance prod"),
        (json!({ "plan": "db:small", "name": "1" }), 422, "The addon name \"1\" is not usable"),
        (json!({ "plan": "db:far" }), 409, "is not available in the region us-seattle"),
    ] {
        let error = client.post(PATH, body.clone()).await.error(status);
        assert!(error.contains(text), "{body}: {error}");
    }
    client.post("/apps/nothing-default/addons", json!({ "plan": "db" })).await.error(404);
    assert_eq!(client.get(PATH).await.json(200), json!([]));
}

#[tokio::test]
async fn create_addon_twice_at_once_makes_one_of_a_service_for_one_only() {
    let (daemon, _, client) = start().await;
    let body = || json!({ "plan": "securekey:manual" });
    let answers = futures_util::future::join_all((0..4).map(|_| client.post(PATH, body()))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409]);
    let named = || json!({ "plan": "db", "name": "mydb" });
    let answers = futures_util::future::join_all((0..4).map(|_| client.post(PATH, named()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(daemon.count("addons"), 2);
}

#[tokio::test]
async fn list_addons_shows_what_belongs_to_the_app_only() {
    let (daemon, _, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db" })).await;
    client.post("/apps/other-default/addon-attachments", json!({ "addon": addon["id"] })).await.json(201);
    let own = client.get(PATH).await.json(200);
    assert_eq!(own.as_array().unwrap().len(), 1);
    assert_shape(&json!([documented()]), &own, &["actions"]);
    assert_eq!(client.get("/apps/other-default/addons").await.json(200), json!([]));
}

#[tokio::test]
async fn view_addon_takes_an_id_a_name_or_a_service_that_is_there_once() {
    let (_daemon, _, client) = start().await;
    let one = client.post(PATH, json!({ "plan": "db" })).await.json(201);
    for text in [&one["id"], &one["name"], &json!("db")] {
        let found = client.get(&format!("{PATH}/{}", text.as_str().unwrap())).await.json(200);
        assert_eq!(found["id"], one["id"]);
    }
    client.post(PATH, json!({ "plan": "db" })).await.json(201);
    assert!(client.get(&format!("{PATH}/db")).await.error(422).contains("Several addons are meant by db"));
    client.get(&format!("{PATH}/nothing")).await.error(404);
}

#[tokio::test]
async fn update_addon_promotes_and_the_variables_swap_their_names() {
    let (daemon, _, client) = start().await;
    let _work = daemon.work_at_addons();
    let first = ready(&client, json!({ "plan": "db", "name": "one" })).await;
    let second = ready(&client, json!({ "plan": "db", "name": "two" })).await;
    let vars = client.get("/apps/app-default/config-vars").await.json(200);
    assert!(
        vars["DATABASE_URL"].as_str().unwrap().contains("/one/")
            && vars["TWO_DATABASE_URL"].as_str().unwrap().contains("/two/")
    );
    let path = format!("{PATH}/{}", second["id"].as_str().unwrap());
    let promoted = client.patch(&path, json!({ "primary": true })).await.json(200);
    assert_eq!(promoted["primary"], true);
    let vars = client.get("/apps/app-default/config-vars").await.json(200);
    assert!(
        vars["DATABASE_URL"].as_str().unwrap().contains("/two/")
            && vars["ONE_DATABASE_URL"].as_str().unwrap().contains("/one/")
    );
    assert!(client.patch(&path, json!({ "primary": false })).await.error(409).contains("cannot be demoted"));
    let deleted = client.delete(&path).await.json(200);
    assert_eq!(deleted["id"], second["id"]);
    let vars = client.get("/apps/app-default/config-vars").await.json(200);
    assert!(
        vars["DATABASE_URL"].as_str().unwrap().contains("/one/") && vars.get("ONE_DATABASE_URL").is_none()
    );
    let again = client.get(&format!("{PATH}/{}", first["id"].as_str().unwrap())).await.json(200);
    assert_eq!(again["primary"], true);
}

#[tokio::test]
async fn update_addon_renames_and_a_prefix_follows() {
    let (daemon, _, client) = start().await;
    let _work = daemon.work_at_addons();
    ready(&client, json!({ "plan": "db", "name": "one" })).await;
    let two = ready(&client, json!({ "plan": "db", "name": "two" })).await;
    let path = format!("{PATH}/{}", two["id"].as_str().unwrap());
    let renamed = client.patch(&path, json!({ "attachment": { "name": "new-name" } })).await.json(200);
    assert_eq!(renamed["name"], "new-name");
    let vars = client.get("/apps/app-default/config-vars").await.json(200);
    assert!(vars.get("TWO_DATABASE_URL").is_none() && vars.get("NEW_NAME_DATABASE_URL").is_some());
    client.patch(&path, json!({ "name": "one" })).await.error(409);
    client.patch(&path, json!({ "name": "new_name" })).await.json(200);
    client.patch(&path, json!({ "name": "?" })).await.error(422);
}

#[tokio::test]
async fn update_addon_changes_the_plan_and_the_invoice_knows_both() {
    let (daemon, scripted, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db:small" })).await;
    let path = format!("{PATH}/{}", addon["id"].as_str().unwrap());
    for (plan, status) in
        [("db:huge", 422), ("securekey:manual", 422), ("closed", 422), ("prod", 422), ("far", 409)]
    {
        client.patch(&path, json!({ "plan": plan })).await.error(status);
    }
    let changing = client.patch(&path, json!({ "plan": "large" })).await.json(200);
    assert_eq!(changing["state"], "provisioning");
    let changed = addon_in(&client, &addon, "provisioned").await;
    assert_eq!(
        (&changed["plan"]["name"], &changed["billed_price"]["cents"]),
        (&json!("db:large"), &json!(10000))
    );
    scripted.wait_for("bind", 2).await;
    let month = client.get("/account/invoices").await.json(200);
    let path = month[0]["$ref"].as_str().unwrap().to_owned();
    let invoice = client.get(&path).await.json(200);
    let items: Vec<(&str, &Value)> = invoice["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["description"].as_str().unwrap(), &item["price_per_unit"]))
        .collect();
    assert_eq!(items, [("db:small addon", &json!(15)), ("db:large addon", &json!(100))]);
}

#[tokio::test]
async fn delete_addon_is_refused_while_another_app_uses_it() {
    let (daemon, scripted, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db" })).await;
    client.post("/apps/other-default/addon-attachments", json!({ "addon": addon["id"] })).await.json(201);
    scripted.wait_for("bind", 2).await;
    let path = format!("{PATH}/{}", addon["id"].as_str().unwrap());
    assert!(client.delete(&path).await.error(409).contains("is attached to other-default"));
    assert!(client.delete("/apps/app-default").await.error(409).contains("is attached to other-default"));
    client
        .delete(&format!("/apps/other-default/addon-attachments/{}", addon["id"].as_str().unwrap()))
        .await
        .json(200);
    let deleted = client.delete(&path).await.json(200);
    assert_shape(&documented(), &deleted, &["actions"]);
    client.get(&path).await.error(404);
    scripted.wait_for("deprovision", 1).await;
    assert_eq!(scripted.calls(), ["provision", "bind", "bind", "unbind", "unbind", "deprovision"]);
    let vars = client.get("/apps/app-default/config-vars").await.json(200);
    assert!(vars.get("DATABASE_URL").is_none());
}

#[tokio::test]
async fn delete_addon_in_a_space_with_compliance_needs_elevation() {
    let (daemon, _, client) = start().await;
    create_space(&client, "safe", &["socs"]).await;
    create_app(&client, "secret", "safe").await;
    let _work = daemon.work_at_addons();
    client.post("/apps/secret-safe/addons", json!({ "plan": "db", "name": "mydb" })).await.json(201);
    let vars = vars_with(&client, "secret-safe", "DATABASE_URL").await;
    assert_eq!(vars["DATABASE_URL"], "db://u:[redacted]@host/mydb/small");
    let addon = client.get("/apps/secret-safe/addons/mydb").await.json(200);
    assert_eq!(addon["config_vars"]["DATABASE_URL"], "db://u:[redacted]@host/mydb/small");
    let path = "/apps/secret-safe/addons/mydb";
    let dev = daemon.personal("dev").await;
    assert!(dev.delete(path).await.error(403).contains("Only an administrator"));
    client.delete(path).await.json(200);
}

#[tokio::test]
async fn list_all_addons_view_any_addon_and_list_addon_config_reach_every_app() {
    let (daemon, _, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db", "name": "mydb" })).await;
    let all = client.get("/addons").await.json(200);
    assert_eq!(all[0]["id"], addon["id"]);
    assert_eq!(client.get("/addons/mydb").await.json(200)["id"], addon["id"]);
    let id = addon["id"].as_str().unwrap();
    let config = client.get(&format!("/addons/{id}/config")).await.json(200);
    assert_eq!(config, json!([{ "name": "DATABASE_URL", "value": "db://u:secret@host/mydb/small" }]));
    assert_eq!(client.get(&format!("/addons/{id}/addon-attachments")).await.json(200), json!([]));
    client.post("/organizations", json!({ "name": "hers" })).await.json(201);
    daemon.account("alice", akkerisd::model::account::Role::Member, &["hers"]).await;
    let alice = daemon.personal("alice").await;
    assert_eq!(alice.get("/addons").await.json(200), json!([]));
    alice.get(&format!("/addons/{id}")).await.error(403);
    alice.get(&format!("/addons/{id}/config")).await.error(403);
    client.get("/addons/nothing").await.error(404);
}

#[tokio::test]
async fn list_attachments_of_addon_shows_the_apps_that_use_it() {
    let (daemon, _, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db" })).await;
    client.post("/apps/other-default/addon-attachments", json!({ "addon": addon["id"] })).await.json(201);
    let all =
        client.get(&format!("/addons/{}/addon-attachments", addon["id"].as_str().unwrap())).await.json(200);
    assert_eq!(all[0]["app"]["name"], "other-default");
}

#[tokio::test]
async fn update_config_vars_refuses_what_an_addon_brings_and_takes_it_back_unchanged() {
    let (daemon, _, client) = start().await;
    let _work = daemon.work_at_addons();
    ready(&client, json!({ "plan": "db", "name": "mydb" })).await;
    let path = "/apps/app-default/config-vars";
    for value in [json!("x"), Value::Null] {
        let error = client.patch(path, json!({ "DATABASE_URL": value })).await.error(409);
        assert!(error.contains("is set by the addon mydb"), "{error}");
    }
    let vars = client.get(path).await.json(200);
    let mut back = vars.as_object().unwrap().clone();
    back.remove("PORT");
    back.insert("OWN".to_owned(), json!("x"));
    let merged = client.patch(path, Value::Object(back)).await.json(200);
    assert_eq!((&merged["DATABASE_URL"], &merged["OWN"]), (&vars["DATABASE_URL"], &json!("x")));
    let notes = client.get("/apps/app-default/config-vars/notes").await.json(200);
    assert_eq!(
        (&notes["DATABASE_URL"]["type"], &notes["DATABASE_URL"]["addon"]["name"]),
        (&json!("addon"), &json!("mydb"))
    );
}

#[tokio::test]
async fn delete_app_takes_its_addons_away_and_detaches_those_of_others() {
    let (daemon, scripted, client) = start().await;
    let _work = daemon.work_at_addons();
    let addon = ready(&client, json!({ "plan": "db" })).await;
    client.post("/apps/other-default/addon-attachments", json!({ "addon": addon["id"] })).await.json(201);
    scripted.wait_for("bind", 2).await;
    client.delete("/apps/other-default").await.json(200);
    scripted.wait_for("unbind", 1).await;
    client.delete("/apps/app-default").await.json(200);
    scripted.wait_for("deprovision", 1).await;
    assert_eq!(client.get("/addons").await.json(200), json!([]));
}
