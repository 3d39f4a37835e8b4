//! Apps, walked as the document shows them, and what it leaves open.

use akkerisd::ids::Ids;
use akkerisd::model::build::{Build, BuildSource, BuildState, Checksum, Commit, ImageId};
use akkerisd::model::event::Event;
use akkerisd::model::ids::{AppId, BuildId};
use akkerisd::model::names::{SizeName, UserName};
use akkerisd::model::principal::Principal;
use akkerisd::model::release::{ReleaseKind, ReleaseState};
use akkerisd::service::releases::{self, NewRelease};
use akkerisd::store;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

/// What is null until there is something to show.
const NULLABLE: &[&str] = &["released_at", "preview"];

fn documented() -> Value {
    let place = |name: &str| json!({ "id": "6875216c-d683-060a-a133-ff770775833e", "name": name });
    json!({
        "archived_at": "2016-07-18T14:55:38.190Z",
        "buildpack_provided_description": "default",
        "build_stack": place("alamo-1"),
        "created_at": "2016-07-18T14:55:38.190Z",
        "git_url": "",
        "git_branch": "",
        "description": "desc",
        "id": "4f739e5e-4cf7-11e6-beb8-9e71128cae77",
        "labels": "label1,label2",
        "maintenance": false,
        "name": "events",
        "key": "events-perf-dev-us",
        "owner": { "email": "", "id": "09eac4cd-4824-f569-bdc4-420656e65ce2" },
        "organization": place("akkeris"),
        "preview": place(""),
        "region": place("us-seattle"),
        "released_at": "2016-07-18T14:55:38.190Z",
        "repo_size": 0,
        "slug_size": 0,
        "space": { "id": "c164e2c4-958b-a141-d5f4-133a33f0688f", "name": "perf-dev-us", "compliance": "" },
        "stack": place("ds1"),
        "updated_at": "2016-07-18T14:55:38.190Z",
        "web_url": "https://events-perf-dev-us.alamoapp.akkeris.io",
        // Not in the document, but what `aka` reads and the production server sends.
        "simple_name": "events",
        "image": "",
        "formation": []
    })
}

/// A daemon with the documented app `events` in the space `perf-dev-us`.
async fn with_events() -> (TestDaemon, Client, Value) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let space = r#"{"name":"perf-dev-us","description":"Performance dev in US", "stack":"ds1"}"#;
    client.send_body(Method::POST, "/spaces", space).await.json(201);
    let body = r#"{"org":"akkeris", "name":"events", "space":"perf-dev-us", "description":"desc", "labels":"label1,label2"}"#;
    let app = client.send_body(Method::POST, "/apps", body).await.json(201);
    (daemon, client, app)
}

async fn create(client: &Client, name: &str, space: &str) -> Value {
    client.post("/apps", json!({ "name": name, "space": space, "org": "akkeris" })).await.json(201)
}

fn build_of(app: &Value, number: u32) -> Build {
    Build {
        id: BuildId::new(Ids::random().next()),
        app_id: app["id"].as_str().unwrap().parse().unwrap(),
        number,
        state: BuildState::Queued,
        source: BuildSource::Upload,
        checksum: Checksum::parse("").unwrap(),
        commit: Commit {
            repo: String::new(),
            sha: String::new(),
            branch: String::new(),
            version: String::new(),
            message: String::new(),
            author: String::new(),
        },
        created_by: UserName::parse("alice").unwrap(),
        created_at: akkerisd::model::time::Timestamp::from_millis(1),
        updated_at: akkerisd::model::time::Timestamp::from_millis(1),
    }
}

/// A build in that state, and a release of it that succeeded when the build did.
async fn add_build(daemon: &TestDaemon, app: &Value, number: u32, state: BuildState) -> BuildId {
    let (build, sealer) = (build_of(app, number), daemon.state.sealer.clone());
    let id = build.id;
    let work = move |tx: &mut store::Tx<'_>| {
        store::builds::insert(tx, &sealer, &build)?;
        store::builds::set_state(tx, build.id, &state)?;
        if matches!(state, BuildState::Succeeded { .. }) {
            let new = NewRelease {
                app: build.app_id,
                slug: build.id,
                kind: ReleaseKind::Slug,
                description: String::new(),
            };
            let size = SizeName::from_stored("gp1".to_owned());
            let mut release = releases::make(tx, &Ids::random(), &size, new)?;
            release.state = ReleaseState::Succeeded { at: tx.now() };
            store::releases::set_state(tx, &release)?;
            store::apps::set_released(tx, build.app_id, tx.now())?;
        }
        Ok::<_, akkerisd::service::Error>(())
    };
    daemon.state.store.write(&Principal::daemon(), work).await.unwrap();
    id
}

