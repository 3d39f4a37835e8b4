//! Filters over HTTPS on a running app: attached, changed and detached while its dynos go on, and after a restart.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::archive::Source;
use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::wait_until;

const LIMIT: Duration = Duration::from_mins(1);

async fn create(client: &Client, filter_type: &str, options: Value) {
    let body = json!({
        "type": filter_type, "name": filter_type, "description": "d", "organization": "akkeris", "options": options
    });
    client.send("POST", "/filters", Some(body), 201).await;
}

/// Attaches the filter that is named after its type; gives the path of the attachment.
async fn attach(client: &Client, app: &str, filter: &str, excludes: &[&str]) -> String {
    let body = json!({"filter": {"id": filter}, "options": {"excludes": excludes}});
    let made = client.send("POST", &format!("/apps/{app}/filters"), Some(body), 201).await;
    format!("/apps/{app}/filters/{}", made["id"].as_str().unwrap())
}

/// Waits until a request with these headers is answered so.
async fn wait_for(daemon: &Daemon, app: &str, path: &str, (authorization, wanted): (&str, u16)) {
    let host = crate::support::daemon::host(app);
    let url = format!("https://{host}:{}{path}", daemon.https_port());
    wait_until(&format!("{path} answers {wanted}"), LIMIT, || async {
        let request = daemon.web_at(&host).get(&url).header("authorization", authorization);
        match request.send().await {
            Ok(answer) if answer.status().as_u16() == wanted => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_come_and_go_while_the_dynos_run_on() {
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("closed", "default").await;
    client.deploy(&app, &Source::version("one").order("health_status", "200")).await;
    daemon.wait_for_answer(&app, "/", "one").await;
    let containers = daemon.containers();

    let users = json!({"users": [{"name": "alice", "password": "secret"}]});
    create(&client, "basic-auth", users).await;
    create(&client, "csp", json!({"policy": "default-src 'self'"})).await;
    let attachment = attach(&client, &app, "basic-auth", &["/health"]).await;
    attach(&client, &app, "csp", &[]).await;
    // `alice:secret`, `alice:other`
    let (right, wrong) = ("Basic YWxpY2U6c2VjcmV0", "Basic YWxpY2U6b3RoZXI=");
    wait_for(&daemon, &app, "/", (wrong, 401)).await;
    wait_for(&daemon, &app, "/", (right, 200)).await;
    wait_for(&daemon, &app, "/health", (wrong, 200)).await;
    assert_eq!(daemon.fetch(&app, "/health/..%2f").await.unwrap().0, 401);

    let body = json!({
        "type": "basic-auth", "name": "basic-auth", "description": "d", "organization": "akkeris",
        "options": {"users": [{"name": "alice", "password": "other"}]}
    });
    client.send("PUT", "/filters/basic-auth", Some(body), 200).await;
    wait_for(&daemon, &app, "/", (wrong, 200)).await;
    wait_for(&daemon, &app, "/", (right, 401)).await;

    daemon.restart().await;
    wait_for(&daemon, &app, "/", (right, 401)).await;
    client.send("PUT", &attachment, Some(json!({"options": {"includes": ["/health"]}})), 200).await;
    wait_for(&daemon, &app, "/", (right, 200)).await;
    wait_for(&daemon, &app, "/health", (right, 401)).await;
    client.send("DELETE", &attachment, None, 200).await;
    wait_for(&daemon, &app, "/health", (right, 200)).await;
    let host = crate::support::daemon::host(&app);
    let url = format!("https://{host}:{}/", daemon.https_port());
    let answer = daemon.web_at(&host).get(url).send().await.unwrap();
    assert_eq!(answer.headers()["content-security-policy"], "default-src 'self'");
    assert_eq!(daemon.containers(), containers, "a dyno was restarted");
}
