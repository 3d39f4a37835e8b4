//! Previews of pull requests (`behaviour.md` §28): what is made, of what, and when it goes. What a provider tells is
//! given to the service here; how it gets there is told elsewhere.

mod addons;
mod copies;
mod harness;

use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::hooks::Deliverer;
use akkerisd::model::event::Event;
use akkerisd::model::ids::ReleaseId;
use akkerisd::model::principal::Principal;
use akkerisd::model::pull_request::PullRequestChange;
use akkerisd::model::repository_url::{BranchName, RepositoryUrl};
use akkerisd::model::time::Timestamp;
use akkerisd::previews::PreviewSweep;
use akkerisd::service::previews::Outcome;
use akkerisd::store::StoreError;
use akkerisd::tasks::Tasks;
use serde_json::{Value, json};

use self::harness::{APP, Source, changed, request};
use crate::hook_payloads::deliverer_parts;
use crate::oneoffs::harness::House;
use crate::pipelines::{id_of, released, text};
use crate::support::sink::{Received, Sink};
use crate::support::wait::wait_until;
use crate::support::{TestDaemon, assert_shape};

const WAIT: Duration = Duration::from_secs(30);

fn documented() -> Value {
    json!({
        "id": "6115216c-d683-060a-a133-ff7707758311",
        "app": { "id": "73764651-4cf7-11e6-beb8-1121128ca377" },
        "source": {
            "app": { "id": "4f739e5e-4cf7-11e6-beb8-9e71128cae77", "name": "events-perf-dev" },
            "app-setup": { "id": "55739e5e-4cf7-1155-beb8-9e711222ae11" },
            "trigger": { "type": "github-pull-request", "id": "feature-branch-name" }
        },
        "created_at": "2016-07-18T14:55:38.190Z",
        "updated_at": "2016-07-18T14:55:38.190Z"
    })
}

