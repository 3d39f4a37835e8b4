//! Connections that go from one worker to another.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body_util::Empty;
use hyper::client::conn::http1::SendRequest;
use tokio::task::JoinSet;

use super::backend::Backend;
use super::harness::{TestEdge, answer, patience};
use super::{LIMIT, app_request};
use crate::support::wait::wait_until;

const CONNECTIONS: u64 = 16;
/// Between two requests of a connection.
const PAUSE: Duration = Duration::from_millis(80);

/// Asks until it is told that an answer is the last one, which every request gets before; how often.
async fn ask(mut sender: SendRequest<Empty<Bytes>>) -> usize {
    let mut ticks = tokio::time::interval(PAUSE);
    for asked in 1.. {
        ticks.tick().await;
        sender.ready().await.unwrap();
        let request = app_request("/").body(Empty::new()).unwrap();
        let answer = answer(sender.send_request(request).await.unwrap()).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "one"));
        if answer.headers.get("connection").is_some_and(|value| value == "close") {
            return asked;
        }
    }
    0
}

#[tokio::test]
async fn while_there_is_little_to_do_connections_gather_at_one_worker_and_lose_no_request() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS / 2 {
        clients.spawn(ask(edge.connect().await));
        clients.spawn(ask(edge.connect_tls().await));
    }
    let counters = || edge.handle.counters();
    wait_until("connections went to the first worker", LIMIT, async || {
        (counters().handed_over > 0).then_some(())
    })
    .await;
    wait_until("none is on its way", LIMIT, async || {
        (counters().open_connections == CONNECTIONS).then_some(())
    })
    .await;
    assert_eq!(counters().connections, CONNECTIONS, "each was accepted once");
    edge.handle.drain(patience(LIMIT)).await;
    while let Some(asked) = clients.join_next().await {
        assert!(asked.unwrap() > 1);
    }
}
