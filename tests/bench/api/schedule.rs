//! Requests at a fixed rate, whether or not those before were answered.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::connection::{Connection, Request};

/// Connections, so that a slow answer does not hold back the requests that are due after it.
const CLIENTS: usize = 8;

/// Milliseconds from the instant at which a request was due to the end of its answer.
#[derive(Debug)]
pub(crate) struct Latencies {
    pub(crate) p99: f64,
}

/// Returns at once when the instant has passed.
pub(crate) fn sleep_until(due: Instant) {
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
}

/// Sends a request `rate` times a second for some time. Any failed one is an error.
pub(crate) fn run(api: SocketAddr, request: &Request, rate: u32, time: Duration) -> Result<Latencies> {
    let interval = Duration::from_secs(1) / rate;
    let count = u32::try_from(time.as_secs())?.saturating_mul(rate);
    let next = AtomicU32::new(0);
    let mut clients: Vec<Connection> = (0..CLIENTS).map(|_| Connection::open(api)).collect::<Result<_>>()?;
    for client in &mut clients {
        client.send(request)?;
    }
    let start = Instant::now();
    let work = |mut client: Connection| {
        let mut took = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return anyhow::Ok(took);
            }
            let due = start + interval * number;
            sleep_until(due);
            client.send(request)?;
            took.push(due.elapsed().as_secs_f64() * 1e3);
        }
    };
    let mut took = std::thread::scope(|scope| {
        let clients: Vec<_> = clients.into_iter().map(|client| scope.spawn(|| work(client))).collect();
        let mut all = Vec::new();
        for client in clients {
            all.extend(client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
        }
        anyhow::Ok(all)
    })?;
    took.sort_by(f64::total_cmp);
    let at = |share: usize| took.get(took.len() * share / 1000).copied();
    let latencies = Latencies { p99: at(990).context("no request was sent")? };
    println!(
        "{count} requests: median {:.2} ms, p99 {:.2} ms, p99.9 {:.2} ms",
        at(500).unwrap_or_default(),
        latencies.p99,
        at(999).unwrap_or_default()
    );
    Ok(latencies)
}
