//! Orders of certificates, walked as the document shows them, and what it leaves open.

use std::sync::Arc;
use std::time::Duration;

use akkerisd::certs::{
    AutoOrders, IssueError, Issuer, Issuers, LocalAuthority, Orders, OrdersParts, RenewalWindow,
};
use akkerisd::chain::Chain;
use akkerisd::clock::Clock;
use akkerisd::model::account::Role;
use akkerisd::model::certificate::{Certificate, IssuerKind};
use akkerisd::model::time::Timestamp;
use akkerisd::store::certificates::KeyedChain;
use akkerisd::tasks::Tasks;
use async_trait::async_trait;
use http::Method;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::support::wait::wait_until;
use crate::support::{Client, TestDaemon, assert_shape};

/// Longer than anything here takes.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn documented() -> Value {
    json!({
        "created_at": "2016-07-26T15:47:33.411Z",
        "id": "7edbac4b-6a5e-09e1-ef3a-08084a904621",
        "name": "my-cert",
        "comments": "We need a new cert for our platform work",
        "requester": { "name": "Sammy Smith" },
        "organization": { "id": "7edbac4b-6a5e-09e1-ef3a-08084a904621", "name": "performance" },
        "common_name": "www.example.com",
        "domain_names": ["example.com"],
        "installed": false,
        "status": "pending",
        "region": { "id": "888bac4b-6a5e-09e1-ef3a-08084a904621", "name": "us-seattle" },
        "expires": "2016-07-26T15:47:33.411Z",
        "issued": "2016-07-26T15:47:33.411Z",
        "updated_at": "2016-07-26T15:47:33.411Z",
        "type": "multi_domain"
    })
}

/// An order for these domains, the first of which is the common name.
pub(crate) fn order(name: &str, domains: &[&str]) -> Value {
    json!({ "name": name, "common_name": domains.first(), "domain_names": domains, "org": "akkeris" })
}

/// A chain for these domains that signs itself, and its key.
pub(crate) fn self_signed(domains: &[&str]) -> Value {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = domains.iter().map(|&name| name.to_owned()).collect();
    let chain = CertificateParams::new(names).unwrap().self_signed(&key).unwrap().pem();
    json!({ "certificate_chain": chain, "private_key": key.serialize_pem() })
}

/// The worker of the orders with the local authority.
pub(crate) fn work(daemon: &TestDaemon, tasks: &Tasks) -> Orders {
    let authority = LocalAuthority::open(&daemon.dir.path().join("ca"), daemon.state.clock.clone()).unwrap();
    work_with(daemon, tasks, Arc::new(authority))
}

fn work_with(daemon: &TestDaemon, tasks: &Tasks, local: Arc<dyn Issuer>) -> Orders {
    let parts = OrdersParts {
        store: daemon.state.store.clone(),
        sealer: daemon.state.sealer.clone(),
        clock: daemon.state.clock.clone(),
        issuers: Issuers { local, acme: None },
    };
    Orders::start(parts, tasks)
}

/// Waits until an order has that status.
pub(crate) async fn wait_for(client: &Client, name: &str, status: &str) -> Value {
    wait_until(&format!("{name} is {status}"), LIMIT, async || {
        let order = client.get(&format!("/ssl-orders/{name}")).await.json(200);
        (order.get("status").is_some_and(|found| found == status)).then_some(order)
    })
    .await
}

