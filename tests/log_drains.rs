//! Log drains, walked as the document shows them, and what it leaves open.

use akkerisd::model::account::Role;
use http::Method;
use serde_json::{Value, json};

use crate::support::{Client, TestDaemon, assert_shape};

const DRAINS: &str = "/apps/app-default/log-drains";

/// As documented, without the addon, which is there only when one made the drain (`behaviour.md` §20).
fn documented() -> Value {
    json!({
        "created_at": "2016-07-18T14:55:38.190Z",
        "id": "4f739e5e-4cf7-11e6-beb8-9e71128cae77",
        "updated_at": "2016-07-18T14:55:38.190Z",
        "token": "",
        "url": "syslog+tls://logs.papertrialapp.com:44112"
    })
}

async fn with_app() -> (TestDaemon, Client) {
    let daemon = TestDaemon::start().await;
    let client = daemon.personal("alice").await;
    for name in ["app", "other"] {
        let new = json!({ "name": name, "space": "default", "org": "akkeris" });
        client.post("/apps", new).await.json(201);
    }
    (daemon, client)
}

async fn create(client: &Client, url: &str) -> Value {
    client.post(DRAINS, json!({ "url": url })).await.json(201)
}

fn one(drain: &Value) -> String {
    format!("{DRAINS}/{}", drain.get("id").and_then(Value::as_str).unwrap())
}

#[tokio::test]
async fn create_log_drain_as_documented() {
    let (daemon, client) = with_app().await;
    let mut events = daemon.events().await;
    let body = r#"{"url":"syslog+tls://logs.app.com:44112"}"#;
    let made = client.send_body(Method::POST, DRAINS, body).await.json(201);
    assert_shape(&documented(), &made, &[]);
    assert_eq!(made["url"], "syslog+tls://logs.app.com:44112");
    assert!(made["token"].as_str().unwrap().starts_with("d."), "{made}");
    assert_eq!((&made["state"], &made["state_description"]), (&json!("connecting"), &json!("")));
    assert_eq!(made["dropped"], 0);
    assert_eq!(client.get(&one(&made)).await.json(200), made);
    assert_eq!(events.kinds_so_far().await, ["log_drain_created"]);
}

#[tokio::test]
async fn create_log_drain_takes_each_documented_scheme() {
    let (_daemon, client) = with_app().await;
    for scheme in ["syslog+tls", "syslog", "syslog+udp", "syslog+tcp", "http", "https"] {
        create(&client, &format!("{scheme}://logs.example.com:5000")).await;
    }
}

#[tokio::test]
async fn create_log_drain_refuses_a_bad_or_unknown_scheme_and_a_forbidden_address() {
    let (_daemon, client) = with_app().await;
    for (url, why) in [
        (json!("ftp://logs.example.com"), "its scheme must be syslog+tls, syslog, syslog+udp, https or http"),
        (json!("logs.example.com"), "its scheme must be"),
        (json!(""), "The url is missing"),
        (json!("syslog://169.254.169.254:80"), "metadata service"),
        (json!("syslog://h?insecure=true"), "about TLS"),
    ] {
        let error = client.post(DRAINS, json!({ "url": url })).await.error(422);
        assert!(error.contains(why), "{url}: {error}");
    }
    assert!(client.post(DRAINS, json!({})).await.error(422).contains("The url is missing"));
    client.post(DRAINS, json!({ "url": 5 })).await.error(422);
    assert_eq!(client.get(DRAINS).await.json(200), json!([]));
}

#[tokio::test]
async fn create_log_drain_refuses_a_duplicate_in_any_case_but_not_of_another_app() {
    let (_daemon, client) = with_app().await;
    create(&client, "syslog://logs.example.com:514").await;
    let again = json!({ "url": "  SYSLOG://Logs.example.com:514 " });
    let error = client.post(DRAINS, again.clone()).await.error(409);
    assert!(error.starts_with("The app has a log drain to"), "{error}");
    client.post("/apps/other-default/log-drains", again).await.json(201);
}

#[tokio::test]
async fn create_log_drain_is_limited() {
    let (_daemon, client) = with_app().await;
    for number in 0..20 {
        create(&client, &format!("syslog://logs{number}.example.com")).await;
    }
    let error = client.post(DRAINS, json!({ "url": "syslog://one.more" })).await.error(422);
    assert!(error.contains("has 20 log drains"), "{error}");
}

#[tokio::test]
async fn create_log_drain_keeps_secrets_off_the_disk_and_out_of_answers() {
    let (daemon, client) = with_app().await;
    let made = create(&client, "https://user:hunter2-pass@logs.example.com/in?token=hunter2-token").await;
    assert_eq!(made["url"], "https://user:[redacted]@logs.example.com/in?token=[redacted]");
    let disk = daemon.disk().await;
    assert!(!disk.contains("hunter2"), "a secret is on the disk");
    assert!(!disk.contains(made["token"].as_str().unwrap()), "the token is on the disk");
}

#[tokio::test]
async fn list_log_drains_oldest_first_and_view_log_drain_of_this_app_only() {
    let (_daemon, client) = with_app().await;
    let (zeta, alpha) = (create(&client, "syslog://zeta").await, create(&client, "syslog://alpha").await);
    assert_eq!(client.get(DRAINS).await.json(200), json!([zeta, alpha]));
    assert_shape(&json!([documented()]), &client.get(DRAINS).await.json(200), &[]);
    let id = alpha["id"].as_str().unwrap();
    let error = client.get(&format!("/apps/other-default/log-drains/{id}")).await.error(404);
    assert_eq!(error, format!("The log drain {id} does not exist for this app."));
}

