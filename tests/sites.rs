//! Sites, walked as the document shows them, and what it leaves open (`behaviour.md` §26).

use akkerisd::model::account::Role;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

fn documented() -> Value {
    json!({
        "id": "81442fc0-cf86-47c2-943c-28da18a84fad",
        "domain": "merpderp.akkeris.io",
        "region": { "name": "us-seattle", "id": "81442fc0-cf86-47c2-943c-28da18a84fad" },
        "created_at": "2017-05-02T15:31:09.774Z",
        "updated_at": "2017-05-02T15:31:09.774Z",
        "compliance": [],
        // Not in the document, but what the production server sends, and whose the site is.
        "description": "",
        "labels": "",
        "organization": { "name": "akkeris", "id": "81442fc0-cf86-47c2-943c-28da18a84fad" }
    })
}

pub(crate) async fn create(client: &Client, domain: &str) -> Value {
    client.post("/sites", json!({ "domain": domain })).await.json(201)
}

#[tokio::test]
async fn create_site_as_documented_with_its_misspelled_region() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let mut events = daemon.events().await;
    let body = r#"{"domain":"merpderp.akkeris.io", "regoin":"us", "internal": false}"#;
    let made = client.send_body(Method::POST, "/sites", body).await.json(201);
    assert_shape(&documented(), &made, &[]);
    assert_eq!(made["domain"], "merpderp.akkeris.io");
    assert_eq!((&made["region"]["name"], &made["compliance"]), (&json!("us-seattle"), &json!([])));
    assert_eq!((&made["description"], &made["labels"]), (&json!(""), &json!("")));
    assert_eq!((&made["organization"]["name"], &made["preview"]), (&json!("akkeris"), &Value::Null));
    assert_eq!(client.get("/sites/merpderp.akkeris.io").await.json(200), made);
    assert_eq!(events.kinds_so_far().await, ["site_created"]);
}

#[tokio::test]
async fn create_site_takes_a_region_by_name_or_id_an_organization_and_what_is_told() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    client.post("/organizations", json!({ "name": "second" })).await.json(201);
    let region = client.get("/regions").await.json(200)[0]["id"].clone();
    for (domain, region) in [("a.example", json!("US-Seattle")), ("b.example", region)] {
        let body = json!({
            "domain": domain, "region": region, "organization": "second", "description": "Front", "labels": "a,b"
        });
        let made = client.post("/sites", body).await.json(201);
        assert_eq!(made["organization"]["name"], "second");
        assert_eq!((&made["description"], &made["labels"]), (&json!("Front"), &json!("a,b")));
    }
    let unknown = json!({ "domain": "c.example", "region": "eu-mars" });
    let message = client.post("/sites", unknown).await.error(404);
    assert_eq!(message, "The region eu-mars does not exist; there is us-seattle.");
    client.post("/sites", json!({ "domain": "c.example", "organization": "none" })).await.error(404);
}

#[tokio::test]
async fn create_site_refuses_what_is_no_host_name_or_one_of_the_platform() {
    let daemon =
        TestDaemon::with(|settings| settings.public_url = Some("https://paas.example:8443".to_owned())).await;
    let client = daemon.admin();
    let long = format!("{}.example", "x".repeat(64));
    let refused = [
        "",
        " ",
        "a b",
        "a_b.example",
        "*.example",
        "-a.example",
        "a-.example",
        "a..example",
        "127.0.0.1",
        "a.7",
        "a/b",
        "http://a.example",
        "a.example:80",
        "bücher.example",
        &long,
    ];
    for domain in refused {
        let message = client.post("/sites", json!({ "domain": domain })).await.error(422);
        assert!(message.contains("is not usable"), "{domain}: {message}");
    }
    for own in ["localhost", "api.localhost", "Any.LOCALHOST", "paas.example"] {
        let message = client.post("/sites", json!({ "domain": own })).await.error(422);
        assert!(message.contains(&own.to_lowercase()), "{message}");
    }
    let bodies = [
        json!({}),
        json!({ "domain": null }),
        json!({ "domain": 7 }),
        json!({ "domain": "a.example", "internal": "no" }),
        json!({ "domain": "a.example", "region": 7 }),
        json!({ "domain": "a.example", "labels": [] }),
        json!({ "domain": "a.example", "description": "x".repeat(2000) }),
        json!({ "domain": "a.example", "labels": "x".repeat(2000) }),
    ];
    for body in bodies {
        client.post("/sites", body.clone()).await.error(422);
    }
    client.send_body(Method::POST, "/sites", "").await.error(400);
    let internal = json!({ "domain": "a.example", "internal": true });
    assert!(client.post("/sites", internal).await.error(409).contains("internal"));
    assert_eq!(client.get("/sites").await.json(200), json!([]));
    create(&client, "deep.sub.localhost").await;
}

