//! `pipelines…`.

use serde_json::{Value, json};

use super::{Aka, assert_printable, at, list, strings, text};
use crate::pipelines::released;

const COUPLINGS: &str = "/pipeline-couplings";

/// The pipeline `pipe` with an app in each of two stages, coupled as `pipelines:add` does.
async fn with_stages() -> Aka {
    let aka = Aka::start().await;
    aka.post("/pipelines", json!({ "name": "pipe" })).await;
    for (app, stage) in [("dev", "development"), ("qa", "staging")] {
        aka.create_app(app).await;
        add(&aka, app, stage, &[]).await;
    }
    aka
}

async fn add(aka: &Aka, app: &str, stage: &str, contexts: &[&str]) -> Value {
    let checks = json!({ "contexts": contexts });
    let name = format!("{app}-default");
    aka.post(
        COUPLINGS,
        json!({ "app": name, "pipeline": "pipe", "stage": stage, "required_status_checks": checks }),
    )
    .await
}

#[tokio::test]
async fn pipelines_lists_what_pipelines_create_prints_and_not_what_was_destroyed() {
    let aka = Aka::start().await;
    assert_printable(&aka.post("/pipelines", json!({ "name": "pipe" })).await);
    for pipeline in list(&aka.get("/pipelines").await) {
        strings(pipeline, &["name", "id", "created_at"]);
    }
    assert_printable(&aka.delete("/pipelines/pipe").await.json(200));
    assert_eq!(aka.get("/pipelines").await, json!([]));
}

#[tokio::test]
async fn pipelines_info_reads_names_of_apps_and_contexts() {
    let aka = with_stages().await;
    for coupling in list(&aka.get("/pipelines/pipe/pipeline-couplings").await) {
        strings(coupling, &["stage", "id", "app.name", "app.id"]);
        assert!(at(coupling, "required_status_checks.contexts").is_array(), "{coupling}");
        assert!(text(coupling, "app.name").ends_with("-default"), "{coupling}");
    }
}

#[tokio::test]
async fn pipelines_add_prints_the_coupling_before_and_after_a_release() {
    let aka = Aka::start().await;
    aka.post("/pipelines", json!({ "name": "pipe" })).await;
    aka.create_app("dev").await;
    assert_printable(&add(&aka, "dev", "development", &["ci/tests"]).await);
    aka.create_app("qa").await;
    released(&aka.daemon, &aka.client, "qa-default").await;
    assert_printable(&add(&aka, "qa", "staging", &[]).await);
}

#[tokio::test]
async fn pipelines_update_sends_contexts_and_pipelines_checks_lists_known_ones() {
    let aka = with_stages().await;
    let couplings = aka.get("/pipelines/pipe/pipeline-couplings").await;
    let id = text(&list(&couplings)[1], "id");
    let checks = json!({ "required_status_checks": { "contexts": ["ci/tests"] } });
    let updated = aka.patch(&format!("{COUPLINGS}/{id}"), checks).await;
    assert_eq!(at(&updated, "required_status_checks.contexts"), &json!(["ci/tests"]));
    let release = released(&aka.daemon, &aka.client, "dev-default").await;
    let status = json!({ "name": "Tests", "context": "ci/tests", "state": "success" });
    aka.post(&format!("/apps/dev-default/releases/{}/statuses", text(&release, "id")), status).await;
    for check in list(&aka.get("/pipelines/pipe/statuses").await) {
        strings(check, &["context", "name"]);
    }
}

#[tokio::test]
async fn pipelines_remove_finds_the_coupling_and_prints_it() {
    let aka = with_stages().await;
    released(&aka.daemon, &aka.client, "dev-default").await;
    let coupling = aka.get("/apps/dev-default/pipeline-couplings").await;
    let gone = aka.delete(&format!("{COUPLINGS}/{}", text(&coupling, "id"))).await.json(200);
    assert_printable(&gone);
    aka.client.get("/apps/dev-default/pipeline-couplings").await.error(404);
}

/// What `pipelines:promote -a dev-default` sends, made of what it reads before.
async fn promotion(aka: &Aka, release: Option<&str>, safe: bool) -> Value {
    let stages = aka.get("/pipeline-stages").await;
    let expected = json!({ "review": "development", "development": "staging", "staging": "production", "production": null });
    assert_eq!(stages, expected);
    let source = aka.get("/apps/dev-default/pipeline-couplings").await;
    strings(&source, &["stage", "app.id", "app.name", "pipeline.id", "pipeline.name"]);
    let next = text(&stages, text(&source, "stage")).to_owned();
    let couplings = aka.get(&format!("/pipelines/{}/pipeline-couplings", text(&source, "pipeline.id"))).await;
    let targets: Vec<Value> = list(&couplings)
        .iter()
        .inspect(|coupling| strings(coupling, &["stage", "app.id", "app.name"]))
        .filter(|coupling| text(coupling, "stage") == next)
        .map(|coupling| json!({ "app": { "id": text(coupling, "app.id"), "name": text(coupling, "app.name") } }))
        .collect();
    let (id, name) = (text(&source, "app.id"), text(&source, "app.name"));
    let app = match release {
        Some(release) => json!({ "id": id, "name": name, "release": { "id": release } }),
        None => json!({ "id": id, "name": name }),
    };
    json!({
        "pipeline": { "id": text(&source, "pipeline.id"), "name": text(&source, "pipeline.name") },
        "source": { "app": app },
        "targets": targets,
        "safe": safe
    })
}

fn readable(promotion: &Value) {
    strings(promotion, &["source.app.id", "source.app.name", "source.space.name", "source.release.id"]);
    // The client joins the two.
    let key = format!("{}-{}", text(promotion, "source.app.name"), text(promotion, "source.space.name"));
    assert_eq!(key, "dev-default");
}

#[tokio::test]
async fn pipelines_promote_reads_the_source_of_the_promotion() {
    let aka = with_stages().await;
    released(&aka.daemon, &aka.client, "dev-default").await;
    for safe in [true, false] {
        let body = promotion(&aka, None, safe).await;
        readable(&aka.send(http::Method::POST, "/pipeline-promotions", body).await.json(200));
    }
    assert_eq!(list(&aka.get("/apps/qa-default/releases").await).len(), 2);
}

#[tokio::test]
async fn pipelines_promote_of_a_chosen_release_sends_its_id() {
    let aka = with_stages().await;
    let old = released(&aka.daemon, &aka.client, "dev-default").await;
    released(&aka.daemon, &aka.client, "dev-default").await;
    let all = aka.get("/apps/dev-default/releases").await;
    let chosen = list(&all).iter().find(|release| release["version"] == 1).unwrap();
    let body = promotion(&aka, Some(text(chosen, "id")), true).await;
    let made = aka.send(http::Method::POST, "/pipeline-promotions", body).await.json(200);
    readable(&made);
    assert_eq!(text(&made, "source.release.id"), text(&old, "id"));
}
