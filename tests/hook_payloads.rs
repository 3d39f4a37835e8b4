//! What hooks are told, event by event, as the section "Webhook Event Payloads" and `behaviour.md` §23 show it,
//! and that it is signed. Signatures are checked by an HMAC of our own, from its definition (RFC 2104).

use std::time::Duration;

use akkerisd::hooks::{Deliverer, DelivererParts, TokenIssuer};
use akkerisd::model::build::BuildState;
use akkerisd::model::dyno::CrashCode;
use akkerisd::model::event::Event;
use akkerisd::model::ids::{AppId, BuildId, ReleaseId};
use akkerisd::model::names::{DynoName, ProcessType, UserName};
use akkerisd::model::principal::Principal;
use akkerisd::model::release::ReleaseState;
use akkerisd::model::time::Timestamp;
use akkerisd::outbound::{Outbound, PostLimits};
use akkerisd::store::{self, StoreError, Tx};
use akkerisd::tasks::Tasks;
use serde_json::{Value, json};
use sha2::Digest;

use crate::pipelines::{end, id_of, release, released, slug, succeed, text, with_stages};
use crate::release_candidates::built;
use crate::support::sink::{Received, Sink};
use crate::support::wait::wait_until;
use crate::support::{Client, TestDaemon, assert_shape};

const SECRET: &str = "some secret for hash";
const APP: &str = "/apps/dev-space";

/// The parts of a deliverer that works on the daemon's store and may reach this machine.
pub(crate) fn deliverer_parts(daemon: &TestDaemon) -> DelivererParts {
    DelivererParts {
        store: daemon.state.store.clone(),
        sealer: daemon.state.sealer.clone(),
        outbound: Outbound::new(true).unwrap(),
        telemetry: daemon.state.telemetry.clone(),
        issuer: TokenIssuer {
            tokens: daemon.state.temporary_tokens.clone(),
            clock: daemon.state.clock.clone(),
            ids: daemon.state.ids.clone(),
        },
        clock: daemon.state.clock.clone(),
        limits: PostLimits { total: Duration::from_secs(10), body: 16 * 1024 },
    }
}

/// HMAC from its definition: H((K ^ opad) || H((K ^ ipad) || message)), with blocks of 64 bytes.
pub(crate) fn hmac<D: Digest>(key: &[u8], message: &[u8]) -> String {
    let mut block = if key.len() > 64 { D::digest(key).to_vec() } else { key.to_vec() };
    block.resize(64, 0);
    let pad = |with: u8| block.iter().map(|byte| byte ^ with).collect::<Vec<u8>>();
    let inner = D::digest([pad(0x36), message.to_vec()].concat());
    hex::encode(D::digest([pad(0x5c), inner.to_vec()].concat()))
}

/// The app `dev` in the space `space`, with a hook for one event, and its endpoint.
struct Told {
    daemon: TestDaemon,
    client: Client,
    app: AppId,
    event: &'static str,
    sink: Sink,
    tasks: Tasks,
}

impl Told {
    /// `dev` is coupled before `qa`; the hook is on the app `on`.
    async fn on(on: &str, event: &'static str) -> Self {
        let (daemon, client) = with_stages(&[("dev", "development"), ("qa", "staging")]).await;
        let (sink, tasks) = (Sink::start().await, Tasks::new());
        let hook = json!({ "url": sink.url, "events": [event], "active": true, "secret": SECRET });
        client.post(&format!("/apps/{on}-space/hooks"), hook).await.json(201);
        Deliverer::start(deliverer_parts(&daemon), &tasks).await.unwrap();
        let app = id_of(&client, on).await;
        Self { daemon, client, app, event, sink, tasks }
    }

    async fn of(event: &'static str) -> Self {
        Self::on("dev", event).await
    }

