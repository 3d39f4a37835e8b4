//! Installed certificates, walked as the document shows them.

use std::time::Duration;

use akkerisd::certs::Installation;
use akkerisd::model::account::Role;
use akkerisd::tasks::Tasks;
use http::Method;
use serde_json::{Value, json};

use crate::ssl_orders::{documented, order, self_signed};
use crate::support::wait::wait_until;
use crate::support::{Client, TestDaemon, assert_shape};

async fn installed(client: &Client, name: &str, domain: &str) -> Value {
    client.post("/ssl-orders", order(name, &[domain])).await.json(201);
    let body = self_signed(&[domain]).to_string();
    client.send_body(Method::PUT, &format!("/ssl-orders/{name}"), body).await.json(201)
}

#[tokio::test]
async fn list_ssl_endpoints_as_documented_shows_what_is_installed() {
    let daemon = TestDaemon::start().await;
    let client = daemon.personal("alice").await;
    client.post("/ssl-orders", order("waits", &["waits.example.com"])).await.json(201);
    assert_eq!(client.get("/ssl-endpoints").await.json(200), json!([]));
    let one = installed(&client, "one", "one.example.com").await;
    let all = client.get("/ssl-endpoints").await.json(200);
    assert_shape(&json!([documented()]), &all, &[]);
    assert_eq!(all, json!([one]));
}

#[tokio::test]
async fn view_ssl_endpoint_as_documented_with_its_chain_and_never_its_key() {
    let daemon = TestDaemon::start().await;
    let client = daemon.personal("alice").await;
    let made = installed(&client, "one", "one.example.com").await;
    let seen = client.get("/ssl-endpoints/one").await;
    assert!(!seen.text().contains("PRIVATE KEY"));
    let seen = seen.json(200);
    assert_shape(&documented(), &seen, &[]);
    assert!(seen["certificate_chain"].as_str().unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(client.get(&format!("/ssl-endpoints/{}", made["id"].as_str().unwrap())).await.json(200), seen);
    client.post("/ssl-orders", order("waits", &["waits.example.com"])).await.json(201);
    let waits = client.get("/ssl-endpoints/waits").await.error(404);
    assert!(waits.contains("is not installed"), "{waits}");
    client.get("/ssl-endpoints/none").await.error(404);
}

#[tokio::test]
async fn when_an_installed_certificate_ends_is_told_to_who_reaches_everything() {
    const LIMIT: Duration = Duration::from_secs(30);
    let (daemon, tasks) = (TestDaemon::start().await, Tasks::new());
    let client = daemon.admin();
    let (store, sealer) = (daemon.state.store.clone(), daemon.state.sealer.clone());
    Installation { store, sealer, book: daemon.certificates.clone() }.start(&tasks).await.unwrap();
    installed(&client, "one", "one.example.com").await;
    let line = "akkerisd_certificate_expiry_timestamp_seconds{name=\"one\",source=\"order\"}";
    wait_until("the gauge is there", LIMIT, async || {
        client.get("/metrics").await.text().contains(line).then_some(())
    })
    .await;
    daemon.account("bob", Role::Member, &["akkeris"]).await;
    assert!(!daemon.personal("bob").await.get("/metrics").await.text().contains("certificate_expiry"));
    client.delete("/ssl-orders/one").await.json(200);
    wait_until("the gauge is gone", LIMIT, async || {
        (!client.get("/metrics").await.text().contains(line)).then_some(())
    })
    .await;
    assert!(tasks.stop(LIMIT).await);
}
