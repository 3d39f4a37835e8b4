//! How deliveries get to their endpoints: order, retries, suspensions, restarts, and what they may not reach.

use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::hooks::{Deliverer, DelivererParts};
use akkerisd::model::dyno::CrashCode;
use akkerisd::model::event::Event;
use akkerisd::model::hook_delivery::RETRY_PAUSES;
use akkerisd::model::ids::AppId;
use akkerisd::model::names::{DynoName, ProcessType};
use akkerisd::model::principal::Principal;
use akkerisd::model::time::Timestamp;
use akkerisd::outbound::{Outbound, PostLimits};
use akkerisd::store::StoreError;
use akkerisd::tasks::Tasks;
use serde_json::{Value, json};

use crate::hook_payloads::{deliverer_parts, hmac};
use crate::support::sink::{Received, Reply, Sink};
use crate::support::wait::wait_until;
use crate::support::{Client, TestDaemon};

const APP: &str = "/apps/app-default";
const LIMIT: Duration = Duration::from_secs(30);

/// A daemon on a clock that stands still, with the app `app` and, from [`World::deliver`] on, deliveries.
struct World {
    daemon: TestDaemon,
    client: Client,
    app: AppId,
    clock: Clock,
}

/// Deliveries that run until they are stopped.
struct Running {
    deliverer: Deliverer,
    tasks: Tasks,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_800_000_000_000));
        let daemon = TestDaemon::at(clock.clone()).await;
        let client = daemon.admin();
        let body = json!({ "name": "app", "space": "default", "org": "akkeris" });
        let app = client.post("/apps", body).await.json(201);
        let app = app.get("id").and_then(Value::as_str).unwrap().parse().unwrap();
        Self { daemon, client, app, clock }
    }

    /// A hook for crashes; its path.
    async fn hook(&self, url: &str) -> String {
        let hook = json!({ "url": url, "events": ["crashed"], "secret": "secret" });
        let made = self.client.post(&format!("{APP}/hooks"), hook).await.json(201);
        format!("{APP}/hooks/{}", made.get("id").and_then(Value::as_str).unwrap())
    }

    async fn deliver(&self) -> Running {
        self.deliver_with(|_| {}).await
    }

    async fn deliver_with(&self, change: impl FnOnce(&mut DelivererParts)) -> Running {
        let mut parts = deliverer_parts(&self.daemon);
        change(&mut parts);
        let tasks = Tasks::new();
        let deliverer = Deliverer::start(parts, &tasks).await.unwrap();
        Running { deliverer, tasks }
    }

    /// Crashes with these restarts, each an event of its own, in one transaction.
    async fn crash(&self, restarts: std::ops::Range<u32>) {
        let app = self.app;
        let work = move |tx: &mut akkerisd::store::Tx<'_>| {
            for restarts in restarts {
                let (process_type, dyno) = (ProcessType::web(), DynoName::new("1", "a"));
                let code = CrashCode::Crashed;
                tx.record(Event::DynoCrashed { app, process_type, dyno, code, restarts })?;
            }
            Ok::<_, StoreError>(())
        };
        self.daemon.state.store.write(&Principal::daemon(), work).await.unwrap();
    }

    async fn results(&self, hook: &str) -> Vec<Value> {
        self.client.get(&format!("{hook}/results")).await.json(200).as_array().unwrap().clone()
    }

    /// Waits until the newest result satisfies `condition`, and returns it.
    async fn result_when(&self, hook: &str, what: &str, condition: impl Fn(&Value) -> bool) -> Value {
        wait_until(what, LIMIT, async || self.results(hook).await.pop().filter(|result| condition(result)))
            .await
    }

    /// Waits until `count` attempts of the newest result are over.
    async fn attempts(&self, hook: &str, count: usize) -> Value {
        let what = format!("{count} attempts");
        self.result_when(hook, &what, |result| attempts_of(result) == count).await
    }

    /// Moves the clock on and lets the deliveries look at it.
    fn pass(&self, running: &Running, time: Duration) {
        self.clock.advance(time);
        running.deliverer.wake();
    }
}

