//! What watching costs: the daemon's processor time and memory with fifty idle dynos beside none.
//!
//! `cargo bench --bench watch` prints both, and the same with dynos that are followed but hardly measured. The
//! difference to none is an upper bound of following and measuring: reconciling the dynos is in it, too.
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

use std::time::Duration;

use serde_json::json;

use support::archive::Source;
use support::client::{Client, all_ready};
use support::daemon::Daemon;

const APPS: usize = 2;
const DYNOS_OF_APP: usize = 25;
/// The daemon comes to rest before it is looked at.
const SETTLE: Duration = Duration::from_secs(20);
const WATCH: Duration = Duration::from_mins(1);
/// As rarely as dynos can be measured.
const SELDOM: (&str, &str) = ("AKKERISD_METRICS_INTERVAL", "10m");

struct Cost {
    percent_of_core: f64,
    resident_mib: f64,
}

#[tokio::main]
async fn main() {
    // `cargo test --benches` only asks whether the benchmark starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let mut daemon = Daemon::start().await;
    let none = cost("no dynos", &daemon).await;
    add_dynos(&daemon.client()).await;
    daemon.kill_9();
    daemon.spawn(&[SELDOM]);
    daemon.wait_for_api().await;
    cost("50 dynos, followed", &daemon).await;
    daemon.restart().await;
    let all = cost("50 dynos, followed and measured", &daemon).await;
    println!(
        "watching costs at most {:.2} % of a core and {:.1} MiB (targets: 1 % and 10 MB)",
        all.percent_of_core - none.percent_of_core,
        all.resident_mib - none.resident_mib
    );
}

async fn add_dynos(client: &Client) {
    for number in 0..APPS {
        let app = client.create_app(&format!("idle{number}"), "default").await;
        client.deploy(&app, &Source::version("idle")).await;
        let scale = json!({ "quantity": DYNOS_OF_APP });
        client.send("PATCH", &format!("/apps/{app}/formation/web"), Some(scale), 200).await;
        support::wait_until("every dyno runs", Duration::from_mins(5), || async {
            let (_, dynos) = client.try_send("GET", &format!("/apps/{app}/dynos"), None).await?;
            let dynos = dynos.as_array().cloned().unwrap_or_default();
            if all_ready(DYNOS_OF_APP)(&dynos) { Ok(()) } else { Err(format!("{dynos:?}")) }
        })
        .await;
    }
}

async fn cost(what: &str, daemon: &Daemon) -> Cost {
    support::pause(SETTLE).await;
    let before = cpu_seconds(daemon.pid());
    support::pause(WATCH).await;
    let busy = (cpu_seconds(daemon.pid()) - before) / WATCH.as_secs_f64() * 100.0;
    let resident_mib = f64::from(u32::try_from(daemon.resident_kib()).unwrap()) / 1024.0;
    println!("{what}: {busy:.2} % of a core, {resident_mib:.1} MiB");
    Cost { percent_of_core: busy, resident_mib }
}

/// User and system time, from clock ticks of 10 ms.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) / 100.0
}
