//! What dynos use and how apps answer: measured, kept, and told in both forms.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::engine::{ContainerEngine, ContainerSpec, EngineError, NetworkName};
use akkerisd::model::account::Role;
use akkerisd::model::build::ImageId;
use akkerisd::model::ids::{AppId, ReleaseId, SpaceId};
use akkerisd::model::metric::{Metric, Period, Resolution, Usage};
use akkerisd::model::names::{AppKey, DynoName, ProcessType};
use akkerisd::model::time::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::fake_engine::{Call, FakeEngine};
use crate::support::wait::wait_until;
use crate::support::{Client, TestDaemon};

const LIMIT: Duration = Duration::from_secs(10);

/// Lets the daemon measure a dyno of each type once, with that much memory in use.
pub(crate) async fn measured(
    daemon: &TestDaemon,
    engine: &Arc<FakeEngine>,
    app: AppId,
    key: &str,
    dynos: &[(&str, f64)],
) {
    for (index, (process_type, memory)) in dynos.iter().enumerate() {
        let id = engine.create(&spec(app, key, process_type, index)).await.unwrap();
        engine.start(&id).await.unwrap();
        let mut usage = Usage { memory_limit: Some(512 << 20), ..Usage::default() };
        for metric in Metric::ALL {
            usage.readings.set(*metric, Some(1.5));
        }
        usage.readings.set(Metric::MemoryUsage, Some(*memory));
        engine.set_usage(&id, usage);
    }
    let shared: Arc<dyn ContainerEngine> = Arc::<FakeEngine>::clone(engine);
    daemon.state.metrics.start(shared, Duration::from_mins(10));
    wait_until("the dynos are measured", LIMIT, async || {
        let now = daemon.state.clock.now();
        let whole = Period::new(Timestamp::from_millis(0), now, Resolution::DEFAULT).unwrap();
        let series = daemon.state.metrics.series(app, whole).await.unwrap();
        (series.by_type.len() == dynos.len()).then_some(())
    })
    .await;
}

fn spec(app: AppId, key: &str, process_type: &str, index: usize) -> ContainerSpec {
    ContainerSpec {
        app,
        key: AppKey::from_stored(key.to_owned()),
        aliases: Vec::new(),
        space: SpaceId::new(Uuid::nil()),
        process_type: ProcessType::from_stored(process_type.to_owned()),
        dyno: DynoName::from_stored(format!("1234567890-{index:05}")),
        release: ReleaseId::new(Uuid::nil()),
        image: ImageId::new("sha256:x"),
        command: None,
        env: BTreeMap::new(),
        memory_limit: 512 << 20,
        fingerprint: "x".to_owned(),
        network: NetworkName::new("n"),
        terminal: akkerisd::model::oneoff::Terminal::Detached,
    }
}

/// On a clock that stands at 2016-08-16T02:26:40Z, which is on no half hour.
async fn with_app() -> (TestDaemon, Client, AppId) {
    let daemon = TestDaemon::at(Clock::manual(Timestamp::from_millis(1_471_314_400_000))).await;
    let client = daemon.admin();
    let app = client.post("/apps", json!({ "name": "app", "space": "default", "org": "akkeris" })).await;
    let id = app.json(201).get("id").and_then(Value::as_str).unwrap().parse().unwrap();
    (daemon, client, id)
}

