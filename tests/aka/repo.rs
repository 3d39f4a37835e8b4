//! `repo…`, which is `builds:auto…` too.

use akkerisd::model::auto_build::SourceProvider;
use http::Method;
use serde_json::json;

use super::{APP, Aka, speaking, strings, text};
use crate::auto_builds::harness::{Bench, TIP, limits};
use crate::support::provider::{Provider, TOKEN};

const AUTO: &str = "/apps/app-default/builds/auto";

/// The client beside a provider whose repository it sets.
async fn with_repo() -> (Provider, Aka) {
    let Bench { daemon, client, provider, .. } = Bench::idle(SourceProvider::GitHub, limits()).await;
    let aka = Aka { client: speaking(&client), daemon };
    set(&provider, &aka).await;
    (provider, aka)
}

/// `repo:set REPO -b main -u alice -t TOKEN`.
async fn set(provider: &Provider, aka: &Aka) {
    text(&aka.get(APP).await, "name");
    let body = json!({
        "app": "app-default", "repo": provider.repo(), "branch": "main", "status_check": true,
        "auto_deploy": true, "username": "alice", "token": TOKEN,
    });
    aka.post(AUTO, body).await;
}

#[tokio::test]
async fn repo_shows_what_the_app_follows() {
    let (_provider, aka) = with_repo().await;
    let shown = aka.get(&format!("{AUTO}/github")).await;
    strings(&shown, &["app.name", "repo", "branch", "username", "created_at"]);
    assert!(shown["auto_deploy"].is_boolean() && shown["status_check"].is_boolean());
}

#[tokio::test]
async fn repo_set_takes_what_the_client_sends_and_again() {
    let (provider, aka) = with_repo().await;
    set(&provider, &aka).await;
    assert_eq!(provider.hooks().len(), 1);
    let app = aka.get(APP).await;
    assert_eq!((text(&app, "git_url"), text(&app, "git_branch")), (provider.repo().as_str(), "main"));
}

#[tokio::test]
async fn repo_unset_removes_it_by_the_name_of_github() {
    let (provider, aka) = with_repo().await;
    let done = aka.delete(&format!("{AUTO}/github")).await.json(200);
    super::assert_printable(&done);
    assert!(provider.hooks().is_empty());
    aka.client.get(&format!("{AUTO}/github")).await.error(404);
}

#[tokio::test]
async fn repo_build_builds_the_tip() {
    let (_provider, aka) = with_repo().await;
    let client = aka.client.header("content-length", "0");
    client.send(Method::POST, &format!("{AUTO}/github/trigger")).await.json(201);
    let shown = aka.get(AUTO).await;
    assert_eq!((text(&shown, "latest.sha"), text(&shown, "latest.trigger")), (TIP, "manual"));
}
