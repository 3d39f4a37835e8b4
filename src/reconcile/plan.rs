//! Decides, from what shall run and what runs, what to do next. Pure and total: no I/O, no clock.
//!
//! Invariants: applying the plan until nothing is left converges; while a rollout is under way no ready dyno
//! of the old deployment is taken out before the new deployment is complete, but where dynos run alone: there no dyno
//! is launched or started while another of its type may run; a plan names only dynos it was given.

use std::time::Duration;

use crate::model::ids::ReleaseId;
use crate::model::names::{DynoName, ProcessType};
use crate::model::time::Timestamp;

/// Limits of a rollout.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A web dyno that is not ready this long after its start fails the release (H20).
    pub boot: Duration,
    /// A release that is not up this long after it began fails.
    pub release: Duration,
}

/// What shall run of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// The types with at least one dyno wanted; a type that is not here shall not run.
    pub types: Vec<TypeGoal>,
    /// The release under way, if the target is not settled yet.
    pub rollout: Rollout,
    /// Two dynos of a type must never run together, so an old one goes before a new one comes.
    pub alone: bool,
}

/// What shall run of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeGoal {
    pub process_type: ProcessType,
    pub quantity: usize,
    /// A dyno with another fingerprint belongs to an older deployment.
    pub fingerprint: String,
    /// Failed attempts to make a dyno hold back the next one.
    pub hold: Option<LaunchHold>,
}

/// Launches of a type failed; the next is due at `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchHold {
    pub until: Timestamp,
    pub failures: u32,
    /// Whether the cause is the image or the command, not the engine's absence.
    pub permanent: bool,
    pub error: String,
}

/// How far the target release is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rollout {
    /// Nothing to release: config, scaling and restarts only.
    Settled,
    /// The release is on disk, and nothing was done for it.
    Queued,
    /// Its command runs; nothing of it is started before that has ended well, and what runs stays.
    Preparing,
    /// Its command failed.
    Refused { dyno: DynoName, ending: String },
    /// Its dynos are coming up.
    Pending { since: Timestamp },
    /// It failed, and there is no other to run; it still succeeds when its dynos get healthy.
    Failed,
}

/// A dyno as the worker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynoView {
    pub name: DynoName,
    pub process_type: ProcessType,
    pub fingerprint: String,
    pub release: ReleaseId,
    pub created_at: Timestamp,
    pub phase: Phase,
    /// It was in the rotation of the last plan.
    pub serving: bool,
    /// A user asked for this one dyno to be replaced.
    pub replace: bool,
    /// It belongs to a release that failed, while another shall run.
    pub rejected: bool,
}

/// What a dyno is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Being made or started right now.
    Launching,
    /// Made, not started: the daemon died in between.
    Created,
    /// Its process runs; it is not known to be ready.
    Booting { since: Timestamp },
    /// It receives requests, or (not web) has run for a moment.
    Ready,
    /// It was ready and its health check fails.
    Failing,
    /// Its process ended by itself. `streak` counts the ends without a long run in between.
    Ended { streak: u32, retry_at: Timestamp },
    /// Being drained, stopped and removed right now.
    Retiring,
    /// The engine says it is beyond repair.
    Dead,
}

/// One thing to do. Each is idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Journal that the target release is being rolled out; plan again after that.
    BeginRelease,
    /// Make and start one more dyno of the type.
    Launch(ProcessType),
    /// Start a dyno whose process is not running.
    Start(DynoName),
    /// Take it out of rotation, drain, stop and remove it.
    Retire(DynoName),
    /// Remove a dyno whose process is not running.
    Remove(DynoName),
    /// Every dyno of the target release is ready.
    SucceedRelease,
    /// The target release cannot come up.
    FailRelease(FailureCause),
}

/// Why a release fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureCause {
    /// This dyno ended again and again.
    Crashes(DynoName),
    /// This web dyno did not get ready in time.
    BootTimeout(DynoName),
    /// No dyno of the type could be made.
    Launch { process_type: ProcessType, error: String },
    /// The command of the release ended otherwise than with the status 0.
    Command { dyno: DynoName, ending: String },
    /// It took too long altogether.
    Deadline,
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// The web dynos that receive requests from now on.
    pub rotation: Vec<DynoName>,
    /// When to look again, if nothing happens before.
    pub wake_at: Option<Timestamp>,
}