#[tokio::test]
async fn view_metrics_as_documented() {
    let (daemon, client, app) = with_app().await;
    let empty = client.get("/apps/app/metrics").await.json(200);
    for metric in Metric::ALL {
        assert_eq!(empty[metric.as_str()], json!({}), "{metric} is named though nothing is known");
    }
    measured(&daemon, &Arc::new(FakeEngine::new()), app, "app-default", &[("web", 100.0), ("worker", 20.0)])
        .await;
    let found = client.get("/apps/app/metrics").await.json(200);
    // The beginning of the half hour.
    let point = "1471312800";
    // The sizes of layers are asked for beside the measurements; suite 2 shows them.
    for metric in Metric::ALL.iter().filter(|metric| **metric != Metric::FsUsage) {
        assert!(found[metric.as_str()][point].is_number(), "{metric}: {found}");
    }
    assert_eq!(found["memory_usage_bytes"], json!({ point: 120.0 }));
    assert_eq!(found["memory_usage_bytes_average"], json!({ point: 60.0 }));
    assert_eq!(found["memory_usage_bytes_90th_percentile"], json!({ point: 100.0 }));
    assert_eq!(found["cpu_usage_seconds_total"], json!({ point: 3.0 }));
    let fine = client.get("/apps/app/metrics?resolution=10s").await.json(200);
    assert_eq!(fine["memory_usage_bytes"], json!({ "1471314400": 120.0 }));
    let before = client.get("/apps/app/metrics?to=2016-08-15T00:00:00.000Z").await.json(200);
    assert_eq!(before["memory_usage_bytes"], json!({}));
    let within = "/apps/app/metrics?from=2016-08-16T02:00:00.000Z&to=2016-08-16T03:00:00.000Z&resolution=1h";
    assert_eq!(client.get(within).await.json(200)["memory_usage_bytes"], json!({ "1471312800": 120.0 }));
}

#[tokio::test]
async fn view_metrics_shows_requests_by_status_and_their_time() {
    let (daemon, client, app) = with_app().await;
    let router = daemon.state.metrics.router();
    for (status, millis) in [(200, 100), (200, 200), (503, 300)] {
        router.record(app, status, Duration::from_millis(millis));
    }
    measured(&daemon, &Arc::new(FakeEngine::new()), app, "app-default", &[("web", 1.0)]).await;
    let found = client.get("/apps/app/metrics").await.json(200);
    let at = |metric: &str| found[metric]["1471312800"].as_f64().unwrap();
    for (metric, value) in
        [("requests", 3.0), ("response_time", 200.0), ("router_status_200", 2.0), ("router_status_503", 1.0)]
    {
        assert!((at(metric) - value).abs() < 1e-6, "{metric}: {found}");
    }
}

#[tokio::test]
async fn view_metrics_refuses_values_that_it_cannot_read() {
    let (_daemon, client, _) = with_app().await;
    for (query, named) in [
        ("resolution=often", "\"often\""),
        ("resolution=1s", "\"1s\""),
        ("from=yesterday", "\"yesterday\""),
        ("to=2016-13-01T00:00:00Z", "\"2016-13-01T00:00:00Z\""),
        ("from=2016-08-16T00:00:00Z&to=2016-08-15T00:00:00Z", "2016-08-15T00:00:00.000Z"),
    ] {
        let message = client.get(&format!("/apps/app/metrics?{query}")).await.error(422);
        assert!(message.contains(named), "{query}: {message}");
    }
    client.get("/apps/app/metrics?resolution=&from=&to=").await.json(200);
    client.get("/apps/nothing/metrics").await.error(404);
}

#[tokio::test]
async fn a_dyno_near_its_memory_limit_is_warned_of_in_the_log_of_its_app() {
    let (daemon, client, app) = with_app().await;
    let engine = Arc::new(FakeEngine::new());
    let id = engine.create(&spec(app, "app-default", "web", 0)).await.unwrap();
    engine.start(&id).await.unwrap();
    let mut usage = Usage { memory_limit: Some(512 << 20), ..Usage::default() };
    usage.readings.set(Metric::MemoryWorkingSet, Some(480.0 * 1024.0 * 1024.0));
    engine.set_usage(&id, usage);
    daemon.state.metrics.start(engine, Duration::from_mins(10));
    let line = wait_until("the warning is in the log", LIMIT, async || {
        let log = client.get("/apps/app/logs?lines=10").await.text();
        log.lines().find(|line| line.contains("R15")).map(str::to_owned)
    })
    .await;
    let told = "app-default akkeris/controller: Warning R15 (Memory quota nearly exceeded): ";
    assert!(line.contains(told), "{line}");
    assert!(line.ends_with("web.1234567890-00000 uses 480 MiB of its 512 MiB (94 %)"), "{line}");
}

