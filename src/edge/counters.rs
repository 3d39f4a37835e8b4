//! What the edge counts: one set of counters for each worker, added up when somebody asks.
//!
//! Invariant: a counter is written by its own worker only, so counting costs no traffic between the cores.

use std::sync::atomic::{AtomicU64, Ordering};

/// Totals since the edge started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EdgeCounters {
    /// Client connections that were accepted.
    pub connections: u64,
    /// Client connections that are open.
    pub open_connections: u64,
    /// Client connections that went from one worker to another.
    pub handed_over: u64,
    /// TLS handshakes that failed or took too long.
    pub failed_handshakes: u64,
    /// Requests that came in.
    pub requests: u64,
    /// Requests that the edge answered itself because it could not forward them.
    pub rescued: u64,
    /// Connections made to upstreams.
    pub upstream_connections: u64,
    /// Requests that found their pooled connection closed and went out on a fresh one.
    pub stale_connections: u64,
}

/// The counters of one worker.
#[derive(Debug, Default)]
pub(super) struct WorkerCounters {
    pub(super) connections: Counter,
    /// Those that went to another worker are closed here, and taken over there.
    pub(super) closed_connections: Counter,
    pub(super) taken_over: Counter,
    pub(super) failed_handshakes: Counter,
    pub(super) requests: Counter,
    pub(super) rescued: Counter,
    pub(super) upstream_connections: Counter,
    pub(super) stale_connections: Counter,
}

/// A number that one thread raises and any thread reads.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl EdgeCounters {
    pub(super) fn add(&mut self, worker: &WorkerCounters) {
        // Closed is read first: a connection that closes in between is then still counted as open, never below.
        let closed = worker.closed_connections.get();
        let connections = worker.connections.get();
        self.connections += connections;
        let taken_over = worker.taken_over.get();
        self.open_connections += (connections + taken_over).saturating_sub(closed);
        self.handed_over += taken_over;
        self.failed_handshakes += worker.failed_handshakes.get();
        self.requests += worker.requests.get();
        self.rescued += worker.rescued.get();
        self.upstream_connections += worker.upstream_connections.get();
        self.stale_connections += worker.stale_connections.get();
    }
}

impl Counter {
    /// Adds one. A plain load and store: there is one writer.
    pub(super) fn increment(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
