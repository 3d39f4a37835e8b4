//! Brings backups from this machine to S3, and removes there what was deleted. It is not in the way of making backups:
//! while the store does not answer, they stay on this machine.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::BackupError;
use super::s3::S3Storage;
use super::storage::StorageError;
use crate::addons::instances::Context;
use crate::model::addon_backup::{AddonBackup, BackupContent, BackupState, BackupStorage};
use crate::model::event::Event;
use crate::model::ids::AddonBackupId;
use crate::model::principal::Principal;
use crate::store::{self, StoreError, Tx};
use crate::tasks::Activator;

/// The longest sleep while all is well.
const PERIOD: Duration = Duration::from_mins(1);
/// The pause after a failure; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Between two looks for what nobody knows.
const SWEEP_PERIOD: Duration = Duration::from_hours(24);

/// What is remembered from round to round.
#[derive(Debug, Default)]
struct Past {
    /// When what nobody knows was looked for.
    swept: Option<Instant>,
    /// Backups whose files cannot be read as they were written; they are not tried again.
    spoilt: HashSet<AddonBackupId>,
}

/// Works until it shall stop. What is cut off is done again by the next one.
pub(super) async fn run(context: Arc<Context>, s3: S3Storage, wake: Activator, stop: CancellationToken) {
    let mut events = context.store.subscribe();
    let (mut pause, mut past) = (FIRST_PAUSE, Past::default());
    while !stop.is_cancelled() {
        let round = stop.run_until_cancelled(round(&context, &s3, &mut past)).await;
        let sleep = match round {
            None => return,
            Some(Ok(())) => {
                pause = FIRST_PAUSE;
                PERIOD
            }
            Some(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "backups are not brought to S3; trying again"
                );
                let sleep = pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
                sleep
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = wake.activated() => {}
            () = store::events::wait_for(&mut events, asks), if sleep == PERIOD => {}
            () = tokio::time::sleep(sleep) => {}
        }
    }
}

/// Whether there may be something to bring or to remove.
fn asks(event: &Event) -> bool {
    matches!(event, Event::AddonBackupFinished { succeeded: true, .. } | Event::AddonBackupDeleted { .. })
}

/// An error means that the store, or the database, does not do its part.
async fn round(context: &Context, s3: &S3Storage, past: &mut Past) -> Result<(), BackupError> {
    for id in context.store.read(store::addon_backups::list_removed).await? {
        s3.remove(id).await.map_err(StorageError::from)?;
        let write = move |tx: &mut Tx<'_>| store::addon_backups::delete_removed(tx, id);
        context.store.write(&Principal::daemon(), write).await?;
    }
    let mut local = context.store.read(store::addon_backups::list_local).await?;
    local.retain(|backup| !past.spoilt.contains(&backup.id));
    for backup in local {
        match bring(context, s3, &backup).await {
            Ok(()) => moved(context, backup.id).await?,
            Err(error) => {
                let reason = error.to_string();
                settle(context, backup.id, |content| content.upload_failure = reason).await?;
                if matches!(error, StorageError::S3(_)) {
                    return Err(error.into());
                }
                past.spoilt.insert(backup.id);
            }
        }
    }
    if past.swept.is_none_or(|at| at.elapsed() > SWEEP_PERIOD) {
        sweep(context, s3).await?;
        past.swept = Some(Instant::now());
    }
    Ok(())
}

async fn bring(context: &Context, s3: &S3Storage, backup: &AddonBackup) -> Result<(), StorageError> {
    let BackupState::Succeeded(content) = &backup.state else { return Ok(()) };
    let fetched = context.backups.fetch((backup.id, context.ids.next()), content).await?;
    Ok(s3.keep(backup.id, fetched.path(), content.size).await?)
}

/// From now on it is read from S3, and the file goes.
async fn moved(context: &Context, id: AddonBackupId) -> Result<(), BackupError> {
    settle(context, id, |content| {
        content.storage = BackupStorage::S3;
        content.upload_failure.clear();
    })
    .await?;
    Ok(context.backups.folder().remove(id).await.map_err(StorageError::from)?)
}

/// Writes down at a backup how its upload ended. Of one that was deleted meanwhile there may be an object, also after a
/// failure, and that goes.
async fn settle(
    context: &Context,
    id: AddonBackupId,
    change: impl FnOnce(&mut BackupContent) + Send + 'static,
) -> Result<(), StoreError> {
    let write = move |tx: &mut Tx<'_>| {
        let Some(mut backup) = store::addon_backups::find(tx, id)? else {
            return store::addon_backups::insert_removed(tx, id);
        };
        if let BackupState::Succeeded(content) = &mut backup.state {
            change(content);
        }
        store::addon_backups::update(tx, &backup)
    };
    context.store.write(&Principal::daemon(), write).await
}

/// Removes what no row knows.
async fn sweep(context: &Context, s3: &S3Storage) -> Result<(), BackupError> {
    for id in s3.sweep().await.map_err(StorageError::from)? {
        if context.store.read(move |c| store::addon_backups::find(c, id)).await?.is_none() {
            s3.remove(id).await.map_err(StorageError::from)?;
            tracing::info!(backup = %id, "removed a backup from S3 that nothing knows");
        }
    }
    Ok(())
}
