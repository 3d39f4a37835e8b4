//! App setups, walked as the document shows them, and what it leaves open.

mod blueprints;
mod harness;
mod manifests;

use akkerisd::model::account::Role;
use akkerisd::service::app_setups::{self, Advance};
use serde_json::{Value, json};

use self::harness::{Bench, at, least, text, with};
use crate::support::assert_shape;

fn documented() -> Value {
    json!({
        "id": "4f739e5e-4cf7-11e6-beb8-9e71128cae77",
        "created_at": "2016-07-18T14:55:38.190Z",
        "updated_at": "2016-07-18T14:55:38.190Z",
        "app": { "id": "4f739e5e-4cf7-11e6-beb8-9e71128cae73", "name": "events" },
        "progress": 0.3,
        "status": "pending",
        "failure_message": "",
        "manifest_errors": [],
        "postdeploy": null,
        "resolved_success_url": "",
        "build": {
            "id": "11739e5e-4cf7-11e6-beb8-9e71128cae11",
            "status": "queued",
            "output_stream_url": "https://logplex-uri"
        }
    })
}

/// Null before there is a build.
const NULLABLE: &[&str] = &["resolved_success_url", "id", "output_stream_url"];

fn full(name: &str) -> Value {
    with(
        least(name),
        json!({
            "env": { "A": { "value": "1", "description": "what A is" }, "B": "2", "PORT": { "value": "5000" } },
            "formation": { "worker": { "quantity": 2, "command": "./work" }, "web": { "size": "scout", "health-check": "/up" } },
            "log-drains": [{ "url": "syslog://logs.example.com:514", "token": "mine" }],
            "pipeline-couplings": [{ "pipeline": "pipe", "stage": "development" }],
            "features": [{ "name": "preview", "enabled": true }]
        }),
    )
}

/// A blueprint in which no part can be used.
fn all_wrong() -> Value {
    json!({
        "app": { "name": "a-b", "space": "default", "organization": "", "stack": "none", "labels": "x".repeat(1025) },
        "env": {
            "bad name": "x", "AKKERIS_SPACE": "x", "NEEDED": { "required": true }, "HIDDEN": "[redacted]",
            "PORT": "many"
        },
        "formation": {
            "web": { "size": "huge" }, "web2": { "port": 5000 }, "Bad!": {}, "once": { "oneoff": true, "quantity": 2 },
            "often": { "schedule": { "cron": "never" } }
        },
        "addons": { "db": {} }, "attachments": [{}],
        "log-drains": [
            { "url": "ftp://x" }, { "url": "https://u:[redacted]@host" }, { "url": "syslog://h", "token": "a b" }
        ],
        "pipeline-couplings": [{ "stage": "staging" }, { "pipeline": "p", "stage": "nowhere" }],
        "features": [{ "name": "none", "enabled": true }, { "name": "http2", "enabled": false }],
        "filters": [{ "filter": {} }, { "filter": { "id": "x" }, "options": { "includes": ["x"] } }],
        "sites": { "not a domain": { "routes": [{ "source_path": "x" }] } },
        "source_blob": { "checksum": "x".repeat(300), "url": "ftp://host/x" }
    })
}

#[tokio::test]
async fn create_app_setup_as_documented_answers_before_anything_but_the_app_is_there() {
    let bench = Bench::without_worker().await;
    let body = r#"{"app":{"org":"akkeris", "name":"events", "space":"perf-dev-us"},"source_blob":{"url":"https://host.com/source.zip"}}"#;
    let made = bench.client.send_body(http::Method::POST, "/app-setups", body).await.json(201);
    assert_shape(&documented(), &made, NULLABLE);
    assert_eq!((at(&made, "/progress"), text(&made, "/status")), (&json!(0.0), "pending"));
    let build = at(&made, "/build");
    assert_eq!((at(build, "/id"), at(build, "/output_stream_url")), (&Value::Null, &Value::Null));
    assert_eq!((text(&made, "/app/name"), text(build, "/status")), ("events", "queued"));
    let app = bench.client.get("/apps/events-perf-dev-us").await.json(200);
    assert_eq!(at(&app, "/id"), at(&made, "/app/id"));
    assert_eq!(bench.kinds(text(&made, "/app/id")).await, ["app_created", "app_setup_created"]);
}

