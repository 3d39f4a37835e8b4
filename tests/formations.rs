//! Formations, walked as the document shows them, and what it leaves open.

use akkerisd::model::command::Command;
use akkerisd::model::event::Event;
use akkerisd::model::formation::{Formation, FormationCommand, Origin};
use akkerisd::model::ids::AppId;
use akkerisd::model::names::ProcessType;
use akkerisd::model::principal::Principal;
use akkerisd::store;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

const PATH: &str = "/apps/api-docs/formation";
/// What is null until it is set, or never set on a type that is not `web`.
const NULLABLE: &[&str] = &["command", "healthcheck", "port"];

fn documented() -> Value {
    json!({
        "app": { "name": "api", "id": "62dc0fd3-2cba-4925-8fca-d1129d296d2c" },
        "command": "npm start",
        "created_at": "2016-07-26T15:47:33.411Z",
        "id": "62dc0fd3-2cba-4925-8fca-d1129d296d2c",
        "quantity": 1,
        "size": "constellation",
        "type": "web",
        "port": 9000,
        "healthcheck": "/health",
        "updated_at": "2016-07-26T15:47:36.676Z"
    })
}

/// A daemon with the app `api` in the space `docs`.
async fn with_app() -> (TestDaemon, Client, AppId) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    client.post("/spaces", json!({ "name": "docs" })).await.json(201);
    let body = json!({ "name": "api", "space": "docs", "org": "akkeris" });
    let app = client.post("/apps", body).await.json(201);
    let id = app.get("id").and_then(Value::as_str).unwrap().parse().unwrap();
    (daemon, client, id)
}

async fn stored(daemon: &TestDaemon, app: AppId, process_type: &str) -> Formation {
    let process_type = ProcessType::parse(process_type).unwrap();
    let query = move |c: &store::Connection| store::formations::find(c, app, &process_type);
    daemon.state.store.read(query).await.unwrap().unwrap()
}

/// Makes a formation one that a Procfile made.
async fn as_from_procfile(daemon: &TestDaemon, mut formation: Formation, command: &str) {
    formation.origin = Origin::Procfile;
    formation.command = FormationCommand::Procfile(Command::parse(command).unwrap());
    let work = move |tx: &mut store::Tx<'_>| store::formations::update(tx, &formation);
    daemon.state.store.write(&Principal::daemon(), work).await.unwrap();
}

#[tokio::test]
async fn create_formation_as_documented() {
    let (_daemon, client, app) = with_app().await;
    let body = r#"{"size":"constellation", "quantity":1, "type":"web", "command":null, "healthcheck":null}"#;
    let made = client.send_body(Method::POST, PATH, body).await.json(201);
    assert_shape(&documented(), &made, NULLABLE);
    assert_eq!(made["app"], json!({ "name": "api", "id": app }));
    assert_eq!((&made["command"], &made["healthcheck"]), (&Value::Null, &Value::Null));
    assert_eq!((&made["size"], &made["type"]), (&json!("constellation"), &json!("web")));
    assert_eq!((&made["quantity"], &made["port"]), (&json!(1), &json!(9000)));
    assert_eq!(client.get(PATH).await.json(200), json!([made]));
}

#[tokio::test]
async fn create_formation_shows_the_short_name_of_the_app_in_both_dialects() {
    let (_daemon, client, _) = with_app().await;
    let client = client.header("x-akkeris-dialect", "reference");
    assert_eq!(client.post(PATH, json!({ "type": "web" })).await.json(201)["app"]["name"], "api");
    assert_eq!(client.get(PATH).await.json(200)[0]["app"]["name"], "api");
}

#[tokio::test]
async fn create_formation_fills_in_what_is_absent() {
    let (_daemon, client, _) = with_app().await;
    let made = client.post(PATH, json!({ "type": "WEB" })).await.json(201);
    assert_eq!((&made["size"], &made["quantity"]), (&json!("gp1"), &json!(1)));
    assert_eq!((&made["port"], &made["type"]), (&json!(9000), &json!("web")));
    let body = json!({
        "type": "worker", "size": "GP2", "quantity": "0", "command": "node w.js", "port": null, "healthcheck": null
    });
    let made = client.post(PATH, body).await.json(201);
    assert_eq!((&made["size"], &made["quantity"]), (&json!("gp2"), &json!(0)));
    assert_eq!((&made["port"], &made["healthcheck"]), (&Value::Null, &Value::Null));
    assert_eq!(made["command"], "node w.js");
}

