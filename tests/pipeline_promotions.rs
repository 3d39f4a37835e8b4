//! Promotions, walked as the section Pipelines shows them, and what it leaves open; and what a pipeline forbids
//! to releases.

use akkerisd::model::release::{ReleaseKind, ReleaseState};
use akkerisd::model::time::Timestamp;
use akkerisd::store;
use serde_json::{Value, json};

use crate::pipelines::{
    COUPLINGS, add_app, end, id_of, kinds, release, released, slug, succeed, text, with_stages,
};
use crate::support::{Client, assert_shape};

const PROMOTIONS: &str = "/pipeline-promotions";

fn documented_promotion() -> Value {
    json!({
        "created_at": "2012-01-01T12:00:00Z",
        "id": "01234567-89ab-cdef-0123-456789abcdef",
        "pipeline": { "id": "01234567-89ab-cdef-0123-456789abcdef" },
        "source": {
            "app": { "id": "01234567-89ab-cdef-0123-456789abcdef" },
            "release": { "id": "01234567-89ab-cdef-0123-456789abcdef" }
        },
        "status": "pending",
        "updated_at": "2012-01-01T12:00:00Z"
    })
}

fn documented_target() -> Value {
    json!({
        "app": { "id": "5553223-89ab-cdef-0123-456789abcdef" },
        "error_message": "",
        "id": "51234567-89ab-cdef-0123-456789abcdee",
        "pipeline_promotion": { "id": "01234567-89ab-cdef-0123-456789abcdef" },
        "release": { "id": "11114567-89ab-cdef-0123-456753232ef" },
        "status": "successful"
    })
}

fn promotion(source: &str, targets: &[&str]) -> Value {
    let targets: Vec<Value> = targets.iter().map(|id| json!({ "app": { "id": id } })).collect();
    json!({ "pipeline": { "id": "pipe" }, "source": { "app": { "id": source } }, "targets": targets })
}

async fn releases(client: &Client, app: &str) -> Vec<Value> {
    client.get(&format!("/apps/{app}/releases")).await.json(200).as_array().unwrap().clone()
}

#[tokio::test]
async fn create_pipeline_promotion_as_documented() {
    let (daemon, client) = with_stages(&[("dev", "development"), ("qa", "staging"), ("qb", "staging")]).await;
    let release = released(&daemon, &client, "dev-space").await;
    let (source, target) = (id_of(&client, "dev").await, id_of(&client, "qa").await);
    let body = promotion(&source.to_string(), &[&target.to_string()]);
    let made = client.post(PROMOTIONS, body).await.json(200);
    assert_shape(&documented_promotion(), &made, &[]);
    assert_eq!((text(&made, "status"), text(&made["pipeline"], "name")), ("pending", "pipe"));
    let expected = json!({
        "app": { "id": source.to_string(), "name": "dev" },
        "space": { "name": "space" },
        "release": { "id": release["id"] }
    });
    assert_eq!(made["source"], expected);
    let all = releases(&client, "qa-space").await;
    assert_eq!(all.len(), 1);
    assert_eq!(all[0]["slug"], release["slug"]);
    assert_eq!(text(&all[0], "description"), "Promotion from dev-space");
    assert_eq!(releases(&client, "qb-space").await.len(), 0, "only what is named is released to");
    let stored =
        daemon.state.store.read(move |c| store::releases::newest_live(c, target)).await.unwrap().unwrap();
    assert_eq!(stored.kind, ReleaseKind::Promotion { of: text(&release, "id").parse().unwrap() });
    assert!(
        kinds(&daemon, target)
            .await
            .ends_with(&["release_created".to_owned(), "release_promoted".to_owned()])
    );
    let audits = client.get("/audits?app=qa&space=space").await.json(200);
    assert_eq!(text(&audits[0], "action"), "pipeline_promotion");
    assert_eq!(client.get(PROMOTIONS).await.json(200), json!([made]));
}

#[tokio::test]
async fn create_pipeline_promotion_is_successful_at_once_in_the_reference_dialect() {
    let (daemon, client) = with_stages(&[("dev", "development"), ("qa", "staging")]).await;
    released(&daemon, &client, "dev-space").await;
    let reference = client.header("user-agent", "akkeris-cli/4.0");
    let made = reference.post(PROMOTIONS, promotion("dev-space", &["qa-space"])).await.json(200);
    assert_eq!(text(&made, "status"), "successful");
    assert_eq!(text(&made["source"]["app"], "name"), "dev", "the client joins it with the space");
    let path = format!("{PROMOTIONS}/{}", text(&made, "id"));
    assert_eq!(client.get(&path).await.json(200)["status"], "pending");
}

