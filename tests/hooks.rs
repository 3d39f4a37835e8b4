//! Webhooks as the section of that name documents them: the hooks themselves. What they are sent is in
//! `hook_payloads` and `hook_deliveries`.

use serde_json::{Value, json};

use crate::support::{TestDaemon, assert_shape, with_app};

const PATH: &str = "/apps/app-default/hooks";
const UNKNOWN: &str = "00000000-0000-4000-8000-00000000dead";

fn documented() -> Value {
    json!({
        "url": "https://somecallback/url",
        "events": ["release", "build"],
        "active": true,
        "created_at": "2016-08-09T12:00:00Z",
        "id": "01bb60d2-f2bb-64c0-4c8b-ead731a690bc"
    })
}

fn new_hook() -> Value {
    json!({
        "url": "https://somecallback/url",
        "events": ["release", "build", "formation_change", "logdrain_change", "addon_change", "config_change",
            "destroy"],
        "active": true,
        "secret": "some secret for hash"
    })
}

fn path_of(hook: &Value) -> String {
    format!("{PATH}/{}", hook["id"].as_str().unwrap())
}

#[tokio::test]
async fn create_hook_as_documented_shows_the_secret_once() {
    let (_daemon, client) = with_app().await;
    let made = client.post(PATH, new_hook()).await.json(201);
    assert_shape(&documented(), &made, &[]);
    assert_eq!(made["secret"], "some secret for hash");
    assert_eq!(made["events"], new_hook()["events"]);
    let viewed = client.get(&path_of(&made)).await;
    assert!(!viewed.text().contains("some secret"), "{}", viewed.text());
    assert!(!client.get(PATH).await.text().contains("some secret"));
}

#[tokio::test]
async fn create_hook_refuses_what_is_missing_or_wrong_and_says_why() {
    let (_daemon, client) = with_app().await;
    for (field, value, reason) in [
        ("url", json!(""), "The url is missing"),
        ("url", json!("ftp://example.com/"), "its scheme must be http or https"),
        ("url", json!("example"), "https://example.com/hook"),
        ("events", json!([]), "The events are empty"),
        ("events", json!(["release", "created"]), "The event \"created\" does not exist"),
        ("secret", json!(""), "The secret is missing"),
        ("secret", json!("x".repeat(1025)), "at most 1024"),
        ("active", json!("yes"), "active"),
        ("events", json!("release"), "events"),
    ] {
        let mut body = new_hook();
        body[field] = value;
        let message = client.post(PATH, body).await.error(422);
        assert!(message.contains(reason), "{field}: {message}");
    }
    assert_eq!(client.get(PATH).await.json(200), json!([]));
    assert!(client.post("/apps/none-default/hooks", new_hook()).await.error(404).contains("none-default"));
}

#[tokio::test]
async fn create_hook_is_active_by_default_and_bounded_in_number() {
    let (_daemon, client) = with_app().await;
    let body = json!({ "url": "http://localhost:1/", "events": ["build"], "secret": "s" });
    for _ in 0..32 {
        assert_eq!(client.post(PATH, body.clone()).await.json(201)["active"], true);
    }
    let message = client.post(PATH, body).await.error(422);
    assert!(message.contains("has 32 hooks"), "{message}");
}

#[tokio::test]
async fn list_hooks_is_an_array_oldest_first_and_view_hook_shows_one() {
    let (_daemon, client) = with_app().await;
    let first = client.post(PATH, new_hook()).await.json(201);
    let second = client.post(PATH, new_hook()).await.json(201);
    let all = client.get(PATH).await.json(200);
    assert_shape(&json!([documented()]), &all, &[]);
    assert_eq!(
        (all.as_array().unwrap().len(), &all[0]["id"], &all[1]["id"]),
        (2, &first["id"], &second["id"])
    );
    assert_eq!(client.get(&path_of(&first)).await.json(200), all[0]);
}

#[tokio::test]
async fn view_hook_shows_no_secret_of_its_address_and_only_hooks_of_the_app() {
    let (_daemon, client) = with_app().await;
    let mut body = new_hook();
    body["url"] = json!("https://user:hidden@example.com/x?token=hidden");
    let made = client.post(PATH, body).await.json(201);
    assert_eq!(made["url"], "https://user:[redacted]@example.com/x?token=[redacted]");
    let other = json!({ "name": "other", "space": "default", "org": "akkeris" });
    client.post("/apps", other).await.json(201);
    let path = path_of(&made).replace("app-default", "other-default");
    assert!(client.get(&path).await.error(404).contains("does not exist for this app"));
    assert!(client.get(&format!("{PATH}/{UNKNOWN}")).await.error(404).contains(UNKNOWN));
}

