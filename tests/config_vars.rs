//! Config vars, walked as the section Config shows them, and what it leaves open.

use akkerisd::model::event::Event;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Client, TestDaemon};

const PATH: &str = "/apps/app-default/config-vars";

async fn with_app() -> (TestDaemon, Client) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    client.post("/apps", json!({ "name": "app", "space": "default", "org": "akkeris" })).await.json(201);
    (daemon, client)
}

#[tokio::test]
async fn update_config_vars_and_list_config_vars_as_documented() {
    let (_daemon, client) = with_app().await;
    let body = r#"{"FOO":"bar","BOO":"who?"}"#;
    let all = client.send_body(Method::PATCH, PATH, body).await.json(200);
    assert_eq!(all, json!({ "FOO": "bar", "BOO": "who?", "PORT": "9000" }));
    assert_eq!(client.get(PATH).await.json(200), all);
}

#[tokio::test]
async fn update_config_vars_merges_and_null_removes() {
    let (_daemon, client) = with_app().await;
    client.patch(PATH, json!({ "A": "1", "B": "2", "C": "" })).await.json(200);
    let all = client.patch(PATH, json!({ "A": null, "B": "3", "MISSING": null })).await.json(200);
    assert_eq!(all, json!({ "B": "3", "C": "", "PORT": "9000" }));
}

#[tokio::test]
async fn update_config_vars_makes_texts_of_numbers_and_booleans_and_refuses_the_rest() {
    let (_daemon, client) = with_app().await;
    let all = client.patch(PATH, json!({ "N": 12, "F": 1.5, "B": true })).await.json(200);
    assert_eq!(all, json!({ "N": "12", "F": "1.5", "B": "true", "PORT": "9000" }));
    for value in [json!([1]), json!({})] {
        let message = client.patch(PATH, json!({ "GOOD": "x", "BAD": value })).await.error(422);
        assert!(message.contains("BAD"), "{message}");
    }
    assert_eq!(client.get(PATH).await.json(200), all);
}

#[tokio::test]
async fn update_config_vars_refuses_bad_names_and_what_the_platform_sets() {
    let (_daemon, client) = with_app().await;
    for name in ["", "A-B", "A B", "Ä", "A=B", "A.B"] {
        client.patch(PATH, json!({ name: "x" })).await.error(422);
    }
    client.patch(PATH, json!({ "X".repeat(257): "x" })).await.error(422);
    for name in ["PORT", "AKKERIS_SPACE", "AKKERIS_APPLICATION", "AKKERIS_DEPLOYMENT", "AKKERIS_GIT_SHA1"] {
        let message = client.patch(PATH, json!({ name: "1", "A": "x" })).await.error(409);
        assert!(message.contains(name), "{message}");
        client.patch(PATH, json!({ name: null })).await.error(409);
    }
    assert_eq!(client.get(PATH).await.json(200), json!({ "PORT": "9000" }));
}

#[tokio::test]
async fn update_config_vars_bounds_a_value_and_all_of_them() {
    let (_daemon, client) = with_app().await;
    client.patch(PATH, json!({ "A": "x".repeat(128 * 1024) })).await.error(422);
    client.patch(PATH, json!({ "A": "a\u{0}b" })).await.error(422);
    let big = "x".repeat(120 * 1024);
    for number in 0..8 {
        client.patch(PATH, json!({ format!("V{number}"): big })).await.json(200);
    }
    let message = client.patch(PATH, json!({ "V8": big })).await.error(422);
    assert!(message.contains("together"), "{message}");
    assert!(client.get(PATH).await.json(200).get("V8").is_none());
}

#[tokio::test]
async fn list_config_vars_is_redacted_in_a_socs_space_and_what_was_shown_changes_nothing() {
    let (_daemon, client) = with_app().await;
    let set = json!({ "API_KEY": "k", "DB": "https://foo:bar@host/path/", "PLAIN": "p" });
    client.patch(PATH, set.clone()).await.json(200);
    client.patch("/spaces/default", json!({ "compliance": ["socs"] })).await.json(200);
    let mut shown = client.get(PATH).await.json(200);
    assert_eq!(
        shown,
        json!({ "API_KEY": "[redacted]", "DB": "https://foo:[redacted]@host/path/", "PLAIN": "p", "PORT": "9000" })
    );
    shown.as_object_mut().unwrap().remove("PORT");
    shown["NEW"] = json!("[redacted]");
    let answered = client.patch(PATH, shown).await.json(200);
    assert!(answered.get("NEW").is_none(), "{answered}");
    client.patch("/spaces/default", json!({ "compliance": [] })).await.json(200);
    let mut kept = client.get(PATH).await.json(200);
    kept.as_object_mut().unwrap().remove("PORT");
    assert_eq!(kept, set);
}

#[tokio::test]
async fn update_config_vars_tells_of_real_changes_only_and_never_of_values() {
    let (daemon, client) = with_app().await;
    client.patch(PATH, json!({ "SAME": "1", "OLD": "1", "GONE": "1" })).await.json(200);
    let mut events = daemon.events().await;
    let changes = json!({ "SAME": "1", "OLD": "2", "GONE": null, "NEVER": null, "NEW": "topsecret" });
    client.patch(PATH, changes).await.json(200);
    let event = events.next().await;
    let Event::ConfigVarsChanged { .. } = &*event else { panic!("{event:?}") };
    let told = serde_json::to_value(&*event).unwrap();
    let expected = json!([
        { "type": "delete", "name": "GONE" },
        { "type": "create", "name": "NEW" },
        { "type": "update", "name": "OLD" }
    ]);
    assert_eq!(told["changes"], expected);
    assert!(!told.to_string().contains("topsecret"));
    client.patch(PATH, json!({ "SAME": "1" })).await.json(200);
    assert!(events.so_far().await.is_empty(), "nothing changed, and an event told of it");
}

#[tokio::test]
async fn update_config_vars_refuses_what_is_no_object() {
    let (_daemon, client) = with_app().await;
    for body in ["", "[]", "\"x\"", "{", "{\"A\":}", "null"] {
        client.send_body(Method::PATCH, PATH, body).await.error(400);
    }
    client.patch("/apps/nobody/config-vars", json!({})).await.error(404);
    client.get("/apps/nobody/config-vars").await.error(404);
}

#[tokio::test]
async fn no_value_lies_readable_in_the_database() {
    let (daemon, client) = with_app().await;
    client.patch(PATH, json!({ "SECRET": "needle-in-the-haystack" })).await.json(200);
    for entry in std::fs::read_dir(daemon.dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(22).any(|window| window == b"needle-in-the-haystack");
            assert!(!found, "{}", path.display());
        }
    }
    let all: Value = client.get(PATH).await.json(200);
    assert_eq!(all["SECRET"], "needle-in-the-haystack");
}
