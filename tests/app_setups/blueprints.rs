//! The blueprint of an app, and the equal app that it makes.

use serde_json::{Value, json};

use super::harness::{Bench, at, least, text, with};
use crate::support::assert_shape;

/// As documented, with the parts that the example shows filled.
fn documented() -> Value {
    json!({
        "app": {
            "locked": false, "name": "event", "organization": "performance", "region": "us-seattle",
            "personal": false, "space": "perf-dev", "stack": "ds1"
        },
        "env": { "JAVA_OPTS": { "description": "", "required": false, "value": "-Xmx1024M" } },
        "formation": { "web": { "quantity": 2, "size": "galaxy", "command": null } },
        "addons": { "another": { "plan": "lang-db:dev" } },
        "attachments": [{ "id": "1", "name": "x", "app": "y" }],
        "source_blob": { "checksum": "already-validated-auto-build", "url": "docker://docker.io/x:0.88", "version": "v" },
        "log-drains": [{ "url": "syslog+tls://logs.app.com:40841", "token": "event-perf-dev" }],
        "pipeline-couplings": [],
        "sites": { "perf-dev.akkeris.io": { "routes": [{ "source_path": "/api/wall", "target_path": "/" }] } }
    })
}

/// Everything that an app can have, and what others must have for it.
async fn with_everything() -> (Bench, Value) {
    let bench = Bench::start().await;
    bench.offer_keyrings();
    bench.provide();
    let client = &bench.client;
    let owner = json!({ "app": { "name": "owner", "space": "perf-dev-us", "organization": "akkeris" },
        "addons": { "shared": { "plan": "keyring:small" } } });
    bench.make(&with(least("owner"), owner)).await;
    client.post("/pipelines", json!({ "name": "pipe" })).await.json(201);
    client.post("/sites", json!({ "domain": "perf-dev.example.io", "region": "us-seattle" })).await.json(201);
    let filter = json!({
        "type": "csp", "name": "strict", "description": "x", "organization": "akkeris",
        "options": { "policy": "default-src 'self'" }
    });
    client.post("/filters", filter).await.json(201);
    let blueprint = json!({
        "app": {
            "name": "event", "space": "perf-dev-us", "organization": "akkeris", "description": "what it is",
            "labels": "a,b"
        },
        "env": {
            "JAVA_OPTS": { "value": "-Xmx1024M", "description": "for the machine", "required": true }, "EMPTY": "",
            "DB_URL": "postgres://u:secretpw@host/db"
        },
        "formation": {
            "web": { "quantity": 2, "size": "galaxy", "port": 5000, "healthcheck": "/octhc" },
            "worker": { "quantity": 1, "size": "scout", "command": "./work --all" },
            "nightly": {
                "command": "./clean", "schedule": { "cron": "30 4 * * *", "time_zone": "Europe/Berlin", "overlap": "replace" },
                "options": { "image": "busybox:1", "env": { "LEVEL": "9" } }
            }
        },
        "addons": {
            "keyring": { "plan": "keyring:small", "primary": true }, "another": { "plan": "keyring:small" },
            "securekey": { "plan": "securekey:manual" }
        },
        "attachments": [{ "name": "shared", "app": "owner-perf-dev-us", "as": "borrowed" }],
        "source_blob": { "url": "docker://registry.example/app:1", "version": "v12" },
        "log-drains": [
            { "url": "https://user:drainpw@logs.example.com/x", "token": "event-perf-dev" },
            { "url": "syslog+tls://logs.app.com:40841" }
        ],
        "pipeline-couplings": [{ "pipeline": "pipe", "stage": "staging", "required_status_checks": { "contexts": ["ci/unit-tests"] } }],
        "features": [{ "name": "preview", "enabled": true }, { "name": "auto-release", "enabled": false }],
        "filters": [{ "filter": { "id": "strict" }, "options": { "includes": ["/a"], "excludes": ["/a/b"] } }],
        "sites": { "perf-dev.example.io": { "routes": [{ "source_path": "/api/wall", "target_path": "/x" }] } }
    });
    bench.make(&blueprint).await;
    let exported = client.get("/apps/event-perf-dev-us/app-setups").await.json(200);
    (bench, exported)
}

/// Where two values differ.
fn differences(one: &Value, other: &Value, at: &str, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            for name in a.keys().chain(b.keys().filter(|name| !a.contains_key(*name))) {
                let (a, b) = (a.get(name).unwrap_or(&Value::Null), b.get(name).unwrap_or(&Value::Null));
                differences(a, b, &format!("{at}/{name}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                differences(a, b, &format!("{at}/{index}"), found);
            }
        }
        (a, b) if a == b => {}
        (a, b) => found.push(format!("{at}: {a} and {b}")),
    }
}

