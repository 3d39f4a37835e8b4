//! Decides, from the one-off dynos that were asked for and their containers, what to do next. Pure and total.
//!
//! Invariants: a process that has begun is never started again; two commands of releases of one app never run at the
//! same time; the container of one that ended goes after its output had time to be read.

use std::time::Duration;

use super::plan::LaunchHold;
use crate::model::names::DynoName;
use crate::model::oneoff::{ATTACH_WITHIN, Ended, LINGERS, Purpose};
use crate::model::time::Timestamp;

/// A one-off dyno as the worker sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnceView {
    pub name: DynoName,
    pub purpose: Purpose,
    pub created_at: Timestamp,
    pub time_limit: Duration,
    pub gate: Gate,
    /// Why it is to be stopped, if it is.
    pub stop: Option<String>,
    /// What the store knows of its beginning and its end.
    pub noted: Noted,
    pub phase: OncePhase,
}

/// Whether its process may begin once its container is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Open,
    /// Somebody has to attach first.
    Terminal,
}

/// What is on disk about a one-off dyno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Noted {
    Nothing,
    Started,
    Ended { at: Timestamp },
}

/// What its container is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OncePhase {
    /// There is none. `hold` tells of attempts that failed.
    Absent {
        hold: Option<LaunchHold>,
    },
    /// It is being made, started, stopped or removed right now.
    Busy,
    /// Made, never started.
    Made,
    Running {
        since: Timestamp,
    },
    /// Its process ended, or could not be started (`started_at` is then `None`).
    Over {
        exit_code: Option<i64>,
        started_at: Option<Timestamp>,
        at: Timestamp,
        text: String,
    },
    /// The engine says it is beyond repair.
    Dead,
}

/// One thing to do. Each is idempotent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnceAction {
    /// Make its container.
    Launch(DynoName),
    Start(DynoName),
    /// Write down that its process begins or runs since then.
    NoteStart(DynoName, Timestamp),
    /// SIGTERM, then SIGKILL.
    Stop(DynoName),
    /// Write down how it ended.
    NoteEnd(DynoName, Ended),
    Remove(DynoName),
}

/// The decision.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OncePlan {
    pub actions: Vec<OnceAction>,
    /// When to look again, if nothing happens before.
    pub wake_at: Option<Timestamp>,
}

/// Decides what to do. `views` are those that have not ended, and those whose containers linger, oldest first.
pub fn plan_once(views: &[OnceView], now: Timestamp) -> OncePlan {
    let mut planner = Planner { now, plan: OncePlan::default() };
    for view in views {
        planner.settle(view, views);
    }
    planner.plan
}

struct Planner {
    now: Timestamp,
    plan: OncePlan,
}

impl Planner {
    fn settle(&mut self, view: &OnceView, all: &[OnceView]) {
        let name = || view.name.clone();
        match (&view.phase, view.noted) {
            (OncePhase::Busy, _) | (OncePhase::Absent { .. }, Noted::Ended { .. }) => {}
            (OncePhase::Running { .. }, Noted::Ended { .. }) => self.act(OnceAction::Stop(name())),
            (OncePhase::Made | OncePhase::Over { .. } | OncePhase::Dead, Noted::Ended { at }) => {
                if self.is_due(at.plus(LINGERS)) {
                    self.act(OnceAction::Remove(name()));
                }
            }
            (OncePhase::Absent { .. }, Noted::Started) | (OncePhase::Dead, _) => {
                self.end(view, None, "its container is gone");
            }
            (OncePhase::Absent { hold }, Noted::Nothing) => self.launch(view, hold.as_ref(), all),
            (OncePhase::Made, _) => self.begin(view),
            (OncePhase::Running { since }, noted) => {
                if noted == Noted::Nothing {
                    self.act(OnceAction::NoteStart(name(), *since));
                }
                if view.stop.is_some() || self.is_due(since.plus(view.time_limit)) {
                    self.act(OnceAction::Stop(name()));
                }
            }
            (OncePhase::Over { exit_code, started_at, at, text }, _) => {
                let late = started_at.is_some_and(|started| at.since(started) >= view.time_limit);
                let reason = match &view.stop {
                    Some(reason) => reason.clone(),
                    None if late => {
                        format!("it had run for its time limit of {} s", view.time_limit.as_secs())
                    }
                    None => text.clone(),
                };
                self.end(view, *exit_code, &reason);
            }
        }
    }

    fn launch(&mut self, view: &OnceView, hold: Option<&LaunchHold>, all: &[OnceView]) {
        if let Some(reason) = &view.stop {
            self.end(view, None, reason);
            return;
        }
        match hold {
            Some(hold) if hold.permanent => self.end(view, None, &hold.error),
            Some(hold) if !self.is_due(hold.until) => {}
            Some(_) | None if waits_its_turn(view, all) => {}
            Some(_) | None => self.act(OnceAction::Launch(view.name.clone())),
        }
    }

