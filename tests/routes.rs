//! Routes, walked as the document shows them, what it leaves open (`behaviour.md` §27), and how they reach the
//! routing table.

mod table;

use akkerisd::model::account::Role;
use akkerisd::model::event::Event;
use akkerisd::model::principal::Principal;
use akkerisd::model::time::Timestamp;
use akkerisd::store::{self, StoreError};
use http::Method;
use serde_json::{Value, json};

use crate::pipelines::{id_of, text};
use crate::sites;
use crate::support::{Client, TestDaemon, assert_shape};

fn documented() -> Value {
    json!({
        "id": "45736b25-5752-4561-858f-fb8169375665",
        "app": "pipeline1-cory",
        "site": "testsite2",
        "source_path": "/",
        "target_path": "/",
        "created_at": "2017-09-05T20:01:59.100Z",
        "updated_at": "2017-09-05T20:01:59.100Z",
        // Not in the document, but what the production server sends.
        "pending": true,
        "space": { "name": "cory" }
    })
}

/// The apps `app-default` and `other-default` and the site `shop.example`.
async fn with_site() -> (TestDaemon, Client) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    for name in ["app", "other"] {
        client.post("/apps", json!({ "name": name, "space": "default", "org": "akkeris" })).await.json(201);
    }
    sites::create(&client, "shop.example").await;
    (daemon, client)
}

fn new(source: &str, target: &str) -> Value {
    json!({ "site": "shop.example", "app": "app-default", "source_path": source, "target_path": target })
}

async fn create(client: &Client, source: &str, target: &str) -> Value {
    client.post("/routes", new(source, target)).await.json(201)
}

/// As if a release of the app had come up.
async fn release(daemon: &TestDaemon, client: &Client, app: &str) {
    let id = id_of(client, app).await;
    let work = move |tx: &mut store::Tx<'_>| {
        store::apps::set_released(tx, id, Timestamp::from_millis(1))?;
        tx.record(Event::AppUpdated { app: id })
    };
    daemon.state.store.write::<_, StoreError, _>(&Principal::daemon(), work).await.unwrap();
}