#[tokio::test]
async fn create_formation_takes_a_quantity_from_0_to_32_as_a_number_or_as_digits() {
    let (_daemon, client, _) = with_app().await;
    for quantity in
        [json!(33), json!(-1), json!(1.5), json!("33"), json!("-1"), json!(""), json!("x"), json!(true)]
    {
        let message = client.post(PATH, json!({ "type": "web", "quantity": quantity })).await.error(422);
        assert!(message.contains("quantity"), "{message}");
        let named = quantity.as_str().map_or_else(|| quantity.to_string(), str::to_owned);
        assert!(message.contains(&named), "{message} does not name {named}");
    }
    assert_eq!(client.get(PATH).await.json(200), json!([]));
    for (process_type, quantity, shown) in
        [("web", json!(0), 0), ("a", json!("32"), 32), ("b", json!(32), 32)]
    {
        let body = json!({ "type": process_type, "quantity": quantity });
        assert_eq!(client.post(PATH, body).await.json(201)["quantity"], shown);
    }
}

#[tokio::test]
async fn create_formation_of_another_type_makes_web_without_dynos_first() {
    let (daemon, client, _) = with_app().await;
    let mut events = daemon.events().await;
    client.post(PATH, json!({ "type": "worker", "command": "w" })).await.json(201);
    let all = client.get(PATH).await.json(200);
    assert_eq!(
        (&all[0]["type"], &all[0]["quantity"], &all[0]["port"]),
        (&json!("web"), &json!(0), &json!(9000))
    );
    assert_eq!((&all[1]["type"], &all[1]["quantity"]), (&json!("worker"), &json!(1)));
    for expected in ["web", "worker"] {
        let event = events.next().await;
        assert!(
            matches!(&*event, Event::FormationCreated { process_type, .. } if process_type.as_str() == expected),
            "{event:?}"
        );
    }
    client.post(PATH, json!({ "type": "clock", "command": "c" })).await.json(201);
    assert_eq!(client.get(PATH).await.json(200).as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn create_formation_refuses_a_type_that_is_there() {
    let (_daemon, client, _) = with_app().await;
    client.post(PATH, json!({ "type": "web" })).await.json(201);
    let all = client.get(PATH).await.json(200);
    let message = client.post(PATH, json!({ "type": "Web", "quantity": 5 })).await.error(409);
    assert!(message.contains("web"), "{message}");
    assert_eq!(client.get(PATH).await.json(200), all);
}

#[tokio::test]
async fn create_formation_makes_one_of_many_that_are_asked_for_at_once() {
    let (_daemon, client, _) = with_app().await;
    let requests = (0..16).map(|_| client.post(PATH, json!({ "type": "web" })));
    let answers = futures_util::future::join_all(requests).await;
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(201), with(409)), (1, 15));
}

