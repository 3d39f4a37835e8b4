//! Open Service Brokers: that are slow, asynchronous, lie, and fail in each documented way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use akkerisd::addons::broker::{Broker, BrokerAddress, BrokerClient, Refresh, Refreshed};
use akkerisd::addons::{Provider, Providers};
use akkerisd::model::addon_service::BrokerName;
use akkerisd::outbound::Outbound;
use serde_json::{Value, json};

use super::fake_broker::{FakeBroker, Reply, catalogue};
use super::harness::{LIMIT, addon_in, create_app, ready};
use crate::support::wait::wait_until;
use crate::support::{Client, StoppedOnDrop, TestDaemon};

const PATH: &str = "/apps/app-default/addons";

struct World {
    daemon: TestDaemon,
    broker: FakeBroker,
    client: Client,
    refresh: Refresh,
    _work: StoppedOnDrop,
}

/// A daemon with a broker whose catalogue is fetched, and the apps `app-default` and `other-default`.
async fn start() -> World {
    let broker = FakeBroker::start().await;
    let name = BrokerName::parse("fake").unwrap();
    let authorization = Some(BrokerAddress::basic("u", "p"));
    let address = BrokerAddress { name: name.clone(), url: broker.url.clone(), authorization };
    // Only who is silent on purpose takes so long.
    let asking = BrokerClient::new(address, Outbound::new(true).unwrap()).within(Duration::from_secs(2));
    let provider: Arc<dyn Provider> = Arc::new(Broker::new(asking.clone(), Duration::from_millis(5)));
    let providers = Providers { brokers: BTreeMap::from([(name, provider)]), ..Providers::without_brokers() };
    let daemon = TestDaemon::with_providers(providers).await;
    let (store, offer) = (daemon.addons.store.clone(), daemon.addons.offer.clone());
    let refresh = Refresh { client: asking, store, offer, period: Duration::from_hours(2) };
    assert_eq!(refresh.refresh().await.unwrap(), Refreshed::Offered(1));
    let client = daemon.admin();
    for app in ["app", "other"] {
        create_app(&client, app, "default").await;
    }
    let work = daemon.work_at_addons();
    World { daemon, broker, client, refresh, _work: work }
}

impl World {
    async fn create(&self) -> Value {
        self.client.post(PATH, json!({ "plan": "osb-db:small" })).await.json(201)
    }

    /// Makes an addon that fails, and returns the reason.
    async fn fails(&self) -> String {
        let made = self.create().await;
        let failed = addon_in(&self.client, &made, "failed").await;
        failed.get("state_description").and_then(Value::as_str).unwrap().to_owned()
    }

    async fn nothing_left(&self) {
        wait_until("nothing left at the broker", LIMIT, async || {
            (self.broker.kept() == (0, 0)).then_some(())
        })
        .await;
    }

