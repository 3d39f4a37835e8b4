//! Background tasks: the only place that spawns, so that none is detached and all end at shutdown.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Spawns tasks, tells them to stop, and waits for them. Clones share the same set.
#[derive(Debug, Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    panics: Arc<AtomicU64>,
}

impl Tasks {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a future until it ends; a panic is logged with the task's name and ends only this task.
    ///
    /// The future must watch [`Tasks::stopping`] at its waits: shutdown waits for it.
    pub fn spawn<F>(&self, name: &'static str, future: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let panics = Arc::clone(&self.panics);
        // Not an async block: that keeps a second room for the future that it was given, for as long as it runs.
        drop(self.tracker.spawn(AssertUnwindSafe(future).catch_unwind().map(move |ended| {
            if ended.is_err() {
                panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(task = name, "the task panicked");
            }
        })));
    }

    /// Runs a task that has no reason to end: when it panics it is started again, with a pause that
    /// doubles from one second to one minute.
    pub fn supervise<M, F>(&self, name: &'static str, mut make: M)
    where
        M: FnMut() -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, panics) = (self.stopping(), Arc::clone(&self.panics));
        drop(self.tracker.spawn(async move {
            let mut pause = Duration::from_secs(1);
            while AssertUnwindSafe(make()).catch_unwind().await.is_err() {
                panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    task = name,
                    pause_s = pause.as_secs(),
                    "the task panicked and is started again"
                );
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                pause = (pause * 2).min(Duration::from_mins(1));
            }
        }));
    }

    /// A token that is cancelled when the tasks shall stop.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// How many tasks run.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// How often a task panicked.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// Tells every task to stop and waits for them, at most `limit`. Returns whether all ended.
    pub async fn stop(&self, limit: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(limit, self.tracker.wait()).await.is_ok()
    }
}

/// Wakes one task. Wakes that come while it works are folded into one; a wake carries no input, so the
/// task looks at the whole state each time.
#[derive(Debug, Clone, Default)]
pub struct Activator(Arc<Notify>);

impl Activator {
    /// An activator that nobody waits on yet; a wake before the first wait is kept.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes the task, now or at its next wait.
    pub fn activate(&self) {
        self.0.notify_one();
    }

    /// Waits for a wake. Cancel-safe.
    pub async fn activated(&self) {
        self.0.notified().await;
    }
}