#[tokio::test]
async fn create_formation_checks_in_the_documented_order_and_changes_nothing() {
    let (_daemon, client, _) = with_app().await;
    let mut body = json!({ "size": "huge", "type": "a-b", "quantity": 99, "port": 1, "healthcheck": "/h" });
    let refuse = async |body: &Value, part: &str| {
        let message = client.post(PATH, body.clone()).await.error(422);
        assert!(message.contains(part), "{message} does not name {part}");
    };
    refuse(&body, "\"huge\"").await;
    body["size"] = json!("gp1");
    refuse(&body, "\"a-b\"").await;
    body["type"] = json!("worker");
    refuse(&body, "quantity 99").await;
    body["quantity"] = json!(1);
    refuse(&body, "port 1 ").await;
    body["port"] = json!(9000);
    refuse(&body, "only web").await;
    body["port"] = Value::Null;
    refuse(&body, "only web").await;
    body["healthcheck"] = Value::Null;
    body["command"] = json!(" ");
    refuse(&body, "command").await;
    for (field, value) in
        [("command", json!(7)), ("command", json!("a 'b")), ("size", json!(7)), ("port", json!("x"))]
    {
        refuse(&json!({ "type": "web", field: value }), field).await;
    }
    refuse(&json!({ "type": "web", "healthcheck": "http://elsewhere/" }), "healthcheck").await;
    refuse(&json!({ "type": "web", "healthcheck": 7 }), "healthcheck").await;
    for process_type in [json!(""), json!("a b"), json!("x".repeat(33)), json!(7)] {
        client.post(PATH, json!({ "type": process_type })).await.error(422);
    }
    client.post(PATH, json!({})).await.error(422);
    client.send_body(Method::POST, PATH, "").await.error(400);
    client.send_body(Method::POST, PATH, "{").await.error(400);
    assert_eq!(client.get(PATH).await.json(200), json!([]));
    client.post("/apps/nobody/formation", json!({ "type": "web" })).await.error(404);
}

#[tokio::test]
async fn create_formation_takes_the_prod_size_in_a_prod_space() {
    let (_daemon, client, _) = with_app().await;
    client.patch("/spaces/docs", json!({ "compliance": ["prod"] })).await.json(200);
    let size = async |body: Value| client.post(PATH, body).await.json(201)["size"].clone();
    assert_eq!(size(json!({ "type": "web" })).await, "gp1-prod");
    assert_eq!(size(json!({ "type": "a", "size": "constellation" })).await, "constellation-prod");
    assert_eq!(size(json!({ "type": "b", "size": "gp2-prod" })).await, "gp2-prod");
    let changed = client.patch(&format!("{PATH}/web"), json!({ "size": "gp2" })).await.json(200);
    assert_eq!(changed["size"], "gp2-prod");
}

#[tokio::test]
async fn view_formation_and_list_formations_as_documented() {
    let (_daemon, client, _) = with_app().await;
    assert_eq!(client.get(PATH).await.json(200), json!([]));
    let web =
        client.post(PATH, json!({ "type": "web", "command": "npm start", "healthcheck": "health" })).await;
    let web = web.json(201);
    assert_eq!(web["healthcheck"], "/health");
    client.post(PATH, json!({ "type": "a", "command": "a" })).await.json(201);
    let all = client.get(PATH).await.json(200);
    assert_shape(&json!([documented()]), &all, NULLABLE);
    assert_eq!((&all[0]["type"], &all[1]["type"]), (&json!("web"), &json!("a")));
    let seen = client.get(&format!("{PATH}/web")).await.json(200);
    assert_shape(&documented(), &seen, &[]);
    assert_eq!(seen, web);
    for unknown in ["b", "a%20b", "a-b"] {
        client.get(&format!("{PATH}/{unknown}")).await.error(404);
    }
    client.get("/apps/nobody/formation").await.error(404);
    client.get("/apps/nobody/formation/web").await.error(404);
}

#[tokio::test]
async fn update_formations_as_documented() {
    let (_daemon, client, _) = with_app().await;
    client.post(PATH, json!({ "type": "web", "quantity": 0 })).await.json(201);
    let body = r#"[{"size":"constellation", "quantity":1, "type":"web"}]"#;
    let changed = client.send_body(Method::PATCH, PATH, body).await.json(200);
    assert_shape(&json!([documented()]), &changed, NULLABLE);
    assert_eq!((&changed[0]["size"], &changed[0]["quantity"]), (&json!("constellation"), &json!(1)));
    assert_eq!(client.get(PATH).await.json(200), changed);
    assert_eq!(client.patch(PATH, json!([])).await.json(200), json!([]));
}

