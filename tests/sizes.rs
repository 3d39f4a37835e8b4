//! Sizes, walked as the section Formations shows them, and what it leaves open.

use serde_json::{Value, json};

use crate::support::{TestDaemon, assert_shape};

#[tokio::test]
async fn list_sizes_as_documented() {
    let daemon = TestDaemon::start().await;
    let all = daemon.personal("alice").await.get("/sizes").await.json(200);
    let memory = json!({ "memory": "256Mi" });
    let documented = json!([{
        "name": "scout-prod",
        "resources": { "requests": memory, "limits": memory },
        // Not in the document, but what `aka` reads and the production server sends.
        "price": 15,
        "deprecated": false,
        "description": "",
        "type": "",
        "stacks": ["ds1"]
    }]);
    assert_shape(&documented, &all, &[]);
    let named = |name: &str| all.as_array().unwrap().iter().find(|size| size["name"] == name).cloned();
    for name in ["scout", "scout-prod"] {
        let resources = &named(name).unwrap()["resources"];
        assert_eq!(*resources, json!({ "requests": memory, "limits": memory }), "{name}");
    }
    let gp2 = named("gp2").unwrap();
    assert_eq!(gp2["resources"]["requests"]["memory"], "256Mi");
    assert_eq!(gp2["resources"]["limits"]["memory"], "512Mi");
    assert_eq!((&gp2["price"], &gp2["stacks"]), (&json!(20), &json!(["ds1"])));
}

#[tokio::test]
async fn list_sizes_follows_the_catalogue() {
    let daemon = TestDaemon::start().await;
    let mut catalogue = (*daemon.state.catalogue.load_full()).clone();
    catalogue.sizes.retain(|size| size.name.as_str() == "gp1");
    catalogue.sizes[0].deprecated = true;
    daemon.state.catalogue.store(std::sync::Arc::new(catalogue));
    let all = daemon.admin().get("/sizes").await.json(200);
    let names: Vec<&Value> = all.as_array().unwrap().iter().map(|size| &size["name"]).collect();
    assert_eq!(names, ["gp1"]);
    assert_eq!(all[0]["deprecated"], true);
    daemon.anonymous().get("/sizes").await.error(401);
}
