//! Whether a dyno takes connections: one that refused is passed over by all workers until a probe gets through.
//!
//! Invariant: at most one task probes a dyno that is down, and it ends when the dyno is up, retired or gone.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::table::Upstream;
use super::worker::Worker;

/// Before the first probe; doubled from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long a probe waits for its connection.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// What the last attempts to connect to a dyno have shown, shared by all workers.
#[derive(Debug, Default)]
pub(super) struct Health(AtomicBool);

impl Health {
    /// Whether the last attempt failed.
    pub(super) fn is_down(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes an attempt that failed; tells whether it is the first.
    pub(super) fn went_down(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }

    /// Notes a connection.
    pub(super) fn came_up(&self) {
        if self.is_down() {
            self.0.store(false, Ordering::Relaxed);
        }
    }
}

/// Takes a dyno that refused a connection out of the choice, and begins to probe it.
pub(super) fn refused(worker: &Rc<Worker>, upstream: &Arc<Upstream>) {
    if upstream.health().went_down() {
        tracing::info!(dyno = %upstream.dyno, "a dyno refuses connections and is passed over");
        worker.clients.spawn_local(probe_back_in(Rc::clone(worker), Arc::downgrade(upstream)));
    }
}

async fn probe_back_in(worker: Rc<Worker>, upstream: Weak<Upstream>) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::select! {
            () = worker.stop.token.cancelled() => return,
            () = sleep(pause) => {}
        }
        let Some(upstream) = upstream.upgrade().filter(|upstream| !upstream.is_retired()) else { return };
        if !upstream.health().is_down() {
            return;
        }
        if let Ok(Ok(_)) = timeout(PROBE_LIMIT, TcpStream::connect(upstream.address)).await {
            upstream.health().came_up();
            tracing::info!(dyno = %upstream.dyno, "a dyno takes connections again");
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