#[tokio::test]
async fn list_previews_as_documented() {
    let source = Source::with(&["preview"]).await;
    assert_eq!(source.list().await, Vec::<Value>::new());
    let mut events = source.daemon.events().await;
    let path = source.open("fix/login").await;
    let list = source.list().await;
    assert_shape(&json!([documented()]), &json!(list), &[]);
    let preview = list.first().unwrap();
    assert_eq!(preview["app"]["name"], "shop5e870-default");
    assert_eq!(preview["source"]["app"], json!({ "id": source.followed.app, "name": "shop-default" }));
    let trigger = json!({ "type": "github-pull-request", "id": "fix/login", "number": 12 });
    assert_eq!(preview["source"]["trigger"], trigger);
    let app = source.client.get(&path).await.json(200);
    assert_eq!((&app["id"], &app["preview"]), (&preview["app"]["id"], &json!({ "id": preview["id"] })));
    assert_eq!(source.client.get(APP).await.json(200)["preview"], Value::Null);
    let kinds = events.kinds_so_far().await;
    assert_eq!((kinds.first(), kinds.last()), (Some(&"app_created"), Some(&"preview_created")));
    let audits = source.client.get("/audits?app=shop&space=default").await.text();
    assert!(audits.contains(r#""action":"preview""#), "{audits}");
}

#[tokio::test]
async fn view_preview_of_this_app_only() {
    let source = Source::with(&["preview"]).await;
    let path = source.open("fix").await;
    let preview = source.list().await.remove(0);
    let id = text(&preview, "id");
    assert_eq!(source.client.get(&format!("{APP}/previews/{id}")).await.json(200), preview);
    let error = source.client.get(&format!("{path}/previews/{id}")).await.error(404);
    assert_eq!(error, format!("The preview {id} does not exist for this app."));
    source.client.get(&format!("{APP}/previews/fix")).await.error(404);
}

#[tokio::test]
async fn a_branch_has_one_preview_however_often_it_is_told_of() {
    let source = Source::with(&["preview"]).await;
    source.open("fix").await;
    let made = source.list().await;
    for again in [
        request(12, "fix"),
        request(12, "FIX"),
        changed(request(12, "fix"), PullRequestChange::Updated),
        request(13, "fix"),
    ] {
        assert!(matches!(source.tell(&again).await, Outcome::Kept(_)), "{again:?}");
    }
    assert_eq!(source.list().await.first().unwrap()["id"], made.first().unwrap()["id"]);
    let other = changed(request(13, "fix"), PullRequestChange::Closed);
    assert!(matches!(source.tell(&other).await, Outcome::Ignored(_)), "another pull request was closed");
    assert_eq!(source.list().await.len(), 1);
    source.open("fix/more").await;
    assert_eq!(source.list().await.len(), 2);
}

#[tokio::test]
async fn no_preview_is_made_of_a_fork_another_branch_or_where_none_is_wanted() {
    let source = Source::with(&[]).await;
    let ignored = async |request| matches!(source.tell(&request).await, Outcome::Ignored(_));
    assert!(ignored(request(12, "fix")).await, "the feature is off");
    source.switch("preview", true).await;
    let mut fork = request(12, "fix");
    for repository in [None, Some(RepositoryUrl::parse("https://github.com/mallory/shop").unwrap())] {
        fork.head.repository = repository;
        assert!(ignored(fork.clone()).await, "{fork:?}");
    }
    let mut other = request(12, "fix");
    other.base = BranchName::parse("develop").unwrap();
    assert!(ignored(other).await, "another base");
    for compliance in ["socs", "prod"] {
        let change = json!({ "compliance": [compliance] });
        source.client.patch("/spaces/default", change).await.json(200);
        assert!(ignored(request(12, "fix")).await, "{compliance}");
    }
    assert_eq!(source.apps().await, ["shop-default"]);
}

#[tokio::test]
async fn a_preview_goes_when_its_pull_request_is_closed_or_for_another_branch() {
    let source = Source::with(&["preview"]).await;
    let main = || BranchName::parse("main").unwrap();
    let mut elsewhere = changed(request(12, "fix"), PullRequestChange::Retargeted { from: main() });
    elsewhere.base = BranchName::parse("develop").unwrap();
    for end in [changed(request(12, "fix"), PullRequestChange::Closed), elsewhere] {
        let path = source.open("fix").await;
        let mut events = source.daemon.events().await;
        assert!(matches!(source.tell(&end).await, Outcome::Removed(_)), "{end:?}");
        source.client.get(&path).await.error(404);
        assert_eq!(source.list().await, Vec::<Value>::new());
        let kinds = events.kinds_so_far().await;
        assert_eq!(kinds, ["preview_deleted", "app_deleted"]);
        assert!(matches!(source.tell(&end).await, Outcome::Ignored(_)), "twice: {end:?}");
    }
    let from = BranchName::parse("develop").unwrap();
    let hither = changed(request(12, "fix"), PullRequestChange::Retargeted { from });
    assert!(matches!(source.tell(&hither).await, Outcome::Made(_)));
}

#[tokio::test]
async fn a_preview_goes_with_its_source_and_with_the_feature() {
    let source = Source::with(&["preview"]).await;
    source.open("fix").await;
    source.open("more").await;
    source.switch("preview", false).await;
    assert_eq!(source.apps().await, ["shop-default"]);
    source.switch("preview", true).await;
    source.open("fix").await;
    source.client.delete(APP).await.json(200);
    assert_eq!(source.apps().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_preview_that_a_person_deletes_is_told_of_and_may_be_made_again() {
    let source = Source::with(&["preview"]).await;
    let path = source.open("fix").await;
    let mut events = source.daemon.events().await;
    source.client.delete(&path).await.json(200);
    assert_eq!(events.kinds_so_far().await, ["preview_deleted", "app_deleted"]);
    assert_eq!(source.list().await, Vec::<Value>::new());
    source.open("fix").await;
}

#[tokio::test]
async fn a_preview_goes_when_its_pull_request_was_not_heard_of_for_so_long() {
    let clock = Clock::manual(Timestamp::from_millis(1_767_225_600_000));
    let source = Source::on(TestDaemon::at(clock.clone()).await, &["preview"]).await;
    source.open("old").await;
    source.open("active").await;
    clock.advance(Duration::from_hours(100));
    source.tell(&changed(request(12, "active"), PullRequestChange::Updated)).await;
    clock.advance(Duration::from_hours(100));
    let tasks = Tasks::new();
    let (store, max_age) = (source.daemon.state.store.clone(), Duration::from_hours(168));
    PreviewSweep { store, clock, max_age }.start(&tasks);
    let left = wait_until("the old one is gone", WAIT, async || {
        let left = source.list().await;
        (left.len() == 1).then_some(left)
    });
    assert_eq!(left.await.first().unwrap()["source"]["trigger"]["id"], "active");
    assert!(tasks.stop(WAIT).await);
}

#[tokio::test]
async fn a_preview_that_cannot_be_made_leaves_nothing_and_says_why() {
    let source = Source::with(&["preview"]).await;
    let vars = format!("{APP}/config-vars");
    source.client.patch(&vars, json!({ "API_TOKEN": "", "OTHER": "x" })).await.json(200);
    let note = json!({ "API_TOKEN": { "required": true }, "OTHER": { "required": true } });
    source.client.patch(&format!("{vars}/notes"), note).await.json(200);
    let mut events = source.daemon.events().await;
    let Outcome::Refused(why) = source.tell(&request(12, "fix")).await else { panic!("it was made") };
    assert_eq!(
        why,
        "The config var API_TOKEN of shop-default is required and has no value; set one, then push to the branch again."
    );
    let told = events.so_far().await;
    assert!(
        matches!(told.as_slice(), [event] if matches!(&**event, Event::PreviewRefused { reason, .. } if *reason == why)),
        "{told:?}"
    );
    assert_eq!((source.apps().await.len(), source.daemon.count("previews")), (1, 0));
    source.client.patch(&vars, json!({ "API_TOKEN": "secret" })).await.json(200);
    source.open("fix").await;
    let name = text(&source.list().await.remove(0)["app"], "name").to_owned();
    source.tell(&changed(request(12, "fix"), PullRequestChange::Closed)).await;
    let (short, space) = name.split_once('-').unwrap();
    let taken = json!({ "name": short, "space": space, "org": "akkeris" });
    source.client.post("/apps", taken).await.json(201);
    let Outcome::Refused(why) = source.tell(&request(12, "fix")).await else { panic!("it was made") };
    assert_eq!(why, format!("The app {name} exists already."));
}

/// The payloads that the hooks of the source were sent.
async fn payloads(source: &Source, event: &str, count: usize, act: impl AsyncFnOnce()) -> Vec<Value> {
    let (sink, tasks) = (Sink::start().await, Tasks::new());
    let hook = json!({ "url": sink.url, "events": [event], "active": true, "secret": "secret" });
    source.client.post(&format!("{APP}/hooks"), hook).await.json(201);
    Deliverer::start(deliverer_parts(&source.daemon), &tasks).await.unwrap();
    act().await;
    let received = sink.wait_for(count).await;
    assert!(tasks.stop(WAIT).await);
    received.iter().map(Received::json).collect()
}

#[tokio::test]
async fn preview_is_told_to_the_hooks_of_the_source_as_documented() {
    let source = Source::with(&["preview", "preview-sites"]).await;
    source.client.post("/sites", json!({ "domain": "altest.akkeris.io" })).await.json(201);
    let route = json!({ "site": "altest.akkeris.io", "app": "shop", "source_path": "/" });
    source.client.post("/routes", route).await.json(201);
    let payload =
        payloads(&source, "preview", 1, async || drop(source.open("fix/login").await)).await.remove(0);
    let id = "7edbac4b-6a5e-09e1-ef3a-08084a904621";
    let site = json!({
        "id": id, "domain": "altest5809b76a1.akkeris.io", "region": { "name": "us-seattle", "id": id },
        "created_at": "2018-04-11T13:48:23.767Z", "updated_at": "2018-04-11T13:48:23.767Z", "compliance": []
    });
    let documented = json!({
        "action": "preview",
        "app": { "name": "yourappname", "id": id },
        "space": { "name": "the-space" },
        "change": "create",
        "preview": {
            "app": { "name": "youraabcdef", "id": id },
            "app_setup": {
                "id": id, "created_at": "2016-08-11T20:16:45.820Z", "updated_at": "2016-08-11T20:16:45.820Z",
                "app": { "id": id, "name": "youraabcdef" },
                "build": { "id": null, "status": "queued", "output_stream_url": null },
                "progress": 0, "status": "pending", "failure_message": "", "manifest_errors": [],
                "postdeploy": null, "resolved_success_url": null
            },
            "sites": [site]
        },
        "sites": [site]
    });
    assert_shape(&documented, &payload, &["id", "output_stream_url", "postdeploy", "resolved_success_url"]);
    let preview = source.list().await.remove(0);
    assert_eq!(payload["app"]["name"], "shop");
    assert_eq!(payload["preview"]["app"], json!({ "name": "shop5e870", "id": preview["app"]["id"] }));
    assert_eq!(payload["preview"]["app_setup"]["id"], preview["source"]["app-setup"]["id"]);
    assert_eq!(payload["sites"][0]["domain"], "altest5e870.akkeris.io");
}

#[tokio::test]
async fn preview_released_is_an_event_of_the_source_when_the_dynos_of_the_preview_are_up() {
    let house = House::empty().await;
    let shop = json!({ "name": "shop", "space": "default", "org": "akkeris" });
    house.client.post("/apps", shop).await.json(201);
    house.daemon.corrupt(
        "INSERT INTO previews SELECT x'01', id, x'02', 'github-pull-request', 'fix', 12, 0, 0 FROM apps WHERE name = 'shop';
         UPDATE previews SET id = randomblob(16), setup_id = randomblob(16);
         UPDATE apps SET preview_id = (SELECT id FROM previews) WHERE name = 'app'",
    );
    let release = house.release(&[]).await;
    house.wait("the release is up", || house.is_released(&release, "succeeded")).await;
    let audits = house.client.get("/audits?app=shop&size=1").await.json(200);
    assert_eq!(audits[0]["action"], "preview-released");
    assert!(audits.to_string().contains(&release.id.to_string()), "{audits}");
}

#[tokio::test]
async fn preview_released_is_told_to_the_hooks_of_the_source() {
    let source = Source::with(&["preview"]).await;
    source.open("fix/login").await;
    let name = "shop5e870-default";
    let made = released(&source.daemon, &source.client, name).await;
    let preview = source.list().await.remove(0);
    let release: ReleaseId = text(&made, "id").parse().unwrap();
    let (app, id) = (source.followed.app, text(&preview, "id").parse().unwrap());
    let payload = payloads(&source, "preview-released", 1, async || {
        let event = Event::PreviewReleased { app, preview: id, release };
        let record = move |tx: &mut akkerisd::store::Tx<'_>| tx.record(event);
        source.daemon.state.store.write::<_, StoreError, _>(&Principal::daemon(), record).await.unwrap();
    });
    let payload = payload.await.remove(0);
    assert_eq!((&payload["app"]["name"], &payload["key"]), (&json!("shop"), &json!(name)));
    assert_eq!(payload["source_app"], json!({ "id": app, "name": "shop" }));
    assert_eq!(payload["source_space"], json!({ "name": "default" }));
    assert_eq!(payload["preview"]["app"]["id"], json!(id_of(&source.client, name).await));
    assert_eq!((&payload["release"]["id"], &payload["slug"]["id"]), (&made["id"], &made["slug"]["id"]));
}
