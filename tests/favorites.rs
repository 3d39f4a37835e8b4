//! Favorites, as `behaviour.md` §34 and the client `aka` have them.

use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

fn expected() -> Value {
    json!({
        "id": "62dc0fd3-2cba-4925-8fca-d1129d296d2c",
        "app": "fa2b535d-de4d-4a14-be36-d44af53b59e3",
        "simple_name": "api",
        "name": "api",
        "git_url": "",
        "web_url": "https://api-docs.localhost/",
        "organization": { "name": "akkeris" },
        "preview": null,
        "deleted": false,
        "created_at": "2016-07-26T15:47:33.411Z",
        "updated_at": "2016-07-26T15:47:33.411Z"
    })
}

/// A daemon with the app `api` in the space `docs`, and alice.
async fn with_app() -> (TestDaemon, Client, Value) {
    let daemon = TestDaemon::start().await;
    let admin = daemon.admin();
    admin.post("/spaces", json!({ "name": "docs" })).await.json(201);
    let app = make_app(&admin, "api").await;
    let client = daemon.personal("alice").await;
    (daemon, client, app)
}

async fn make_app(client: &Client, name: &str) -> Value {
    client.post("/apps", json!({ "name": name, "space": "docs", "org": "akkeris" })).await.json(201)
}

async fn mark(client: &Client, app: &str) -> Value {
    client.post("/favorites", json!({ "app": app })).await.json(201)
}

/// The keys of a client's favorites.
async fn marked(client: &Client) -> Vec<String> {
    let all = client.header("x-akkeris-dialect", "reference").get("/favorites").await.json(200);
    all.as_array().unwrap().iter().map(|favorite| favorite["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn create_favorite_shows_the_app_and_list_favorites_has_it() {
    let (_daemon, client, app) = with_app().await;
    let made = mark(&client, "api-docs").await;
    assert_shape(&expected(), &made, &[]);
    assert_eq!((&made["app"], &made["web_url"]), (&app["id"], &app["web_url"]));
    assert_eq!((&made["name"], &made["simple_name"]), (&json!("api"), &json!("api")));
    assert_eq!(made["organization"], json!({ "name": "akkeris" }));
    assert_eq!(client.get("/favorites").await.json(200), json!([made]));
}

#[tokio::test]
async fn a_favorite_is_named_by_key_for_aka() {
    let (_daemon, client, _) = with_app().await;
    let aka = client.header("user-agent", "akkeris-cli");
    let made = mark(&aka, "API-docs").await;
    assert_eq!((&made["name"], &made["simple_name"]), (&json!("api-docs"), &json!("api")));
    assert_eq!(aka.get("/favorites").await.json(200), json!([made]));
}

#[tokio::test]
async fn create_favorite_again_answers_the_one_that_is_there() {
    let (_daemon, client, app) = with_app().await;
    let made = mark(&client, "api").await;
    assert_eq!(mark(&client, app["id"].as_str().unwrap()).await, made);
    let at_once = (0..8).map(|_| client.post("/favorites", json!({ "app": "api-docs" })));
    for answer in futures_util::future::join_all(at_once).await {
        assert_eq!(answer.json(201), made);
    }
    assert_eq!(marked(&client).await, ["api-docs"]);
}

#[tokio::test]
async fn creations_at_once_make_one_favorite() {
    let (daemon, client, _) = with_app().await;
    let mut events = daemon.events().await;
    let at_once = (0..8).map(|_| client.post("/favorites", json!({ "app": "api" })));
    let answers = futures_util::future::join_all(at_once).await;
    let first = answers[0].json(201);
    assert!(answers.iter().all(|answer| answer.json(201) == first));
    client.delete("/favorites/api").await;
    let told: Vec<_> = events.kinds_so_far().await;
    assert_eq!(told, ["favorite_created", "favorite_deleted"]);
}

#[tokio::test]
async fn list_favorites_oldest_first_and_only_ones_own() {
    let (daemon, alice, _) = with_app().await;
    make_app(&daemon.admin(), "web").await;
    let bob = daemon.personal("bob").await;
    for app in ["web", "api"] {
        mark(&alice, app).await;
    }
    mark(&bob, "api").await;
    assert_eq!(marked(&alice).await, ["web-docs", "api-docs"]);
    assert_eq!(marked(&bob).await, ["api-docs"]);
    assert_eq!(alice.delete("/favorites/api").await.status, 204);
    assert_eq!(marked(&bob).await, ["api-docs"], "alice's change is hers alone");
}

#[tokio::test]
async fn delete_favorite_by_key_name_and_id() {
    let (_daemon, client, app) = with_app().await;
    for text in ["api-docs", "api", app["id"].as_str().unwrap()] {
        mark(&client, "api-docs").await;
        let answer = client.delete(&format!("/favorites/{text}")).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_slice()), (204, b"".as_slice()));
        assert_eq!(client.get("/favorites").await.json(200), json!([]));
    }
    let again = client.delete("/favorites/api-docs").await.error(404);
    assert_eq!(again, "The app api-docs is no favorite of alice.");
    assert_eq!(client.delete("/favorites/none").await.error(404), "The app none does not exist.");
}

#[tokio::test]
async fn create_favorite_refuses_what_names_no_app() {
    let (_daemon, client, _) = with_app().await;
    let unknown = client.post("/favorites", json!({ "app": "none" })).await.error(404);
    assert_eq!(unknown, "The app none does not exist.");
    client.post("/favorites", json!({ "app": "00000000-0000-4000-8000-00000000dead" })).await.error(404);
    for body in [json!({}), json!({ "app": " " }), json!({ "app": 7 })] {
        client.post("/favorites", body).await.error(422);
    }
    client.send(http::Method::POST, "/favorites").await.error(400);
    assert_eq!(client.get("/favorites").await.json(200), json!([]));
}

#[tokio::test]
async fn a_service_token_has_the_favorites_of_the_user_it_acts_for_and_none_of_its_own() {
    let (daemon, alice, _) = with_app().await;
    let robot = daemon.service("robot").await;
    let for_alice = robot.header("x-username", "alice");
    mark(&for_alice, "api").await;
    assert_eq!(marked(&alice).await, ["api-docs"]);
    assert_eq!(marked(&robot.header("x-username", "bob")).await, [""; 0]);
    let refused = robot.get("/favorites").await.error(403);
    assert!(refused.contains("x-username"), "{refused}");
    robot.post("/favorites", json!({ "app": "api" })).await.error(403);
    robot.delete("/favorites/api").await.error(403);
    let ignored = daemon.personal("carol").await.header("x-username", "alice");
    assert_eq!(marked(&ignored).await, [""; 0], "a personal token acts for nobody else");
}

#[tokio::test]
async fn a_favorite_of_a_deleted_app_disappears_and_a_new_app_of_the_name_is_none() {
    let (daemon, client, _) = with_app().await;
    mark(&client, "api").await;
    daemon.admin().delete("/apps/api-docs").await.json(200);
    assert_eq!(client.get("/favorites").await.json(200), json!([]));
    client.delete("/favorites/api-docs").await.error(404);
    make_app(&daemon.admin(), "api").await;
    assert_eq!(client.get("/favorites").await.json(200), json!([]));
    client.delete("/favorites/api-docs").await.error(404);
}
