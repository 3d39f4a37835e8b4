//! The builder: takes queued builds from the store, fairly between apps, and ends those that a user stopped.
//!
//! Invariants: one build of an app at a time; what runs is decided by the store alone, so that a build which
//! a crash interrupted is found again like a new one.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::archive::ArchiveLimits;
use super::log::BuildLogs;
use super::source::SourceFolder;
use super::{retention, run};
use crate::clock::Clock;
use crate::config::ChecksumRule;
use crate::engine::ContainerEngine;
use crate::ids::Ids;
use crate::logs::Rings;
use crate::model::build::Build;
use crate::model::catalogue::Catalogue;
use crate::model::event::Event;
use crate::model::ids::{AppId, BuildId};
use crate::outbound::Outbound;
use crate::seal::Sealer;
use crate::store::{self, Store, StoreError};
use crate::tasks::{Activator, Tasks};

/// A missed event costs at most this.
const PERIOD: Duration = Duration::from_secs(15);

/// What the builder works with.
#[derive(Debug)]
pub struct BuilderParts {
    pub store: Store,
    pub sealer: Sealer,
    pub engine: Arc<dyn ContainerEngine>,
    pub outbound: Outbound,
    pub sources: SourceFolder,
    pub logs: BuildLogs,
    /// The logs of apps, which show their builds too.
    pub rings: Rings,
    /// A folder of its own; it is emptied at the start.
    pub work: PathBuf,
    pub clock: Clock,
    pub ids: Ids,
    pub catalogue: Arc<ArcSwap<Catalogue>>,
    pub limits: BuildLimits,
}

/// The limits that an operator can set.
#[derive(Debug, Clone)]
pub struct BuildLimits {
    /// Builds that run at once, over all apps.
    pub concurrency: usize,
    /// After which a running build is ended as failed.
    pub timeout: Duration,
    pub checksum: ChecksumRule,
    /// Bytes of an archive that is fetched.
    pub max_archive: u64,
    pub archive: ArchiveLimits,
}

/// Runs the builds of this installation. Clones share the queue.
#[derive(Debug, Clone)]
pub struct Builder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    parts: Arc<BuilderParts>,
    tasks: Tasks,
    wake: Activator,
    queue: Mutex<Queue>,
}

/// What runs, and who had a turn when.
#[derive(Debug, Default)]
struct Queue {
    active: HashMap<BuildId, (AppId, CancellationToken)>,
    turns: HashMap<AppId, u64>,
    turn: u64,
}

impl Builder {
    /// Tidies up what an earlier run left, then takes builds until the tasks are stopped. Call it before the
    /// API takes uploads. Builds that were interrupted begin again, at most once.
    pub async fn start(parts: BuilderParts, tasks: &Tasks) -> Result<Self, StoreError> {
        let parts = Arc::new(parts);
        let events = parts.store.subscribe();
        retention::tidy(&parts).await?;
        let shared = Shared { parts, tasks: tasks.clone(), wake: Activator::new(), queue: Mutex::default() };
        let builder = Self(Arc::new(shared));
        let this = builder.clone();
        tasks.spawn("builds-events", this.follow(events));
        let this = builder.clone();
        tasks.supervise("builds-queue", move || this.clone().take_turns());
        Ok(builder)
    }

    async fn follow(self, mut events: Receiver<Arc<Event>>) {
        let stop = self.0.tasks.stopping();
        loop {
            let event = tokio::select! {
                () = stop.cancelled() => return,
                event = events.recv() => event,
            };
            let look = match event {
                Ok(event) => matches!(
                    *event,
                    Event::BuildCreated { .. } | Event::BuildStopped { .. } | Event::AppDeleted { .. }
                ),
                Err(RecvError::Lagged(_)) => true,
                Err(RecvError::Closed) => return,
            };
            if look {
                self.0.wake.activate();
            }
        }
    }

    async fn take_turns(self) {
        let stop = self.0.tasks.stopping();
        while !stop.is_cancelled() {
            if let Err(error) = self.look().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "the builds could not be read");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.wake.activated() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    }

    /// Ends what shall not run any more and starts what may run now.
    async fn look(&self) -> Result<(), StoreError> {
        let sealer = self.0.parts.sealer.clone();
        let unfinished = self.0.parts.store.read(move |c| store::builds::list_unfinished(c, &sealer)).await?;
        let chosen = {
            let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.end_others(&unfinished);
            queue.choose(unfinished, self.0.parts.limits.concurrency)
        };
        for (build, stop) in chosen {
            self.begin(build, stop);
        }
        Ok(())
    }

    fn begin(&self, build: Build, stop: CancellationToken) {
        let (this, shutdown) = (self.clone(), self.0.tasks.stopping());
        self.0.tasks.spawn("build", async move {
            // Forgotten when it ends, also by a panic, so that the queue goes on.
            let _forget = Forget { builder: this.clone(), build: build.id };
            run::run(&this.0.parts, build, run::Signals { stop, shutdown }).await;
        });
    }
}

