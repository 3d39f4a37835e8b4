//! Gives a dyno the limit of its CPU that is wanted, and says so in the log of its app.
//!
//! Invariant: a dyno is slowed only while its output is followed. Whoever ends the following waits until the limit is
//! taken away. Where that fails, the daemon is killed, or the engine breaks the output off, the next who follows the
//! dyno finds the limit.

use std::sync::Arc;

use tokio::sync::watch;

use super::collect::CollectorParts;
use super::ring::Ring;
use super::rings::blocking;
use super::slowing::Wanted;
use crate::engine::{CpuLimit, EngineError, ObservedContainer};
use crate::model::log::{LogLine, LogSource};

const MEGABYTE: f64 = 1e6;

/// The limit of one dyno's CPU.
pub(super) struct Brake<'a> {
    parts: &'a CollectorParts,
    container: &'a ObservedContainer,
    ring: Arc<Ring>,
    limit: Option<CpuLimit>,
    /// A change came to no end, so that the engine may have made it or not.
    unsure: bool,
    /// Nothing can be limited here.
    refused: bool,
    warned: bool,
}

impl<'a> Brake<'a> {
    /// Finds the limit that the dyno has.
    pub(super) async fn find(
        parts: &'a CollectorParts,
        container: &'a ObservedContainer,
        ring: Arc<Ring>,
    ) -> Result<Self, EngineError> {
        let limit = parts.engine.cpu_limit(&container.id).await?;
        Ok(Self { parts, container, ring, limit, unsure: false, refused: false, warned: false })
    }

    /// What the engine was found to limit the dyno to.
    pub(super) fn limit(&self) -> Option<CpuLimit> {
        self.limit
    }

    /// Sets what is wanted until nobody wants anything any more.
    pub(super) async fn run(&mut self, mut wanted: watch::Receiver<Wanted>) {
        loop {
            let now = *wanted.borrow_and_update();
            self.set(now).await;
            if wanted.changed().await.is_err() {
                return;
            }
        }
    }

    /// Takes the limit away.
    pub(super) async fn release(mut self) {
        self.set(Wanted { limit: None, rate: None }).await;
    }

    async fn set(&mut self, wanted: Wanted) {
        let is_so = wanted.limit == self.limit && !self.unsure;
        if is_so || (self.refused && wanted.limit.is_some()) {
            return;
        }
        match self.parts.engine.limit_cpu(&self.container.id, wanted.limit).await {
            Ok(_) => {
                let before = std::mem::replace(&mut self.limit, wanted.limit);
                self.unsure = false;
                self.tell(before, wanted).await;
            }
            Err(error) => {
                self.unsure |= error.is_transient();
                self.refused |= !error.is_transient();
                self.warn(&error);
            }
        }
    }

    fn warn(&mut self, error: &EngineError) {
        if !std::mem::replace(&mut self.warned, true) {
            let ObservedContainer { app, dyno, .. } = self.container;
            tracing::warn!(%app, %dyno, %error, "the CPU of a dyno that floods its log could not be limited, or its limit not taken away");
        }
    }

    /// Says in the log of the app that the dyno is slowed, or no more.
    async fn tell(&self, before: Option<CpuLimit>, wanted: Wanted) {
        if before.is_some() == wanted.limit.is_some() {
            return;
        }
        let ObservedContainer { process_type, dyno, .. } = self.container;
        let writes = self.writes(wanted.rate);
        let text = if wanted.limit.is_some() {
            format!("{process_type}.{dyno} is slowed: {writes}, and gets less CPU until it writes less.")
        } else {
            format!("{process_type}.{dyno} is slowed no more: {writes}.")
        };
        let line = LogLine::new(self.parts.clock.now(), LogSource::Controller, text);
        let ring = Arc::clone(&self.ring);
        if let Err(error) = blocking(move || ring.append(&[line], None)).await {
            tracing::error!(app = %self.container.app, %error, "that a dyno is slowed could not be written to its log");
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "it is shown with one decimal place")]
    fn writes(&self, rate: Option<f64>) -> String {
        let allowed = self.parts.dyno_rate as f64 / MEGABYTE;
        match rate {
            Some(rate) => {
                let rate = rate / MEGABYTE;
                format!("it writes {rate:.1} MB a second, of which logs.dyno_rate allows {allowed:.1} MB")
            }
            None => "its output is followed no more".to_owned(),
        }
    }
}
