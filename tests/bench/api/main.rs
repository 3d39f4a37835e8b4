//! The control API with 1,000 apps and 20,000 releases: `cargo bench --bench api [-- --seconds N] [--rounds N]`.
//!
//! The daemon is the real binary in a process of its own, on loopback, with the local Docker Engine; no app has
//! a dyno. Reads come at a fixed rate and their latency counts from the instant at which they were due. Durable
//! writes are compared with what the bare store does on the same disk, round by round.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

mod commits;
mod connection;
#[path = "../edge/cpu.rs"]
mod cpu;
mod daemon;
mod fill;
mod report;
mod schedule;
#[path = "../edge/unit.rs"]
mod unit;

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use connection::{Connection, Request};
use daemon::Daemon;
use report::Report;

/// Requests a second of the scheduled reads.
const RATE: u32 = 100;
/// Requests by which the CPU time of one is measured, and those before that warm up.
const COUNTED: u32 = 64_000;
const WARM_UP: u32 = 6_400;
/// Kept connections that ask at once while CPU time is measured, as in `../shared/design/edge.md`: with a single one,
/// half of the time is the machine's for falling asleep and waking up between two requests.
const CONNECTIONS: u32 = 64;
const MIB: f64 = 1024.0 * 1024.0;

struct Options {
    /// Of each scheduled read.
    time: Duration,
    /// Of the writes; each takes five seconds.
    rounds: usize,
}

fn main() -> Result<()> {
    // `cargo test --benches` only asks whether the benchmark starts.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let options = options()?;
    let folder = tempfile::Builder::new().prefix("bench-api-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    fill::fill(&folder.path().join("data"))?;
    let daemon = Daemon::start(folder.path())?;
    let mut report = Report::default();
    measure(&daemon, &options, &mut report).with_context(|| daemon.log())?;
    if !report.print() {
        bail!("not every figure of issue 3 holds");
    }
    Ok(())
}

fn options() -> Result<Options> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let mut options = Options { time: Duration::from_secs(20), rounds: 8 };
    for pair in arguments.chunks(2) {
        match pair {
            [name, number] if name == "--seconds" => options.time = Duration::from_secs(number.parse()?),
            [name, number] if name == "--rounds" => options.rounds = number.parse()?,
            other => bail!("unknown option {other:?}; there are --seconds N and --rounds N"),
        }
    }
    ensure!(
        options.time >= Duration::from_secs(1) && options.rounds > 0,
        "--seconds and --rounds begin at 1"
    );
    Ok(options)
}

fn measure(daemon: &Daemon, options: &Options, report: &mut Report) -> Result<()> {
    let list = Request::get(daemon, "/apps");
    let size = Connection::open(daemon.api)?.send(&list)?;
    let cost = cost(daemon, &list, 1, 200)?;
    println!("GET /apps answers {} KiB for {:.2} ms of CPU", size / 1024, cost / 1e3);
    let app = Request::get(daemon, &format!("/apps/{}", fill::app_key(500)));

    let latencies = schedule::run(daemon.api, &list, RATE, options.time)?;
    report.at_most("GET /apps, p99 at 100/s", latencies.p99, 20.0, "ms");
    let latencies = schedule::run(daemon.api, &app, RATE, options.time)?;
    report.at_most("GET /apps/{app}, p99 at 100/s", latencies.p99, 2.0, "ms");

    self::cost(daemon, &app, CONNECTIONS, WARM_UP)?;
    let alone = self::cost(daemon, &app, 1, COUNTED / 4)?;
    println!("GET /apps/{{app}} costs {alone:.1} us of CPU when one client asks at a time");
    let cost = self::cost(daemon, &app, CONNECTIONS, COUNTED)?;
    report.at_most("GET /apps/{app}, CPU of one", cost, 60.0, "us");

    let shares = commits::compare(daemon, options.rounds)?;
    println!("one row for each request, without the API: {:.0} % of the bare store's commits", shares.served);
    report.at_least("PATCH config-vars, 1 client", shares.one, 60.0, "%");
    report.at_least("PATCH config-vars, 16 clients", shares.sixteen, 150.0, "%");
    report.at_most("memory after it all", daemon.memory()? / MIB, 40.0, "MiB");
    Ok(())
}

/// CPU microseconds (user and system) of the daemon for each of `requests`, which so many kept connections share.
fn cost(daemon: &Daemon, request: &Request, connections: u32, requests: u32) -> Result<f64> {
    let mut open: Vec<Connection> =
        (0..connections).map(|_| Connection::open(daemon.api)).collect::<Result<_>>()?;
    let each = requests / connections;
    let before = cpu::used(daemon.pid())?;
    std::thread::scope(|scope| {
        let clients: Vec<_> = open
            .iter_mut()
            .map(|connection| {
                scope.spawn(move || (0..each).try_for_each(|_| connection.send(request).map(drop)))
            })
            .collect();
        clients
            .into_iter()
            .try_for_each(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    let used = cpu::used(daemon.pid())?.saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / f64::from(each * connections))
}