    async fn write(&self, work: impl FnOnce(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static) {
        self.daemon.state.store.write(&Principal::daemon(), work).await.unwrap();
    }

    /// The payloads of exactly `count` deliveries, each with good headers, signatures and beginning.
    async fn payloads(&self, count: usize) -> Vec<Value> {
        let received = self.sink.wait_for(count).await;
        assert!(self.tasks.stop(Duration::from_secs(5)).await);
        assert_eq!(self.sink.received().len(), count);
        received.iter().map(|one| self.checked(one)).collect()
    }

    async fn payload(&self) -> Value {
        self.payloads(1).await.remove(0)
    }

    fn checked(&self, received: &Received) -> Value {
        assert_eq!(received.header("content-type"), "application/json");
        assert_eq!(received.header("user-agent"), "appkit-hookshot");
        assert_eq!(received.header("content-length"), received.body.len().to_string());
        let sha1 = format!("sha1={}", hmac::<sha1::Sha1>(SECRET.as_bytes(), &received.body));
        let sha256 = format!("sha256={}", hmac::<sha2::Sha256>(SECRET.as_bytes(), &received.body));
        for family in ["x-appkit", "x-akkeris"] {
            assert_eq!(received.header(&format!("{family}-event")), self.event);
            assert_eq!(received.header(&format!("{family}-signature")), sha1);
            assert_eq!(received.header(&format!("{family}-signature-256")), sha256);
            let delivery = received.header(&format!("{family}-delivery"));
            assert!(uuid::Uuid::parse_str(delivery).is_ok(), "{delivery}");
        }
        let body = std::str::from_utf8(&received.body).unwrap();
        let beginning = format!("{{\"action\":\"{}\",\"app\":{{\"name\":\"", self.event);
        assert!(body.starts_with(&beginning), "{body}");
        let payload = received.json();
        assert_eq!(payload.pointer("/app/id"), Some(&json!(self.app)));
        assert_eq!(payload.get("space"), Some(&json!({ "name": "space" })));
        payload
    }
}

#[test]
fn the_hmac_of_these_tests_is_that_of_the_published_vectors() {
    // RFC 2202, test cases 2 and 6.
    assert_eq!(
        hmac::<sha1::Sha1>(b"Jefe", b"what do ya want for nothing?"),
        "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
    );
    let long = hmac::<sha1::Sha1>(&[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First");
    assert_eq!(long, "aa4ae5e15272d00e95705637ce8a3b55ed402112");
}

#[tokio::test]
async fn release_is_told_when_it_begins() {
    let told = Told::of("release").await;
    let made = release(&told.daemon, &told.client, "dev-space").await;
    let payload = told.payload().await;
    let documented = json!({
        "action": "release",
        "app": { "name": "yourappname", "id": "7edbac4b-6a5e-09e1-ef3a-08084a904621" },
        "space": { "name": "the-space" },
        "release": {
            "id": "1edbac4b-6a5e-09e1-ef3a-08084a904623",
            "result": "succeeded",
            "created_at": "2016-08-09T12:00:00Z",
            "version": 13,
            "description": "Auto Deploy of 31202984"
        },
        "build": { "id": "8bdbac4b-6a5e-09e1-ef3a-08084a904622", "result": "succeeded", "repo": "",
            "commit": "123456", "branch": "master" }
    });
    assert_shape(&documented, &payload, &[]);
    assert_eq!(payload["app"]["name"], "dev", "the short name");
    assert_eq!((&payload["release"]["id"], &payload["release"]["version"]), (&made["id"], &json!(1)));
    assert_eq!(payload["release"]["result"], "succeeded");
    assert_eq!(
        (&payload["build"]["commit"], &payload["build"]["branch"]),
        (&json!("c0ffee"), &json!("main"))
    );
}

#[tokio::test]
async fn release_is_told_again_when_it_fails() {
    let told = Told::of("release").await;
    let made = release(&told.daemon, &told.client, "dev-space").await;
    let id: ReleaseId = text(&made, "id").parse().unwrap();
    let failed = ReleaseState::Failed { reason: "it crashed".to_owned(), at: Timestamp::from_millis(2) };
    end(&told.daemon, told.app, failed).await;
    let app = told.app;
    told.write(move |tx| {
        tx.record(Event::ReleaseFailed { app, release: id, version: 1, reason: "it crashed".to_owned() })
    })
    .await;
    let results: Vec<Value> =
        told.payloads(2).await.iter().map(|payload| payload["release"]["result"].clone()).collect();
    assert_eq!(results, ["succeeded", "failed"]);
}

#[tokio::test]
async fn released_is_told_for_each_type_with_dynos() {
    let told = Told::of("released").await;
    let made = released(&told.daemon, &told.client, "dev-space").await;
    for (process_type, quantity) in [("worker", 2), ("clock", 0)] {
        let body = json!({ "type": process_type, "quantity": quantity, "size": "scout" });
        told.client.post(&format!("{APP}/formation"), body).await.json(201);
    }
    let (app, id): (AppId, ReleaseId) = (told.app, text(&made, "id").parse().unwrap());
    told.write(move |tx| tx.record(Event::ReleaseSucceeded { app, release: id, version: 1 })).await;
    let payloads = told.payloads(2).await;
    let documented = json!({
        "action": "released",
        "app": { "name": "yourappname", "id": "7edbac4b-6a5e-09e1-ef3a-08084a904621" },
        "space": { "name": "the-space" },
        "key": "yourappname-the-space",
        "dyno": { "type": "web" },
        "release": { "id": "1", "created_at": "2016-08-09T12:00:00Z", "updated_at": "2016-08-09T12:00:00Z",
            "version": 1 },
        "build": { "id": "1" },
        "slug": { "image": "registry.host.io/repo/image:tag", "id": "1", "source_blob": { "commit": "c0ffee" } },
        "released_at": "2017-02-05T22:16:56.616Z"
    });
    for payload in &payloads {
        assert_shape(&documented, payload, &[]);
        assert_eq!((&payload["release"]["id"], &payload["slug"]["id"]), (&made["id"], &made["slug"]["id"]));
        assert_eq!(payload["slug"]["image"], "sha256:1");
    }
    let types: Vec<&Value> = payloads.iter().map(|payload| &payload["dyno"]["type"]).collect();
    assert_eq!(types, ["web", "worker"]);
}

#[tokio::test]
async fn build_is_told_when_it_begins_and_when_it_ends_but_not_when_it_is_queued() {
    let told = Told::of("build").await;
    let id: BuildId = slug(&told.daemon, &told.client, "dev-space").await.parse().unwrap();
    let (app, now) = (told.app, Timestamp::from_millis(5));
    told.write(move |tx| {
        let step = akkerisd::model::build::BuildStep::Fetching;
        store::builds::set_state(tx, id, &BuildState::Running { step, since: now, attempt: 1 })?;
        tx.record(Event::BuildStarted { app, build: id })?;
        let image = akkerisd::model::build::ImageId::new("sha256:1");
        store::builds::set_state(tx, id, &BuildState::Succeeded { image, finished_at: now })?;
        tx.record(Event::BuildSucceeded { app, build: id })?;
        store::builds::set_state(tx, id, &BuildState::Failed { reason: "no".to_owned(), finished_at: now })?;
        tx.record(Event::BuildFailed { app, build: id })?;
        let by = UserName::parse("alice").unwrap();
        store::builds::set_state(tx, id, &BuildState::Stopped { by, finished_at: now })?;
        tx.record(Event::BuildStopped { app, build: id })
    })
    .await;
    let payloads = told.payloads(4).await;
    let documented = json!({
        "build": {
            "id": "7edbac4b-6a5e-09e1-ef3a-08084a904621",
            "result": "pending",
            "created_at": "2016-08-09T12:00:00Z",
            "repo": "https://github.com/akkeris/bar.git",
            "commit": "7edbac4b6a5e09e1ef3a08084a904621",
            "branch": "main"
        }
    });
    for payload in &payloads {
        assert_shape(&documented, payload, &[]);
        assert_eq!(payload["build"]["id"], id.to_string());
    }
    let results: Vec<&Value> = payloads.iter().map(|payload| &payload["build"]["result"]).collect();
    assert_eq!(results, ["pending", "succeeded", "failed", "failed"]);
}

#[tokio::test]
async fn feature_change_is_told_with_the_feature_as_it_is_presented() {
    let told = Told::of("feature_change").await;
    told.client.patch(&format!("{APP}/features/preview"), json!({ "enabled": true })).await.json(200);
    let payload = told.payload().await;
    assert_eq!(payload["change"], "update");
    assert_eq!(payload["changes"], json!([{ "type": "update", "name": "preview", "value": true }]));
    let documented = json!({
        "description": "Human readable description of the feature that was just enabled or disabled.",
        "doc_url": "/features/review-apps",
        "id": "9e7ec5d2-c410-4d04-8d5e-db7746c40b42",
        "state": "public",
        "name": "feature-name",
        "display_name": "Human Readable Feature Name",
        "feedback_email": "cobra@octanner.com",
        "enabled": true
    });
    assert_shape(&documented, &payload["feature"], &[]);
    assert_eq!(
        (&payload["feature"]["name"], &payload["feature"]["enabled"]),
        (&json!("preview"), &json!(true))
    );
}

#[tokio::test]
async fn formation_change_is_told_of_every_change() {
    let told = Told::of("formation_change").await;
    let path = format!("{APP}/formation");
    let body = json!({ "type": "web", "port": 8000, "command": "cmd", "size": "scout", "quantity": 1 });
    told.client.post(&path, body).await.json(201);
    told.client.patch(&format!("{path}/web"), json!({ "quantity": 2 })).await.json(200);
    told.client.delete(&format!("{path}/web")).await.json(200);
    let payloads = told.payloads(3).await;
    let change = |quantity: u8| json!({ "type": "web", "port": 8000, "command": "cmd", "size": "scout", "quantity": quantity });
    for (payload, (kind, quantity)) in payloads.iter().zip([("create", 1), ("update", 2), ("delete", 2)]) {
        assert_eq!(payload["change"], kind);
        assert_eq!(payload["changes"], json!([change(quantity)]));
    }
}

#[tokio::test]
async fn logdrain_change_is_told_with_the_address_when_a_drain_comes_and_goes() {
    let told = Told::of("logdrain_change").await;
    let path = format!("{APP}/log-drains");
    let made = told.client.post(&path, json!({ "url": "https://u:p@foo.com" })).await.json(201);
    let id = text(&made, "id").to_owned();
    told.client.delete(&format!("{path}/{id}")).await.json(200);
    let payloads = told.payloads(2).await;
    for (payload, change) in payloads.iter().zip(["create", "delete"]) {
        assert_eq!(payload["change"], change);
        assert_eq!(payload["changes"], json!([{ "id": id, "url": "https://u:[redacted]@foo.com" }]));
    }
}

#[tokio::test]
async fn addon_change_is_told_when_an_addon_comes_and_goes() {
    let told = Told::of("addon_change").await;
    let path = format!("{APP}/addons");
    let made =
        told.client.post(&path, json!({ "plan": "securekey:manual", "name": "mykey" })).await.json(201);
    told.client.delete(&format!("{path}/mykey")).await.json(200);
    let documented = json!({ "change": "create", "changes": [{
        "actions": null, "addon_service": { "id": "", "name": "" }, "config_vars": {}, "created_at": "", "id": "",
        "name": "", "plan": { "id": "", "name": "" }, "provider_id": "", "updated_at": "", "web_url": "",
    }] });
    for (payload, change) in told.payloads(2).await.iter().zip(["create", "delete"]) {
        assert_shape(&documented, payload, &["actions"]);
        let part = &payload["changes"][0];
        assert_eq!((&payload["change"], &part["id"]), (&json!(change), &made["id"]));
        assert_eq!(part["plan"]["name"], "securekey:manual");
    }
}

#[tokio::test]
async fn addon_change_is_told_when_an_app_attaches_promotes_and_detaches() {
    let told = Told::on("qa", "addon_change").await;
    let _work = told.daemon.work_at_addons();
    let addon =
        told.client.post(&format!("{APP}/addons"), json!({ "plan": "securekey:manual" })).await.json(201);
    let path = format!("{APP}/addons/{}", text(&addon, "id"));
    wait_until("the addon", Duration::from_secs(30), async || {
        (told.client.get(&path).await.json(200)["state"] == "provisioned").then_some(())
    })
    .await;
    let attachments = "/apps/qa-space/addon-attachments";
    told.client.post(attachments, json!({ "addon": addon["id"] })).await.json(201);
    told.client.delete(&format!("{attachments}/{}", text(&addon, "id"))).await.json(200);
    for (payload, change) in told.payloads(2).await.iter().zip(["attach", "detach"]) {
        let part = &payload["changes"][0];
        assert_eq!((&payload["change"], &part["addon"]["id"]), (&json!(change), &addon["id"]));
        assert_eq!(
            (&part["plan"]["name"], &part["addon"]["app"]["name"]),
            (&json!("securekey:manual"), &json!("dev-space"))
        );
    }
}

#[tokio::test]
async fn config_change_is_told_with_the_users_config_vars() {
    let told = Told::of("config_change").await;
    let vars = json!({ "CONFIG_NAME": "values", "API_TOKEN": "plain" });
    told.client.patch(&format!("{APP}/config-vars"), vars).await.json(200);
    let change = json!({ "CONFIG_NAME": "other", "API_TOKEN": null });
    told.client.patch(&format!("{APP}/config-vars"), change).await.json(200);
    let payloads = told.payloads(2).await;
    let created =
        json!([{ "type": "create", "name": "API_TOKEN" }, { "type": "create", "name": "CONFIG_NAME" }]);
    assert_eq!(payloads[0]["changes"], created);
    assert_eq!(payloads[0]["config_vars"], json!({ "API_TOKEN": "plain", "CONFIG_NAME": "values" }));
    let changed =
        json!([{ "type": "delete", "name": "API_TOKEN" }, { "type": "update", "name": "CONFIG_NAME" }]);
    assert_eq!(payloads[1]["changes"], changed);
    assert_eq!(payloads[1]["config_vars"], json!({ "CONFIG_NAME": "other" }));
}

#[tokio::test]
async fn config_change_is_redacted_in_a_socs_space_and_sealed_at_rest() {
    let told = Told::of("config_change").await;
    told.client.patch("/spaces/space", json!({ "compliance": ["socs"] })).await.json(200);
    let vars = json!({ "A": "https://foo:bar@host/path/?token=t", "API_TOKEN": "hidden-from-the-disk" });
    told.client.patch(&format!("{APP}/config-vars"), vars).await.json(200);
    let payload = told.payload().await;
    let redacted =
        json!({ "A": "https://foo:[redacted]@host/path/?token=[redacted]", "API_TOKEN": "[redacted]" });
    assert_eq!(payload["config_vars"], redacted);
    for file in ["akkerisd.db", "akkerisd.db-wal"] {
        let bytes = std::fs::read(told.daemon.dir.path().join(file)).unwrap();
        assert!(!bytes.windows(12).any(|window| window == b"[redacted]\"}"), "a payload lies open in {file}");
    }
}

#[tokio::test]
async fn destroy_is_told_after_the_app_is_gone() {
    let told = Told::of("destroy").await;
    told.client.delete(APP).await.json(200);
    let payload = told.payload().await;
    let fields: Vec<&String> = payload.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["action", "app", "space"]);
    assert_eq!(payload["app"], json!({ "name": "dev", "id": told.app.to_string() }));
}

#[tokio::test]
async fn updated_is_told_with_what_can_change() {
    let told = Told::of("updated").await;
    told.client.patch(APP, json!({ "description": "new", "labels": "a,b" })).await.json(200);
    let app = told.payload().await["app"].clone();
    let expected = json!({ "name": "dev", "id": told.app.to_string(), "description": "new", "labels": "a,b",
        "maintenance": false });
    assert_eq!(app, expected);
}

#[tokio::test]
async fn crashed_is_told_with_code_and_dyno() {
    let told = Told::of("crashed").await;
    let app = told.app;
    told.write(move |tx| {
        tx.record(Event::DynoCrashed {
            app,
            process_type: ProcessType::web(),
            dyno: DynoName::new("8577193", "asxdx"),
            code: CrashCode::MemoryQuotaExceeded,
            restarts: 1,
        })
    })
    .await;
    let mut payload = told.payload().await;
    let at = payload["crashed_at"].take();
    assert_shape(&json!("2017-02-05T22:16:56.616Z"), &at, &[]);
    let expected = json!({
        "action": "crashed",
        "app": { "name": "dev", "id": told.app.to_string() },
        "space": { "name": "space" },
        "key": "dev-space",
        "code": "R14",
        "description": "Memory quota exceeded",
        "restarts": 1,
        "dynos": [{ "type": "web", "dyno": "8577193-asxdx" }],
        "crashed_at": null
    });
    assert_eq!(payload, expected);
}

#[tokio::test]
async fn pipeline_promotion_is_told_on_the_target() {
    let told = Told::on("qa", "pipeline_promotion").await;
    let source = released(&told.daemon, &told.client, "dev-space").await;
    let body = json!({ "pipeline": { "id": "pipe" }, "source": { "app": { "id": "dev-space" } },
        "targets": [{ "app": { "id": "qa-space" } }] });
    told.client.post("/pipeline-promotions", body).await.json(200);
    let payload = told.payload().await;
    let from = id_of(&told.client, "dev").await.to_string();
    let promoted_from = json!({ "app": { "name": "dev", "id": from }, "space": { "name": "space" } });
    assert_eq!(payload["promoted_from"], promoted_from);
    assert_eq!(payload["build"], json!({ "id": source["slug"]["id"] }));
    let made = told.client.get("/apps/qa-space/releases").await.json(200);
    assert_eq!(payload["release"]["id"], made[0]["id"]);
    assert_eq!(payload["release"]["status"], "queued");
    assert_eq!(payload["release"]["description"], "Promotion from dev-space");
}

#[tokio::test]
async fn pipeline_promotion_is_told_of_a_deployment_to_a_later_stage_too() {
    let told = Told::on("qa", "pipeline_promotion").await;
    let build = built(&told.daemon, &told.client, "dev", "org/dev", "abcd1234").await;
    let cut = json!({ "repo": "org/dev", "commit": "abcd1234" });
    told.client.post("/api/releases/pipe/releases/1.0-rc1", cut).await.json(201);
    for environment in ["development", "staging"] {
        let path = format!("/api/releases/pipe/environments/{environment}/deployments");
        told.client.post(&path, json!({ "release_candidate_version": "1.0-rc1" })).await.json(201);
        succeed(&told.daemon, id_of(&told.client, "dev").await).await;
    }
    let payload = told.payload().await;
    assert_eq!(payload["promoted_from"]["app"]["name"], "dev");
    assert_eq!(payload["build"], json!({ "id": build }));
    assert_eq!(payload["release"]["description"], "Deployment of 1.0-rc1");
}

#[tokio::test]
async fn an_inactive_hook_and_one_for_other_events_are_told_nothing() {
    let told = Told::of("updated").await;
    let sink = Sink::start().await;
    for (events, active) in [(json!(["updated"]), false), (json!(["build"]), true)] {
        let hook = json!({ "url": sink.url, "events": events, "active": active, "secret": SECRET });
        told.client.post(&format!("{APP}/hooks"), hook).await.json(201);
    }
    told.client.patch(APP, json!({ "description": "new" })).await.json(200);
    told.payload().await;
    assert_eq!(sink.received().len(), 0);
}
