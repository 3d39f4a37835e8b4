//! How long a release takes beyond what the engine itself needs, and what the daemon costs at rest.
//!
//! `cargo bench --bench release` prints, measured in one run: the time from `POST /releases` to the first answer
//! of the new version over the edge, beside the time from "create a container" to its first answer (the floor);
//! the time from the daemon's start to its first answer; and its memory with ten apps.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a broken premise shall end the run"
)]
#![expect(clippy::indexing_slicing, reason = "a missing field of an answer shall end the run")]
#![expect(clippy::disallowed_types, reason = "the run starts the daemon and the docker program")]
#![expect(clippy::disallowed_methods, reason = "connections are driven beside the run")]
#![expect(clippy::print_stderr, clippy::print_stdout, reason = "the figures are the result")]
#![expect(unreachable_pub, dead_code, reason = "the support of suite 2 is used in part")]

#[path = "../../e2e/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use akkerisd::engine::docker::DockerEngine;
use akkerisd::engine::{ContainerEngine, ContainerSpec, ContainerState};
use akkerisd::model::build::ImageId;
use akkerisd::model::ids::{AppId, InstallationId, ReleaseId, SpaceId, deterministic};
use akkerisd::model::names::{AppKey, AppName, DynoName, ProcessType, SpaceName};
use serde_json::json;

use support::archive::Source;
use support::client::{Client, all_ready};
use support::daemon::Daemon;
use support::docker::docker;

const ROUNDS: usize = 15;
const APPS: usize = 10;

#[tokio::main]
async fn main() {
    // `cargo test --benches` only asks whether the benchmark starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mut daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("measured", "default").await;
    let mut slugs = Vec::new();
    for version in ["one", "two"] {
        let release = client.deploy(&app, &Source::version(version)).await;
        slugs.push((version, release["slug"]["id"].as_str().unwrap().to_owned()));
    }
    let (floor, ours) = releases(&daemon, &client, &app, &slugs).await;
    println!("floor (create, start, first answer): median {:.0} ms of {ROUNDS}", median(&floor));
    println!("release (POST to first answer):      median {:.0} ms of {ROUNDS}", median(&ours));
    println!("overhead:                            {:.0} ms", median(&ours) - median(&floor));
    at_rest(&mut daemon, &client).await;
}

async fn releases(
    daemon: &Daemon,
    client: &Client,
    app: &str,
    slugs: &[(&str, String)],
) -> (Vec<f64>, Vec<f64>) {
    let engine = DockerEngine::connect(None, InstallationId::new(deterministic("bench"))).await.unwrap();
    let space = SpaceId::new(deterministic("bench"));
    let network = engine.ensure_network(space, &SpaceName::parse("bench").unwrap()).await.unwrap();
    let image = docker(&["inspect", "-f", "{{.Image}}", &daemon.containers()[0]]);
    let (mut floor, mut ours) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let key = AppKey::of(&AppName::parse("floor").unwrap(), &SpaceName::parse("bench").unwrap());
        let spec = ContainerSpec {
            app: AppId::new(deterministic("floor")),
            key,
            aliases: vec!["floor".to_owned()],
            space,
            process_type: ProcessType::web(),
            dyno: DynoName::new("0000000000", &round.to_string()),
            release: ReleaseId::new(deterministic("floor")),
            image: ImageId::new(image.clone()),
            command: None,
            env: BTreeMap::from([("PORT".to_owned(), "9000".to_owned())]),
            memory_limit: 256 * 1024 * 1024,
            fingerprint: String::new(),
            network: network.clone(),
            terminal: akkerisd::model::oneoff::Terminal::Detached,
        };
        floor.push(time_of_floor(&engine, &spec).await);
        let (version, slug) = &slugs[round % 2];
        ours.push(time_of_release(daemon, client, app, slug, version).await);
        client.wait_for_dynos(app, "the old dyno is gone", all_ready(1)).await;
    }
    engine.remove_network(&network).await.unwrap();
    (floor, ours)
}

/// Milliseconds from nothing to the first answer of a container that only the engine knows.
async fn time_of_floor(engine: &DockerEngine, spec: &ContainerSpec) -> f64 {
    let began = Instant::now();
    let id = engine.create(spec).await.unwrap();
    engine.start(&id).await.unwrap();
    let containers = engine.list(Some(spec.app)).await.unwrap();
    let ContainerState::Running { address: Some(address), .. } = containers[0].state else {
        panic!("{containers:?}")
    };
    let http = reqwest::Client::new();
    let url = format!("http://{address}:9000/");
    while http.get(&url).send().await.is_err() {
        support::pause(Duration::from_millis(1)).await;
    }
    let took = began.elapsed();
    engine.remove(&id).await.unwrap();
    took.as_secs_f64() * 1000.0
}

/// Milliseconds from the request for a release to the first answer of its version over HTTPS.
async fn time_of_release(daemon: &Daemon, client: &Client, app: &str, slug: &str, version: &str) -> f64 {
    let web = daemon.web(app);
    let url = daemon.url(app, "/");
    web.get(&url).send().await.unwrap();
    let began = Instant::now();
    client.send("POST", &format!("/apps/{app}/releases"), Some(json!({"slug": slug})), 201).await;
    loop {
        let answer = web.get(&url).send().await.unwrap().text().await.unwrap();
        if answer == version {
            return began.elapsed().as_secs_f64() * 1000.0;
        }
        support::pause(Duration::from_millis(1)).await;
    }
}

async fn at_rest(daemon: &mut Daemon, client: &Client) {
    for number in 1..APPS {
        let app = client.create_app(&format!("idle{number}"), "default").await;
        client.deploy(&app, &Source::version("idle")).await;
    }
    daemon.kill_9();
    let began = Instant::now();
    daemon.spawn(&[]);
    support::wait_until("the edge answers", Duration::from_secs(20), || {
        daemon.fetch("measured-default", "/")
    })
    .await;
    println!("start to first answer with {APPS} apps: {:.0} ms", began.elapsed().as_secs_f64() * 1000.0);
    support::pause(Duration::from_secs(20)).await;
    let (rss, cpu) = (memory_mib(daemon.pid()), cpu_seconds(daemon.pid()));
    support::pause(Duration::from_secs(20)).await;
    let busy = (cpu_seconds(daemon.pid()) - cpu) / 20.0 * 100.0;
    println!("at rest with {APPS} apps: {rss:.1} MiB of memory, {busy:.2} % of a core");
    let binary = std::fs::metadata(env!("CARGO_BIN_EXE_akkerisd")).unwrap().len();
    println!("binary: {} KiB", binary / 1024);
}

fn memory_mib(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// User and system time, from clock ticks of 10 ms.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
