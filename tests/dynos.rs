//! Dynos, walked as the document shows them, and what it leaves open.

use akkerisd::ids::Ids;
use akkerisd::model::build::{Build, BuildSource, BuildState, Checksum, Commit, ImageId};
use akkerisd::model::dyno::{Dyno, DynoState};
use akkerisd::model::event::Event;
use akkerisd::model::ids::{AppId, BuildId, DynoId};
use akkerisd::model::names::{DynoName, ProcessType, SizeName, UserName};
use akkerisd::model::principal::Principal;
use akkerisd::model::release::ReleaseKind;
use akkerisd::model::time::Timestamp;
use akkerisd::service::releases::{self, NewRelease};
use akkerisd::store;
use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

const PATH: &str = "/apps/app-default/dynos";
const STARTED: Timestamp = Timestamp::from_millis(1_474_993_640_190);

fn documented() -> Value {
    json!({
        "attach_url": "",
        "command": "npm start",
        "created_at": "2016-09-27T16:27:20Z",
        "id": "9d3546db-2909-ca8d-d35d-4ae0f848195e",
        "name": "2281474389-1cu1o",
        "release": { "id": "93e173a5-5be9-4df2-8345-233d77f99d90", "version": 142 },
        "app": { "name": "app-space", "id": "62dc0fd3-2cba-4925-8fca-d1129d296d2c" },
        "size": "constellation",
        "state": "running",
        "ready": true,
        "type": "web",
        "additional_info": "",
        "updated_at": "2016-09-27T16:27:21Z",
        // Not in the document, but what `aka` reads and the production server sends.
        "restarts": 0
    })
}

async fn with_app() -> (TestDaemon, Client, AppId) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let body = json!({ "name": "app", "space": "default", "org": "akkeris" });
    let app = client.post("/apps", body).await.json(201);
    let id = app.get("id").and_then(Value::as_str).unwrap().parse().unwrap();
    (daemon, client, id)
}

fn build_of(app: AppId) -> Build {
    Build {
        id: BuildId::new(Ids::random().next()),
        app_id: app,
        number: 1,
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
        created_at: STARTED,
        updated_at: STARTED,
    }
}

/// Two releases of the app, a `web` dyno of the first and a crashed `worker` of the second.
pub(crate) async fn add_dynos(daemon: &TestDaemon, app: AppId) {
    let sealer = daemon.state.sealer.clone();
    let work = move |tx: &mut store::Tx<'_>| {
        let build = build_of(app);
        store::builds::insert(tx, &sealer, &build)?;
        let state = BuildState::Succeeded { image: ImageId::new("sha256:0"), finished_at: STARTED };
        store::builds::set_state(tx, build.id, &state)?;
        let size = SizeName::from_stored("gp1".to_owned());
        let new = NewRelease { app, slug: build.id, kind: ReleaseKind::Slug, description: String::new() };
        let first = releases::make(tx, &Ids::random(), &size, new.clone())?;
        let second = releases::make(tx, &Ids::random(), &size, new)?;
        let web = Dyno {
            name: DynoName::new("2281474389", "1cu1o"),
            app_id: app,
            process_type: ProcessType::web(),
            release_id: first.id,
            size,
            command: "npm start".to_owned(),
            state: DynoState::Running,
            ready: true,
            restarts: 0,
            info: String::new(),
            created_at: STARTED,
            updated_at: Timestamp::from_millis(STARTED.as_millis() + 1000),
        };
        let worker = Dyno {
            name: DynoName::new("1111111111", "abcde"),
            process_type: ProcessType::parse("worker").unwrap(),
            release_id: second.id,
            command: String::new(),
            state: DynoState::AppCrashed,
            ready: false,
            restarts: 3,
            info: "It ended with exit code 1.".to_owned(),
            ..web.clone()
        };
        store::dynos::replace(tx, app, &[web, worker])?;
        Ok::<_, akkerisd::service::Error>(())
    };
    daemon.state.store.write(&Principal::daemon(), work).await.unwrap();
}

