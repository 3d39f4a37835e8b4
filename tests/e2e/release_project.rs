//! Release candidates go through the environments of a project and back, and what `/api/releases` says of them is
//! always what `GET /apps/{app}/releases` says.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::archive::Source;
use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::wait_until;

const PROJECT: &str = "/api/releases/shop";

/// The project `shop` with an app in each of three stages; gives the app of `production`.
async fn project(client: &Client) -> String {
    client.send("POST", "/pipelines", Some(json!({"name": "shop"})), 201).await;
    let mut last = String::new();
    for (name, stage) in [("dev", "development"), ("qa", "staging"), ("prod", "production")] {
        last = client.create_app(name, "default").await;
        let coupling = json!({"app": last, "pipeline": "shop", "stage": stage});
        client.send("POST", "/pipeline-couplings", Some(coupling), 201).await;
    }
    last
}

fn sha(number: u32) -> String {
    format!("{number:040x}")
}

/// Builds the commit of a candidate on the first stage.
async fn build(client: &Client, number: u32, source: &Source) {
    let build = json!({
        "url": source.tar_gz(), "checksum": "", "repo": "https://github.com/acme/shop.git", "sha": sha(number)
    });
    let build = client.send("POST", "/apps/dev-default/builds", Some(build), 201).await;
    let (status, log) = client.finish_build("dev-default", build["id"].as_str().unwrap()).await;
    assert_eq!(status, "succeeded", "{log:#?}");
}

async fn cut(client: &Client, number: u32) -> Value {
    let body = json!({"repo": "acme/shop", "commit": sha(number)});
    client.send("POST", &format!("{PROJECT}/releases/1.0-rc{number}"), Some(body), 201).await
}

async fn deploy(client: &Client, environment: &str, number: u32) -> Value {
    let path = format!("{PROJECT}/environments/{environment}/deployments");
    let body = json!({"release_candidate_version": format!("1.0-rc{number}")});
    client.send("POST", &path, Some(body), 201).await
}

async fn roll_back(client: &Client, body: Value, status: u16) -> Value {
    client.send("POST", &format!("{PROJECT}/environments/production/rollback"), Some(body), status).await
}

async fn deployments(client: &Client, environment: &str) -> Vec<Value> {
    let path = format!("{PROJECT}/environments/{environment}/deployments?per_page=100");
    client.get(&path).await.as_array().unwrap().clone()
}

/// Waits until a deployment has one of these statuses; gives it.
async fn reach(client: &Client, environment: &str, deployment: &Value, wanted: &[&str]) -> Value {
    wait_until(&format!("the deployment is {wanted:?}"), Duration::from_mins(2), || async {
        let all = deployments(client, environment).await;
        let found = all.into_iter().find(|item| item["id"] == deployment["id"]).unwrap();
        let there = wanted.iter().any(|status| found["status"] == *status);
        if there { Ok(found) } else { Err(found.to_string()) }
    })
    .await
}

const OVER: &[&str] = &["success", "failure", "canceled"];

/// Deploys and waits for the end; gives the deployment.
async fn deployed(client: &Client, environment: &str, number: u32) -> Value {
    let made = deploy(client, environment, number).await;
    assert_eq!(made["status"], "pending");
    reach(client, environment, &made, OVER).await
}

/// The deployments of an environment of one app are its releases, in status, reason and end.
async fn agree(client: &Client, environment: &str, app: &str) {
    let deployments = deployments(client, environment).await;
    let releases = client.get(&format!("/apps/{app}/releases")).await;
    let releases = releases.as_array().unwrap();
    assert_eq!(deployments.len(), releases.len(), "{deployments:#?} {releases:#?}");
    for (deployment, release) in deployments.iter().rev().zip(releases) {
        let agrees = match deployment["status"].as_str().unwrap() {
            "success" => release["status"] == "succeeded",
            "failure" | "canceled" => {
                let message = deployment["error_message"].as_str().unwrap();
                release["status"] == "failed"
                    && message.contains(release["failure_message"].as_str().unwrap())
            }
            _ => false,
        };
        assert!(agrees, "{deployment:#} {release:#}");
        assert!(deployment["deploy_end_at"].as_str() >= deployment["deploy_start_at"].as_str());
        assert_eq!(deployment["deploy_start_at"], release["created_at"]);
    }
}

/// Begins two deployments at once, of which the newer one cancels the older; gives the version that wins.
async fn race(client: &Client) -> &'static str {
    let (one, other) = tokio::join!(deploy(client, "production", 1), deploy(client, "production", 3));
    let mut ends = Vec::new();
    for made in [&one, &other] {
        ends.push(reach(client, "production", made, OVER).await["status"].as_str().unwrap().to_owned());
    }
    ends.sort();
    assert_eq!(ends, ["canceled", "success"]);
    let newest = &deployments(client, "production").await[0];
    assert_eq!(newest["status"], "success", "the newer one cancels the older");
    if newest["id"] == one["id"] { "one" } else { "three" }
}