fn attempts_of(result: &Value) -> usize {
    result.get("attempts").and_then(Value::as_array).map_or(0, Vec::len)
}

fn restarts(received: &[Received]) -> Vec<u64> {
    received.iter().map(|one| one.json().get("restarts").and_then(Value::as_u64).unwrap()).collect()
}

/// An address at which nobody listens.
async fn dead_url() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

#[tokio::test]
async fn a_delivery_leaves_a_documented_result() {
    let world = World::new().await;
    let sink = Sink::start().await;
    let hook = world.hook(&format!("{}?token=hidden", sink.url)).await;
    let _running = world.deliver().await;
    world.crash(0..1).await;
    let received = sink.wait_for(1).await;
    let result = world.attempts(&hook, 1).await;
    assert_eq!(result["id"], received[0].header("x-appkit-delivery"));
    assert_eq!((&result["num_attempts"], &result["message"]), (&json!(1), &json!("")));
    assert_eq!(result["hook"]["events"], json!(["crashed"]));
    let last = &result["last_attempt"];
    assert_eq!(last["status"], "succeeded");
    assert_eq!((&last["request"]["method"], &last["request"]["url"]), (&json!("post"), &json!(sink.url)));
    assert_eq!(last["request"]["body"], received[0].json());
    let signature = format!("sha1={}", hmac::<sha1::Sha1>(b"secret", &received[0].body));
    assert_eq!(last["request"]["headers"]["x-appkit-signature"], signature);
    assert_eq!(last["request"]["headers"]["user-agent"], "appkit-hookshot");
    let response = &last["response"];
    assert_eq!((&response["code"], &response["body"]), (&json!(200), &json!("ok")));
    assert_eq!(response["headers"]["x-sink"], "here");
    let id = result["id"].as_str().unwrap();
    assert_eq!(world.client.get(&format!("{hook}/results/{id}")).await.json(200), result);
    assert!(!result.to_string().contains("hidden"));
}

#[tokio::test]
async fn an_endpoint_that_fails_five_times_gets_the_delivery_once_it_works() {
    let world = World::new().await;
    let sink = Sink::start().await;
    sink.answer(&[500, 502, 503, 429, 599]);
    let hook = world.hook(&sink.url).await;
    let running = world.deliver().await;
    world.crash(0..2).await;
    for (attempt, pause) in (1..).zip(RETRY_PAUSES) {
        let result = world.attempts(&hook, attempt).await;
        assert_eq!(result["last_attempt"]["status"], "failed");
        assert!(result["message"].as_str().unwrap().contains("the next is at"), "{result}");
        world.pass(&running, pause);
    }
    let received = sink.wait_for(7).await;
    let results = wait_until("both are over", LIMIT, async || {
        let results = world.results(&hook).await;
        let over = results.iter().filter(|result| result["last_attempt"]["status"] == "succeeded");
        (over.count() == 2).then_some(results)
    })
    .await;
    assert_eq!(restarts(&received), [0, 0, 0, 0, 0, 0, 1], "the second waits for the first");
    let ids: std::collections::BTreeSet<&str> =
        received[..6].iter().map(|one| one.header("x-appkit-delivery")).collect();
    assert_eq!(ids.len(), 1, "all attempts are of one delivery");
    assert_eq!(results[0]["num_attempts"], 6);
    let codes: Vec<&Value> =
        results[0]["attempts"].as_array().unwrap().iter().map(|attempt| &attempt["code"]).collect();
    assert_eq!(codes, [500, 502, 503, 429, 599, 200]);
    assert_eq!(results[1]["num_attempts"], 1);
}