/// Ends of one dyno during a rollout that are taken for "it will not come up".
const CRASHES_THAT_FAIL: u32 = 3;
/// Failed launches during a rollout that are taken for the same.
const LAUNCHES_THAT_FAIL: u32 = 3;
/// Dynos of one app that are launched at the same time.
const LAUNCHES_AT_ONCE: usize = 8;

impl Goal {
    /// Nothing shall run.
    pub fn nothing() -> Self {
        Self { types: Vec::new(), rollout: Rollout::Settled, alone: false }
    }
}

/// Decides what to do. `views` are all dynos of the app; `now` is the instant of the observation.
pub fn plan(goal: &Goal, views: &[DynoView], now: Timestamp, limits: Limits) -> Plan {
    let mut planner = Planner { goal, views, now, limits, plan: Plan::default() };
    planner.run();
    planner.plan
}

/// Where a dyno stands towards the goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Current,
    Old,
}

struct Planner<'a> {
    goal: &'a Goal,
    views: &'a [DynoView],
    now: Timestamp,
    limits: Limits,
    plan: Plan,
}

impl<'a> Planner<'a> {
    fn run(&mut self) {
        self.plan.rotation = self.rotation();
        if self.goal.rollout == Rollout::Queued {
            self.plan.actions.push(Action::BeginRelease);
            return;
        }
        if self.goal.rollout == Rollout::Preparing {
            for view in self.views {
                self.keep(view);
            }
            return;
        }
        if let Some(cause) = self.failure() {
            self.plan.actions.push(Action::FailRelease(cause));
            return;
        }
        let goal = self.goal;
        for wanted in &goal.types {
            self.fill(wanted);
        }
        for view in self.views {
            self.settle(view);
        }
        let unsettled = matches!(self.goal.rollout, Rollout::Pending { .. } | Rollout::Failed);
        if unsettled && self.is_complete() && !self.goal.types.is_empty() || self.is_empty_release() {
            self.plan.actions.push(Action::SucceedRelease);
        }
    }

    /// A release of an app that is scaled to zero succeeds at once (reading 7).
    fn is_empty_release(&self) -> bool {
        matches!(self.goal.rollout, Rollout::Pending { .. }) && self.goal.types.is_empty()
    }

    fn standing(&self, view: &DynoView) -> Standing {
        let current =
            self.wanted(&view.process_type).is_some_and(|wanted| wanted.fingerprint == view.fingerprint);
        if current && !view.replace && !view.rejected { Standing::Current } else { Standing::Old }
    }

