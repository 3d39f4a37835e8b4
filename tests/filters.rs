//! Filters and what they are attached to. No document has them; the reference server and its client do
//! (`behaviour.md` §32).

mod table;

use akkerisd::model::account::Role;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Client, TestDaemon, assert_shape};

fn jwt(name: &str) -> Value {
    json!({
        "type": "jwt", "name": name, "description": "Only who is logged in", "organization": "akkeris",
        "options": { "jwks_uri": "https://issuer.example/jwks", "issuer": "https://issuer.example", "audiences": "a, b" }
    })
}

fn typed(filter_type: &str, options: &Value) -> Value {
    json!({ "type": filter_type, "name": filter_type, "description": "d", "organization": "akkeris", "options": options })
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap()
}

async fn put(client: &Client, path: &str, body: &Value) -> Answer {
    client.send_body(Method::PUT, path, body.to_string()).await
}

async fn create(client: &Client, body: &Value) -> Value {
    client.post("/filters", body.clone()).await.json(201)
}

/// A daemon with the app `app-default`.
async fn with_app() -> (TestDaemon, Client) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let app = json!({ "name": "app", "space": "default", "org": "akkeris" });
    client.post("/apps", app).await.json(201);
    (daemon, client)
}

async fn attach(client: &Client, filter: &str, options: &Value) -> Value {
    let body = json!({ "filter": { "id": filter }, "options": options });
    client.post("/apps/app-default/filters", body).await.json(201)
}

/// Somebody in the organization `akkeris`, and somebody in another one.
async fn member_and_stranger(daemon: &TestDaemon) -> (Client, Client) {
    daemon.account("alice", Role::Member, &["akkeris"]).await;
    daemon.admin().post("/organizations", json!({ "name": "theirs" })).await.json(201);
    daemon.account("bob", Role::Member, &["theirs"]).await;
    (daemon.personal("alice").await, daemon.personal("bob").await)
}

#[tokio::test]
async fn create_filter_of_each_type_shows_its_options() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let mut events = daemon.events().await;
    let made = create(&client, &jwt("Login")).await;
    let shape = json!({
        "id": "81442fc0-cf86-47c2-943c-28da18a84fad", "name": "login", "type": "jwt", "description": "x",
        "options": { "jwks_uri": "x", "issuer": "x", "audiences": ["a"] },
        "organization": { "id": "81442fc0-cf86-47c2-943c-28da18a84fad", "name": "akkeris" },
        "attached_apps": [], "created_at": "2017-05-02T15:31:09.774Z", "updated_at": "2017-05-02T15:31:09.774Z"
    });
    assert_shape(&shape, &made, &[]);
    assert_eq!((text(&made, "name"), &made["options"]["audiences"]), ("login", &json!(["a", "b"])));
    for (filter_type, sent, shown) in [
        (
            "cors",
            json!({ "allow_origin": ["a.example"], "allow_methods": ["get"], "max_age": 5 }),
            json!({ "allow_origin": ["a.example"], "allow_methods": ["GET"], "allow_headers": [],
                "expose_headers": [], "max_age": 5, "allow_credentials": false }),
        ),
        ("csp", json!({ "policy": "default-src https:" }), json!({ "policy": "default-src https:" })),
        (
            "basic-auth",
            json!({ "users": [{ "name": "alice", "password": "hush-hush" }] }),
            json!({ "realm": "Restricted", "users": [{ "name": "alice" }] }),
        ),
        (
            "ip",
            json!({ "allow": ["10.1.2.3/8"], "deny": "10.0.0.1,::1" }),
            json!({ "allow": ["10.0.0.0/8"], "deny": ["10.0.0.1/32", "::1/128"] }),
        ),
        ("rate-limit", json!({ "requests": 10 }), json!({ "requests": 10, "period": 60, "burst": 10 })),
    ] {
        let made = create(&client, &typed(filter_type, &sent)).await;
        assert_eq!((text(&made, "type"), &made["options"]), (filter_type, &shown));
        assert_eq!(client.get(&format!("/filters/{filter_type}")).await.json(200), made);
    }
    assert!(!daemon.disk().await.contains("hush-hush"), "a password is on the disk");
    assert_eq!(events.kinds_so_far().await, ["filter_created"; 6]);
}

