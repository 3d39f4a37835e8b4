//! What providers are told of commits: that they are being built, and how that ended.
//!
//! Invariant: no build waits for it.

use super::SourceControlParts;
use super::forge::CommitReport;
use crate::model::auto_build::{AutoBuild, AutoBuildRun, CommitState, RunState, pause};
use crate::model::principal::Principal;
use crate::store::auto_build_runs::Report;
use crate::store::{self, StoreError};

/// After so many failed attempts, which are some ten minutes, the provider is not told.
const ATTEMPTS: u32 = 12;
/// What the providers show of a description.
const DESCRIPTION_LIMIT: usize = 140;

/// Tells a provider once, and writes down whether it was told.
pub(super) async fn tell(parts: &SourceControlParts, report: Report) -> Result<(), StoreError> {
    let Report { run, state } = report;
    let (sealer, auto_build, app) = (parts.sealer.clone(), run.auto_build, run.app_id);
    let found = parts
        .store
        .read(move |c| {
            let auto_build = store::auto_builds::find(c, &sealer, auto_build)?;
            Ok::<_, StoreError>(auto_build.zip(store::apps::find_any(c, app)?))
        })
        .await?;
    let (id, attempts) = (run.id, run.report_attempts);
    let daemon = Principal::daemon();
    let Some((auto_build, app)) = found else {
        return parts
            .store
            .write(&daemon, move |tx| store::auto_build_runs::put_off_report(tx, id, None))
            .await;
    };
    let url = address(&auto_build, app.key().as_str(), &run);
    let description = description(&run, state);
    let said = CommitReport { state, url: &url, description: &description };
    let told = match parts.repository(&auto_build) {
        Ok(client) => {
            client.report(&run.sha, &said).await.map_err(|error| (error.is_transient(), error.to_string()))
        }
        Err(error) => Err((false, error.to_string())),
    };
    let Err((is_transient, error)) = told else {
        return parts
            .store
            .write(&daemon, move |tx| store::auto_build_runs::set_reported(tx, id, state))
            .await;
    };
    tracing::info!(error, run = %id, "a provider was not told of a commit");
    // What is refused now may be granted by the time the build ends: then it is told once more.
    let is_last = attempts >= ATTEMPTS || (!is_transient && state != CommitState::Pending);
    let due = (!is_last).then(|| parts.clock.now().plus(pause(attempts)));
    parts.store.write(&daemon, move |tx| store::auto_build_runs::put_off_report(tx, id, due)).await
}

fn address(auto_build: &AutoBuild, app: &str, run: &AutoBuildRun) -> String {
    let builds = format!("{}/apps/{app}/builds", auto_build.origin);
    match run.state {
        RunState::Built(build) => format!("{builds}/{build}/result"),
        RunState::Waiting { .. } | RunState::Failed(_) | RunState::Superseded => format!("{builds}/auto"),
    }
}

fn description(run: &AutoBuildRun, state: CommitState) -> String {
    let text = match (&run.state, state) {
        (RunState::Failed(reason), _) => reason.as_str(),
        (_, CommitState::Pending) => "The build is queued or running.",
        (_, CommitState::Success) => "The build succeeded.",
        (_, CommitState::Failure) => "The build failed.",
        (_, CommitState::Error) => "The build was stopped.",
    };
    text.chars().take(DESCRIPTION_LIMIT).collect()
}