    async fn asked(&self, kind: &str, times: usize) {
        wait_until(&format!("{kind} × {times}"), LIMIT, async || {
            (self.broker.asked().iter().filter(|one| **one == kind).count() >= times).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_addon_is_made_bound_changed_and_taken_away() {
    let world = start().await;
    let addon = ready(&world.client, json!({ "plan": "osb-db:small", "name": "mydb" })).await;
    assert_eq!(addon["web_url"], "https://dash.example.com/1");
    assert_eq!(addon["config_vars"], json!({ "DATABASE_URL": "x", "OSB_DB_URI": "db://u:osbpw@h/d" }));
    let (path, body) = world.broker.last("provision");
    assert_eq!(
        path,
        format!("/v2/service_instances/{}?accepts_incomplete=true", addon["id"].as_str().unwrap())
    );
    assert_eq!((&body["service_id"], &body["plan_id"]), (&json!("service-1"), &json!("plan-small")));
    assert_eq!(world.broker.last("bind").1["app_guid"], addon["app"]["id"]);

    let other = "/apps/other-default/addon-attachments";
    world.client.post(other, json!({ "addon": "mydb" })).await.json(201);
    world.asked("bind", 2).await;
    wait_until("two bindings", LIMIT, async || (world.broker.kept() == (1, 2)).then_some(())).await;
    let id = addon["id"].as_str().unwrap();
    world.client.delete(&format!("{other}/{id}")).await.json(200);
    world.asked("unbind", 1).await;

    world.client.patch(&format!("{PATH}/{id}"), json!({ "plan": "big" })).await.json(200);
    let changed = addon_in(&world.client, &addon, "provisioned").await;
    assert_eq!(changed["plan"]["name"], "osb-db:big");
    let body = world.broker.last("update").1;
    assert_eq!(
        (&body["plan_id"], &body["previous_values"]["plan_id"]),
        (&json!("plan-big"), &json!("plan-small"))
    );

    world.client.delete(&format!("{PATH}/{id}")).await.json(200);
    world.nothing_left().await;
    let (path, _) = world.broker.last("deprovision");
    assert!(path.contains("service_id=service-1") && path.contains("plan_id=plan-big"), "{path}");
    assert!(!world.daemon.disk().await.contains("osbpw"));
}

#[tokio::test]
async fn an_asynchronous_broker_is_asked_until_each_step_is_done() {
    let world = start().await;
    let accepted = || Reply::Json(202, json!({ "operation": "op 1&2" }));
    let in_progress = || Reply::Json(200, json!({ "state": "in progress" }));
    for kind in ["provision", "bind", "update", "unbind", "deprovision"] {
        world.broker.tell(kind, accepted());
    }
    for nonsense in [
        in_progress(),
        Reply::Text(200, "<html>"),
        Reply::Json(200, json!({ "state": "purple" })),
        Reply::Json(500, json!({})),
    ] {
        world.broker.tell("poll", nonsense);
    }
    let addon = ready(&world.client, json!({ "plan": "osb-db:small" })).await;
    assert!(world.broker.last("poll").0.contains("operation=op+1%262"));
    assert_eq!(addon["config_vars"]["DATABASE_URL"], "x");
    assert!(world.broker.asked().contains(&"credentials"));
    let path = format!("{PATH}/{}", addon["id"].as_str().unwrap());
    world.client.patch(&path, json!({ "plan": "big" })).await.json(200);
    assert_eq!(addon_in(&world.client, &addon, "provisioned").await["plan"]["name"], "osb-db:big");
    world.broker.tell("poll", Reply::Json(410, json!({})));
    world.client.delete(&path).await.json(200);
    world.asked("deprovision", 1).await;
    wait_until("no work left", LIMIT, async || (world.daemon.count("addon_jobs") == 0).then_some(())).await;
}

#[tokio::test]
async fn a_refusal_is_the_reason_and_leaves_nothing_to_take_away() {
    let world = start().await;
    for status in [400, 401, 409, 422] {
        let body = json!({ "error": "AsyncRequired", "description": format!("no {status}") });
        world.broker.tell("provision", Reply::Json(status, body));
        assert_eq!(world.fails().await, format!("The broker answered {status}: no {status}"));
    }
    world.broker.tell("provision", Reply::Text(200, "yes"));
    assert_eq!(world.fails().await, "The broker answered 200 with what is no JSON object.");
    assert!(!world.broker.asked().contains(&"deprovision"));
}

#[tokio::test]
async fn what_a_failure_may_have_left_at_the_broker_is_taken_away() {
    let world = start().await;
    for reply in [
        Reply::Json(500, json!({ "description": "boom" })),
        Reply::Text(503, "<html>"),
        Reply::Text(201, "created"),
        Reply::Text(202, "soon"),
        Reply::Json(204, json!({})),
        Reply::Silence,
    ] {
        world.broker.tell("provision", reply);
        world.fails().await;
        world.nothing_left().await;
    }
    world.broker.tell("provision", Reply::Json(202, json!({})));
    world.broker.tell("poll", Reply::Json(200, json!({ "state": "failed", "description": "no room" })));
    assert_eq!(world.fails().await, "The broker failed: no room");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_broker_that_is_busy_or_breaks_while_it_takes_away_is_asked_again() {
    let world = start().await;
    let busy = || Reply::Json(422, json!({ "error": "ConcurrencyError" }));
    for kind in ["provision", "bind", "unbind", "deprovision"] {
        world.broker.tell(kind, busy());
    }
    for kind in ["unbind", "deprovision"] {
        world.broker.tell(kind, Reply::Json(500, json!({})));
    }
    world.broker.tell("deprovision", Reply::Silence);
    let addon = ready(&world.client, json!({ "plan": "osb-db:small" })).await;
    world.client.delete(&format!("{PATH}/{}", addon["id"].as_str().unwrap())).await.json(200);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_binding_that_fails_takes_the_addon_with_it_and_is_taken_away() {
    let world = start().await;
    for reply in [
        Reply::Json(500, json!({ "description": "no credentials" })),
        Reply::Json(201, json!({ "credentials": "secret" })),
        Reply::Json(400, json!({ "description": "no" })),
    ] {
        world.broker.tell("bind", reply);
        world.fails().await;
        world.nothing_left().await;
    }
}

#[tokio::test]
async fn a_plan_that_cannot_be_bound_brings_no_variables() {
    let world = start().await;
    let addon = ready(&world.client, json!({ "plan": "osb-db:plain" })).await;
    assert_eq!(addon["config_vars"], json!({}));
    world.client.delete(&format!("{PATH}/{}", addon["id"].as_str().unwrap())).await.json(200);
    world.nothing_left().await;
    assert_eq!(world.broker.asked(), ["provision", "deprovision"]);
}

#[tokio::test]
async fn an_update_that_fails_leaves_the_present_plan() {
    let world = start().await;
    let addon = ready(&world.client, json!({ "plan": "osb-db:small" })).await;
    let path = format!("{PATH}/{}", addon["id"].as_str().unwrap());
    world.broker.tell("update", Reply::Json(202, json!({})));
    world.broker.tell("poll", Reply::Json(200, json!({ "state": "failed", "description": "too big" })));
    world.client.patch(&path, json!({ "plan": "big" })).await.json(200);
    let after = addon_in(&world.client, &addon, "provisioned").await;
    assert_eq!(after["plan"]["name"], "osb-db:small");
    assert_eq!(after["state_description"], "The plan was not changed. The broker failed: too big");
    assert_eq!(world.broker.kept(), (1, 1));
}

#[tokio::test]
async fn actions_are_passed_on_with_their_method_and_body() {
    let world = start().await;
    let addon = ready(&world.client, json!({ "plan": "osb-db:small" })).await;
    let id = addon["id"].as_str().unwrap();
    let path = format!("{PATH}/{id}/actions/dumps/latest");
    let answer = world.client.post(&path, json!({ "a": 1 })).await.json(200);
    assert_eq!(answer["acted"], format!("/v2/service_instances/{id}/actions/dumps/latest"));
    assert_eq!(world.broker.last("action").1, json!({ "a": 1 }));
    assert_eq!(world.client.get(&format!("{PATH}/{id}/actions/dumps")).await.status, 200);
    world.broker.tell("action", Reply::Json(404, json!({ "description": "none" })));
    assert_eq!(
        world.client.get(&format!("{PATH}/{id}/actions/x")).await.json(404),
        json!({ "description": "none" })
    );
    world.broker.tell("action", Reply::Json(500, json!({ "description": "boom" })));
    assert_eq!(
        world.client.get(&format!("{PATH}/{id}/actions/x")).await.error(503),
        "The broker answered 500: boom"
    );
}

#[tokio::test]
async fn a_catalogue_stays_when_the_broker_is_down_or_answers_nonsense() {
    let world = start().await;
    let offered = async || world.client.get("/addon-services/osb-db").await.status.as_u16();
    for (status, body) in [(500, "{}"), (200, "<html>"), (200, "{\"services\": 3}"), (401, "{}")] {
        world.broker.offer(status, body);
        let refreshed = world.refresh.refresh().await.unwrap();
        assert!(matches!(refreshed, Refreshed::Kept { .. }), "{body}");
        assert_eq!(offered().await, 200);
    }
    let mut other = catalogue();
    other["services"][0]["name"] = json!("renamed");
    world.broker.offer(200, &other.to_string());
    assert_eq!(world.refresh.refresh().await.unwrap(), Refreshed::Offered(1));
    assert_eq!(offered().await, 404);
    other["services"][0]["name"] = json!("securekey");
    world.broker.offer(200, &other.to_string());
    world.refresh.refresh().await.unwrap();
    let own = world.client.get("/addon-services/securekey").await.json(200);
    assert_eq!(own["human_name"], "Secure Key");
}
