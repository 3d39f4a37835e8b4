//! Follows the output of one container into its app's ring.
//!
//! Invariants: over some seconds no more is read than `logs.dyno_rate` allows, so that a flood costs neither us nor the
//! engine twice. What is more is left out, which the log says; it is never kept in memory. What a free dyno writes is read
//! without a pause: a reader whom the engine's log overtakes may never hear of it again. So a flood is slowed where it
//! begins, beside the reading. That pauses only for who is slowed, and begins anew from the last lines where it paused
//! for long, or hears nothing any more of who was loud.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::allowance::Allowance;
use super::assemble::{Assembler, moment, nanos};
use super::brake::Brake;
use super::collect::CollectorParts;
use super::ring::{Checkpoint, Ring};
use super::silence::Silence;
use super::slowing::{CpuUse, Slowing, Wanted};
use crate::engine::{EngineError, ObservedContainer, OutputFrom, OutputPiece};
use crate::model::log::{LogLine, LogSource, OutputStream};
use crate::model::metric::Metric;

/// Pieces that are taken together; the engine's are at most 16 KiB.
const PIECES: usize = 128;
/// How often lines that could not be written are told of while it goes on.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// The least time for which nothing is read of a flood.
const PAUSE: Duration = Duration::from_secs(1);
/// Lines before the present one with which a log goes on after a pause: a crash tells its cause in the last.
const LAST_LINES: usize = 100;
/// Both streams are written side by side, so that their times may be out of order by a little.
const DISORDER_SECONDS: i64 = 2;
const NANOS_PER_SECOND: i64 = 1_000_000_000;
/// Who flooded before that is not slowed for it now.
const PAST: Duration = Duration::from_secs(5);
/// Output that breaks off sooner may never be followed again.
const BROKEN_OFF: Duration = Duration::from_secs(2);
/// Longest wait for the use of CPU of a slowed dyno, in which nothing is read of it.
const USAGE_LIMIT: Duration = Duration::from_secs(1);

/// Why a container's output is not followed any more, before its process ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the log cannot be kept")]
    Ring(#[from] std::io::Error),
}

/// Why the following ended without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The process ended, and all that it wrote is taken.
    Whole,
    /// The daemon stops.
    Stopped,
}

/// One container that is followed.
struct Follower<'a> {
    parts: &'a CollectorParts,
    ring: Arc<Ring>,
    container: &'a ObservedContainer,
    stdout: Assembler,
    stderr: Assembler,
    /// The newest time that the engine gave, in nanoseconds.
    newest: i64,
    allowance: Allowance,
    /// `None` where floods are not to be slowed.
    slowing: Option<Slowing>,
    wanted: watch::Sender<Wanted>,
    silence: Silence,
    joint: Joint,
    /// Lines that could not be written.
    dropped: u64,
    told: Instant,
}

/// How the next piece joins what was taken.
#[derive(PartialEq, Eq)]
enum Joint {
    /// It comes right after it.
    Sound,
    /// Output was left out, if it does not join.
    Paused,
    /// Output is missing that is to be read yet, if it does not join.
    Doubted,
}

/// Why a stream of output is not read any more.
enum Left {
    /// The process ended.
    AtItsEnd,
    /// It writes more than may be taken.
    Flood,
    /// Nothing comes any more. Either nothing is written, or the engine's log has overtaken the reading.
    Silence,
    /// It does not join what was taken.
    Torn,
}

