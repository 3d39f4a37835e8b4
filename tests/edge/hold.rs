//! Requests of an app whose dynos run alone, while none of them runs.

use std::sync::Arc;
use std::time::Duration;

use akkerisd::edge::Hold;
use akkerisd::edge::table::{AppRoute, Service, Upstream};
use http::StatusCode;
use tokio::task::JoinSet;

use super::LIMIT;
use super::backend::Backend;
use super::harness::{APP, HOST, TestEdge, app};
use crate::support::wait::wait_until;

fn held(edge: &TestEdge, hold: &Arc<Hold>, upstreams: &[&Arc<Upstream>]) {
    let service = Service::Upstreams(upstreams.iter().map(|one| Arc::clone(one)).collect());
    let hold = Some(Arc::clone(hold));
    edge.change(|table| table.insert_app(HOST, AppRoute { hold, ..app(APP, service) }));
}

#[tokio::test]
async fn requests_wait_while_no_dyno_runs_and_are_answered_by_the_next() {
    let edge = Arc::new(TestEdge::start());
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    let hold = Hold::new(LIMIT);
    held(&edge, &hold, &[&old.upstream]);
    assert_eq!(edge.get("/").await.body, "old");
    old.upstream.retire();
    let mut clients = JoinSet::new();
    for _ in 0..50 {
        let edge = Arc::clone(&edge);
        clients.spawn(async move { edge.get("/").await });
    }
    let came = async || (edge.handle.counters().requests == 51).then_some(());
    wait_until("all requests wait", LIMIT, came).await;
    held(&edge, &hold, &[]);
    hold.look_again();
    held(&edge, &hold, &[&new.upstream]);
    hold.look_again();
    while let Some(answer) = clients.join_next().await {
        let answer = answer.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "new"));
    }
    assert_eq!(edge.handle.counters().rescued, 0);
}

#[tokio::test]
async fn requests_wait_no_longer_than_the_limit_and_not_when_the_app_stops_holding() {
    let edge = TestEdge::start();
    held(&edge, &Hold::new(Duration::from_millis(200)), &[]);
    assert_eq!(edge.get("/").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let hold = Hold::new(LIMIT * 6);
    held(&edge, &hold, &[]);
    let scaled_to_zero = async {
        let came = async || (edge.handle.counters().requests == 2).then_some(());
        wait_until("the request waits", LIMIT, came).await;
        edge.route_to(&[]);
        hold.look_again();
    };
    let (answer, ()) = tokio::join!(edge.get("/"), scaled_to_zero);
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}
