//! Keeps a follower for each drain that there is.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;

use super::DrainFigures;
use super::follow::Follower;
use super::link::Links;
use super::progress::Progress;
use crate::clock::Clock;
use crate::logs::Rings;
use crate::model::event::Event;
use crate::model::ids::LogDrainId;
use crate::model::log_drain::LogDrain;
use crate::model::names::AppKey;
use crate::outbound::Outbound;
use crate::seal::Sealer;
use crate::store::{self, Store, StoreError};
use crate::tasks::Tasks;

/// The pause after the store failed.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// What drains need.
#[derive(Debug, Clone)]
pub struct DrainsParts {
    pub store: Store,
    pub sealer: Sealer,
    pub rings: Rings,
    pub outbound: Outbound,
    pub clock: Clock,
    pub figures: DrainFigures,
    /// Where the operator puts files of authorities (`?ca=name.pem`).
    pub cas: PathBuf,
}

type Followers = HashMap<LogDrainId, CancellationToken>;

impl DrainsParts {
    /// Follows all drains until the tasks stop; one that is made or removed is taken up or dropped at once.
    pub fn start(self, tasks: &Tasks) {
        let (events, stop, tasks_of_drains) = (self.store.subscribe(), tasks.stopping(), tasks.clone());
        tasks.spawn("log drains", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.keep(events, &tasks_of_drains) => {}
            }
        });
    }

    async fn keep(&self, mut events: Receiver<Arc<Event>>, tasks: &Tasks) {
        let mut followers = Followers::new();
        loop {
            if let Err(error) = self.bring_up_to_date(&mut followers, tasks).await {
                tracing::error!(error = &error as &dyn std::error::Error, "the log drains cannot be read");
                tokio::time::sleep(FAULT_PAUSE).await;
                continue;
            }
            store::events::wait_for(&mut events, concerns_drains).await;
        }
    }

    async fn bring_up_to_date(&self, followers: &mut Followers, tasks: &Tasks) -> Result<(), StoreError> {
        let wanted: HashSet<LogDrainId> = self
            .store
            .read(|c| Ok::<_, StoreError>(store::log_drains::list_ids_of_live_apps(c)?.into_iter().collect()))
            .await?;
        followers.retain(|id, stop| {
            let kept = wanted.contains(id);
            if !kept {
                stop.cancel();
            }
            kept
        });
        for id in wanted {
            followers.entry(id).or_insert_with(|| self.follow(id, tasks));
        }
        self.figures.running(followers.len());
        Ok(())
    }

    /// The drain and the key of its app; `None` when it was removed since.
    async fn load(&self, id: LogDrainId) -> Result<Option<(LogDrain, AppKey)>, StoreError> {
        let sealer = self.sealer.clone();
        self.store
            .read(move |c| {
                let Some(drain) = store::log_drains::find(c, &sealer, id)? else { return Ok(None) };
                let app = store::apps::find(c, drain.app_id)?;
                Ok(app.map(|app| (drain, app.key())))
            })
            .await
    }

    fn follow(&self, id: LogDrainId, tasks: &Tasks) -> CancellationToken {
        let (parts, stop) = (self.clone(), tasks.stopping().child_token());
        let token = stop.clone();
        // After a panic it goes on from what was written down last.
        tasks.supervise("log drain", move || {
            let (parts, stop) = (parts.clone(), stop.clone());
            async move { parts.run(id, stop).await }
        });
        token
    }

    async fn run(self, id: LogDrainId, stop: CancellationToken) {
        let (drain, host) = loop {
            match self.load(id).await {
                Ok(Some(found)) => break found,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(drain = %id, error = &error as &dyn std::error::Error, "a log drain cannot be read");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(FAULT_PAUSE) => {}
            }
        };
        let progress = Progress::new(self.store.clone(), id, drain.progress.clone());
        let links = Links::new(self.outbound, self.clock, self.cas);
        let follower =
            Follower { drain, host, rings: self.rings, links, figures: self.figures, progress, stop };
        follower.run().await;
    }
}

fn concerns_drains(event: &Event) -> bool {
    matches!(event, Event::LogDrainCreated { .. } | Event::LogDrainDeleted { .. } | Event::AppDeleted { .. })
}