#[tokio::test]
async fn create_app_setup_takes_the_steps_in_their_order_and_ends_with_the_build() {
    let bench = Bench::start().await;
    bench.client.post("/pipelines", json!({ "name": "pipe" })).await.json(201);
    let made = bench.submit(&full("app")).await;
    let waiting = bench.until_built(text(&made, "/id")).await;
    assert_eq!((text(&waiting, "/status"), text(&waiting, "/build/status")), ("pending", "queued"));
    let progress = at(&waiting, "/progress").as_f64().unwrap();
    assert!(0.5 < progress && progress < 1.0, "{waiting}");
    bench.end_build(&waiting, None).await;
    let done = bench.until_done(text(&made, "/id")).await;
    assert_shape(&documented(), &done, &["resolved_success_url"]);
    assert_eq!((text(&done, "/status"), at(&done, "/progress")), ("succeeded", &json!(1.0)));
    assert_eq!((text(&done, "/failure_message"), text(&done, "/status_message")), ("", ""));
    let kinds = bench.kinds(text(&made, "/app/id")).await;
    assert_eq!(
        kinds,
        [
            "app_created",
            "app_setup_created",
            "config_vars_changed",
            "formation_created",
            "formation_created",
            "log_drain_created",
            "coupling_created",
            "feature_changed",
            "build_created",
            "config_var_notes_changed",
            "build_succeeded",
            "app_setup_succeeded"
        ]
    );
    let web = bench.client.get("/apps/app-default/formation/web").await.json(200);
    assert_eq!(
        (text(&web, "/size"), at(&web, "/port"), text(&web, "/healthcheck"), at(&web, "/quantity")),
        ("scout", &json!(5000), "/up", &json!(1))
    );
    let vars = bench.client.get("/apps/app-default/config-vars").await.json(200);
    assert_eq!(vars, json!({ "A": "1", "B": "2", "PORT": "5000" }));
    let notes = bench.client.get("/apps/app-default/config-vars/notes").await.json(200);
    assert_eq!(text(&notes, "/A/description"), "what A is");
    let drains = bench.client.get("/apps/app-default/log-drains").await.json(200);
    assert_eq!(text(&drains, "/0/token"), "mine");
    assert_eq!(
        bench.daemon.count("app_setups WHERE work IS NOT NULL"),
        0,
        "secrets of a done setup are kept"
    );
}

#[tokio::test]
async fn create_app_setup_goes_on_after_a_failing_step_and_says_what_failed() {
    let bench = Bench::start().await;
    let more = json!({
        "pipeline-couplings": [{ "pipeline": "nowhere", "stage": "staging" }],
        "filters": [{ "filter": { "id": "nothing" } }],
        "features": [{ "name": "preview", "enabled": true }],
        "env": { "A": "1" }
    });
    let made = bench.submit(&with(least("app"), more)).await;
    let waiting = bench.until_built(text(&made, "/id")).await;
    bench.end_build(&waiting, Some("It has no Dockerfile.")).await;
    let done = bench.until_done(text(&made, "/id")).await;
    assert_eq!((text(&done, "/status"), at(&done, "/progress")), ("failed", &json!(1.0)));
    let failures: Vec<&str> = text(&done, "/failure_message").split(", ").collect();
    assert_eq!(failures.len(), 3, "{done}");
    for (failure, start) in failures.iter().zip([
        "pipeline coupling nowhere failed [404 ",
        "filter nothing failed [404 ",
        "build failed [422 It has no Dockerfile.",
    ]) {
        assert!(failure.starts_with(start), "{failure}");
    }
    let feature = bench.client.get("/apps/app-default/features/preview").await.json(200);
    assert_eq!(at(&feature, "/enabled"), &json!(true));
    let kinds = bench.kinds(text(&made, "/app/id")).await;
    assert_eq!(kinds.last().map(String::as_str), Some("app_setup_failed"));
}

