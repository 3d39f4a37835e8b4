//! Desired to actual: one worker an app, woken by commits, by the engine and by time.
//!
//! Invariants: an activation carries no input, each look reads everything anew; what is not labelled ours is
//! never touched; a failing app delays only itself.

mod actions;
mod counters;
pub mod desired;
pub mod filters;
pub mod issuer_keys;
mod journal;
pub mod kept_keys;
pub mod once;
mod operations;
pub mod plan;
mod probe;
mod progress;
mod publisher;
pub mod routes;
mod run_actions;
mod runs;
mod schedules;
pub mod sites;
mod status;
mod worker;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

pub use self::counters::LookCounters;
use self::plan::Limits;
use self::routes::RouteBook;
use self::worker::Worker;
use crate::clock::Clock;
use crate::engine::{ContainerEngine, EngineError, ObservedContainer};
use crate::ids::Ids;
use crate::model::catalogue::Catalogue;
use crate::model::ids::AppId;
use crate::seal::Sealer;
use crate::store::{self, Store, StoreError};
use crate::tasks::{Activator, Tasks};

/// Missed wakes cost at most this.
const PERIOD: Duration = Duration::from_secs(15);
/// Between two looks for nameless images that builds left.
const PRUNE_PERIOD: Duration = Duration::from_hours(1);
/// Dynos that are launched at the same time, over all apps.
const LAUNCHES_AT_ONCE: usize = 8;
/// Apps that are loaded and listed at the same time: a start with a thousand apps would else ask the engine a
/// thousand questions at once.
const LOOKS_AT_ONCE: usize = 16;
/// Pause before the engine's events are followed again.
const FOLLOW_AGAIN: Duration = Duration::from_millis(500);

/// What every worker shares.
#[derive(Debug)]
pub struct Context {
    pub store: Store,
    pub sealer: Sealer,
    pub engine: Arc<dyn ContainerEngine>,
    pub routes: Arc<RouteBook>,
    pub catalogue: Arc<ArcSwap<Catalogue>>,
    pub clock: Clock,
    pub ids: Ids,
    pub timing: Timing,
    pub launches: Semaphore,
    /// For loading an app and listing its containers.
    pub looks: Semaphore,
    pub counters: LookCounters,
    /// Cancelled once nobody has requests open on dynos that this daemon does not count: until then the process
    /// before it (`crate::upgrade`) may have.
    pub all_counted: CancellationToken,
}

/// The limits that an operator can set.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub limits: Limits,
    /// Between SIGTERM and SIGKILL.
    pub stop_grace: Duration,
    /// How long a dyno that was taken out keeps its open requests.
    pub drain_limit: Duration,
}

/// Why the reconciler could not look around.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps a worker for each app.
#[derive(Debug, Clone)]
pub struct Reconciler(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    context: Arc<Context>,
    tasks: Tasks,
    workers: Mutex<HashMap<AppId, Activator>>,
    /// What the last period saw of each app's containers.
    seen: Mutex<HashMap<AppId, Vec<ObservedContainer>>>,
}

impl Context {
    /// The permits for [`Context::launches`].
    pub fn launch_permits() -> Semaphore {
        Semaphore::new(LAUNCHES_AT_ONCE)
    }

    /// The permits for [`Context::looks`].
    pub fn look_permits() -> Semaphore {
        Semaphore::new(LOOKS_AT_ONCE)
    }
}

impl Reconciler {
    /// A reconciler without workers yet.
    pub fn new(context: Arc<Context>, tasks: Tasks) -> Self {
        let shared = Shared { context, tasks, workers: Mutex::default(), seen: Mutex::default() };
        Self(Arc::new(shared))
    }

