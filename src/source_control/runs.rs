//! One commit from its event to its build: asked for at the provider, its checks waited for, its build queued.

use std::time::Duration;

use super::SourceControlParts;
use super::client::{ForgeError, RepositoryClient};
use crate::model::auto_build::{AutoBuild, AutoBuildRun, ChecksVerdict, RunState, pause};
use crate::model::ids::AutoBuildRunId;
use crate::model::principal::Principal;
use crate::service::{Error, auto_builds};
use crate::store::{self, StoreError};

/// How long a provider that cannot be reached is asked again.
const PATIENCE: Duration = Duration::from_hours(1);

/// What one look at a run leads to.
enum Step {
    Build,
    Wait,
    /// A sentence for people.
    Fail(String),
    /// The app does not follow anything any more.
    Drop,
}

/// Looks at a run once, and writes down what follows.
pub(super) async fn carry_on(parts: &SourceControlParts, id: AutoBuildRunId) -> Result<(), StoreError> {
    let sealer = parts.sealer.clone();
    let found = parts
        .store
        .read(move |c| {
            let Some(run) = store::auto_build_runs::find(c, id)? else { return Ok(None) };
            let auto_build = store::auto_builds::find(c, &sealer, run.auto_build)?;
            let lives = store::apps::find(c, run.app_id)?.is_some();
            Ok::<_, StoreError>(Some((run, auto_build.filter(|_| lives))))
        })
        .await?;
    let Some((mut run, auto_build)) = found else { return Ok(()) };
    let RunState::Waiting { attempts, .. } = run.state else { return Ok(()) };
    let Some(auto_build) = auto_build else { return end(parts, run, None, (Step::Drop, attempts)).await };
    let step = match parts.repository(&auto_build) {
        Err(error) => Step::Fail(error.to_string()),
        Ok(client) => match look(parts, &client, &auto_build, &mut run).await {
            Ok(step) => step,
            Err(error) => after(&error, parts.clock.now().since(run.created_at)),
        },
    };
    end(parts, run, Some(auto_build), (step, attempts)).await
}

async fn look(
    parts: &SourceControlParts,
    client: &RepositoryClient,
    auto_build: &AutoBuild,
    run: &mut AutoBuildRun,
) -> Result<Step, ForgeError> {
    if run.commit.is_none() {
        run.commit = Some(client.commit(&run.sha).await?);
    }
    if !auto_build.status_check {
        return Ok(Step::Build);
    }
    let age = parts.clock.now().since(run.created_at);
    Ok(match client.checks(&run.sha).await?.judge(age, parts.limits) {
        ChecksVerdict::Build => Step::Build,
        ChecksVerdict::Wait => Step::Wait,
        ChecksVerdict::GiveUp(reason) => Step::Fail(reason),
    })
}

fn after(error: &ForgeError, age: Duration) -> Step {
    if error.is_transient() && age < PATIENCE { Step::Wait } else { Step::Fail(format!("{error}.")) }
}

/// Writes down what follows from a look, in one transaction.
async fn end(
    parts: &SourceControlParts,
    run: AutoBuildRun,
    auto_build: Option<AutoBuild>,
    (step, attempts): (Step, u32),
) -> Result<(), StoreError> {
    let archive =
        auto_build.as_ref().and_then(|one| parts.repository(one).ok()).map(|client| client.archive(&run.sha));
    let (sealer, ids) = (parts.sealer.clone(), parts.ids.clone());
    let author = Principal::ordinary(run.created_by.clone());
    let ended = parts
        .store
        .write(&author, move |tx| {
            let found = store::auto_build_runs::find(tx, run.id)?;
            if !found.is_some_and(|found| matches!(found.state, RunState::Waiting { .. })) {
                return Ok(());
            }
            if let Some(commit) = &run.commit {
                store::auto_build_runs::set_commit(tx, run.id, commit)?;
            }
            match (step, auto_build.zip(archive)) {
                (Step::Build, Some((auto_build, archive))) => {
                    auto_builds::build(tx, (&sealer, &ids), (run.id, &auto_build), archive)?;
                }
                (Step::Fail(reason), _) => auto_builds::fail(tx, &run, reason)?,
                (Step::Wait, _) => {
                    let due_at = tx.now().plus(pause(attempts));
                    let state = RunState::Waiting { attempts: attempts.saturating_add(1), due_at };
                    store::auto_build_runs::set_state(tx, run.id, &state)?;
                }
                (Step::Drop | Step::Build, _) => {
                    store::auto_build_runs::set_state(tx, run.id, &RunState::Superseded)?;
                }
            }
            Ok::<_, Error>(())
        })
        .await;
    match ended {
        Ok(()) => Ok(()),
        Err(Error::Internal(cause)) => Err(StoreError::Content(cause.to_string())),
        // The app was deleted meanwhile, or the store is busy; another look finds out.
        Err(error) => {
            tracing::info!(%error, "a run is looked at again");
            Err(StoreError::Content(error.to_string()))
        }
    }
}