#[tokio::test]
async fn create_app_as_documented() {
    let (_daemon, _client, app) = with_events().await;
    assert_shape(&documented(), &app, NULLABLE);
    assert_eq!(app["name"], "events");
    assert_eq!(app["key"], "events-perf-dev-us");
    assert_eq!(app["simple_name"], "events");
    assert_eq!(app["description"], "desc");
    assert_eq!(app["labels"], "label1,label2");
    assert_eq!(app["maintenance"], false);
    assert_eq!(app["web_url"], "https://events-perf-dev-us.localhost/");
    assert_eq!(app["archived_at"], app["created_at"]);
    let created_at = app["created_at"].as_str().unwrap();
    assert!(created_at.len() == 24 && created_at.ends_with('Z'), "{created_at} has no milliseconds");
    assert_eq!((&app["released_at"], &app["image"]), (&Value::Null, &json!("")));
    assert_eq!(app["organization"]["name"], "akkeris");
    assert_eq!(app["region"]["name"], "us-seattle");
    assert_eq!(app["stack"]["name"], "ds1");
}

#[tokio::test]
async fn update_app_as_documented() {
    let (_daemon, client, app) = with_events().await;
    let body = r#"{"maintenance":true, "name":"events", "build_stack":"ds1"}"#;
    let changed = client.send_body(Method::PATCH, "/apps/events-perf-dev-us", body).await.json(200);
    assert_shape(&documented(), &changed, NULLABLE);
    assert_eq!(changed["maintenance"], true);
    assert_eq!(changed["description"], app["description"]);
    for body in [json!({ "name": "other" }), json!({ "build_stack": "other" }), json!({ "build_stack": 7 })] {
        client.patch("/apps/events-perf-dev-us", body).await.error(400);
    }
}

#[tokio::test]
async fn list_apps_and_view_app_as_documented() {
    let (_daemon, client, app) = with_events().await;
    let all = client.get("/apps").await.json(200);
    assert_shape(&json!([documented()]), &all, NULLABLE);
    assert_eq!(all, json!([app]));
    assert_eq!(client.get("/apps/events-perf-dev-us").await.json(200), app);
}

#[tokio::test]
async fn delete_app_as_documented() {
    let (_daemon, client, app) = with_events().await;
    let gone = client.delete("/apps/events-perf-dev-us").await.json(200);
    let mut expected = app;
    expected["result"] = json!("successful");
    assert_eq!(gone, expected);
    client.get("/apps/events-perf-dev-us").await.error(404);
    client.delete("/apps/events-perf-dev-us").await.error(404);
    assert_eq!(client.get("/apps").await.json(200), json!([]));
    create(&client, "events", "perf-dev-us").await;
}

#[tokio::test]
async fn list_apps_oldest_first_and_shortened_on_request() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    for name in ["zeta", "alpha"] {
        create(&client, name, "default").await;
    }
    let all = client.get("/apps?unknown=1").await.json(200);
    assert_eq!((&all[0]["name"], &all[1]["name"]), (&json!("zeta"), &json!("alpha")));
    assert_eq!(all[0]["web_url"], "https://zeta.localhost/");
    let simple = client.get("/apps?simple=true").await.json(200);
    assert_eq!((&simple[0]["name"], &simple[1]["key"]), (&json!("zeta"), &json!("alpha-default")));
    assert!(simple[0].get("maintenance").is_none());
    assert_eq!(client.get("/apps?simple=nonsense").await.json(200), all);
}

#[tokio::test]
async fn view_app_by_id_by_key_and_by_a_name_that_only_one_has() {
    let (_daemon, client, app) = with_events().await;
    let id = app["id"].as_str().unwrap();
    for named in [id, "events-perf-dev-us", "EVENTS-Perf-Dev-US", "events", "Events"] {
        assert_eq!(client.get(&format!("/apps/{named}")).await.json(200), app, "{named}");
    }
    create(&client, "events", "default").await;
    let message = client.get("/apps/events").await.error(422);
    assert_eq!(message, "Several apps are named events; use one of events-perf-dev-us, events-default.");
    for unknown in
        ["nobody", "nobody-default", "events-nowhere", "a%20b", "00000000-0000-4000-8000-000000000000"]
    {
        let message = client.get(&format!("/apps/{unknown}")).await.error(404);
        assert!(message.contains("does not exist"), "{message}");
    }
    client.get("/apps/%ff").await.error(400);
}

