//! One app's worker: looks, plans, acts, and waits for a reason to look again.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{SemaphorePermit, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::desired::{self, Desired, DesiredType, LiveApp};
use super::journal;
use super::operations::{self, Done, LaunchError};
use super::plan::{Action, Goal, Plan, TypeGoal, plan};
use super::probe::Probe;
use super::progress::{Activity, Progress, Run, SETTLE};
use super::routes::PublishedApp;
use super::runs;
use super::status;
use crate::edge::Hold;
use crate::engine::EngineError;
use crate::failpoint;
use crate::model::dyno::{CrashCode, Dyno};
use crate::model::formation::Port;
use crate::model::ids::AppId;
use crate::model::journal::JournalStep;
use crate::model::names::{DynoName, ProcessType};
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service;
use crate::store::{self, StoreError};
use crate::tasks::Activator;

/// Between two looks that were asked for from outside, once there were many: what changes all the time is looked at
/// now and then.
const SPACING: Duration = Duration::from_millis(250);
/// Looks that are made at once, whatever asks for them: those of a few releases. One more comes free each [`SPACING`].
const AT_ONCE: u32 = 32;
/// Pause after a look that failed, because the engine or the store was not there.
const RETRY: Duration = Duration::from_secs(1);

/// The worker of one app. Dropping it ends what it waits for; containers run on.
pub(super) struct Worker {
    pub(super) id: AppId,
    pub(super) context: Arc<Context>,
    activator: Activator,
    pub(super) progress: Progress,
    pub(super) operations: FuturesUnordered<BoxFuture<'static, Done>>,
    /// How long a dyno that is taken out keeps its open requests.
    pub(super) drain_limit: Duration,
    /// Where requests wait while no dyno runs; `None` where dynos replace each other.
    hold: Option<Arc<Hold>>,
    /// Told after the first look.
    looked: Option<oneshot::Sender<()>>,
    /// When the looks so far are paid for, at one each [`SPACING`].
    paid_at: Instant,
}

