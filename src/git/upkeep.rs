//! The repositories' upkeep: those of deleted apps are removed, the others packed once a day.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, sleep_until};

use super::{Git, folder_of};
use crate::model::event::Event;
use crate::model::ids::AppId;
use crate::store::{self, StoreError};

/// Between two tidyings.
const PERIOD: Duration = Duration::from_hours(24);
/// The first one after a start.
const FIRST: Duration = Duration::from_hours(1);

/// Works until the daemon stops.
pub(super) async fn run(git: Git) {
    let mut events = git.0.parts.store.subscribe();
    let stop = git.0.parts.tasks.stopping();
    git.sweep().await;
    let mut due = Instant::now() + FIRST;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = follow(&git, &mut events) => return,
            () = sleep_until(due) => {}
        }
        if stop.run_until_cancelled(git.tidy()).await.is_none() {
            return;
        }
        due = Instant::now() + PERIOD;
    }
}

/// Returns when there will be no more events.
async fn follow(git: &Git, events: &mut Receiver<Arc<Event>>) {
    loop {
        match events.recv().await {
            Ok(event) => {
                if let Event::AppDeleted { app, .. } = &*event {
                    git.remove(*app).await;
                }
            }
            Err(RecvError::Lagged(_)) => git.sweep().await,
            Err(RecvError::Closed) => return,
        }
    }
}

impl Git {
    /// Packs every repository that nobody deploys from just now, and removes what nothing leads to.
    pub async fn tidy(&self) {
        for app in self.present().await {
            let Some(_hold) = self.hold(app) else { continue };
            if let Err(error) = self.repository(app).tidy().await {
                tracing::warn!(%app, %error, "a repository was not tidied");
            }
        }
    }

    /// Removes the repositories of apps that were deleted while nobody listened.
    async fn sweep(&self) {
        // Before the apps: what is made meanwhile belongs to an app that will be among them.
        let names = self.names().await;
        let live = |c: &store::Connection| {
            Ok::<_, StoreError>(store::apps::list(c)?.iter().map(|app| folder_of(app.id)).collect::<Vec<_>>())
        };
        let live = match self.0.parts.store.read(live).await {
            Ok(live) => live,
            Err(error) => {
                tracing::warn!(%error, "repositories of deleted apps may be left");
                return;
            }
        };
        for name in names.iter().filter(|name| repository_of(name).is_some() && !live.contains(name)) {
            self.remove_folder(name).await;
        }
    }

    async fn remove(&self, app: AppId) {
        self.remove_folder(&folder_of(app)).await;
    }

    async fn remove_folder(&self, name: &str) {
        match tokio::fs::remove_dir_all(self.0.parts.settings.folder.join(name)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, name, "a repository that nobody needs was not removed");
            }
            Ok(()) | Err(_) => {}
        }
    }

    async fn present(&self) -> Vec<AppId> {
        self.names().await.iter().filter_map(|name| repository_of(name)).collect()
    }

    async fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let Ok(mut entries) = tokio::fs::read_dir(&self.0.parts.settings.folder).await else { return names };
        while let Ok(Some(entry)) = entries.next_entry().await {
            names.extend(entry.file_name().into_string());
        }
        names
    }
}

/// Whose repository a folder is.
fn repository_of(name: &str) -> Option<AppId> {
    name.strip_suffix(".git")?.parse().ok()
}
