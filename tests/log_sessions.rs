//! View App Logs, as the document shows it, and the log of an app with a token.

use akkerisd::clock::Clock;
use akkerisd::model::event::Event;
use akkerisd::model::ids::AppId;
use akkerisd::model::log::{LogLine, LogSource, OutputStream};
use akkerisd::model::names::{DynoName, ProcessType};
use akkerisd::model::time::Timestamp;
use akkerisd::{logs, tasks};
use axum::body::Body;
use http::Method;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;

use crate::support::wait::wait_until;
use crate::support::{Client, TestDaemon, assert_shape};

const SESSIONS: &str = "/apps/app-default/log-sessions";
const LOGS: &str = "/apps/app-default/logs";
const WAIT: Duration = Duration::from_secs(10);

/// The path of an address of this daemon.
pub(crate) fn path_of(url: &str) -> String {
    url.parse::<http::Uri>().unwrap().path().to_owned()
}

pub(crate) fn dyno(process_type: &str) -> LogSource {
    LogSource::Dyno {
        process_type: ProcessType::parse(process_type).unwrap(),
        dyno: DynoName::from_stored("1562910588-cg82f".to_owned()),
        stream: OutputStream::Stdout,
    }
}

/// Adds a line of each of these texts to the log of an app.
pub(crate) async fn write(daemon: &TestDaemon, app: AppId, source: &LogSource, texts: &[&str]) {
    let line = |text: &&str| LogLine::new(Timestamp::from_millis(1_767_225_600_123), source.clone(), *text);
    daemon.state.rings.append(app, texts.iter().map(line).collect(), None).await.unwrap();
}

async fn with_app() -> (TestDaemon, Client, AppId) {
    at(Clock::system()).await
}

async fn at(clock: Clock) -> (TestDaemon, Client, AppId) {
    let daemon = TestDaemon::at(clock).await;
    let client = daemon.admin();
    let new = json!({ "name": "app", "space": "default", "org": "akkeris" });
    let app = client.post("/apps", new).await.json(201);
    let id = app.get("id").and_then(Value::as_str).unwrap().parse().unwrap();
    (daemon, client, id)
}

async fn session(client: &Client, body: Value) -> String {
    let session = client.post(SESSIONS, body).await.json(201);
    path_of(session.get("logplex_url").and_then(Value::as_str).unwrap())
}

/// The next part of a streamed body; `None` at its end.
async fn part(body: &mut Body) -> Option<String> {
    let frame = tokio::time::timeout(WAIT, body.frame()).await.unwrap()?;
    Some(String::from_utf8(frame.unwrap().into_data().unwrap().to_vec()).unwrap())
}

#[tokio::test]
async fn create_log_session_as_documented() {
    let (_daemon, client, _) = with_app().await;
    let body = r#"{"lines":10,"tail":true}"#;
    let made = client.send_body(Method::POST, SESSIONS, body).await.json(201);
    let documented = json!({
        "created_at": "2016-07-19T21:20:22.593Z",
        "id": "dc8e9cca-c9f0-4ee9-9e20-a40e99f4140e",
        "logplex_url": "http://api.alamoapp.akkeris.io/apps/app-space/log-sessions/eyJsaW5lcyI6NTAsInRhaWwiOmZhbHNlfQ==",
        "updated_at": "2016-07-19T21:20:22.593Z"
    });
    assert_shape(&documented, &made, &[]);
}

#[tokio::test]
async fn create_log_session_refuses_lines_that_are_no_number_in_range() {
    let (_daemon, client, _) = with_app().await;
    for (lines, shown) in [
        (json!(0), "0"),
        (json!(251), "251"),
        (json!(-1), "-1"),
        (json!(1.5), "1.5"),
        (json!("many"), "many"),
        (json!([1]), "[1]"),
    ] {
        let message = client.post(SESSIONS, json!({ "lines": lines })).await.error(422);
        let expected = format!("The number of lines \"{shown}\" is not a whole number from 1 to 250.");
        assert_eq!(message, expected);
    }
    client.post("/apps/nobody-default/log-sessions", json!({})).await.error(404);
    for lines in [json!(1), json!(250), json!("10"), json!(null)] {
        client.post(SESSIONS, json!({ "lines": lines })).await.json(201);
    }
}