#[tokio::test(flavor = "multi_thread")]
async fn candidates_go_to_production_fail_there_and_are_rolled_back() {
    let daemon = Daemon::start_with(&[("AKKERISD_DYNOS_BOOT_TIMEOUT", "5s")]).await;
    let client = daemon.client();
    let prod = project(&client).await;
    let serves =
        async |version: &str| assert_eq!(daemon.fetch(&prod, "/").await, Ok((200, version.to_owned())));

    // A build names the repository; the first candidate waits for one of its own commit.
    build(&client, 9, &Source::version("nine")).await;
    assert_eq!(cut(&client, 1).await["status"], "waiting");
    build(&client, 1, &Source::version("one")).await;
    assert_eq!(client.get(&format!("{PROJECT}/releases")).await[0]["status"], "ready");
    for environment in ["staging", "production"] {
        let made = deployed(&client, environment, 1).await;
        assert_eq!((&made["status"], &made["from_release_version"]), (&json!("success"), &Value::Null));
    }
    serves("one").await;

    let web = format!("/apps/{prod}/formation/web");
    client.send("PATCH", &web, Some(json!({"healthcheck": "/health"})), 200).await;
    build(&client, 2, &Source::version("two").order("health_status", "500")).await;
    assert_eq!(cut(&client, 2).await["status"], "ready");
    assert_eq!(deployed(&client, "staging", 2).await["status"], "success");
    let ill = deployed(&client, "production", 2).await;
    assert_eq!(
        (&ill["status"], &ill["from_release_candidate_version"]),
        (&json!("failure"), &json!("1.0-rc1"))
    );
    assert!(ill["error_message"].as_str().unwrap().contains("answered 500"), "{ill}");
    serves("one").await;
    agree(&client, "staging", "qa-default").await;
    agree(&client, "production", &prod).await;

    let back = roll_back(&client, json!({}), 201).await;
    assert_eq!((&back["status"], &back["release_candidate_version"]), (&json!("pending"), &json!("1.0-rc1")));
    assert_eq!(reach(&client, "production", &back, OVER).await["status"], "success");
    build(&client, 3, &Source::version("three")).await;
    cut(&client, 3).await;
    assert_eq!(deployed(&client, "production", 3).await["status"], "success");
    serves("three").await;
    let back = roll_back(&client, json!({}), 201).await;
    assert_eq!(back["release_candidate_version"], "1.0-rc1", "what ran before it");
    reach(&client, "production", &back, &["success"]).await;
    serves("one").await;

    let production = format!("{PROJECT}/environments/production");
    let frozen = client.send("PATCH", &production, Some(json!({"frozen": true})), 200).await;
    assert_eq!((&frozen["frozen"], &frozen["release_candidate_version"]), (&json!(true), &json!("1.0-rc1")));
    let refused = roll_back(&client, json!({}), 400).await;
    assert!(refused["error"].as_str().unwrap().starts_with("Environment is frozen"), "{refused}");
    let forced = roll_back(&client, json!({"force": true}), 201).await;
    assert_eq!(forced["release_candidate_version"], "1.0-rc3");
    reach(&client, "production", &forced, &["success"]).await;
    serves("three").await;
    client.send("PATCH", &production, Some(json!({"frozen": false})), 200).await;
    agree(&client, "production", &prod).await;

    let served = race(&client).await;
    serves(served).await;
    agree(&client, "production", &prod).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_in_the_middle_of_a_deployment_tells_the_truth_after_its_restart() {
    let mut daemon = Daemon::start_with(&[("AKKERISD_DYNOS_BOOT_TIMEOUT", "8s")]).await;
    let client = daemon.client();
    let prod = project(&client).await;
    build(&client, 1, &Source::version("one").order("boot_delay_ms", "3000")).await;
    build(&client, 2, &Source::version("two").order("never_listen", "1")).await;
    for number in [1, 2] {
        cut(&client, number).await;
    }
    for (number, end) in [(1, "success"), (2, "failure")] {
        let made = deploy(&client, "production", number).await;
        reach(&client, "production", &made, &["in_progress"]).await;
        daemon.restart().await;
        let ended = reach(&client, "production", &made, OVER).await;
        assert_eq!(ended["status"], end, "{ended}");
        daemon.wait_for_answer(&prod, "/", "one").await;
        agree(&client, "production", &prod).await;
    }
    let older = deploy(&client, "production", 2).await;
    reach(&client, "production", &older, &["in_progress"]).await;
    let newer = deploy(&client, "production", 1).await;
    daemon.restart().await;
    assert_eq!(reach(&client, "production", &newer, OVER).await["status"], "success");
    assert_eq!(reach(&client, "production", &older, OVER).await["status"], "canceled");
    daemon.wait_for_answer(&prod, "/", "one").await;
    agree(&client, "production", &prod).await;
}
