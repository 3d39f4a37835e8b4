//! Makes a backup: the output of the service's dump program, in a file.

use super::{BackupError, LONG_LIMIT};
use crate::addons::instances::{Context, Inside};
use crate::engine::instance::ExecOutput;
use crate::failpoint;
use crate::model::addon_backup::{AddonBackup, BackupContent, BackupState, BackupStorage};
use crate::model::addon_engine::BackupMethod;
use crate::model::addon_instance::AddonInstance;
use crate::model::event::Event;
use crate::model::ids::{AddonBackupId, AddonId};
use crate::model::journal::JournalStep;
use crate::model::principal::Principal;
use crate::store::{self, StoreError, Tx};

/// Writes what an instance has into the file of a backup.
pub(super) async fn save(
    context: &Context,
    backup: AddonBackupId,
    inside: Inside<'_>,
) -> Result<BackupContent, BackupError> {
    let Some(method) = &inside.blueprint.engine.backup else {
        return Err(BackupError::Final("Its service makes no backups.".to_owned()));
    };
    let folder = context.backups.folder();
    let (path, file) = folder.begin(&backup.to_string()).await?;
    let written = async {
        dump(inside, method, Box::pin(file)).await?;
        failpoint::reached(JournalStep::BackupWritten);
        let sum = folder.finish(path.clone(), backup).await?;
        if sum.size == 0 {
            folder.remove(backup).await?;
            return Err(BackupError::Final("The service's dump program wrote nothing.".to_owned()));
        }
        Ok(sum)
    };
    let written = written.await;
    if written.is_err() {
        // Part of a dump is of no use, and may be what fills the disk.
        folder.discard(path).await?;
    }
    let sum = written?;
    Ok(BackupContent {
        size: sum.size,
        sha256: sum.sha256,
        at: context.clock.now(),
        storage: BackupStorage::Local,
        upload_failure: String::new(),
    })
}

/// Writes what an instance has.
pub(super) async fn dump(
    inside: Inside<'_>,
    method: &BackupMethod,
    output: ExecOutput,
) -> Result<(), BackupError> {
    if let Some(prepare) = &method.prepare {
        inside.run(prepare, (None, None), LONG_LIMIT).await?;
    }
    inside.run(&method.dump, (None, Some(output)), LONG_LIMIT).await?;
    Ok(())
}

/// Makes the last backup of an instance that goes.
pub(in crate::addons) async fn save_last(
    context: &Context,
    instance: &AddonInstance,
    inside: Inside<'_>,
) -> Result<(), crate::addons::instances::InstanceError> {
    let addon = instance.addon;
    let found = context.store.read(move |c| store::addon_backups::find_final_pending(c, addon)).await?;
    let Some(backup) = found else { return Ok(()) };
    let state = match save(context, backup.id, inside).await {
        Ok(content) => BackupState::Succeeded(content),
        Err(error) => match (error.final_reason(), error) {
            (Some(reason), _) => BackupState::Failed { reason, at: context.clock.now() },
            (None, BackupError::Instance(error)) => return Err(error),
            // It is asked for again.
            (None, BackupError::NotReady | BackupError::Storage(_) | BackupError::Final(_)) => return Ok(()),
        },
    };
    Ok(end(context, backup, state).await?)
}

/// Gives the last backup of an instance up, if there shall be one.
pub(in crate::addons) async fn fail_last(
    context: &Context,
    addon: AddonId,
    reason: String,
) -> Result<(), StoreError> {
    let found = context.store.read(move |c| store::addon_backups::find_final_pending(c, addon)).await?;
    let Some(backup) = found else { return Ok(()) };
    end(context, backup, BackupState::Failed { reason, at: context.clock.now() }).await
}

/// Writes down how a backup ended.
pub(super) async fn end(
    context: &Context,
    mut backup: AddonBackup,
    state: BackupState,
) -> Result<(), StoreError> {
    if let BackupState::Failed { reason, .. } = &state {
        tracing::warn!(backup = %backup.id, addon = %backup.addon, reason, "a backup was not made");
    }
    let succeeded = matches!(state, BackupState::Succeeded(_));
    backup.state = state;
    let write = move |tx: &mut Tx<'_>| {
        if store::addon_backups::find(tx, backup.id)?.is_none() {
            return Ok(());
        }
        store::addon_backups::update(tx, &backup)?;
        let (app, addon, backup) = (backup.app, backup.addon, backup.id);
        tx.record(Event::AddonBackupFinished { app, addon, backup, succeeded })
    };
    context.store.write(&Principal::daemon(), write).await
}