    fn begin(&mut self, view: &OnceView) {
        match (&view.stop, view.gate) {
            (Some(reason), _) => self.end(view, None, reason),
            (None, Gate::Open) => {
                // On disk before it begins: one whose container is lost right after is not begun again.
                if view.noted == Noted::Nothing {
                    self.act(OnceAction::NoteStart(view.name.clone(), self.now));
                }
                self.act(OnceAction::Start(view.name.clone()));
            }
            (None, Gate::Terminal) => {
                if self.is_due(view.created_at.plus(ATTACH_WITHIN)) {
                    let reason = format!("nobody attached within {} s", ATTACH_WITHIN.as_secs());
                    self.end(view, None, &reason);
                }
            }
        }
    }

    fn end(&mut self, view: &OnceView, exit_code: Option<i64>, reason: &str) {
        let ended = Ended { at: self.now, exit_code, reason: reason.to_owned() };
        self.act(OnceAction::NoteEnd(view.name.clone(), ended));
    }

    fn act(&mut self, action: OnceAction) {
        self.plan.actions.push(action);
    }

    /// Whether that instant has come; the next look is then, if it has not.
    fn is_due(&mut self, at: Timestamp) -> bool {
        if at <= self.now {
            return true;
        }
        self.plan.wake_at = Some(self.plan.wake_at.map_or(at, |earlier| earlier.min(at)));
        false
    }
}