/// Follows a container's output from where it was left, until its process ends or the daemon stops. Not to be dropped
/// before, as the dyno may be slowed. It is not when this returns, unless the engine broke the output off: that is
/// followed again in a moment, and a dyno that floods is not let go for it.
pub(super) async fn follow(
    parts: &CollectorParts,
    container: &ObservedContainer,
    stop: &CancellationToken,
) -> Result<Ended, FollowError> {
    let ring = parts.rings.ring(container.app).await?;
    let mut brake = tokio::select! {
        () = stop.cancelled() => return Ok(Ended::Stopped),
        brake = Brake::find(parts, container, Arc::clone(&ring)) => brake?,
    };
    let slowing = parts.slow_floods.then(|| Slowing::new(parts.dyno_rate, brake.limit()));
    let limit = brake.limit().filter(|_| slowing.is_some());
    let (wanted, wants) = watch::channel(Wanted { limit, rate: None });
    let checkpoint = ring.checkpoint(container.id.as_str());
    let since = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.since);
    let (stdout, stderr) = checkpoint.map(|each| (each.stdout, each.stderr)).unwrap_or_default();
    let follower = Follower {
        parts,
        ring,
        container,
        stdout: Assembler::new(source(container, OutputStream::Stdout), stdout),
        stderr: Assembler::new(source(container, OutputStream::Stderr), stderr),
        newest: since.saturating_mul(NANOS_PER_SECOND),
        allowance: Allowance::new(parts.dyno_rate),
        slowing,
        wanted,
        silence: Silence::new(Instant::now()),
        joint: Joint::Sound,
        dropped: 0,
        told: Instant::now(),
    };
    // The brake ends with the follower, which is all that wants anything of it.
    let began = Instant::now();
    let (ended, ()) = tokio::join!(follower.run(since, stop), brake.run(wants));
    if ended.is_ok() || began.elapsed() < BROKEN_OFF {
        brake.release().await;
    }
    ended
}

fn source(container: &ObservedContainer, stream: OutputStream) -> LogSource {
    LogSource::Dyno { process_type: container.process_type.clone(), dyno: container.dyno.clone(), stream }
}

/// Waits for a moment that may never come.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

