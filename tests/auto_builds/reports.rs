//! What providers are told of commits.

use akkerisd::engine::EngineError;
use akkerisd::model::auto_build::SourceProvider;
use serde_json::{Value, json};

use super::ALL;
use super::harness::{Bench, PATIENCE, TIP, limits, zipped};
use crate::support::fake_engine::Call;
use crate::support::wait::wait_until;

fn states(reports: &[Value]) -> Vec<&str> {
    reports.iter().filter_map(|report| report.get("state").and_then(Value::as_str)).collect()
}

#[tokio::test]
async fn a_provider_is_told_that_a_commit_is_being_built_and_how_that_ended() {
    for kind in ALL {
        let bench = Bench::idle(kind, limits()).await;
        bench.carry_on();
        bench.connect(json!({})).await;
        bench.told(TIP, "pending").await;
        bench.build().await;
        let told = bench.told(TIP, "success").await;
        assert_eq!(states(&told), ["pending", "success"]);
        let build = bench.built(TIP, "succeeded").await;
        let id = build["id"].as_str().unwrap();
        for report in &told {
            let name = report.get("context").or_else(|| report.get("name"));
            assert_eq!(name, Some(&json!("akkeris")));
            let url = format!("http://localhost/apps/app-default/builds/{id}/result");
            assert_eq!(report["target_url"], json!(url));
        }
    }
}

#[tokio::test]
async fn a_provider_is_told_of_a_build_that_failed() {
    let bench = Bench::start(SourceProvider::GitHub).await;
    bench.daemon.engine.fail_next(Call::Build, EngineError::BuildFailed("step 2".to_owned()));
    bench.connect(json!({})).await;
    bench.told(TIP, "failure").await;
    bench.built(TIP, "failed").await;
}

#[tokio::test]
async fn a_repository_without_a_dockerfile_fails_its_build_with_the_reason() {
    let bench = Bench::start(SourceProvider::GitLab).await;
    bench.provider.set_archive(zipped(&[("org-app/README.md", "hello")]));
    bench.connect(json!({})).await;
    let build = bench.built(TIP, "failed").await;
    let reason = build["failure_message"].as_str().unwrap();
    assert!(reason.contains("Dockerfile"), "{build}");
    bench.told(TIP, "failed").await;
}

#[tokio::test]
async fn a_provider_that_is_down_delays_no_build_that_has_its_source() {
    let bench = Bench::start(SourceProvider::GitHub).await;
    bench.daemon.engine.delay(Call::Build, std::time::Duration::from_secs(2));
    bench.connect(json!({})).await;
    let fetched =
        async || bench.provider.asked().iter().any(|asked| asked.path.starts_with("/files/")).then_some(());
    wait_until("the source is there", PATIENCE, fetched).await;
    bench.provider.set_down(true);
    bench.built(TIP, "succeeded").await;
    bench.provider.set_down(false);
    bench.told(TIP, "success").await;
}