#[tokio::test]
async fn view_pipeline_promotion_and_its_targets_follow_the_releases() {
    let stages = [("dev", "development"), ("qa", "staging"), ("qb", "staging")];
    let (daemon, client) = with_stages(&stages).await;
    released(&daemon, &client, "dev-space").await;
    let made = client.post(PROMOTIONS, promotion("dev", &["qa", "qb"])).await.json(200);
    client.post(PROMOTIONS, promotion("dev", &["qa"])).await.json(200);
    let path = format!("{PROMOTIONS}/{}", text(&made, "id"));
    let targets_path = format!("{path}/promotion-targets");
    let targets = client.get(&targets_path).await.json(200);
    assert_shape(&json!([documented_target()]), &targets, &[]);
    assert_eq!(targets.as_array().unwrap().len(), 2, "those of this promotion only");
    assert_eq!(targets[0]["pipeline_promotion"]["id"], made["id"]);
    assert_eq!(targets[0]["release"]["id"], releases(&client, "qa").await[0]["id"]);
    let statuses = |targets: &Value| -> Vec<String> {
        targets.as_array().unwrap().iter().map(|target| text(target, "status").to_owned()).collect()
    };
    assert_eq!(statuses(&targets), ["pending", "pending"]);
    let (qa, qb) = (id_of(&client, "qa").await, id_of(&client, "qb").await);
    for _ in 0..2 {
        end(
            &daemon,
            qa,
            ReleaseState::Failed { reason: "it crashed".to_owned(), at: Timestamp::from_millis(2) },
        )
        .await;
    }
    let targets = client.get(&targets_path).await.json(200);
    assert_eq!(statuses(&targets), ["failed", "pending"]);
    assert_eq!((text(&targets[0], "error_message"), text(&targets[1], "error_message")), ("it crashed", ""));
    assert_eq!(client.get(&path).await.json(200)["status"], "pending");
    succeed(&daemon, qb).await;
    assert_eq!(statuses(&client.get(&targets_path).await.json(200)), ["failed", "successful"]);
    assert_eq!(client.get(&path).await.json(200)["status"], "failed");
    for unknown in ["nonsense".to_owned(), uuid::Uuid::nil().to_string()] {
        client.get(&format!("{PROMOTIONS}/{unknown}")).await.error(404);
        client.get(&format!("{PROMOTIONS}/{unknown}/promotion-targets")).await.error(404);
    }
}

#[tokio::test]
async fn view_pipeline_promotion_outlives_its_pipeline_and_its_apps() {
    let (daemon, client) = with_stages(&[("dev", "development"), ("qa", "staging")]).await;
    released(&daemon, &client, "dev-space").await;
    let made = client.post(PROMOTIONS, promotion("dev", &["qa"])).await.json(200);
    for path in ["/apps/dev", "/apps/qa", "/pipelines/pipe"] {
        client.delete(path).await.json(200);
    }
    let path = format!("{PROMOTIONS}/{}", text(&made, "id"));
    let seen = client.get(&path).await.json(200);
    assert_eq!((&seen["source"], text(&seen, "status")), (&made["source"], "failed"));
    let targets = client.get(&format!("{path}/promotion-targets")).await.json(200);
    assert_eq!(text(&targets[0], "error_message"), "The app was deleted before the release had ended.");
}

