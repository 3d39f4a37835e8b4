//! One-off dynos as a worker loads them, and how each of them stands.

use std::collections::BTreeMap;

use super::desired::{DesiredRun, LiveApp, RunSpec, environment};
use super::once::{Gate, Noted, OncePhase, OnceView};
use super::plan::Rollout;
use super::progress::{Activity, Progress, Run};
use crate::model::app::App;
use crate::model::build::BuildState;
use crate::model::catalogue::Catalogue;
use crate::model::formation::Port;
use crate::model::oneoff::{OneOff, Purpose};
use crate::model::time::Timestamp;
use crate::seal::Sealer;
use crate::store::{self, Connection, StoreError};

/// What the fingerprints of one-off dynos begin with, so that their containers are told from those of formations also
/// when the store knows of them no more.
const MARK: &str = "once-";

/// Whether a container with that fingerprint is a one-off dyno.
pub(super) fn is_run(fingerprint: &str) -> bool {
    fingerprint.starts_with(MARK)
}

/// Loads the one-off dynos of an app in the caller's read, with what is needed to make those that have not ended.
pub(super) fn load(
    connection: &Connection,
    sealer: &Sealer,
    catalogue: &Catalogue,
    (app, now): (&App, Timestamp),
) -> Result<Vec<DesiredRun>, StoreError> {
    let present = store::oneoffs::list_present(connection, sealer, app.id, now)?;
    let mut runs = Vec::with_capacity(present.len());
    for oneoff in present {
        let made = match &oneoff.ended {
            None => spec(connection, sealer, catalogue, (app, &oneoff))?,
            Some(_) => None,
        };
        runs.push(DesiredRun { oneoff, made });
    }
    Ok(runs)
}

/// How far a release is that has begun, by its command.
pub(super) fn rollout(command: Option<OneOff>, since: Timestamp) -> Rollout {
    let Some(command) = command else { return Rollout::Pending { since } };
    let succeeded = command.succeeded();
    match command.ended {
        None => Rollout::Preparing,
        Some(ended) if succeeded => Rollout::Pending { since: ended.at.max(since) },
        Some(ended) => Rollout::Refused { dyno: command.name, ending: ended.text() },
    }
}

fn spec(
    connection: &Connection,
    sealer: &Sealer,
    catalogue: &Catalogue,
    (app, oneoff): (&App, &OneOff),
) -> Result<Option<RunSpec>, StoreError> {
    let Some(release) = store::releases::find(connection, app.id, oneoff.release_id)? else {
        return Ok(None);
    };
    let build = store::builds::find(connection, sealer, release.slug)?;
    let Some(BuildState::Succeeded { image, .. }) = build.map(|build| build.state) else { return Ok(None) };
    let vars = store::config_vars::effective(connection, sealer, app.id)?;
    let formations = store::formations::list(connection, app.id)?;
    let port = formations.iter().find_map(|formation| formation.port).unwrap_or(Port::DEFAULT);
    let mut env: BTreeMap<String, String> = environment(app, &release, &vars, port);
    env.extend(oneoff.env.iter().map(|(name, value)| (name.to_string(), value.reveal().to_owned())));
    env.insert("AKKERIS_DYNO".to_owned(), format!("{}.{}", oneoff.process_type, oneoff.name));
    let argv = oneoff.command.as_ref().map(|command| command.argv(|name| env.get(name).map(String::as_str)));
    let made_from = serde_json::json!([oneoff.name, image.as_str(), argv, env]);
    Ok(Some(RunSpec {
        image,
        memory_limit: catalogue.memory_limit(&oneoff.size),
        argv,
        fingerprint: format!("{MARK}{}", sealer.fingerprint(made_from.to_string().as_bytes())),
        env,
    }))
}

/// The one-off dynos as the planner wants them.
pub(super) fn views(live: &LiveApp, progress: &Progress) -> Vec<OnceView> {
    live.runs.iter().map(|run| view(live, &run.oneoff, progress)).collect()
}

fn view(live: &LiveApp, oneoff: &OneOff, progress: &Progress) -> OnceView {
    let waits = oneoff.terminal.is_attached() && oneoff.attached_at.is_none();
    OnceView {
        name: oneoff.name.clone(),
        purpose: oneoff.purpose,
        created_at: oneoff.created_at,
        time_limit: oneoff.time_limit,
        gate: if waits { Gate::Terminal } else { Gate::Open },
        stop: stop(live, oneoff),
        noted: match (&oneoff.ended, oneoff.started_at) {
            (Some(ended), _) => Noted::Ended { at: ended.at },
            (None, Some(_)) => Noted::Started,
            (None, None) => Noted::Nothing,
        },
        phase: phase(oneoff, progress),
    }
}

fn stop(live: &LiveApp, oneoff: &OneOff) -> Option<String> {
    let target = live.target.as_ref().map(|target| target.release.id);
    if oneoff.purpose == Purpose::Release && target != Some(oneoff.release_id) {
        return Some("its release is not wanted any more".to_owned());
    }
    oneoff.stopped_by.as_ref().map(|user| format!("stopped by {user}"))
}

fn phase(oneoff: &OneOff, progress: &Progress) -> OncePhase {
    let Some(tracked) = progress.dynos.get(&oneoff.name) else {
        return OncePhase::Absent { hold: progress.run_holds.get(&oneoff.name).cloned() };
    };
    match (tracked.activity, &tracked.run) {
        (Activity::Launching | Activity::Starting | Activity::Leaving, _) => OncePhase::Busy,
        (Activity::None, Run::None) => OncePhase::Made,
        (Activity::None, Run::Up(up)) => OncePhase::Running { since: up.started_at },
        (Activity::None, Run::Ended(end)) => OncePhase::Over {
            exit_code: end.exit_code,
            started_at: end.started_at,
            at: end.at,
            text: if end.exit_code.is_some() && !end.out_of_memory() {
                String::new()
            } else {
                end.text.clone()
            },
        },
        (Activity::None, Run::Dead) => OncePhase::Dead,
    }
}