#[tokio::test]
async fn create_filter_refuses_whatever_is_wrong_with_400_and_a_taken_name_with_409() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let mut bodies = vec![
        json!({}),
        typed("ssl", &json!({})),
        typed("jwt", &json!({})),
        typed("jwt", &json!({ "jwks_uri": "https://a", "issuer": 7 })),
        typed("jwt", &json!({ "jwks_uri": "issuer.example", "issuer": "x" })),
        typed("cors", &json!({ "allow_origin": [] })),
        typed("cors", &json!({ "allow_origin": ["^.*$"] })),
        typed("cors", &json!({ "allow_origin": ["*"], "max_age": 0 })),
        typed("cors", &json!({ "allow_origin": ["*"], "max_age": "1" })),
        typed("cors", &json!({ "allow_origin": ["*"], "allow_credentials": true })),
        typed("csp", &json!({ "policy": "a\r\nb: c" })),
        typed("basic-auth", &json!({ "users": [{ "name": "alice" }] })),
        typed("basic-auth", &json!({ "users": [] })),
        typed("ip", &json!({ "allow": ["10.0.0.0/99"] })),
        typed("rate-limit", &json!({ "requests": 0 })),
    ];
    for field in ["name", "description", "type", "organization", "options"] {
        for value in [None, Some(json!("")), Some(json!(7)), Some(Value::Null)] {
            let mut body = jwt("x");
            let fields = body.as_object_mut().unwrap();
            match value {
                None => drop(fields.remove(field)),
                Some(value) => drop(fields.insert(field.to_owned(), value)),
            }
            bodies.push(body);
        }
    }
    let unknown = json!({ "organization": "nobody" });
    let mut other = jwt("x");
    other.as_object_mut().unwrap().extend(unknown.as_object().unwrap().clone());
    bodies.push(other);
    for body in bodies {
        let message = client.post("/filters", body.clone()).await.error(400);
        assert!(!message.is_empty(), "{body}");
    }
    assert_eq!(client.get("/filters").await.json(200), json!([]));
    create(&client, &jwt("taken")).await;
    assert!(client.post("/filters", jwt("TAKEN")).await.error(409).contains("taken"));
}

#[tokio::test]
async fn list_filters_shows_those_of_ones_organizations() {
    let daemon = TestDaemon::start().await;
    let admin = daemon.admin();
    let (member, stranger) = member_and_stranger(&daemon).await;
    create(&member, &jwt("one")).await;
    create(&admin, &jwt("two")).await;
    for (client, count) in [(&admin, 2), (&member, 2), (&stranger, 0)] {
        assert_eq!(client.get("/filters").await.json(200).as_array().unwrap().len(), count);
    }
    stranger.post("/filters", jwt("three")).await.error(403);
}

#[tokio::test]
async fn view_filter_by_name_or_id_with_the_apps_that_have_it() {
    let (daemon, client) = with_app().await;
    let made = create(&client, &jwt("login")).await;
    attach(&client, text(&made, "id"), &json!({})).await;
    for name in [text(&made, "id"), "login", "LOGIN"] {
        let viewed = client.get(&format!("/filters/{name}")).await.json(200);
        let app = &viewed["attached_apps"][0];
        assert_eq!((text(app, "name"), text(&app["space"], "name")), ("app", "default"));
    }
    client.get("/filters/none").await.error(404);
    client.get(&format!("/filters/{}", uuid::Uuid::nil())).await.error(404);
    let (member, stranger) = member_and_stranger(&daemon).await;
    member.get("/filters/login").await.json(200);
    stranger.get("/filters/login").await.error(403);
}

