//! Another daemon takes the running one's place, or fails to: nobody who uses the apps notices.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::archive::Source;
use crate::support::client::{Client, all_ready};
use crate::support::daemon::{Daemon, end_process, signal_process, tested_program};
use crate::support::load::{Load, Protocol};
use crate::support::streams::{Download, Tunnel};
use crate::support::{pause, wait_until};

#[cfg(feature = "failpoints")]
const ABORT_AT: &str = "AKKERISD_ABORT_AT";

/// 500 requests a second altogether, in the three ways of connecting.
struct Loads(Vec<(Protocol, Load)>);

/// Requests to the API, one after another: what one connection writes another one reads.
struct ApiLoad {
    stop: CancellationToken,
    running: JoinHandle<(u64, Duration)>,
}

impl Loads {
    async fn start(daemon: &Daemon, app: &str) -> Self {
        let rates =
            [(Protocol::Http1KeepAlive, 200), (Protocol::Http1NewConnections, 100), (Protocol::Http2, 200)];
        let started = rates.map(|(protocol, rate)| (protocol, Load::start(daemon, app, protocol, rate)));
        let loads = Self(started.into());
        loads.wait_for_more(100).await;
        loads
    }

    /// Waits until so many more requests of each kind were answered.
    async fn wait_for_more(&self, count: u64) {
        for (_, load) in &self.0 {
            load.wait_for_answers(load.answered().await + count).await;
        }
    }

    async fn stop_without_failure(self) -> u64 {
        let mut answered = 0;
        for (protocol, load) in self.0 {
            let outcome = load.stop().await;
            eprintln!("{protocol:?}: {} answers, {} requests sent anew", outcome.answered, outcome.sent_anew);
            outcome.assert_no_failure();
            answered += outcome.answered;
        }
        answered
    }
}

impl ApiLoad {
    fn start(daemon: &Daemon, app: &str) -> Self {
        let stop = CancellationToken::new();
        let (stopped, path) = (stop.clone(), format!("/apps/{app}"));
        let clients = [daemon.client(), daemon.client()];
        let running = tokio::task::spawn(async move {
            let (mut number, mut slowest) = (0, Duration::ZERO);
            while !stopped.is_cancelled() {
                let began = Instant::now();
                let written = json!({"description": format!("number {number}")});
                clients[0].send("PATCH", &path, Some(written.clone()), 200).await;
                slowest = slowest.max(began.elapsed());
                let read = clients[1].get(&path).await;
                assert_eq!(read["description"], written["description"]);
                number += 1;
                pause(Duration::from_millis(20)).await;
            }
            (number, slowest)
        });
        Self { stop, running }
    }

    /// How many rounds were answered, and how long the slowest write took.
    async fn stop(self) -> (u64, Duration) {
        self.stop.cancel();
        self.running.await.unwrap()
    }
}

async fn app_of(daemon: &Daemon) -> (Client, String) {
    let client = daemon.client();
    let app = client.create_app("upgraded", "default").await;
    client.deploy(&app, &Source::version("one")).await;
    (client, app)
}

/// The running program under another name, as a new version lies beside the old one.
fn next_binary(daemon: &Daemon, name: &str) -> PathBuf {
    let path = daemon.data_dir().with_file_name(name);
    std::fs::copy(tested_program(), &path).unwrap();
    path
}