#[tokio::test]
async fn view_log_drain_refuses_what_is_no_id() {
    let (_daemon, client) = with_app().await;
    client.get(&format!("{DRAINS}/not-an-id")).await.error(422);
    client.get(&format!("{DRAINS}/{}", uuid::Uuid::nil())).await.error(404);
}

#[tokio::test]
async fn delete_log_drain_answers_what_was() {
    let (daemon, client) = with_app().await;
    let made = create(&client, "syslog://logs.example.com").await;
    let mut events = daemon.events().await;
    assert_eq!(client.delete(&one(&made)).await.json(200), made);
    client.delete(&one(&made)).await.error(404);
    assert_eq!(client.get(DRAINS).await.json(200), json!([]));
    assert_eq!(events.kinds_so_far().await, ["log_drain_deleted"]);
}

#[tokio::test]
async fn delete_log_drain_happens_with_the_app() {
    let (daemon, client) = with_app().await;
    create(&client, "syslog://logs.example.com").await;
    daemon.admin().delete("/apps/app-default").await.json(200);
    assert_eq!(daemon.count("log_drains"), 0);
}

async fn with_site() -> (TestDaemon, Client) {
    let (daemon, client) = with_app().await;
    for domain in ["shop.example", "other.example"] {
        client.post("/sites", json!({ "domain": domain })).await.json(201);
    }
    (daemon, client)
}

const SITE_DRAINS: &str = "/sites/shop.example/log-drains";

#[tokio::test]
async fn create_site_log_drain_as_documented_and_refuses_as_for_apps() {
    let (daemon, client) = with_site().await;
    let mut events = daemon.events().await;
    let url = json!({ "url": "syslog+tls://logs.app.com:44112" });
    let made = client.post(SITE_DRAINS, url.clone()).await.json(201);
    assert_shape(&documented(), &made, &[]);
    assert_eq!(events.kinds_so_far().await, ["site_log_drain_created"]);
    let error = client.post(SITE_DRAINS, url.clone()).await.error(409);
    assert!(error.starts_with("The site has a log drain to"), "{error}");
    client.post("/sites/other.example/log-drains", url.clone()).await.json(201);
    client.post(DRAINS, url.clone()).await.json(201);
    client.post(SITE_DRAINS, json!({ "url": "ftp://logs" })).await.error(422);
    client.post("/sites/none.example/log-drains", url).await.error(404);
}

#[tokio::test]
async fn list_site_log_drains_and_view_site_log_drain_of_this_site_only() {
    let (_daemon, client) = with_site().await;
    let make = async |url: &str| client.post(SITE_DRAINS, json!({ "url": url })).await.json(201);
    let (zeta, alpha) = (make("syslog://zeta").await, make("syslog://alpha").await);
    create(&client, "syslog://of-the-app").await;
    assert_eq!(client.get(SITE_DRAINS).await.json(200), json!([zeta, alpha]));
    let id = alpha["id"].as_str().unwrap();
    assert_eq!(client.get(&format!("{SITE_DRAINS}/{id}")).await.json(200), alpha);
    for elsewhere in ["/sites/other.example/log-drains", DRAINS] {
        client.get(&format!("{elsewhere}/{id}")).await.error(404);
        client.delete(&format!("{elsewhere}/{id}")).await.error(404);
    }
    let error = client.get(&format!("/sites/other.example/log-drains/{id}")).await.error(404);
    assert_eq!(error, format!("The log drain {id} does not exist for this site."));
}

#[tokio::test]
async fn view_site_log_drain_is_for_those_whom_the_site_belongs_to() {
    let (daemon, client) = with_site().await;
    let made = client.post(SITE_DRAINS, json!({ "url": "syslog://logs" })).await.json(201);
    let one = format!("{SITE_DRAINS}/{}", made["id"].as_str().unwrap());
    daemon.admin().post("/organizations", json!({ "name": "theirs" })).await.json(201);
    daemon.account("mallory", Role::Member, &["theirs"]).await;
    let mallory = daemon.personal("mallory").await;
    mallory.get(SITE_DRAINS).await.error(403);
    mallory.get(&one).await.error(403);
    mallory.delete(&one).await.error(403);
    mallory.post(SITE_DRAINS, json!({ "url": "syslog://theirs" })).await.error(403);
    assert_eq!(client.get(SITE_DRAINS).await.json(200), json!([made]));
}

#[tokio::test]
async fn delete_site_log_drain_answers_what_was_and_is_audited() {
    let (daemon, client) = with_site().await;
    let made = client.post(SITE_DRAINS, json!({ "url": "syslog://logs.example.com" })).await.json(201);
    let mut events = daemon.events().await;
    let one = format!("{SITE_DRAINS}/{}", made["id"].as_str().unwrap());
    assert_eq!(client.delete(&one).await.json(200), made);
    client.delete(&one).await.error(404);
    assert_eq!(events.kinds_so_far().await, ["site_log_drain_deleted"]);
    let audits = daemon.admin().get("/audits").await.text();
    for change in ["create", "delete"] {
        let change = format!(r#""name":{},"type":"{change}""#, made["id"]);
        assert!(audits.contains("logdrain_change") && audits.contains(&change), "{change} in {audits}");
    }
}

#[tokio::test]
async fn create_log_drain_and_its_end_are_audited_as_logdrain_change() {
    let (daemon, client) = with_app().await;
    let made = create(&client, "syslog://logs.example.com").await;
    client.delete(&one(&made)).await.json(200);
    let audits = daemon.admin().get("/audits").await.text();
    for change in ["create", "delete"] {
        let change = format!(r#""name":{},"type":"{change}""#, made["id"]);
        assert!(audits.contains("logdrain_change") && audits.contains(&change), "{change} in {audits}");
    }
}
