//! Keeps a follower for each drain that there is, and a ring for each site with a drain.

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
use crate::model::ids::{LogDrainId, SiteId};
use crate::model::log::LogOwner;
use crate::model::log_drain::LogDrain;
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

/// What is there for the drains.
#[derive(Debug, Default)]
struct Kept {
    followers: HashMap<LogDrainId, CancellationToken>,
    /// Those that have a ring.
    sites: HashSet<SiteId>,
}

impl DrainsParts {
    /// Follows all drains until the tasks stop; one that is made or removed is taken up or dropped at once. When this
    /// returns, the logs of all sites with drains are kept.
    pub async fn start(self, tasks: &Tasks) -> Result<(), StoreError> {
        let (events, stop, tasks_of_drains) = (self.store.subscribe(), tasks.stopping(), tasks.clone());
        let mut kept = Kept::default();
        self.bring_up_to_date(&mut kept, tasks).await?;
        tasks.spawn("log drains", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.keep(kept, events, &tasks_of_drains) => {}
            }
        });
        Ok(())
    }

    async fn keep(&self, mut kept: Kept, mut events: Receiver<Arc<Event>>, tasks: &Tasks) {
        loop {
            store::events::wait_for(&mut events, concerns_drains).await;
            while let Err(error) = self.bring_up_to_date(&mut kept, tasks).await {
                tracing::error!(error = &error as &dyn std::error::Error, "the log drains cannot be read");
                tokio::time::sleep(FAULT_PAUSE).await;
            }
        }
    }

    async fn bring_up_to_date(&self, kept: &mut Kept, tasks: &Tasks) -> Result<(), StoreError> {
        let wanted: HashMap<LogDrainId, LogOwner> =
            self.store.read(store::log_drains::list_owners).await?.into_iter().collect();
        kept.followers.retain(|id, stop| {
            let kept = wanted.contains_key(id);
            if !kept {
                stop.cancel();
            }
            kept
        });
        self.keep_sites(&mut kept.sites, wanted.values().copied()).await;
        for id in wanted.into_keys() {
            kept.followers.entry(id).or_insert_with(|| self.follow(id, tasks));
        }
        self.figures.running(kept.followers.len());
        Ok(())
    }

    /// Opens the rings of sites that got their first drain, and removes those of sites that lost their last.
    async fn keep_sites(&self, kept: &mut HashSet<SiteId>, owners: impl Iterator<Item = LogOwner>) {
        let wanted = owners.filter_map(|owner| match owner {
            LogOwner::Site(site) => Some(site),
            LogOwner::App(_) => None,
        });
        let before = std::mem::replace(kept, wanted.collect());
        for site in before.difference(kept) {
            if let Err(error) = self.rings.remove(*site).await {
                tracing::warn!(%site, %error, "the log of a site without drains is left");
            }
        }
        for site in kept.difference(&before) {
            // The follower of the drain tries again.
            if let Err(error) = self.rings.ring(*site).await {
                tracing::warn!(%site, %error, "the log of a site cannot be kept");
            }
        }
    }

    /// The drain and the host name of its messages: its app's key, or its site's domain. `None` when it was removed
    /// since.
    async fn load(&self, id: LogDrainId) -> Result<Option<(LogDrain, String)>, StoreError> {
        let sealer = self.sealer.clone();
        self.store
            .read(move |c| {
                let Some(drain) = store::log_drains::find(c, &sealer, id)? else { return Ok(None) };
                let host = match drain.owner {
                    LogOwner::App(app) => store::apps::find(c, app)?.map(|app| app.key().to_string()),
                    LogOwner::Site(site) => store::sites::find(c, site)?.map(|site| site.domain.to_string()),
                };
                Ok(host.map(|host| (drain, host)))
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
    matches!(
        event,
        Event::LogDrainCreated { .. }
            | Event::LogDrainDeleted { .. }
            | Event::AppDeleted { .. }
            | Event::SiteLogDrainCreated { .. }
            | Event::SiteLogDrainDeleted { .. }
            | Event::SiteDeleted { .. }
    )
}