    /// Looks at everything once and starts the tasks that go on doing so. Returns when each app was looked
    /// at, or after `limit`: from then on the routing table tells the truth.
    pub async fn start(&self, limit: Duration) -> Result<(), ReconcileError> {
        let events = self.0.context.store.subscribe();
        let looked = self.look_around().await?;
        let all = async {
            for looked in looked {
                // An error means that the worker ended, which is a look too.
                let _ended = looked.await;
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            tracing::warn!("not every app was looked at yet; serving goes on");
        }
        let this = self.clone();
        self.0.tasks.spawn("reconcile-events", this.follow_store(events));
        let this = self.clone();
        self.0.tasks.supervise("reconcile-engine", move || this.clone().follow_engine());
        let this = self.clone();
        self.0.tasks.supervise("reconcile-period", move || this.clone().look_periodically());
        let this = self.clone();
        self.0.tasks.supervise("reconcile-images", move || this.clone().prune_periodically());
        Ok(())
    }

    /// Makes sure that each app has a worker, and removes what belongs to no app. Returns the first looks
    /// of the workers it started.
    async fn look_around(&self) -> Result<Vec<oneshot::Receiver<()>>, ReconcileError> {
        let context = &self.0.context;
        let containers = context.engine.list(None).await?;
        let mut apps: Vec<AppId> = context
            .store
            .read(|c| Ok::<_, StoreError>(store::apps::list(c)?.iter().map(|app| app.id).collect()))
            .await?;
        apps.extend(context.store.read(store::apps::list_unpurged).await?);
        let (ours, orphans): (Vec<_>, Vec<_>) = containers.into_iter().partition(|c| apps.contains(&c.app));
        for orphan in orphans {
            tracing::info!(dyno = %orphan.dyno, "removing a container of an app that does not exist");
            context.engine.remove(&orphan.id).await?;
        }
        let looked = apps.iter().filter_map(|app| self.ensure_worker(*app)).collect();
        self.wake_changed(ours);
        Ok(looked)
    }

    /// Wakes the workers whose containers are not as the last period saw them.
    fn wake_changed(&self, containers: Vec<ObservedContainer>) {
        let mut now: HashMap<AppId, Vec<ObservedContainer>> = HashMap::new();
        for container in containers {
            now.entry(container.app).or_default().push(container);
        }
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed: Vec<AppId> =
            now.keys().chain(seen.keys()).filter(|app| now.get(app) != seen.get(app)).copied().collect();
        *seen = now;
        drop(seen);
        for app in changed {
            self.wake(app);
        }
    }

    /// Starts the app's worker when there is none; returns the receiver of its first look then.
    fn ensure_worker(&self, app: AppId) -> Option<oneshot::Receiver<()>> {
        let mut workers = self.0.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if workers.contains_key(&app) {
            return None;
        }
        let activator = Activator::new();
        workers.insert(app, activator.clone());
        drop(workers);
        let (looked, first_look) = oneshot::channel();
        let worker = Box::new(Worker::new(app, Arc::clone(&self.0.context), activator, Some(looked)));
        let (this, stop) = (self.clone(), self.0.tasks.stopping());
        self.0.tasks.spawn("reconcile-app", async move {
            // Forgotten when it ends, also by a panic, so that the next look around starts it again.
            this.0.context.counters.worker_started();
            let _forget = Forget { reconciler: this, app };
            worker.run(stop).await;
        });
        Some(first_look)
    }

    fn wake(&self, app: AppId) {
        let workers = self.0.workers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(activator) = workers.get(&app) {
            activator.activate();
        }
    }

    fn wake_all(&self) {
        let workers = self.0.workers.lock().unwrap_or_else(PoisonError::into_inner);
        for activator in workers.values() {
            activator.activate();
        }
    }

    async fn follow_store(
        self,
        mut events: tokio::sync::broadcast::Receiver<Arc<crate::model::event::Event>>,
    ) {
        let stop = self.0.tasks.stopping();
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.recv() => event,
            };
            match event {
                Ok(event) => {
                    if let Some(app) = event.app() {
                        self.ensure_worker(app);
                        self.wake(app);
                    }
                }
                Err(RecvError::Lagged(_)) => self.wake_all(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn follow_engine(self) {
        let stop = self.0.tasks.stopping();
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.follow_engine_once() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(FOLLOW_AGAIN) => {}
            }
        }
    }

    async fn follow_engine_once(&self) {
        let Ok(mut events) = self.0.context.engine.events().await else { return };
        // What happened before the stream began is seen by looking at everything.
        self.wake_all();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.wake(event.app),
                Err(error) => {
                    tracing::warn!(%error, "the engine's events ended; following them again");
                    return;
                }
            }
        }
    }

    async fn look_periodically(self) {
        let stop = self.0.tasks.stopping();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PERIOD) => {}
            }
            if let Err(error) = self.look_around().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not look around");
            }
        }
    }

    async fn prune_periodically(self) {
        let stop = self.0.tasks.stopping();
        loop {
            match self.0.context.engine.prune_images().await {
                Ok(0) => {}
                Ok(bytes) => tracing::info!(bytes, "removed images that builds left"),
                Err(error) => tracing::warn!(%error, "images that builds left were not removed"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(PRUNE_PERIOD) => {}
            }
        }
    }
}

/// Takes a worker out of the list when it ends.
struct Forget {
    reconciler: Reconciler,
    app: AppId,
}

impl Drop for Forget {
    fn drop(&mut self) {
        let mut workers = self.reconciler.0.workers.lock().unwrap_or_else(PoisonError::into_inner);
        workers.remove(&self.app);
        drop(workers);
        self.reconciler.0.context.counters.worker_ended();
    }
}
