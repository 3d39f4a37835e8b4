//! Recommendations, as `behaviour.md` §34 and the client `aka` have them.

use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

const PATH: &str = "/apps/api-docs/recommendations";
const FORMATION: &str = "354d810d-304c-46ef-83db-145ed94cd352";
const UNKNOWN: &str = "00000000-0000-4000-8000-00000000dead";

fn expected() -> Value {
    json!({
        "id": "540b9de7-6074-49d0-96d8-f35d00046d17",
        "app": { "id": "846f4ffe-da8e-4851-8439-0fdddfcc3a0a", "name": "api", "key": "api-docs" },
        "service": "turbonomic",
        "resource_type": { "id": FORMATION, "name": "formation" },
        "action": "scale",
        "details": { "resource": "web", "quantity": 0, "description": "Scale web formation to 0" },
        "created": "2021-05-18T20:09:33.219Z",
        "updated": "2021-05-18T20:14:10.097Z"
    })
}

fn scale(quantity: impl Into<Value>) -> Value {
    json!({
        "service": "turbonomic",
        "resource_type": "formation",
        "action": "scale",
        "details": { "resource": "web", "quantity": quantity.into(), "description": "Scale web" }
    })
}

fn resize(plan: &str) -> Value {
    json!({
        "service": "turbonomic",
        "resource_type": FORMATION,
        "action": "resize",
        "details": { "resource": "web", "plan": plan, "description": "Resize web" }
    })
}

/// A daemon with the apps `api` and `other` in the space `docs`.
async fn with_apps() -> (TestDaemon, Client) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    client.post("/spaces", json!({ "name": "docs" })).await.json(201);
    for name in ["api", "other"] {
        let body = json!({ "name": name, "space": "docs", "org": "akkeris" });
        client.post("/apps", body).await.json(201);
    }
    (daemon, client)
}

async fn recommend(client: &Client, body: Value) -> Value {
    client.post(PATH, body).await.json(201)
}

fn by_id(recommendation: &Value) -> String {
    format!("{PATH}?recommendation={}", recommendation["id"].as_str().unwrap())
}

fn by_topic(resource_type: &str, action: &str) -> String {
    format!("{PATH}?service=turbonomic&resource_type={resource_type}&action={action}")
}

#[tokio::test]
async fn create_recommendation_names_its_type_and_list_recommendations_shows_it_in_full() {
    let (_daemon, client) = with_apps().await;
    let mut wanted = expected();
    let made = recommend(&client, scale(0)).await;
    let all = client.get(PATH).await.json(200);
    assert_shape(&json!([wanted]), &all, &[]);
    assert_eq!(all[0]["resource_type"], json!({ "id": FORMATION, "name": "formation" }));
    wanted["resource_type"] = json!("formation");
    assert_shape(&wanted, &made, &[]);
    assert_eq!(made["resource_type"], "formation");
    assert_eq!((&made["service"], &made["action"]), (&json!("turbonomic"), &json!("scale")));
    assert_eq!(made["details"], scale(0)["details"]);
    assert_eq!((&all[0]["id"], &all[0]["details"]), (&made["id"], &made["details"]));
    assert_eq!((&made["app"]["name"], &made["app"]["key"]), (&json!("api"), &json!("api-docs")));
}

#[tokio::test]
async fn details_are_texts_for_aka_and_as_written_for_others() {
    let (_daemon, client) = with_apps().await;
    let aka = client.header("user-agent", "akkeris-cli");
    recommend(&client, scale(2)).await;
    assert_eq!(client.get(PATH).await.json(200)[0]["details"]["quantity"], 2);
    let listed = aka.get(PATH).await.json(200);
    assert_eq!(listed[0]["details"]["quantity"], "2");
    assert_eq!(listed[0]["app"]["name"], "api-docs");
    recommend(&client, scale("3")).await;
    assert_eq!(client.get(PATH).await.json(200)[0]["details"]["quantity"], "3");
}

#[tokio::test]
async fn create_recommendation_again_replaces_the_details() {
    let (daemon, client) = with_apps().await;
    let mut events = daemon.events().await;
    let first = recommend(&client, scale(1)).await;
    let again = recommend(&client, scale(2)).await;
    assert_eq!((&again["id"], &again["created"]), (&first["id"], &first["created"]));
    assert_eq!(again["details"]["quantity"], 2);
    recommend(&client, resize("gp2")).await;
    let all = client.get(PATH).await.json(200);
    let actions: Vec<&Value> = all.as_array().unwrap().iter().map(|one| &one["action"]).collect();
    assert_eq!(actions, ["scale", "resize"], "oldest first");
    assert_eq!(all[0]["details"], again["details"]);
    let told: Vec<_> = events.kinds_so_far().await;
    assert_eq!(told, ["recommendation_created", "recommendation_updated", "recommendation_created"]);
}

