//! The worker: carries runs to their builds, tells providers of commits, and removes webhooks.
//!
//! Invariants: what is to be done is decided by the store alone, so that a restart finds it again; each piece of work
//! is at hand once.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::{SourceControlParts, removals, reports, runs};
use crate::model::event::Event;
use crate::model::ids::AutoBuildRunId;
use crate::store::auto_build_runs::Report;
use crate::store::{self, StoreError};
use crate::tasks::Activator;

/// Pieces of work that are at hand at once.
const CONCURRENT: usize = 8;
/// Pieces of work of each kind that are read at once.
const LOOK: u32 = 16;
/// The longest sleep between two looks at what is due.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The pause after the store failed.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// What is at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Work {
    Run(AutoBuildRunId),
    Report(AutoBuildRunId),
    Removals,
}

type AtHand = FuturesUnordered<Pin<Box<dyn Future<Output = Work> + Send>>>;

/// Works until it is told to stop; what is at hand then is dropped and begun again at the next start.
pub(super) async fn run(parts: Arc<SourceControlParts>, wake: Activator, stop: CancellationToken) {
    let mut events = parts.store.subscribe();
    let mut at_hand = AtHand::new();
    let mut busy: HashSet<Work> = HashSet::new();
    while !stop.is_cancelled() {
        let pause = match begin(&parts, &mut at_hand, &mut busy) {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the auto builds cannot be read");
                FAULT_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = store::events::wait_for(&mut events, leads_to_work) => {}
            () = wake.activated() => {}
            Some(work) = at_hand.next() => drop(busy.remove(&work)),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whether there may be work after it.
fn leads_to_work(event: &Event) -> bool {
    matches!(
        event,
        Event::AutoBuildQueued { .. }
            | Event::AutoBuildFailed { .. }
            | Event::BuildCreated { .. }
            | Event::BuildSucceeded { .. }
            | Event::BuildFailed { .. }
            | Event::BuildStopped { .. }
            | Event::AppDeleted { .. }
    )
}

/// Begins what is due, and tells how long nothing more will be.
fn begin(
    parts: &Arc<SourceControlParts>,
    at_hand: &mut AtHand,
    busy: &mut HashSet<Work>,
) -> Result<Duration, StoreError> {
    let now = parts.clock.now();
    let due = parts.store.look_up(|c| store::auto_build_runs::list_due(c, now, LOOK))?;
    let told = parts.store.look_up(|c| store::auto_build_runs::list_reports(c, now, LOOK))?;
    let removed = parts.store.look_up(|c| store::auto_builds::is_removal_due(c, now))?;
    for id in due {
        start(at_hand, busy, Work::Run(id), || carry_on(Arc::clone(parts), id));
    }
    for report in told {
        let work = Work::Report(report.run.id);
        start(at_hand, busy, work, || tell(Arc::clone(parts), report));
    }
    if removed {
        start(at_hand, busy, Work::Removals, || remove(Arc::clone(parts)));
    }
    let next = parts.store.look_up(|c| store::auto_build_runs::next_due(c, now))?;
    Ok(next.map_or(LONGEST_PAUSE, |next| next.since(now).min(LONGEST_PAUSE)))
}

fn start<F: Future<Output = Result<(), StoreError>> + Send + 'static>(
    at_hand: &mut AtHand,
    busy: &mut HashSet<Work>,
    work: Work,
    make: impl FnOnce() -> F,
) {
    if busy.len() >= CONCURRENT || !busy.insert(work) {
        return;
    }
    let attempt = make();
    at_hand.push(Box::pin(async move {
        if let Err(error) = attempt.await {
            tracing::error!(error = &error as &dyn std::error::Error, ?work, "it is tried again");
            tokio::time::sleep(FAULT_PAUSE).await;
        }
        work
    }));
}

async fn carry_on(parts: Arc<SourceControlParts>, id: AutoBuildRunId) -> Result<(), StoreError> {
    runs::carry_on(&parts, id).await
}

async fn tell(parts: Arc<SourceControlParts>, report: Report) -> Result<(), StoreError> {
    reports::tell(&parts, report).await
}

async fn remove(parts: Arc<SourceControlParts>) -> Result<(), StoreError> {
    removals::carry_out(&parts).await
}
