//! What the daemon measures of a dyno is what the dyno really used.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use akkerisd::engine::docker::DockerEngine;
use akkerisd::engine::{ContainerEngine, ContainerId};
use akkerisd::model::metric::Metric;
use serde_json::Value;

use crate::support::archive::Source;
use crate::support::daemon::Daemon;
use crate::support::wait_until;

const MIB: f64 = 1024.0 * 1024.0;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The newest value of a metric, which was taken at `since` (seconds since 1970) or later.
async fn newest(daemon: &Daemon, app: &str, metric: &str, since: u64) -> f64 {
    let client = daemon.client();
    let path = format!("/apps/{app}/metrics?resolution=10s");
    wait_until(&format!("{metric} is measured"), Duration::from_secs(40), || async {
        let (_, series) = client.try_send("GET", &path, None).await?;
        let points = series[metric].as_object().ok_or_else(|| series.to_string())?;
        let newest = points.iter().max_by_key(|(at, _)| at.parse::<u64>().unwrap());
        match newest {
            // A point holds what was measured in the ten seconds from it on.
            Some((at, value)) if at.parse::<u64>().unwrap() >= since => Ok(value.as_f64().unwrap()),
            other => Err(format!("{other:?}, wanted since {since}")),
        }
    })
    .await
}

async fn cpu(daemon: &Daemon, app: &str) -> f64 {
    let (status, ticks) = daemon.fetch(app, "/cpu").await.unwrap();
    assert_eq!(status, 200);
    ticks.parse::<f64>().unwrap() / 100.0
}

fn within(what: &str, value: f64, from: f64, to: f64) {
    assert!((from..=to).contains(&value), "{what} is {value}, expected {from} to {to}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dyno_that_burns_cpu_and_holds_memory_is_measured_as_it_is() {
    let mut daemon = Daemon::start_with(&[("AKKERISD_METRICS_INTERVAL", "1s")]).await;
    let client = daemon.client();
    let app = client.create_app("burning", "default").await;
    let source = Source::version("one");
    let source = source.order("burn_cpu", "1").order("hold_memory_mib", "64").order("write_mib", "8");
    client.deploy(&app, &source).await;

    // A point of this very second may be older than the dyno's own figure.
    let (before, since) = (cpu(&daemon, &app).await, now() + 1);
    let measured = newest(&daemon, &app, "cpu_usage_seconds_total", since).await;
    let after = cpu(&daemon, &app).await;
    // The init process and the container's own start are not in the dyno's figure.
    within("cpu_usage_seconds_total", measured, before - 0.05, after + 0.3);
    let rss = newest(&daemon, &app, "memory_rss", since).await;
    within("memory_rss", rss, 64.0 * MIB, 72.0 * MIB);
    let usage = newest(&daemon, &app, "memory_usage_bytes", since).await;
    within("memory_usage_bytes", usage, rss, 100.0 * MIB);
    assert!(newest(&daemon, &app, "network_receive_bytes_total", since).await > 0.0);

    told_by_the_engine_alike(&daemon, before, rss).await;
    exported_alike(&daemon, &app, before).await;

    // What was measured before a restart is still told after it, and the layer's size is asked for at the start.
    let stopped_at = now();
    daemon.restart().await;
    let layer = newest(&daemon, &app, "fs_usage_bytes", stopped_at + 1).await;
    within("fs_usage_bytes", layer, 8.0 * MIB, 9.0 * MIB);
    let series = daemon.client().get(&format!("/apps/{app}/metrics?resolution=10s")).await;
    let points = series["memory_rss"].as_object().unwrap();
    assert!(points.keys().any(|at| at.parse::<u64>().unwrap() <= stopped_at), "{points:?}");

    daemon.client().send("DELETE", &format!("/apps/{app}"), None, 200).await;
    wait_until("nothing of the app is exported", Duration::from_secs(30), || async {
        let text = daemon.client().get("/metrics").await;
        let text = text.as_str().unwrap_or_default().to_owned();
        if text.contains("burning") { Err(text) } else { Ok(()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dyno_that_comes_near_its_memory_limit_is_warned_of_and_runs_on() {
    let daemon = Daemon::start_with(&[("AKKERISD_METRICS_INTERVAL", "1s")]).await;
    let client = daemon.client();
    let app = client.create_app("filling", "default").await;
    // Of the 256 MiB of the size gp1.
    client.deploy(&app, &Source::version("one").order("hold_memory_mib", "240")).await;
    let line = wait_until("the warning is in the log", Duration::from_secs(40), || async {
        let (_, log) = client.try_send("GET", &format!("/apps/{app}/logs?lines=50"), None).await?;
        let log = log.as_str().unwrap_or_default().to_owned();
        log.lines().find(|line| line.contains("Warning R15")).map(str::to_owned).ok_or(log.clone())
    })
    .await;
    assert!(line.contains("of its 256 MiB"), "{line}");
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "one".to_owned()));
}

/// Where the files cannot be read, the engine is asked; it tells the same.
async fn told_by_the_engine_alike(daemon: &Daemon, cpu_before: f64, rss: f64) {
    let engine = DockerEngine::connect(None, daemon.installation().parse().unwrap()).await.unwrap();
    let container = ContainerId::new(daemon.containers().first().unwrap().clone());
    let usage = engine.usage(&container).await.unwrap().unwrap();
    let told = |metric| usage.readings.get(metric).unwrap();
    within("the engine's CPU time", told(Metric::CpuUsage), cpu_before - 0.05, cpu_before + 60.0);
    within("the engine's memory_rss", told(Metric::MemoryRss), rss - 4.0 * MIB, rss + 4.0 * MIB);
    assert!(told(Metric::NetworkReceiveBytes) > 0.0);
    assert!(usage.memory_limit.is_some_and(|limit| limit >= 64 << 20));
    assert_eq!(engine.usage(&ContainerId::new("0".repeat(64))).await.unwrap(), None);
}

async fn exported_alike(daemon: &Daemon, app: &str, cpu_before: f64) {
    let Value::String(text) = daemon.client().get("/metrics").await else { panic!("/metrics is JSON") };
    let modes = text.lines().filter(|line| {
        line.starts_with("akkerisd_dyno_cpu_seconds_total{") && line.contains(&format!("app=\"{app}\""))
    });
    let seconds: f64 = modes.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum();
    within("the exported CPU time", seconds, cpu_before - 0.05, cpu_before + 60.0);
    for line in
        ["akkerisd_edge_requests_total ", "akkerisd_reconciler_workers 1", "process_resident_memory_bytes "]
    {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line} is not in\n{text}");
    }
}
