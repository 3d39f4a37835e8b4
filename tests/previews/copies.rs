//! What a preview takes over from its source, and what it does not.

use serde_json::{Value, json};

use super::harness::{APP, Source, changed, request};
use crate::pipelines::{released, text};
use akkerisd::model::pull_request::PullRequestChange;
use akkerisd::service::previews::Outcome;

async fn domains(source: &Source) -> Vec<Value> {
    let sites = source.client.get("/sites").await.json(200);
    sites.as_array().unwrap().iter().map(|site| site["domain"].clone()).collect()
}

#[tokio::test]
async fn config_vars_are_copied_with_their_notes_and_tell_the_app_what_it_is() {
    let source = Source::with(&["preview"]).await;
    let vars = json!({ "API_TOKEN": "hunter2-token", "EMPTY": "" });
    source.client.patch(&format!("{APP}/config-vars"), vars).await.json(200);
    source.client.patch(&format!("{APP}/formation/web"), json!({ "port": 8080 })).await.json(200);
    let notes = json!({ "API_TOKEN": { "required": true, "description": "of the bank" } });
    source.client.patch(&format!("{APP}/config-vars/notes"), notes).await.json(200);
    let path = source.open("fix/login").await;
    let expected = json!({
        "API_TOKEN": "hunter2-token", "EMPTY": "", "PORT": "8080",
        "PREVIEW_APP": "shop5e870-default", "PREVIEW_APP_SOURCE": "shop-default"
    });
    assert_eq!(source.client.get(&format!("{path}/config-vars")).await.json(200), expected);
    let notes = source.client.get(&format!("{path}/config-vars/notes")).await.json(200);
    assert_eq!(
        (&notes["API_TOKEN"]["required"], &notes["API_TOKEN"]["description"]),
        (&json!(true), &json!("of the bank"))
    );
    assert!(!source.daemon.disk().await.contains("hunter2-token"), "a value lies open on the disk");
}

#[tokio::test]
async fn features_are_copied_but_those_about_previews() {
    let source = Source::with(&["preview", "preview-dynos", "csp-media"]).await;
    source.switch("auto-release", false).await;
    let path = source.open("fix").await;
    let features = source.client.get(&format!("{path}/features")).await.json(200);
    let on: Vec<&str> = features
        .as_array()
        .unwrap()
        .iter()
        .filter(|feature| feature["enabled"] == true)
        .map(|feature| text(feature, "name"))
        .collect();
    assert_eq!(on, ["auto-release", "http2", "csp-media"]);
}

async fn formations(source: &Source, path: &str) -> Vec<(String, Value, Value, Value)> {
    let all = source.client.get(&format!("{path}/formation")).await.json(200);
    let shown = |one: &Value| {
        (text(one, "type").to_owned(), one["quantity"].clone(), one["command"].clone(), one["size"].clone())
    };
    all.as_array().unwrap().iter().map(shown).collect()
}

