//! The worker of the backups: makes them, restores them and tries them out, one thing at a time for each addon.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::restore::{blueprint, excused, ready, restore, running};
use super::{BackupError, drill, save, timetable, upload};
use crate::addons::instances::{Context, Inside};
use crate::model::addon_backup::{AddonBackup, AddonBackupRun, BackupState, RunPurpose, RunState};
use crate::model::event::Event;
use crate::model::ids::AddonId;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::store::{self, StoreError, Tx};
use crate::tasks::{Activator, Tasks};

/// Backups, restores and drills at the same time.
const AT_ONCE: usize = 2;
/// Of each kind, what is looked at of what waits.
const LOOKED_AT: u32 = 16;
/// The longest sleep between two looks at what is due.
const PERIOD: Duration = Duration::from_secs(20);
/// The pause before what could not be done is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// Between two looks for what a killed daemon left.
const SWEEP_PERIOD: Duration = Duration::from_hours(1);
/// What could not be done for so long has failed.
const PATIENCE: Duration = Duration::from_hours(1);

/// The tasks of the backups.
#[derive(Debug, Clone)]
pub struct Backups {
    wake: Activator,
    /// Wakes the one that brings backups to S3.
    wake_upload: Activator,
}

/// What there is to do.
#[derive(Debug, Clone)]
enum Job {
    Save(AddonBackup),
    Run(AddonBackupRun, AddonBackup),
}

/// What was worked on, and whether it could be done.
type Attempts = FuturesUnordered<BoxFuture<'static, (AddonId, bool)>>;

impl Backups {
    /// Works until the tasks stop.
    pub fn start(context: Arc<Context>, tasks: &Tasks) -> Self {
        let (wake, stop) = (Activator::new(), tasks.stopping());
        let wake_upload = Activator::new();
        if let Some(s3) = context.backups.s3().cloned() {
            let (context, activator, stop) = (Arc::clone(&context), wake_upload.clone(), stop.clone());
            tasks.supervise("addon backups to S3", move || {
                upload::run(Arc::clone(&context), s3.clone(), activator.clone(), stop.clone())
            });
        }
        let activator = wake.clone();
        tasks.supervise("addon backups", move || run(Arc::clone(&context), activator.clone(), stop.clone()));
        Self { wake, wake_upload }
    }

    /// Has it look at what is due; needed only where time passes without it, as on a test's clock.
    pub fn wake(&self) {
        self.wake.activate();
        self.wake_upload.activate();
    }
}

async fn run(context: Arc<Context>, wake: Activator, stop: CancellationToken) {
    let mut events = context.store.subscribe();
    let mut attempts = Attempts::new();
    let mut under_way: HashSet<AddonId> = HashSet::new();
    let mut paused: HashMap<AddonId, Instant> = HashMap::new();
    let (mut is_littered, mut swept_at) = (true, context.clock.now());
    while !stop.is_cancelled() {
        if context.clock.now().since(swept_at) > SWEEP_PERIOD {
            (is_littered, swept_at) = (true, context.clock.now());
        }
        match look(&context, &mut is_littered, under_way.is_empty()).await {
            Ok(jobs) => {
                paused.retain(|_, until| *until > Instant::now());
                for job in jobs.into_iter().filter(|job| !paused.contains_key(&job.addon())) {
                    if under_way.len() < AT_ONCE && under_way.insert(job.addon()) {
                        attempts.push(Box::pin(attempt(Arc::clone(&context), job)));
                    }
                }
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the backups cannot be looked at");
            }
        }
        let pause = paused.values().min().copied().unwrap_or_else(|| Instant::now() + PERIOD);
        tokio::select! {
            () = stop.cancelled() => {}
            deleted = asked(&mut events) => is_littered |= deleted,
            () = wake.activated() => {}
            Some((addon, done)) = attempts.next() => {
                under_way.remove(&addon);
                if !done {
                    paused.insert(addon, Instant::now() + TRY_AGAIN);
                }
            }
            () = tokio::time::sleep_until(pause.min(Instant::now() + PERIOD)) => {}
        }
    }
}