#[tokio::test]
async fn create_pipeline_promotion_refuses_illegal_sources_and_targets() {
    let stages = [("dev", "development"), ("peer", "development"), ("qa", "staging"), ("live", "production")];
    let (daemon, client) = with_stages(&stages).await;
    released(&daemon, &client, "dev-space").await;
    add_app(&client, "free").await;
    add_app(&client, "other").await;
    client.post("/pipelines", json!({ "name": "second" })).await.json(201);
    let second = json!({ "app": "other", "pipeline": "second", "stage": "staging" });
    client.post(COUPLINGS, second).await.json(201);
    for (source, targets, said) in [
        (
            "dev",
            vec!["live"],
            "is in the stage production; dev-space is promoted to apps in the stage staging",
        ),
        ("dev", vec!["peer"], "is in the stage development"),
        ("dev", vec!["dev"], "cannot be promoted to itself"),
        ("dev", vec!["other"], "other-space is not in the pipeline pipe"),
        ("dev", vec!["free"], "free-space is not in the pipeline pipe"),
        ("dev", vec!["qa", "qa-space"], "qa-space is named twice"),
        ("dev", vec![], "No target"),
        ("dev", vec!["qa", "live"], "live-space is in the stage production"),
        ("live", vec!["qa"], "there is none to promote to"),
        ("free", vec!["qa"], "free-space is not in the pipeline pipe"),
        ("other", vec!["qa"], "other-space is not in the pipeline pipe"),
        ("peer", vec!["qa"], "no release that succeeded"),
    ] {
        let refused = client.post(PROMOTIONS, promotion(source, &targets)).await.error(422);
        assert!(refused.contains(said), "{refused}");
    }
    for missing in ["pipeline", "source", "targets"] {
        let mut body = promotion("dev", &["qa"]);
        body.as_object_mut().unwrap().remove(missing);
        client.post(PROMOTIONS, body).await.error(422);
    }
    client.post(PROMOTIONS, promotion("nobody", &["qa"])).await.error(404);
    client.post(PROMOTIONS, promotion("dev", &["nobody"])).await.error(404);
    let mut unknown = promotion("dev", &["qa"]);
    unknown["pipeline"]["id"] = json!("nobody");
    client.post(PROMOTIONS, unknown).await.error(404);
    assert_eq!(releases(&client, "qa").await.len(), 0, "a refused promotion releases nothing");
    assert_eq!(client.get(PROMOTIONS).await.json(200), json!([]));
}

#[tokio::test]
async fn create_pipeline_promotion_takes_the_release_that_is_named() {
    let (daemon, client) = with_stages(&[("dev", "development"), ("qa", "staging")]).await;
    let old = released(&daemon, &client, "dev-space").await;
    released(&daemon, &client, "dev-space").await;
    let queued = release(&daemon, &client, "dev-space").await;
    let of = |release: &str| {
        let mut body = promotion("dev", &["qa"]);
        body["source"]["app"]["release"] = json!({ "id": release });
        body
    };
    client.post(PROMOTIONS, of("nonsense")).await.error(422);
    client.post(PROMOTIONS, of(&uuid::Uuid::nil().to_string())).await.error(404);
    let unfinished = client.post(PROMOTIONS, of(text(&queued, "id"))).await.error(422);
    assert!(unfinished.contains("is queued; only one that succeeded"), "{unfinished}");
    let made = client.post(PROMOTIONS, of(text(&old, "id"))).await.json(200);
    assert_eq!(made["source"]["release"]["id"], old["id"]);
    let on_target = releases(&client, "qa").await;
    assert_eq!(on_target[0]["slug"], old["slug"]);
    let foreign = client.post(PROMOTIONS, of(text(&on_target[0], "id"))).await.error(422);
    assert!(foreign.contains("belongs to another app"), "{foreign}");
}

#[tokio::test]
async fn create_pipeline_promotion_when_safe_wants_the_same_config_vars() {
    let stages = [("dev", "development"), ("qa", "staging"), ("qb", "staging")];
    let (daemon, client) = with_stages(&stages).await;
    released(&daemon, &client, "dev-space").await;
    let set = |app: &'static str, vars: Value| {
        let client = client.clone();
        async move { client.patch(&format!("/apps/{app}/config-vars"), vars).await.json(200) }
    };
    set("dev", json!({ "SHARED": "a secret", "NEW": "1" })).await;
    set("qa", json!({ "SHARED": "another value", "NEW": "2" })).await;
    set("qb", json!({ "SHARED": "a third", "OLD": "3" })).await;
    let safe = |targets: &[&str]| {
        let mut body = promotion("dev", targets);
        body["safe"] = json!(true);
        body
    };
    let refused = client.post(PROMOTIONS, safe(&["qa", "qb"])).await.error(422);
    assert!(refused.contains("dev-space and qb-space differ in NEW, OLD."), "{refused}");
    assert_eq!(releases(&client, "qa").await.len(), 0, "all targets or none");
    client.post(PROMOTIONS, safe(&["qa"])).await.json(200);
    client.post(PROMOTIONS, promotion("dev", &["qb"])).await.json(200);
    let kept = client.get("/apps/qb/config-vars").await.json(200);
    assert_eq!(text(&kept, "OLD"), "3", "the config of the target is its own");
}

