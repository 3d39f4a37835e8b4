//! What a worker does about one-off dynos: each action of their plan, begun or done.

use std::sync::Arc;

use futures_util::FutureExt;

use super::desired::{DesiredRun, LiveApp};
use super::once::{OnceAction, plan_once};
use super::operations::{self, Launch};
use super::progress::{Activity, Tracked};
use super::runs;
use super::worker::{LookError, Worker};
use crate::engine::{ContainerSpec, NetworkName};
use crate::failpoint;
use crate::model::event::Event;
use crate::model::journal::JournalStep;
use crate::model::names::DynoName;
use crate::model::oneoff::Ended;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::store;

impl Worker {
    /// Plans the one-off dynos of the app and carries that out. Returns whether something was written that the rest of
    /// the look depends on, and when to look again.
    pub(super) async fn act_on_runs(
        &mut self,
        live: &LiveApp,
        now: Timestamp,
    ) -> Result<(bool, Option<Timestamp>), LookError> {
        self.progress.run_holds.retain(|name, _| live.run_of(name).is_some());
        let plan = plan_once(&runs::views(live, &self.progress), now);
        let mut again = false;
        for action in plan.actions {
            match action {
                OnceAction::Launch(name) => {
                    if let Some(run) = live.run_of(&name) {
                        again |= self.launch_run(live, run, now).await?;
                    }
                }
                OnceAction::Start(name) => self.start_run(&name),
                OnceAction::NoteStart(name, at) => {
                    let note = move |tx: &mut store::Tx<'_>| store::oneoffs::set_started(tx, &name, at);
                    self.context.store.write(&Principal::daemon(), note).await?;
                }
                OnceAction::Stop(name) => self.stop_run(&name),
                OnceAction::NoteEnd(name, ended) => {
                    self.note_end(live, &name, ended).await?;
                    again = true;
                }
                OnceAction::Remove(name) => self.remove(&name),
            }
        }
        self.remove_forgotten(live);
        Ok((again, plan.wake_at))
    }

    /// Removes the containers of one-off dynos that ended long ago, or that the store never knew.
    fn remove_forgotten(&mut self, live: &LiveApp) {
        let idle =
            |tracked: &Tracked| tracked.activity == Activity::None && runs::is_run(&tracked.fingerprint);
        let all =
            self.progress.dynos.iter().filter(|(name, tracked)| idle(tracked) && live.run_of(name).is_none());
        let forgotten: Vec<DynoName> = all.map(|(name, _)| name.clone()).collect();
        for name in &forgotten {
            self.remove(name);
        }
    }

    /// Begins to make one. One whose image is no more ends at once, which is what it returns.
    async fn launch_run(
        &mut self,
        live: &LiveApp,
        run: &DesiredRun,
        now: Timestamp,
    ) -> Result<bool, LookError> {
        let oneoff = &run.oneoff;
        let Some(made) = &run.made else {
            let reason = "the image of its release is not there any more".to_owned();
            self.note_end(live, &oneoff.name, Ended { at: now, exit_code: None, reason }).await?;
            return Ok(true);
        };
        let spec = ContainerSpec {
            app: self.id,
            // No other dyno of the space shall reach it by the app's name.
            aliases: Vec::new(),
            key: live.app.key(),
            space: live.app.space.id,
            process_type: oneoff.process_type.clone(),
            dyno: oneoff.name.clone(),
            release: oneoff.release_id,
            image: made.image.clone(),
            command: made.argv.clone(),
            env: made.env.clone(),
            memory_limit: made.memory_limit,
            fingerprint: made.fingerprint.clone(),
            network: NetworkName::new(""),
            terminal: oneoff.terminal,
        };
        let tracked =
            Tracked::launching(oneoff.process_type.clone(), made.fingerprint.clone(), oneoff.release_id, now);
        self.progress.dynos.insert(oneoff.name.clone(), tracked);
        let launch = Launch {
            spec,
            space: live.app.space.id,
            space_name: live.app.space.name.clone(),
            pull: oneoff.image.clone(),
        };
        self.operations.push(operations::make_run(Arc::clone(&self.context), launch).boxed());
        Ok(false)
    }

    fn start_run(&mut self, name: &DynoName) {
        if let Some(id) = self.progress.begin_start(name) {
            self.operations.push(operations::start(Arc::clone(&self.context), name.clone(), id).boxed());
        }
    }

    fn stop_run(&mut self, name: &DynoName) {
        if let Some(id) = self.progress.begin_leave(name) {
            self.operations.push(operations::stop(Arc::clone(&self.context), name.clone(), id).boxed());
        }
    }

    async fn note_end(&mut self, live: &LiveApp, name: &DynoName, ended: Ended) -> Result<(), LookError> {
        let Some(run) = live.run_of(name) else { return Ok(()) };
        failpoint::reached(JournalStep::OneOffEnding);
        let (app, dyno, process_type) = (self.id, name.clone(), run.oneoff.process_type.clone());
        self.context
            .store
            .write(&Principal::daemon(), move |tx| {
                if store::oneoffs::set_ended(tx, &dyno, &ended)? {
                    tx.record(Event::OneOffEnded { app, process_type, dyno, ended })?;
                }
                Ok::<_, store::StoreError>(())
            })
            .await?;
        failpoint::reached(JournalStep::OneOffEnded);
        Ok(())
    }
}