/// Waits until something is asked for; returns whether a backup was deleted.
async fn asked(events: &mut Receiver<Arc<Event>>) -> bool {
    loop {
        match events.recv().await {
            Ok(event) if matches!(*event, Event::AddonBackupDeleted { .. }) => return true,
            Ok(event)
                if matches!(
                    *event,
                    Event::AddonBackupCreated { .. }
                        | Event::AddonBackupRunCreated { .. }
                        | Event::AddonProvisioned { .. }
                ) =>
            {
                return false;
            }
            Ok(_) => {}
            Err(RecvError::Lagged(_)) => return true,
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Keeps the timetable, and returns what there is to do, oldest first: restores before backups, as one of what is broken
/// cannot be made.
async fn look(context: &Context, is_littered: &mut bool, is_idle: bool) -> Result<Vec<Job>, BackupError> {
    *is_littered |= timetable::keep(context).await?;
    // A file that is being written has no end yet, but a row; so has one that is being brought to S3.
    if *is_littered && is_idle {
        let kept = context.store.read(store::addon_backups::list_local_ids).await?;
        context.backups.folder().sweep(kept.into_iter().collect()).await?;
        *is_littered = false;
    }
    let jobs = context
        .store
        .read(|c| {
            let mut jobs = Vec::new();
            for run in store::addon_backup_runs::list_pending(c, LOOKED_AT)? {
                let backup = store::addon_backups::find(c, run.backup)?;
                jobs.extend(backup.map(|backup| Job::Run(run, backup)));
            }
            jobs.extend(store::addon_backups::list_pending(c, LOOKED_AT)?.into_iter().map(Job::Save));
            Ok::<_, StoreError>(jobs)
        })
        .await?;
    Ok(jobs)
}

async fn attempt(context: Arc<Context>, job: Job) -> (AddonId, bool) {
    let addon = job.addon();
    let tried = try_attempt(&context, job).await;
    if let Err(error) = &tried {
        tracing::warn!(error = error as &dyn std::error::Error, %addon, "a backup is tried again");
    }
    (addon, tried.is_ok())
}

/// An error means that it is tried again.
async fn try_attempt(context: &Context, job: Job) -> Result<(), BackupError> {
    let began = job.created_at();
    let reason_of = |error: BackupError| match error.final_reason() {
        Some(reason) => Ok(reason),
        None if context.clock.now() > began.plus(PATIENCE) => Ok(error.to_string()),
        None => Err(error),
    };
    match job {
        Job::Save(backup) => {
            let state = match save_of(context, &backup).await {
                Ok(content) => BackupState::Succeeded(content),
                Err(error) => BackupState::Failed { reason: reason_of(error)?, at: context.clock.now() },
            };
            Ok(save::end(context, backup, state).await?)
        }
        Job::Run(run, backup) => {
            let result = match run.purpose {
                RunPurpose::Restore(target) => restore(context, &backup, target).await,
                RunPurpose::Drill => drill::drill(context, &backup).await,
            };
            let state = match result {
                Ok(found) => RunState::Succeeded { found, at: context.clock.now() },
                Err(error) => RunState::Failed { reason: reason_of(error)?, at: context.clock.now() },
            };
            Ok(end_run(context, &backup, run, state).await?)
        }
    }
}

async fn save_of(
    context: &Context,
    backup: &AddonBackup,
) -> Result<crate::model::addon_backup::BackupContent, BackupError> {
    let instance = ready(context, backup.addon).await?;
    let (blueprint, _) = blueprint(context, &instance)?;
    let container = running(context, &instance, &blueprint).await?;
    let inside = Inside { engine: &*context.engine, id: &container.id, blueprint: &blueprint };
    let saved = save::save(context, backup.id, inside).await;
    excused(saved, inside, &container.state).await
}

async fn end_run(
    context: &Context,
    backup: &AddonBackup,
    run: AddonBackupRun,
    state: RunState,
) -> Result<(), StoreError> {
    if let RunState::Failed { reason, .. } = &state {
        tracing::warn!(backup = %backup.id, reason, kind = %run.purpose.kind(), "a backup did not serve its purpose");
    }
    let (app, backup, kind) = (backup.app, backup.id, run.purpose.kind());
    let succeeded = matches!(state, RunState::Succeeded { .. });
    let write = move |tx: &mut Tx<'_>| {
        store::addon_backup_runs::update(tx, run.id, &state)?;
        tx.record(Event::AddonBackupRunFinished { app, backup, kind, succeeded })
    };
    context.store.write(&Principal::daemon(), write).await
}

impl Job {
    /// The addon whose data is read or replaced.
    fn addon(&self) -> AddonId {
        match self {
            Self::Save(backup) => backup.addon,
            Self::Run(run, backup) => run.purpose.target().unwrap_or(backup.addon),
        }
    }

    fn created_at(&self) -> Timestamp {
        match self {
            Self::Save(backup) => backup.created_at,
            Self::Run(run, _) => run.created_at,
        }
    }
}
