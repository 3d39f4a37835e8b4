//! Notes on config vars: what `aka config:notes` shows and sets.

use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

const PATH: &str = "/apps/app-default/config-vars/notes";

fn documented() -> Value {
    json!({ "type": "user", "addon": null, "read_only": false, "required": true, "description": "x" })
}

async fn with_vars() -> (TestDaemon, Client) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    client.post("/apps", json!({ "name": "app", "space": "default", "org": "akkeris" })).await.json(201);
    client.patch("/apps/app/config-vars", json!({ "COLOUR": "red", "SHAPE": "round" })).await.json(200);
    (daemon, client)
}

#[tokio::test]
async fn every_config_var_has_a_note_and_port_is_the_platforms() {
    let (_daemon, client) = with_vars().await;
    let notes = client.get(PATH).await.json(200);
    let notes = notes.as_object().unwrap();
    assert_eq!(notes.keys().collect::<Vec<_>>(), ["COLOUR", "PORT", "SHAPE"]);
    for note in notes.values() {
        assert_shape(&documented(), note, &["addon"]);
    }
    assert_eq!((&notes["PORT"]["type"], &notes["PORT"]["read_only"]), (&json!("system"), &json!(true)));
    assert_eq!((&notes["COLOUR"]["required"], &notes["COLOUR"]["description"]), (&json!(false), &json!("")));
}

#[tokio::test]
async fn update_notes_keeps_what_is_absent_and_goes_with_the_config_var() {
    let (_daemon, client) = with_vars().await;
    let set = json!({ "COLOUR": { "description": "Of the page", "required": true } });
    let notes = client.patch(PATH, set).await.json(200);
    assert_eq!(notes["COLOUR"]["description"], "Of the page");
    let notes = client.patch(PATH, json!({ "COLOUR": { "required": false } })).await.json(200);
    assert_eq!(
        (&notes["COLOUR"]["description"], &notes["COLOUR"]["required"]),
        (&json!("Of the page"), &json!(false))
    );
    assert_eq!(client.get(PATH).await.json(200), notes);
    client.patch("/apps/app/config-vars", json!({ "COLOUR": null })).await.json(200);
    assert!(client.get(PATH).await.json(200).get("COLOUR").is_none());
    client.patch("/apps/app/config-vars", json!({ "COLOUR": "blue" })).await.json(200);
    assert_eq!(client.get(PATH).await.json(200)["COLOUR"]["description"], "", "a new one starts afresh");
}

#[tokio::test]
async fn bad_notes_are_refused_all_of_them() {
    let (_daemon, client) = with_vars().await;
    let before = client.get(PATH).await.json(200);
    let good = json!({ "description": "good" });
    client.patch(PATH, json!({ "COLOUR": good, "UNKNOWN": good })).await.error(422);
    client.patch(PATH, json!({ "COLOUR": good, "PORT": good })).await.error(409);
    client.patch(PATH, json!({ "COLOUR": good, "bad name": good })).await.error(422);
    client
        .patch(PATH, json!({ "COLOUR": good, "SHAPE": { "description": "x".repeat(1025) } }))
        .await
        .error(422);
    client.patch(PATH, json!({ "COLOUR": { "required": "yes" } })).await.error(400);
    client.patch(PATH, json!({ "COLOUR": 7 })).await.error(400);
    client.patch("/apps/nothing/config-vars/notes", json!({})).await.error(404);
    assert_eq!(client.get(PATH).await.json(200), before);
}
