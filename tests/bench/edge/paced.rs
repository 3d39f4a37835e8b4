//! A load that keeps a rate, and measures how long each answer takes.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::contenders::HOST;
use crate::load::Load;
use crate::wire::Wire;

/// Connections that stay open, each with its share of the rate.
const CONNECTIONS: u32 = 64;
/// Requests a second over all connections.
const RATE: u32 = 2_000;

/// Asks 2,000 times a second.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(wire: &Wire, time: Duration) -> Result<Load> {
    let mut clients = JoinSet::new();
    let start = Instant::now() + Duration::from_millis(100);
    for number in 0..CONNECTIONS {
        let wire = wire.clone();
        let first = start + Duration::from_secs(1) * number / RATE;
        clients.spawn(ask_at_a_rate(wire, first, start + time));
    }
    let mut times = Vec::new();
    while let Some(some) = clients.join_next().await {
        times.extend(some??);
    }
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).copied();
    Ok(Load { requests: u32::try_from(times.len())?, p99 })
}

async fn ask_at_a_rate(wire: Wire, first: Instant, until: Instant) -> Result<Vec<Duration>> {
    let mut stream = wire.connect().await?;
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let mut ticks = tokio::time::interval_at(first, Duration::from_secs(1) * CONNECTIONS / RATE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut times, mut answer) = (Vec::new(), Vec::with_capacity(4_096));
    while ticks.tick().await < until {
        let sent = Instant::now();
        stream.write_all(request.as_bytes()).await?;
        answer.clear();
        while !is_whole(&answer) {
            ensure!(stream.read_buf(&mut answer).await? > 0, "a connection was closed");
        }
        times.push(sent.elapsed());
        ensure!(answer.starts_with(b"HTTP/1.1 200"), "not a good answer");
    }
    Ok(times)
}

/// A head and 1 KiB.
fn is_whole(answer: &[u8]) -> bool {
    answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .is_some_and(|head| answer.len() >= head + 4 + 1_024)
}