#[tokio::test]
async fn no_attempt_is_made_before_its_pause_is_over() {
    let world = World::new().await;
    let sink = Sink::start().await;
    sink.answer(&[500]);
    let hook = world.hook(&sink.url).await;
    let running = world.deliver().await;
    world.crash(0..1).await;
    world.attempts(&hook, 1).await;
    world.pass(&running, RETRY_PAUSES[0].saturating_sub(Duration::from_millis(1)));
    // Another hook's delivery, made after the wake, shows that the first was looked at and left alone.
    let other = Sink::start().await;
    world.hook(&other.url).await;
    world.crash(1..2).await;
    other.wait_for(1).await;
    assert_eq!(sink.received().len(), 1);
    world.pass(&running, Duration::from_millis(1));
    assert_eq!(restarts(&sink.wait_for(3).await), [0, 0, 1]);
}

#[tokio::test]
async fn what_another_attempt_would_not_change_is_given_up_at_once() {
    let world = World::new().await;
    let sink = Sink::start().await;
    sink.answer(&[404]);
    let hook = world.hook(&sink.url).await;
    let _running = world.deliver().await;
    world.crash(0..1).await;
    let result = world.attempts(&hook, 1).await;
    assert_eq!(result["last_attempt"]["status"], "failed");
    assert_eq!(result["message"], "Given up after one attempt.");
    assert_eq!(result["attempts"][0]["error"], "The endpoint answered 404.");
    world.crash(1..2).await;
    assert_eq!(restarts(&sink.wait_for(2).await), [0, 1]);
}

#[tokio::test]
async fn a_dead_endpoint_is_given_up_after_six_attempts_and_its_hook_suspended() {
    let world = World::new().await;
    let hook = world.hook(&dead_url().await).await;
    let running = world.deliver().await;
    world.crash(0..1).await;
    for (attempt, pause) in (1..).zip(RETRY_PAUSES) {
        world.attempts(&hook, attempt).await;
        world.pass(&running, pause);
    }
    let result = world.attempts(&hook, 6).await;
    let until = world.clock.now().plus(Duration::from_mins(5)).to_string();
    let expected = format!(
        "Given up after 6 attempts. The endpoint keeps failing: deliveries to it are suspended until {until}."
    );
    assert_eq!((&result["message"], &result["last_attempt"]["status"]), (&json!(expected), &json!("failed")));
    assert_eq!(result["last_attempt"]["response"]["code"], 0);
    assert!(result["attempts"][0]["error"].as_str().unwrap().starts_with("No answer: "), "{result}");
    assert_eq!(world.client.get(&hook).await.json(200)["suspended_until"], until);

    // An event of that time waits, until the owner names an address that works.
    world.crash(1..2).await;
    let sink = Sink::start().await;
    world.client.patch(&hook, json!({ "url": sink.url })).await.json(200);
    assert_eq!(restarts(&sink.wait_for(1).await), [1]);
    assert_eq!(world.client.get(&hook).await.json(200)["suspended_until"], Value::Null);
}

#[tokio::test]
async fn suspensions_of_an_endpoint_that_refuses_everything_grow() {
    let world = World::new().await;
    let sink = Sink::start().await;
    sink.answer(&[400; 5]);
    let hook = world.hook(&sink.url).await;
    let running = world.deliver().await;
    world.crash(0..6).await;
    let suspended = async |from: Timestamp, pause: Duration| {
        let until = json!(from.plus(pause).to_string());
        wait_until("it is suspended", LIMIT, async || {
            let hook = world.client.get(&hook).await.json(200);
            (hook["suspended_until"] == until).then_some(())
        })
        .await;
    };
    for (received, minutes) in [(3, 5), (4, 10), (5, 20)] {
        suspended(world.clock.now(), Duration::from_mins(minutes)).await;
        assert_eq!(sink.received().len(), received);
        world.pass(&running, Duration::from_mins(minutes));
    }
    assert_eq!(restarts(&sink.wait_for(6).await), [0, 1, 2, 3, 4, 5]);
    let result = world.attempts(&hook, 1).await;
    assert_eq!(result["last_attempt"]["status"], "succeeded");
    assert_eq!(world.client.get(&hook).await.json(200)["suspended_until"], Value::Null);
}

