//! The dynos as the API shows them, from what a worker knows.

use std::time::Duration;

use super::desired::LiveApp;
use super::plan::Phase;
use super::progress::{Activity, Health, Progress, Run, Tracked, UpRun};
use super::runs;
use crate::model::dyno::{CrashCode, Dyno, DynoState};
use crate::model::event::Event;
use crate::model::names::DynoName;
use crate::model::oneoff::OneOff;
use crate::model::time::Timestamp;
use crate::service::oneoffs;

/// The rows of an app's dynos; one that did not change keeps its time of change.
///
/// A web dyno that has booted for longer than `boot_limit` shows as `probe-failure`.
pub(super) fn rows(live: &LiveApp, progress: &Progress, now: Timestamp, boot_limit: Duration) -> Vec<Dyno> {
    let row = |(name, tracked): (&DynoName, &Tracked)| row(live, name, tracked, now, boot_limit);
    let serving =
        progress.dynos.iter().filter(|(_, tracked)| !runs::is_run(&tracked.fingerprint)).filter_map(row);
    let unfinished = live.runs.iter().map(|run| &run.oneoff).filter(|oneoff| oneoff.ended.is_none());
    serving.chain(unfinished.map(|oneoff| run_row(live, oneoff, progress, now))).collect()
}

/// That web dynos did not get ready in time since they were started, each told once (H20, `behaviour.md` §30):
/// when it shows as waiting no longer.
pub(super) fn late(live: &LiveApp, progress: &Progress, now: Timestamp, boot_limit: Duration) -> Vec<Event> {
    let is_late = |(name, tracked): &(&DynoName, &Tracked)| {
        let waiting = |dyno: &Dyno| dyno.name == **name && dyno.state == DynoState::Waiting;
        let unready = |up: &UpRun| up.health == Health::Unknown && now.since(up.started_at) >= boot_limit;
        tracked.process_type.is_web()
            && live.dynos.iter().any(waiting)
            && matches!(&tracked.run, Run::Up(up) if unready(up))
    };
    let event = |(name, tracked): (&DynoName, &Tracked)| Event::DynoCrashed {
        app: live.app.id,
        process_type: tracked.process_type.clone(),
        dyno: name.clone(),
        code: CrashCode::BootTimeout,
        restarts: tracked.restarts,
    };
    progress.dynos.iter().filter(is_late).map(event).collect()
}

/// A one-off dyno, from when it is asked for to its end.
fn run_row(live: &LiveApp, oneoff: &OneOff, progress: &Progress, now: Timestamp) -> Dyno {
    let mut dyno = oneoffs::shown(oneoff);
    if let Some(tracked) = progress.dynos.get(&oneoff.name) {
        let (state, ready) = match (tracked.activity, &tracked.run) {
            (Activity::None, Run::None) if oneoff.terminal.is_attached() => (DynoState::Waiting, false),
            (Activity::Launching | Activity::Starting, _) | (Activity::None, Run::None) => {
                (DynoState::Pending, false)
            }
            (Activity::None, Run::Up(_)) => (DynoState::Running, true),
            (Activity::Leaving, _) | (Activity::None, Run::Ended(_) | Run::Dead) => {
                (DynoState::Stopping, false)
            }
        };
        (dyno.state, dyno.ready) = (state, ready);
    }
    dyno.updated_at = since(live, &dyno, now);
    dyno
}

/// When a dyno became as it is.
fn since(live: &LiveApp, dyno: &Dyno, now: Timestamp) -> Timestamp {
    let before = live.dynos.iter().find(|before| before.name == dyno.name);
    let same = |before: &&Dyno| Dyno { updated_at: before.updated_at, ..dyno.clone() } == **before;
    before.filter(same).map_or(now, |before| before.updated_at)
}

/// `None` for a dyno that does not exist in the engine yet.
fn row(
    live: &LiveApp,
    name: &DynoName,
    tracked: &Tracked,
    now: Timestamp,
    boot_limit: Duration,
) -> Option<Dyno> {
    tracked.container.as_ref()?;
    let before = live.dynos.iter().find(|dyno| dyno.name == *name);
    let phase = tracked.phase(now);
    let wanted = live.type_of(&tracked.process_type);
    let size = before.map(|dyno| dyno.size.clone()).or_else(|| wanted.map(|wanted| wanted.size.clone()))?;
    let command = before.map(|dyno| dyno.command.clone()).or_else(|| {
        wanted.map(|wanted| {
            wanted.formation.command.command().map_or_else(String::new, |c| c.as_str().to_owned())
        })
    })?;
    let mut dyno = Dyno {
        name: name.clone(),
        app_id: live.app.id,
        process_type: tracked.process_type.clone(),
        release_id: tracked.release,
        size,
        command,
        state: state(tracked, &phase, now, boot_limit),
        ready: phase == Phase::Ready,
        restarts: tracked.restarts,
        info: info(tracked, &phase),
        created_at: tracked.created_at,
        updated_at: now,
    };
    dyno.updated_at = since(live, &dyno, now);
    Some(dyno)
}

fn state(tracked: &Tracked, phase: &Phase, now: Timestamp, boot_limit: Duration) -> DynoState {
    match phase {
        Phase::Launching | Phase::Created => DynoState::Pending,
        Phase::Booting { since } if now.since(*since) >= boot_limit => DynoState::ProbeFailure,
        Phase::Booting { .. } => DynoState::Waiting,
        Phase::Ready => DynoState::Running,
        Phase::Failing => DynoState::ProbeFailure,
        Phase::Ended { .. } => match &tracked.run {
            Run::Ended(end) if end.never_ran() => DynoState::StartFailure,
            Run::None | Run::Up(_) | Run::Ended(_) | Run::Dead => DynoState::AppCrashed,
        },
        Phase::Retiring => DynoState::Stopping,
        Phase::Dead => DynoState::Stopped,
    }
}

fn info(tracked: &Tracked, phase: &Phase) -> String {
    match (&tracked.run, phase) {
        (Run::Ended(end), Phase::Ended { .. }) => {
            format!("{} ({}): {}", end.code, end.code.description(), end.text)
        }
        (Run::Up(up), Phase::Booting { .. } | Phase::Failing) => up.complaint.clone(),
        _ => String::new(),
    }
}