#[tokio::test]
async fn create_route_as_documented_with_the_app_by_its_id() {
    let (daemon, client) = with_site().await;
    let mut events = daemon.events().await;
    let app = id_of(&client, "app-default").await;
    let body = format!(r#"{{"site":"shop.example", "app":"{app}", "source_path": "/", "target_path": "/"}}"#);
    let made = client.send_body(Method::POST, "/routes", body).await.json(201);
    assert_shape(&documented(), &made, &[]);
    assert_eq!((&made["app"], &made["site"]), (&json!("app-default"), &json!("shop.example")));
    assert_eq!((&made["source_path"], &made["target_path"]), (&json!("/"), &json!("/")));
    assert_eq!((&made["space"]["name"], &made["pending"]), (&json!("default"), &json!(true)));
    assert_eq!(client.get(&format!("/routes/{}", text(&made, "id"))).await.json(200), made);
    assert_eq!(events.kinds_so_far().await, ["route_created"]);
    let audits = client.get("/audits?app=app").await.json(200);
    assert_eq!(audits[0]["action"], "route_created");
}

#[tokio::test]
async fn create_route_drops_slashes_at_the_end_and_takes_an_empty_target_for_the_root() {
    let (_daemon, client) = with_site().await;
    for (source, target, kept) in [
        ("/x/", "/y//", ("/x", "/y")),
        ("/Api_1.0/a-b", "", ("/Api_1.0/a-b", "/")),
        ("/api_1.0/a-b", "/", ("/api_1.0/a-b", "/")),
    ] {
        let made = create(&client, source, target).await;
        assert_eq!((text(&made, "source_path"), text(&made, "target_path")), kept);
    }
    let body = json!({ "site": "shop.example", "app": "app", "source_path": "/without" });
    assert_eq!(client.post("/routes", body).await.json(201)["target_path"], "/");
}

#[tokio::test]
async fn create_route_refuses_paths_that_are_none() {
    let (_daemon, client) = with_site().await;
    let long = format!("/{}", "x".repeat(1024));
    for bad in
        ["x", "/a b", "/a//b", "/..", "/a/../b", "/./a", "/%2e", "/ä", "/a?b=c", "/a#b", "/a;b", "/*", &long]
    {
        for body in [new(bad, "/"), new("/", bad)] {
            let message = client.post("/routes", body).await.error(422);
            assert!(message.contains("_path \""), "{message}");
        }
    }
    client.post("/routes", new("", "/")).await.error(422);
    for field in ["site", "app", "source_path"] {
        let mut body = new("/", "/");
        body.as_object_mut().unwrap().remove(field);
        let message = client.post("/routes", body.clone()).await.error(422);
        assert!(message.contains(field), "{message}");
        body.as_object_mut().unwrap().insert(field.to_owned(), json!(7));
        client.post("/routes", body).await.error(422);
    }
    for field in ["site", "app"] {
        for empty in [json!(""), json!(" "), Value::Null] {
            let mut body = new("/", "/");
            body.as_object_mut().unwrap().insert(field.to_owned(), empty);
            client.post("/routes", body).await.error(422);
        }
    }
    client.send_body(Method::POST, "/routes", "").await.error(400);
    assert_eq!(client.get("/routes").await.json(200), json!([]));
}

#[tokio::test]
async fn create_route_refuses_an_unknown_site_or_app_and_a_source_path_that_there_is() {
    let (_daemon, client) = with_site().await;
    let mut body = new("/x", "/");
    body.as_object_mut().unwrap().insert("site".to_owned(), json!("none.example"));
    assert_eq!(client.post("/routes", body).await.error(404), "The site none.example does not exist.");
    let mut body = new("/x", "/");
    body.as_object_mut().unwrap().insert("app".to_owned(), json!("none-default"));
    assert_eq!(client.post("/routes", body).await.error(404), "The app none-default does not exist.");
    create(&client, "/x", "/").await;
    let again = json!({ "site": "shop.example", "app": "other", "source_path": "/x/", "target_path": "/z" });
    let message = client.post("/routes", again).await.error(409);
    assert_eq!(message, "The site shop.example has a route from /x already; delete that one first.");
    create(&client, "/X", "/").await;
    sites::create(&client, "two.example").await;
    let elsewhere = json!({ "site": "two.example", "app": "app", "source_path": "/x" });
    client.post("/routes", elsewhere).await.json(201);
}

#[tokio::test]
async fn create_app_route_takes_the_app_of_its_address_when_the_body_names_none() {
    let (_daemon, client) = with_site().await;
    let body = json!({ "site": "shop.example", "source_path": "/a" });
    let made = client.post("/apps/app-default/routes", body).await.json(201);
    assert_eq!((text(&made, "app"), text(&made, "site")), ("app-default", "shop.example"));
    client.post("/apps/app/routes", new("/b", "/")).await.json(201);
    let message = client.post("/apps/other/routes", new("/e", "/")).await.error(422);
    assert!(message.contains("app-default"), "{message}");
    client.post("/apps/none/routes", new("/e", "/")).await.error(404);
    client.post("/apps/app/routes", json!({ "source_path": "/e" })).await.error(422);
}

#[tokio::test]
async fn create_site_route_takes_the_site_of_its_address_when_the_body_names_none() {
    let (_daemon, client) = with_site().await;
    sites::create(&client, "two.example").await;
    client.post("/sites/shop.example/routes", new("/c", "/")).await.json(201);
    let body = json!({ "app": "other", "source_path": "/d" });
    let made = client.post("/sites/shop.example/routes", body).await.json(201);
    assert_eq!((text(&made, "app"), text(&made, "site")), ("other-default", "shop.example"));
    let message = client.post("/sites/two.example/routes", new("/e", "/")).await.error(422);
    assert!(message.contains("shop.example"), "{message}");
    client.post("/sites/none/routes", new("/e", "/")).await.error(404);
    client.post("/sites/shop.example/routes", json!({ "source_path": "/e" })).await.error(422);
}

#[tokio::test]
async fn list_routes_oldest_first_and_list_app_routes_and_list_site_routes_as_documented() {
    let (_daemon, client) = with_site().await;
    assert_eq!(client.get("/routes").await.json(200), json!([]));
    sites::create(&client, "two.example").await;
    let (z, a) = (create(&client, "/z", "/").await, create(&client, "/a", "/t").await);
    let body = json!({ "site": "two.example", "app": "other", "source_path": "/" });
    let other = client.post("/routes", body).await.json(201);
    assert_shape(&json!([documented()]), &client.get("/routes").await.json(200), &[]);
    for (path, listed) in [
        ("/routes", json!([z, a, other])),
        ("/apps/app-default/routes", json!([z, a])),
        ("/apps/other/routes", json!([other])),
        ("/sites/shop.example/routes", json!([z, a])),
        ("/site/shop.example/routes", json!([z, a])),
        ("/sites/two.example/routes", json!([other])),
    ] {
        assert_eq!(client.get(path).await.json(200), listed, "{path}");
    }
    for unknown in ["/apps/none/routes", "/sites/none/routes", "/site/none/routes"] {
        client.get(unknown).await.error(404);
    }
}

#[tokio::test]
async fn list_app_routes_and_list_site_routes_are_paged() {
    let (_daemon, client) = with_site().await;
    for path in ["/b", "/a", "/c"] {
        create(&client, path, "/").await;
    }
    for list in ["/routes", "/apps/app/routes", "/sites/shop.example/routes"] {
        let page = client.header("range", "source_path ..; max=2").get(list).await.json(206);
        let sources: Vec<&str> =
            page.as_array().unwrap().iter().map(|route| text(route, "source_path")).collect();
        assert_eq!(sources, ["/a", "/b"], "{list}");
    }
}

#[tokio::test]
async fn list_site_routes_name_app_and_site_as_objects_in_the_dialect_of_the_reference() {
    let (_daemon, client) = with_site().await;
    let made = create(&client, "/x", "/").await;
    let reference = client.header("x-akkeris-dialect", "reference");
    let listed = reference.get("/sites/shop.example/routes").await.json(200);
    let route = &listed[0];
    assert_eq!((&route["app"]["name"], &route["site"]["domain"]), (&made["app"], &made["site"]));
    assert_eq!(route["app"]["id"], json!(id_of(&client, "app-default").await));
    assert_eq!(route["site"]["id"], client.get("/sites/shop.example").await.json(200)["id"]);
    assert_eq!(route["site"]["region"]["name"], "us-seattle");
    assert_eq!((&route["site"]["compliance"], &route["site"]["preview"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn view_route_and_view_site_route_show_one_of_that_site_only() {
    let (_daemon, client) = with_site().await;
    sites::create(&client, "two.example").await;
    let made = create(&client, "/x", "/").await;
    let id = text(&made, "id");
    assert_eq!(client.get(&format!("/routes/{id}")).await.json(200), made);
    assert_eq!(client.get(&format!("/sites/shop.example/routes/{id}")).await.json(200), made);
    client.get(&format!("/sites/two.example/routes/{id}")).await.error(404);
    client.get(&format!("/sites/none/routes/{id}")).await.error(404);
    assert_eq!(client.get("/routes/x").await.error(404), "The route x does not exist.");
    client.get(&format!("/routes/{}", uuid::Uuid::nil())).await.error(404);
}

#[tokio::test]
async fn view_site_route_and_all_others_refuse_an_app_out_of_reach() {
    let (daemon, admin) = with_site().await;
    admin.post("/organizations", json!({ "name": "ours" })).await.json(201);
    admin.post("/apps", json!({ "name": "mine", "space": "default", "org": "ours" })).await.json(201);
    daemon.account("alice", Role::Member, &["ours"]).await;
    let alice = daemon.personal("alice").await;
    let site = json!({ "domain": "ours.example", "organization": "ours" });
    admin.post("/sites", site).await.json(201);
    let foreign = json!({ "site": "ours.example", "app": "app", "source_path": "/foreign" });
    let foreign = admin.post("/routes", foreign).await.json(201);
    let id = text(&foreign, "id");
    for path in [format!("/routes/{id}"), format!("/sites/ours.example/routes/{id}")] {
        alice.get(&path).await.error(403);
        alice.delete(&path).await.error(403);
    }
    assert_eq!(alice.get("/routes").await.json(200), json!([]));
    assert_eq!(alice.get("/sites/ours.example/routes").await.json(200), json!([]));
    alice.delete("/sites/ours.example").await.error(403);
    // Both ends of a new route must be within reach.
    let to_theirs = json!({ "site": "ours.example", "app": "app", "source_path": "/x" });
    alice.post("/routes", to_theirs).await.error(403);
    alice.post("/apps/mine/routes", json!({ "site": "shop.example", "source_path": "/x" })).await.error(403);
    let own = json!({ "site": "ours.example", "app": "mine", "source_path": "/x" });
    alice.post("/routes", own).await.json(201);
}

#[tokio::test]
async fn delete_route_and_delete_site_route_answer_the_route_and_free_its_path() {
    let (daemon, client) = with_site().await;
    let mut events = daemon.events().await;
    for base in ["/routes", "/sites/shop.example/routes"] {
        let made = create(&client, "/x", "/").await;
        let path = format!("{base}/{}", text(&made, "id"));
        assert_eq!(client.delete(&path).await.json(200), made);
        client.delete(&path).await.error(404);
        client.get(&path).await.error(404);
    }
    assert_eq!(
        events.kinds_so_far().await,
        ["route_created", "route_deleted", "route_created", "route_deleted"]
    );
    client.delete("/routes/x").await.error(404);
}

#[tokio::test]
async fn delete_site_route_refuses_one_of_another_site() {
    let (_daemon, client) = with_site().await;
    sites::create(&client, "two.example").await;
    let id = text(&create(&client, "/x", "/").await, "id").to_owned();
    client.delete(&format!("/sites/two.example/routes/{id}")).await.error(404);
    client.get(&format!("/routes/{id}")).await.json(200);
}

#[tokio::test]
async fn a_route_is_pending_until_its_app_has_had_a_release() {
    let (daemon, client) = with_site().await;
    let made = create(&client, "/x", "/").await;
    assert_eq!(made["pending"], true);
    release(&daemon, &client, "app-default").await;
    let path = format!("/routes/{}", text(&made, "id"));
    assert_eq!(client.get(&path).await.json(200)["pending"], false);
    assert_eq!(create(&client, "/y", "/").await["pending"], false);
}

#[tokio::test]
async fn the_routes_of_a_deleted_app_go_with_it_and_those_of_others_stay() {
    let (daemon, client) = with_site().await;
    create(&client, "/x", "/").await;
    let body = json!({ "site": "shop.example", "app": "other", "source_path": "/" });
    let other = client.post("/routes", body).await.json(201);
    let mut events = daemon.events().await;
    client.delete("/apps/app-default").await.json(200);
    assert_eq!(events.kinds_so_far().await, ["route_deleted", "app_deleted"]);
    assert_eq!(client.get("/sites/shop.example/routes").await.json(200), json!([other]));
    client.post("/routes", new("/x", "/")).await.error(404);
}
