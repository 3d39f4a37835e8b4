//! Addon services and their plans, in the order of the document.

use serde_json::{Value, json};

use crate::support::{TestDaemon, assert_shape};

const ID: &str = "01bb60d2-f2bb-64c0-4c8b-ead731a690bc";

#[tokio::test]
async fn list_addon_services_shows_the_documented_fields() {
    let daemon = TestDaemon::start().await;
    let all = daemon.admin().get("/addon-services").await.json(200);
    let documented = json!([{
        "cli_plugin_name": "postgres", "created_at": "2016-08-09T12:00:00Z", "human_name": "Alamo Postgres", "id": ID,
        "name": "alamo-postgresql", "state": "ga", "available_regions": ["us-seattle"],
        "supports_multiple_installations": true, "supports_sharing": true, "updated_at": "2016-08-09T12:00:00Z",
    }]);
    assert_shape(&documented, &all, &[]);
    assert!(all.as_array().unwrap().iter().any(|service| service["name"] == "securekey"));
}

#[tokio::test]
async fn view_addon_service_takes_a_name_or_an_id() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let by_name = client.get("/addon-services/SecureKey").await.json(200);
    let by_id = client.get(&format!("/addon-services/{}", by_name["id"].as_str().unwrap())).await.json(200);
    assert_eq!(by_name, by_id);
    assert_eq!(by_name["supports_multiple_installations"], false);
    let error = client.get("/addon-services/nothing").await.error(404);
    assert_eq!(error, "The addon service nothing does not exist.");
}

#[tokio::test]
async fn list_addon_service_plans_shows_the_documented_fields() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let plans = client.get("/addon-services/securekey/plans").await.json(200);
    let documented = json!([{
        "attributes": {}, "addon_service": { "id": ID, "name": "alamo-postgresql" },
        "created_at": "2016-08-09T12:00:00Z", "default": false, "description": "4x CPU", "human_name": "Large",
        "id": ID, "installable_inside_private_network": true, "installable_outside_private_network": true,
        "name": "alamo-postgresql:large", "price": { "cents": 75000, "unit": "month" }, "space_default": false,
        "state": "public", "updated_at": "2016-08-09T12:00:00Z",
    }]);
    assert_shape(&documented, &plans, &[]);
    client.get("/addon-services/nothing/plans").await.error(404);
}

#[tokio::test]
async fn view_addon_service_plan_takes_an_id_a_short_and_a_full_name() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let short = client.get("/addon-services/securekey/plans/monthly").await.json(200);
    let id = short["id"].as_str().unwrap();
    for text in [id, "securekey:monthly", "MONTHLY"] {
        assert_eq!(client.get(&format!("/addon-services/securekey/plans/{text}")).await.json(200), short);
    }
    assert_eq!(short["provisioned_by"], json!([]));
    let error = client.get("/addon-services/securekey/plans/huge").await.error(404);
    assert_eq!(error, "The plan huge of securekey does not exist.");
}

#[tokio::test]
async fn view_addon_service_plan_names_the_addons_within_reach_only() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let app = json!({ "name": "app", "space": "default", "org": "akkeris" });
    client.post("/apps", app).await.json(201);
    client.post("/apps/app-default/addons", json!({ "plan": "securekey:monthly" })).await.json(201);
    let seen = |plan: Value| plan["provisioned_by"].as_array().unwrap().len();
    let path = "/addon-services/securekey/plans/monthly";
    assert_eq!(seen(client.get(path).await.json(200)), 1);
    client.post("/organizations", json!({ "name": "hers" })).await.json(201);
    daemon.account("alice", akkerisd::model::account::Role::Member, &["hers"]).await;
    let alice = daemon.personal("alice").await;
    assert_eq!(seen(alice.get(path).await.json(200)), 0);
}
