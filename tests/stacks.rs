//! Stacks, walked as the document shows them, and what administrators may change.

use serde_json::{Value, json};

use crate::support::{TestDaemon, assert_shape};

fn documented() -> Value {
    json!({
        "created_at": "2016-07-01T12:00:00Z",
        "id": "abcd7641-a61e-fb09-654e-2def7c9feeee",
        "name": "ds1",
        "region": { "id": "3bcd7641-a61e-fb09-654e-2def7c9feffe", "name": "us-seattle" },
        "updated_at": "2016-07-01T12:00:00Z",
        // Not in the document, but what `aka` reads.
        "state": "public"
    })
}

#[tokio::test]
async fn list_stacks_and_view_stack_as_documented() {
    let daemon = TestDaemon::start().await;
    let client = daemon.personal("alice").await;
    let all = client.get("/stacks").await.json(200);
    assert_shape(&json!([documented()]), &all, &[]);
    assert_eq!((&all[0]["name"], &all[0]["state"]), (&json!("ds1"), &json!("public")));
    assert_eq!(all[0]["id"], "ffa8cf57-768e-5214-82fe-fda3f19353f3");
    for path in ["/stacks/ds1", "/stacks/DS1", "/stack/ds1", "/stacks/ffa8cf57-768e-5214-82fe-fda3f19353f3"] {
        assert_eq!(client.get(path).await.json(200), all[0], "{path}");
    }
    assert_eq!(client.get("/stacks/nothing").await.error(404), "The stack nothing does not exist.");
}

#[tokio::test]
async fn only_an_administrator_changes_stacks() {
    let daemon = TestDaemon::start().await;
    let client = daemon.personal("alice").await;
    client.post("/stacks", json!({ "name": "" })).await.error(403);
    client.patch("/stacks/nothing", json!({ "beta": true })).await.error(403);
    client.delete("/stacks/nothing").await.error(403);
    assert_eq!(client.get("/stacks").await.json(200).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn create_update_and_delete_stack() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let made = client.post("/stacks", json!({ "name": " DS2 ", "region": "us-seattle" })).await.json(201);
    assert_shape(&documented(), &made, &[]);
    assert_eq!((&made["name"], &made["state"]), (&json!("ds2"), &json!("public")));
    for (change, state) in [
        (json!({ "beta": true }), "beta"),
        (json!({}), "beta"),
        (json!({ "deprecated": true }), "deprecated"),
        (json!({ "beta": false, "deprecated": false }), "public"),
    ] {
        assert_eq!(client.patch("/stacks/ds2", change).await.json(200)["state"], state);
    }
    assert_eq!(client.delete("/stacks/ds2").await.json(200)["name"], "ds2");
    client.get("/stacks/ds2").await.error(404);
    let again = client.post("/stacks", json!({ "name": "ds2", "beta": true })).await.json(201);
    assert_eq!(again["state"], "beta");
}

#[tokio::test]
async fn bad_input_changes_no_stack() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let before = client.get("/stacks").await.json(200);
    for body in [
        json!({}),
        json!({ "name": "" }),
        json!({ "name": "a b" }),
        json!({ "name": 7 }),
        json!({ "name": "ds2", "region": "nowhere" }),
        json!({ "name": "ds2", "region": 1 }),
        json!({ "name": "ds2", "beta": "yes" }),
    ] {
        let shown = body.to_string();
        assert!(!client.post("/stacks", body).await.error(422).is_empty(), "{shown}");
    }
    client.post("/stacks", json!({ "name": "ds1" })).await.error(409);
    client.patch("/stacks/ds1", json!({ "beta": 1 })).await.error(422);
    client.patch("/stacks/ds1", json!({ "deprecated": true })).await.error(409);
    client.delete("/stacks/ds1").await.error(409);
    client.delete("/stacks/nothing").await.error(404);
    assert_eq!(client.get("/stacks").await.json(200), before);
}

#[tokio::test]
async fn a_space_goes_by_the_state_of_its_stack() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    client.post("/stacks", json!({ "name": "ds2", "beta": true })).await.json(201);
    let prod = json!({ "name": "prod", "stack": "ds2", "compliance": ["prod"] });
    assert!(client.post("/spaces", prod).await.error(409).contains("in beta"));
    let space = client.post("/spaces", json!({ "name": "edge", "stack": "ds2" })).await.json(201);
    assert_eq!(
        space["stack"],
        json!({ "id": client.get("/stacks/ds2").await.json(200)["id"], "name": "ds2" })
    );
    client.patch("/spaces/edge", json!({ "compliance": ["prod"] })).await.error(409);
    assert!(client.delete("/stacks/ds2").await.error(409).contains("1 spaces"));
    client.patch("/stacks/ds2", json!({ "deprecated": true })).await.json(200);
    assert!(
        client
            .post("/spaces", json!({ "name": "late", "stack": "ds2" }))
            .await
            .error(409)
            .contains("deprecated")
    );
    client.get("/spaces/edge").await.json(200);
}
