//! What all drains together did since the daemon started.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of the drains. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct DrainFigures(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    sent: AtomicU64,
    dropped: AtomicU64,
    connections: AtomicU64,
    failures: AtomicU64,
    running: AtomicU64,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainTotals {
    /// Lines handed over.
    pub sent: u64,
    /// Lines lost, or not known to have arrived.
    pub dropped: u64,
    pub connections: u64,
    /// Connections and attempts that ended badly.
    pub failures: u64,
    /// Drains that are followed now.
    pub running: u64,
}

impl DrainFigures {
    /// Reads them.
    pub fn totals(&self) -> DrainTotals {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { sent, dropped, connections, failures, running } = &*self.0;
        DrainTotals {
            sent: read(sent),
            dropped: read(dropped),
            connections: read(connections),
            failures: read(failures),
            running: read(running),
        }
    }

    pub(super) fn sent(&self, lines: u64) {
        self.0.sent.fetch_add(lines, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self, lines: u64) {
        self.0.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    pub(super) fn connected(&self) {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.0.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn running(&self, drains: usize) {
        self.0.running.store(drains as u64, Ordering::Relaxed);
    }
}