#[tokio::test]
async fn create_ssl_order_as_documented() {
    let daemon = TestDaemon::start().await;
    let client = daemon.personal("alice").await;
    client.post("/organizations", json!({ "name": "performance" })).await.json(201);
    let body = r#"{"name":"my-cert", "common_name":"www.example.com", "domain_names":["example.com","www.example.com","qa.example.com","dev.example.com"], "org":"performance", "comments":"We need a new cert for our platform work"}"#;
    let made = client.send_body(Method::POST, "/ssl-orders", body).await.json(201);
    assert_shape(&documented(), &made, &["issued", "expires"]);
    assert_eq!((&made["status"], &made["installed"]), (&json!("pending"), &json!(false)));
    assert_eq!((&made["type"], &made["requester"]["name"]), (&json!("multi_domain"), &json!("alice")));
    assert_eq!((&made["organization"]["name"], &made["issuer"]), (&json!("performance"), &json!("local")));
    assert_eq!(made["domain_names"].as_array().unwrap().len(), 4);
    assert_eq!(client.get("/ssl-orders/my-cert").await.json(200), made);
    for (name, domains, kind) in [
        ("one", vec!["one.example.com"], "ssl_plus"),
        ("star", vec!["*.example.org", "example.org"], "wildcard"),
    ] {
        assert_eq!(client.post("/ssl-orders", order(name, &domains)).await.json(201)["type"], kind);
    }
}

#[tokio::test]
async fn create_ssl_order_refuses_what_is_missing_unusable_or_taken() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    client.post("/ssl-orders", order("taken", &["a.example.com", "*.example.net"])).await.json(201);
    let good = order("new", &["b.example.com"]);
    let but = |field: &str, value: Value| {
        let mut body = good.clone();
        body.as_object_mut().unwrap().insert(field.to_owned(), value);
        body
    };
    for (field, value, status) in [
        ("name", json!(""), 422),
        ("name", json!("a b"), 422),
        ("name", json!("Taken"), 422),
        ("name", json!(7), 422),
        ("common_name", json!(""), 422),
        ("common_name", json!("other.example.com"), 422),
        ("common_name", json!("no domain"), 400),
        ("domain_names", json!([]), 422),
        ("domain_names", json!(["b.example.com", "-x.example.com"]), 400),
        ("domain_names", json!(["b.example.com", "127.0.0.1"]), 400),
        ("domain_names", json!(["b.example.com", "a.example.com"]), 422),
        ("domain_names", json!(["b.example.com", "*.example.net"]), 422),
        ("domain_names", json!("b.example.com"), 422),
        ("org", json!(""), 422),
        ("org", json!("nobody"), 404),
        ("comments", json!("x".repeat(2048)), 422),
        ("issuer", json!("verisign"), 422),
        ("issuer", json!("acme"), 422),
    ] {
        client.post("/ssl-orders", but(field, value)).await.error(status);
    }
    client.send_body(Method::POST, "/ssl-orders", "").await.error(400);
    assert_eq!(client.get("/ssl-orders").await.json(200).as_array().unwrap().len(), 1);
    let message = client.post("/ssl-orders", order("new", &["a.example.com"])).await.error(422);
    assert!(message.contains("a.example.com is covered by the certificate taken"), "{message}");
    // A wildcard that covers a name does not keep it from being ordered by itself.
    client.post("/ssl-orders", order("new", &["x.example.net"])).await.json(201);
}

#[tokio::test]
async fn create_ssl_order_within_the_apps_domain_is_for_administrators() {
    let daemon = TestDaemon::start().await;
    let wanted = order("theirs", &["web.localhost"]);
    daemon.personal("alice").await.post("/ssl-orders", wanted.clone()).await.error(403);
    daemon.admin().post("/ssl-orders", wanted).await.json(201);
}

#[tokio::test]
async fn orders_of_another_organization_are_out_of_reach() {
    let daemon = TestDaemon::start().await;
    let admin = daemon.admin();
    admin.post("/organizations", json!({ "name": "theirs" })).await.json(201);
    let mut body = order("secret", &["secret.example.com"]);
    body.as_object_mut().unwrap().insert("org".to_owned(), json!("theirs"));
    admin.post("/ssl-orders", body.clone()).await.json(201);
    daemon.account("mallory", Role::Member, &["akkeris"]).await;
    let mallory = daemon.personal("mallory").await;
    assert_eq!(mallory.get("/ssl-orders").await.json(200), json!([]));
    mallory.get("/ssl-orders/secret").await.error(403);
    mallory.get("/ssl-endpoints/secret").await.error(403);
    mallory.send(Method::PUT, "/ssl-orders/secret").await.error(403);
    mallory.delete("/ssl-orders/secret").await.error(403);
    body.as_object_mut().unwrap().insert("name".to_owned(), json!("other"));
    mallory.post("/ssl-orders", body).await.error(403);
}

