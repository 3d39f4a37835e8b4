//! Drains of sites: the router lines of every request by a site, and nothing kept for a site without a drain.

use std::path::PathBuf;
use std::time::Duration;

use akkerisd::edge::{AccessRecord, AccessRecords};
use akkerisd::logs::RouterLines;
use akkerisd::model::ids::{AppId, SiteId};
use akkerisd::model::time::Timestamp;
use serde_json::{Value, json};

use super::{Draining, WAIT};
use crate::support::line_sink::LineSink;
use crate::support::wait::wait_until;

const SITE: &str = "/sites/shop.example";

struct SiteDraining {
    draining: Draining,
    site: SiteId,
    other: SiteId,
}

impl SiteDraining {
    async fn start() -> Self {
        let draining = Draining::start().await;
        let site = make(&draining, "shop.example").await;
        let other = make(&draining, "other.example").await;
        Self { draining, site, other }
    }

    /// The path of a new drain that is connected.
    async fn connected(&self, sink: &LineSink) -> String {
        let drains = format!("{SITE}/log-drains");
        let url = format!("syslog://{}", sink.address);
        let made = self.draining.client.post(&drains, json!({ "url": url })).await.json(201);
        let drain = format!("{drains}/{}", made.get("id").and_then(Value::as_str).unwrap());
        self.draining.wait_for_state(&drain, "connected").await;
        drain
    }

    /// A request of that name to the app by the site.
    async fn request(&self, app: AppId, site: Option<SiteId>, name: &str) {
        let record = AccessRecord {
            app,
            site,
            at: Timestamp::from_millis(1_767_225_600_123),
            status: 200,
            total: Duration::ZERO,
            trace: None,
        };
        let mut records = AccessRecords::default();
        let line = format!("request_id={name} status=200 service=0ms connect=0ms total=0ms bytes=7");
        records.push(record, &line);
        RouterLines::new(self.draining.rings.clone()).write(records).await;
    }

    fn folder(&self, site: SiteId) -> PathBuf {
        self.draining.daemon.dir.path().join(format!("drained-logs/site-{site}"))
    }

    async fn wait_for_no_ring(&self) {
        let folder = self.folder(self.site);
        wait_until("the site's log is gone", WAIT, async || (!folder.exists()).then_some(())).await;
    }
}

async fn make(draining: &Draining, domain: &str) -> SiteId {
    let made = draining.client.post("/sites", json!({ "domain": domain })).await.json(201);
    made.get("id").and_then(Value::as_str).unwrap().parse().unwrap()
}

fn ids(sink: &LineSink) -> Vec<String> {
    let id = |text: &String| text.split(' ').next().unwrap().trim_start_matches("request_id=").to_owned();
    sink.texts().iter().map(id).collect()
}

#[tokio::test]
async fn a_drain_of_a_site_gets_the_router_lines_of_its_requests_whatever_app_answered() {
    let sites = SiteDraining::start().await;
    let (sink, of_app) = (LineSink::tcp().await, LineSink::tcp().await);
    sites.connected(&sink).await;
    sites.draining.connected(&format!("syslog://{}", of_app.address)).await;
    let (app, second) = (sites.draining.app, AppId::new(uuid::Uuid::now_v7()));
    sites.draining.write(&["a line of a dyno".to_owned()]).await;
    sites.request(app, Some(sites.site), "first").await;
    sites.request(app, Some(sites.other), "by-another-site").await;
    sites.request(app, None, "by-the-own-host").await;
    sites.request(second, Some(sites.site), "of-another-app").await;
    sink.wait_for(2).await;
    assert_eq!(ids(&sink), ["first", "of-another-app"]);
    assert_eq!(
        sink.lines().first().unwrap(),
        "<14>1 2026-01-01T00:00:00.123000Z shop.example akkeris/router - - - request_id=first status=200 \
         service=0ms connect=0ms total=0ms bytes=7"
    );
    of_app.wait_for(4).await;
    assert_eq!(ids(&of_app).split_off(1), ["first", "by-another-site", "by-the-own-host"]);
}

#[tokio::test]
async fn a_site_without_a_drain_has_no_log_and_that_of_another_goes_with_its_last_drain() {
    let sites = SiteDraining::start().await;
    let (one, two) = (LineSink::tcp().await, LineSink::tcp().await);
    let (first, last) = (&sites.connected(&one).await, &sites.connected(&two).await);
    let app = sites.draining.app;
    sites.request(app, Some(sites.site), "first").await;
    sites.request(app, Some(sites.other), "elsewhere").await;
    assert!(!sites.folder(sites.other).exists(), "something is kept for nobody");
    one.wait_for(1).await;
    sites.draining.client.delete(first).await.json(200);
    wait_until("the connection is closed", WAIT, async || (one.open() == 0).then_some(())).await;
    sites.request(app, Some(sites.site), "second").await;
    two.wait_for(2).await;
    assert_eq!((ids(&one), ids(&two)), (vec!["first".to_owned()], vec!["first".into(), "second".into()]));
    sites.draining.client.delete(last).await.json(200);
    sites.wait_for_no_ring().await;
    sites.request(app, Some(sites.site), "third").await;
    assert!(!sites.folder(sites.site).exists(), "a line brought the log back");
}

#[tokio::test]
async fn a_sites_drains_and_their_log_go_with_the_site() {
    let sites = SiteDraining::start().await;
    let sink = LineSink::tcp().await;
    sites.connected(&sink).await;
    sites.draining.client.delete(SITE).await.json(200);
    sites.wait_for_no_ring().await;
    assert_eq!(sites.draining.daemon.count("log_drains"), 0);
    wait_until("the connection is closed", WAIT, async || (sink.open() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_drain_of_a_site_goes_on_after_a_restart_of_the_daemon_where_it_was() {
    let mut sites = SiteDraining::start().await;
    let sink = LineSink::tcp().await;
    sites.connected(&sink).await;
    let (app, site) = (sites.draining.app, Some(sites.site));
    sites.request(app, site, "before").await;
    sink.wait_for(1).await;
    sites.draining.restart(async |_| {}).await;
    sites.request(app, site, "after").await;
    sink.wait_for(2).await;
    assert_eq!(ids(&sink), ["before", "after"]);
}