/// How often a restart was asked for, by type.
async fn restarts(daemon: &TestDaemon, app: AppId) -> Vec<(String, u32)> {
    let all = daemon.state.store.read(move |c| store::formations::list(c, app)).await.unwrap();
    all.into_iter().map(|formation| (formation.process_type.to_string(), formation.restarts)).collect()
}

async fn to_replace(daemon: &TestDaemon, app: AppId) -> Vec<String> {
    let names = daemon.state.store.read(move |c| store::dynos::list_to_replace(c, app)).await.unwrap();
    names.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn list_dynos_as_documented() {
    let (daemon, client, app) = with_app().await;
    assert_eq!(client.get(PATH).await.json(200), json!([]));
    add_dynos(&daemon, app).await;
    let all = client.get(PATH).await.json(200);
    assert_shape(&json!([documented()]), &all, &[]);
    let name = DynoName::new("2281474389", "1cu1o");
    let mut expected = documented();
    expected["id"] = json!(DynoId::of(&name));
    expected["app"] = json!({ "name": "app-default", "id": app });
    expected["size"] = json!("gp1");
    expected["release"] = json!({ "id": all[0]["release"]["id"], "version": 1 });
    assert_eq!(all[0], expected);
    let worker = &all[1];
    assert_eq!((&worker["type"], &worker["state"]), (&json!("worker"), &json!("app-crashed")));
    assert_eq!((&worker["ready"], &worker["restarts"]), (&json!(false), &json!(3)));
    assert_eq!((&worker["command"], &worker["release"]["version"]), (&json!(""), &json!(2)));
    assert_eq!(worker["additional_info"], "It ended with exit code 1.");
    client.get("/apps/nobody/dynos").await.error(404);
}

#[tokio::test]
async fn list_dynos_shows_the_key_of_the_app_in_both_dialects() {
    let (daemon, client, app) = with_app().await;
    add_dynos(&daemon, app).await;
    for dialect in ["document", "reference"] {
        let all = client.header("x-akkeris-dialect", dialect).get(PATH).await.json(200);
        assert_eq!(all[0]["app"]["name"], "app-default", "{dialect}");
    }
}

#[tokio::test]
async fn view_dyno_as_documented() {
    let (daemon, client, app) = with_app().await;
    add_dynos(&daemon, app).await;
    let web = client.get(PATH).await.json(200)[0].clone();
    let id = web["id"].as_str().unwrap();
    for named in [id, "2281474389-1cu1o", "web.2281474389-1cu1o", "WEB.2281474389-1CU1O"] {
        for noun in ["dyno", "dynos"] {
            let path = format!("/apps/app-default/{noun}/{named}");
            assert_eq!(client.get(&path).await.json(200), web, "{path}");
        }
    }
    let unknown = [
        "web",
        "2281474389",
        "2281474389-xxxxx",
        "worker.2281474389-1cu1o",
        "9d3546db-2909-ca8d-d35d-4ae0f848195e",
    ];
    for named in unknown {
        for noun in ["dyno", "dynos"] {
            let message = client.get(&format!("/apps/app-default/{noun}/{named}")).await.error(404);
            assert!(message.contains(named), "{message}");
        }
    }
    client.get("/apps/nobody/dynos/2281474389-1cu1o").await.error(404);
}

#[tokio::test]
async fn view_dyno_does_not_find_the_dyno_of_another_app() {
    let (daemon, client, app) = with_app().await;
    add_dynos(&daemon, app).await;
    client.post("/apps", json!({ "name": "other", "space": "default", "org": "akkeris" })).await.json(201);
    client.get("/apps/other/dynos/2281474389-1cu1o").await.error(404);
    client.delete("/apps/other/dynos/web.2281474389-1cu1o").await.error(404);
    assert!(to_replace(&daemon, app).await.is_empty());
}

#[tokio::test]
async fn delete_dynos_as_documented_restarts_every_type() {
    let (daemon, client, app) = with_app().await;
    let path = "/apps/app-default/formation";
    client.post(path, json!({ "type": "worker", "command": "w" })).await.json(201);
    let shown = client.get(path).await.json(200);
    let mut events = daemon.events().await;
    assert_eq!(client.delete(PATH).await.json(202), json!({ "status": "pending" }));
    let event = events.next().await;
    assert!(
        matches!(&*event, Event::DynosRestarted { app: of, process_type: None, dyno: None } if *of == app),
        "{event:?}"
    );
    assert_eq!(restarts(&daemon, app).await, [("web".to_owned(), 1), ("worker".to_owned(), 1)]);
    assert_eq!(client.get(path).await.json(200), shown);
}

#[tokio::test]
async fn delete_dynos_without_a_formation_is_fine() {
    let (_daemon, client, _) = with_app().await;
    assert_eq!(client.delete(PATH).await.json(202), json!({ "status": "pending" }));
    client.delete("/apps/nobody/dynos").await.error(404);
}

#[tokio::test]
async fn delete_dyno_as_documented_restarts_one_type() {
    let (daemon, client, app) = with_app().await;
    client.post("/apps/app/formation", json!({ "type": "worker", "command": "w" })).await.json(201);
    let mut events = daemon.events().await;
    let answer = client.delete(&format!("{PATH}/Worker")).await.json(202);
    assert_eq!(answer, json!({ "status": "pending", "type": "worker" }));
    let event = events.next().await;
    let Event::DynosRestarted { process_type: Some(process_type), dyno: None, .. } = &*event else {
        panic!("{event:?}")
    };
    assert_eq!(process_type.as_str(), "worker");
    assert_eq!(restarts(&daemon, app).await, [("web".to_owned(), 0), ("worker".to_owned(), 1)]);
    for unknown in ["clock", "a_b"] {
        let message = client.delete(&format!("{PATH}/{unknown}")).await.error(404);
        assert!(message.contains(unknown), "{message}");
    }
    assert!(events.so_far().await.is_empty(), "nothing was restarted, and an event told of it");
}

#[tokio::test]
async fn create_dyno_asks_for_a_one_off_dyno() {
    let (daemon, client, app) = with_app().await;
    add_dynos(&daemon, app).await;
    let run = json!({ "command": "rake", "env": { "TOKEN": "hidden-value" } });
    assert!(client.post(PATH, run.clone()).await.error(409).contains("no release"));
    daemon.corrupt("UPDATE releases SET status = 'succeeded'");
    let mut events = daemon.events().await;
    let made = client.post(PATH, run).await.json(201);
    assert_shape(&documented(), &made, &[]);
    assert_eq!(
        (&made["type"], &made["command"], &made["state"]),
        (&json!("run"), &json!("rake"), &json!("pending"))
    );
    let event = events.next().await;
    assert!(matches!(&*event, Event::OneOffCreated { app: of, .. } if *of == app), "{event:?}");
    assert!(!daemon.disk().await.contains("hidden-value"));
    let path = format!("{PATH}/{}", made["name"].as_str().unwrap());
    assert_eq!(client.get(&path).await.json(200), made);
    client.post("/apps/nobody/dynos", json!({ "command": "rake" })).await.error(404);
}

#[tokio::test]
async fn create_dyno_needs_elevation_where_the_compliance_of_the_space_asks_for_it() {
    let (daemon, client, _) = with_app().await;
    let space = json!({ "name": "safe", "compliance": ["socs"] });
    client.post("/spaces", space).await.json(201);
    client.post("/apps", json!({ "name": "app", "space": "safe", "org": "akkeris" })).await.json(201);
    let alice = daemon.service("alice").await.header("x-username", "alice");
    alice.post("/apps/app-safe/dynos", json!({ "command": "env" })).await.error(403);
    client.post("/apps/app-safe/dynos", json!({ "command": "env" })).await.error(409);
}

#[tokio::test]
async fn a_terminal_is_for_a_web_socket_only() {
    let (daemon, client, app) = with_app().await;
    add_dynos(&daemon, app).await;
    let message = client.get(&format!("{PATH}/2281474389-1cu1o/attach")).await.error(400);
    assert!(message.contains("WebSocket"), "{message}");
}

#[tokio::test]
async fn delete_dyno_by_type_and_name_replaces_one() {
    let (daemon, client, app) = with_app().await;
    add_dynos(&daemon, app).await;
    let mut events = daemon.events().await;
    let answer = client.delete(&format!("{PATH}/web.2281474389-1cu1o")).await.json(202);
    assert_eq!(answer, json!({ "status": "pending", "type": "web", "dyno": "2281474389-1cu1o" }));
    let event = events.next().await;
    let Event::DynosRestarted { dyno: Some(dyno), .. } = &*event else { panic!("{event:?}") };
    assert_eq!(dyno.as_str(), "2281474389-1cu1o");
    assert_eq!(to_replace(&daemon, app).await, ["2281474389-1cu1o"]);
    assert_eq!(restarts(&daemon, app).await, [("web".to_owned(), 0)]);
    for unknown in ["web.2281474389-xxxxx", "worker.2281474389-1cu1o", "clock.2281474389-1cu1o"] {
        client.delete(&format!("{PATH}/{unknown}")).await.error(404);
    }
    assert_eq!(to_replace(&daemon, app).await, ["2281474389-1cu1o"]);
}

#[tokio::test]
async fn delete_dynos_works_in_maintenance() {
    let (_daemon, client, _) = with_app().await;
    client.post("/apps/app/formation", json!({ "type": "web" })).await.json(201);
    client.patch("/apps/app", json!({ "maintenance": true })).await.json(200);
    client.delete(PATH).await.json(202);
    client.delete(&format!("{PATH}/web")).await.json(202);
}

#[tokio::test]
async fn attach_dyno_has_a_signal_sent_to_all_processes() {
    let (daemon, client, app) = with_app().await;
    add_dynos(&daemon, app).await;
    let path = format!("{PATH}/web.2281474389-1cu1o/actions/attach");
    let mut events = daemon.events().await;
    for number in [15, 9, 15] {
        let body = json!({ "command": ["sh", "-c", format!("kill -{number} -1")], "stdin": "" });
        let answer = client.post(&path, body).await.json(200);
        assert_eq!(answer, json!({ "stdout": "", "stderr": "" }));
    }
    let event = events.next().await;
    let Event::DynoSignalled { dyno, signal, .. } = &*event else { panic!("{event:?}") };
    assert_eq!((dyno.as_str(), signal.number()), ("2281474389-1cu1o", 15));
    assert_eq!(signals(&daemon, app).await, [9, 15]);
    let audits = client.get("/audits?app=app").await.json(200);
    assert_eq!(audits[0]["action"], "dyno-attachment");
}

#[tokio::test]
async fn attach_dyno_refuses_every_other_command() {
    let (daemon, client, app) = with_app().await;
    add_dynos(&daemon, app).await;
    let path = format!("{PATH}/web.2281474389-1cu1o/actions/attach");
    let kill = json!(["sh", "-c", "kill -9 -1"]);
    client.post(&path, json!({ "command": kill, "alias": "java_heap_dump" })).await.error(400);
    for body in [
        json!({ "command": ["sh", "-c", "cat /etc/passwd"] }),
        json!({ "command": ["sh", "-c", "kill -9 -1; id"] }),
        json!({ "command": [] }),
        json!({ "alias": "java_heap_dump" }),
        json!({}),
    ] {
        assert!(client.post(&path, body).await.error(403).contains("kill"));
    }
    client.post(&format!("{PATH}/web.nobody/actions/attach"), json!({ "command": kill })).await.error(404);
    client.post("/apps/nobody/dynos/web.x/actions/attach", json!({ "command": kill })).await.error(404);
    assert!(signals(&daemon, app).await.is_empty());
}

/// The numbers of the signals that are to be sent.
async fn signals(daemon: &TestDaemon, app: AppId) -> Vec<u8> {
    let all = daemon.state.store.read(move |c| store::dyno_signals::list(c, app)).await.unwrap();
    all.iter().map(|(_, signal)| signal.number()).collect()
}