impl Follower<'_> {
    async fn run(mut self, since: i64, stop: &CancellationToken) -> Result<Ended, FollowError> {
        tokio::select! {
            () = stop.cancelled() => Ok(Ended::Stopped),
            whole = self.take_all(since) => whole.map(|()| Ended::Whole),
        }
    }

    async fn take_all(&mut self, since: i64) -> Result<(), FollowError> {
        let mut from = OutputFrom::Second(since);
        loop {
            from = match self.read(from).await? {
                Left::AtItsEnd => return self.end().await,
                Left::Flood => {
                    self.pause().await?;
                    OutputFrom::Last(LAST_LINES)
                }
                Left::Silence => {
                    self.silence.doubted();
                    // Of who is free nothing is left out that the engine has.
                    let joint = if self.due().is_none() { Joint::Doubted } else { Joint::Paused };
                    self.begin_anew(joint).await?;
                    OutputFrom::Last(LAST_LINES)
                }
                Left::Torn => {
                    self.joint = Joint::Paused;
                    OutputFrom::Second(self.checkpoint().since)
                }
            };
        }
    }

    /// Takes output as long as that is allowed.
    async fn read(&mut self, from: OutputFrom) -> Result<Left, FollowError> {
        let output = self.parts.engine.output(&self.container.id, from).await?;
        let mut pieces = output.ready_chunks(PIECES);
        self.silence.begins(Instant::now());
        loop {
            tokio::select! {
                next = pieces.next() => match next {
                    Some(next) if self.is_torn(&next) => return Ok(Left::Torn),
                    Some(next) => {
                        let new = self.take(next).await?;
                        // The engine's log may have overtaken this reading by now, and it costs the neighbours more.
                        let floods = self.slow();
                        if new > 0 {
                            self.silence.broken(Instant::now(), new, self.due().is_some());
                        }
                        if floods || self.sampled_until().is_some() {
                            return Ok(Left::Flood);
                        }
                        if let Some(breath) = self.slowing.as_ref().and_then(|slowing| slowing.breath(Instant::now())) {
                            tokio::time::sleep(breath).await;
                        }
                    }
                    None => return Ok(Left::AtItsEnd),
                },
                () = until(self.due()) => self.judge().await,
                () = until(self.silence.ends()) => return Ok(Left::Silence),
            }
            if self.allowance.debt().is_some() {
                self.want(|slowing| slowing.overrun(Instant::now()));
                return Ok(Left::Flood);
            }
        }
    }

    fn is_torn(&self, pieces: &[Result<OutputPiece, EngineError>]) -> bool {
        let first = pieces.first().and_then(|piece| piece.as_ref().ok());
        self.joint == Joint::Doubted && first.is_some_and(|first| first.nanos > self.newest)
    }

    /// When it is looked at next; `None` while the dyno is free.
    fn due(&self) -> Option<Instant> {
        self.slowing.as_ref().and_then(Slowing::due)
    }

    fn sampled_until(&self) -> Option<Instant> {
        self.slowing.as_ref().and_then(Slowing::sampled_until)
    }

    fn is_flood(&self) -> bool {
        self.slowing.as_ref().is_some_and(Slowing::is_flood)
    }

    /// Looks whether a slowed dyno needs another limit, or none. One that is doubted is judged by its output alone.
    async fn judge(&mut self) {
        let used = if self.is_flood() { self.used().await } else { None };
        self.want(|slowing| slowing.judge(Instant::now(), used));
    }

    /// `None` when the engine does not tell in time.
    async fn used(&self) -> Option<CpuUse> {
        let usage = self.parts.engine.usage(&self.container.id);
        let usage = tokio::time::timeout(USAGE_LIMIT, usage).await.ok()?.ok()??;
        let seconds = usage.readings.get(Metric::CpuUsage)?;
        Some(CpuUse { seconds, throttled: usage.throttled })
    }

    /// Slows a dyno that floods now, or may; returns whether it is known to, which it was not before.
    fn slow(&mut self) -> bool {
        let now = self.parts.clock.now();
        if moment(self.newest) < now.minus(PAST) {
            return false;
        }
        self.want(|slowing| slowing.flood(Instant::now(), nanos(now))) && self.is_flood()
    }

    /// Returns whether anything else is wanted than before.
    fn want(&mut self, decide: impl FnOnce(&mut Slowing) -> Option<Wanted>) -> bool {
        let wanted = self.slowing.as_mut().and_then(decide);
        wanted.is_some_and(|wanted| {
            self.wanted.send_replace(wanted);
            true
        })
    }

    /// Takes some pieces; returns how many bytes of them had not come before. An error among them ends the
    /// following after the pieces before it were kept.
    async fn take(&mut self, pieces: Vec<Result<OutputPiece, EngineError>>) -> Result<usize, FollowError> {
        let (mut lines, mut new, now) = (Vec::new(), 0, Instant::now());
        let mut failed = None;
        for piece in pieces {
            match piece {
                Ok(piece) => new += self.take_piece(now, &piece, &mut lines),
                Err(error) => failed = Some(error),
            }
        }
        self.allowance.take(new);
        self.keep(lines, failed.is_some()).await?;
        failed.map_or(Ok(new), |error| Err(error.into()))
    }

    /// Adds the lines that a piece completes; returns how many bytes of it had not come before.
    fn take_piece(&mut self, now: Instant, piece: &OutputPiece, lines: &mut Vec<LogLine>) -> usize {
        lines.extend(self.gap_before(piece.nanos));
        self.newest = self.newest.max(piece.nanos);
        let assembler = match piece.stream {
            OutputStream::Stdout => &mut self.stdout,
            OutputStream::Stderr => &mut self.stderr,
        };
        if !assembler.take(piece.nanos, &piece.bytes, lines) {
            return 0;
        }
        if let Some(slowing) = &mut self.slowing {
            slowing.take(now, piece.nanos, piece.bytes.len());
        }
        piece.bytes.len()
    }

    /// Reads nothing until more may be taken, or it is time for another sample.
    async fn pause(&mut self) -> Result<(), FollowError> {
        self.begin_anew(Joint::Paused).await?;
        tokio::time::sleep(self.allowance.debt().unwrap_or_default().max(PAUSE)).await;
        if let Some(until) = self.sampled_until() {
            tokio::time::sleep_until(until).await;
            self.judge().await;
        }
        if let Some(slowing) = &mut self.slowing {
            slowing.resume(Instant::now());
        }
        Ok(())
    }

    /// What is read next may not join what was taken.
    async fn begin_anew(&mut self, joint: Joint) -> Result<(), FollowError> {
        self.joint = joint;
        let mut lines = Vec::new();
        self.stdout.begin_anew(&mut lines);
        self.stderr.begin_anew(&mut lines);
        self.keep(lines, false).await
    }

    /// What a person reads where output was left out before a piece (`behaviour.md` §20, Heroku's code).
    fn gap_before(&mut self, nanos: i64) -> Option<LogLine> {
        if std::mem::replace(&mut self.joint, Joint::Sound) == Joint::Sound {
            return None;
        }
        if nanos <= self.newest {
            if let Some(slowing) = &mut self.slowing {
                slowing.calm(Instant::now());
            }
            return None;
        }
        let (since, until) = (moment(self.newest), moment(nanos));
        let (process_type, dyno) = (&self.container.process_type, &self.container.dyno);
        let text = format!(
            "Error L10 (output buffer overflow): lines of {process_type}.{dyno} between {since} and {until} were dropped: it writes faster than logs.dyno_rate allows."
        );
        Some(LogLine::new(self.parts.clock.now(), LogSource::Controller, text))
    }

    /// The process ended.
    async fn end(&mut self) -> Result<(), FollowError> {
        let mut lines = Vec::new();
        self.stdout.end(&mut lines);
        self.stderr.end(&mut lines);
        self.keep(lines, true).await
    }

    /// Writes lines to the ring, after a line on those that were dropped: when it is time for it, or at the end.
    async fn keep(&mut self, mut lines: Vec<LogLine>, last: bool) -> Result<(), FollowError> {
        let count = lines.len() as u64;
        let due = last || !lines.is_empty() || self.told.elapsed() >= TELL_EVERY;
        if self.dropped > 0 && due {
            lines.insert(0, self.overflow());
        }
        if lines.is_empty() {
            return Ok(());
        }
        let (ring, checkpoint) = (Arc::clone(&self.ring), self.checkpoint());
        let append = tokio::task::spawn_blocking(move || ring.append(&lines, Some(checkpoint)));
        match append.await.map_err(std::io::Error::other)? {
            Ok(()) => {
                self.dropped = 0;
                self.told = Instant::now();
            }
            Err(error) => {
                if self.dropped == 0 {
                    tracing::error!(app = %self.container.app, %error, "lines of a log could not be written");
                }
                self.dropped += count;
            }
        }
        Ok(())
    }

    /// What a person reads of dropped lines (`behaviour.md` §20, Heroku's text).
    fn overflow(&self) -> LogLine {
        let (count, dyno) = (self.dropped, &self.container.dyno);
        let process_type = &self.container.process_type;
        let text = format!(
            "Error L10 (output buffer overflow): {count} lines of {process_type}.{dyno} were dropped: they could not be written to the disk."
        );
        LogLine::new(self.parts.clock.now(), LogSource::Controller, text)
    }

    fn checkpoint(&self) -> Checkpoint {
        let pending = [self.stdout.pending_since(), self.stderr.pending_since()];
        let oldest = pending.into_iter().flatten().min().unwrap_or(self.newest).min(self.newest);
        Checkpoint {
            container: self.container.id.as_str().to_owned(),
            since: (oldest / NANOS_PER_SECOND - DISORDER_SECONDS).max(0),
            stdout: self.stdout.taken(),
            stderr: self.stderr.taken(),
        }
    }
}
