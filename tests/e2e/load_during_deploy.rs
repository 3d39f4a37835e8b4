//! Nothing that the platform does to an app loses a request.

use std::time::{Duration, Instant};

use crate::support::archive::Source;
use crate::support::client::{Client, all_ready};
use crate::support::daemon::Daemon;
use crate::support::load::{Load, Protocol};
use crate::support::releases_to_make;

const RATE: u32 = 500;

/// An app with two slugs to switch between.
async fn app_with_two_slugs(client: &Client) -> (String, [String; 2]) {
    let app = client.create_app("loaded", "default").await;
    let mut slugs = [String::new(), String::new()];
    for (slug, version) in slugs.iter_mut().zip(["one", "two"]) {
        let release = client.deploy(&app, &Source::version(version)).await;
        assert_eq!(release["status"], "succeeded", "{release}");
        release["slug"]["id"].as_str().unwrap().clone_into(slug);
    }
    (app, slugs)
}

async fn releases_under(protocol: Protocol) {
    let releases = releases_to_make();
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let (app, slugs) = app_with_two_slugs(&client).await;
    let load = Load::start(&daemon, &app, protocol, RATE);
    load.wait_for_answers(100).await;
    let began = Instant::now();
    for number in 0..releases {
        let release = client.release(&app, &slugs[number % 2]).await;
        assert_eq!(release["status"], "succeeded", "{release}");
    }
    let took = began.elapsed();
    let outcome = load.stop().await;
    eprintln!(
        "{protocol:?}: {releases} releases in {took:?}, {} answers, {:?}",
        outcome.answered, outcome.bodies
    );
    outcome.assert_no_failure();
    assert_eq!(outcome.bodies.len(), 2, "both versions answered: {:?}", outcome.bodies);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_releases_lose_no_request_on_kept_connections() {
    releases_under(Protocol::Http1KeepAlive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_releases_lose_no_request_on_new_connections() {
    releases_under(Protocol::Http1NewConnections).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_releases_lose_no_request_over_http2() {
    releases_under(Protocol::Http2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scaling_and_restarting_lose_no_request() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let (app, _) = app_with_two_slugs(&client).await;
    let load = Load::start(&daemon, &app, Protocol::Http1KeepAlive, RATE);
    load.wait_for_answers(100).await;
    client.scale(&app, "web", 4).await;
    let before = client.wait_for_dynos(&app, "four dynos run", all_ready(4)).await;
    client.send("DELETE", &format!("/apps/{app}/dynos"), None, 202).await;
    client
        .wait_for_dynos(&app, "four other dynos run", |dynos| {
            all_ready(4)(dynos)
                && dynos.iter().all(|dyno| before.iter().all(|old| old["name"] != dyno["name"]))
        })
        .await;
    client.scale(&app, "web", 1).await;
    client.wait_for_dynos(&app, "one dyno runs", all_ready(1)).await;
    crate::support::pause(Duration::from_millis(500)).await;
    load.stop().await.assert_no_failure();
}
