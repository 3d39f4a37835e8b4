//! What a large installation costs the edge: ten thousand hosts, ten thousand certificates, many idle connections.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use akkerisd::edge::table::RoutingTable;
use anyhow::{Context, Result, bail, ensure};
use arc_swap::ArcSwap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::contenders::edge::{self, MANY, Variant};
use crate::contenders::{Contender, HOST};
use crate::load::{client_config, wrk};
use crate::results::Figure;
use crate::wire::Wire;
use crate::{cpu, median_share};

/// Idle connections of each kind that are opened at once.
const IDLE: u32 = 2_000;
const RUN: Duration = Duration::from_secs(2);
/// Runs over all hosts before those that count.
const MOST_WARM_UPS: u32 = 20;
/// After so long the edge has given back what an idle connection does not need.
const QUIET: Duration = Duration::from_secs(3);

/// Everything of this file, one after another.
pub(crate) fn measure(folder: &Path, backend: SocketAddr, rounds: usize) -> Result<Vec<Figure>> {
    let mut figures = many_hosts(folder, backend, rounds)?;
    figures.push(publication(backend));
    figures.push(many_certificates(folder, backend)?);
    figures.extend(idle_connections(folder, backend)?);
    Ok(figures)
}

/// The same script asks for one host and for all of them, since making up a name costs the load generator, not the
/// edge.
fn many_hosts(folder: &Path, backend: SocketAddr, rounds: usize) -> Result<Vec<Figure>> {
    let edge = edge::start(folder, backend, Variant::ManyHosts)?;
    edge.wait()?;
    let ask = |hosts| ask_hosts(&edge, folder, hosts);
    begin_logs(&folder.join("logs"), ask)?;
    let mut costs = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (costs, hosts) in costs.iter_mut().zip([1, MANY]) {
            let before = cpu::used(edge.pid())?;
            let requests = ask(hosts)?;
            costs.push(cpu::used(edge.pid())?.saturating_sub(before).as_secs_f64() / f64::from(requests));
        }
    }
    let [one, many] = costs;
    Ok(vec![
        Figure {
            title: "10,000 hosts, cost as a share of one host's",
            value: median_share(&many, &one),
            target: 1.15,
        },
        Figure { title: "10,000 hosts, MB", value: megabytes(&edge)?, target: 40.0 },
    ])
}

/// Asks so many hosts in turn; how many requests were answered.
fn ask_hosts(edge: &Contender, folder: &Path, hosts: usize) -> Result<u32> {
    let script = folder.join("hosts.lua");
    fs::write(
        &script,
        format!(
            "local number = 0
request = function()
  number = (number * 21 + 1) % {hosts}
  return wrk.format('GET', '/', {{ ['Host'] = 'bench' .. number .. '.localhost' }})
end
"
        ),
    )?;
    wrk(&format!("http://{}/", edge.http), 64, Some(&script), RUN)
}

/// Lets every host's log begin, which each does once, with its first line.
fn begin_logs(logs: &Path, ask: impl Fn(usize) -> Result<u32>) -> Result<()> {
    for _ in 0..MOST_WARM_UPS {
        ask(MANY)?;
        let begun = fs::read_dir(logs)?.count();
        if begun >= MANY {
            return Ok(());
        }
    }
    bail!("the logs of some of {MANY} hosts have not begun")
}

/// How long it takes until the next request sees a new route, from the change of a table that is in use.
fn publication(backend: SocketAddr) -> Figure {
    let mut table = RoutingTable::default();
    for number in 0..MANY {
        table.insert_app(&edge::host(number), edge::route(number, backend));
    }
    let table = Arc::new(ArcSwap::from_pointee(table));
    let mut times: Vec<Duration> = (MANY..MANY + 1_000)
        .map(|number| {
            let (host, route) = (edge::host(number), edge::route(number, backend));
            let start = Instant::now();
            let mut changed = RoutingTable::clone(&table.load());
            changed.insert_app(&host, route);
            table.store(Arc::new(changed));
            assert!(table.load().host(&host).is_some(), "{host} was not published");
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or_default();
    Figure { title: "a route added among 10,000, ms at p99", value: p99.as_secs_f64() * 1e3, target: 1.0 }
}

fn many_certificates(folder: &Path, backend: SocketAddr) -> Result<Figure> {
    let edge = edge::start(folder, backend, Variant::ManyCertificates)?;
    edge.wait()?;
    Ok(Figure { title: "10,000 certificates, MB", value: megabytes(&edge)?, target: 60.0 })
}

fn idle_connections(folder: &Path, backend: SocketAddr) -> Result<Vec<Figure>> {
    let config = client_config(folder)?;
    let plain = "GET / HTTP/1.1\r\nHost: HOST\r\n\r\n";
    let websocket = "GET /socket HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut figures = Vec::new();
    for (title, request, is_tls) in [
        ("an idle connection, KB", plain, false),
        ("an idle connection over TLS, KB", plain, true),
        ("an idle WebSocket, KB", websocket, false),
    ] {
        let edge = edge::start(folder, backend, Variant::Usual)?;
        edge.wait()?;
        let wire = if is_tls { Wire::tls(edge.https, &config) } else { Wire::plain(edge.http) };
        let value = cost_of_idle(&edge, &wire, &request.replace("HOST", HOST))?;
        figures.push(Figure { title, value, target: 20.0 });
    }
    Ok(figures)
}

/// KB of memory for each connection that has had one answer and is silent since.
#[tokio::main(flavor = "current_thread")]
async fn cost_of_idle(edge: &Contender, wire: &Wire, request: &str) -> Result<f64> {
    let mut open = Vec::new();
    // What the first ones bring into memory for all is not the cost of a connection.
    let mut before = None;
    for number in 0..IDLE + 100 {
        if number == 100 {
            before = Some(cpu::memory(edge.pid())?);
        }
        let mut stream = wire.connect().await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::with_capacity(2_048);
        ensure!(stream.read_buf(&mut answer).await? > 0, "connection {number} was closed");
        open.push(stream);
    }
    // Connections give their buffers back after a quiet moment.
    tokio::time::sleep_until(tokio::time::Instant::now() + QUIET).await;
    let grown = cpu::memory(edge.pid())?.saturating_sub(before.context("no connections")?);
    Ok(f64::from(grown) * 1.024 / f64::from(IDLE))
}

fn megabytes(edge: &Contender) -> Result<f64> {
    Ok(f64::from(cpu::memory(edge.pid())?) * 1.024 / 1e3)
}
