//! One build from its turn to its end: begun in the store, carried out, and ended in the store.
//!
//! Invariant: a state is stored only while the build is still unfinished there, so that a user's stop and an
//! app's deletion always win.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::log::BuildLog;
use super::queue::BuilderParts;
use super::retention;
use super::steps::{Failure, Made, Steps};
use crate::failpoint;
use crate::model::build::{Build, BuildState, BuildStep};
use crate::model::event::Event;
use crate::model::feature::Feature;
use crate::model::ids::BuildId;
use crate::model::journal::JournalStep;
use crate::model::principal::Principal;
use crate::model::release::ReleaseKind;
use crate::service;
use crate::service::release_candidates;
use crate::service::releases::{self, NewRelease};
use crate::store::{self, StoreError, Tx};

/// How often a build is begun at most: once, and once more after an interruption.
const ATTEMPTS: u32 = 2;
/// Pause before the queue looks again after the store or the engine failed.
const PAUSE: Duration = Duration::from_secs(5);

/// What may end a build from outside.
#[derive(Debug, Clone)]
pub(super) struct Signals {
    /// The build shall not run any more: the store says so.
    pub(super) stop: CancellationToken,
    /// The daemon ends; the build is begun again at the next start.
    pub(super) shutdown: CancellationToken,
}

/// How the work on a build came to an end.
enum End {
    Made(Made),
    Failed(String),
    /// Stopped by a user, or its app is gone: the store knows already.
    Stopped,
    /// The daemon stops; the store keeps the build as running.
    Shutdown,
    /// The engine went away; another attempt may succeed.
    Interrupted(String),
}