#[tokio::test]
async fn create_site_refuses_a_domain_that_there_is_in_any_spelling() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    assert_eq!(create(&client, " WWW.Example.com. ").await["domain"], "www.example.com");
    let message = client.post("/sites", json!({ "domain": "www.EXAMPLE.com" })).await.error(409);
    assert_eq!(message, "The site www.example.com exists already.");
    let answers = (0..8).map(|_| client.post("/sites", json!({ "domain": "once.example" })));
    let answers = futures_util::future::join_all(answers).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn list_sites_as_documented_oldest_first() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    assert_eq!(client.get("/sites").await.json(200), json!([]));
    let (zeta, alpha) = (create(&client, "zeta.example").await, create(&client, "alpha").await);
    let all = client.get("/sites").await.json(200);
    assert_shape(&json!([documented()]), &all, &[]);
    assert_eq!(all, json!([zeta, alpha]));
}

#[tokio::test]
async fn view_site_finds_one_by_domain_in_any_case_and_by_id() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let site = create(&client, "shop.example").await;
    let id = site["id"].as_str().unwrap();
    for name in ["shop.example", "SHOP.Example", "shop.example.", id] {
        assert_eq!(client.get(&format!("/sites/{name}")).await.json(200), site);
    }
    assert_eq!(client.get("/sites/none").await.error(404), "The site none does not exist.");
    client.get("/sites/-").await.error(404);
}

#[tokio::test]
async fn update_site_sets_what_is_told_and_clears_what_is_missing() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    create(&client, "shop.example").await;
    let mut events = daemon.events().await;
    let body = json!({ "description": "Front", "labels": "a,b", "domain": "other.example" });
    let changed = client.patch("/sites/shop.example", body.clone()).await.json(200);
    assert_eq!((&changed["description"], &changed["labels"]), (&json!("Front"), &json!("a,b")));
    assert_eq!(changed["domain"], "shop.example", "a site keeps its domain");
    assert_eq!(client.patch("/sites/shop.example", body).await.json(200), changed);
    assert_eq!(events.kinds_so_far().await, ["site_updated"], "the second call changed nothing");
    let cleared = client.patch("/sites/shop.example", json!({ "labels": "c" })).await.json(200);
    assert_eq!((&cleared["description"], &cleared["labels"]), (&json!(""), &json!("c")));
    client.patch("/sites/shop.example", json!({ "labels": 7 })).await.error(400);
    client.patch("/sites/shop.example", json!({ "description": "x".repeat(2000) })).await.error(422);
    client.send(Method::PATCH, "/sites/shop.example").await.error(400);
    client.patch("/sites/none.example", json!({})).await.error(404);
    assert_eq!(client.get("/sites/shop.example").await.json(200), cleared);
}

#[tokio::test]
async fn delete_site_takes_its_routes_along_and_frees_its_domain() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    client.post("/apps", json!({ "name": "app", "space": "default", "org": "akkeris" })).await.json(201);
    let made = create(&client, "shop.example").await;
    for path in ["/", "/x"] {
        let body = json!({ "site": "shop.example", "app": "app-default", "source_path": path });
        client.post("/routes", body).await.json(201);
    }
    let mut events = daemon.events().await;
    assert_eq!(client.delete("/sites/shop.example").await.json(200), made);
    assert_eq!(events.kinds_so_far().await, ["route_deleted", "route_deleted", "site_deleted"]);
    client.get("/sites/shop.example").await.error(404);
    assert_eq!(client.get("/routes").await.json(200), json!([]));
    assert_eq!(client.get("/apps/app-default/routes").await.json(200), json!([]));
    client.delete("/sites/shop.example").await.error(404);
    assert_ne!(create(&client, "shop.example").await["id"], made["id"]);
    assert_eq!(client.get("/sites/shop.example/routes").await.json(200), json!([]));
}

#[tokio::test]
async fn a_site_belongs_to_the_organization_of_the_one_who_makes_it_and_others_do_not_see_it() {
    let daemon = TestDaemon::start().await;
    let admin = daemon.admin();
    admin.post("/organizations", json!({ "name": "ours" })).await.json(201);
    admin.post("/organizations", json!({ "name": "theirs" })).await.json(201);
    daemon.account("alice", Role::Member, &["ours"]).await;
    daemon.account("mallory", Role::Member, &["theirs"]).await;
    daemon.account("nobody", Role::Member, &[]).await;
    let (alice, mallory) = (daemon.personal("alice").await, daemon.personal("mallory").await);
    let site = create(&alice, "shop.example").await;
    assert_eq!(site["organization"]["name"], "ours");
    assert_eq!(mallory.get("/sites").await.json(200), json!([]));
    mallory.get("/sites/shop.example").await.error(403);
    mallory.get(&format!("/sites/{}", site["id"].as_str().unwrap())).await.error(403);
    mallory.patch("/sites/shop.example", json!({})).await.error(403);
    mallory.delete("/sites/shop.example").await.error(403);
    mallory.get("/sites/shop.example/routes").await.error(403);
    mallory.post("/sites", json!({ "domain": "x.example", "organization": "ours" })).await.error(403);
    let homeless = daemon.personal("nobody").await;
    homeless.post("/sites", json!({ "domain": "x.example" })).await.error(422);
    assert_eq!(alice.get("/sites").await.json(200), json!([site]));
    assert_eq!(admin.get("/sites").await.json(200), json!([site]));
}