#[tokio::test]
async fn update_filter_needs_elevation_and_keeps_type_and_passwords() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let users = |users: Value| typed("basic-auth", &json!({ "realm": "New", "users": users }));
    create(&client, &users(json!([{ "name": "alice", "password": "one" }]))).await;
    let path = "/filters/basic-auth";
    let (member, stranger) = member_and_stranger(&daemon).await;
    let mut events = daemon.events().await;
    let both = users(json!([{ "name": "alice" }, { "name": "bob", "password": "two" }]));
    put(&member, path, &both).await.error(403);
    put(&stranger, path, &both).await.error(403);
    let changed = put(&client, path, &both).await.json(200);
    assert_eq!(changed["options"]["users"], json!([{ "name": "alice" }, { "name": "bob" }]));
    assert_eq!(put(&client, path, &users(json!([{ "name": "carol" }]))).await.status, 400);
    assert!(put(&client, path, &jwt("basic-auth")).await.error(400).contains("basic-auth"));
    put(&client, path, &json!({})).await.error(400);
    put(&client, "/filters/none", &both).await.error(404);
    create(&client, &jwt("login")).await;
    assert!(put(&client, "/filters/login", &jwt("basic-auth")).await.error(409).contains("exists"));
    let renamed = put(&client, "/filters/login", &jwt("front")).await.json(200);
    assert_eq!(client.get("/filters/front").await.json(200), renamed);
    put(&client, "/filters/front", &jwt("front")).await.json(200);
    assert_eq!(events.kinds_so_far().await, ["filter_updated", "filter_created", "filter_updated"]);
}

#[tokio::test]
async fn delete_filter_needs_elevation_and_leaves_what_is_attached() {
    let (daemon, client) = with_app().await;
    let made = create(&client, &jwt("login")).await;
    let attachment = attach(&client, "login", &json!({})).await;
    let (member, _) = member_and_stranger(&daemon).await;
    member.delete("/filters/login").await.error(403);
    assert!(client.delete("/filters/login").await.error(409).contains("app-default"));
    client.delete(&format!("/apps/app-default/filters/{}", text(&attachment, "id"))).await.json(200);
    let deleted = client.delete("/filters/login").await;
    assert_eq!((deleted.status.as_u16(), deleted.text().as_str()), (204, ""));
    client.delete("/filters/login").await.error(404);
    client.get(&format!("/filters/{}", text(&made, "id"))).await.error(404);
    create(&client, &jwt("login")).await;
}

#[tokio::test]
async fn create_filter_attachment_takes_one_of_each_type_and_an_audit_tells() {
    let (daemon, client) = with_app().await;
    let (login, other) = (create(&client, &jwt("login")).await, create(&client, &jwt("other")).await);
    let mut events = daemon.events().await;
    let made =
        attach(&client, text(&login, "id"), &json!({ "excludes": ["/public/"], "includes": "/a,/b" })).await;
    let mut filter = login.clone();
    filter.as_object_mut().unwrap().remove("attached_apps");
    assert_eq!(made["filter"], filter);
    assert_eq!(made["options"], json!({ "includes": ["/a", "/b"], "excludes": ["/public"] }));
    assert_eq!(made["app"]["name"], "app-default");
    let refused = [
        json!({}),
        json!({ "filter": null }),
        json!({ "filter": {} }),
        json!({ "filter": "login" }),
        json!({ "filter": { "id": "" } }),
        json!({ "filter": { "id": "none" } }),
        json!({ "filter": { "id": uuid::Uuid::nil() } }),
        json!({ "filter": { "id": text(&login, "id") } }),
        json!({ "filter": { "id": text(&other, "id") } }),
        json!({ "filter": { "id": text(&login, "id") }, "options": { "excludes": ["/a/../b"] } }),
        json!({ "filter": { "id": text(&login, "id") }, "options": { "excludes": 7 } }),
    ];
    for body in refused {
        client.post("/apps/app-default/filters", body).await.error(400);
    }
    client.post("/apps/none-default/filters", json!({ "filter": { "id": "login" } })).await.error(404);
    assert_eq!(events.kinds_so_far().await, ["filter_attached"]);
    let audits = client.get("/audits?app=app&space=default").await.json(200);
    assert_eq!(text(&audits[0], "action"), "filter_attachment");
    let (_, stranger) = member_and_stranger(&daemon).await;
    stranger.post("/apps/app-default/filters", json!({ "filter": { "id": "login" } })).await.error(403);
}