#[tokio::test]
async fn create_app_checks_in_the_documented_order() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    create(&client, "taken", "default").await;
    let mut body = json!({ "name": "a-b", "space": "no where", "org": "no body" });
    let refuse = async |body: &Value, status: u16, part: &str| {
        let message = client.post("/apps", body.clone()).await.error(status);
        assert!(message.contains(part), "{message}");
    };
    refuse(&body, 422, "app name").await;
    body["name"] = json!("averyverylongname");
    refuse(&body, 422, "space name").await;
    body["space"] = json!("nowhere");
    refuse(&body, 422, "organization name").await;
    body["org"] = json!("nobody");
    refuse(&body, 422, "too long").await;
    body["name"] = json!("TAKEN");
    refuse(&body, 404, "organization nobody").await;
    body["org"] = json!("akkeris");
    refuse(&body, 404, "space nowhere").await;
    body["space"] = json!("default");
    refuse(&body, 409, "taken-default exists already").await;
    for missing in ["name", "space", "org"] {
        let mut body = json!({ "name": "fresh", "space": "default", "org": "akkeris" });
        body.as_object_mut().unwrap().remove(missing);
        client.post("/apps", body.clone()).await.error(422);
        body[missing] = json!(7);
        client.post("/apps", body).await.error(422);
    }
}

#[tokio::test]
async fn create_app_takes_the_id_of_a_space_and_bounds_its_texts() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let space = client.get("/spaces/default").await.json(200)["id"].clone();
    let body = json!({ "name": "one", "space": space, "org": "akkeris" });
    assert_eq!(client.post("/apps", body).await.json(201)["key"], "one-default");
    let long = json!({ "name": "averyverylongname1", "space": space, "org": "akkeris" });
    assert!(client.post("/apps", long).await.error(422).contains("too long"));
    for field in ["description", "labels"] {
        let mut body = json!({ "name": "two", "space": "default", "org": "akkeris" });
        body[field] = json!("x".repeat(2000));
        assert!(client.post("/apps", body).await.error(422).contains(field));
    }
}

#[tokio::test]
async fn create_app_switches_its_first_features_on() {
    let (daemon, _client, app) = with_events().await;
    let id: AppId = app["id"].as_str().unwrap().parse().unwrap();
    for feature in akkerisd::model::feature::Feature::ON_AT_CREATION {
        let on = daemon.state.store.read(move |c| store::features::is_enabled(c, id, *feature)).await;
        assert!(on.unwrap(), "{feature}");
    }
    let vars = daemon.admin().get("/apps/events/config-vars").await.json(200);
    assert_eq!(vars, json!({ "PORT": "9000" }));
}

#[tokio::test]
async fn create_app_makes_one_of_many_that_are_asked_for_at_once() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let body = json!({ "name": "same", "space": "default", "org": "akkeris" });
    let requests = (0..16).map(|_| client.post("/apps", body.clone()));
    let answers = futures_util::future::join_all(requests).await;
    let with = |status: u16| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((with(201), with(409)), (1, 15));
}

#[tokio::test]
async fn update_app_clears_keeps_and_ignores() {
    let (_daemon, client, app) = with_events().await;
    let path = "/apps/events";
    let changed = client.patch(path, json!({ "description": "", "maintenance": "yes" })).await.json(200);
    assert_eq!(changed["description"], "");
    assert_eq!(changed["labels"], app["labels"]);
    assert_eq!(changed["maintenance"], false);
    let stack = app["stack"].clone();
    let same =
        json!({ "name": "EVENTS-perf-dev-us", "build_stack": stack, "labels": "b", "maintenance": null });
    assert_eq!(client.patch(path, same).await.json(200)["labels"], "b");
    client.patch(path, json!({ "description": 7 })).await.error(400);
    client.patch(path, json!({ "name": 7 })).await.error(400);
    client.patch(path, json!({ "labels": "x".repeat(2000) })).await.error(422);
    client.send_body(Method::PATCH, path, "").await.error(400);
    client.patch("/apps/nobody", json!({})).await.error(404);
}

#[tokio::test]
async fn update_app_tells_of_real_changes_only() {
    let (daemon, client, app) = with_events().await;
    let mut events = daemon.events().await;
    let same = client.patch("/apps/events", json!({ "maintenance": false, "labels": app["labels"] })).await;
    assert_eq!(same.json(200), app);
    assert!(events.so_far().await.is_empty());
    client.patch("/apps/events", json!({ "maintenance": true })).await.json(200);
    assert!(matches!(*events.next().await, Event::AppUpdated { .. }));
}

