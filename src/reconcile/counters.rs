//! What the reconciler counts for `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Looks at apps since the daemon started. Clones share the counters.
#[derive(Debug, Clone, Default)]
pub struct LookCounters(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    workers: AtomicU64,
    looks: AtomicU64,
    failed: AtomicU64,
}

impl LookCounters {
    /// Apps that have a worker now.
    pub fn workers(&self) -> u64 {
        self.0.workers.load(Ordering::Relaxed)
    }

    /// Looks at an app, also those that failed.
    pub fn looks(&self) -> u64 {
        self.0.looks.load(Ordering::Relaxed)
    }

    /// Looks that failed, because the engine or the store was not there.
    pub fn failed(&self) -> u64 {
        self.0.failed.load(Ordering::Relaxed)
    }

    pub(super) fn worker_started(&self) {
        self.0.workers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn worker_ended(&self) {
        self.0.workers.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn looked(&self, succeeded: bool) {
        self.0.looks.fetch_add(1, Ordering::Relaxed);
        if !succeeded {
            self.0.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}