impl Queue {
    /// Cancels the builds that are not unfinished any more: stopped by a user, or their app is deleted.
    fn end_others(&mut self, unfinished: &[Build]) {
        let present: HashSet<BuildId> = unfinished.iter().map(|build| build.id).collect();
        for (id, (_, stop)) in &self.active {
            if !present.contains(id) {
                stop.cancel();
            }
        }
    }

    /// Chooses what begins now and notes it as active: the app whose turn was longest ago comes first, and
    /// of an app the oldest build.
    fn choose(&mut self, unfinished: Vec<Build>, concurrency: usize) -> Vec<(Build, CancellationToken)> {
        self.turns.retain(|app, _| unfinished.iter().any(|build| build.app_id == *app));
        let mut waiting: Vec<Build> = Vec::new();
        for build in unfinished {
            let busy = self.active.values().any(|(app, _)| *app == build.app_id)
                || waiting.iter().any(|earlier| earlier.app_id == build.app_id);
            if !busy {
                waiting.push(build);
            }
        }
        // The sort is stable: among apps without a turn the oldest build decides.
        waiting.sort_by_key(|build| self.turns.get(&build.app_id).copied().unwrap_or(0));
        waiting.truncate(concurrency.saturating_sub(self.active.len()));
        let begin = |build: Build| {
            self.turn += 1;
            self.turns.insert(build.app_id, self.turn);
            let stop = CancellationToken::new();
            self.active.insert(build.id, (build.app_id, stop.clone()));
            (build, stop)
        };
        waiting.into_iter().map(begin).collect()
    }
}

/// Takes a build out of the queue when its task ends.
struct Forget {
    builder: Builder,
    build: BuildId,
}

impl Drop for Forget {
    fn drop(&mut self) {
        let shared = &self.builder.0;
        shared.queue.lock().unwrap_or_else(PoisonError::into_inner).active.remove(&self.build);
        shared.wake.activate();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::build::{BuildSource, BuildState, Checksum, Commit};
    use crate::model::names::UserName;
    use crate::model::time::Timestamp;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn build(id: u128, app: u128) -> Build {
        Build {
            id: BuildId::new(Uuid::from_u128(id)),
            app_id: AppId::new(Uuid::from_u128(app)),
            number: 1,
            state: BuildState::Queued,
            source: BuildSource::Upload,
            checksum: Checksum::default(),
            commit: Commit::default(),
            created_by: UserName::from_stored("user".to_owned()),
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
        }
    }

    fn chosen(queue: &mut Queue, unfinished: &[Build], concurrency: usize) -> Vec<u128> {
        queue
            .choose(unfinished.to_vec(), concurrency)
            .iter()
            .map(|(build, _)| build.id.uuid().as_u128())
            .collect()
    }

    #[test]
    fn apps_take_turns_and_have_one_build_each() {
        let mut queue = Queue::default();
        let mut all = vec![build(1, 1), build(2, 1), build(3, 1), build(4, 2), build(5, 3)];
        assert_eq!(chosen(&mut queue, &all, 2), [1, 4]);
        assert!(chosen(&mut queue, &all, 2).is_empty());
        queue.active.remove(&all.remove(0).id);
        assert_eq!(chosen(&mut queue, &all, 2), [5]);
        queue.active.remove(&all.remove(2).id);
        assert_eq!(chosen(&mut queue, &all, 2), [2]);
    }

    #[test]
    fn a_build_that_is_finished_in_the_store_is_cancelled() {
        let mut queue = Queue::default();
        let running = queue.choose(vec![build(1, 1), build(2, 2)], 2);
        queue.end_others(&[build(2, 2)]);
        let cancelled: Vec<bool> = running.iter().map(|(_, stop)| stop.is_cancelled()).collect();
        assert_eq!(cancelled, [true, false]);
    }

    proptest! {
        #[test]
        fn every_build_gets_its_turn(apps in proptest::collection::vec(1_u128..5, 1..30), concurrency in 1_usize..4) {
            let mut queue = Queue::default();
            let mut waiting: Vec<Build> =
                apps.iter().zip(1..).map(|(app, id)| build(id, *app)).collect();
            let mut rounds = 0;
            while !waiting.is_empty() {
                rounds += 1;
                prop_assert!(rounds <= apps.len());
                queue.choose(waiting.clone(), concurrency);
                prop_assert!(!queue.active.is_empty() && queue.active.len() <= concurrency);
                let apps: HashSet<AppId> = queue.active.values().map(|(app, _)| *app).collect();
                prop_assert_eq!(apps.len(), queue.active.len());
                waiting.retain(|build| !queue.active.contains_key(&build.id));
                queue.active.clear();
            }
        }
    }
}
