//! How long an exchange with a dyno may stand still: until its answer begins, and between two bytes afterwards.
//!
//! There is one timer for each upstream connection. It stays armed from one wait to the next, because setting it anew
//! for each would cost more, so it may go off early; it never goes off late.
//!
//! Invariant: a wait ends with an error only after nothing has moved for its whole limit.

use std::fmt;
use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::body::Progress;
use super::rescue::ProxyError;

/// The limits of one exchange.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// From the last byte of the request to the first of the answer.
    pub(super) first_byte: Duration,
    /// Between two bytes of the request's body.
    pub(super) sending: Duration,
    /// Between two bytes of the answer's body, or of a tunnel whoever sends them.
    pub(super) rolling: Duration,
}

/// Watches over the exchanges of one connection.
pub(super) struct Pace {
    timer: Pin<Box<Sleep>>,
    terms: Terms,
    /// The request's body, whose progress starts the time anew.
    progress: Option<Progress>,
    /// When the present wait began.
    since: Instant,
    /// Something moved since then.
    moved: bool,
}

impl Pace {
    /// A pace whose limits come with its first exchange.
    pub(super) fn new() -> Self {
        let terms = Terms { first_byte: Duration::ZERO, sending: Duration::ZERO, rolling: Duration::ZERO };
        let timer = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self { timer, terms, progress: None, since: Instant::now(), moved: false }
    }

    /// Begins to wait for an answer.
    pub(super) fn begin(&mut self, now: Instant, terms: Terms, progress: Option<Progress>) {
        let shortest =
            if progress.is_some() { terms.first_byte.min(terms.sending) } else { terms.first_byte };
        (self.terms, self.progress, self.since, self.moved) = (terms, progress, now, true);
        self.arm_within(shortest);
    }

    /// Why the answer is waited for no longer. To be asked while it has not begun.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Option<ProxyError> {
        while self.timer.as_mut().poll(cx).is_ready() {
            let from_client = self.progress.as_ref().is_some_and(Progress::is_awaited);
            let limit = if from_client { self.terms.sending } else { self.terms.first_byte };
            let left = limit.saturating_sub(self.last_move().elapsed());
            if left.is_zero() {
                return Some(if from_client { ProxyError::ClientIdle } else { ProxyError::FirstByteTimeout });
            }
            self.timer.as_mut().reset(tokio::time::Instant::now() + left);
        }
        None
    }

    /// The limit between two bytes.
    pub(super) fn rolling(&self) -> Duration {
        self.terms.rolling
    }

    /// Notes a piece of the answer.
    pub(super) fn note_move(&mut self) {
        self.moved = true;
    }

    /// Whether nothing has moved for too long. To be asked while a piece of the answer is waited for.
    pub(super) fn poll_body(&mut self, cx: &mut Context<'_>) -> bool {
        if self.moved {
            (self.since, self.moved) = (Instant::now(), false);
            self.arm_within(self.terms.rolling);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            let left = self.terms.rolling.saturating_sub(self.last_move().elapsed());
            if left.is_zero() {
                return true;
            }
            self.timer.as_mut().reset(tokio::time::Instant::now() + left);
        }
        false
    }

    /// The progress may be from before the wait, when the body waited for a connection.
    fn last_move(&self) -> Instant {
        self.progress.as_ref().map_or(self.since, |progress| progress.last().max(self.since))
    }

    /// Lets the timer go off `limit` after `since` at the latest.
    fn arm_within(&mut self, limit: Duration) {
        let latest = tokio::time::Instant::from_std(self.since) + limit;
        if self.timer.deadline() > latest {
            self.timer.as_mut().reset(latest);
        }
    }
}

impl fmt::Debug for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pace").field("terms", &self.terms).finish_non_exhaustive()
    }
}