    fn wanted(&self, process_type: &ProcessType) -> Option<&'a TypeGoal> {
        self.goal.types.iter().find(|wanted| wanted.process_type == *process_type)
    }

    fn current<'p>(&'p self, wanted: &'p TypeGoal) -> impl Iterator<Item = &'a DynoView> + use<'a, 'p> {
        self.views.iter().filter(|view| {
            view.process_type == wanted.process_type
                && view.phase != Phase::Retiring
                && self.standing(view) == Standing::Current
        })
    }

    fn is_type_complete(&self, wanted: &TypeGoal) -> bool {
        self.current(wanted).filter(|view| view.phase == Phase::Ready).count() >= wanted.quantity
    }

    /// Whether every type has all its dynos ready.
    fn is_complete(&self) -> bool {
        self.goal.types.iter().all(|wanted| self.is_type_complete(wanted))
    }

    /// Whether the old dynos of a type may go: a release replaces all types together, any other change
    /// each type by itself. Where dynos run alone they go first.
    fn may_replace(&self, process_type: &ProcessType) -> bool {
        match self.goal.rollout {
            Rollout::Queued | Rollout::Preparing | Rollout::Refused { .. } => false,
            Rollout::Pending { .. } | Rollout::Settled | Rollout::Failed if self.goal.alone => true,
            Rollout::Pending { .. } => self.is_complete(),
            Rollout::Settled | Rollout::Failed => {
                self.wanted(process_type).is_none_or(|wanted| self.is_type_complete(wanted))
            }
        }
    }

    /// Launches what is missing and retires what is too much of the current deployment.
    fn fill(&mut self, wanted: &TypeGoal) {
        let leaving: Vec<Action> = self.surplus(wanted).into_iter().filter_map(leave).collect();
        self.plan.actions.extend(leaving);
        let present = self.current(wanted).filter(|view| view.phase != Phase::Dead).count();
        let missing = wanted.quantity.saturating_sub(present);
        match &wanted.hold {
            Some(hold) if missing > 0 && hold.until > self.now => self.wake(hold.until),
            _ if missing > 0 && self.is_blocked(wanted) => {}
            _ => {
                let launching = self.views.iter().filter(|view| view.phase == Phase::Launching).count();
                let launches = missing.min(LAUNCHES_AT_ONCE.saturating_sub(launching));
                let launch = Action::Launch(wanted.process_type.clone());
                self.plan.actions.extend(std::iter::repeat_n(launch, launches));
            }
        }
    }

    /// Whether another dyno of the type may still run, where dynos run alone.
    fn is_blocked(&self, wanted: &TypeGoal) -> bool {
        let is_other = |view: &&DynoView| {
            matches!(view.phase, Phase::Retiring | Phase::Dead) || self.standing(view) == Standing::Old
        };
        let mut same_type = self.views.iter().filter(|view| view.process_type == wanted.process_type);
        self.goal.alone && same_type.any(|view| is_other(&view))
    }

    /// Starts a dyno that was made already, unless it has to wait for another one's end.
    fn start(&mut self, view: &DynoView) {
        if !self.wanted(&view.process_type).is_some_and(|wanted| self.is_blocked(wanted)) {
            self.plan.actions.push(Action::Start(view.name.clone()));
        }
    }

    /// The dynos of the current deployment beyond the wanted number. The least useful go first: not ready
    /// before ready, younger before older.
    fn surplus(&self, wanted: &TypeGoal) -> Vec<&'a DynoView> {
        let mut present: Vec<&'a DynoView> =
            self.current(wanted).filter(|view| view.phase != Phase::Dead).collect();
        present.sort_by_key(|view| (view.phase == Phase::Ready, std::cmp::Reverse(view.created_at)));
        present.truncate(present.len().saturating_sub(wanted.quantity));
        present
    }

    /// Keeps a dyno as it is: one that ended by itself is started again, and what is rejected goes.
    fn keep(&mut self, view: &DynoView) {
        match &view.phase {
            Phase::Launching | Phase::Retiring => {}
            Phase::Dead => self.plan.actions.push(Action::Remove(view.name.clone())),
            _ if view.rejected => self.plan.actions.extend(leave(view)),
            Phase::Ended { retry_at, .. } if *retry_at > self.now => self.wake(*retry_at),
            Phase::Ended { .. } | Phase::Created => self.plan.actions.push(Action::Start(view.name.clone())),
            Phase::Booting { .. } | Phase::Ready | Phase::Failing => {}
        }
    }

    /// Brings one dyno on its way: starts, keeps, or lets it go.
    fn settle(&mut self, view: &DynoView) {
        let already = self.plan.actions.iter().any(|action| match action {
            Action::Retire(name) | Action::Remove(name) | Action::Start(name) => *name == view.name,
            Action::BeginRelease | Action::Launch(_) | Action::SucceedRelease | Action::FailRelease(_) => {
                false
            }
        });
        if already {
            return;
        }
        match (self.standing(view), &view.phase) {
            (_, Phase::Launching | Phase::Retiring) | (Standing::Current, Phase::Ready | Phase::Failing) => {}
            (_, Phase::Dead) => self.plan.actions.push(Action::Remove(view.name.clone())),
            (Standing::Current, Phase::Created) => self.start(view),
            (Standing::Current, Phase::Ended { retry_at, .. }) => {
                if *retry_at <= self.now {
                    self.start(view);
                } else {
                    self.wake(*retry_at);
                }
            }
            (Standing::Current, Phase::Booting { since }) => self.wake(since.plus(self.limits.boot)),
            (Standing::Old, Phase::Ready | Phase::Failing) => {
                if view.rejected || self.may_replace(&view.process_type) {
                    self.plan.actions.extend(leave(view));
                }
            }
            (Standing::Old, Phase::Created | Phase::Booting { .. } | Phase::Ended { .. }) => {
                self.plan.actions.extend(leave(view));
            }
        }
    }

    /// The web dynos that shall receive requests: the new deployment once it is complete; until then the
    /// old one, as long as any of it is ready. Only when the new deployment serves already, because nothing
    /// of the old one was ready, must the old one first have as many dynos ready to take over again.
    fn rotation(&self) -> Vec<DynoName> {
        let leaving: Vec<&DynoName> = self
            .wanted(&ProcessType::web())
            .map(|web| self.surplus(web))
            .unwrap_or_default()
            .into_iter()
            .map(|view| &view.name)
            .collect();
        let (new, old): (Vec<&DynoView>, Vec<&DynoView>) = self
            .views
            .iter()
            .filter(|view| view.process_type.is_web() && view.phase == Phase::Ready && !view.rejected)
            .filter(|view| !leaving.contains(&&view.name))
            .partition(|view| self.standing(view) == Standing::Current);
        let serves = |dynos: &[&DynoView]| dynos.iter().any(|view| view.serving);
        let new_goes_on = serves(&new) && !serves(&old) && new.len() > old.len();
        let chosen =
            if new_goes_on || old.is_empty() || self.may_replace(&ProcessType::web()) { new } else { old };
        chosen.into_iter().map(|view| view.name.clone()).collect()
    }

    /// Why the release under way cannot come up, if it cannot.
    fn failure(&mut self) -> Option<FailureCause> {
        let goal = self.goal;
        let since = match &goal.rollout {
            Rollout::Pending { since } => *since,
            Rollout::Refused { dyno, ending } => {
                return Some(FailureCause::Command { dyno: dyno.clone(), ending: ending.clone() });
            }
            Rollout::Settled | Rollout::Queued | Rollout::Preparing | Rollout::Failed => return None,
        };
        for wanted in &goal.types {
            if let Some(hold) =
                wanted.hold.as_ref().filter(|hold| hold.permanent && hold.failures >= LAUNCHES_THAT_FAIL)
            {
                return Some(FailureCause::Launch {
                    process_type: wanted.process_type.clone(),
                    error: hold.error.clone(),
                });
            }
            for view in self.current(wanted) {
                match view.phase {
                    Phase::Ended { streak, .. } if streak >= CRASHES_THAT_FAIL => {
                        return Some(FailureCause::Crashes(view.name.clone()));
                    }
                    Phase::Booting { since } if self.now.since(since) >= self.limits.boot => {
                        return Some(FailureCause::BootTimeout(view.name.clone()));
                    }
                    Phase::Launching
                    | Phase::Created
                    | Phase::Booting { .. }
                    | Phase::Ready
                    | Phase::Failing
                    | Phase::Ended { .. }
                    | Phase::Retiring
                    | Phase::Dead => {}
                }
            }
        }
        if self.now.since(since) >= self.limits.release && !self.is_complete() {
            return Some(FailureCause::Deadline);
        }
        self.wake(since.plus(self.limits.release));
        None
    }

    fn wake(&mut self, at: Timestamp) {
        if at > self.now {
            self.plan.wake_at = Some(self.plan.wake_at.map_or(at, |earlier| earlier.min(at)));
        }
    }
}

