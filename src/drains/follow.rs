//! The follower of one drain: reads the log from its position on, and sends it, again and again.
//!
//! Invariant: the position is that of the first line that no connection has taken; nothing else remembers lines.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::DrainFigures;
use super::backoff::Backoff;
use super::error::DrainError;
use super::ledger::Unsettled;
use super::link::{Link, Links, framing};
use super::logplex::Frame;
use super::message::Batch;
use super::progress::Progress;
use super::stream::Confirmation;
use crate::logs::{Chunk, Reader, Rings};
use crate::model::log::LogLine;
use crate::model::log_drain::{DrainState, LogDrain, Loss};

/// A connection that lived this long was a good one.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// Bytes of text of the lines that are sent at once, because servers take requests of a megabyte or so.
const BATCH_LIMIT: usize = 256 * 1024;
/// How long what is on its way may take when the drain is stopped, and then the end of the last connection.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// What the follower of a drain needs.
pub(super) struct Follower {
    pub(super) drain: LogDrain,
    /// The host name of its messages.
    pub(super) host: String,
    pub(super) rings: Rings,
    pub(super) links: Links,
    pub(super) figures: DrainFigures,
    pub(super) progress: Progress,
    pub(super) stop: CancellationToken,
}

/// How a connection ended.
enum Ended {
    /// The log or the daemon ended.
    Over,
    /// It was asked for what it has read, and the next one goes on.
    Confirmed,
    Failed(DrainError),
}

/// What outlives a connection.
#[derive(Default)]
struct Memory {
    backoff: Backoff,
    frame: Frame,
    /// The server does not answer when it is asked.
    silent: bool,
}

