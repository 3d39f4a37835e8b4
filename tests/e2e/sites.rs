//! Two apps on one domain over HTTPS: rewriting, maintenance of one, a pending route, a restart, and the end of it all.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::archive::Source;
use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::wait_until;

const SITE: &str = "shop.example";
const LIMIT: Duration = Duration::from_mins(1);

async fn route(client: &Client, app: &str, source: &str, target: &str) -> Value {
    let body = json!({"site": SITE, "app": app, "source_path": source, "target_path": target});
    client.send("POST", "/routes", Some(body), 201).await
}

async fn wait_for(daemon: &Daemon, path: &str, wanted: (u16, &str)) {
    wait_until(&format!("{path} answers {wanted:?}"), LIMIT, || async {
        match daemon.fetch_at(SITE, path).await? {
            (status, body) if (status, body.trim_end()) == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

async fn wait_for_status(daemon: &Daemon, path: &str, wanted: u16) {
    wait_until(&format!("{path} answers {wanted}"), LIMIT, || async {
        match daemon.fetch_at(SITE, path).await? {
            (status, _) if status == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// A site with `front` at its root and `back` below `/api`, both of which run.
async fn with_two_apps() -> (Daemon, Client, [String; 2]) {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let (front, back) =
        (client.create_app("front", "default").await, client.create_app("back", "default").await);
    client.send("POST", "/sites", Some(json!({"domain": SITE})), 201).await;
    client.deploy(&front, &Source::version("front")).await;
    client.deploy(&back, &Source::version("back").order("health_status", "200")).await;
    route(&client, &front, "/", "/").await;
    route(&client, &back, "/api/", "/").await;
    wait_for(&daemon, "/api", (200, "back")).await;
    (daemon, client, [front, back])
}

#[tokio::test(flavor = "multi_thread")]
async fn two_apps_answer_on_one_site_and_one_goes_into_maintenance_alone() {
    let (mut daemon, client, [front, back]) = with_two_apps().await;
    for (path, body) in [("/", "front"), ("/apifoo", "front"), ("/api/x", "back"), ("/api/health", "health")]
    {
        assert_eq!(daemon.fetch_at(SITE, path).await.unwrap(), (200, body.to_owned()), "{path}");
    }
    let (_, headers) = daemon.fetch_at(SITE, "/api/headers?x=1").await.unwrap();
    let port = daemon.https_port();
    for expected in [
        format!("host: {SITE}:{port}"),
        format!("x-orig-host: {SITE}"),
        "x-orig-path: /api".to_owned(),
        "x-forwarded-path: /api".to_owned(),
        "x-orig-proto: https".to_owned(),
        format!("x-orig-port: {port}"),
    ] {
        assert!(headers.contains(&expected), "{expected} is not in {headers}");
    }
    assert_eq!(daemon.fetch_at(SITE, "/api/..%2fx").await.unwrap().0, 400);
    let answer = daemon.web_at(SITE).get(format!("https://{SITE}:{port}/")).send().await.unwrap();
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000; includeSubDomains");

    client.send("PATCH", &format!("/apps/{back}"), Some(json!({"maintenance": true})), 200).await;
    wait_for_status(&daemon, "/api/x", 503).await;
    assert_eq!(daemon.fetch_at(SITE, "/").await.unwrap(), (200, "front".to_owned()));
    client.send("PATCH", &format!("/apps/{back}"), Some(json!({"maintenance": false})), 200).await;
    wait_for(&daemon, "/api/x", (200, "back")).await;

    daemon.restart().await;
    wait_for(&daemon, "/api/x", (200, "back")).await;
    assert_eq!(daemon.fetch(&front, "/").await.unwrap(), (200, "front".to_owned()));
    wait_until("the log of the app has the path that was asked for", LIMIT, || async {
        let (_, log) = client.try_send("GET", &format!("/apps/{back}/logs?lines=1000"), None).await?;
        let text = log.as_str().unwrap_or_default();
        let line = format!("host={SITE}:{port} fwd=127.0.0.1 method=GET path=/api/headers?x=1 ");
        if text.contains(&line) { Ok(()) } else { Err(text.to_owned()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_route_begins_with_the_first_release_and_ends_with_its_app() {
    let (daemon, client, _) = with_two_apps().await;
    let late = client.create_app("late", "default").await;
    let pending = route(&client, &late, "/api/late", "/env").await;
    assert_eq!(pending["pending"], true);
    wait_for(&daemon, "/api/late", (200, "back")).await;
    client.deploy(&late, &Source::version("late")).await;
    wait_for(&daemon, "/api/late?AKKERIS_APPLICATION", (200, "late-default")).await;
    let id = pending["id"].as_str().unwrap();
    assert_eq!(client.get(&format!("/routes/{id}")).await["pending"], false);

    client.send("DELETE", &format!("/apps/{late}"), None, 200).await;
    wait_for(&daemon, "/api/late", (200, "back")).await;
    client.send("GET", &format!("/routes/{id}"), None, 404).await;
    let root = client.get(&format!("/sites/{SITE}/routes")).await[0]["id"].clone();
    client.send("DELETE", &format!("/routes/{}", root.as_str().unwrap()), None, 200).await;
    wait_for_status(&daemon, "/", 404).await;
    assert_eq!(daemon.fetch_at(SITE, "/api/x").await.unwrap(), (200, "back".to_owned()));

    client.send("DELETE", &format!("/sites/{SITE}"), None, 200).await;
    wait_until("the site has no certificate any more", LIMIT, || async {
        match daemon.fetch_at(SITE, "/api/x").await {
            Err(_) => Ok(()),
            Ok(answer) => Err(format!("{answer:?}")),
        }
    })
    .await;
}
