//! The worker of app setups: takes step after step of each, and waits for what builds and releases come to.
//!
//! Invariant: a setup is worked on by one attempt at a time; what is done stands in the store alone, so that a restart
//! of the daemon goes on with the step that was next.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;

use crate::addons::Addons;
use crate::builds::archive::ArchiveLimits;
use crate::builds::manifest;
use crate::builds::source::SourceFolder;
use crate::model::build::{ArchiveLogin, BuildSource};
use crate::model::event::Event;
use crate::model::ids::{AppSetupId, BuildId};
use crate::outbound::{DownloadLimits, Outbound};
use crate::service;
use crate::service::app_setups::{self, Advance, ManifestFinding, SetupTools};
use crate::store::{self, Store, StoreError};
use crate::tasks::Tasks;

/// A missed event costs at most this.
const PERIOD: Duration = Duration::from_secs(15);
/// The pause after a fault of the daemon.
const FAULT_PAUSE: Duration = Duration::from_secs(1);
/// Archives that are fetched at once for their `app.json`.
const FETCHES: usize = 2;
/// What one fetch may take; the build fetches again and tells what is wrong.
const FETCH_LIMIT: Duration = Duration::from_mins(5);

/// What the worker needs.
#[derive(Debug, Clone)]
pub struct SetupsParts {
    pub store: Store,
    pub tools: SetupTools,
    /// What addons there are to be had.
    pub addons: Addons,
    pub outbound: Outbound,
    pub sources: SourceFolder,
    /// A folder for what is fetched.
    pub work: PathBuf,
    pub limits: ArchiveLimits,
    /// Bytes of an archive that is fetched.
    pub max_archive: u64,
}

#[derive(Debug)]
struct Setups {
    parts: SetupsParts,
    fetches: Semaphore,
}

type Attempts = FuturesUnordered<Pin<Box<dyn Future<Output = AppSetupId> + Send>>>;

impl SetupsParts {
    /// Works until the tasks stop, first on what an earlier run left.
    pub fn start(self, tasks: &Tasks) {
        let (stop, events) = (tasks.stopping(), self.store.subscribe());
        let setups = Arc::new(Setups { parts: self, fetches: Semaphore::new(FETCHES) });
        let mut events = Some(events);
        tasks.supervise("app setups", move || {
            // After a panic the first look makes up for the events between.
            let events = events.take().unwrap_or_else(|| setups.parts.store.subscribe());
            run(Arc::clone(&setups), events, stop.clone())
        });
    }
}

async fn run(setups: Arc<Setups>, mut events: Receiver<Arc<Event>>, stop: CancellationToken) {
    let mut attempts = Attempts::new();
    // Those that are worked on, and whether something happened meanwhile.
    let mut under_way: HashMap<AppSetupId, bool> = HashMap::new();
    let mut due = setups.pending().await;
    while !stop.is_cancelled() {
        for id in due.drain(..) {
            if let Entry::Vacant(free) = under_way.entry(id).and_modify(|again| *again = true) {
                free.insert(false);
                attempts.push(Box::pin(attempt(Arc::clone(&setups), id)));
            }
        }
        let looked = tokio::select! {
            () = stop.cancelled() => continue,
            () = store::events::wait_for(&mut events, matters) => true,
            () = tokio::time::sleep(PERIOD) => true,
            Some(id) = attempts.next() => {
                due.extend(under_way.remove(&id).filter(|again| *again).map(|_| id));
                false
            }
        };
        if looked {
            due = setups.pending().await;
        }
    }
}

/// Whether it may let a setup go on.
fn matters(event: &Event) -> bool {
    matches!(
        event,
        Event::AppSetupCreated { .. }
            | Event::BuildSucceeded { .. }
            | Event::BuildFailed { .. }
            | Event::BuildStopped { .. }
            | Event::ReleaseSucceeded { .. }
            | Event::ReleaseFailed { .. }
            | Event::OneOffEnded { .. }
            | Event::AddonProvisioned { .. }
            | Event::AddonFailed { .. }
            | Event::AddonAttachmentUpdated { .. }
            | Event::AddonVariablesChanged { .. }
    )
}

/// Takes the steps of a setup until it waits for something or is done.
async fn attempt(setups: Arc<Setups>, id: AppSetupId) -> AppSetupId {
    loop {
        match setups.step(id).await {
            Ok(true) => {}
            Ok(false) => return id,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    setup = %id,
                    "a step of an app setup was not taken; it is tried again"
                );
                tokio::time::sleep(FAULT_PAUSE).await;
                return id;
            }
        }
    }
}

impl Setups {
    async fn pending(&self) -> Vec<AppSetupId> {
        let pending = self.parts.store.read(store::app_setups::list_pending).await;
        pending.unwrap_or_else(|error: StoreError| {
            tracing::error!(error = &error as &dyn std::error::Error, "the app setups cannot be read");
            Vec::new()
        })
    }

    /// Whether another step may follow.
    async fn step(&self, id: AppSetupId) -> Result<bool, service::Error> {
        let (store, tools) = (&self.parts.store, &self.parts.tools);
        match app_setups::advance(store, tools, self.parts.addons.shop(), id).await? {
            Advance::Stepped => Ok(true),
            Advance::Waiting | Advance::Finished => Ok(false),
            Advance::Unread { build, source } => {
                let finding = self.look_into(build, &source).await;
                app_setups::note_manifest(store, tools, id, finding).await?;
                Ok(true)
            }
        }
    }

    /// Looks for an `app.json`. What cannot be had or read is for the build to tell.
    async fn look_into(&self, build: BuildId, source: &BuildSource) -> ManifestFinding {
        let found = match source {
            BuildSource::Upload => manifest::read(self.parts.sources.path(build), self.parts.limits).await,
            BuildSource::Archive { url, login } => self.fetch(build, (url, login.as_ref())).await,
            BuildSource::Image { .. } => Ok(None),
        };
        match found {
            Ok(Some(content)) => ManifestFinding::Content(content),
            Ok(None) => ManifestFinding::Nothing,
            Err(error) => {
                tracing::warn!(%build, %error, "a source could not be looked into for its app.json");
                ManifestFinding::Nothing
            }
        }
    }

    async fn fetch(
        &self,
        build: BuildId,
        (url, login): (&str, Option<&ArchiveLogin>),
    ) -> io::Result<Option<Vec<u8>>> {
        let _turn = self.fetches.acquire().await.map_err(io::Error::other)?;
        let folder = &self.parts.work;
        tokio::fs::create_dir_all(folder).await?;
        let path = folder.join(format!("{build}.setup"));
        let limits = DownloadLimits { bytes: self.parts.max_archive, total: FETCH_LIMIT };
        let fetched =
            self.parts.outbound.download(url, login.map(ArchiveLogin::reveal), (&path, limits)).await;
        let found = match fetched {
            Ok(_) => manifest::read(path.clone(), self.parts.limits).await,
            Err(error) => Err(io::Error::other(error)),
        };
        match tokio::fs::remove_file(&path).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%build, %error, "a fetched source was not removed");
            }
            _ => {}
        }
        found
    }
}