#[tokio::test]
async fn what_waits_for_a_day_behind_a_failing_endpoint_is_given_up_and_says_so() {
    let world = World::new().await;
    let sink = Sink::start().await;
    sink.answer(&[500, 400]);
    let hook = world.hook(&sink.url).await;
    let running = world.deliver().await;
    world.crash(0..3).await;
    world.attempts(&hook, 1).await;
    world.pass(&running, Duration::from_hours(25));
    let results = wait_until("all are over", LIMIT, async || {
        Some(world.results(&hook).await).filter(|results| results.len() == 3)
    })
    .await;
    assert_eq!(sink.received().len(), 2);
    for late in &results[1..] {
        assert_eq!((&late["num_attempts"], &late["last_attempt"]["status"]), (&json!(0), &json!("failed")));
        assert!(late["message"].as_str().unwrap().contains("waited for 24 hours"), "{late}");
    }
    world.crash(3..4).await;
    assert_eq!(restarts(&sink.wait_for(3).await), [0, 0, 3]);
}

#[tokio::test]
async fn what_was_committed_is_delivered_by_the_next_process() {
    let world = World::new().await;
    let sink = Sink::start().await;
    let hook = world.hook(&sink.url).await;
    world.crash(0..1).await;
    assert_eq!(sink.received().len(), 0, "nothing delivers yet");
    let running = world.deliver().await;
    sink.wait_for(1).await;
    world.attempts(&hook, 1).await;
    drop(running);
}

#[tokio::test]
async fn a_delivery_whose_process_died_on_the_way_is_sent_again_with_the_same_id() {
    let world = World::new().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = world.hook(&format!("http://{}/", silent.local_addr().unwrap())).await;
    let first = world.deliver().await;
    world.crash(0..1).await;
    // The endpoint accepts and never answers; then the process is gone, and nothing of it is recorded.
    let (_connection, _) = tokio::time::timeout(LIMIT, silent.accept()).await.unwrap().unwrap();
    assert!(first.tasks.stop(Duration::from_secs(10)).await);
    let before = world.results(&hook).await.remove(0);
    assert_eq!((&before["num_attempts"], attempts_of(&before)), (&json!(1), 0));
    assert_eq!(before["last_attempt"]["status"], "pending");
    let sink = Sink::start().await;
    world.client.patch(&hook, json!({ "url": sink.url })).await.json(200);
    assert_eq!(sink.received().len(), 0);
    let _second = world.deliver().await;
    let received = sink.wait_for(1).await;
    assert_eq!(before["id"], received[0].header("x-akkeris-delivery"));
    let after = world.attempts(&hook, 1).await;
    assert_eq!((&after["num_attempts"], &after["last_attempt"]["status"]), (&json!(2), &json!("succeeded")));
}

