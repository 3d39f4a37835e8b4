//! What hostile and heavy clients cost everybody else: thousands of heads that never end, bodies that are larger than
//! any memory.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use crate::backend::HEAVY;
use crate::contenders::HOST;
use crate::contenders::edge::{self, Variant};
use crate::results::Figure;
use crate::wire::Wire;
use crate::{cpu, paced};

/// Connections that send their head a byte at a time.
const SLOW: u16 = 5_000;
/// Between two bytes of a slow head.
const DRIP: Duration = Duration::from_secs(1);
/// How long the others are watched.
const WATCH: Duration = Duration::from_secs(6);
/// Between two looks at the edge's memory.
const LOOK: Duration = Duration::from_millis(50);
const BLOCK: usize = 256 << 10;
/// A reader that takes this many bytes a second is slower than any proxy.
const SLOW_READER: u64 = 400_000_000;

/// Everything of this file, one after another.
pub(crate) fn measure(folder: &Path, backend: SocketAddr) -> Result<Vec<Figure>> {
    let mut figures = slow_heads(folder, backend)?;
    figures.push(Figure {
        title: "MB grown by an upload of 10 GB",
        value: grown(folder, backend, upload)?,
        target: 10.0,
    });
    figures.push(Figure {
        title: "MB grown by a download of 10 GB to a slow reader",
        value: grown(folder, backend, download)?,
        target: 10.0,
    });
    Ok(figures)
}

fn slow_heads(folder: &Path, backend: SocketAddr) -> Result<Vec<Figure>> {
    let edge = edge::start(folder, backend, Variant::Usual)?;
    edge.wait()?;
    let wire = Wire::plain(edge.http);
    let p99 = || paced::run(&wire, WATCH)?.p99.context("a rate has a p99");
    let alone = p99()?;
    let before = cpu::memory(edge.pid())?;
    let (ready, are_ready) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let (beside, grown) = std::thread::scope(|scope| {
        let slow = scope.spawn(|| drip(&wire, ready, stopped));
        are_ready.blocking_recv().context("the slow clients could not connect")?;
        let beside = p99();
        let grown = cpu::memory(edge.pid())?.saturating_sub(before);
        let _stopped = stop.send(());
        slow.join().map_err(|_| anyhow::anyhow!("the slow clients panicked"))??;
        anyhow::Ok((beside?, grown))
    })?;
    Ok(vec![
        Figure {
            title: "5,000 slow heads: the others' p99 as a share of the quiet one",
            value: beside.as_secs_f64() / alone.as_secs_f64(),
            target: 2.0,
        },
        Figure {
            title: "KB for each slow head",
            value: f64::from(grown) * 1.024 / f64::from(SLOW),
            target: 20.0,
        },
    ])
}

/// Opens the slow connections, and goes on with their heads until it is stopped.
#[tokio::main(flavor = "current_thread")]
async fn drip(wire: &Wire, ready: oneshot::Sender<()>, mut stop: oneshot::Receiver<()>) -> Result<()> {
    let mut open = Vec::with_capacity(usize::from(SLOW));
    for _ in 0..SLOW {
        let mut stream = wire.connect().await?;
        stream.write_all(b"GET / HTTP/1.1\r\nX-Slow: ").await?;
        open.push(stream);
    }
    let _told = ready.send(());
    // Clients that know nothing of each other do not send at the same time.
    let mut ticks = tokio::time::interval(DRIP / 1_000);
    let mut next = (0..SLOW).cycle();
    loop {
        tokio::select! {
            _ = &mut stop => return Ok(()),
            _ = ticks.tick() => {
                for number in next.by_ref().take(usize::from(SLOW / 1_000)) {
                    let stream = open.get_mut(usize::from(number)).context("a slow client is missing")?;
                    stream.write_all(b"x").await.context("a slow client was cut off while it was watched")?;
                }
            }
        }
    }
}

/// MB that the edge needs at most during a request beyond what it needed before.
fn grown(folder: &Path, backend: SocketAddr, request: fn(&Wire) -> Result<()>) -> Result<f64> {
    let edge = edge::start(folder, backend, Variant::Usual)?;
    edge.wait()?;
    let wire = &Wire::plain(edge.http);
    // The first requests bring into memory what all need.
    paced::run(wire, Duration::from_secs(1))?;
    let before = cpu::memory(edge.pid())?;
    let (ended, end) = mpsc::channel();
    let most = std::thread::scope(|scope| {
        scope.spawn(move || ended.send(request(wire)));
        let mut most = before;
        loop {
            most = most.max(cpu::memory(edge.pid())?);
            match end.recv_timeout(LOOK) {
                Ok(outcome) => return outcome.map(|()| most),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the client panicked"),
            }
        }
    })?;
    Ok(f64::from(most - before) * 1.024 / 1e3)
}

#[tokio::main(flavor = "current_thread")]
async fn upload(wire: &Wire) -> Result<()> {
    let mut stream = wire.connect().await?;
    let head = format!("POST /upload HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {HEAVY}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let block = vec![b'x'; BLOCK];
    let mut left = HEAVY;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        stream.write_all(block.get(..part).context("a part is within a block")?).await?;
        left -= part as u64;
    }
    let mut answer = Vec::with_capacity(4_096);
    ensure!(
        stream.read_buf(&mut answer).await? > 0 && answer.starts_with(b"HTTP/1.1 200"),
        "not a good answer"
    );
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn download(wire: &Wire) -> Result<()> {
    let mut stream = wire.connect().await?;
    let head = format!("GET /heavy HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let (mut block, mut read, start) = (vec![0; BLOCK], 0_u64, Instant::now());
    while read < HEAVY {
        let some = stream.read(&mut block).await?;
        ensure!(some > 0, "the download ended after {read} bytes");
        read += some as u64;
        let due = start + Duration::from_secs(1) * u32::try_from(read / (SLOW_READER / 100))? / 100;
        tokio::time::sleep_until(due.into()).await;
    }
    Ok(())
}
