//! What a worker remembers of an app's dynos between two looks: health, ends, and what is being done to them.
//!
//! Invariant: everything here can be lost. After a restart of the daemon it is rebuilt from the containers and
//! from the dynos as they were last written.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::desired::LiveApp;
use super::plan::{DynoView, LaunchHold, Phase};
use super::probe::{Probe, boot_pause, steady_pause};
use crate::edge::table::Upstream;
use crate::engine::{ContainerId, ContainerState, ObservedContainer};
use crate::model::dyno::{CrashCode, Dyno};
use crate::model::formation::Port;
use crate::model::ids::ReleaseId;
use crate::model::names::{DynoName, ProcessType};
use crate::model::time::Timestamp;

/// A run of this length is taken for health: the next end starts the back-off anew.
const LONG_RUN: Duration = Duration::from_mins(5);
/// A dyno that is not web is ready once it has run this long.
pub(super) const SETTLE: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_mins(5);

/// What is known of an app's dynos.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) dynos: BTreeMap<DynoName, Tracked>,
    pub(super) holds: HashMap<ProcessType, LaunchHold>,
    /// One-off dynos that could not be made.
    pub(super) run_holds: HashMap<DynoName, LaunchHold>,
}

/// One dyno.
#[derive(Debug)]
pub(super) struct Tracked {
    pub(super) process_type: ProcessType,
    pub(super) fingerprint: String,
    pub(super) release: ReleaseId,
    pub(super) created_at: Timestamp,
    /// `None` until the engine has made it.
    pub(super) container: Option<ContainerId>,
    pub(super) activity: Activity,
    pub(super) run: Run,
    /// Whether the edge sends it requests.
    pub(super) serving: bool,
    pub(super) restarts: u32,
    /// Ends without a long run in between.
    pub(super) streak: u32,
}

/// What the worker is doing to a dyno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    None,
    Launching,
    Starting,
    Leaving,
}

/// The process of a dyno.
#[derive(Debug)]
pub(super) enum Run {
    /// Never started, as far as is known.
    None,
    Up(UpRun),
    Ended(End),
    Dead,
}

/// A process that runs.
#[derive(Debug)]
pub(super) struct UpRun {
    pub(super) started_at: Timestamp,
    pub(super) address: Option<IpAddr>,
    pub(super) health: Health,
    /// Probes that failed in a row.
    pub(super) failures: u32,
    /// What the last failed probe said.
    pub(super) complaint: String,
    /// What the next probe asks; `None` until the first look after the start.
    pub(super) probe: Option<Probe>,
    pub(super) upstream: Option<Arc<Upstream>>,
}

/// What the probes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    Unknown,
    Ready,
    Failing,
}

/// How a process ended, or why it could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub(super) at: Timestamp,
    pub(super) code: CrashCode,
    /// For people: "exited with code 1".
    pub(super) text: String,
    pub(super) retry_at: Timestamp,
    /// `None` for a process that never started.
    pub(super) exit_code: Option<i64>,
    /// When this run began, which tells two ends apart; `None` for a process that never started.
    pub(super) started_at: Option<Timestamp>,
}

impl End {
    /// Whether it was ended for want of memory.
    pub(super) fn out_of_memory(&self) -> bool {
        self.code == CrashCode::MemoryQuotaExceeded
    }

    /// Whether the process ran nothing of the app's.
    pub(super) fn never_ran(&self) -> bool {
        self.started_at.is_none() || self.code == CrashCode::DidNotStart
    }
}

/// Consecutive failed probes that take a ready dyno out of rotation.
const FAILURES_THAT_MATTER: u32 = 3;

impl Progress {
    /// Takes in what the engine shows. Dynos that are gone are forgotten, unless they are being launched.
    pub(super) fn observe(&mut self, containers: &[ObservedContainer], written: &[Dyno], now: Timestamp) {
        self.dynos.retain(|name, tracked| {
            tracked.activity == Activity::Launching
                || containers.iter().any(|container| container.dyno == *name)
        });
        for container in containers {
            let known = written.iter().find(|dyno| dyno.name == container.dyno);
            self.dynos
                .entry(container.dyno.clone())
                .or_insert_with(|| Tracked::adopt(container, known))
                .observe(container, known.is_some_and(|dyno| dyno.ready), now);
        }
    }

    /// The dynos as the planner wants them.
    pub(super) fn views(&self, live: Option<&LiveApp>, now: Timestamp) -> Vec<DynoView> {
        self.dynos.iter().map(|(name, tracked)| tracked.view(name, live, now)).collect()
    }