#[tokio::test]
async fn create_log_session_names_the_address_that_its_client_can_open() {
    let (_daemon, client, _) = with_app().await;
    let url = async |client: &Client| {
        let made = client.header("host", "10.0.0.1:5000").post(SESSIONS, json!({})).await.json(201);
        made.get("logplex_url").and_then(Value::as_str).unwrap().to_owned()
    };
    assert!(url(&client).await.starts_with("http://10.0.0.1:5000/log-sessions/"));
    let forwarded =
        client.header("x-forwarded-proto", "https").header("x-forwarded-host", "api.localhost:8443");
    assert!(url(&forwarded).await.starts_with("https://api.localhost:8443/log-sessions/"));
    // It opens the address with its https client whatever its scheme.
    let aka = client.header("user-agent", "akkeris-cli");
    assert!(url(&aka).await.starts_with("https://api.localhost/log-sessions/"));
}

#[tokio::test]
async fn read_log_session_shows_the_last_lines_and_ends() {
    let (daemon, client, app) = with_app().await;
    write(&daemon, app, &dyno("web"), &["one", "two"]).await;
    write(&daemon, app, &LogSource::Router, &["three"]).await;
    let path = session(&client, json!({ "lines": 2 })).await;
    let answer = daemon.anonymous().header("accept-encoding", "gzip").get(&path).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(
        answer.text(),
        "2026-01-01T00:00:00.123Z app-default app[web.1562910588-cg82f]: two\n\
         2026-01-01T00:00:00.123Z app-default akkeris/router: three\n"
    );
}

#[tokio::test]
async fn read_log_session_goes_on_with_what_comes_a_line_at_a_time() {
    let (daemon, client, app) = with_app().await;
    write(&daemon, app, &LogSource::Build, &["past"]).await;
    let path = session(&client, json!({ "lines": 10, "tail": true })).await;
    let compressing = daemon.anonymous().header("accept-encoding", "gzip");
    let mut body = compressing.open(Method::GET, &path, Body::empty()).await.into_body();
    write(&daemon, app, &LogSource::Build, &["one", "two"]).await;
    for text in ["past", "one", "two"] {
        let expected = format!("2026-01-01T00:00:00.123Z app-default akkeris/build: {text}\n");
        assert_eq!(part(&mut body).await.unwrap(), expected);
    }
    // A stop of the daemon ends it, or its listeners would wait for it.
    daemon.state.rings.close();
    assert_eq!(part(&mut body).await, None);
}

#[tokio::test]
async fn read_log_session_cuts_off_who_is_slower_than_the_ring() {
    let (daemon, client, app) = with_app().await;
    write(&daemon, app, &LogSource::Build, &["first"]).await;
    let path = session(&client, json!({ "tail": true })).await;
    let mut body = daemon.anonymous().open(Method::GET, &path, Body::empty()).await.into_body();
    assert!(part(&mut body).await.unwrap().ends_with("first\n"));
    let long = "x".repeat(60_000);
    for _ in 0..40 {
        write(&daemon, app, &LogSource::Build, &[&long]).await;
    }
    let marker = part(&mut body).await.unwrap();
    assert!(
        marker.contains(" app-default akkeris/controller: Error L10 (output buffer overflow): "),
        "{marker}"
    );
    assert!(marker.contains(" lines were overwritten before they could be sent"), "{marker}");
    assert_eq!(part(&mut body).await, None);
}

#[tokio::test]
async fn read_log_session_needs_an_address_that_is_known_and_has_not_expired() {
    let clock = Clock::manual(Timestamp::from_millis(1_767_225_600_000));
    let (daemon, client, _) = at(clock.clone()).await;
    let path = session(&client, json!({})).await;
    clock.advance(Duration::from_secs(299));
    assert_eq!(daemon.anonymous().get(&path).await.status, 200);
    clock.advance(Duration::from_secs(1));
    let expired = daemon.anonymous().get(&path).await.error(404);
    assert_eq!(expired, "This log session does not exist or has expired; create another one.");
    daemon.anonymous().get("/log-sessions/guessed").await.error(404);
}

