//! Runs of formations that their schedules ask for.
//!
//! Invariants: a due run and the next due instant are one write, so that none is made twice; a run that was due while
//! the daemon was away is made up for within a minute, and later only told of, once whatever the number of them.

use std::time::Duration;

use super::desired::LiveApp;
use super::worker::{LookError, Worker};
use crate::model::event::Event;
use crate::model::formation::{Formation, Runs};
use crate::model::oneoff::OneOff;
use crate::model::principal::Principal;
use crate::model::schedule::{Overlap, Scheduled, SkipReason};
use crate::model::time::Timestamp;
use crate::service::{self, oneoffs};
use crate::store::{self, StoreError, Tx};

/// A run that is due for longer than this is not begun any more.
const GRACE: Duration = Duration::from_mins(1);

impl Worker {
    /// Makes the runs that are due. Returns whether there were any, and when the next one is.
    pub(super) async fn follow_schedules(
        &mut self,
        live: &LiveApp,
        now: Timestamp,
    ) -> Result<(bool, Option<Timestamp>), LookError> {
        let mut next: Option<Timestamp> = None;
        let mut again = false;
        for formation in &live.scheduled {
            let Some(scheduled) = formation.scheduled() else { continue };
            if scheduled.due_at > now {
                next = Some(next.map_or(scheduled.due_at, |earlier| earlier.min(scheduled.due_at)));
                continue;
            }
            let (formation, due) = (formation.clone(), scheduled.clone());
            let maker = oneoffs::Maker { sealer: self.context.sealer.clone(), ids: self.context.ids.clone() };
            let work = move |tx: &mut Tx<'_>| run_due(tx, &maker, &formation, &due);
            match self.context.store.write(&Principal::daemon(), work).await {
                Ok(()) => {}
                Err(service::Error::Internal(cause)) => {
                    tracing::error!(app = %self.id, error = &*cause, "a scheduled run was not made");
                }
                Err(error) => tracing::warn!(app = %self.id, %error, "a scheduled run was not made"),
            }
            again = true;
        }
        Ok((again, next))
    }
}

/// Notes when the schedule is due next, and makes the run that is due now, or tells why not.
fn run_due(
    tx: &mut Tx<'_>,
    maker: &oneoffs::Maker,
    seen: &Formation,
    due: &Scheduled,
) -> Result<(), service::Error> {
    // What changed since the look is looked at anew.
    let found = store::formations::find(tx, seen.app_id, &seen.process_type)?;
    let Some(mut formation) = found.filter(|formation| formation.scheduled() == Some(due)) else {
        return Ok(());
    };
    let next = due.schedule.next(tx.now());
    formation.runs =
        Runs::Once(next.map(|due_at| Box::new(Scheduled { schedule: due.schedule.clone(), due_at })));
    store::formations::update(tx, &formation)?;
    if tx.now().since(due.due_at) > GRACE {
        return skip(tx, &formation, due, SkipReason::Missed);
    }
    let mut unfinished = store::oneoffs::list_unfinished(tx, &maker.sealer, formation.app_id)?;
    unfinished.retain(|oneoff| oneoff.formation() == Some(formation.id));
    match due.schedule.overlap {
        Overlap::Skip if !unfinished.is_empty() => return skip(tx, &formation, due, SkipReason::Overlap),
        Overlap::Replace => stop_all(tx, &unfinished)?,
        Overlap::Skip | Overlap::Allow => {}
    }
    match oneoffs::create_scheduled(tx, maker, &formation) {
        Ok(_) => Ok(()),
        Err(service::Error::Conflict(_)) => skip(tx, &formation, due, SkipReason::NotRunnable),
        Err(error) => Err(error),
    }
}

fn stop_all(tx: &mut Tx<'_>, unfinished: &[OneOff]) -> Result<(), service::Error> {
    unfinished.iter().try_for_each(|oneoff| oneoffs::stop(tx, oneoff))
}

fn skip(
    tx: &mut Tx<'_>,
    formation: &Formation,
    due: &Scheduled,
    reason: SkipReason,
) -> Result<(), service::Error> {
    let (app, process_type) = (formation.app_id, formation.process_type.clone());
    let told: Result<(), StoreError> =
        tx.record(Event::ScheduleSkipped { app, process_type, due_at: due.due_at, reason });
    Ok(told?)
}