fn program(pid: u32) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/exe")).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_under_load_lose_no_request_and_break_no_stream() {
    let mut daemon = Daemon::start().await;
    let (client, app) = app_of(&daemon).await;
    let first = daemon.pid();
    let mut tunnels = Vec::new();
    for _ in 0..10 {
        tunnels.push(Tunnel::open(&daemon, &app).await);
    }
    let mut download = Download::begin(&daemon, &app, 100_000_000).await;
    download.read(10_000_000).await;
    let (loads, api) = (Loads::start(&daemon, &app).await, ApiLoad::start(&daemon, &app));
    for name in ["second", "third"] {
        let binary = next_binary(&daemon, name);
        let began = Instant::now();
        let (upgraded, said) = daemon.upgrade(&["--binary", text(&binary)]).await;
        eprintln!("the upgrade to {name} took {:?}: {}", began.elapsed(), said.trim());
        assert!(upgraded, "{said}");
        assert!(daemon.processes().iter().any(|pid| program(*pid) == binary), "{said}");
        loads.wait_for_more(300).await;
        download.read(10_000_000).await;
    }
    let echoes: Vec<u64> = tunnels.iter().map(Tunnel::echoes).collect();
    assert!(daemon.processes().contains(&first), "the first daemon holds the streams");
    download.finish().await;
    let answered = loads.stop_without_failure().await;
    let (rounds, slowest) = api.stop().await;
    let counted = daemon.fetch(&app, "/count").await.unwrap().1;
    assert_eq!(counted, answered.to_string(), "no request was lost, none was made twice");
    eprintln!(
        "{answered} answers, 0 failures; {rounds} writes and reads of the API, the slowest write {slowest:?}"
    );
    for (tunnel, before) in tunnels.into_iter().zip(echoes) {
        wait_until("frames come back", Duration::from_secs(30), || {
            let more = tunnel.echoes() > before + 20;
            async move { more.then_some(()).ok_or_else(|| "too few".to_owned()) }
        })
        .await;
        tunnel.close().await;
    }
    client.deploy(&app, &Source::version("two")).await;
    daemon.wait_for_answer(&app, "/", "two").await;
    daemon.wait_for_end().await;
    wait_until("only the last daemon is left", Duration::from_mins(1), || {
        let left = daemon.processes();
        async move { if left.len() == 1 { Ok(()) } else { Err(format!("{left:?}")) } }
    })
    .await;
    client.wait_for_dynos(&app, "one dyno is left", all_ready(1)).await;
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
    let told = |line: &&str| line.contains("akkerisd::daemon");
    daemon.log().lines().filter(told).for_each(|line| eprintln!("{line}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_take_over_changes_nothing() {
    let daemon = Daemon::start().await;
    let (client, app) = app_of(&daemon).await;
    let (loads, api) = (Loads::start(&daemon, &app).await, ApiLoad::start(&daemon, &app));
    let plain = daemon.data_dir().with_file_name("plain");
    std::fs::write(&plain, "no program").unwrap();
    let wrong: [(&[&str], &str); 5] = [
        (&["--binary", "/nowhere/akkerisd"], "cannot start /nowhere/akkerisd"),
        (&["--binary", text(&plain)], "Permission denied"),
        (&["--binary", "/bin/false"], "ended (exit status: 1) before it was prepared"),
        (&["--binary", "/bin/ls"], "before it was prepared"),
        (&["--timeout", "1ms"], "was not prepared within 1ms"),
    ];
    for (arguments, reason) in wrong {
        let (upgraded, said) = daemon.upgrade(arguments).await;
        assert!(!upgraded && said.contains(reason) && said.contains("the old daemon serves on"), "{said}");
    }
    let catalogue = daemon.data_dir().join("catalogue.toml");
    let good = std::fs::read(&catalogue).unwrap();
    std::fs::write(&catalogue, "region = 3").unwrap();
    let (upgraded, said) = daemon.upgrade(&[]).await;
    assert!(!upgraded && said.contains("catalogue.toml is not valid"), "{said}");
    std::fs::write(&catalogue, good).unwrap();
    assert_eq!(daemon.processes(), [daemon.pid()]);
    client.deploy(&app, &Source::version("two")).await;
    daemon.wait_for_answer(&app, "/", "two").await;
    loads.stop_without_failure().await;
    api.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_upgrade_is_refused_while_one_runs() {
    let daemon = Daemon::start().await;
    let hangs = daemon.data_dir().with_file_name("hangs");
    std::fs::write(&hangs, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(&hangs, std::fs::Permissions::from_mode(0o755)).unwrap();
    let arguments = ["--binary", text(&hangs), "--timeout", "5s"];
    let second = async {
        wait_until("the first upgrade has begun", Duration::from_secs(30), || async {
            let begun = daemon.log().contains("an upgrade begins");
            begun.then_some(()).ok_or_else(|| daemon.log())
        })
        .await;
        daemon.upgrade(&[]).await
    };
    let ((first, why), (second, refused)) = tokio::join!(daemon.upgrade(&arguments), second);
    assert!(!first && why.contains("was not prepared within 5s"), "{why}");
    assert!(!second && refused.contains("an upgrade is running already"), "{refused}");
    let (upgraded, said) = daemon.upgrade(&[]).await;
    assert!(upgraded, "{said}");
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_new_daemon_that_dies_on_the_way_leaves_the_old_one_serving() {
    for (step, reason) in
        [("successor-prepared", "before it was ready"), ("successor-released", "before it was ready")]
    {
        let daemon = Daemon::start_with(&[(ABORT_AT, step)]).await;
        let (client, app) = app_of(&daemon).await;
        let tunnel = Tunnel::open(&daemon, &app).await;
        let (loads, api) = (Loads::start(&daemon, &app).await, ApiLoad::start(&daemon, &app));
        for _ in 0..2 {
            let (upgraded, said) = daemon.upgrade(&[]).await;
            assert!(!upgraded && said.contains(reason), "{step}: {said}");
            loads.wait_for_more(100).await;
        }
        assert_eq!(daemon.processes(), [daemon.pid()]);
        client.deploy(&app, &Source::version("two")).await;
        daemon.wait_for_answer(&app, "/", "two").await;
        tunnel.close().await;
        let answered = loads.stop_without_failure().await;
        eprintln!("{step}: {answered} answers, 0 failures; the slowest write {:?}", api.stop().await.1);
    }
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn an_old_daemon_that_dies_after_it_let_go_is_replaced_all_the_same() {
    let mut daemon = Daemon::start_with(&[(ABORT_AT, "control-plane-released")]).await;
    let (client, app) = app_of(&daemon).await;
    let (upgraded, said) = daemon.upgrade(&[]).await;
    assert!(!upgraded && said.contains("did not finish its answer"), "{said}");
    daemon.wait_for_end().await;
    daemon.wait_for_api().await;
    daemon.wait_for_answer(&app, "/", "one").await;
    client.deploy(&app, &Source::version("two")).await;
    daemon.wait_for_answer(&app, "/", "two").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_new_daemon_is_followed_by_the_next_start() {
    let mut daemon = Daemon::start().await;
    let (client, app) = app_of(&daemon).await;
    let tunnel = Tunnel::open(&daemon, &app).await;
    let first = daemon.pid();
    let (upgraded, said) = daemon.upgrade(&[]).await;
    assert!(upgraded, "{said}");
    let successor = daemon.processes().into_iter().find(|pid| *pid != first).unwrap();
    end_process(successor);
    daemon.wait_for_end().await;
    drop(tunnel);
    daemon.spawn(&[]);
    daemon.wait_for_api().await;
    client.deploy(&app, &Source::version("two")).await;
    daemon.wait_for_answer(&app, "/", "two").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_daemon_that_is_stopped_ends_the_ones_before_it_too() {
    let mut daemon = Daemon::start().await;
    let (_, app) = app_of(&daemon).await;
    let _never_closed = Tunnel::open(&daemon, &app).await;
    let mut running = vec![daemon.pid()];
    for _ in 0..2 {
        let (upgraded, said) = daemon.upgrade(&[]).await;
        assert!(upgraded, "{said}");
        let newest = daemon.processes().into_iter().find(|pid| !running.contains(pid)).unwrap();
        running.push(newest);
    }
    signal_process(running[2], "TERM");
    wait_until("all daemons have ended", Duration::from_mins(2), || {
        let left: Vec<u32> = daemon.processes();
        async move { if left.len() <= 1 { Ok(()) } else { Err(format!("{left:?}")) } }
    })
    .await;
    daemon.wait_for_end().await;
    assert!(daemon.processes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dyno_is_kept_while_the_old_daemon_has_a_request_open_on_it() {
    let daemon = Daemon::start().await;
    let (client, app) = app_of(&daemon).await;
    let slow = tokio::task::spawn({
        let (web, url) = (daemon.web(&app), daemon.url(&app, "/slow?12000"));
        async move { web.get(url).send().await.unwrap().text().await.unwrap() }
    });
    pause(Duration::from_millis(500)).await;
    let (upgraded, said) = daemon.upgrade(&[]).await;
    assert!(upgraded, "{said}");
    let began = Instant::now();
    client.deploy(&app, &Source::version("two")).await;
    daemon.wait_for_answer(&app, "/", "two").await;
    eprintln!("released {:?} after the upgrade", began.elapsed());
    assert_eq!(slow.await.unwrap(), "one");
    client.wait_for_dynos(&app, "the old dyno is gone", all_ready(1)).await;
}