#[tokio::test]
async fn create_ssl_order_for_the_site_of_another_organization_is_refused() {
    let daemon = TestDaemon::start().await;
    let admin = daemon.admin();
    admin.post("/organizations", json!({ "name": "theirs" })).await.json(201);
    let site = json!({ "domain": "shop.example.com", "region": "us-seattle", "organization": "theirs" });
    admin.post("/sites", site).await.json(201);
    daemon.account("mallory", Role::Member, &["akkeris"]).await;
    let mallory = daemon.personal("mallory").await;
    for grabbed in ["shop.example.com", "*.example.com"] {
        mallory.post("/ssl-orders", order("grab", &["mine.example.org", grabbed])).await.error(403);
    }
    mallory.post("/ssl-orders", order("deep", &["*.shop.example.com"])).await.json(201);
    admin.post("/ssl-orders", order("fine", &["shop.example.com"])).await.json(201);
}

/// The installed certificates, by their common names in order.
async fn endpoints(client: &Client) -> Vec<String> {
    let all = client.get("/ssl-endpoints").await.json(200);
    let name = |one: &Value| one.get("common_name").and_then(Value::as_str).map(str::to_owned);
    let mut names: Vec<String> = all.as_array().unwrap().iter().filter_map(name).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_site_without_an_order_gets_one_by_itself_and_loses_it_with_the_site() {
    let (daemon, tasks) = (TestDaemon::start().await, Tasks::new());
    let client = daemon.admin();
    let site = |domain: &str| json!({ "domain": domain, "region": "us-seattle" });
    client.post("/sites", site("first.example.com")).await.json(201);
    client.post("/ssl-orders", order("own", &["own.example.com"])).await.json(201);
    let own = self_signed(&["own.example.com"]).to_string();
    client.send_body(Method::PUT, "/ssl-orders/own", own).await.json(201);
    let _orders = work(&daemon, &tasks);
    let (store, ids) = (daemon.state.store.clone(), daemon.state.ids.clone());
    AutoOrders { store, ids, issuer: IssuerKind::Local }.start(&tasks);
    client.post("/sites", site("second.example.com")).await.json(201);
    client.post("/sites", site("own.example.com")).await.json(201);
    let all = ["first.example.com", "own.example.com", "second.example.com"];
    wait_until("each site has a certificate", LIMIT, async || {
        (endpoints(&client).await == all).then_some(())
    })
    .await;
    let automatic = client.get("/ssl-endpoints/auto-first.example.com").await.json(200);
    assert_eq!(automatic["requester"]["name"], "akkeris");
    client.delete("/sites/own.example.com").await.json(200);
    client.delete("/sites/first.example.com").await.json(200);
    let left = ["own.example.com", "second.example.com"];
    wait_until("the automatic one goes with its site", LIMIT, async || {
        (endpoints(&client).await == left).then_some(())
    })
    .await;
    assert!(tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn list_ssl_orders_and_view_ssl_order_show_what_is_not_installed() {
    let (daemon, tasks) = (TestDaemon::start().await, Tasks::new());
    let client = daemon.personal("alice").await;
    assert_eq!(client.get("/ssl-orders").await.json(200), json!([]));
    client.post("/ssl-orders", order("one", &["one.example.com"])).await.json(201);
    client.post("/ssl-orders", order("two", &["two.example.com"])).await.json(201);
    let _orders = work(&daemon, &tasks);
    let one = wait_for(&client, "one", "issued").await;
    let two = wait_for(&client, "two", "issued").await;
    assert_shape(&documented(), &one, &[]);
    assert_eq!(client.get("/ssl-orders").await.json(200), json!([one, two]));
    client.send(Method::PUT, "/ssl-orders/one").await.json(201);
    assert_eq!(client.get("/ssl-orders").await.json(200), json!([two]));
    assert_eq!(client.get(&format!("/ssl-orders/{}", two["id"].as_str().unwrap())).await.json(200), two);
    assert_eq!(client.get("/ssl-orders/none").await.error(404), "The certificate none does not exist.");
    assert!(tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn install_ssl_order_as_documented_once_it_is_issued_and_not_twice() {
    let (daemon, tasks) = (TestDaemon::start().await, Tasks::new());
    let client = daemon.personal("alice").await;
    client.post("/ssl-orders", order("my-cert", &["www.example.com"])).await.json(201);
    let early = client.send(Method::PUT, "/ssl-orders/my-cert").await.error(422);
    assert!(early.contains("is pending"), "{early}");
    let _orders = work(&daemon, &tasks);
    wait_for(&client, "my-cert", "issued").await;
    let installed = client.send(Method::PUT, "/ssl-orders/my-cert").await.json(201);
    assert_shape(&documented(), &installed, &[]);
    assert_eq!((&installed["installed"], &installed["status"]), (&json!(true), &json!("issued")));
    client.send(Method::PUT, "/ssl-orders/my-cert").await.error(409);
    client.send(Method::PUT, "/ssl-orders/none").await.error(404);
    assert!(tasks.stop(LIMIT).await);
    let disk = daemon.disk().await;
    assert!(!disk.contains("PRIVATE KEY"), "the key lies sealed");
    assert!(disk.contains("BEGIN CERTIFICATE"), "the chain lies in the clear");
}

#[tokio::test]
async fn install_ssl_order_takes_a_chain_and_a_key_that_fit() {
    let daemon = TestDaemon::start().await;
    let client = daemon.personal("alice").await;
    let mut body = order("own", &["own.example.com", "*.own.example.com"]);
    body.as_object_mut().unwrap().insert("issuer".to_owned(), json!("upload"));
    client.post("/ssl-orders", body).await.json(201);
    let hint = client.send(Method::PUT, "/ssl-orders/own").await.error(422);
    assert!(hint.contains("certificate_chain"), "{hint}");
    let upload = |body: Value| client.send_body(Method::PUT, "/ssl-orders/own", body.to_string());
    let fitting = self_signed(&["own.example.com", "*.own.example.com"]);
    let half = |name: &str| json!({ name: fitting[name] });
    let mixed = json!({
        "certificate_chain": fitting["certificate_chain"],
        "private_key": self_signed(&["own.example.com"])["private_key"],
    });
    let unreadable = json!({ "certificate_chain": "x", "private_key": "y" });
    for bad in [half("certificate_chain"), half("private_key"), mixed, unreadable] {
        upload(bad).await.error(422);
    }
    let uncovered = upload(self_signed(&["own.example.com"])).await.error(422);
    assert_eq!(uncovered, "The certificate does not cover *.own.example.com.");
    upload(json!([])).await.error(400);
    let installed = upload(fitting).await.json(201);
    assert_eq!((&installed["installed"], &installed["issuer"]), (&json!(true), &json!("upload")));
    // A newer one takes its place at once.
    upload(self_signed(&["*.own.example.com", "own.example.com"])).await.json(201);
    client.send(Method::PUT, "/ssl-orders/own").await.error(409);
    assert!(!daemon.disk().await.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn delete_ssl_order_frees_its_name_and_its_domains() {
    let daemon = TestDaemon::start().await;
    let client = daemon.personal("alice").await;
    let made = client.post("/ssl-orders", order("gone", &["gone.example.com"])).await.json(201);
    assert_eq!(client.delete("/ssl-orders/gone").await.json(200), made);
    client.delete("/ssl-orders/gone").await.error(404);
    client.get("/ssl-orders/gone").await.error(404);
    client.post("/ssl-orders", order("gone", &["gone.example.com"])).await.json(201);
}

/// Refuses for good, or fails until it is asked often enough.
#[derive(Debug)]
struct Moody {
    authority: LocalAuthority,
    refuses: bool,
    left: std::sync::atomic::AtomicU32,
}

#[async_trait]
impl Issuer for Moody {
    async fn issue(&self, certificate: &Certificate) -> Result<KeyedChain, IssueError> {
        use std::sync::atomic::Ordering::SeqCst;
        if self.refuses {
            return Err(IssueError::Refused("The domain is on a list.".to_owned()));
        }
        if self.left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
            return Err(IssueError::Failed("Nobody answers.".to_owned()));
        }
        self.authority.issue(certificate).await
    }
}

fn moody(daemon: &TestDaemon, refuses: bool, failures: u32) -> Arc<Moody> {
    let authority = LocalAuthority::open(&daemon.dir.path().join("ca"), daemon.state.clock.clone()).unwrap();
    Arc::new(Moody { authority, refuses, left: failures.into() })
}

/// Waits until an attempt has failed and the order waits for the next one.
async fn failed_once_more(client: &Client, name: &str) {
    let failed = |order: &Value| order["reason"] == "Nobody answers." && order["status"] == "pending";
    wait_until("an attempt failed", LIMIT, async || {
        let order = client.get(&format!("/ssl-orders/{name}")).await.json(200);
        failed(&order).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_order_that_fails_says_why_and_is_tried_again_later() {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let (daemon, tasks) = (TestDaemon::at(clock.clone()).await, Tasks::new());
    let client = daemon.personal("alice").await;
    let orders = work_with(&daemon, &tasks, moody(&daemon, false, 2));
    client.post("/ssl-orders", order("late", &["late.example.com"])).await.json(201);
    failed_once_more(&client, "late").await;
    clock.advance(Duration::from_secs(90));
    orders.wake();
    failed_once_more(&client, "late").await;
    wait_until("the third attempt succeeds", LIMIT, async || {
        clock.advance(Duration::from_mins(5));
        orders.wake();
        let order = client.get("/ssl-orders/late").await.json(200);
        (order["status"] == "issued").then_some(())
    })
    .await;
    assert_eq!(client.get("/ssl-orders/late").await.json(200)["reason"], "");
    assert!(tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn an_order_that_is_refused_is_rejected_and_its_domains_are_free() {
    let (daemon, tasks) = (TestDaemon::start().await, Tasks::new());
    let client = daemon.personal("alice").await;
    let _orders = work_with(&daemon, &tasks, moody(&daemon, true, 0));
    client.post("/ssl-orders", order("bad", &["bad.example.com"])).await.json(201);
    let rejected = wait_for(&client, "bad", "rejected").await;
    assert_eq!(rejected["reason"], "The domain is on a list.");
    let refused = client.send(Method::PUT, "/ssl-orders/bad").await.error(422);
    assert!(refused.contains("The domain is on a list."), "{refused}");
    client.post("/ssl-orders", order("bad2", &["bad.example.com"])).await.json(201);
    assert!(tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn an_installed_certificate_is_renewed_with_a_third_of_its_life_left() {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let (daemon, tasks) = (TestDaemon::at(clock.clone()).await, Tasks::new());
    let client = daemon.personal("alice").await;
    let orders = work(&daemon, &tasks);
    client.post("/ssl-orders", order("kept", &["kept.example.com"])).await.json(201);
    wait_for(&client, "kept", "issued").await;
    client.send(Method::PUT, "/ssl-orders/kept").await.json(201);
    let first = client.get("/ssl-endpoints/kept").await.json(200);
    clock.advance(Duration::from_hours(61 * 24));
    orders.wake();
    let renewed = wait_until("it is renewed", LIMIT, async || {
        let now = client.get("/ssl-endpoints/kept").await.json(200);
        (now["expires"] != first["expires"]).then_some(now)
    })
    .await;
    assert_eq!((&renewed["installed"], &renewed["status"]), (&json!(true), &json!("issued")));
    assert_ne!(renewed["certificate_chain"], first["certificate_chain"]);
    assert!(tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn what_the_local_authority_issues_is_a_chain_that_can_be_served() {
    let (daemon, tasks) = (TestDaemon::start().await, Tasks::new());
    let _orders = work(&daemon, &tasks);
    let client = daemon.admin();
    client.post("/ssl-orders", order("star", &["*.example.com", "example.com"])).await.json(201);
    wait_for(&client, "star", "issued").await;
    let installed = client.send(Method::PUT, "/ssl-orders/star").await.json(201);
    let id: akkerisd::model::ids::CertificateId = installed["id"].as_str().unwrap().parse().unwrap();
    let sealer = daemon.state.sealer.clone();
    let keyed = daemon.state.store.read(move |c| akkerisd::store::certificates::keyed_chain(c, &sealer, id));
    let keyed = keyed.await.unwrap().unwrap();
    let chain = Chain::parse(&keyed.chain, &keyed.key).unwrap();
    assert_eq!(chain.certified().cert.len(), 2, "the leaf and the authority");
    assert!(chain.names().contains("*.example.com") && chain.names().contains("example.com"));
    assert!(tasks.stop(LIMIT).await);
}

/// Signs, and says when it wants a certificate renewed.
#[derive(Debug)]
struct Recalling {
    authority: LocalAuthority,
    window: std::sync::Mutex<RenewalWindow>,
}

#[async_trait]
impl Issuer for Recalling {
    async fn issue(&self, certificate: &Certificate) -> Result<KeyedChain, IssueError> {
        self.authority.issue(certificate).await
    }

    async fn renewal_window(&self, _chain: &Chain) -> Result<Option<RenewalWindow>, IssueError> {
        Ok(Some(*self.window.lock().unwrap()))
    }
}

#[tokio::test]
async fn a_certificate_is_renewed_when_its_issuer_wants_it_and_not_before() {
    const DAY: Duration = Duration::from_hours(24);
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let (daemon, tasks) = (TestDaemon::at(clock.clone()).await, Tasks::new());
    let client = daemon.personal("alice").await;
    let authority = LocalAuthority::open(&daemon.dir.path().join("ca"), clock.clone()).unwrap();
    let start = clock.now().plus(80 * DAY);
    let window = RenewalWindow { start, end: start, ask_again: DAY };
    let issuer = Arc::new(Recalling { authority, window: window.into() });
    let orders = work_with(&daemon, &tasks, Arc::clone(&issuer) as Arc<dyn Issuer>);
    client.post("/ssl-orders", order("asked", &["asked.example.com"])).await.json(201);
    let first = wait_for(&client, "asked", "issued").await;
    // Two thirds of the lifetime are over, and the issuer still says later.
    clock.advance(70 * DAY);
    orders.wake();
    client.post("/ssl-orders", order("other", &["other.example.com"])).await.json(201);
    wait_for(&client, "other", "issued").await;
    assert_eq!(client.get("/ssl-orders/asked").await.json(200)["expires"], first["expires"]);
    // It recalls what it signed.
    *issuer.window.lock().unwrap() = RenewalWindow { start: clock.now(), end: clock.now(), ..window };
    clock.advance(2 * DAY);
    orders.wake();
    wait_until("it is renewed", LIMIT, async || {
        let now = client.get("/ssl-orders/asked").await.json(200);
        (now["expires"] != first["expires"]).then_some(())
    })
    .await;
    assert!(tasks.stop(LIMIT).await);
}