#[tokio::test]
async fn create_pipeline_promotion_when_safe_wants_addons_of_the_same_services() {
    let (daemon, client) = with_stages(&[("dev", "development"), ("qa", "staging")]).await;
    released(&daemon, &client, "dev-space").await;
    let plan = || json!({ "plan": "securekey:manual" });
    client.post("/apps/dev/addons", plan()).await.json(201);
    let mut safe = promotion("dev", &["qa"]);
    safe["safe"] = json!(true);
    let refused = client.post(PROMOTIONS, safe.clone()).await.error(422);
    assert!(refused.contains("do not both have addons of securekey"), "{refused}");
    client.post("/apps/qa/addons", plan()).await.json(201);
    client.post(PROMOTIONS, safe).await.json(200);
}

#[tokio::test]
async fn create_release_of_a_slug_is_refused_behind_an_earlier_stage() {
    let (daemon, client) = with_stages(&[("dev", "development"), ("qa", "staging")]).await;
    released(&daemon, &client, "dev-space").await;
    let slug = slug(&daemon, &client, "qa-space").await;
    for wanted in [slug.as_str(), "latest"] {
        let refused = client.post("/apps/qa/releases", json!({ "slug": wanted })).await.error(422);
        assert!(refused.contains("behind dev-space in the stage development"), "{refused}");
    }
    let qa = id_of(&client, "qa").await;
    for _ in 0..2 {
        client.post(PROMOTIONS, promotion("dev", &["qa"])).await.json(200);
        succeed(&daemon, qa).await;
    }
    let first = releases(&client, "qa").await;
    client.post("/apps/qa/releases", json!({ "release": first[0]["id"] })).await.json(201);
    let upstream = client.get("/apps/dev/pipeline-couplings").await.json(200);
    client.delete(&format!("{COUPLINGS}/{}", text(&upstream, "id"))).await.json(200);
    client.post("/apps/qa/releases", json!({ "slug": slug })).await.json(201);
}

#[tokio::test]
async fn create_pipeline_promotion_wants_the_required_checks_of_the_target() {
    let (daemon, client) = with_stages(&[("dev", "development")]).await;
    add_app(&client, "qa").await;
    let checks = json!({ "contexts": ["tests/unit", "tests/load"] });
    let coupling = json!({
        "app": "qa", "pipeline": "pipe", "stage": "staging", "required_status_checks": checks
    });
    assert_eq!(client.post(COUPLINGS, coupling).await.json(201)["required_status_checks"], checks);
    let release = released(&daemon, &client, "dev-space").await;
    let statuses = format!("/apps/dev/releases/{}/statuses", text(&release, "id"));
    let status =
        |context: &str, state: &str| json!({ "context": context, "state": state, "name": "A check" });
    client.post(&statuses, status("tests/unit", "success")).await.json(201);
    let load = client.post(&statuses, status("tests/load", "failure")).await.json(201);
    let alice = daemon.personal("alice").await;
    let mut unsafe_one = promotion("dev", &["qa"]);
    unsafe_one["safe"] = json!(false);
    for (who, body) in [(&client, promotion("dev", &["qa"])), (&alice, unsafe_one.clone())] {
        let refused = who.post(PROMOTIONS, body).await.error(409);
        assert!(refused.ends_with("that qa-space requires: tests/load."), "{refused}");
    }
    assert_eq!(releases(&client, "qa").await.len(), 0);
    client.post(PROMOTIONS, unsafe_one).await.json(200);
    let path = format!("{statuses}/{}", text(&load, "id"));
    client.patch(&path, json!({ "state": "success" })).await.json(200);
    alice.post(PROMOTIONS, promotion("dev", &["qa"])).await.json(200);
    assert_eq!(releases(&client, "qa").await.len(), 2);
}

#[tokio::test]
async fn create_pipeline_promotion_keeps_the_slug_for_its_targets() {
    let (daemon, client) = with_stages(&[("dev", "development"), ("qa", "staging")]).await;
    let old = released(&daemon, &client, "dev-space").await;
    client.post(PROMOTIONS, promotion("dev", &["qa"])).await.json(200);
    client.post("/apps/dev/releases", json!({ "release": old["id"] })).await.json(201);
    let new = released(&daemon, &client, "dev-space").await;
    let dev = id_of(&client, "dev").await;
    let is_needed = async |release: &Value| {
        let slug = text(&release["slug"], "id").parse().unwrap();
        daemon.state.store.read(move |c| store::releases::is_slug_needed(c, dev, slug)).await.unwrap()
    };
    assert!(is_needed(&new).await);
    assert!(is_needed(&old).await, "it is history for dev, but qa has it");
    client.delete("/apps/qa").await.json(200);
    assert!(!is_needed(&old).await);
}
