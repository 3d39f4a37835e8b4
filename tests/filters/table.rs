//! From a call of the API to what the edge's table says.

use std::sync::Arc;
use std::time::Duration;

use akkerisd::edge::filters::Filters;
use akkerisd::edge::table::{RoutingTable, Upstream};
use akkerisd::model::ids::AppId;
use akkerisd::model::names::{AppKey, DynoName};
use akkerisd::model::router_limits::RouterLimits;
use akkerisd::outbound::Outbound;
use akkerisd::reconcile::filters::FilterPublisher;
use akkerisd::reconcile::issuer_keys::{IssuerKeys, KeyTiming};
use akkerisd::reconcile::kept_keys::KeptKeys;
use akkerisd::reconcile::routes::{PublishedApp, RouteBook};
use akkerisd::tasks::Tasks;
use serde_json::{Value, json};

use super::{attach, create, put, text, typed, with_app};
use crate::support::wait::wait_until;
use crate::support::{Client, TestDaemon};

const LIMIT: Duration = Duration::from_secs(30);

/// A table that follows a daemon.
struct Followed {
    book: Arc<RouteBook>,
    tasks: Tasks,
    app: AppId,
}

impl Followed {
    async fn of(daemon: &TestDaemon, client: &Client) -> Self {
        let book = Arc::new(RouteBook::new("localhost".to_owned(), "127.0.0.1:5000".parse().unwrap()));
        let (tasks, state) = (Tasks::new(), &daemon.state);
        let kept = KeptKeys::new(state.store.clone(), state.clock.clone());
        let keys = IssuerKeys::new(Outbound::new(false).unwrap(), tasks.clone(), KeyTiming::default(), kept);
        let (store, sealer) = (state.store.clone(), state.sealer.clone());
        FilterPublisher::new(store, sealer, Arc::clone(&book), keys).start(&tasks).await.unwrap();
        let app = text(&client.get("/apps/app-default").await.json(200), "id").parse().unwrap();
        Self { book, tasks, app }
    }

    fn publish(&self) {
        let upstream = Upstream::new(DynoName::new("1", "a"), "127.0.0.1:9000".parse().unwrap());
        let key = AppKey::from_stored("app-default".to_owned());
        let route = PublishedApp {
            key,
            released: true,
            maintenance: false,
            limits: RouterLimits::default(),
            http2: false,
            hold: None,
            upstreams: vec![upstream],
        };
        self.book.publish(self.app, Some(route));
    }

    fn is_filtered(&self) -> bool {
        self.table().app(self.app).is_some_and(|app| app.filters.is_some())
    }

    fn table(&self) -> Arc<RoutingTable> {
        self.book.table().load_full()
    }

    /// Waits until another table is published than this one.
    async fn until_changed(&self, before: &Arc<RoutingTable>) {
        wait_until("the table changes", LIMIT, async || (!Arc::ptr_eq(before, &self.table())).then_some(()))
            .await;
    }
}

fn csp(policy: &str) -> Value {
    typed("csp", &json!({ "policy": policy }))
}

#[tokio::test]
async fn an_app_comes_into_the_table_with_what_was_attached_before_the_start() {
    let (daemon, client) = with_app().await;
    create(&client, &csp("x")).await;
    attach(&client, "csp", &json!({})).await;
    let followed = Followed::of(&daemon, &client).await;
    assert!(followed.book.filters(followed.app).is_some() && followed.table().app(followed.app).is_none());
    followed.publish();
    assert!(followed.is_filtered());
    followed.book.publish(followed.app, None);
    assert!(followed.book.filters(followed.app).is_none(), "nothing is left of an app that went");
    assert!(followed.tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn a_deleted_app_is_served_with_its_filters_to_the_end() {
    let (daemon, client) = with_app().await;
    create(&client, &csp("x")).await;
    attach(&client, "csp", &json!({})).await;
    let followed = Followed::of(&daemon, &client).await;
    followed.publish();
    followed.book.forget_filters(followed.app);
    assert!(followed.is_filtered() && followed.book.filters(followed.app).is_some());
    followed.book.publish(followed.app, None);
    followed.book.publish_filters(followed.app, Some(Filters::default()));
    client.delete("/apps/app-default").await.json(200);
    wait_until("nothing is left", LIMIT, async || {
        followed.book.filters(followed.app).is_none().then_some(())
    })
    .await;
    assert!(followed.tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn each_change_of_what_is_in_force_publishes_a_table_with_the_same_dynos() {
    let (daemon, client) = with_app().await;
    let followed = Followed::of(&daemon, &client).await;
    followed.publish();
    let dynos = followed.table().addresses();
    create(&client, &csp("x")).await;
    let mut before = followed.table();
    let made = attach(&client, "csp", &json!({})).await;
    followed.until_changed(&before).await;
    assert!(followed.is_filtered());
    let path = format!("/apps/app-default/filters/{}", text(&made, "id"));
    before = followed.table();
    put(&client, "/filters/csp", &csp("y")).await.json(200);
    followed.until_changed(&before).await;
    before = followed.table();
    put(&client, &path, &json!({ "options": { "excludes": ["/a"] } })).await.json(200);
    followed.until_changed(&before).await;
    assert!(followed.is_filtered());
    before = followed.table();
    client.delete(&path).await.json(200);
    followed.until_changed(&before).await;
    assert!(!followed.is_filtered());
    assert_eq!(followed.table().addresses(), dynos);
    assert!(followed.tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn a_feature_that_asks_for_a_policy_is_in_force_while_it_is_on() {
    let (daemon, client) = with_app().await;
    let followed = Followed::of(&daemon, &client).await;
    followed.publish();
    for enabled in [true, false] {
        let before = followed.table();
        client.patch("/apps/app-default/features/csp-media", json!({ "enabled": enabled })).await.json(200);
        followed.until_changed(&before).await;
        assert_eq!(followed.is_filtered(), enabled);
    }
    assert!(followed.tasks.stop(LIMIT).await);
}