#[tokio::test]
async fn read_logs_filters_by_source_and_by_dyno() {
    let (daemon, client, app) = with_app().await;
    for number in 0..3 {
        write(&daemon, app, &dyno("web"), &[&format!("web {number}")]).await;
        write(&daemon, app, &dyno("worker"), &[&format!("worker {number}")]).await;
        write(&daemon, app, &LogSource::Router, &[&format!("router {number}")]).await;
    }
    let texts = async |query: &str| {
        let answer = client.get(&format!("{LOGS}?{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let texts = answer.text();
        texts
            .lines()
            .map(|line| line.split_once("]: ").or(line.split_once("router: ")).unwrap().1.to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(texts("lines=2&source=app").await, ["web 2", "worker 2"]);
    assert_eq!(texts("dyno=worker").await, ["worker 0", "worker 1", "worker 2"]);
    assert_eq!(texts("dyno=web.1562910588-cg82f&lines=1").await, ["web 2"]);
    assert_eq!(texts("source=router&lines=1&tail=false").await, ["router 2"]);
    assert_eq!(texts("source=build").await, Vec::<String>::new());
    assert_eq!(texts("").await.len(), 9);
}

#[tokio::test]
async fn read_logs_refuses_what_is_out_of_range_with_the_reason() {
    let (daemon, client, _) = with_app().await;
    for (query, reason) in [
        ("lines=0", "The number of lines \"0\" is not a whole number from 1 to 10000."),
        ("lines=10001", "The number of lines \"10001\" is not a whole number from 1 to 10000."),
        ("lines=x", "The number of lines \"x\" is not a whole number from 1 to 10000."),
        ("tail=maybe", "The tail \"maybe\" is neither true nor false."),
        ("source=web", "\"web\" is not one of app, build, router, controller."),
    ] {
        assert_eq!(client.get(&format!("{LOGS}?{query}")).await.error(422), reason);
    }
    daemon.anonymous().get(LOGS).await.error(401);
}

#[tokio::test]
async fn read_logs_as_server_sent_events_for_those_who_accept_them() {
    let (daemon, client, app) = with_app().await;
    write(&daemon, app, &LogSource::Build, &["one"]).await;
    let answer = client.header("accept", "text/event-stream").get(LOGS).await;
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    assert_eq!(answer.text(), "data: 2026-01-01T00:00:00.123Z app-default akkeris/build: one\n\n");
}

#[tokio::test]
async fn read_logs_tells_what_happened_to_the_app() {
    let (daemon, client, app) = with_app().await;
    let (store, tasks) = (daemon.state.store.clone(), tasks::Tasks::new());
    let (rings, clock) = (daemon.state.rings.clone(), Clock::system());
    logs::Narrator { store: store.clone(), rings, clock }.start(&tasks);
    client
        .patch("/apps/app-default/config-vars", json!({ "SECRET": "hidden", "OTHER": "2" }))
        .await
        .json(200);
    client.post("/apps/app-default/formation", json!({ "type": "worker", "quantity": 2 })).await.json(201);
    let crash = Event::DynoCrashed {
        app,
        process_type: ProcessType::web(),
        dyno: DynoName::from_stored("1562910588-cg82f".to_owned()),
        code: akkerisd::model::dyno::CrashCode::MemoryQuotaExceeded,
        restarts: 3,
    };
    let author = akkerisd::model::principal::Principal::daemon();
    store.write(&author, move |tx| tx.record(crash)).await.unwrap();
    let log = wait_until("the crash is told", WAIT, async || {
        let text = client.get(&format!("{LOGS}?source=controller")).await.text();
        text.contains("R14").then_some(text)
    })
    .await;
    assert!(log.contains(" app-default akkeris/controller: Set config vars "), "{log}");
    assert!(!log.contains("hidden"), "{log}");
    assert!(log.contains(": Scaled to worker@2:"), "{log}");
    assert!(
        log.contains(": Error R14 (Memory quota exceeded): web.1562910588-cg82f ended by itself"),
        "{log}"
    );
    // With the app goes its log.
    let folder = daemon.dir.path().join("logs").join(app.to_string());
    assert!(folder.exists());
    client.delete("/apps/app-default").await.json(200);
    wait_until("the log is gone", WAIT, async || (!folder.exists()).then_some(())).await;
    assert!(tasks.stop(WAIT).await);
}