#[tokio::test]
async fn update_hook_changes_only_what_is_sent() {
    let (_daemon, client) = with_app().await;
    let mut body = new_hook();
    body["url"] = json!("https://user:hidden@example.com/");
    let made = client.post(PATH, body).await.json(201);
    let change = json!({ "active": false, "events": ["released"], "url": made["url"] });
    let updated = client.patch(&path_of(&made), change).await.json(200);
    assert_shape(&documented(), &updated, &[]);
    assert_eq!((&updated["active"], &updated["events"]), (&json!(false), &json!(["released"])));
    assert_eq!(updated["url"], made["url"], "an address sent back as it was shown is no new one");
    assert_eq!(updated.get("secret"), None);
    for (change, status) in [
        (json!({ "events": ["x"] }), 422),
        (json!({ "url": "gopher://x/" }), 422),
        (json!({ "secret": "" }), 422),
        (json!({ "active": "no" }), 400),
    ] {
        client.patch(&path_of(&made), change).await.error(status);
    }
    assert_eq!(client.get(&path_of(&made)).await.json(200), updated);
    client.patch(&format!("{PATH}/{UNKNOWN}"), json!({})).await.error(404);
}

#[tokio::test]
async fn delete_hook_answers_the_hook_and_forgets_it() {
    let (_daemon, client) = with_app().await;
    let made = client.post(PATH, new_hook()).await.json(201);
    let deleted = client.delete(&path_of(&made)).await.json(200);
    assert_shape(&documented(), &deleted, &[]);
    assert_eq!((&deleted["id"], deleted.get("secret")), (&made["id"], None));
    client.delete(&path_of(&made)).await.error(404);
    assert_eq!(client.get(PATH).await.json(200), json!([]));
}

#[tokio::test]
async fn hooks_are_told_of_in_audits_and_kept_sealed() {
    let (daemon, client) = with_app().await;
    let mut body = new_hook();
    body["url"] = json!("https://example.com/visible-in-the-clear");
    let made = client.post(PATH, body).await.json(201);
    client.patch(&path_of(&made), json!({ "active": false })).await.json(200);
    client.delete(&path_of(&made)).await.json(200);
    let audits = client.get("/audits?app=app").await.json(200);
    let actions: Vec<&Value> = audits.as_array().unwrap().iter().map(|audit| &audit["action"]).collect();
    assert_eq!(actions, ["hook_deleted", "hook_updated", "hook_created", "created"]);
    for file in ["akkerisd.db", "akkerisd.db-wal"] {
        let bytes = std::fs::read(daemon.dir.path().join(file)).unwrap();
        for secret in ["some secret for hash", "visible-in-the-clear"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in {file}");
        }
    }
}

#[tokio::test]
async fn list_hook_results_is_empty_before_the_first_delivery() {
    let (_daemon, client) = with_app().await;
    let made = client.post(PATH, new_hook()).await.json(201);
    assert_eq!(client.get(&format!("{}/results", path_of(&made))).await.json(200), json!([]));
    client.get(&format!("{PATH}/{UNKNOWN}/results")).await.error(404);
}

#[tokio::test]
async fn view_hook_result_knows_only_results_of_the_hook() {
    let (_daemon, client) = with_app().await;
    let made = client.post(PATH, new_hook()).await.json(201);
    let message = client.get(&format!("{}/results/{UNKNOWN}", path_of(&made))).await.error(404);
    assert!(message.contains(UNKNOWN), "{message}");
    client.get(&format!("{}/results/x", path_of(&made))).await.error(422);
}

#[tokio::test]
async fn list_hook_events_describes_all_fifteen() {
    let daemon = TestDaemon::start().await;
    let events = daemon.personal("alice").await.get("/docs/hooks").await.json(200);
    assert_shape(&json!([{ "type": "release", "description": "A release began." }]), &events, &[]);
    let events = events.as_array().unwrap();
    assert_eq!(events.len(), 15);
    assert!(events.iter().any(|event| event["type"] == "preview-released"));
}
