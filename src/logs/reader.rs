//! A reader of a ring: what comes after a position, without a queue of its own.

use std::io;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::ring::{End, Ring};
use super::segment::{self, Cursor};
use crate::model::log::LogLine;

/// Follows one ring. It holds at most one open file and nothing of the lines, however slow it is.
#[derive(Debug)]
pub struct Reader {
    ring: Arc<Ring>,
    ends: watch::Receiver<End>,
    position: u64,
    cursor: Option<Cursor>,
    closed: CancellationToken,
}

/// Some lines in a row, about 64 KiB of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    /// Lines that were overwritten before they could be read; they came before `lines`.
    pub missed: u64,
    pub lines: Vec<LogLine>,
    /// The position after the last line: where to go on.
    pub next: u64,
}

impl Reader {
    /// Reads from `position` on; one beyond the end is taken for the end.
    pub fn new(ring: Arc<Ring>, position: u64) -> Self {
        Self::until(ring, position, CancellationToken::new())
    }

    /// The same, ending when `closed` is cancelled.
    pub(super) fn until(ring: Arc<Ring>, position: u64, closed: CancellationToken) -> Self {
        let ends = ring.ends();
        Self { ring, ends, position, cursor: None, closed }
    }

    /// The position that the next line of the ring will get.
    pub fn end(&self) -> u64 {
        self.ring.bounds().1
    }

    /// Where the next line will be read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Waits until there is something to read, and reads it; `None` when the app is gone or the daemon
    /// stops. Cancel-safe.
    pub async fn next(&mut self) -> io::Result<Option<Chunk>> {
        loop {
            if matches!(*self.ends.borrow_and_update(), End::Removed) {
                return Ok(None);
            }
            let chunk = self.available().await?;
            if chunk.missed > 0 || !chunk.lines.is_empty() {
                return Ok(Some(chunk));
            }
            tokio::select! {
                () = self.closed.cancelled() => return Ok(None),
                changed = self.ends.changed() => if changed.is_err() {
                    return Ok(None);
                },
            }
        }
    }

    /// Reads what is there now; an empty chunk at the end of the ring. Cancel-safe.
    pub async fn available(&mut self) -> io::Result<Chunk> {
        let (ring, position, cursor) = (Arc::clone(&self.ring), self.position, self.cursor.take());
        let read = tokio::task::spawn_blocking(move || read(&ring, position, cursor));
        let (chunk, cursor) = read.await.map_err(io::Error::other)??;
        self.position = chunk.next;
        self.cursor = cursor;
        Ok(chunk)
    }
}

/// Reads a block of lines from `position`; a damaged rest of a segment counts as missed.
fn read(ring: &Ring, position: u64, mut cursor: Option<Cursor>) -> io::Result<(Chunk, Option<Cursor>)> {
    let (oldest, end) = ring.bounds();
    let mut chunk = Chunk { next: position.min(end), ..Chunk::default() };
    if chunk.next < oldest {
        chunk.missed = oldest - chunk.next;
        chunk.next = oldest;
    }
    while chunk.next < end && chunk.lines.is_empty() {
        let (start, until) = ring.segment_at(chunk.next);
        let opened = match cursor.take().filter(|cursor| cursor.start == start) {
            Some(cursor) => Ok(cursor),
            None => ring.cursor(chunk.next),
        };
        let read = opened.and_then(|mut opened| {
            let next = opened.read(chunk.next, until, &mut chunk.lines)?;
            Ok((opened, next))
        });
        match read {
            Ok((opened, next)) => {
                chunk.next = next;
                cursor = Some(opened);
            }
            // The segment was removed a moment ago, or a power cut damaged it.
            Err(error) if error.kind() == io::ErrorKind::NotFound || segment::is_torn(&error) => {
                let taken = chunk.next + chunk.lines.len() as u64;
                chunk.missed += until.saturating_sub(taken);
                chunk.next = until;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((chunk, cursor))
}