/// What a worker does after a look.
enum Next {
    /// Something was journalled that the plan depends on.
    LookAgain,
    Wait(Option<Duration>),
    /// The app is deleted and nothing of it is left.
    Finished,
}

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Service(#[from] service::Error),
    #[error(transparent)]
    Purge(#[from] journal::PurgeError),
}

impl Worker {
    pub(super) fn new(
        id: AppId,
        context: Arc<Context>,
        activator: Activator,
        looked: Option<oneshot::Sender<()>>,
    ) -> Self {
        Self {
            drain_limit: context.timing.drain_limit,
            hold: None,
            id,
            context,
            activator,
            progress: Progress::default(),
            operations: FuturesUnordered::new(),
            looked,
            paid_at: Instant::now(),
        }
    }

    /// Works until the app is gone or `stop` is cancelled. In a box, so that the task has no room for it twice.
    pub(super) async fn run(mut self: Box<Self>, stop: CancellationToken) {
        let context = Arc::clone(&self.context);
        loop {
            // It is never closed; a look without a permit would be better than none.
            let permit = tokio::select! {
                () = stop.cancelled() => return,
                permit = context.looks.acquire() => permit.ok(),
            };
            // In a box and only with its permit, so that a worker that waits, as most of a thousand do, holds no room
            // for its next look.
            let look = Box::pin(self.look(permit));
            let next = tokio::select! {
                () = stop.cancelled() => return,
                next = look => next,
            };
            self.context.counters.looked(next.is_ok());
            let next = next.unwrap_or_else(|error| {
                tracing::warn!(app = %self.id, error = &error as &dyn std::error::Error, "the app could not be looked at");
                Next::Wait(Some(RETRY))
            });
            if let Some(looked) = self.looked.take() {
                let _gone = looked.send(());
            }
            match next {
                Next::LookAgain => {}
                Next::Finished => return,
                Next::Wait(limit) => {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = self.wait(limit) => {}
                    }
                }
            }
        }
    }

    /// Waits for a wake, the end of an operation that matters, or the limit.
    async fn wait(&mut self, limit: Option<Duration>) {
        let deadline = limit.map(|limit| Instant::now() + limit);
        let credit = SPACING * (AT_ONCE - 1);
        let not_before = self.paid_at.checked_sub(credit).unwrap_or(self.paid_at);
        let activator = self.activator.clone();
        let woken = async {
            tokio::time::sleep_until(not_before).await;
            activator.activated().await;
        };
        tokio::pin!(woken);
        loop {
            let sleep = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = &mut woken => {
                    self.paid_at = self.paid_at.max(Instant::now()) + SPACING;
                    return;
                }
                () = sleep => return,
                Some(done) = self.operations.next() => {
                    if self.finish(done) {
                        return;
                    }
                }
            }
        }
    }

    async fn look(&mut self, permit: Option<SemaphorePermit<'_>>) -> Result<Next, LookError> {
        let (id, context) = (self.id, Arc::clone(&self.context));
        let now = context.clock.now();
        let (sealer, catalogue) = (context.sealer.clone(), context.catalogue.load_full());
        let desired = context.store.read(move |c| desired::load(c, &sealer, &catalogue, (id, now))).await?;
        if matches!(desired, Desired::Deleted) {
            context.routes.publish(id, None);
        }
        let containers = context.engine.list(Some(id)).await?;
        drop(permit);
        let now = context.clock.now();
        match desired {
            Desired::Deleted => {
                self.progress.observe(&containers, &[], now);
                self.leave_all(now).await
            }
            Desired::Live(live) => {
                self.progress.observe(&containers, &live.dynos, now);
                self.act(&live, now).await
            }
        }
    }

    async fn act(&mut self, live: &LiveApp, now: Timestamp) -> Result<Next, LookError> {
        journal::overtake(&self.context, live).await?;
        self.send_signals(live).await?;
        let (mut again, mut wake_at) = self.act_on_runs(live, now).await?;
        let (due, next) = self.follow_schedules(live, now).await?;
        wake_at = wake_at.into_iter().chain(next).min();
        again |= due;
        let goal = self.goal(live);
        let mut views = self.progress.views(Some(live), now);
        views.retain(|view| !runs::is_run(&view.fingerprint));
        let mut plan = plan(&goal, &views, now, self.context.timing.limits);
        plan.wake_at = plan.wake_at.into_iter().chain(wake_at).min();
        self.publish(live, &plan);
        for action in &plan.actions {
            again |= self.apply(live, action, now).await?;
        }
        self.probe_all(live);
        self.write_status(live, now).await?;
        if again {
            return Ok(Next::LookAgain);
        }
        Ok(Next::Wait(self.pause(&plan, now)))
    }

    fn goal(&self, live: &LiveApp) -> Goal {
        let Some(target) = &live.target else { return Goal::nothing() };
        let types = target
            .types
            .iter()
            .map(|wanted| TypeGoal {
                process_type: wanted.formation.process_type.clone(),
                quantity: match usize::from(wanted.formation.quantity.get()) {
                    quantity if target.alone => quantity.min(1),
                    quantity => quantity,
                },
                fingerprint: wanted.fingerprint.clone(),
                hold: self.progress.holds.get(&wanted.formation.process_type).cloned(),
            })
            .collect();
        Goal { types, rollout: target.rollout.clone(), alone: target.alone }
    }

    fn publish(&mut self, live: &LiveApp, plan: &Plan) {
        let port = live.type_of(&ProcessType::web()).map_or(Port::DEFAULT, DesiredType::port);
        for (name, tracked) in &mut self.progress.dynos {
            tracked.serving = plan.rotation.contains(name);
        }
        let (id, routes) = (self.id, &self.context.routes);
        let upstreams = plan
            .rotation
            .iter()
            .filter_map(|name| {
                let made = |address| routes.upstream(id, name, address);
                self.progress.dynos.get_mut(name)?.upstream(port, made)
            })
            .collect();
        let (key, released) = (live.app.key(), live.app.released_at.is_some());
        let limits = live.target.as_ref().map(|target| target.limits).unwrap_or_default();
        self.drain_limit = limits.drain.unwrap_or(self.context.timing.drain_limit);
        self.hold_requests(live);
        let (maintenance, hold) = (live.app.maintenance, self.hold.clone());
        let http2 = live.target.as_ref().is_some_and(|target| target.http2);
        let route = PublishedApp { key, released, maintenance, limits, http2, hold, upstreams };
        self.context.routes.publish(self.id, Some(route));
    }

    /// Lets requests wait while no dyno runs, for as long as it may take one to stop and the next to start.
    fn hold_requests(&mut self, live: &LiveApp) {
        let alone = live.target.as_ref().is_some_and(|target| target.alone);
        let timing = self.context.timing;
        let limit = self.drain_limit + timing.stop_grace + timing.limits.boot;
        if !alone || live.type_of(&ProcessType::web()).is_none() {
            self.hold = None;
        } else if self.hold.as_ref().is_none_or(|hold| hold.limit() != limit) {
            self.hold = Some(Hold::new(limit));
        }
    }

    /// Tells each web dyno's probe what to ask, and begins the first one of a run.
    fn probe_all(&mut self, live: &LiveApp) {
        let Some(wanted) = live.type_of(&ProcessType::web()) else { return };
        let host = self.context.routes.host(&live.app.key());
        for (name, tracked) in &mut self.progress.dynos {
            if tracked.activity != Activity::None || !tracked.process_type.is_web() {
                continue;
            }
            let Run::Up(up) = &mut tracked.run else { continue };
            let Some(address) = up.address else { continue };
            let probe = Probe {
                address: (address, wanted.port().get()).into(),
                healthcheck: wanted.formation.healthcheck.clone(),
                host: host.clone(),
            };
            let first = up.probe.replace(probe).is_none();
            if let (true, Some((run, pause, probe))) = (first, tracked.next_probe()) {
                self.operations.push(operations::probe(name.clone(), run, pause, probe).boxed());
            }
        }
    }

    /// Takes in the end of an operation. Returns whether the app must be looked at.
    fn finish(&mut self, done: Done) -> bool {
        let now = self.context.clock.now();
        match done {
            Done::Launched { dyno, process_type, result } => {
                match result {
                    Ok(()) => {
                        self.progress.holds.remove(&process_type);
                        self.set_idle(&dyno);
                    }
                    Err(LaunchError::Create(error)) => {
                        self.progress.dynos.remove(&dyno);
                        self.progress.hold(&process_type, error.to_string(), !error.is_transient(), now);
                    }
                    Err(LaunchError::Start(error)) => self.start_failed(&dyno, &error, now),
                }
                true
            }
            Done::RunMade { dyno, result } => {
                match result {
                    Ok(()) => self.set_idle(&dyno),
                    Err(LaunchError::Create(error)) => {
                        self.progress.dynos.remove(&dyno);
                        self.progress.hold_run(dyno, error.to_string(), !error.is_transient(), now);
                    }
                    Err(LaunchError::Start(error)) => self.start_failed(&dyno, &error, now),
                }
                true
            }
            Done::Started { dyno, result } => {
                match result {
                    Ok(()) => self.set_idle(&dyno),
                    Err(error) => self.start_failed(&dyno, &error, now),
                }
                true
            }
            Done::Left { dyno, result } => {
                if let Err(error) = result {
                    tracing::warn!(app = %self.id, %dyno, %error, "a dyno could not be stopped and removed");
                }
                self.set_idle(&dyno);
                true
            }
            Done::Probed { dyno, run, answer } => {
                let Some(tracked) = self.progress.dynos.get_mut(&dyno) else { return false };
                let changed = tracked.probed(run, answer);
                if let Some((next_run, pause, probe)) = tracked.next_probe().filter(|(next, ..)| *next == run)
                {
                    self.operations.push(operations::probe(dyno, next_run, pause, probe).boxed());
                }
                changed
            }
        }
    }

    fn set_idle(&mut self, dyno: &DynoName) {
        if let Some(tracked) = self.progress.dynos.get_mut(dyno) {
            tracked.activity = Activity::None;
        }
    }

    fn start_failed(&mut self, dyno: &DynoName, error: &EngineError, now: Timestamp) {
        if let Some(tracked) = self.progress.dynos.get_mut(dyno) {
            tracked.activity = Activity::None;
            if !error.is_transient() {
                let blamed = matches!(error, EngineError::CannotRun(_));
                let code = if blamed { CrashCode::DidNotStart } else { CrashCode::PlatformError };
                tracked.start_failed(code, &error.to_string(), now);
            }
        }
    }

    async fn write_status(&mut self, live: &LiveApp, now: Timestamp) -> Result<(), LookError> {
        let rows = status::rows(live, &self.progress, now, self.context.timing.limits.boot);
        let same = rows.len() == live.dynos.len() && live.dynos.iter().all(|dyno: &Dyno| rows.contains(dyno));
        if same {
            return Ok(());
        }
        let (id, late) = (self.id, status::late(live, &self.progress, now, self.context.timing.limits.boot));
        self.context
            .store
            .write(&Principal::daemon(), move |tx| {
                store::dynos::replace(tx, id, &rows)?;
                late.into_iter().try_for_each(|event| tx.record(event))
            })
            .await?;
        Ok(())
    }

    /// How long to wait: until the plan's next date, and shorter while a dyno settles.
    fn pause(&self, plan: &Plan, now: Timestamp) -> Option<Duration> {
        let settling = self.progress.dynos.values().filter_map(|tracked| match &tracked.run {
            Run::Up(up) if !tracked.process_type.is_web() => {
                let settled = up.started_at.plus(SETTLE);
                (settled > now).then(|| settled.since(now))
            }
            Run::Up(_) | Run::None | Run::Ended(_) | Run::Dead => None,
        });
        settling.chain(plan.wake_at.map(|at| at.since(now))).min()
    }

    /// Takes away everything of a deleted app.
    async fn leave_all(&mut self, now: Timestamp) -> Result<Next, LookError> {
        failpoint::reached(JournalStep::AppDeleted);
        let goal = Goal::nothing();
        let views = self.progress.views(None, now);
        for action in plan(&goal, &views, now, self.context.timing.limits).actions {
            match action {
                Action::Retire(name) => self.retire(&name),
                Action::Remove(name) => self.remove(&name),
                Action::BeginRelease
                | Action::Launch(_)
                | Action::Start(_)
                | Action::SucceedRelease
                | Action::FailRelease(_) => {}
            }
        }
        if !self.progress.dynos.is_empty() {
            return Ok(Next::Wait(None));
        }
        journal::purge(&self.context, self.id).await?;
        Ok(Next::Finished)
    }
}