/// Carries a build out. Never fails: what goes wrong is in the store, in the build's log or in the daemon's.
pub(super) async fn run(parts: &Arc<BuilderParts>, build: Build, signals: Signals) {
    let id = build.id;
    if let Err(error) = attempt(parts, build, &signals).await {
        tracing::error!(build = %id, error = &*error as &dyn std::error::Error, "a build could not go on");
        pause(&signals).await;
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

async fn attempt(parts: &Arc<BuilderParts>, build: Build, signals: &Signals) -> Result<(), Fault> {
    let attempt = if let BuildState::Running { attempt, .. } = build.state { attempt + 1 } else { 1 };
    let mut log = parts.logs.open(build.id).await?;
    log.show_in(parts.rings.clone(), build.app_id, parts.clock.clone());
    failpoint::reached(JournalStep::BuildQueued);
    let end = if attempt > ATTEMPTS {
        End::Failed(format!("The build was interrupted {ATTEMPTS} times and is given up. Start it again."))
    } else {
        if attempt > 1 {
            log.note("The build was interrupted and begins again.").await?;
        }
        if journal(parts, &build, BuildStep::Fetching, attempt).await? {
            work(parts, &build, attempt, &mut log, signals).await
        } else {
            End::Stopped
        }
    };
    finish(parts, &build, log, end, signals).await
}

/// Does the steps within the time limit, unless a signal comes first.
async fn work(
    parts: &Arc<BuilderParts>,
    build: &Build,
    attempt: u32,
    log: &mut BuildLog,
    signals: &Signals,
) -> End {
    let limit = parts.limits.timeout;
    let mut steps = Steps::new(parts, build, attempt, log);
    let made = tokio::select! {
        biased;
        () = signals.stop.cancelled() => return End::Stopped,
        () = signals.shutdown.cancelled() => return End::Shutdown,
        made = tokio::time::timeout(limit, steps.all()) => made,
    };
    match made {
        Ok(Ok(made)) => End::Made(made),
        Ok(Err(Failure::Gone)) => End::Stopped,
        Ok(Err(Failure::Interrupted(reason))) if attempt < ATTEMPTS => End::Interrupted(reason),
        Ok(Err(Failure::Failed(reason) | Failure::Interrupted(reason))) => End::Failed(reason),
        Err(_) => End::Failed(format!(
            "The build took longer than {} and was ended. The operator can allow more (builds.timeout).",
            spoken(limit)
        )),
    }
}

/// Stores the end, and writes the log's last line after that: who reads the line finds the state.
async fn finish(
    parts: &Arc<BuilderParts>,
    build: &Build,
    mut log: BuildLog,
    end: End,
    signals: &Signals,
) -> Result<(), Fault> {
    retention::remove_work(parts, build.id).await;
    let success = match end {
        End::Shutdown => return Ok(()),
        End::Interrupted(reason) => {
            log.note(&format!("{reason} The build begins again in a moment.")).await?;
            pause(signals).await;
            return Ok(());
        }
        End::Made(made) => match succeed(parts, build, made).await {
            Ok(released) => {
                failpoint::reached(JournalStep::BuildSucceeded);
                if let Some(Some(version)) = released {
                    log.note(&format!("Released as v{version}.")).await?;
                }
                released.is_some()
            }
            Err(error) => {
                let reason = format!("The result could not be recorded: {error}");
                log.note(&reason).await?;
                fail(parts, build, reason).await?;
                false
            }
        },
        End::Failed(reason) => {
            log.note(&reason).await?;
            fail(parts, build, reason).await?;
            false
        }
        End::Stopped => {
            log.note("The build was stopped.").await?;
            false
        }
    };
    log.finish(success).await?;
    if !success {
        retention::remove_image(parts, build).await;
    }
    retention::trim(parts, build.app_id).await;
    Ok(())
}

/// Notes the step that begins now. `false` when the build shall not go on.
pub(super) async fn journal(
    parts: &BuilderParts,
    build: &Build,
    step: BuildStep,
    attempt: u32,
) -> Result<bool, StoreError> {
    let (id, app, sealer) = (build.id, build.app_id, parts.sealer.clone());
    let goes_on = parts
        .store
        .write(&author(build), move |tx| {
            if !is_unfinished(tx, &sealer, id)? {
                return Ok(false);
            }
            store::builds::set_state(tx, id, &BuildState::Running { step, since: tx.now(), attempt })?;
            if step == BuildStep::Fetching && attempt == 1 {
                tx.record(Event::BuildStarted { app, build: id })?;
            }
            Ok::<_, StoreError>(true)
        })
        .await?;
    failpoint::reached(match step {
        BuildStep::Fetching => JournalStep::BuildFetching,
        BuildStep::Unpacking => JournalStep::BuildUnpacking,
        BuildStep::Building => JournalStep::BuildBuilding,
        BuildStep::Recording => JournalStep::BuildRecording,
    });
    Ok(goes_on)
}

/// Stores the success, and makes the release that `auto-release` asks for, in one transaction. `None` when
/// the build was stopped meanwhile, else the version of the release that was made, if one was.
async fn succeed(
    parts: &BuilderParts,
    build: &Build,
    made: Made,
) -> Result<Option<Option<u32>>, service::Error> {
    let (id, app, sha) = (build.id, build.app_id, build.commit.sha.clone());
    let (sealer, ids) = (parts.sealer.clone(), parts.ids.clone());
    let default_size = parts.catalogue.load().default_size.clone();
    parts
        .store
        .write(&author(build), move |tx| {
            if !is_unfinished(tx, &sealer, id)? {
                return Ok(None);
            }
            store::builds::set_process_types(tx, id, &made.process_types)?;
            let done = BuildState::Succeeded { image: made.image, finished_at: tx.now() };
            store::builds::set_state(tx, id, &done)?;
            tx.record(Event::BuildSucceeded { app, build: id })?;
            release_candidates::complete(tx, app, id, &sha)?;
            // An auto build may be told not to deploy; whoever switched the feature off wants no release at all.
            let deployed = store::auto_build_runs::is_deployed(tx, id)?.unwrap_or(true);
            if !deployed || !store::features::is_enabled(tx, app, Feature::AutoRelease)? {
                return Ok(Some(None));
            }
            let text = id.to_string();
            let short = text.split('-').next().unwrap_or_default();
            let description = format!("Auto-Deploy {short}");
            let new = NewRelease { app, slug: id, kind: ReleaseKind::Auto, description };
            let release = releases::make(tx, &ids, &default_size, new)?;
            Ok::<_, service::Error>(Some(Some(release.version)))
        })
        .await
}

async fn fail(parts: &BuilderParts, build: &Build, reason: String) -> Result<(), StoreError> {
    let (id, app, sealer) = (build.id, build.app_id, parts.sealer.clone());
    parts
        .store
        .write(&author(build), move |tx| {
            if is_unfinished(tx, &sealer, id)? {
                store::builds::set_state(tx, id, &BuildState::Failed { reason, finished_at: tx.now() })?;
                tx.record(Event::BuildFailed { app, build: id })?;
            }
            Ok(())
        })
        .await
}

fn is_unfinished(tx: &Tx<'_>, sealer: &crate::seal::Sealer, id: BuildId) -> Result<bool, StoreError> {
    let Some(build) = store::builds::find(tx, sealer, id)? else { return Ok(false) };
    Ok(!build.state.is_finished() && store::apps::find(tx, build.app_id)?.is_some())
}

/// What a build leads to is done in the name of who asked for it.
fn author(build: &Build) -> Principal {
    Principal::ordinary(build.created_by.clone())
}

async fn pause(signals: &Signals) {
    tokio::select! {
        () = signals.stop.cancelled() => {}
        () = signals.shutdown.cancelled() => {}
        () = tokio::time::sleep(PAUSE) => {}
    }
}

fn spoken(limit: Duration) -> String {
    match limit.as_secs() {
        seconds if seconds >= 120 && seconds % 60 == 0 => format!("{} minutes", seconds / 60),
        0 => format!("{} milliseconds", limit.as_millis()),
        seconds => format!("{seconds} seconds"),
    }
}
