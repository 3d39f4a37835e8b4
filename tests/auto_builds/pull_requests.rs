//! Pull requests, from the callback to a preview that is built.

use serde_json::{Value, json};

use super::ALL;
use super::harness::{Bench, LAST, NEXT, PATIENCE, TIP};
use crate::support::wait::wait_until;

/// With an auto build, and previews switched on.
async fn with_previews(kind: akkerisd::model::auto_build::SourceProvider) -> Bench {
    let bench = Bench::start(kind).await;
    bench.connect(json!({})).await;
    bench.built(TIP, "succeeded").await;
    bench.client.patch("/apps/app-default/features/preview", json!({ "enabled": true })).await.json(200);
    bench
}

/// The keys of the previews of the app.
async fn previews(bench: &Bench) -> Vec<String> {
    let all = bench.client.get("/apps/app-default/previews").await.json(200);
    let key = |preview: &Value| preview.pointer("/app/name").and_then(Value::as_str).unwrap().to_owned();
    all.as_array().unwrap().iter().map(key).collect()
}

/// Waits until an app has a successful build of a commit.
async fn built(bench: &Bench, app: &str, sha: &str) {
    wait_until(&format!("{app} is built of {sha}"), PATIENCE, async || {
        let builds = bench.client.get(&format!("/apps/{app}/builds")).await.json(200);
        let is_it = |build: &Value| {
            build.pointer("/source_blob/commit").is_some_and(|commit| commit == sha)
                && build.get("status").is_some_and(|status| status == "succeeded")
        };
        builds.as_array().unwrap().iter().any(is_it).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_pull_request_gets_a_preview_that_follows_its_branch_and_goes_with_it() {
    for kind in ALL {
        let bench = with_previews(kind).await;
        let own = ("org/app", "fix/login");
        let (event, opened) = bench.provider.pull_request("opened", own, NEXT);
        let answer = bench.deliver(event, &opened).await.json(201);
        let keys = previews(&bench).await;
        let [preview] = keys.as_slice() else { panic!("{keys:?}") };
        assert!(answer["message"].as_str().unwrap().contains(preview.as_str()), "{answer}");
        built(&bench, preview, NEXT).await;
        let followed = bench.client.get(&format!("/apps/{preview}/builds/auto")).await.json(200);
        assert_eq!(followed["branch"], "fix/login");
        assert_eq!(bench.deliver(event, &opened).await.status, 205, "it is there already");
        assert_eq!(bench.push("fix/login", LAST).await.status, 201);
        built(&bench, preview, LAST).await;
        assert_eq!(bench.builds().await.len(), 1, "the app itself follows another branch");
        assert_eq!(bench.provider.hooks().len(), 1, "a preview has no webhook of its own");
        let (event, closed) = bench.provider.pull_request("closed", own, LAST);
        bench.deliver(event, &closed).await.json(201);
        assert!(previews(&bench).await.is_empty());
        bench.client.get(&format!("/apps/{preview}")).await.error(404);
        assert_eq!(bench.push("fix/login", NEXT).await.status, 205);
    }
}

#[tokio::test]
async fn a_preview_fetches_with_the_token_that_its_app_was_given_since() {
    for kind in ALL {
        let bench = with_previews(kind).await;
        let (event, opened) = bench.provider.pull_request("opened", ("org/app", "fix/login"), NEXT);
        bench.deliver(event, &opened).await.json(201);
        let keys = previews(&bench).await;
        let [preview] = keys.as_slice() else { panic!("{keys:?}") };
        built(&bench, preview, NEXT).await;
        bench.provider.set_token("another-token-of-the-provider");
        bench.connect(json!({ "token": "another-token-of-the-provider" })).await;
        assert_eq!(bench.push("fix/login", LAST).await.status, 201);
        built(&bench, preview, LAST).await;
    }
}

#[tokio::test]
async fn a_pull_request_of_a_fork_or_without_the_feature_has_no_effect() {
    for kind in ALL {
        let bench = with_previews(kind).await;
        let (event, fork) = bench.provider.pull_request("opened", ("mallory/app", "main"), NEXT);
        assert_eq!(bench.deliver(event, &fork).await.status, 205);
        let (event, labelled) = bench.provider.pull_request("labeled", ("org/app", "x"), NEXT);
        if kind != akkerisd::model::auto_build::SourceProvider::GitLab {
            assert_eq!(bench.deliver(event, &labelled).await.status, 205);
        }
        bench.client.patch("/apps/app-default/features/preview", json!({ "enabled": false })).await.json(200);
        let (event, own) = bench.provider.pull_request("opened", ("org/app", "fix"), NEXT);
        assert_eq!(bench.deliver(event, &own).await.status, 205);
        assert!(previews(&bench).await.is_empty());
    }
}