#[tokio::test]
async fn update_formations_changes_all_or_none() {
    let (daemon, client, _) = with_app().await;
    client.post(PATH, json!({ "type": "worker", "command": "w" })).await.json(201);
    let all = client.get(PATH).await.json(200);
    let mut events = daemon.events().await;
    let refuse = async |second: Value, status: u16, part: &str| {
        let body = json!([{ "type": "web", "quantity": 3 }, second]);
        let message = client.patch(PATH, body).await.error(status);
        assert!(message.contains(part), "{message} does not name {part}");
    };
    refuse(json!({ "type": "clock", "quantity": 1 }), 409, "clock").await;
    refuse(json!({ "quantity": 1 }), 422, "type").await;
    refuse(json!({ "type": "worker", "quantity": 33 }), 422, "quantity 33").await;
    refuse(json!({ "type": "worker", "size": null }), 422, "size").await;
    refuse(json!({ "type": "worker", "port": 9000 }), 422, "only web").await;
    assert_eq!(client.get(PATH).await.json(200), all);
    assert!(events.so_far().await.is_empty(), "nothing changed, and an event told of it");
    let body = json!([{ "type": "worker", "quantity": "2" }, { "type": "web", "quantity": 3 }]);
    let changed = client.patch(PATH, body).await.json(200);
    assert_eq!((&changed[0]["quantity"], &changed[1]["quantity"]), (&json!(2), &json!(3)));
}

#[tokio::test]
async fn update_formations_wants_an_array() {
    let (_daemon, client, _) = with_app().await;
    for body in ["{}", "\"web\"", "7", "null", " {\"type\":\"web\"} "] {
        let message = client.send_body(Method::PATCH, PATH, body).await.error(422);
        assert!(message.contains("array"), "{message}");
    }
    for body in ["", "[", "[{]", "{\"type\":", "web"] {
        client.send_body(Method::PATCH, PATH, body).await.error(400);
    }
    client.patch("/apps/nobody/formation", json!([])).await.error(404);
}

/// `aka maintenance:state:restore` sends back what it was shown, with its id and its nulls.
#[tokio::test]
async fn update_formations_takes_what_list_formations_showed_and_changes_nothing() {
    let (daemon, client, app) = with_app().await;
    client.post(PATH, json!({ "type": "worker", "command": "node 'a b'" })).await.json(201);
    as_from_procfile(&daemon, stored(&daemon, app, "worker").await, "node w.js").await;
    let all = client.get(PATH).await.json(200);
    let mut events = daemon.events().await;
    assert_eq!(client.patch(PATH, all.clone()).await.json(200), all);
    assert!(events.so_far().await.is_empty(), "nothing changed, and an event told of it");
    let kept = stored(&daemon, app, "worker").await;
    assert_eq!(kept.origin, Origin::Procfile);
    assert!(matches!(kept.command, FormationCommand::Procfile(_)), "{:?}", kept.command);
}

/// `aka ps:scale` sends the command along; it shall follow the Procfile still (reading 20).
#[tokio::test]
async fn update_formations_scales_without_taking_the_command_from_the_procfile() {
    let (daemon, client, app) = with_app().await;
    client.post(PATH, json!({ "type": "worker", "quantity": 0 })).await.json(201);
    as_from_procfile(&daemon, stored(&daemon, app, "worker").await, "node w.js").await;
    let body = json!([{ "type": "worker", "quantity": 2, "command": "node w.js" }]);
    assert_eq!(client.patch(PATH, body).await.json(200)[0]["quantity"], 2);
    let scaled = stored(&daemon, app, "worker").await;
    assert_eq!(scaled.origin, Origin::User);
    assert!(matches!(scaled.command, FormationCommand::Procfile(_)), "{:?}", scaled.command);
    client.patch(PATH, json!([{ "type": "worker", "command": "node x.js" }])).await.json(200);
    let changed = stored(&daemon, app, "worker").await;
    assert!(matches!(changed.command, FormationCommand::User(_)), "{:?}", changed.command);
}

