//! From a call of the API to what the edge's table says.

use std::sync::Arc;
use std::time::Duration;

use akkerisd::edge::table::{HostRoute, RoutingTable, Upstream};
use akkerisd::model::names::{AppKey, DynoName};
use akkerisd::model::router_limits::RouterLimits;
use akkerisd::reconcile::routes::{PublishedApp, RouteBook};
use akkerisd::reconcile::sites::SitePublisher;
use akkerisd::tasks::Tasks;
use serde_json::json;

use super::{create, id_of, text, with_site};
use crate::sites;
use crate::support::TestDaemon;
use crate::support::wait::wait_until;

const LIMIT: Duration = Duration::from_secs(30);

fn book() -> Arc<RouteBook> {
    Arc::new(RouteBook::new("localhost".to_owned(), "127.0.0.1:5000".parse().unwrap()))
}

async fn follow(daemon: &TestDaemon, book: &Arc<RouteBook>, tasks: &Tasks) {
    SitePublisher::new(daemon.state.store.clone(), Arc::clone(book)).start(tasks).await.unwrap();
}

async fn until(book: &RouteBook, what: &str, holds: impl Fn(&RoutingTable) -> bool) {
    wait_until(what, LIMIT, async || holds(&book.table().load()).then_some(())).await;
}

fn published(released: bool) -> PublishedApp {
    let upstream = Upstream::new(DynoName::new("1", "a"), "127.0.0.1:9000".parse().unwrap());
    let key = AppKey::from_stored("app-default".to_owned());
    PublishedApp {
        key,
        released,
        maintenance: false,
        limits: RouterLimits::default(),
        http2: false,
        hold: None,
        upstreams: vec![upstream],
    }
}

#[tokio::test]
async fn sites_and_routes_of_before_the_start_and_of_afterwards_are_in_the_table() {
    let (daemon, client) = with_site().await;
    let route = create(&client, "/x", "/").await;
    let (book, tasks) = (book(), Tasks::new());
    follow(&daemon, &book, &tasks).await;
    let held = |domain: &'static str| {
        move |table: &RoutingTable| table.site(domain).is_some_and(|site| site.len() == 1)
    };
    assert!(held("shop.example")(&book.table().load()), "a start publishes before it returns");
    sites::create(&client, "two.example").await;
    let body = json!({ "site": "two.example", "app": "app", "source_path": "/" });
    client.post("/routes", body).await.json(201);
    until(&book, "the new route is there", held("two.example")).await;
    client.delete(&format!("/routes/{}", text(&route, "id"))).await.json(200);
    until(&book, "the route is gone", |table| table.site("shop.example").is_some_and(|site| site.is_empty()))
        .await;
    client.delete("/sites/shop.example").await.json(200);
    until(&book, "the site is gone", |table| table.host("shop.example").is_none()).await;
    client.delete("/apps/app-default").await.json(200);
    until(&book, "the app's route is gone", |table| {
        table.site("two.example").is_some_and(|site| site.is_empty())
    })
    .await;
    assert!(tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn a_site_whose_domain_has_become_one_of_the_apps_is_not_served() {
    let (daemon, _client) = with_site().await;
    let (book, tasks) =
        (RouteBook::new("example".to_owned(), "127.0.0.1:5000".parse().unwrap()), Tasks::new());
    let book = Arc::new(book);
    follow(&daemon, &book, &tasks).await;
    assert!(book.table().load().host("shop.example").is_none());
    assert!(matches!(book.table().load().host("api.example"), Some(HostRoute::Api { .. })));
    assert!(tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn an_app_is_published_at_its_host_and_by_its_id_and_only_when_it_changed() {
    let (_daemon, client) = with_site().await;
    let app = id_of(&client, "app-default").await;
    let (book, first) = (book(), published(false));
    book.publish(app, Some(first.clone()));
    let table = book.table().load_full();
    assert!(table.app(app).is_some_and(|app| !app.released));
    assert!(matches!(table.host("app.localhost"), Some(HostRoute::App(route)) if route.id == app));
    assert_eq!(table.addresses().len(), 2, "the API's and the dyno's");
    book.publish(app, Some(first.clone()));
    assert!(Arc::ptr_eq(&table, &book.table().load_full()), "nothing was published for no change");
    book.publish(app, Some(PublishedApp { released: true, ..first }));
    assert!(book.table().load().app(app).is_some_and(|app| app.released));
    assert!(table.app(app).is_some_and(|app| !app.released), "who reads an older table sees no change");
    book.publish(app, None);
    let table = book.table().load_full();
    assert!(table.app(app).is_none() && table.host("app.localhost").is_none());
}