#[tokio::test]
async fn list_filter_attachments_of_an_app_until_it_is_deleted() {
    let (_daemon, client) = with_app().await;
    assert_eq!(client.get("/apps/app-default/filters").await.json(200), json!([]));
    create(&client, &jwt("login")).await;
    create(&client, &typed("csp", &json!({ "policy": "x" }))).await;
    let all = json!([attach(&client, "login", &json!({})).await, attach(&client, "csp", &json!({})).await]);
    assert_eq!(client.get("/apps/app-default/filters").await.json(200), all);
    client.delete("/apps/app-default").await.json(200);
    assert_eq!(client.get("/filters/login").await.json(200)["attached_apps"], json!([]));
    assert_eq!(client.delete("/filters/login").await.status, 204);
}

#[tokio::test]
async fn view_filter_attachment_of_its_own_app_only() {
    let (_daemon, client) = with_app().await;
    let other = json!({ "name": "other", "space": "default", "org": "akkeris" });
    client.post("/apps", other).await.json(201);
    create(&client, &jwt("login")).await;
    let made = attach(&client, "login", &json!({})).await;
    let path = |app: &str| format!("/apps/{app}-default/filters/{}", text(&made, "id"));
    assert_eq!(client.get(&path("app")).await.json(200), made);
    client.get(&path("other")).await.error(404);
    client.get("/apps/app-default/filters/none").await.error(404);
}

#[tokio::test]
async fn update_filter_attachment_sets_its_paths_and_not_its_filter() {
    let (daemon, client) = with_app().await;
    let (login, other) = (create(&client, &jwt("login")).await, create(&client, &jwt("other")).await);
    let made = attach(&client, "login", &json!({ "excludes": ["/a"] })).await;
    let mut events = daemon.events().await;
    let path = format!("/apps/app-default/filters/{}", text(&made, "id"));
    let with =
        |filter: &Value| json!({ "filter": { "id": text(filter, "id") }, "options": { "excludes": ["/b"] } });
    let changed = put(&client, &path, &with(&login)).await.json(200);
    assert_eq!(changed["options"], json!({ "includes": [], "excludes": ["/b"] }));
    assert_eq!(put(&client, &path, &with(&login)).await.json(200), changed);
    put(&client, &path, &with(&other)).await.error(400);
    put(&client, &path, &json!({ "options": { "includes": ["x"] } })).await.error(400);
    put(&client, "/apps/app-default/filters/none", &with(&login)).await.error(404);
    assert_eq!(events.kinds_so_far().await, ["filter_attachment_updated"]);
}

#[tokio::test]
async fn delete_filter_attachment_shows_what_remains() {
    let (daemon, client) = with_app().await;
    create(&client, &jwt("login")).await;
    create(&client, &typed("csp", &json!({ "policy": "x" }))).await;
    let (first, second) =
        (attach(&client, "login", &json!({})).await, attach(&client, "csp", &json!({})).await);
    let mut events = daemon.events().await;
    let path = |made: &Value| format!("/apps/app-default/filters/{}", text(made, "id"));
    assert_eq!(client.delete(&path(&first)).await.json(200), json!([second]));
    client.delete(&path(&first)).await.error(404);
    assert_eq!(client.delete(&path(&second)).await.json(200), json!([]));
    assert_eq!(events.kinds_so_far().await, ["filter_detached"; 2]);
    attach(&client, "login", &json!({})).await;
}