/// How a dyno goes: one that runs is drained and stopped, one that does not is removed.
fn leave(view: &DynoView) -> Option<Action> {
    match view.phase {
        Phase::Launching | Phase::Retiring => None,
        Phase::Booting { .. } | Phase::Ready | Phase::Failing => Some(Action::Retire(view.name.clone())),
        Phase::Created | Phase::Ended { .. } | Phase::Dead => Some(Action::Remove(view.name.clone())),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::ids::deterministic;

    const LIMITS: Limits = Limits { boot: Duration::from_mins(1), release: Duration::from_mins(10) };

    fn release() -> ReleaseId {
        ReleaseId::new(deterministic("release"))
    }

    fn dyno(number: usize, process_type: &str, fingerprint: &str, phase: Phase) -> DynoView {
        DynoView {
            name: DynoName::new(fingerprint, &number.to_string()),
            process_type: ProcessType::parse(process_type).unwrap(),
            fingerprint: fingerprint.to_owned(),
            release: release(),
            created_at: Timestamp::from_millis(i64::try_from(number).unwrap()),
            phase,
            serving: false,
            replace: false,
            rejected: false,
        }
    }

    fn goal(types: &[(&str, usize, &str)], rollout: Rollout) -> Goal {
        let types = types
            .iter()
            .map(|(process_type, quantity, fingerprint)| TypeGoal {
                process_type: ProcessType::parse(process_type).unwrap(),
                quantity: *quantity,
                fingerprint: (*fingerprint).to_owned(),
                hold: None,
            })
            .collect();
        Goal { types, rollout, alone: false }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn pending() -> Rollout {
        Rollout::Pending { since: at(0) }
    }

    #[test]
    fn a_release_is_journalled_before_anything_is_done_for_it() {
        let plan = plan(&goal(&[("web", 1, "b")], Rollout::Queued), &[], at(0), LIMITS);
        assert_eq!(plan.actions, [Action::BeginRelease]);
    }

    #[test]
    fn old_dynos_stay_in_rotation_until_every_new_one_is_ready() {
        let old = dyno(1, "web", "a", Phase::Ready);
        let booting = dyno(2, "web", "b", Phase::Booting { since: at(0) });
        let ready = dyno(3, "web", "b", Phase::Ready);
        let goal = goal(&[("web", 2, "b")], pending());
        let half = plan(&goal, &[old.clone(), booting, ready.clone()], at(1), LIMITS);
        assert_eq!(half.rotation, std::slice::from_ref(&old.name));
        assert_eq!(half.actions, []);
        let second = dyno(2, "web", "b", Phase::Ready);
        let whole = plan(&goal, &[old.clone(), second.clone(), ready.clone()], at(2), LIMITS);
        assert_eq!(whole.rotation, [second.name, ready.name]);
        assert_eq!(whole.actions, [Action::Retire(old.name), Action::SucceedRelease]);
    }

    #[test]
    fn a_late_dyno_of_the_old_deployment_does_not_take_over_from_more_that_serve() {
        let serving = |number| DynoView { serving: true, ..dyno(number, "web", "b", Phase::Ready) };
        let (first, second) = (serving(1), serving(2));
        let late = dyno(3, "web", "a", Phase::Ready);
        let goal = goal(&[("web", 2, "b"), ("worker", 1, "b")], pending());
        let plan = plan(&goal, &[first.clone(), second.clone(), late], at(1), LIMITS);
        assert_eq!(plan.rotation, [first.name, second.name]);
    }

    #[test]
    fn a_release_replaces_web_only_when_its_workers_are_up_too() {
        let old = dyno(1, "web", "a", Phase::Ready);
        let new = dyno(2, "web", "b", Phase::Ready);
        let worker = dyno(3, "worker", "b", Phase::Booting { since: at(0) });
        let goal = goal(&[("web", 1, "b"), ("worker", 1, "b")], pending());
        let plan = plan(&goal, &[old.clone(), new, worker], at(1), LIMITS);
        assert_eq!((plan.rotation, plan.actions), (vec![old.name], vec![]));
    }

    #[test]
    fn a_release_fails_when_its_dyno_crashes_again_and_again_or_never_gets_ready() {
        let goal = goal(&[("web", 1, "b")], pending());
        let crashing = dyno(2, "web", "b", Phase::Ended { streak: 3, retry_at: at(9) });
        assert_eq!(
            plan(&goal, std::slice::from_ref(&crashing), at(1), LIMITS).actions,
            [Action::FailRelease(FailureCause::Crashes(crashing.name))]
        );
        let booting = dyno(2, "web", "b", Phase::Booting { since: at(0) });
        assert_eq!(
            plan(&goal, std::slice::from_ref(&booting), at(60_000), LIMITS).actions,
            [Action::FailRelease(FailureCause::BootTimeout(booting.name))]
        );
    }

    #[test]
    fn a_crashed_dyno_waits_for_its_date_and_is_then_started_never_removed() {
        let goal = goal(&[("web", 1, "a")], Rollout::Settled);
        let ended = dyno(1, "web", "a", Phase::Ended { streak: 5, retry_at: at(10) });
        let early = plan(&goal, std::slice::from_ref(&ended), at(9), LIMITS);
        assert_eq!((early.actions, early.wake_at), (vec![], Some(at(10))));
        let due = plan(&goal, std::slice::from_ref(&ended), at(10), LIMITS);
        assert_eq!(due.actions, [Action::Start(ended.name)]);
    }

    #[test]
    fn a_dyno_of_a_failed_release_goes_at_once() {
        let mut rejected = dyno(2, "web", "b", Phase::Ready);
        rejected.rejected = true;
        let old = dyno(1, "web", "a", Phase::Ready);
        let goal = goal(&[("web", 1, "a")], Rollout::Settled);
        let plan = plan(&goal, &[old.clone(), rejected.clone()], at(1), LIMITS);
        assert_eq!((plan.rotation, plan.actions), (vec![old.name], vec![Action::Retire(rejected.name)]));
    }

    #[test]
    fn while_the_command_of_a_release_runs_the_old_dynos_are_kept_and_no_new_one_is_made() {
        let old = dyno(1, "web", "a", Phase::Ready);
        let ended = dyno(2, "web", "a", Phase::Ended { streak: 1, retry_at: at(1) });
        let goal = goal(&[("web", 3, "b"), ("worker", 1, "b")], Rollout::Preparing);
        let plan = plan(&goal, &[old.clone(), ended.clone()], at(1), LIMITS);
        assert_eq!((plan.rotation, plan.actions), (vec![old.name], vec![Action::Start(ended.name)]));
    }

    #[test]
    fn a_release_whose_command_failed_fails_and_starts_nothing() {
        let old = dyno(1, "web", "a", Phase::Ready);
        let command = DynoName::new("0000000001", "abcde");
        let rollout = Rollout::Refused { dyno: command.clone(), ending: "exited with status 1".to_owned() };
        let plan = plan(&goal(&[("web", 1, "b")], rollout), std::slice::from_ref(&old), at(1), LIMITS);
        let cause = FailureCause::Command { dyno: command, ending: "exited with status 1".to_owned() };
        assert_eq!((plan.rotation, plan.actions), (vec![old.name], vec![Action::FailRelease(cause)]));
    }

    #[test]
    fn an_app_scaled_to_zero_is_released_at_once() {
        assert_eq!(plan(&goal(&[], pending()), &[], at(1), LIMITS).actions, [Action::SucceedRelease]);
    }

    #[test]
    fn a_dyno_that_runs_alone_goes_before_the_next_comes() {
        let goal = Goal { alone: true, ..goal(&[("web", 1, "b")], pending()) };
        let old = dyno(1, "web", "a", Phase::Ready);
        let first = plan(&goal, std::slice::from_ref(&old), at(1), LIMITS);
        assert_eq!((first.rotation, first.actions), (vec![], vec![Action::Retire(old.name.clone())]));
        let leaving = DynoView { phase: Phase::Retiring, ..old };
        assert_eq!(plan(&goal, &[leaving], at(1), LIMITS).actions, []);
        let web = ProcessType::web();
        assert_eq!(plan(&goal, &[], at(1), LIMITS).actions, [Action::Launch(web)]);
    }

    #[test]
    fn a_dyno_of_a_failed_release_stops_before_the_old_release_comes_back() {
        let goal = Goal { alone: true, ..goal(&[("web", 1, "a")], Rollout::Settled) };
        let rejected = DynoView { rejected: true, ..dyno(2, "web", "b", Phase::Booting { since: at(0) }) };
        let plan = plan(&goal, std::slice::from_ref(&rejected), at(1), LIMITS);
        assert_eq!(plan.actions, [Action::Retire(rejected.name)]);
    }

    fn any_phase() -> impl Strategy<Value = Phase> {
        prop_oneof![
            4 => Just(Phase::Ready),
            1 => Just(Phase::Created),
            1 => Just(Phase::Booting { since: at(0) }),
            1 => Just(Phase::Failing),
            1 => Just(Phase::Ended { streak: 1, retry_at: at(0) }),
            1 => Just(Phase::Dead),
        ]
    }

    fn any_dynos() -> impl Strategy<Value = Vec<DynoView>> {
        let any = (prop_oneof!["web", "worker", "clock"], prop_oneof!["a", "b"], any_phase(), any::<bool>());
        prop::collection::vec(any, 0..10).prop_map(|dynos| {
            dynos
                .into_iter()
                .enumerate()
                .map(|(number, (process_type, fingerprint, phase, replace))| DynoView {
                    replace: replace && number % 4 == 0,
                    ..dyno(number, &process_type, &fingerprint, phase)
                })
                .collect()
        })
    }

    /// Carries a plan out as the engine would, every new process being ready a moment later.
    fn carry_out(goal: &mut Goal, views: &mut Vec<DynoView>, plan: &Plan, next: &mut usize) {
        for view in views.iter_mut() {
            view.serving = plan.rotation.contains(&view.name);
        }
        for view in
            views.iter_mut().filter(|view| matches!(view.phase, Phase::Booting { .. } | Phase::Failing))
        {
            view.phase = Phase::Ready;
        }
        for action in &plan.actions {
            match action {
                Action::BeginRelease => goal.rollout = pending(),
                Action::SucceedRelease => goal.rollout = Rollout::Settled,
                Action::FailRelease(cause) => panic!("nothing fails here, but {cause:?} was planned"),
                Action::Launch(process_type) => {
                    let fingerprint = goal
                        .types
                        .iter()
                        .find(|t| t.process_type == *process_type)
                        .unwrap()
                        .fingerprint
                        .clone();
                    *next += 1;
                    views.push(dyno(
                        *next,
                        process_type.as_str(),
                        &fingerprint,
                        Phase::Booting { since: at(1) },
                    ));
                }
                Action::Start(name) => {
                    views.iter_mut().find(|v| v.name == *name).unwrap().phase =
                        Phase::Booting { since: at(1) };
                }
                Action::Retire(name) | Action::Remove(name) => views.retain(|view| view.name != *name),
            }
        }
    }

    proptest! {
        #[test]
        fn dynos_that_run_alone_converge_and_nothing_is_begun_while_another_may_run(
            mut views in any_dynos(),
            queued in any::<bool>(),
        ) {
            let rollout = if queued { Rollout::Queued } else { Rollout::Settled };
            let mut goal = Goal { alone: true, ..goal(&[("web", 1, "b"), ("worker", 1, "b")], rollout) };
            let (mut next, mut settled) = (100, false);
            for _ in 0..30 {
                let plan = plan(&goal, &views, at(1), LIMITS);
                let others = |process_type: &ProcessType| {
                    views.iter().filter(|view| view.process_type == *process_type).count()
                };
                for action in &plan.actions {
                    // What was there before the feature may be more than one of the same deployment.
                    if let Action::Launch(process_type) = action {
                        prop_assert_eq!(others(process_type), 0, "{:?}", &views);
                    }
                }
                settled = plan.actions.is_empty() && views.iter().all(|view| view.phase == Phase::Ready);
                if settled {
                    break;
                }
                carry_out(&mut goal, &mut views, &plan, &mut next);
            }
            prop_assert!(settled, "no end in sight: {:?} {:?}", goal, views);
            prop_assert_eq!(views.len(), 2);
        }

        #[test]
        fn plans_converge_without_ever_serving_with_less_than_before(
            mut views in any_dynos(),
            web in 0_usize..4,
            worker in 0_usize..3,
            queued in any::<bool>(),
        ) {
            let rollout = if queued { Rollout::Queued } else { Rollout::Settled };
            let mut types = vec![("web", web, "b"), ("worker", worker, "b")];
            types.retain(|(_, quantity, _)| *quantity > 0);
            let mut goal = goal(&types, rollout);
            let serving = plan(&goal, &views, at(1), LIMITS).rotation.len();
            let floor = serving.min(web);
            let mut next = 100;
            let mut settled = false;
            for _ in 0..30 {
                let plan = plan(&goal, &views, at(1), LIMITS);
                prop_assert!(plan.rotation.len() >= floor, "{} of {floor} serve in {views:?}", plan.rotation.len());
                for name in &plan.rotation {
                    let leaves = plan.actions.contains(&Action::Retire(name.clone()));
                    prop_assert!(!leaves, "{name} is taken out while it serves");
                }
                settled = plan.actions.is_empty() && views.iter().all(|view| view.phase == Phase::Ready);
                if settled {
                    break;
                }
                carry_out(&mut goal, &mut views, &plan, &mut next);
            }
            prop_assert!(settled, "no end in sight: {goal:?} {views:?}");
            for (process_type, quantity) in [("web", web), ("worker", worker), ("clock", 0)] {
                let running = views.iter().filter(|v| v.process_type.as_str() == process_type).count();
                prop_assert_eq!(running, quantity);
            }
            prop_assert!(views.iter().all(|view| view.fingerprint == "b" && !view.replace));
        }
    }
}