#[tokio::test]
async fn view_blueprint_as_documented() {
    let (bench, exported) = with_everything().await;
    let document = documented();
    assert_shape(&with(document.clone(), json!({ "env": {}, "sites": {} })), &exported, &[]);
    assert_shape(at(&document, "/env/JAVA_OPTS"), at(&exported, "/env/JAVA_OPTS"), &[]);
    assert_eq!(text(&exported, "/env/PORT/value"), "5000");
    let routes = json!([{ "source_path": "/api/wall", "target_path": "/x" }]);
    assert_eq!(at(&exported, "/sites/perf-dev.example.io/routes"), &routes);
    assert!(text(&exported, "/source_blob/url").starts_with("docker://akkeris-"), "{exported}");
    assert_eq!(text(&exported, "/source_blob/version"), "v12");
    assert_eq!(at(&exported, "/formation/web/command"), &Value::Null);
    let unbuilt = json!({ "name": "unbuilt", "space": "default", "org": "akkeris" });
    bench.client.post("/apps", unbuilt).await.json(201);
    let message = bench.client.get("/apps/unbuilt-default/app-setups").await.error(422);
    assert!(message.contains("no successful build"), "{message}");
}

#[tokio::test]
async fn a_blueprint_sent_back_under_another_name_makes_an_equal_app() {
    let (bench, exported) = with_everything().await;
    let mut copy = exported.clone();
    *copy.pointer_mut("/app/name").unwrap() = json!("copy");
    // A path of a site leads to one app: the copy gets it once the first one is gone.
    bench.client.delete("/apps/event-perf-dev-us").await.json(200);
    bench.make(&copy).await;
    let again = bench.client.get("/apps/copy-perf-dev-us/app-setups").await.json(200);
    let mut found = Vec::new();
    differences(&exported, &again, "", &mut found);
    found.retain(|difference| {
        !difference.starts_with("/app/name") && !difference.starts_with("/source_blob/url")
    });
    assert_eq!(found, Vec::<String>::new());
    let addons = at(&again, "/addons").as_object().unwrap();
    assert_eq!(addons.len(), 3, "{again}");
    assert_eq!(text(&again, "/attachments/0/as"), "borrowed");
    let notes = bench.client.get("/apps/copy-perf-dev-us/config-vars/notes").await.json(200);
    assert_eq!(text(&notes, "/JAVA_OPTS/description"), "for the machine");
}

#[tokio::test]
async fn a_copy_beside_its_model_leaves_the_paths_of_sites_where_they_lead() {
    let (bench, mut copy) = with_everything().await;
    *copy.pointer_mut("/app/name").unwrap() = json!("copy");
    bench.make(&copy).await;
    let routes = bench.client.get("/apps/copy-perf-dev-us/routes").await.json(200);
    assert_eq!(routes, json!([]));
    let routes = bench.client.get("/apps/event-perf-dev-us/routes").await.json(200);
    assert_eq!(routes.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn the_image_of_an_app_beyond_reach_is_not_taken_for_a_copy() {
    let (bench, exported) = with_everything().await;
    bench.client.post("/organizations", json!({ "name": "others" })).await.json(201);
    bench.daemon.account("mallory", akkerisd::model::account::Role::Member, &["others"]).await;
    let mallory = bench.daemon.personal("mallory").await;
    let own = json!({ "app": { "name": "own", "space": "default", "organization": "others" },
        "source_blob": at(&exported, "/source_blob") });
    let made = mallory.post("/app-setups", own).await.json(201);
    let done = bench.until_done(text(&made, "/id")).await;
    assert!(text(&done, "/failure_message").starts_with("build failed [403 "), "{done}");
    let body = json!({ "url": text(&exported, "/source_blob/url") });
    mallory.post("/apps/own-default/builds", body).await.error(403);
}

#[tokio::test]
async fn view_blueprint_in_a_socs_space_leaves_secrets_out_and_requires_them() {
    let (bench, open) = with_everything().await;
    assert_eq!(text(&open, "/env/DB_URL/value"), "postgres://u:secretpw@host/db");
    bench.client.patch("/spaces/perf-dev-us", json!({ "compliance": ["socs"] })).await.json(200);
    let exported = bench.client.get("/apps/event-perf-dev-us/app-setups").await.json(200);
    let shown = exported.to_string();
    assert!(!shown.contains("secretpw") && !shown.contains("drainpw"), "{shown}");
    let var = at(&exported, "/env/DB_URL");
    assert_eq!((at(var, "/value"), at(var, "/required")), (&Value::Null, &json!(true)));
    assert_eq!(text(&exported, "/env/JAVA_OPTS/value"), "-Xmx1024M");
    let mut copy = exported;
    *copy.pointer_mut("/app/name").unwrap() = json!("copy");
    let message = bench.client.post("/app-setups", copy).await.error(422);
    assert!(message.contains("DB_URL is required") && message.contains("is redacted"), "{message}");
}

#[tokio::test]
async fn view_blueprint_of_a_prod_space_names_the_size_without_its_suffix() {
    let bench = Bench::start().await;
    bench.client.patch("/spaces/default", json!({ "compliance": ["prod"] })).await.json(200);
    bench.make(&with(least("app"), json!({ "formation": { "web": { "size": "scout" } } }))).await;
    let web = bench.client.get("/apps/app-default/formation/web").await.json(200);
    assert_eq!(text(&web, "/size"), "scout-prod");
    let exported = bench.client.get("/apps/app-default/app-setups").await.json(200);
    assert_eq!(text(&exported, "/formation/web/size"), "scout");
}
