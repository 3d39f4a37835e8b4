//! Finds the dynos whose output is to be followed, and keeps a follower for each.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;

use super::follow::{Ended, follow};
use super::rings::Rings;
use crate::clock::Clock;
use crate::engine::{ContainerEngine, ContainerId, ContainerState, EngineError, ObservedContainer};
use crate::model::ids::AppId;
use crate::model::time::Timestamp;
use crate::tasks::Tasks;

/// After which everything is looked at anew, whatever was told.
const PERIOD: Duration = Duration::from_secs(30);
/// Pause before the engine's events are followed again.
const FOLLOW_AGAIN: Duration = Duration::from_secs(1);

/// What the collector works with.
#[derive(Debug, Clone)]
pub struct CollectorParts {
    pub engine: Arc<dyn ContainerEngine>,
    pub rings: Rings,
    pub clock: Clock,
    /// Bytes of a dyno's output that are kept in a second; `logs.dyno_rate`.
    pub dyno_rate: u64,
    /// Whether a dyno that goes on to write more is slowed; `logs.slow_floods`.
    pub slow_floods: bool,
}

/// Follows the output of every dyno into the ring of its app. Clones share the followers.
#[derive(Debug, Clone)]
pub struct Collector(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    parts: CollectorParts,
    tasks: Tasks,
    followed: Mutex<HashMap<ContainerId, Followed>>,
}

/// How far a container is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Followed {
    Now,
    /// To the end of the process that started then.
    Through(Timestamp),
}

impl Collector {
    /// A collector that follows nothing yet.
    pub fn new(parts: CollectorParts, tasks: Tasks) -> Self {
        Self(Arc::new(Shared { parts, tasks, followed: Mutex::default() }))
    }

    /// Starts the task that finds dynos and follows them.
    pub fn start(&self) {
        let this = self.clone();
        self.0.tasks.supervise("logs-collect", move || this.clone().run());
    }

    async fn run(self) {
        let stop = self.0.tasks.stopping();
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                watched = self.watch() => {
                    if let Err(error) = watched {
                        tracing::warn!(%error, "dynos whose logs are to be followed could not be looked for");
                    }
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(FOLLOW_AGAIN) => {}
            }
        }
    }

    /// Looks at everything, then at what the engine tells of, until its events end.
    async fn watch(&self) -> Result<(), EngineError> {
        let mut events = self.0.parts.engine.events().await?;
        let mut period = tokio::time::interval(PERIOD);
        loop {
            tokio::select! {
                _ = period.tick() => self.look_at_all().await?,
                event = events.next() => match event {
                    Some(event) => self.look_at(event?.app).await?,
                    None => return Ok(()),
                },
            }
        }
    }

    async fn look_at_all(&self) -> Result<(), EngineError> {
        let containers = self.0.parts.engine.list(None).await?;
        let present: HashSet<&ContainerId> = containers.iter().map(|container| &container.id).collect();
        self.lock().retain(|id, followed| *followed == Followed::Now || present.contains(id));
        let apps: HashSet<AppId> = containers.iter().map(|container| container.app).collect();
        for app in apps {
            if let Ok(ring) = self.0.parts.rings.ring(app).await {
                ring.keep_checkpoints(|id| present.contains(&ContainerId::new(id)));
            }
        }
        for container in containers {
            self.ensure_follower(container);
        }
        Ok(())
    }

    async fn look_at(&self, app: AppId) -> Result<(), EngineError> {
        let containers = self.0.parts.engine.list(Some(app)).await?;
        for container in containers {
            self.ensure_follower(container);
        }
        Ok(())
    }

    /// Starts a follower for a container that has none, unless its last process was followed to the end.
    fn ensure_follower(&self, container: ObservedContainer) {
        if container.terminal.is_attached() {
            return;
        }
        let (started_at, runs) = match container.state {
            ContainerState::Running { started_at, .. } => (started_at, true),
            ContainerState::Exited { started_at: Some(started_at), .. } => (started_at, false),
            ContainerState::Exited { started_at: None, .. }
            | ContainerState::Created
            | ContainerState::Dead => return,
        };
        let mut followed = self.lock();
        match followed.get(&container.id) {
            Some(Followed::Now) => return,
            Some(Followed::Through(end)) if *end == started_at && !runs => return,
            Some(Followed::Through(_)) | None => {}
        }
        followed.insert(container.id.clone(), Followed::Now);
        drop(followed);
        let this = self.clone();
        self.0.tasks.spawn("logs-follow", async move { this.follow_through(&container, started_at).await });
    }

    /// Follows a container to the end of its process, then looks whether it was started again meanwhile.
    async fn follow_through(&self, container: &ObservedContainer, started_at: Timestamp) {
        let stop = self.0.tasks.stopping();
        let mut mark = Mark { collector: self.clone(), container: container.id.clone(), reached: None };
        let followed = follow(&self.0.parts, container, &stop).await;
        if let Ok(Ended::Whole) = followed {
            mark.reached = Some(Followed::Through(started_at));
        }
        drop(mark);
        // What goes wrong here is made up for by the next look at everything.
        if let Err(error) = followed {
            tracing::debug!(dyno = %container.dyno, %error, "a dyno's output is not followed any more");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.look_again(container.app) => {}
        }
    }

    async fn look_again(&self, app: AppId) {
        tokio::time::sleep(FOLLOW_AGAIN).await;
        if let Err(error) = self.look_at(app).await {
            tracing::debug!(%app, %error, "an ended dyno could not be looked at");
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Followed>> {
        self.0.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Notes how far a container was followed when its follower ends, also by a panic: the next look then goes on.
struct Mark {
    collector: Collector,
    container: ContainerId,
    reached: Option<Followed>,
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut followed = self.collector.lock();
        match self.reached {
            Some(reached) => followed.insert(self.container.clone(), reached),
            None => followed.remove(&self.container),
        };
    }
}