#[tokio::test]
async fn ten_thousand_events_to_a_dead_endpoint_delay_no_other_hook() {
    let world = World::new().await;
    let dead = world.hook(&dead_url().await).await;
    let running = world.deliver().await;
    for start in (0..10_000).step_by(500) {
        world.crash(start..start + 500).await;
    }
    let sink = Sink::start().await;
    world.hook(&sink.url).await;
    let started = std::time::Instant::now();
    world.crash(10_000..10_010).await;
    assert_eq!(restarts(&sink.wait_for(10).await), (10_000..10_010).collect::<Vec<u64>>());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    // The queue is full now: the last ten are results that say so, and one delivery was attempted.
    let results = world.results(&dead).await;
    let full = |result: &&Value| result["message"].as_str().unwrap().contains("10000 earlier deliveries");
    assert_eq!(results.iter().filter(full).count(), 10);
    assert_eq!(results.len(), 11);
    assert!(running.tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let world = World::new().await;
    let (sink, elsewhere) = (Sink::start().await, Sink::start().await);
    let location = Some(elsewhere.url.clone());
    sink.reply(Reply { status: 302, location, ..Reply::default() });
    let hook = world.hook(&sink.url).await;
    let _running = world.deliver().await;
    world.crash(0..1).await;
    let result = world.attempts(&hook, 1).await;
    assert_eq!(result["last_attempt"]["response"]["code"], 302);
    assert_eq!(result["last_attempt"]["status"], "succeeded", "reading 24");
    assert_eq!(elsewhere.received().len(), 0);
}

#[tokio::test]
async fn link_local_and_metadata_addresses_are_never_reached() {
    let world = World::new().await;
    let mut hooks = Vec::new();
    for url in ["http://169.254.169.254/latest", "http://[fe80::1]/", "http://100.100.100.200/"] {
        hooks.push(world.hook(url).await);
    }
    let _running = world.deliver().await;
    world.crash(0..1).await;
    for hook in hooks {
        let result = world.attempts(&hook, 1).await;
        let error = result["attempts"][0]["error"].as_str().unwrap();
        assert!(error.contains("is refused"), "{error}");
        assert_eq!(result["message"], "Given up after one attempt.");
    }
}

#[tokio::test]
async fn loopback_is_refused_when_the_operator_says_so() {
    let world = World::new().await;
    let sink = Sink::start().await;
    let named = sink.url.replace("127.0.0.1", "localhost");
    let hooks = [world.hook(&sink.url).await, world.hook(&named).await];
    let _running = world.deliver_with(|parts| parts.outbound = Outbound::new(false).unwrap()).await;
    world.crash(0..1).await;
    for hook in hooks {
        let result = world.attempts(&hook, 1).await;
        let error = result["attempts"][0]["error"].as_str().unwrap();
        assert!(error.contains("private network"), "{error}");
        assert_eq!(result["message"], "Given up after one attempt.");
    }
    assert_eq!(sink.received().len(), 0);
}

#[tokio::test]
async fn of_a_large_answer_the_beginning_is_kept() {
    let world = World::new().await;
    let sink = Sink::start().await;
    sink.reply(Reply { status: 200, body: "x".repeat(100_000), ..Reply::default() });
    let hook = world.hook(&sink.url).await;
    let _running = world.deliver().await;
    world.crash(0..1).await;
    let result = world.attempts(&hook, 1).await;
    assert_eq!(result["last_attempt"]["response"]["body"].as_str().unwrap().len(), 16 * 1024);
}

#[tokio::test]
async fn an_endpoint_that_never_answers_is_cut_off_and_tried_again() {
    let world = World::new().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = world.hook(&format!("http://{}/", silent.local_addr().unwrap())).await;
    let limits = PostLimits { total: Duration::from_millis(50), body: 10 };
    let _running = world.deliver_with(|parts| parts.limits = limits).await;
    world.crash(0..1).await;
    let result = world.attempts(&hook, 1).await;
    assert_eq!(result["attempts"][0]["error"], "No answer: it did not end within 50ms.");
    assert!(result["message"].as_str().unwrap().starts_with("Attempt 1 failed; the next is at"));
}

#[tokio::test]
async fn results_are_kept_for_thirty_days_and_a_hundred_always() {
    let world = World::new().await;
    let sink = Sink::start().await;
    let hook = world.hook(&sink.url).await;
    let running = world.deliver().await;
    world.crash(0..130).await;
    sink.wait_for(130).await;
    let newest = |result: &Value| result["last_attempt"]["request"]["body"]["restarts"] == 129;
    let last =
        world.result_when(&hook, "all are recorded", |result| newest(result) && attempts_of(result) == 1);
    last.await;
    let count = async || {
        let path = world.daemon.dir.path().join("akkerisd.db");
        #[expect(clippy::disallowed_methods, reason = "a test counts what the API does not list")]
        let connection = rusqlite::Connection::open(path).unwrap();
        let count: u32 =
            connection.query_row("SELECT count(*) FROM hook_deliveries", [], |row| row.get(0)).unwrap();
        count
    };
    assert_eq!(count().await, 130);
    world.pass(&running, Duration::from_hours(31 * 24));
    wait_until("thirty are gone", LIMIT, async || (count().await == 100).then_some(())).await;
    let results = world.results(&hook).await;
    assert_eq!(results.len(), 100);
    assert_eq!(results[0]["last_attempt"]["request"]["body"]["restarts"], 30);
}
