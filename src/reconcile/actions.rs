//! What a worker does about a plan: each action of it, begun or done.

use std::sync::Arc;

use futures_util::FutureExt;

use super::desired::LiveApp;
use super::journal;
use super::operations::{self, Launch};
use super::plan::{Action, FailureCause};
use super::progress::{Activity, End, Run, Tracked};
use super::worker::{LookError, Worker};
use crate::engine::{ContainerSpec, EngineError, NetworkName};
use crate::model::dyno::CrashCode;
use crate::model::event::Event;
use crate::model::ids::AppId;
use crate::model::names::{DynoName, ProcessType};
use crate::model::oneoff::Terminal;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::store;

/// Length of the instance part of a dyno's name (`behaviour.md` §6).
const INSTANCE_LENGTH: usize = 5;
/// Lines of a dyno's output that go into the reason of a failed release.
const LAST_LINES: usize = 20;

/// Failed starts in a row that are not the app's fault, after which the dyno is made anew: what its container was
/// made for, such as a network, may be gone.
const STARTS_BEFORE_ANEW: u32 = 3;

impl Worker {
    /// Does one action, or begins it. Returns whether to plan anew before anything else.
    pub(super) async fn apply(
        &mut self,
        live: &LiveApp,
        action: &Action,
        now: Timestamp,
    ) -> Result<bool, LookError> {
        match action {
            Action::BeginRelease => {
                journal::begin(&self.context, live).await?;
                self.progress.holds.clear();
                Ok(true)
            }
            Action::SucceedRelease => {
                journal::succeed(&self.context, live).await?;
                Ok(true)
            }
            Action::FailRelease(cause) => {
                let reason = self.explain(cause).await;
                journal::fail(&self.context, live, reason).await?;
                self.progress.holds.clear();
                Ok(true)
            }
            Action::Launch(process_type) => {
                self.launch(live, process_type, now);
                Ok(false)
            }
            Action::Start(name) => {
                self.start(name).await?;
                Ok(false)
            }
            Action::Retire(name) => {
                self.retire(name);
                Ok(false)
            }
            Action::Remove(name) => {
                self.remove(name);
                Ok(false)
            }
        }
    }

    fn launch(&mut self, live: &LiveApp, process_type: &ProcessType, now: Timestamp) {
        let (Some(target), Some(wanted)) = (&live.target, live.type_of(process_type)) else { return };
        let dyno = DynoName::new(&deployment(&wanted.fingerprint), &self.context.ids.suffix(INSTANCE_LENGTH));
        let mut env = wanted.env.clone();
        env.insert("AKKERIS_DYNO".to_owned(), format!("{process_type}.{dyno}"));
        let key = live.app.key();
        let spec = ContainerSpec {
            app: self.id,
            aliases: vec![live.app.name.to_string(), key.to_string()],
            key,
            space: live.app.space.id,
            process_type: process_type.clone(),
            dyno: dyno.clone(),
            release: target.release.id,
            image: target.image.clone(),
            command: wanted.argv.clone(),
            env,
            memory_limit: wanted.memory_limit,
            fingerprint: wanted.fingerprint.clone(),
            network: NetworkName::new(""),
            terminal: Terminal::Detached,
        };
        let tracked =
            Tracked::launching(process_type.clone(), wanted.fingerprint.clone(), target.release.id, now);
        self.progress.dynos.insert(dyno, tracked);
        let launch =
            Launch { spec, space: live.app.space.id, space_name: live.app.space.name.clone(), pull: None };
        self.operations.push(operations::launch(Arc::clone(&self.context), launch).boxed());
    }

    async fn start(&mut self, name: &DynoName) -> Result<(), LookError> {
        let Some(tracked) = self.progress.dynos.get_mut(name) else { return Ok(()) };
        let Some(id) = tracked.container.clone() else { return Ok(()) };
        tracked.activity = Activity::Starting;
        let mut beyond_repair = false;
        if let Run::Ended(end) = &tracked.run {
            tracked.restarts = tracked.restarts.saturating_add(1);
            beyond_repair = end.code == CrashCode::PlatformError && tracked.streak >= STARTS_BEFORE_ANEW;
            let event = crash(self.id, name, tracked, end);
            self.context.store.write(&Principal::daemon(), move |tx| tx.record(event)).await?;
        }
        if beyond_repair {
            self.remove(name);
            return Ok(());
        }
        self.operations.push(operations::start(Arc::clone(&self.context), name.clone(), id).boxed());
        Ok(())
    }

