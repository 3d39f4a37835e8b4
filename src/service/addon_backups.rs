//! Backups of built-in addons: naming one, asking for one, deleting it, and asking for its use. The worker of
//! `addons::backups` does the rest.

use super::Error;
use super::addons::resolve as resolve_addon;
use crate::ids::Ids;
use crate::model::addon::{Addon, AddonState};
use crate::model::addon_backup::{
    AddonBackup, AddonBackupRun, BackupOrigin, BackupState, RunPurpose, RunState,
};
use crate::model::addon_service::AddonOffer;
use crate::model::event::Event;
use crate::model::ids::{AddonBackupId, AddonBackupRunId, AddonId, AppId};
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::store::{self, Connection, Store, StoreError, Tx};

/// Backups of one addon that somebody asked for.
const LIMIT: usize = 100;

/// The addon of an app of that id or name; also one that was deleted, as long as there are backups of it.
pub fn addon_of(connection: &Connection, app: AppId, text: &str) -> Result<AddonId, Error> {
    match resolve_addon(connection, app, text) {
        Ok(addon) => Ok(addon.id),
        Err(Error::NotFound(message)) => {
            let gone = store::addon_backups::find_addon(connection, app, text)?;
            gone.ok_or(Error::NotFound(message))
        }
        Err(error) => Err(error),
    }
}

/// The backup of that id, if it is one of that addon.
pub fn resolve(connection: &Connection, addon: AddonId, text: &str) -> Result<AddonBackup, Error> {
    let id: Option<AddonBackupId> = text.parse().ok();
    let found = id.map(|id| store::addon_backups::find(connection, id)).transpose()?.flatten();
    found.filter(|backup| backup.addon == addon).ok_or_else(|| {
        Error::NotFound(format!("The backup \"{}\" does not exist for this addon.", shown(text)))
    })
}

/// Asks for a backup, which stays until it is deleted.
pub async fn create(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    (addon, offer): (Addon, AddonOffer),
) -> Result<AddonBackup, Error> {
    check_makes_backups(&offer, addon.service.name.as_str())?;
    check_provisioned(&addon)?;
    let id = AddonBackupId::new(ids.next());
    store
        .write(author, move |tx| {
            let all = store::addon_backups::list(tx, addon.id)?;
            let manual = all.iter().filter(|backup| backup.origin == BackupOrigin::Manual);
            if manual.count() >= LIMIT {
                return Err(Error::Conflict(format!(
                    "The addon {} has {LIMIT} backups that were asked for; delete one first.",
                    addon.name
                )));
            }
            let backup = AddonBackup {
                id,
                addon: addon.id,
                addon_name: addon.name.as_str().to_owned(),
                app: addon.app.id,
                service: addon.service.name.as_str().to_owned(),
                origin: BackupOrigin::Manual,
                state: BackupState::Pending,
                created_at: tx.now(),
                expires_at: None,
            };
            store::addon_backups::insert(tx, &backup)?;
            tx.record(Event::AddonBackupCreated { app: backup.app, addon: backup.addon, backup: id })?;
            Ok(backup)
        })
        .await
}

/// Deletes a backup; one that is being made or used is not.
pub async fn delete(store: &Store, author: &Principal, id: AddonBackupId) -> Result<AddonBackup, Error> {
    store
        .write(author, move |tx| {
            let backup = still(tx, id)?;
            let runs = store::addon_backup_runs::list(tx, id)?;
            if backup.state == BackupState::Pending || runs.iter().any(|run| run.state == RunState::Pending) {
                return Err(Error::Conflict(format!(
                    "The backup {id} is being made or used; wait for its end."
                )));
            }
            store::addon_backups::delete(tx, id)?;
            tx.record(Event::AddonBackupDeleted { app: backup.app, addon: backup.addon, backup: id })?;
            Ok(backup)
        })
        .await
}

/// Asks for a backup to become the data of an addon of the same service.
pub async fn restore(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    (backup, target): (AddonBackupId, Addon),
) -> Result<AddonBackupRun, Error> {
    check_provisioned(&target)?;
    let (id, service) = (AddonBackupRunId::new(ids.next()), target.service.name);
    let (target, name) = (target.id, target.name);
    store
        .write(author, move |tx| {
            let found = still(tx, backup)?;
            if found.service != service.as_str() {
                return Err(Error::Conflict(format!(
                    "The backup is one of {}, and the addon {name} is of {service}: restore it into one of {}.",
                    found.service, found.service
                )));
            }
            begin(tx, &found, id, RunPurpose::Restore(target))
        })
        .await
}

/// Asks for a backup to be tried out.
pub async fn drill(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    backup: AddonBackupId,
) -> Result<AddonBackupRun, Error> {
    let id = AddonBackupRunId::new(ids.next());
    store
        .write(author, move |tx| {
            let found = still(tx, backup)?;
            if store::addons::find(tx, found.addon)?.is_none() {
                return Err(Error::Conflict(
                    "The addon of this backup was deleted, so that there is nothing to make a throwaway instance after; restore it into another addon.".to_owned(),
                ));
            }
            begin(tx, &found, id, RunPurpose::Drill)
        })
        .await
}

fn begin(
    tx: &mut Tx<'_>,
    backup: &AddonBackup,
    id: AddonBackupRunId,
    purpose: RunPurpose,
) -> Result<AddonBackupRun, Error> {
    if !matches!(backup.state, BackupState::Succeeded(_)) {
        return Err(Error::Conflict(format!(
            "The backup {} is {}: only one that succeeded can be used.",
            backup.id,
            backup.state.status()
        )));
    }
    let runs = store::addon_backup_runs::list(tx, backup.id)?;
    if runs.iter().any(|run| run.state == RunState::Pending && run.purpose == purpose) {
        return Err(Error::Conflict(format!(
            "A {} of this backup is under way; wait for its end.",
            purpose.kind()
        )));
    }
    let run =
        AddonBackupRun { id, backup: backup.id, purpose, state: RunState::Pending, created_at: tx.now() };
    store::addon_backup_runs::insert(tx, &run)?;
    let (app, kind) = (backup.app, purpose.kind());
    tx.record(Event::AddonBackupRunCreated { app, backup: backup.id, kind })?;
    Ok(run)
}

fn still(tx: &Tx<'_>, id: AddonBackupId) -> Result<AddonBackup, Error> {
    let found: Result<_, StoreError> = store::addon_backups::find(tx, id);
    found?.ok_or_else(|| Error::NotFound(format!("The backup {id} does not exist any more.")))
}

fn check_makes_backups(offer: &AddonOffer, service: &str) -> Result<(), Error> {
    let engine = offer.service(service).and_then(|service| service.engine.as_ref());
    if engine.is_some_and(|engine| engine.backup.is_some()) {
        return Ok(());
    }
    Err(Error::Conflict(format!("Addons of the service {service} have no backups here.")))
}

fn check_provisioned(addon: &Addon) -> Result<(), Error> {
    if matches!(addon.state, AddonState::Provisioned | AddonState::Updating) {
        return Ok(());
    }
    Err(Error::Conflict(format!(
        "The addon {} is {}: wait until it is provisioned.",
        addon.name,
        addon.state.status()
    )))
}
