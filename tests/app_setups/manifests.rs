//! The `app.json` of a source, as who comes from Heroku expects it.

use akkerisd::model::event::Event;
use akkerisd::model::oneoff::Ended;
use akkerisd::model::principal::Principal;
use akkerisd::model::time::Timestamp;
use akkerisd::store::{self, StoreError};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::harness::{Bench, archive, at, least, tar_of, text, with};

fn source_of(manifest: &Value) -> Value {
    json!({ "source_blob": { "url": archive(&[("Dockerfile", "FROM scratch"), ("app.json", &manifest.to_string())]) } })
}

#[tokio::test]
async fn it_fills_what_the_blueprint_leaves_open() {
    let bench = Bench::start().await;
    let manifest = json!({
        "env": { "GIVEN": "theirs", "LEVEL": { "value": "7", "description": "how much" }, "SECRET": { "generator": "secret" } },
        "formation": { "web": { "quantity": 2, "size": "Standard-1X" }, "worker": { "quantity": 1, "command": "./work" } },
        "success_url": "/welcome"
    });
    let blueprint = with(with(least("app"), source_of(&manifest)), json!({ "env": { "GIVEN": "mine" } }));
    let done = bench.make(&blueprint).await;
    assert_eq!(
        (text(&done, "/resolved_success_url"), at(&done, "/manifest_errors")),
        ("/welcome", &json!([]))
    );
    let vars = bench.client.get("/apps/app-default/config-vars").await.json(200);
    assert_eq!(
        (text(&vars, "/GIVEN"), text(&vars, "/LEVEL"), text(&vars, "/SECRET").len()),
        ("mine", "7", 64)
    );
    let web = bench.client.get("/apps/app-default/formation/web").await.json(200);
    assert_eq!((at(&web, "/quantity"), text(&web, "/size")), (&json!(2), "gp1"));
    let worker = bench.client.get("/apps/app-default/formation/worker").await.json(200);
    assert_eq!(text(&worker, "/command"), "./work");
    let notes = bench.client.get("/apps/app-default/config-vars/notes").await.json(200);
    assert_eq!(text(&notes, "/LEVEL/description"), "how much");
}

#[tokio::test]
async fn what_it_requires_and_nobody_gives_fails_the_setup_before_its_first_step() {
    let bench = Bench::start().await;
    let manifest =
        json!({ "env": { "ONE": { "description": "x" }, "TWO": { "required": true }, "GIVEN": {} } });
    let blueprint = with(with(least("app"), source_of(&manifest)), json!({ "env": { "GIVEN": "mine" } }));
    let made = bench.submit(&blueprint).await;
    let done = bench.until_done(text(&made, "/id")).await;
    assert_eq!(text(&done, "/status"), "failed");
    let errors = at(&done, "/manifest_errors").as_array().unwrap();
    assert_eq!(errors.len(), 2, "{done}");
    assert!(text(&done, "/failure_message").starts_with("app.json failed [422 "), "{done}");
    let kinds = bench.kinds(text(&made, "/app/id")).await;
    assert_eq!(kinds, ["app_created", "app_setup_created", "app_setup_failed"]);
    bench.client.delete("/apps/app-default").await.json(200);
}

#[tokio::test]
async fn a_broken_one_fails_the_setup_and_one_that_is_missing_does_not() {
    let bench = Bench::start().await;
    let broken = json!({ "source_blob": { "url": archive(&[("app/app.json", "{"), ("app/Dockerfile", "FROM scratch")]) } });
    let made = bench.submit(&with(least("broken"), broken)).await;
    let done = bench.until_done(text(&made, "/id")).await;
    assert!(text(&done, "/manifest_errors/0").contains("line 1"), "{done}");
    let missing = json!({ "source_blob": { "url": archive(&[("Dockerfile", "FROM scratch")]) } });
    bench.make(&with(least("missing"), missing)).await;
    let no_archive = json!({ "source_blob": { "url": "data:,hello" } });
    bench.make(&with(least("none"), no_archive)).await;
}

#[tokio::test]
async fn one_behind_an_address_is_fetched_and_one_that_cannot_be_had_is_the_builds_business() {
    let bench = Bench::start().await;
    let manifest = json!({ "env": { "LEVEL": "7" } }).to_string();
    let (mut servers, listener) = (JoinSet::new(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let host = listener.local_addr().unwrap();
    let source = tar_of(&[("app.json", &manifest), ("Dockerfile", "FROM scratch")]);
    let router = axum::Router::new().route("/source.tar", get(|| std::future::ready(source)));
    servers.spawn(async move { axum::serve(listener, router).await });
    let source = json!({ "source_blob": { "url": format!("http://{host}/source.tar") } });
    bench.make(&with(least("app"), source)).await;
    let vars = bench.client.get("/apps/app-default/config-vars").await.json(200);
    assert_eq!(text(&vars, "/LEVEL"), "7");
    let source = json!({ "source_blob": { "url": format!("http://{host}/gone.tar") } });
    bench.make(&with(least("other"), source)).await;
}

#[tokio::test]
async fn its_script_runs_once_after_the_first_release_and_its_failure_is_told() {
    for (exit_code, status) in [(0, "succeeded"), (3, "failed")] {
        let bench = Bench::start().await;
        let manifest = json!({ "scripts": { "postdeploy": "./seed --all" } });
        let made = bench.submit(&with(least("app"), source_of(&manifest))).await;
        let id = text(&made, "/id");
        let built = bench.until_built(id).await;
        bench.end_build_with_release(&built).await;
        let running = bench.until(id, "the script runs", |setup| at(setup, "/postdeploy").is_object()).await;
        assert_eq!(at(&running, "/postdeploy/exit_code"), &Value::Null);
        let dynos = bench.client.get("/apps/app-default/dynos").await.json(200);
        let scripts: Vec<&Value> = dynos
            .as_array()
            .unwrap()
            .iter()
            .filter(|dyno| text(dyno, "/command") == "./seed --all")
            .collect();
        assert_eq!(scripts.len(), 1, "{dynos}");
        end_oneoffs(&bench, text(&made, "/app/id"), exit_code).await;
        let done = bench.until_done(id).await;
        assert_eq!((text(&done, "/status"), at(&done, "/postdeploy/exit_code")), (status, &json!(exit_code)));
    }
}

async fn end_oneoffs(bench: &Bench, app: &str, exit_code: i64) {
    let (app, sealer) = (app.parse().unwrap(), bench.daemon.state.sealer.clone());
    let end = move |tx: &mut store::Tx<'_>| {
        for oneoff in store::oneoffs::list_unfinished(tx, &sealer, app)? {
            let ended =
                Ended { at: Timestamp::from_millis(1), exit_code: Some(exit_code), reason: String::new() };
            store::oneoffs::set_ended(tx, &oneoff.name, &ended)?;
            let (process_type, dyno) = (oneoff.process_type, oneoff.name);
            tx.record(Event::OneOffEnded { app, process_type, dyno, ended })?;
        }
        Ok::<_, StoreError>(())
    };
    bench.daemon.state.store.write(&Principal::daemon(), end).await.unwrap();
}
