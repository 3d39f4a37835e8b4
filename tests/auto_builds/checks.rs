//! `status_check`: nothing is built before the commit's checks have passed.

use std::time::Duration;

use akkerisd::model::auto_build::{ChecksLimits, SourceProvider};
use serde_json::json;

use super::ALL;
use super::harness::{Bench, PATIENCE, TIP, limits};
use crate::support::wait::wait_until;

fn passed(kind: SourceProvider) -> &'static str {
    match kind {
        SourceProvider::GitHub | SourceProvider::GitLab | SourceProvider::Gitea => "success",
    }
}

/// The provider's word for a check that failed.
fn failed(kind: SourceProvider) -> &'static str {
    match kind {
        SourceProvider::GitHub | SourceProvider::Gitea => "failure",
        SourceProvider::GitLab => "failed",
    }
}

/// Waits until the checks were asked for so many times.
async fn asked(bench: &Bench, times: usize) {
    wait_until("the checks are asked for", PATIENCE, async || {
        let is_check = |path: &str| path.contains("/commits/") && path.contains("/status");
        (bench.provider.asked().iter().filter(|asked| is_check(&asked.path)).count() >= times).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_commit_is_built_when_its_checks_have_passed_and_not_before() {
    for kind in ALL {
        let bench = Bench::start(kind).await;
        bench.provider.set_checks(&[("ci", "pending"), ("lint", passed(kind)), ("akkeris", failed(kind))]);
        bench.connect(json!({ "status_check": true })).await;
        asked(&bench, 2).await;
        assert!(bench.builds().await.is_empty());
        assert_eq!(bench.latest("waiting").await["sha"], TIP);
        bench.provider.set_checks(&[("ci", passed(kind)), ("lint", passed(kind)), ("akkeris", failed(kind))]);
        // Found by asking again, without a webhook.
        bench.built(TIP, "succeeded").await;
    }
}

#[tokio::test]
async fn a_commit_whose_checks_failed_is_not_built_and_everybody_sees_why() {
    for kind in ALL {
        let bench = Bench::start(kind).await;
        bench.provider.set_checks(&[("ci", failed(kind)), ("lint", "pending")]);
        bench.connect(json!({ "status_check": true })).await;
        let run = bench.latest("failed").await;
        assert!(run["failure_message"].as_str().unwrap().contains("ci"), "{run}");
        assert!(bench.builds().await.is_empty());
        let told = bench.told(TIP, if kind == SourceProvider::GitLab { "failed" } else { "error" }).await;
        assert!(told[0]["description"].as_str().unwrap().contains("ci"), "{told:?}");
        let audits = bench.client.get("/audits?app=app").await.text();
        assert!(audits.contains("auto_build_failed"), "{audits}");
    }
}

#[tokio::test]
async fn checks_that_never_pass_are_given_up_in_the_end() {
    let bounded = ChecksLimits { total: Duration::from_secs(1), absence: Duration::from_hours(1) };
    let bench = Bench::with(SourceProvider::GitHub, bounded).await;
    bench.provider.set_checks(&[("ci", "pending")]);
    bench.connect(json!({ "status_check": true })).await;
    let run = bench.latest("failed").await;
    assert!(run["failure_message"].as_str().unwrap().contains("had not passed"), "{run}");
    assert!(bench.builds().await.is_empty());
}

#[tokio::test]
async fn a_repository_without_checks_is_built_after_a_while() {
    let soon = ChecksLimits { absence: Duration::from_secs(1), ..limits() };
    let bench = Bench::with(SourceProvider::GitHub, soon).await;
    bench.connect(json!({ "status_check": true })).await;
    bench.built(TIP, "succeeded").await;
}

#[tokio::test]
async fn without_status_check_nobody_asks_for_checks() {
    let bench = Bench::start(SourceProvider::GitHub).await;
    bench.provider.set_checks(&[("ci", "failure")]);
    bench.connect(json!({})).await;
    bench.built(TIP, "succeeded").await;
    let asked = bench.provider.asked();
    assert!(!asked.iter().any(|asked| asked.path.contains("/status?")), "{asked:?}");
}