#[tokio::test]
async fn delete_app_needs_elevation_in_a_protected_space() {
    for tag in ["socs", "prod"] {
        let (daemon, client, app) = with_events().await;
        client.patch("/spaces/perf-dev-us", json!({ "compliance": [tag] })).await.json(200);
        let shown = client.get("/apps/events").await.json(200);
        assert_eq!(shown["space"]["compliance"], format!("compliance={tag}"));
        let path = format!("/apps/{}", app["id"].as_str().unwrap());
        let personal =
            daemon.personal("alice").await.header("x-elevated-access", "true").header("x-username", "bob");
        let service = daemon.service("robot").await;
        for refused in [&personal, &service, &service.header("x-username", "bob")] {
            assert!(refused.delete(&path).await.error(403).contains("administrator"));
        }
        let elevated = service.header("x-username", "bob").header("x-elevated-access", "true");
        elevated.delete(&path).await.json(200);
    }
}

#[tokio::test]
async fn delete_app_stops_its_builds_in_the_same_write() {
    let (daemon, client, app) = with_events().await;
    let image = ImageId::new("sha256:0");
    let at = akkerisd::model::time::Timestamp::from_millis(1);
    let done = add_build(&daemon, &app, 1, BuildState::Succeeded { image, finished_at: at }).await;
    let queued = add_build(&daemon, &app, 2, BuildState::Queued).await;
    let mut events = daemon.events().await;
    client.delete("/apps/events").await.json(200);
    assert!(matches!(&*events.next().await, Event::BuildStopped { build, .. } if *build == queued));
    assert!(matches!(*events.next().await, Event::AppDeleted { .. }));
    let sealer = daemon.state.sealer.clone();
    let found = daemon.state.store.read(move |c| {
        let state =
            |id| Ok::<_, store::StoreError>(store::builds::find(c, &sealer, id)?.map(|build| build.state));
        Ok::<_, store::StoreError>((state(done)?, state(queued)?))
    });
    let (done, queued) = found.await.unwrap();
    assert!(matches!(done, Some(BuildState::Succeeded { .. })));
    assert!(matches!(queued, Some(BuildState::Stopped { by, .. }) if by.as_str() == "admin"));
}

#[tokio::test]
async fn view_app_shows_the_image_and_formation_of_the_current_release() {
    let (daemon, client, app) = with_events().await;
    let at = akkerisd::model::time::Timestamp::from_millis(1);
    for (number, image) in [(1, "sha256:old"), (2, "sha256:new")] {
        let state = BuildState::Succeeded { image: ImageId::new(image), finished_at: at };
        add_build(&daemon, &app, number, state).await;
    }
    let shown = client.get("/apps/events").await.json(200);
    assert_eq!(shown["image"], "sha256:new");
    assert!(shown["released_at"].is_string());
    assert_eq!(shown["formation"][0]["type"], "web");
    assert_eq!(shown["formation"][0]["quantity"], 1);
    assert_eq!(client.get("/apps").await.json(200), json!([shown]));
}

#[tokio::test]
async fn the_dialect_decides_the_name_by_header_client_or_setting() {
    let (daemon, client, _) = with_events().await;
    let name = async |client: Client| client.get("/apps/events").await.json(200)["name"].clone();
    assert_eq!(name(client.header("x-akkeris-dialect", "Reference")).await, "events-perf-dev-us");
    assert_eq!(name(client.header("user-agent", "akkeris-cli")).await, "events-perf-dev-us");
    let both = client.header("user-agent", "akkeris-cli").header("x-akkeris-dialect", "document");
    assert_eq!(name(both).await, "events");
    assert_eq!(name(client.header("x-akkeris-dialect", "nonsense")).await, "events");
    let client = client.header("x-akkeris-dialect", "reference");
    let simple = client.get("/apps?simple=true").await.json(200);
    assert_eq!(simple[0]["name"], "events-perf-dev-us");
    drop(daemon);
    let daemon = TestDaemon::with(|settings| settings.dialect = akkerisd::config::Dialect::Reference).await;
    assert_eq!(create(&daemon.admin(), "one", "default").await["name"], "one-default");
}

#[tokio::test]
async fn the_web_url_names_the_port_of_the_edge_unless_it_is_the_usual_one() {
    let daemon = TestDaemon::with(|settings| {
        settings.https_port = 8443;
        settings.apps_domain = "apps.example".to_owned();
    })
    .await;
    assert_eq!(create(&daemon.admin(), "one", "default").await["web_url"], "https://one.apps.example:8443/");
}
