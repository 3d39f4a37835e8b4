//! `addons…`.

use http::Method;
use serde_json::{Value, json};

use super::{Aka, at, list, speaking, strings, text};
use crate::addons::harness::{addon_in, ready, start, vars_with};

const ADDONS: &str = "/apps/app-default/addons";

/// The client with `app-default`, `other-default` and the services of the harness.
async fn with_services() -> (Aka, crate::support::StoppedOnDrop) {
    let (daemon, _, client) = start().await;
    let work = daemon.work_at_addons();
    (Aka { client: speaking(&client), daemon }, work)
}

#[tokio::test]
async fn addons_reads_own_ones_and_those_of_other_apps() {
    let (aka, _work) = with_services().await;
    let addon = ready(&aka.client, json!({ "plan": "db:small" })).await;
    let body = json!({ "app": "other-default", "addon": addon["id"], "force": false, "name": null });
    aka.post("/apps/other-default/addon-attachments", body).await;
    for one in list(&aka.get(ADDONS).await) {
        strings(one, &["id", "name", "plan.name", "state"]);
        assert!(at(one, "primary").is_boolean());
    }
    for one in list(&aka.get("/apps/other-default/addon-attachments").await) {
        strings(one, &["id", "name", "app.name", "addon.app.name", "addon.plan.name"]);
        assert!(at(one, "primary").is_boolean());
    }
}

#[tokio::test]
async fn addons_services_addons_plans_and_addons_plans_info_read_names_and_prices() {
    let (aka, _work) = with_services().await;
    for service in list(&aka.get("/addon-services").await) {
        strings(service, &["human_name", "name", "description", "id", "state"]);
    }
    let plans = aka.get("/addon-services/db/plans").await;
    for plan in list(&plans) {
        strings(plan, &["human_name", "name", "id", "description", "price.unit", "state"]);
        assert!(at(plan, "price.cents").is_u64() && at(plan, "attributes").is_object());
    }
    assert!(list(&plans).iter().any(|plan| ["ga", "public"].contains(&text(plan, "state"))));
    ready(&aka.client, json!({ "plan": "db:small" })).await;
    let plan = aka.get("/addon-services/db/plans/db:small").await;
    for addon in list(at(&plan, "provisioned_by")) {
        strings(addon, &["name", "id"]);
    }
}

#[tokio::test]
async fn addons_create_waits_while_the_state_is_provisioning() {
    let (aka, _work) = with_services().await;
    let made =
        aka.post(ADDONS, json!({ "plan": "db:small", "attachment": { "name": "mydb" }, "name": null })).await;
    strings(&made, &["name", "id", "state", "state_description"]);
    let ready = addon_in(&aka.client, &made, "provisioned").await;
    strings(&ready, &["name", "id", "state", "state_description"]);
}

#[tokio::test]
async fn addons_info_and_addons_wait_print_the_addon() {
    let (aka, _work) = with_services().await;
    let addon = ready(&aka.client, json!({ "plan": "db:small" })).await;
    let by_name = aka.get(&format!("{ADDONS}/{}", text(&addon, "name"))).await;
    super::assert_printable(&by_name);
    assert_eq!(by_name["id"], addon["id"]);
}

#[tokio::test]
async fn addons_destroy_deletes_by_the_name_in_the_list() {
    let (aka, _work) = with_services().await;
    ready(&aka.client, json!({ "plan": "db:small" })).await;
    let addons = aka.get(ADDONS).await;
    let name = text(&list(&addons)[0], "name");
    let deleted = aka.delete(&format!("{ADDONS}/{name}")).await.json(200);
    assert_eq!(text(&deleted, "name"), name);
    assert_eq!(aka.get(ADDONS).await, json!([]));
}

#[tokio::test]
async fn addons_promote_tries_the_attachment_where_the_addon_is_not_found() {
    let (aka, _work) = with_services().await;
    let addon = ready(&aka.client, json!({ "plan": "db:small", "name": "theirs" })).await;
    aka.post("/apps/other-default/addons", json!({ "plan": "db:small", "name": "own" })).await;
    vars_with(&aka.client, "other-default", "DATABASE_URL").await;
    aka.post("/apps/other-default/addon-attachments", json!({ "addon": addon["id"], "name": "used" })).await;
    let change = || json!({ "primary": true });
    aka.send(Method::PATCH, "/apps/other-default/addons/used", change()).await.error(404);
    let promoted = aka.patch("/apps/other-default/addon-attachments/used", change()).await;
    super::assert_printable(&promoted);
    super::assert_printable(&aka.patch("/apps/other-default/addons/own", change()).await);
}

#[tokio::test]
async fn addons_rename_sends_the_name_of_the_attachment() {
    let (aka, _work) = with_services().await;
    let addon = ready(&aka.client, json!({ "plan": "db:small" })).await;
    let path = format!("{ADDONS}/{}", text(&addon, "name"));
    let renamed = aka.patch(&path, json!({ "attachment": { "name": "newname" } })).await;
    assert_eq!(text(&renamed, "name"), "newname");
}

#[tokio::test]
async fn addons_upgrade_changes_the_plan_in_maintenance() {
    let (aka, _work) = with_services().await;
    let addon = ready(&aka.client, json!({ "plan": "db:small" })).await;
    let service = aka.get(&format!("/addon-services/{}", text(&addon, "addon_service.id"))).await;
    assert_eq!(service["supports_upgrading"], true);
    let plan = aka.get(&format!("/addon-services/{}/plans/db:large", text(&service, "id"))).await;
    aka.patch("/apps/app-default", json!({ "maintenance": true })).await;
    aka.patch(&format!("{ADDONS}/{}", text(&addon, "id")), json!({ "plan": text(&plan, "id") })).await;
    let after: Value = addon_in(&aka.client, &addon, "provisioned").await;
    assert_eq!(text(&after, "plan.name"), "db:large");
    aka.patch("/apps/app-default", json!({ "maintenance": false })).await;
}

#[tokio::test]
async fn addons_attach_and_addons_detach_name_the_app_by_its_id() {
    let (aka, _work) = with_services().await;
    let addon = ready(&aka.client, json!({ "plan": "db:small" })).await;
    let app = aka.get("/apps/other-default").await;
    let body =
        json!({ "app": text(&app, "id"), "addon": text(&addon, "name"), "force": false, "name": "used" });
    let path = "/apps/other-default/addon-attachments";
    super::assert_printable(&aka.post(path, body).await);
    let detached = aka.delete(&format!("{path}/used")).await.json(200);
    assert_eq!(text(&detached, "name"), "used");
}