/// The command of a release waits until that of an older one, which is being stopped, has ended.
fn waits_its_turn(view: &OnceView, all: &[OnceView]) -> bool {
    let unfinished = |other: &&OnceView| !matches!(other.noted, Noted::Ended { .. });
    let before = all.iter().take_while(|other| other.name != view.name);
    view.purpose == Purpose::Release
        && before.filter(unfinished).any(|other| other.purpose == Purpose::Release)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn view(number: usize, phase: OncePhase) -> OnceView {
        OnceView {
            name: DynoName::new("0000000001", &format!("run{number}")),
            purpose: Purpose::Command,
            created_at: at(0),
            time_limit: Duration::from_secs(100),
            gate: Gate::Open,
            stop: None,
            noted: Noted::Nothing,
            phase,
        }
    }

    fn absent() -> OncePhase {
        OncePhase::Absent { hold: None }
    }

    fn over(code: i64, started: i64, ended: i64) -> OncePhase {
        let (exit_code, started_at) = (Some(code), Some(at(started)));
        OncePhase::Over { exit_code, started_at, at: at(ended), text: String::new() }
    }

    fn one(view: OnceView, now: i64) -> (Vec<OnceAction>, Option<Timestamp>) {
        let plan = plan_once(&[view], at(now));
        (plan.actions, plan.wake_at)
    }

    fn ended(actions: &[OnceAction]) -> (Option<i64>, String) {
        match actions {
            [OnceAction::NoteEnd(_, ended)] => (ended.exit_code, ended.reason.clone()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_that_was_asked_for_is_made_started_and_its_end_written_down() {
        let name = view(1, absent()).name;
        assert_eq!(one(view(1, absent()), 0).0, [OnceAction::Launch(name.clone())]);
        let begin = [OnceAction::NoteStart(name.clone(), at(0)), OnceAction::Start(name.clone())];
        assert_eq!(one(view(1, OncePhase::Made), 0).0, begin);
        let again = OnceView { noted: Noted::Started, ..view(1, OncePhase::Made) };
        assert_eq!(one(again, 1).0, [OnceAction::Start(name.clone())]);
        let running = view(1, OncePhase::Running { since: at(1) });
        assert_eq!(one(running, 2), (vec![OnceAction::NoteStart(name, at(1))], Some(at(101))));
        assert_eq!(ended(&one(view(1, over(3, 1, 2)), 2).0), (Some(3), String::new()));
    }

    #[test]
    fn one_whose_process_began_is_never_begun_again() {
        let lost = OnceView { noted: Noted::Started, ..view(1, absent()) };
        assert_eq!(ended(&one(lost, 0).0), (None, "its container is gone".to_owned()));
    }

    #[test]
    fn one_that_runs_longer_than_it_may_is_stopped_and_says_so() {
        let running = OnceView { noted: Noted::Started, ..view(1, OncePhase::Running { since: at(1) }) };
        assert_eq!(one(running.clone(), 101).0, [OnceAction::Stop(running.name)]);
        let (code, reason) = ended(&one(view(1, over(143, 1, 101)), 101).0);
        assert_eq!((code, reason.as_str()), (Some(143), "it had run for its time limit of 100 s"));
    }

    #[test]
    fn one_that_is_to_be_stopped_never_begins() {
        for phase in [absent(), OncePhase::Made] {
            let unwanted = OnceView { stop: Some("stopped by alice".to_owned()), ..view(1, phase) };
            assert_eq!(ended(&one(unwanted, 0).0), (None, "stopped by alice".to_owned()));
        }
    }

    #[test]
    fn one_with_a_terminal_waits_for_it_a_minute() {
        let waiting = OnceView { gate: Gate::Terminal, ..view(1, OncePhase::Made) };
        assert_eq!(one(waiting.clone(), 59), (vec![], Some(at(60))));
        assert_eq!(ended(&one(waiting, 60).0).1, "nobody attached within 60 s");
    }

    #[test]
    fn a_container_lingers_for_its_output_and_then_goes() {
        let gone = OnceView { noted: Noted::Ended { at: at(5) }, ..view(1, over(0, 1, 5)) };
        assert_eq!(one(gone.clone(), 24), (vec![], Some(at(25))));
        assert_eq!(one(gone.clone(), 25).0, [OnceAction::Remove(gone.name)]);
    }

    #[test]
    fn the_command_of_a_newer_release_waits_for_that_of_an_older_one() {
        let of_release = |number, phase| OnceView { purpose: Purpose::Release, ..view(number, phase) };
        let old = OnceView {
            noted: Noted::Started,
            stop: Some("a newer release".to_owned()),
            ..of_release(1, OncePhase::Running { since: at(0) })
        };
        let new = of_release(2, absent());
        let both = plan_once(&[old.clone(), new.clone()], at(1));
        assert_eq!(both.actions, [OnceAction::Stop(old.name.clone())]);
        let after = OnceView { noted: Noted::Ended { at: at(1) }, phase: over(143, 0, 1), ..old };
        let then = plan_once(&[after, new.clone()], at(2));
        assert_eq!(then.actions, [OnceAction::Launch(new.name)]);
    }

    #[test]
    fn what_cannot_be_made_ends_with_the_reason_and_what_is_not_there_now_is_tried_again() {
        let hold = LaunchHold { until: at(9), failures: 1, permanent: true, error: "no image".to_owned() };
        let never = view(1, OncePhase::Absent { hold: Some(hold.clone()) });
        assert_eq!(ended(&one(never, 0).0), (None, "no image".to_owned()));
        let later = view(1, OncePhase::Absent { hold: Some(LaunchHold { permanent: false, ..hold }) });
        assert_eq!(one(later.clone(), 8), (vec![], Some(at(9))));
        assert_eq!(one(later.clone(), 9).0, [OnceAction::Launch(later.name)]);
    }

    proptest! {
        /// Whatever happens to its container, each process begins at most once, and each one-off dyno ends.
        #[test]
        fn everything_that_was_asked_for_ends_and_begins_at_most_once(
            fates in prop::collection::vec((1_u8..5, any::<bool>(), any::<bool>()), 1..6),
        ) {
            let mut views: Vec<OnceView> = fates
                .iter()
                .enumerate()
                .map(|(number, (_, release, stopped))| OnceView {
                    purpose: if *release { Purpose::Release } else { Purpose::Command },
                    stop: stopped.then(|| "stopped".to_owned()),
                    ..view(number, absent())
                })
                .collect();
            let mut begun = vec![0; views.len()];
            for step in 0..60 {
                let now = at(step * 10);
                for action in plan_once(&views, now).actions {
                    let (OnceAction::Launch(name) | OnceAction::Start(name) | OnceAction::NoteStart(name, _)
                        | OnceAction::Stop(name) | OnceAction::NoteEnd(name, _) | OnceAction::Remove(name)) = &action;
                    let index = views.iter().position(|view| view.name == *name).unwrap();
                    let view = &mut views[index];
                    match action {
                        OnceAction::Launch(_) => view.phase = OncePhase::Made,
                        OnceAction::Start(_) => {
                            begun[index] += 1;
                            view.phase = OncePhase::Running { since: now };
                        }
                        OnceAction::NoteStart(..) => view.noted = Noted::Started,
                        OnceAction::Stop(_) => view.phase = over(143, step * 10 - 100, step * 10),
                        OnceAction::NoteEnd(_, ended) => view.noted = Noted::Ended { at: ended.at },
                        OnceAction::Remove(_) => view.phase = absent(),
                    }
                }
                for (view, (fate, ..)) in views.iter_mut().zip(&fates) {
                    if let OncePhase::Running { since } = view.phase {
                        match fate {
                            1 => view.phase = OncePhase::Dead,
                            2 => view.phase = absent(),
                            3 => view.phase = over(0, since.as_millis() / 1000, step * 10),
                            _ => {}
                        }
                    }
                }
                let releases = views.iter().filter(|view| {
                    view.purpose == Purpose::Release && matches!(view.phase, OncePhase::Running { .. })
                });
                prop_assert!(releases.count() <= 1);
            }
            prop_assert!(views.iter().all(|view| matches!(view.noted, Noted::Ended { .. })), "{views:?}");
            prop_assert!(begun.iter().all(|count| *count <= 1), "{begun:?}");
        }
    }
}
