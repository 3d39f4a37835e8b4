//! How far a drain got and how it does, written down when that matters.

use std::time::Duration;

use tokio::time::Instant;

use super::ledger::Unsettled;
use crate::model::ids::LogDrainId;
use crate::model::log_drain::{DrainProgress, DrainState, Loss};
use crate::model::principal::Principal;
use crate::store::{self, Store, StoreError};

/// How long the position may be newer than what is written down.
const SAVE_PERIOD: Duration = Duration::from_secs(5);

/// The progress of one drain. A change of state is written at once, the position every few seconds.
#[derive(Debug)]
pub(super) struct Progress {
    store: Store,
    drain: LogDrainId,
    now: DrainProgress,
    saved: DrainProgress,
    saved_at: Instant,
}

impl Progress {
    pub(super) fn new(store: Store, drain: LogDrainId, saved: DrainProgress) -> Self {
        Self { store, drain, now: saved.clone(), saved, saved_at: Instant::now() }
    }

    /// Where in the log it goes on.
    pub(super) fn position(&self) -> Option<u64> {
        self.now.position
    }

    pub(super) fn set_position(&mut self, position: u64) {
        self.now.position = Some(position);
    }

    /// What the stream is to be told of.
    pub(super) fn unreported(&self) -> Option<Loss> {
        self.now.unreported
    }

    /// The stream was told.
    pub(super) fn reported(&mut self) {
        self.now.unreported = None;
    }

    /// Lines were lost, and telling of earlier ones may have been in vain.
    pub(super) fn lose(&mut self, lost: Unsettled) {
        self.now.dropped = self.now.dropped.saturating_add(lost.lines);
        self.now.unreported = Some(lost.loss.and(self.now.unreported));
    }

    /// Notes how the drain does.
    pub(super) async fn set_state(&mut self, state: DrainState, description: String) {
        self.now.state = state;
        self.now.description = description;
        if (self.now.state, &self.now.description) != (self.saved.state, &self.saved.description) {
            self.save().await;
        }
    }

    /// Waits until something is to be saved; for good when nothing changed. Cancel-safe.
    pub(super) async fn due(&self) {
        if self.now == self.saved {
            return std::future::pending().await;
        }
        tokio::time::sleep_until(self.saved_at + SAVE_PERIOD).await;
    }

    /// Whether that wait would be over.
    pub(super) fn is_due(&self) -> bool {
        self.now != self.saved && self.saved_at.elapsed() >= SAVE_PERIOD
    }

    /// Writes everything down. When it cannot be, it is tried again later.
    pub(super) async fn save(&mut self) {
        if self.now == self.saved {
            return;
        }
        let (drain, progress) = (self.drain, self.now.clone());
        let written = self
            .store
            .write::<(), StoreError, _>(&Principal::daemon(), move |tx| {
                store::log_drains::set_progress(tx, drain, &progress)
            })
            .await;
        self.saved_at = Instant::now();
        match written {
            Ok(()) => self.saved = self.now.clone(),
            Err(error) => tracing::warn!(
                drain = %self.drain,
                error = &error as &dyn std::error::Error,
                "how far a log drain got is not written down"
            ),
        }
    }
}