#[tokio::test]
async fn update_formation_as_documented() {
    let (_daemon, client, _) = with_app().await;
    client.post(PATH, json!({ "type": "web" })).await.json(201);
    let path = format!("{PATH}/web");
    // The document's body ends in a bracket too many; this is the body that was meant.
    let body = r#"{"size":"constellation", "quantity":1}"#;
    let changed = client.send_body(Method::PATCH, &path, body).await.json(200);
    assert_shape(&documented(), &changed, NULLABLE);
    assert_eq!((&changed["size"], &changed["quantity"]), (&json!("constellation"), &json!(1)));
    assert_eq!(client.get(&path).await.json(200), changed);
    client.send_body(Method::PATCH, &path, r#"{"quantity":2}]"#).await.error(400);
}

#[tokio::test]
async fn update_formation_keeps_what_is_absent_or_null_and_takes_away_on_request() {
    let (_daemon, client, _) = with_app().await;
    let path = format!("{PATH}/web");
    let all =
        json!({ "type": "web", "command": "npm start", "port": 8080, "healthcheck": "/h", "quantity": 2 });
    let made = client.post(PATH, all).await.json(201);
    let nulls = json!({ "command": null, "port": null, "healthcheck": null });
    assert_eq!(client.patch(&path, nulls).await.json(200), made);
    let flags = json!({ "removeHealthcheck": false, "remove-command": false });
    assert_eq!(client.patch(&path, flags).await.json(200), made);
    let changed = client.patch(&path, json!({ "removeHealthcheck": true })).await.json(200);
    assert_eq!((&changed["healthcheck"], &changed["command"]), (&Value::Null, &json!("npm start")));
    let changed = client.patch(&path, json!({ "remove-command": true })).await.json(200);
    assert_eq!((&changed["command"], &changed["port"]), (&Value::Null, &json!(8080)));
    assert_eq!((&changed["quantity"], &changed["id"]), (&json!(2), &made["id"]));
}

#[tokio::test]
async fn update_formation_refuses_bad_input_and_changes_nothing() {
    let (_daemon, client, _) = with_app().await;
    client.post(PATH, json!({ "type": "worker", "command": "w" })).await.json(201);
    let all = client.get(PATH).await.json(200);
    let refuse = async |process_type: &str, body: Value, status: u16| {
        client.patch(&format!("{PATH}/{process_type}"), body).await.error(status)
    };
    assert!(refuse("web", json!({ "size": null }), 422).await.contains("size"));
    assert!(refuse("web", json!({ "size": "huge", "quantity": 99 }), 422).await.contains("\"huge\""));
    assert!(refuse("web", json!({ "quantity": 33, "port": 1 }), 422).await.contains("quantity 33"));
    assert!(refuse("web", json!({ "port": 1023 }), 422).await.contains("1023"));
    assert!(refuse("web", json!({ "port": 65536 }), 422).await.contains("65536"));
    for body in [json!({ "port": 9000 }), json!({ "healthcheck": "/" }), json!({ "removeHealthcheck": true })]
    {
        assert!(refuse("worker", body, 422).await.contains("only web"));
    }
    refuse("worker", json!({ "command": "" }), 422).await;
    refuse("a-b", json!({ "quantity": 1 }), 422).await;
    refuse("clock", json!({ "quantity": 1 }), 404).await;
    refuse("web", json!({ "removeHealthcheck": "yes" }), 400).await;
    assert_eq!(client.get(PATH).await.json(200), all);
}

#[tokio::test]
async fn update_formation_makes_web_when_there_is_none() {
    let (_daemon, client, _) = with_app().await;
    client.patch(&format!("{PATH}/worker"), json!({ "quantity": 1 })).await.error(404);
    client.patch(&format!("{PATH}/web"), json!({ "port": 1 })).await.error(422);
    assert_eq!(client.get(PATH).await.json(200), json!([]));
    let made = client.patch(&format!("{PATH}/web"), json!({ "port": 5000 })).await.json(200);
    assert_eq!((&made["port"], &made["size"]), (&json!(5000), &json!("gp1")));
    assert_eq!(client.get(PATH).await.json(200), json!([made]));
    assert_eq!(client.get("/apps/api/config-vars").await.json(200)["PORT"], "5000");
}

#[tokio::test]
async fn update_formation_tells_of_real_changes_only_and_the_user_owns_what_it_changed() {
    let (daemon, client, app) = with_app().await;
    let made = client.post(PATH, json!({ "type": "web", "command": "npm start" })).await.json(201);
    as_from_procfile(&daemon, stored(&daemon, app, "web").await, "npm start").await;
    let path = format!("{PATH}/web");
    let mut events = daemon.events().await;
    let same = json!({ "size": "gp1", "quantity": "1", "port": 9000, "command": "npm start" });
    assert_eq!(client.patch(&path, same).await.json(200), made);
    assert!(events.so_far().await.is_empty(), "nothing changed, and an event told of it");
    assert_eq!(stored(&daemon, app, "web").await.origin, Origin::Procfile);
    client.patch(&path, json!({ "quantity": 4 })).await.json(200);
    let event = events.next().await;
    assert!(
        matches!(&*event, Event::FormationUpdated { app: of, process_type, .. } if *of == app && process_type.is_web()),
        "{event:?}"
    );
    assert_eq!(stored(&daemon, app, "web").await.origin, Origin::User);
}

#[tokio::test]
async fn delete_formation_as_documented() {
    let (daemon, client, app) = with_app().await;
    let worker = client.post(PATH, json!({ "type": "worker", "command": "w" })).await.json(201);
    let path = format!("{PATH}/worker");
    let mut events = daemon.events().await;
    assert_eq!(client.delete(&path).await.json(200), worker);
    let event = events.next().await;
    assert!(matches!(&*event, Event::FormationDeleted { app: of, .. } if *of == app), "{event:?}");
    client.get(&path).await.error(404);
    client.delete(&path).await.error(404);
    client.delete(&format!("{PATH}/web")).await.json(200);
    assert_eq!(client.get(PATH).await.json(200), json!([]));
    client.post(PATH, json!({ "type": "worker", "command": "w" })).await.json(201);
}

#[tokio::test]
async fn delete_formation_needs_elevation_in_a_protected_space() {
    for tag in ["socs", "prod"] {
        let (daemon, client, _) = with_app().await;
        client.post(PATH, json!({ "type": "web" })).await.json(201);
        client.patch("/spaces/docs", json!({ "compliance": [tag] })).await.json(200);
        let path = format!("{PATH}/web");
        let user = daemon.personal("alice").await.header("x-elevated-access", "true");
        assert!(user.delete(&path).await.error(403).contains("docs"));
        client.get(&path).await.json(200);
        client.delete(&path).await.json(200);
    }
}

#[tokio::test]
async fn an_image_of_ones_own_needs_elevation_in_a_protected_space() {
    for tag in ["socs", "prod"] {
        let (daemon, client, _) = with_app().await;
        client.post(PATH, json!({ "type": "job", "command": "a", "oneoff": true })).await.json(201);
        client.patch("/spaces/docs", json!({ "compliance": [tag] })).await.json(200);
        let user = daemon.personal("alice").await;
        let options = json!({ "image": "alpine:3" });
        let new = json!({ "type": "new", "command": "printenv", "oneoff": true, "options": options });
        for answer in [
            user.post(PATH, new).await,
            user.patch(&format!("{PATH}/job"), json!({ "options": options })).await,
            user.patch(PATH, json!([{ "type": "job", "options": options }])).await,
        ] {
            assert!(answer.error(403).contains("docs"));
        }
        user.patch(&format!("{PATH}/job"), json!({ "command": "b" })).await.json(200);
        client.patch(&format!("{PATH}/job"), json!({ "options": options })).await.json(200);
    }
}

#[tokio::test]
async fn no_formation_changes_while_the_app_is_in_maintenance() {
    let (_daemon, client, _) = with_app().await;
    let web = client.post(PATH, json!({ "type": "web" })).await.json(201);
    client.patch("/apps/api", json!({ "maintenance": true })).await.json(200);
    let path = format!("{PATH}/web");
    let answers = [
        client.post(PATH, json!({ "type": "worker", "command": "w" })).await,
        client.patch(PATH, json!([{ "type": "web", "quantity": 2 }])).await,
        client.patch(&path, json!({ "quantity": 2 })).await,
        client.delete(&path).await,
    ];
    for answer in answers {
        assert!(answer.error(409).contains("maintenance"));
    }
    assert_eq!(client.get(PATH).await.json(200), json!([web]));
    client.patch("/apps/api", json!({ "maintenance": false })).await.json(200);
    client.patch(&path, json!({ "quantity": 2 })).await.json(200);
}