    /// Sends the signals that users asked for, to dynos that run. One that may have been sent is not sent again,
    /// unless the daemon ends before that is noted.
    pub(super) async fn send_signals(&mut self, live: &LiveApp) -> Result<(), LookError> {
        for (name, signal) in live.signals.iter().cloned() {
            let tracked = self.progress.dynos.get(&name);
            let running = tracked.filter(|tracked| matches!(tracked.run, Run::Up(_)));
            if let Some(id) = running.and_then(|tracked| tracked.container.as_ref()) {
                match self.context.engine.signal(id, signal).await {
                    Ok(_) => {}
                    Err(error @ EngineError::Unavailable(_)) => return Err(error.into()),
                    Err(error) => {
                        tracing::warn!(app = %self.id, dyno = %name, %error, "a signal may not have been sent");
                    }
                }
            }
            let forget = move |tx: &mut store::Tx<'_>| store::dyno_signals::delete(tx, &name, signal);
            self.context.store.write(&Principal::daemon(), forget).await?;
        }
        Ok(())
    }

    pub(super) fn retire(&mut self, name: &DynoName) {
        let Some(tracked) = self.progress.dynos.get_mut(name) else { return };
        let Some(id) = tracked.container.clone() else { return };
        tracked.activity = Activity::Leaving;
        let upstream = match &mut tracked.run {
            Run::Up(up) => up.upstream.take(),
            Run::None | Run::Ended(_) | Run::Dead => None,
        };
        let drained = upstream.map(|upstream| (upstream, self.drain_limit));
        self.operations
            .push(operations::retire(Arc::clone(&self.context), name.clone(), id, drained).boxed());
    }

    pub(super) fn remove(&mut self, name: &DynoName) {
        let Some(id) = self.progress.begin_leave(name) else { return };
        self.operations.push(operations::remove(Arc::clone(&self.context), name.clone(), id).boxed());
    }

    /// Why a release failed, in words for its owner, with the last lines of the dyno that is to blame.
    async fn explain(&mut self, cause: &FailureCause) -> String {
        let (dyno, what) = match cause {
            FailureCause::Launch { process_type, error } => {
                return format!("No {process_type} dyno could be made: {error}");
            }
            FailureCause::Deadline => {
                let minutes = self.context.timing.limits.release.as_secs() / 60;
                return format!("The release was not up within {minutes} minutes.");
            }
            FailureCause::Command { dyno, ending } => {
                return format!("The release command {ending}. {}", self.output_of(dyno).await);
            }
            FailureCause::Crashes(dyno) => (dyno, "ended again and again"),
            FailureCause::BootTimeout(dyno) => (dyno, "did not get ready in time"),
        };
        let Some(tracked) = self.progress.dynos.get(dyno) else { return format!("The dyno {dyno} {what}.") };
        let detail = match &tracked.run {
            Run::Ended(end) => format!("{} {}: {}", end.code, end.code.description(), end.text),
            Run::Up(up) => format!("H20 App boot timeout: {}", up.complaint),
            Run::None | Run::Dead => String::new(),
        };
        let process_type = tracked.process_type.clone();
        let output = self.output_of(dyno).await;
        format!("The dyno {process_type}.{dyno} {what} ({detail}). {output}")
    }

    /// A sentence with the last lines of a dyno's output.
    async fn output_of(&mut self, dyno: &DynoName) -> String {
        let container = self.progress.dynos.get(dyno).and_then(|tracked| tracked.container.as_ref());
        let lines = match container {
            Some(id) => self.context.engine.last_lines(id, LAST_LINES).await.unwrap_or_default(),
            None => Vec::new(),
        };
        if lines.is_empty() {
            return "It wrote no output.".to_owned();
        }
        format!("Its last output:\n{}", lines.join("\n"))
    }
}

/// The first part of a dyno's name, the same for all dynos of one deployment: ten digits.
fn deployment(fingerprint: &str) -> String {
    let hex: String = fingerprint.chars().take(15).collect();
    let number = u64::from_str_radix(&hex, 16).unwrap_or(0) % 10_000_000_000;
    format!("{number:010}")
}

fn crash(app: AppId, name: &DynoName, tracked: &Tracked, end: &End) -> Event {
    Event::DynoCrashed {
        app,
        process_type: tracked.process_type.clone(),
        dyno: name.clone(),
        code: end.code,
        restarts: tracked.restarts,
    }
}