#[tokio::test]
async fn web_alone_is_copied_with_one_dyno_or_all_types_where_that_is_wanted() {
    let source = Source::with(&["preview"]).await;
    let path = format!("{APP}/formation");
    for (process_type, quantity) in [("web", 3), ("worker", 2)] {
        let body =
            json!({ "type": process_type, "quantity": quantity, "size": "constellation", "command": "run" });
        source.client.post(&path, body).await.json(201);
    }
    let nightly = json!({ "type": "nightly", "quantity": 0, "size": "scout", "oneoff": true,
        "command": "sweep", "schedule": { "cron": "0 3 * * *" } });
    source.client.post(&path, nightly).await.json(201);
    let one = |process_type: &str| (process_type.to_owned(), json!(1), json!("run"), json!("constellation"));
    let preview = source.open("fix").await;
    assert_eq!(formations(&source, &preview).await, [one("web")]);
    source.switch("preview-dynos", true).await;
    let preview = source.open("more").await;
    let nightly = ("nightly".to_owned(), json!(0), json!("sweep"), json!("scout"));
    assert_eq!(formations(&source, &preview).await, [one("web"), one("worker"), nightly]);
    let nightly = source.client.get(&format!("{preview}/formation/nightly")).await.json(200);
    assert_eq!((&nightly["oneoff"], &nightly["schedule"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn drains_and_filters_are_copied_and_hooks_are_not() {
    let source = Source::with(&["preview"]).await;
    let drain = json!({ "url": "https://u:hunter2@logs.example.com" });
    let drain = source.client.post(&format!("{APP}/log-drains"), drain).await.json(201);
    let filter = json!({ "type": "csp", "name": "csp", "description": "d", "organization": "akkeris",
        "options": { "policy": "default-src 'self'" } });
    let filter = source.client.post("/filters", filter).await.json(201);
    let attach = json!({ "filter": { "id": filter["id"] }, "options": { "excludes": ["/open"] } });
    let attached = source.client.post(&format!("{APP}/filters"), attach).await.json(201);
    let hook = json!({ "url": "https://hooks.example.com", "events": ["build"], "secret": "s" });
    source.client.post(&format!("{APP}/hooks"), hook).await.json(201);
    let preview = source.open("fix").await;
    let copy = source.client.get(&format!("{preview}/log-drains")).await.json(200)[0].clone();
    assert_eq!(copy["url"], drain["url"]);
    assert!(copy["id"] != drain["id"] && copy["token"] != drain["token"], "{copy}");
    let copy = source.client.get(&format!("{preview}/filters")).await.json(200)[0].clone();
    assert_eq!((&copy["filter"]["id"], &copy["options"]), (&filter["id"], &attached["options"]));
    assert_eq!(source.client.get(&format!("{preview}/hooks")).await.json(200), json!([]));
    source.tell(&changed(request(12, "fix"), PullRequestChange::Closed)).await;
    assert_eq!((source.daemon.count("log_drains"), source.daemon.count("filter_attachments")), (1, 1));
}

#[tokio::test]
async fn a_preview_stands_in_review_and_holds_up_no_release_of_its_source() {
    let source = Source::with(&["preview"]).await;
    source.client.post("/pipelines", json!({ "name": "pipe" })).await.json(201);
    let couple = json!({ "app": "shop-default", "pipeline": "pipe", "stage": "development" });
    source.client.post("/pipeline-couplings", couple).await.json(201);
    let preview = source.open("fix").await;
    let coupling = source.client.get(&format!("{preview}/pipeline-couplings")).await.json(200);
    assert_eq!((&coupling["stage"], &coupling["pipeline"]["name"]), (&json!("review"), &json!("pipe")));
    released(&source.daemon, &source.client, "shop-default").await;
    source.tell(&changed(request(12, "fix"), PullRequestChange::Closed)).await;
    let left = source.client.get("/pipelines/pipe/pipeline-couplings").await.json(200);
    assert_eq!(left.as_array().unwrap().len(), 1);
}

/// The site `shop.example.com`, of which `/api` leads to another app and the rest to the source.
async fn with_site() -> Source {
    let source = Source::with(&["preview", "preview-sites"]).await;
    let app = json!({ "name": "cart", "space": "default", "org": "akkeris" });
    source.client.post("/apps", app).await.json(201);
    source.client.post("/sites", json!({ "domain": "shop.example.com" })).await.json(201);
    for (app, from, to) in [("shop-default", "/", "/shop"), ("cart-default", "/api", "/")] {
        let route = json!({ "site": "shop.example.com", "app": app, "source_path": from, "target_path": to });
        source.client.post("/routes", route).await.json(201);
    }
    source
}

#[tokio::test]
async fn a_site_is_copied_with_all_its_routes_and_goes_with_the_preview() {
    let source = with_site().await;
    source.open("fix/login").await;
    assert_eq!(domains(&source).await, ["shop.example.com", "shop5e870.example.com"]);
    let preview = source.list().await.remove(0);
    let site = source.client.get("/sites/shop5e870.example.com").await.json(200);
    assert_eq!(site["preview"], preview["id"]);
    let routes = source.client.get("/sites/shop5e870.example.com/routes").await.json(200);
    let shown: Vec<[&str; 3]> = routes
        .as_array()
        .unwrap()
        .iter()
        .map(|route| [text(route, "app"), text(route, "source_path"), text(route, "target_path")])
        .collect();
    assert_eq!(shown, [["shop5e870-default", "/", "/shop"], ["cart-default", "/api", "/"]]);
    source.open("other").await;
    assert_eq!(domains(&source).await.len(), 3, "the site of a preview is not copied");
    source.tell(&changed(request(12, "fix/login"), PullRequestChange::Closed)).await;
    source.tell(&changed(request(12, "other"), PullRequestChange::Closed)).await;
    assert_eq!(domains(&source).await, ["shop.example.com"]);
    assert_eq!(source.daemon.count("routes"), 2);
}

#[tokio::test]
async fn a_domain_that_is_taken_refuses_the_whole_preview() {
    let source = with_site().await;
    source.client.post("/sites", json!({ "domain": "shop5e870.example.com" })).await.json(201);
    let Outcome::Refused(why) = source.tell(&request(12, "fix/login")).await else { panic!("it was made") };
    assert_eq!(why, "The site shop5e870.example.com exists already.");
    assert_eq!(source.apps().await, ["shop-default", "cart-default"]);
    assert_eq!((domains(&source).await.len(), source.daemon.count("routes")), (2, 2));
}

#[tokio::test]
async fn sites_are_left_alone_where_nobody_wants_them_copied() {
    let source = with_site().await;
    source.switch("preview-sites", false).await;
    source.open("fix/login").await;
    assert_eq!(domains(&source).await, ["shop.example.com"]);
}
