//! `releases…`.

use serde_json::{Value, json};

use super::{APP, Aka, assert_printable, list, strings, text};
use crate::builds::{running, set_state, succeeded};
use crate::pipelines::released;

const PATH: &str = "/apps/app-default/releases";
const BUILDS: &str = "/apps/app-default/builds";

/// With two releases that succeeded.
async fn with_releases() -> Aka {
    let aka = Aka::with_app().await;
    for _ in 0..2 {
        released(&aka.daemon, &aka.client, "app-default").await;
    }
    aka
}

fn readable(release: &Value) {
    strings(release, &["id", "slug.id", "created_at", "status", "state", "description"]);
    assert!(release["version"].is_number() && release["current"].is_boolean(), "{release}");
}

#[tokio::test]
async fn releases_finds_the_slug_of_every_release_and_of_every_build() {
    let aka = with_releases().await;
    // One that waits and one that runs, which no release has.
    aka.post(BUILDS, json!({ "url": "data:,x", "checksum": "" })).await;
    let runs = aka.post(BUILDS, json!({ "url": "data:,x", "checksum": "" })).await;
    set_state(&aka.daemon, text(&runs, "id").parse().unwrap(), running()).await;
    let (releases, builds) = (aka.get(PATH).await, aka.get(BUILDS).await);
    for release in list(&releases) {
        readable(release);
        let slug = aka.get(&format!("/slugs/{}", text(release, "slug.id"))).await;
        assert!(slug["source_blob"].is_object(), "{slug}");
    }
    for build in list(&builds) {
        strings(build, &["id", "slug.id", "status", "created_at"]);
        strings(build, &["source_blob.author", "source_blob.message", "source_blob.commit"]);
        let slug = aka.get(&format!("/slugs/{}", text(build, "slug.id"))).await;
        assert!(slug["source_blob"].is_object(), "{slug}");
    }
    let current = list(&releases).iter().rposition(|release| release["current"] == true);
    assert_eq!(current, Some(1), "the last is the current one");
}

#[tokio::test]
async fn releases_create_builds_waits_and_releases() {
    let aka = Aka::with_app().await;
    let features = aka.get(&format!("{APP}/features")).await;
    for feature in list(&features) {
        strings(feature, &["name"]);
        assert!(feature["enabled"].is_boolean(), "{feature}");
    }
    aka.patch(&format!("{APP}/features/auto-release"), json!({ "enabled": false })).await;
    let body =
        json!({ "checksum": "", "url": "data:,x", "repo": "", "sha": "", "branch": "", "version": "v1" });
    let build = aka.post(BUILDS, body).await;
    let path = format!("{BUILDS}/{}", text(&build, "id"));
    assert!(["queued", "pending"].contains(&text(&aka.get(&path).await, "status")));
    set_state(&aka.daemon, text(&build, "id").parse().unwrap(), succeeded()).await;
    assert_eq!(text(&aka.get(&path).await, "status"), "succeeded");
    let made = aka.post(PATH, json!({ "slug": text(&build, "id"), "version": "v1" })).await;
    readable(&made);
}

#[tokio::test]
async fn releases_info_prints_the_release_and_its_statuses() {
    let aka = with_releases().await;
    let all = aka.get(PATH).await;
    let newest = list(&all).last().unwrap();
    let by_version = list(&all).iter().find(|release| release["version"] == 1).unwrap();
    let by_id = aka.get(&format!("{PATH}/{}", text(newest, "id"))).await;
    for release in [newest, by_version, &by_id] {
        readable(release);
        assert_printable(release);
        let statuses = aka.get(&format!("{PATH}/{}/statuses", text(release, "id"))).await;
        assert_printable(&statuses["statuses"]);
        assert!(statuses["statuses"].is_array(), "{statuses}");
    }
    let path = format!("{PATH}/{}/statuses", text(newest, "id"));
    for (context, target) in [("ci/tests", json!("https://ci.example.com/1")), ("ci/lint", json!(null))] {
        let status = json!({ "name": "Checks", "context": context, "state": "success", "description": "Fine", "target_url": target });
        aka.post(&path, status).await;
    }
    let statuses = aka.get(&path).await;
    assert_eq!(list(&statuses["statuses"]).len(), 2);
    assert_printable(&statuses["statuses"]);
}

#[tokio::test]
async fn releases_rollback_reads_a_numbered_release() {
    let aka = with_releases().await;
    let all = aka.get(PATH).await;
    let previous = &list(&all)[0];
    readable(previous);
    let description = format!("Rollback to v{}", previous["version"]);
    let made = aka.post(PATH, json!({ "release": text(previous, "id"), "description": description })).await;
    readable(&made);
    assert_eq!((&made["version"], &made["slug"]), (&json!(3), &previous["slug"]));
}

#[tokio::test]
async fn releases_rebuild_builds_the_slug_of_the_latest_again() {
    let aka = with_releases().await;
    let all = aka.get(PATH).await;
    let slug = text(list(&all).last().unwrap(), "slug.id");
    let again = aka.put(&format!("{BUILDS}/{slug}")).await.json(201);
    strings(&again, &["id", "status"]);
    strings(&aka.get(&format!("{BUILDS}/{}", text(&again, "id"))).await, &["id", "status"]);
}

#[tokio::test]
async fn releases_finds_the_slug_of_a_promotion_which_another_app_built() {
    let aka = Aka::with_app().await;
    aka.create_app("other").await;
    aka.post("/pipelines", json!({ "name": "pipe" })).await;
    for (app, stage) in [("app-default", "staging"), ("other-default", "production")] {
        aka.post("/pipeline-couplings", json!({ "app": app, "pipeline": "pipe", "stage": stage })).await;
    }
    released(&aka.daemon, &aka.client, "app-default").await;
    let targets = json!([{ "app": { "id": "other-default" } }]);
    let promotion = json!({ "pipeline": { "id": "pipe" }, "source": { "app": { "id": "app-default" } }, "targets": targets });
    aka.send(http::Method::POST, "/pipeline-promotions", promotion).await.json(200);
    assert_eq!(aka.get("/apps/other-default/builds").await, json!([]));
    for release in list(&aka.get("/apps/other-default/releases").await) {
        readable(release);
        let slug = aka.get(&format!("/slugs/{}", text(release, "slug.id"))).await;
        assert!(slug["source_blob"].is_object(), "{slug}");
    }
}
