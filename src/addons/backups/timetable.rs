//! What is due by itself: backups of the plans' schedules, drills, and the removal of old backups.

use super::FINAL_KEPT;
use crate::addons::instances::Context;
use crate::model::addon_backup::{
    AddonBackup, AddonBackupRun, BackupOrigin, BackupState, RunPurpose, RunState,
};
use crate::model::addon_engine::{BackupSchedule, PlanEngine};
use crate::model::addon_instance::AddonInstance;
use crate::model::event::Event;
use crate::model::ids::{AddonBackupId, AddonBackupRunId, AddonId};
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::store::{self, StoreError, Tx};

/// When the first backup of a new instance is made.
pub(in crate::addons) fn first_due(context: &Context, instance: &AddonInstance) -> Option<Timestamp> {
    schedule(context, &instance.plan)?.schedule.next(context.clock.now())
}

/// Writes down what is due now: backups, drills, and that old backups go. Returns whether backups were removed.
pub(super) async fn keep(context: &Context) -> Result<bool, StoreError> {
    let now = context.clock.now();
    let due = context.store.read(move |c| store::addon_instances::list_backup_due(c, now)).await?;
    for addon in due {
        begin_backup(context, addon).await?;
    }
    for backup in context.store.read(store::addon_backups::list_newest).await? {
        begin_drill(context, &backup, now).await?;
    }
    remove_old(context, now).await
}

fn schedule(context: &Context, plan: &str) -> Option<BackupSchedule> {
    plan_engine(context, plan)?.backups
}

fn plan_engine(context: &Context, name: &str) -> Option<PlanEngine> {
    let catalogue = context.catalogue.load();
    let mut plans = catalogue.addon_services.iter().flat_map(|service| &service.plans);
    plans.find(|plan| plan.name.as_str() == name)?.engine.clone()
}

async fn begin_backup(context: &Context, addon: AddonId) -> Result<(), StoreError> {
    let sealer = context.sealer.clone();
    let Some(mut instance) =
        context.store.read(move |c| store::addon_instances::find(c, &sealer, addon)).await?
    else {
        return Ok(());
    };
    let schedule = schedule(context, &instance.plan);
    let is_offered = schedule.is_some();
    instance.backup_due_at = schedule.and_then(|one| one.schedule.next(context.clock.now()));
    let id = AddonBackupId::new(context.ids.next());
    let write = move |tx: &mut Tx<'_>| {
        let Some(owner) = store::addons::find(tx, addon)? else { return Ok(()) };
        store::addon_instances::set_backup_due(tx, addon, instance.backup_due_at)?;
        if !is_offered {
            return Ok(());
        }
        let backup = AddonBackup {
            id,
            addon,
            addon_name: owner.name.as_str().to_owned(),
            app: owner.app.id,
            service: instance.service,
            origin: BackupOrigin::Scheduled,
            state: BackupState::Pending,
            created_at: tx.now(),
            expires_at: None,
        };
        store::addon_backups::insert(tx, &backup)?;
        tx.record(Event::AddonBackupCreated { app: backup.app, addon, backup: id })
    };
    context.store.write(&Principal::daemon(), write).await
}

/// The newest backup is tried out once after each instant of the plan's drill schedule.
async fn begin_drill(context: &Context, backup: &AddonBackup, now: Timestamp) -> Result<(), StoreError> {
    let (sealer, addon, id) = (context.sealer.clone(), backup.addon, backup.id);
    let (instance, runs) = context
        .store
        .read(move |c| {
            let instance = store::addon_instances::find(c, &sealer, addon)?;
            Ok::<_, StoreError>((instance, store::addon_backup_runs::list(c, id)?))
        })
        .await?;
    let plan = instance.and_then(|instance| plan_engine(context, &instance.plan));
    let Some(drills) = plan.and_then(|plan| plan.drills) else { return Ok(()) };
    let drilled = runs.iter().filter(|run| run.purpose == RunPurpose::Drill).map(|run| run.created_at);
    let last = drilled.max().unwrap_or(backup.created_at);
    if drills.next(last).is_none_or(|due| due > now) {
        return Ok(());
    }
    let run = AddonBackupRun {
        id: AddonBackupRunId::new(context.ids.next()),
        backup: backup.id,
        purpose: RunPurpose::Drill,
        state: RunState::Pending,
        created_at: now,
    };
    let write = move |tx: &mut Tx<'_>| store::addon_backup_runs::insert(tx, &run);
    context.store.write(&Principal::daemon(), write).await
}

async fn remove_old(context: &Context, now: Timestamp) -> Result<bool, StoreError> {
    let sealer = context.sealer.clone();
    let instances = context.store.read(move |c| store::addon_instances::list(c, &sealer)).await?;
    let kept: Vec<(AddonId, u32)> = instances
        .into_iter()
        .filter_map(|instance| Some((instance.addon, schedule(context, &instance.plan)?.keep)))
        .collect();
    let old = context
        .store
        .read(move |c| {
            let mut old = store::addon_backups::list_expired(c, now)?;
            for (addon, keep) in kept {
                old.extend(store::addon_backups::list_superfluous(c, addon, keep)?);
            }
            Ok::<_, StoreError>(old)
        })
        .await?;
    let is_some = !old.is_empty();
    let write = move |tx: &mut Tx<'_>| {
        store::addon_backups::expire_scheduled(tx, now.plus(FINAL_KEPT))?;
        old.into_iter().try_for_each(|id| store::addon_backups::delete(tx, id))
    };
    context.store.write(&Principal::daemon(), write).await?;
    Ok(is_some)
}
