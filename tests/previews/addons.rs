//! The addons of a preview: those of its source, or new ones of the same plans.

use std::collections::BTreeSet;

use akkerisd::model::pull_request::PullRequestChange;
use serde_json::{Value, json};

use super::WAIT;
use super::harness::{APP, Source, changed, request};
use crate::addons::harness::start;
use crate::pipelines::text;
use crate::support::StoppedOnDrop;
use crate::support::wait::wait_until;

/// With two databases, of which the second is the primary one, and an `alone`, which is for one app only.
async fn with_addons() -> (Source, StoppedOnDrop) {
    let (daemon, _, _) = start().await;
    let source = Source::on(daemon, &["preview"]).await;
    let work = source.daemon.work_at_addons();
    for plan in ["db:small", "db:large", "alone:small"] {
        let made = source.client.post(&format!("{APP}/addons"), json!({ "plan": plan })).await.json(201);
        let path = format!("{APP}/addons/{}", text(&made, "id"));
        wait_until("the addon is there", WAIT, async || {
            let shown = source.client.get(&path).await.json(200);
            (shown.get("state") == Some(&json!("provisioned"))).then_some(())
        })
        .await;
        if plan == "db:large" {
            source.client.patch(&path, json!({ "primary": true })).await.json(200);
        }
    }
    (source, work)
}

/// One field of each of a list, in order.
async fn fields(source: &Source, path: &str, pointer: &str) -> Vec<Value> {
    let all = source.client.get(path).await.json(200);
    let mut found: Vec<Value> =
        all.as_array().unwrap().iter().map(|one| one.pointer(pointer).unwrap().clone()).collect();
    found.sort_by_key(ToString::to_string);
    found
}

async fn variables(source: &Source, path: &str) -> BTreeSet<String> {
    let vars = source.client.get(&format!("{path}/config-vars")).await.json(200);
    vars.as_object().unwrap().keys().filter(|name| !name.starts_with("PREVIEW_")).cloned().collect()
}

/// Waits until the preview has the variables that its source has.
async fn wait_for_variables(source: &Source, preview: &str) {
    let wanted = variables(source, APP).await;
    assert!(wanted.len() > 3, "{wanted:?}");
    wait_until("the preview has the variables of its source", WAIT, async || {
        (variables(source, preview).await == wanted).then_some(())
    })
    .await;
}

#[tokio::test]
async fn addons_are_attached_and_those_that_cannot_be_shared_are_made_anew() {
    let (source, _work) = with_addons().await;
    let preview = source.open("fix").await;
    let attached = fields(&source, &format!("{preview}/addon-attachments"), "/addon/id").await;
    let own = fields(&source, &format!("{APP}/addons"), "/id").await;
    assert_eq!(attached.len(), 2);
    assert!(attached.iter().all(|addon| own.contains(addon)), "{attached:?} of {own:?}");
    let made = fields(&source, &format!("{preview}/addons"), "/plan/name").await;
    assert_eq!(made, ["alone:small"]);
    wait_for_variables(&source, &preview).await;
    source.tell(&changed(request(12, "fix"), PullRequestChange::Closed)).await;
    assert_eq!(source.list().await, Vec::<Value>::new());
    assert_eq!(fields(&source, &format!("{APP}/addons"), "/id").await, own);
    source.client.delete(APP).await.json(200);
}

#[tokio::test]
async fn all_addons_are_made_anew_where_that_is_wanted() {
    let (source, _work) = with_addons().await;
    source.switch("preview-addons", true).await;
    let preview = source.open("fix").await;
    assert_eq!(fields(&source, &format!("{preview}/addon-attachments"), "/id").await, Vec::<Value>::new());
    let made = fields(&source, &format!("{preview}/addons"), "/plan/name").await;
    assert_eq!(made, ["alone:small", "db:large", "db:small"]);
    wait_for_variables(&source, &preview).await;
    source.client.delete(APP).await.json(200);
    assert!(!source.apps().await.iter().any(|key| key.starts_with("shop")), "the preview stayed");
}