#[tokio::test]
async fn what_was_measured_goes_with_its_app() {
    let (daemon, client, app) = with_app().await;
    let engine = Arc::new(FakeEngine::new());
    measured(&daemon, &engine, app, "app-default", &[("web", 1.0)]).await;
    client.delete("/apps/app").await.json(200);
    // A daemon that starts anew forgets what it finds of apps that are gone.
    daemon.state.metrics.start(engine, Duration::from_mins(10));
    let whole =
        Period::new(Timestamp::from_millis(0), daemon.state.clock.now(), Resolution::DEFAULT).unwrap();
    wait_until("what was measured is forgotten", LIMIT, async || {
        let series = daemon.state.metrics.series(app, whole).await.unwrap();
        (series.by_type.is_empty() && daemon.state.metrics.latest().is_empty()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_does_not_answer_leaves_the_other_dynos_measured() {
    let (daemon, client, app) = with_app().await;
    let engine = Arc::new(FakeEngine::new());
    engine.fail_next(Call::Usage, EngineError::Unavailable("gone".to_owned()));
    let dynos = [("web", 100.0), ("worker", 20.0)];
    let first = engine.create(&spec(app, "app-default", "cron", 9)).await.unwrap();
    engine.start(&first).await.unwrap();
    engine.fail_next(Call::LayerSizes, EngineError::Unavailable("gone".to_owned()));
    for (index, (process_type, memory)) in dynos.iter().enumerate() {
        let id = engine.create(&spec(app, "app-default", process_type, index)).await.unwrap();
        engine.start(&id).await.unwrap();
        let mut usage = Usage::default();
        usage.readings.set(Metric::MemoryUsage, Some(*memory));
        engine.set_usage(&id, usage);
    }
    daemon.state.metrics.start(engine, Duration::from_mins(10));
    let sum = wait_until("the dynos are measured", LIMIT, async || {
        let found = client.get("/apps/app/metrics").await.json(200);
        found["memory_usage_bytes"].as_object().unwrap().values().next().cloned()
    })
    .await;
    // Which of the three the engine did not tell of is the engine's choice.
    assert!([20.0, 100.0, 120.0].contains(&sum.as_f64().unwrap()), "{sum}");
}

/// `/metrics` with something of everything in it.
async fn full_exposition() -> (TestDaemon, String) {
    let (daemon, client, app) = with_app().await;
    crate::dynos::add_dynos(&daemon, app).await;
    let source = json!({ "url": "data:base64,aGVsbG8=", "checksum": "", "sha": "a", "version": "v1" });
    client.post("/apps/app/builds", source).await.json(201);
    let router = daemon.state.metrics.router();
    router.record(app, 200, Duration::from_millis(3));
    router.record(app, 502, Duration::from_mins(1));
    measured(&daemon, &Arc::new(FakeEngine::new()), app, "app-default", &[("web", 100.0)]).await;
    let answer = client.get("/metrics").await;
    assert_eq!(answer.status.as_u16(), 200);
    let form = answer.headers.get("content-type").unwrap();
    assert_eq!(form, "text/plain; version=0.0.4; charset=utf-8");
    (daemon, answer.text())
}

/// The names after `# TYPE`, with what is derived of histograms.
fn exported(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        match kind {
            "histogram" => names.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}"))),
            _ => assert!(names.insert(name.to_owned()), "{name} is there twice"),
        }
    }
    names
}

#[tokio::test]
async fn read_metrics_tells_of_the_daemon_the_edge_apps_dynos_and_queues() {
    let (_daemon, text) = full_exposition().await;
    let dyno = "app=\"app-default\",type=\"web\",dyno=\"1234567890-00000\"";
    for line in [
        format!("akkerisd_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")),
        "process_start_time_seconds 1471314400".to_owned(),
        "akkerisd_edge_requests_total 0".to_owned(),
        "akkerisd_builds{state=\"queued\"} 1".to_owned(),
        "akkerisd_builds{state=\"running\"} 0".to_owned(),
        "akkerisd_apps 1".to_owned(),
        "akkerisd_app_requests_total{app=\"app-default\",code=\"502\"} 1".to_owned(),
        "akkerisd_app_request_duration_seconds_bucket{app=\"app-default\",le=\"0.005\"} 1".to_owned(),
        "akkerisd_app_request_duration_seconds_bucket{app=\"app-default\",le=\"10\"} 1".to_owned(),
        "akkerisd_app_request_duration_seconds_bucket{app=\"app-default\",le=\"+Inf\"} 2".to_owned(),
        "akkerisd_app_request_duration_seconds_count{app=\"app-default\"} 2".to_owned(),
        format!("akkerisd_dyno_memory_usage_bytes{{{dyno}}} 100"),
        format!("akkerisd_dyno_memory_limit_bytes{{{dyno}}} 536870912"),
        format!("akkerisd_dyno_cpu_seconds_total{{{dyno},mode=\"user\"}} 1.5"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    for start in [
        "akkerisd_app_releases_total{app=\"app-default\"}",
        "akkerisd_app_dynos{app=\"app-default\"",
        "akkerisd_dyno_restarts_total{app=",
        "akkerisd_store_writes_total ",
    ] {
        assert!(text.lines().any(|found| found.starts_with(start)), "{start} is not in\n{text}");
    }
}

#[tokio::test]
async fn read_metrics_needs_a_token_unless_the_setting_says_otherwise() {
    let closed = TestDaemon::start().await;
    closed.anonymous().get("/metrics").await.error(401);
    let open = TestDaemon::with(|settings| settings.public_metrics = true).await;
    let answer = open.anonymous().get("/metrics").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert!(answer.text().contains("akkerisd_build_info"));
}

#[tokio::test]
async fn read_metrics_shows_no_app_of_another_organization() {
    let (daemon, client, _) = with_app().await;
    client.post("/organizations", json!({ "name": "theirs" })).await.json(201);
    let secret = client.post("/apps", json!({ "name": "secret", "space": "default", "org": "theirs" })).await;
    let secret = secret.json(201).get("id").and_then(Value::as_str).unwrap().parse().unwrap();
    daemon.state.metrics.router().record(secret, 200, Duration::from_millis(1));
    measured(&daemon, &Arc::new(FakeEngine::new()), secret, "secret-default", &[("web", 1.0)]).await;
    daemon.account("mallory", Role::Member, &["akkeris"]).await;
    let seen = daemon.personal("mallory").await.get("/metrics").await.text();
    assert!(seen.contains("app=\"app-default\"") && !seen.contains("secret"), "{seen}");
    assert!(client.get("/metrics").await.text().contains("app=\"secret-default\""));
}

#[tokio::test]
async fn the_dashboard_asks_for_metrics_that_are_exported_and_for_nothing_else() {
    let (_daemon, text) = full_exposition().await;
    let exported = exported(&text);
    let dashboard: Value = serde_json::from_str(include_str!("../assets/grafana-dashboard.json")).unwrap();
    let mut asked = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().into_iter().flatten() {
            let expression = target["expr"].as_str().unwrap();
            let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let names: Vec<&str> =
                words.filter(|w| w.starts_with("akkerisd_") || w.starts_with("process_")).collect();
            assert!(!names.is_empty(), "{expression} asks for nothing of ours");
            asked.extend(names.into_iter().map(str::to_owned));
        }
    }
    let unknown: Vec<&String> = asked.difference(&exported).collect();
    assert!(unknown.is_empty(), "the dashboard asks for {unknown:?}, exported are {exported:?}");
    assert!(asked.len() > 15, "{asked:?}");
}

#[tokio::test]
#[expect(clippy::disallowed_types, reason = "promtool is what judges the text")]
async fn promtool_accepts_what_is_exported() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let (_daemon, text) = full_exposition().await;
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        let required = std::env::var_os("AKKERISD_REQUIRE_DOCKER").is_some_and(|value| value == "1");
        assert!(!required, "promtool is not here: apt-get install prometheus");
        eprintln!("SKIPPED: promtool is not here; apt-get install prometheus");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.trim().is_empty(), "{said}\n{text}");
}