impl Follower {
    /// Sends until the drain, the owner of the log or the daemon ends.
    pub(super) async fn run(mut self) {
        let mut memory = Memory::default();
        loop {
            let began = Instant::now();
            let error = match self.session(&mut memory).await {
                Ended::Confirmed => {
                    memory.backoff.reset();
                    continue;
                }
                Ended::Over | Ended::Failed(DrainError::Stopped) => break,
                Ended::Failed(error) => error,
            };
            if began.elapsed() >= GOOD_AFTER {
                memory.backoff.reset();
            }
            self.figures.failed();
            self.links.forget_tls();
            self.progress.set_state(DrainState::Failing, error.to_string()).await;
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(memory.backoff.next(rand::random())) => {}
            }
        }
        self.progress.save().await;
    }

    /// One connection from its beginning to its end.
    async fn session(&mut self, memory: &mut Memory) -> Ended {
        let stop = self.stop.clone();
        let opened = tokio::select! {
            biased;
            () = stop.cancelled() => return Ended::Over,
            opened = self.open() => opened,
        };
        let (mut reader, mut link) = match opened {
            Ok(opened) => opened,
            Err(error) => return Ended::Failed(error),
        };
        self.figures.connected();
        self.progress.set_state(DrainState::Connected, String::new()).await;
        let ended = self.pump(&mut reader, &mut link, memory).await;
        match ended {
            Ended::Failed(DrainError::Stopped) | Ended::Over => {
                let asked = tokio::time::timeout(STOP_LIMIT, link.confirm()).await;
                if let Ok(Confirmation::Broken(error)) = asked {
                    drop(self.broke(&mut link, error).await);
                }
                Ended::Over
            }
            Ended::Confirmed => self.confirm(&mut link, memory).await,
            Ended::Failed(error) => self.broke(&mut link, error).await,
        }
    }

    /// The log from the position on, and a connection. A new drain begins at the end of the log.
    async fn open(&mut self) -> Result<(Reader, Link), DrainError> {
        let owner = self.drain.owner;
        let position = if let Some(position) = self.progress.position() {
            position
        } else {
            let end = self.rings.reader(owner, u64::MAX).await.map_err(DrainError::Log)?.end();
            self.progress.set_position(end);
            self.progress.save().await;
            end
        };
        let reader = self.rings.reader(owner, position).await.map_err(DrainError::Log)?;
        Ok((reader, self.links.open(&self.drain).await?))
    }

    async fn pump(&mut self, reader: &mut Reader, link: &mut Link, memory: &mut Memory) -> Ended {
        loop {
            if self.progress.is_due() {
                self.progress.save().await;
            }
            let chunk = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ended::Over,
                error = link.ended() => return Ended::Failed(error),
                () = self.progress.due() => continue,
                chunk = reader.next() => chunk,
            };
            let chunk = match chunk {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ended::Over,
                Err(error) => return Ended::Failed(DrainError::Log(error)),
            };
            if let Err(error) = self.deliver(link, chunk, memory).await {
                return Ended::Failed(error);
            }
            if link.is_full() && !memory.silent {
                return Ended::Confirmed;
            }
        }
    }

    /// Sends lines, after what is to be told of lost ones.
    async fn deliver(
        &mut self,
        link: &mut Link,
        chunk: Chunk,
        memory: &mut Memory,
    ) -> Result<(), DrainError> {
        let now = self.links.clock().now();
        let mut position = chunk.next.saturating_sub(chunk.lines.len() as u64);
        if chunk.missed > 0 {
            let loss = Loss { lines: chunk.missed, since: now };
            self.lose(Unsettled { lines: chunk.missed, loss });
            self.progress.set_position(position);
        }
        let framing = framing(&self.drain.url.target().transport);
        if let Some(loss) = self.progress.unreported() {
            let marker = Batch::of_loss(loss, now, &self.host, framing);
            let (handed, sent) = self.send(link, &marker, Uuid::new_v4()).await;
            if handed > 0 {
                self.progress.reported();
            }
            sent?;
        }
        let mut rest = chunk.lines.as_slice();
        while !rest.is_empty() {
            let (count, frame) = memory.frame.next(position, fitting(rest));
            let (lines, others) = rest.split_at(count);
            let batch = Batch::of(lines, &self.host, framing);
            let (handed, sent) = self.send(link, &batch, frame).await;
            position += handed as u64;
            self.progress.set_position(position);
            self.figures.sent(handed as u64);
            sent?;
            rest = others;
        }
        Ok(())
    }

    /// The number of messages that were handed over. When the drain is stopped, what is on its way is given a moment to
    /// arrive, and nothing more is sent.
    async fn send(&self, link: &mut Link, batch: &Batch, frame: Uuid) -> (usize, Result<(), DrainError>) {
        if self.stop.is_cancelled() {
            return (0, Err(DrainError::Stopped));
        }
        let mut handed = 0;
        let stopped = async {
            self.stop.cancelled().await;
            tokio::time::sleep(STOP_LIMIT).await;
        };
        let sent = tokio::select! {
            sent = link.send(batch, frame, &mut handed) => sent,
            () = stopped => Err(DrainError::Stopped),
        };
        (handed, sent)
    }

    async fn confirm(&mut self, link: &mut Link, memory: &mut Memory) -> Ended {
        match link.confirm().await {
            Confirmation::Read => Ended::Confirmed,
            Confirmation::Silent => {
                memory.silent = true;
                Ended::Confirmed
            }
            Confirmation::Broken(error) => self.broke(link, error).await,
        }
    }

    async fn broke(&mut self, link: &mut Link, error: DrainError) -> Ended {
        if let Some(lost) = link.lost(&error).await {
            self.lose(lost);
        }
        Ended::Failed(error)
    }

    fn lose(&mut self, lost: Unsettled) {
        self.figures.dropped(lost.lines);
        self.progress.lose(lost);
    }
}

/// How many of the lines fit into a batch; at least one.
fn fitting(lines: &[LogLine]) -> usize {
    let mut bytes = 0;
    let fit = |line: &&LogLine| {
        bytes += line.text().len();
        bytes <= BATCH_LIMIT
    };
    lines.iter().take_while(fit).count().max(1)
}
