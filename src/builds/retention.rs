//! What of builds is kept: the newest sources and images, and what a release may still need.
//!
//! Invariant: the image of the current release and of any later one is never removed here.

use std::collections::HashSet;
use std::io;

use super::queue::BuilderParts;
use crate::model::build::{Build, BuildState};
use crate::model::ids::{AppId, BuildId};
use crate::store::{self, StoreError};

/// Builds of an app whose source stays for a rebuild, and successful ones whose image stays for a rollback.
const KEPT: usize = 10;
/// Older builds whose source is looked for after each build; the rest was removed before.
const LOOKED_AT: usize = 50;

/// Removes what earlier runs left behind and ends the logs of builds that finished in the very moment of a
/// crash. Only for the start, before the API takes uploads.
pub(super) async fn tidy(parts: &BuilderParts) -> Result<(), StoreError> {
    let work = parts.work.clone();
    let emptied = tokio::task::spawn_blocking(move || match std::fs::remove_dir_all(work) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    });
    warn("the work folder was not emptied", emptied.await.map_err(io::Error::other).flatten());
    let sealer = parts.sealer.clone();
    let apps: Vec<Vec<Build>> = parts
        .store
        .read(move |c| {
            store::apps::list(c)?.iter().map(|app| store::builds::list(c, &sealer, app.id)).collect()
        })
        .await?;
    let mut keep = HashSet::new();
    for builds in &apps {
        let unfinished = builds.iter().filter(|build| !build.state.is_finished());
        keep.extend(builds.iter().rev().take(KEPT).chain(unfinished).map(|build| build.id));
        let finished = builds.iter().filter(|build| build.state.is_finished());
        if let Some(last) = finished.max_by_key(|build| build.updated_at) {
            let success = matches!(last.state, BuildState::Succeeded { .. });
            warn("a build's log was not ended", parts.logs.close(last.id, success).await);
        }
    }
    // The source of a setup waits for its build.
    keep.extend(parts.store.read(store::app_setups::list_pending_builds).await?);
    warn("old sources were not removed", parts.sources.sweep(keep).await.map(drop));
    Ok(())
}

/// Removes the folder in which a build worked.
pub(super) async fn remove_work(parts: &BuilderParts, build: BuildId) {
    let removed = match tokio::fs::remove_dir_all(parts.work.join(build.to_string())).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    warn("a build's work folder was not removed", removed);
}

/// Removes the image of a build that came to nothing, if it got that far.
pub(super) async fn remove_image(parts: &BuilderParts, build: &Build) {
    if let Err(error) = parts.engine.remove_image(build.app_id, build.id).await {
        tracing::warn!(build = %build.id, %error, "an image that nobody needs was not removed");
    }
}

/// Removes sources and images of an app that are older than the newest [`KEPT`].
pub(super) async fn trim(parts: &BuilderParts, app: AppId) {
    if let Err(error) = trim_or_fail(parts, app).await {
        tracing::warn!(%app, error = &*error as &dyn std::error::Error, "old images were not removed");
    }
}

async fn trim_or_fail(
    parts: &BuilderParts,
    app: AppId,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let sealer = parts.sealer.clone();
    let builds = parts.store.read(move |c| store::builds::list(c, &sealer, app)).await?;
    for old in builds.iter().rev().skip(KEPT).take(LOOKED_AT).filter(|build| build.state.is_finished()) {
        parts.sources.remove(old.id).await?;
    }
    let succeeded = |build: &&Build| matches!(build.state, BuildState::Succeeded { .. });
    let mut old: HashSet<BuildId> =
        builds.iter().rev().filter(succeeded).skip(KEPT).map(|build| build.id).collect();
    if old.is_empty() {
        return Ok(());
    }
    let present = parts.engine.list_images().await?;
    old.retain(|id| present.iter().any(|image| image.app == app && image.build == *id));
    let unneeded = parts.store.read(move |c| {
        let mut needed = HashSet::new();
        for id in &old {
            if store::releases::is_slug_needed(c, app, *id)?
                || store::release_candidates::is_slug_needed(c, *id)?
            {
                needed.insert(*id);
            }
        }
        Ok::<_, StoreError>(old.difference(&needed).copied().collect::<Vec<_>>())
    });
    for id in unneeded.await? {
        parts.engine.remove_image(app, id).await?;
    }
    Ok(())
}

fn warn(what: &str, result: io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, "{what}");
    }
}
