//! The daemon dies and comes back: running dynos are adopted, and what was acknowledged is there.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::archive::Source;
use crate::support::client::all_ready;
use crate::support::daemon::Daemon;
use crate::support::docker::docker;
use crate::support::wait_until;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_daemon_comes_back_and_adopts_what_runs() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("adopted", "default").await;
    client.deploy(&app, &Source::version("one")).await;
    client.scale(&app, "web", 2).await;
    let before = client.wait_for_dynos(&app, "two dynos run", all_ready(2)).await;
    client.send("PATCH", &format!("/apps/{app}"), Some(json!({"description": "kept"})), 200).await;
    daemon.kill_9();
    let containers = daemon.containers();
    docker(&["rm", "-f", &containers[0]]);
    let began = Instant::now();
    daemon.spawn(&[]);
    wait_until("the edge is back", Duration::from_secs(20), || daemon.fetch(&app, "/")).await;
    eprintln!("the edge answered {:?} after the start", began.elapsed());
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "one".to_owned()));
    assert_eq!(client.get(&format!("/apps/{app}")).await["description"], "kept");
    let after = client.wait_for_dynos(&app, "the missing dyno was started", all_ready(2)).await;
    let adopted = after.iter().filter(|dyno| before.iter().any(|old| old["name"] == dyno["name"])).count();
    assert_eq!(adopted, 1, "{before:?} {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn dynos_that_were_killed_from_outside_are_started_again() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("outside", "default").await;
    client.deploy(&app, &Source::version("one")).await;
    for container in daemon.containers() {
        docker(&["kill", &container]);
    }
    daemon.wait_for_answer(&app, "/", "one").await;
    for container in daemon.containers() {
        docker(&["rm", "-f", &container]);
    }
    daemon.wait_for_answer(&app, "/", "one").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_never_touched() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("ours", "default").await;
    client.deploy(&app, &Source::version("one")).await;
    let theirs = docker(&["run", "-d", "--label", "akkeris.app=somebody-elses", "akkerisd-e2e-base:latest"]);
    daemon.restart().await;
    client.send("DELETE", &format!("/apps/{app}"), None, 200).await;
    wait_until("ours are gone", Duration::from_secs(30), || async {
        let containers = daemon.containers();
        if containers.is_empty() { Ok(()) } else { Err(format!("{containers:?}")) }
    })
    .await;
    let running = docker(&["inspect", "-f", "{{.State.Running}}", &theirs]);
    docker(&["rm", "-f", &theirs]);
    assert_eq!(running, "true");
}