#[tokio::test]
async fn creations_at_once_make_one_recommendation() {
    let (_daemon, client) = with_apps().await;
    let at_once = (0..8).map(|_| client.post(PATH, scale(1)));
    let answers = futures_util::future::join_all(at_once).await;
    let first = answers[0].json(201)["id"].clone();
    assert!(answers.iter().all(|answer| answer.json(201)["id"] == first));
    assert_eq!(client.get(PATH).await.json(200).as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn create_recommendation_refuses_what_is_missing_unknown_or_unusable() {
    let (_daemon, client) = with_apps().await;
    let with = |field: &str, value: Value| {
        let mut body = scale(1);
        body[field] = value;
        body
    };
    let refused = [
        ("service", vec![json!(""), json!(7), json!("x".repeat(65)), json!("a\nb")]),
        ("resource_type", vec![json!(""), json!("addon"), json!(UNKNOWN), json!({})]),
        ("action", vec![json!(""), json!("destroy"), json!("Scale")]),
        ("details", vec![json!({}), json!([]), json!("x"), json!({ "resource": "web" })]),
    ];
    for (field, values) in refused {
        for value in values.into_iter().chain([Value::Null]) {
            let message = client.post(PATH, with(field, value)).await.error(422);
            assert!(message.contains(field), "{message}");
        }
        let mut body = scale(1);
        body.as_object_mut().unwrap().remove(field);
        client.post(PATH, body).await.error(422);
    }
    for quantity in [json!(33), json!(-1), json!("many"), json!(null)] {
        client.post(PATH, scale(quantity)).await.error(422);
    }
    let mut more = scale(1);
    more["details"]["plan"] = json!("gp2");
    let message = client.post(PATH, more).await.error(422);
    assert!(message.contains("\"plan\""), "{message}");
    client.post("/apps/none/recommendations", scale(1)).await.error(404);
    client.send(http::Method::POST, PATH).await.error(400);
    assert_eq!(client.get(PATH).await.json(200), json!([]));
}

#[tokio::test]
async fn view_recommendation_by_id_or_by_topic() {
    let (_daemon, client) = with_apps().await;
    let made = recommend(&client, scale(1)).await;
    recommend(&client, resize("gp2")).await;
    let one = client.get(&by_id(&made)).await.json(200);
    assert_shape(&expected(), &one, &[]);
    assert_eq!(one["id"], made["id"]);
    for resource_type in ["formation", FORMATION] {
        assert_eq!(client.get(&by_topic(resource_type, "scale")).await.json(200), one);
    }
    assert_eq!(client.get(&format!("{PATH}?unknown=1")).await.json(200).as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn delete_recommendation_by_id_or_by_topic() {
    let (daemon, client) = with_apps().await;
    let made = recommend(&client, scale(1)).await;
    recommend(&client, resize("gp2")).await;
    let mut events = daemon.events().await;
    let one = client.get(&by_id(&made)).await.json(200);
    let gone = client.delete(&by_id(&made)).await.json(200);
    assert_eq!(gone, json!({ "recommendation": one, "result": "successful" }));
    client.delete(&by_id(&made)).await.error(404);
    let gone = client.delete(&by_topic("formation", "resize")).await.json(200);
    assert_eq!(gone["recommendation"]["action"], "resize");
    assert_eq!(client.get(PATH).await.json(200), json!([]));
    let told: Vec<_> = events.kinds_so_far().await;
    assert_eq!(told, ["recommendation_deleted", "recommendation_deleted"]);
}

#[tokio::test]
async fn selectors_that_name_nothing_are_refused() {
    let (_daemon, client) = with_apps().await;
    let made = recommend(&client, scale(1)).await;
    let unselected = client.delete(PATH).await.error(400);
    assert!(unselected.contains("recommendation=<id>"), "{unselected}");
    client.delete(&format!("{PATH}?unknown=1")).await.error(400);
    let of_another = by_id(&made).replace("api-docs", "other-docs");
    let selectors = [
        (format!("{PATH}?service=turbonomic&action=scale"), 400),
        (format!("{PATH}?resource_type=formation"), 400),
        (format!("{PATH}?recommendation=x"), 422),
        (format!("{PATH}?recommendation={UNKNOWN}"), 404),
        (of_another, 404),
        (by_topic("formation", "resize"), 404),
        (by_topic("formation", "destroy"), 404),
        (by_topic("addon", "scale"), 404),
        (by_topic("formation", "scale").replace("turbonomic", "nobody"), 404),
        (by_topic("formation", "scale").replace("api-docs", "none"), 404),
    ];
    for (path, status) in selectors {
        client.get(&path).await.error(status);
        client.delete(&path).await.error(status);
    }
    assert_eq!(client.get(PATH).await.json(200)[0]["id"], made["id"]);
}

#[tokio::test]
async fn list_recommendation_resource_types_shows_the_fields_of_each_action() {
    let (_daemon, client) = with_apps().await;
    let all = client.get("/docs/recommendation_resource_types").await.json(200);
    assert_eq!(all.as_array().unwrap().len(), 1);
    let kind = &all[0];
    assert_eq!(kind["resource_type_uuid"], FORMATION);
    assert_eq!((&kind["name"], &kind["actions"]), (&json!("formation"), &json!("resize,scale")));
    let fields = json!({
        "resize": ["resource", "plan", "description"],
        "scale": ["resource", "quantity", "description"]
    });
    assert_eq!(kind["details"]["action_fields"], fields);
    assert!(kind["details"]["description"].as_str().is_some_and(|text| !text.is_empty()));
}

#[tokio::test]
async fn recommendations_go_with_their_app() {
    let (_daemon, client) = with_apps().await;
    let made = recommend(&client, scale(1)).await;
    client.delete("/apps/api-docs").await.json(200);
    client.get(PATH).await.error(404);
    client.post("/apps", json!({ "name": "api", "space": "docs", "org": "akkeris" })).await.json(201);
    assert_eq!(client.get(PATH).await.json(200), json!([]));
    client.get(&by_id(&made)).await.error(404);
}