    /// Marks a dyno as being started; its container, if it may be.
    pub(super) fn begin_start(&mut self, name: &DynoName) -> Option<ContainerId> {
        self.begin(name, Activity::Starting)
    }

    /// Marks a dyno as being stopped or removed; its container, if it may be.
    pub(super) fn begin_leave(&mut self, name: &DynoName) -> Option<ContainerId> {
        self.begin(name, Activity::Leaving)
    }

    fn begin(&mut self, name: &DynoName, activity: Activity) -> Option<ContainerId> {
        let tracked = self.dynos.get_mut(name)?;
        let id = tracked.container.clone()?;
        tracked.activity = activity;
        Some(id)
    }

    /// Notes that a one-off dyno could not be made.
    pub(super) fn hold_run(&mut self, dyno: DynoName, error: String, permanent: bool, now: Timestamp) {
        let failures = self.run_holds.get(&dyno).map_or(0, |hold| hold.failures) + 1;
        let hold = LaunchHold { until: now.plus(backoff(failures)), failures, permanent, error };
        self.run_holds.insert(dyno, hold);
    }

    /// Notes that a launch of the type failed, and when the next is due.
    pub(super) fn hold(
        &mut self,
        process_type: &ProcessType,
        error: String,
        permanent: bool,
        now: Timestamp,
    ) {
        let failures = self.holds.get(process_type).map_or(0, |hold| hold.failures) + 1;
        let hold = LaunchHold { until: now.plus(backoff(failures)), failures, permanent, error };
        self.holds.insert(process_type.clone(), hold);
    }
}

impl Tracked {
    /// A dyno that is about to be made.
    pub(super) fn launching(
        process_type: ProcessType,
        fingerprint: String,
        release: ReleaseId,
        now: Timestamp,
    ) -> Self {
        Self {
            process_type,
            fingerprint,
            release,
            created_at: now,
            container: None,
            activity: Activity::Launching,
            run: Run::None,
            serving: false,
            restarts: 0,
            streak: 0,
        }
    }

    fn adopt(container: &ObservedContainer, known: Option<&Dyno>) -> Self {
        let restarts = known.map_or(0, |dyno| dyno.restarts);
        Self {
            process_type: container.process_type.clone(),
            fingerprint: container.fingerprint.clone(),
            release: container.release,
            created_at: container.created_at,
            container: Some(container.id.clone()),
            activity: Activity::None,
            run: Run::None,
            serving: false,
            restarts,
            streak: restarts,
        }
    }

    fn observe(&mut self, container: &ObservedContainer, was_ready: bool, now: Timestamp) {
        self.container = Some(container.id.clone());
        match &container.state {
            ContainerState::Created => {}
            ContainerState::Dead => self.run = Run::Dead,
            ContainerState::Running { address, started_at } => {
                self.observe_running(*address, *started_at, was_ready);
            }
            ContainerState::Exited { code, out_of_memory, started_at, finished_at, error } => {
                let failed_start = started_at.is_none() || !error.is_empty();
                let end = if failed_start {
                    EndSeen {
                        started_at: None,
                        exit_code: None,
                        at: *finished_at,
                        code: CrashCode::of_failed_start(*code),
                        text: error.clone(),
                    }
                } else {
                    EndSeen {
                        exit_code: Some(*code),
                        started_at: *started_at,
                        at: *finished_at,
                        code: CrashCode::of_exit(*code, *out_of_memory),
                        text: exit_text(*code, *out_of_memory),
                    }
                };
                self.observe_end(end, now);
            }
        }
    }

    fn observe_running(&mut self, address: Option<IpAddr>, started_at: Timestamp, was_ready: bool) {
        if let Run::Up(up) = &mut self.run
            && up.started_at == started_at
        {
            if up.address != address {
                up.address = address;
                up.upstream = None;
            }
            return;
        }
        // A dyno that was ready when the daemon was last here, and has run on since, still is.
        let adopted = matches!(self.run, Run::None) && self.activity == Activity::None && was_ready;
        self.run = Run::Up(UpRun {
            started_at,
            address,
            health: if adopted { Health::Ready } else { Health::Unknown },
            failures: 0,
            complaint: String::new(),
            probe: None,
            upstream: None,
        });
    }

    fn observe_end(&mut self, seen: EndSeen, now: Timestamp) {
        if let Run::Ended(end) = &self.run
            && end.started_at == seen.started_at
        {
            return;
        }
        let long = seen.started_at.is_some_and(|started| seen.at.since(started) >= LONG_RUN);
        self.streak = if long { 1 } else { self.streak.saturating_add(1) };
        let retry_at = now.plus(backoff(self.streak.saturating_sub(1)));
        self.run = Run::Ended(End {
            at: seen.at,
            code: seen.code,
            text: seen.text,
            retry_at,
            exit_code: seen.exit_code,
            started_at: seen.started_at,
        });
    }

