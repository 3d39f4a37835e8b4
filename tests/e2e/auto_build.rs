//! A push to a repository becomes the app that people see, also when the daemon dies in between; a release candidate
//! gets its build.

use std::time::Duration;

use akkerisd::model::auto_build::SourceProvider;
use serde_json::{Value, json};

use crate::support::archive::Source;
use crate::support::daemon::Daemon;
use crate::support::provider::{Provider, TOKEN};
use crate::support::wait_until;

const AUTO: &str = "/apps/shop-default/builds/auto";

fn sha(number: u32) -> String {
    format!("{number:040x}")
}

/// The provider tells of an event; the status of the answer.
async fn tell(daemon: &Daemon, provider: &Provider, (event, payload): (&str, Value)) -> u16 {
    let body = payload.to_string();
    let url = format!("http://{}{AUTO}/{}", daemon.addresses()[0], provider.kind);
    let mut request = reqwest::Client::new().post(url);
    for (name, value) in provider.headers(event, &body) {
        request = request.header(name, value);
    }
    request.body(body).send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_becomes_the_app_and_a_candidate_gets_its_build() {
    let provider = Provider::start(SourceProvider::GitHub, &sha(1), Source::version("one").packed()).await;
    let settings = [
        ("AKKERISD_SOURCES_GITHUB_URL", provider.url.clone()),
        ("AKKERISD_SOURCES_GITHUB_API", provider.api()),
    ];
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut daemon = Daemon::start_with(&settings).await;
    let client = daemon.client();
    let app = client.create_app("shop", "default").await;
    let auto = json!({ "repo": provider.repo(), "branch": "main", "username": "alice", "token": TOKEN });
    client.send("POST", AUTO, Some(auto), 201).await;
    daemon.wait_for_answer(&app, "/", "one").await;

    provider.set_archive(Source::version("two").packed());
    assert_eq!(tell(&daemon, &provider, provider.push("main", &sha(2))).await, 201);
    daemon.kill_9();
    daemon.spawn(&[]);
    daemon.wait_for_api().await;
    daemon.wait_for_answer(&app, "/", "two").await;
    wait_until("the provider is told", Duration::from_mins(1), || async {
        let told = provider.reports(&sha(2));
        let is_last = told.last().is_some_and(|report| report["state"] == "success");
        if is_last { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;

    provider.set_archive(Source::version("fix").packed());
    let on = json!({ "enabled": true });
    client.send("PATCH", "/apps/shop-default/features/preview", Some(on), 200).await;
    let opened = provider.pull_request("opened", ("org/app", "fix/login"), &sha(9));
    assert_eq!(tell(&daemon, &provider, opened).await, 201);
    let previews = client.get("/apps/shop-default/previews").await;
    daemon.wait_for_answer(previews[0]["app"]["name"].as_str().unwrap(), "/", "fix").await;

    provider.set_archive(Source::version("three").packed());
    client.send("POST", "/pipelines", Some(json!({ "name": "line" })), 201).await;
    let coupling = json!({ "app": app, "pipeline": "line", "stage": "staging" });
    client.send("POST", "/pipeline-couplings", Some(coupling), 201).await;
    let candidate = json!({ "repo": "org/app", "commit": sha(3), "trigger_build_workflow": true });
    let made = client.send("POST", "/api/releases/line/releases/1.0-rc1", Some(candidate), 201).await;
    assert_eq!(made["status"], "waiting");
    let ready = wait_until("the candidate is ready", Duration::from_mins(2), || async {
        let all = client.get("/api/releases/line/releases").await;
        if all[0]["status"] == "ready" { Ok(all[0].clone()) } else { Err(all.to_string()) }
    })
    .await;
    let build: Value = client.get(&format!("/slugs/{}", ready["build"]["id"].as_str().unwrap())).await;
    assert_eq!((&build["source_blob"]["commit"], &build["status"]), (&json!(sha(3)), &json!("succeeded")));
    assert_eq!(
        daemon.fetch(&app, "/").await.unwrap(),
        (200, "two".to_owned()),
        "a candidate is not released"
    );
}