#[tokio::test]
async fn create_app_setup_refuses_bad_input_with_every_reason_and_changes_nothing() {
    let bench = Bench::without_worker().await;
    bench
        .client
        .post("/apps", json!({ "name": "taken", "space": "default", "org": "akkeris" }))
        .await
        .json(201);
    let mut events = bench.daemon.events().await;
    let message = bench.client.post("/app-setups", all_wrong()).await.error(422);
    for part in [
        "a-b",
        "stack none",
        "labels",
        "bad name",
        "AKKERIS_SPACE",
        "NEEDED is required",
        "HIDDEN is redacted",
        "PORT many",
        "huge",
        "web2 has no port",
        "Bad!",
        "One-off",
        "five fields",
        "addon db has no plan",
        "attachment has neither",
        "ftp://x",
        "is redacted",
        "token of a log drain",
        "names no pipeline",
        "nowhere",
        "one pipeline",
        "feature none",
        "http2 is deprecated",
        "filter has no id",
        "includes",
        "not a domain",
        "source_path",
        "checksum",
        "source url \"ftp\"",
    ] {
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    for (field, value, part) in [
        ("app", json!({ "name": "taken", "space": "default", "organization": "akkeris" }), "exists already"),
        ("app", json!({ "name": "x", "space": "nowhere", "organization": "akkeris" }), "space nowhere"),
        ("app", json!({ "name": "x", "space": "default", "organization": "nobody" }), "organization nobody"),
        ("source_blob", json!({}), "has no url"),
        ("source_blob", json!({ "url": "data:base64,%" }), "encode it"),
        ("formation", json!({ "web": { "quantity": "two" } }), "formation.web"),
        ("env", json!({ "A": { "required": true } }), "A is required"),
    ] {
        let message =
            bench.client.post("/app-setups", with(least("x"), json!({ field: value }))).await.error(422);
        assert!(message.contains(part), "{part} is not in: {message}");
    }
    assert_eq!(events.kinds_so_far().await, Vec::<&str>::new());
    assert_eq!((bench.daemon.count("app_setups"), bench.daemon.count("apps")), (0, 1));
    let sources = std::fs::read_dir(bench.daemon.dir.path().join("sources"));
    assert_eq!(sources.map_or(0, Iterator::count), 0, "a refused source stays");
    bench.client.send_body(http::Method::POST, "/app-setups", "{").await.error(400);
}

#[tokio::test]
async fn create_app_setup_cut_off_after_any_step_goes_on_and_does_none_twice() {
    let whole = {
        let bench = Bench::start().await;
        bench.client.post("/pipelines", json!({ "name": "pipe" })).await.json(201);
        let made = bench.make(&full("app")).await;
        bench.kinds(text(&made, "/app/id")).await
    };
    for cut in 0..9 {
        let bench = Bench::without_worker().await;
        bench.client.post("/pipelines", json!({ "name": "pipe" })).await.json(201);
        let made = bench.submit(&full("app")).await;
        let (id, tools) = (text(&made, "/id"), bench.tools());
        for _ in 0..cut {
            let step =
                app_setups::advance(&bench.daemon.state.store, &tools, bench.shop(), id.parse().unwrap())
                    .await;
            assert_eq!(step.unwrap(), Advance::Stepped, "{cut}");
        }
        bench.work();
        let built = bench.until_built(id).await;
        bench.end_build(&built, None).await;
        assert_eq!(text(&bench.until_done(id).await, "/status"), "succeeded");
        assert_eq!(bench.kinds(text(&made, "/app/id")).await, whole, "cut after {cut}");
    }
}

#[tokio::test]
async fn an_app_cannot_be_deleted_while_its_setup_is_pending() {
    let bench = Bench::start().await;
    let made = bench.submit(&least("app")).await;
    let message = bench.client.delete("/apps/app-default").await.error(409);
    assert!(message.contains("still being set up"), "{message}");
    let built = bench.until_built(text(&made, "/id")).await;
    bench.client.delete("/apps/app-default").await.error(409);
    bench.end_build(&built, Some("no")).await;
    bench.until_done(text(&made, "/id")).await;
    bench.client.delete("/apps/app-default").await.json(200);
    assert_eq!(text(&bench.setup(text(&made, "/id")).await, "/status"), "failed", "it is shown all the same");
}

#[tokio::test]
async fn view_app_setup_is_not_found_or_refused_to_strangers() {
    let bench = Bench::without_worker().await;
    let made = bench.submit(&least("app")).await;
    let path = format!("/app-setups/{}", text(&made, "/id"));
    bench.client.get("/app-setups/none").await.error(404);
    bench.client.get(&format!("/app-setups/{}", uuid::Uuid::nil())).await.error(404);
    bench.client.post("/organizations", json!({ "name": "others" })).await.json(201);
    bench.daemon.account("mallory", Role::Member, &["others"]).await;
    let stranger = bench.daemon.personal("mallory").await;
    stranger.get(&path).await.error(403);
    stranger.get("/apps/app-default/app-setups").await.error(403);
    stranger.post("/app-setups", least("other")).await.error(403);
    bench.daemon.account("alice", Role::Member, &["akkeris"]).await;
    let member = bench.daemon.personal("alice").await;
    assert_eq!(member.get(&path).await.json(200), bench.client.get(&path).await.json(200));
}

#[tokio::test]
async fn a_setup_acts_within_the_reach_of_who_asked_for_it() {
    let bench = Bench::start().await;
    bench.client.post("/organizations", json!({ "name": "others" })).await.json(201);
    let filter = json!({
        "type": "csp", "name": "theirs", "description": "x", "organization": "others", "options": { "policy": "default-src 'self'" }
    });
    bench.client.post("/filters", filter).await.json(201);
    bench.daemon.account("alice", Role::Member, &["akkeris"]).await;
    let alice = bench.daemon.personal("alice").await;
    let more = json!({ "filters": [{ "filter": { "id": "theirs" } }] });
    let made = alice.post("/app-setups", with(least("app"), more)).await.json(201);
    let built = bench.until_built(text(&made, "/id")).await;
    bench.end_build(&built, None).await;
    let done = bench.until_done(text(&made, "/id")).await;
    let message = text(&done, "/failure_message");
    assert!(message.starts_with("filter theirs failed [403 ") && message.contains("no member"), "{message}");
}

#[tokio::test]
async fn create_app_setup_in_a_space_with_compliance_needs_elevation() {
    let bench = Bench::without_worker().await;
    bench.client.patch("/spaces/default", json!({ "compliance": ["prod"] })).await.json(200);
    let message = bench.daemon.personal("alice").await.post("/app-setups", least("app")).await.error(403);
    assert!(message.contains("elevated access"), "{message}");
    assert_eq!(bench.daemon.count("apps"), 0);
    bench.submit(&least("app")).await;
}

#[tokio::test]
async fn what_a_pending_setup_works_from_is_sealed_on_disk() {
    let bench = Bench::without_worker().await;
    let more =
        json!({ "env": { "KEY": "verysecretvalue" }, "log-drains": [{ "url": "https://u:hiddenword@h" }] });
    bench.submit(&with(least("app"), more)).await;
    let disk = bench.daemon.disk().await;
    for secret in ["verysecretvalue", "hiddenword"] {
        assert!(!disk.contains(secret), "{secret} is readable on disk");
    }
}

#[tokio::test]
async fn create_app_setup_waits_for_its_addons_before_it_builds_and_tells_of_those_that_fail() {
    let bench = Bench::start().await;
    let more = json!({
        "addons": { "key": { "plan": "securekey:manual" }, "nothing": { "plan": "nothing:small" } },
        "attachments": [{ "id": "none", "name": "gone" }]
    });
    let made = bench.submit(&with(least("app"), more)).await;
    let id = text(&made, "/id");
    let waiting = bench.until(id, "it waits", |setup| text(setup, "/status_message") == "addons").await;
    assert_eq!(at(&waiting, "/build/id"), &Value::Null);
    bench.provide();
    let built = bench.until_built(id).await;
    bench.end_build(&built, None).await;
    let done = bench.until_done(id).await;
    let message = text(&done, "/failure_message");
    assert!(
        message.contains("addon nothing failed [422 ") && message.contains("attachment gone failed [404 "),
        "{message}"
    );
    let kinds = bench.kinds(text(&made, "/app/id")).await;
    let position = |kind: &str| kinds.iter().position(|one| one == kind);
    assert!(position("addon_provisioned") < position("build_created"), "{kinds:?}");
    assert!(position("addon_provisioned").is_some() && position("addon_failed").is_none(), "{kinds:?}");
}