    /// Notes that the engine could not start the process.
    pub(super) fn start_failed(&mut self, code: CrashCode, error: &str, now: Timestamp) {
        self.streak = self.streak.saturating_add(1);
        let retry_at = now.plus(backoff(self.streak));
        self.run = Run::Ended(End {
            at: now,
            code,
            text: error.to_owned(),
            retry_at,
            exit_code: None,
            started_at: None,
        });
    }

    /// Takes in a probe's answer about the run that began at `run`. Returns whether the planner must look.
    pub(super) fn probed(&mut self, run: Timestamp, answer: Result<(), String>) -> bool {
        let Run::Up(up) = &mut self.run else { return false };
        if up.started_at != run {
            return false;
        }
        let before = up.health;
        match answer {
            Ok(()) => {
                up.failures = 0;
                up.complaint.clear();
                up.health = Health::Ready;
            }
            Err(complaint) => {
                up.failures = up.failures.saturating_add(1);
                up.complaint = complaint;
                if up.health == Health::Ready && up.failures >= FAILURES_THAT_MATTER {
                    up.health = Health::Failing;
                }
            }
        }
        before != up.health
    }

    /// The next probe of the present run, and the pause before it.
    pub(super) fn next_probe(&self) -> Option<(Timestamp, Duration, Probe)> {
        let Run::Up(up) = &self.run else { return None };
        let pause = match up.health {
            Health::Unknown => boot_pause(up.failures),
            Health::Ready | Health::Failing => steady_pause(),
        };
        (self.activity == Activity::None).then_some(())?;
        Some((up.started_at, pause, up.probe.clone()?))
    }

    /// The handle by which the edge reaches the dyno; `make` gives it at first use.
    pub(super) fn upstream(
        &mut self,
        port: Port,
        make: impl FnOnce(SocketAddr) -> Arc<Upstream>,
    ) -> Option<Arc<Upstream>> {
        let Run::Up(up) = &mut self.run else { return None };
        let address = SocketAddr::new(up.address?, port.get());
        Some(Arc::clone(up.upstream.get_or_insert_with(|| make(address))))
    }

    fn view(&self, name: &DynoName, live: Option<&LiveApp>, now: Timestamp) -> DynoView {
        let target = live.and_then(|live| live.target.as_ref()).map(|target| target.release.id);
        DynoView {
            name: name.clone(),
            process_type: self.process_type.clone(),
            fingerprint: self.fingerprint.clone(),
            release: self.release,
            created_at: self.created_at,
            phase: self.phase(now),
            serving: self.serving,
            replace: live.is_some_and(|live| live.replace.contains(name)),
            rejected: live
                .is_some_and(|live| live.failed.contains(&self.release) && target != Some(self.release)),
        }
    }

    pub(super) fn phase(&self, now: Timestamp) -> Phase {
        match (self.activity, &self.run) {
            (Activity::Leaving, _) => Phase::Retiring,
            (Activity::Launching | Activity::Starting, _) => Phase::Launching,
            (Activity::None, Run::None) => Phase::Created,
            (Activity::None, Run::Dead) => Phase::Dead,
            (Activity::None, Run::Ended(end)) => Phase::Ended { streak: self.streak, retry_at: end.retry_at },
            (Activity::None, Run::Up(up)) => {
                let booting = Phase::Booting { since: up.started_at };
                match up.health {
                    Health::Ready => Phase::Ready,
                    Health::Failing => Phase::Failing,
                    Health::Unknown if self.process_type.is_web() => booting,
                    Health::Unknown if now.since(up.started_at) >= SETTLE => Phase::Ready,
                    Health::Unknown => booting,
                }
            }
        }
    }
}

struct EndSeen {
    exit_code: Option<i64>,
    started_at: Option<Timestamp>,
    at: Timestamp,
    code: CrashCode,
    text: String,
}

/// Before the n-th restart in a row: none before the first, then 1, 2, 4 … seconds up to five minutes.
fn backoff(streak: u32) -> Duration {
    match streak {
        0 => Duration::ZERO,
        n => {
            Duration::from_secs(1).saturating_mul(2_u32.saturating_pow((n - 1).min(16))).min(LONGEST_BACKOFF)
        }
    }
}

fn exit_text(code: i64, out_of_memory: bool) -> String {
    if out_of_memory { "ran out of memory".to_owned() } else { format!("exited with code {code}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_later_ones_wait_longer_and_longer() {
        let waits: Vec<u64> = (0..12).map(|streak| backoff(streak).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }
}
