//! The worker of the addons: looks at what providers have to do, has them do it, and writes down what came of it.
//!
//! Invariants: for one addon a provider does one thing at a time; what an attempt leads to is one transaction; an
//! attempt that was cut off by a crash is due again at the next start.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::providers::{Offer, Providers};
use super::{Outcome, ProviderError, Work, settle};
use crate::clock::Clock;
use crate::model::addon_job::{AddonJob, AddonWork};
use crate::model::event::Event;
use crate::model::ids::AddonId;
use crate::model::principal::Principal;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, StoreError, Tx};
use crate::tasks::Tasks;

/// Addons that their providers work on at once.
const CONCURRENT: usize = 8;
/// What one call may take.
const CALL_LIMIT: Duration = Duration::from_mins(2);
/// The longest sleep between two looks at what is due.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The pause after the store failed.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// What the worker needs.
#[derive(Debug, Clone)]
pub struct AddonParts {
    pub store: Store,
    pub sealer: Sealer,
    pub clock: Clock,
    pub offer: Offer,
    pub providers: Providers,
    /// The pause before what failed is tried again; it doubles up to an hour.
    pub retry: Duration,
}

type Attempts = FuturesUnordered<Pin<Box<dyn Future<Output = AddonId> + Send>>>;

/// Works until the tasks stop.
pub fn start(parts: AddonParts, tasks: &Tasks) {
    let stop = tasks.stopping();
    tasks.supervise("addons", move || run(parts.clone(), stop.clone()));
}

async fn run(parts: AddonParts, stop: CancellationToken) {
    let mut events = parts.store.subscribe();
    let mut attempts = Attempts::new();
    let mut under_way: HashSet<AddonId> = HashSet::new();
    while !stop.is_cancelled() {
        let pause = match due(&parts, &under_way) {
            Ok((due, pause)) => {
                for job in due {
                    under_way.insert(job.addon);
                    attempts.push(Box::pin(attempt(parts.clone(), job)));
                }
                pause
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the work at addons cannot be read"
                );
                FAULT_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = store::events::wait_for(&mut events, asks) => {}
            Some(addon) = attempts.next() => drop(under_way.remove(&addon)),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn asks(event: &Event) -> bool {
    matches!(
        event,
        Event::AddonCreated { .. }
            | Event::AddonUpdated { .. }
            | Event::AddonDeleted { .. }
            | Event::AddonAttached { .. }
            | Event::AddonDetached { .. }
    )
}

/// What to begin now, and how long nothing more will be due.
fn due(parts: &AddonParts, under_way: &HashSet<AddonId>) -> Result<(Vec<AddonJob>, Duration), StoreError> {
    let now = parts.clock.now();
    let due = parts.store.look_up(|c| store::addon_jobs::list_due(c, now, 2 * CONCURRENT))?;
    let free = CONCURRENT.saturating_sub(under_way.len());
    let begin = due.into_iter().filter(|job| !under_way.contains(&job.addon)).take(free).collect();
    let next = parts.store.look_up(|c| store::addon_jobs::next_due(c, now))?;
    let pause = next.map_or(LONGEST_PAUSE, |next| next.since(now).min(LONGEST_PAUSE));
    Ok((begin, pause))
}

async fn attempt(parts: AddonParts, job: AddonJob) -> AddonId {
    let addon = job.addon;
    if let Err(error) = try_attempt(&parts, job.number).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            %addon,
            "what came of the work at an addon was not recorded; it is tried again"
        );
        tokio::time::sleep(FAULT_PAUSE).await;
    }
    addon
}

async fn try_attempt(parts: &AddonParts, number: i64) -> Result<(), StoreError> {
    let begun = parts.store.write(&Principal::daemon(), move |tx| begin(tx, number)).await?;
    let Some(job) = begun else { return Ok(()) };
    let loaded = {
        let (parts, job) = (parts.clone(), job.clone());
        parts.store.clone().read(move |c| load(c, &parts, &job)).await?
    };
    let Some(work) = loaded else { return Ok(()) };
    let done = call(parts, &job, &work).await;
    if let Err(error) = &done {
        tracing::warn!(addon = %work.addon.name, work = %job.work.kind(), %error, "a provider did not do it");
    }
    settle::record(parts, job, work, done).await
}

/// The job, with a note that its provider is asked now; `None` when nobody needs it any more.
fn begin(tx: &mut Tx<'_>, number: i64) -> Result<Option<AddonJob>, StoreError> {
    let Some(mut job) = store::addon_jobs::find(tx, number)? else { return Ok(None) };
    if job.begun_at.is_none() {
        job.begun_at = Some(tx.now());
        store::addon_jobs::update(tx, &job)?;
    }
    Ok(Some(job))
}

fn load(connection: &Connection, parts: &AddonParts, job: &AddonJob) -> Result<Option<Work>, StoreError> {
    let Some(addon) = store::addons::find_any(connection, job.addon)? else { return Ok(None) };
    let offer = parts.offer.current();
    Ok(Some(Work {
        plan: offer.plan_of(addon.plan.id).map(|(_, plan)| plan.clone()),
        data: store::addons::data(connection, &parts.sealer, addon.id)?,
        addon,
        operation: job.operation.clone(),
        is_accepted: job.is_accepted,
        now: parts.clock.now(),
    }))
}

/// What came of a call, whatever was asked for.
#[derive(Debug)]
pub(super) enum Done {
    Provisioned(Outcome<super::Provisioned>),
    Changed(Outcome<super::Changed>),
    Bound(Outcome<crate::model::config_var::ConfigVars>),
    Removed(Outcome<super::Removed>),
    KeptUp(super::Rework),
    /// Nobody needs it any more.
    Moot,
}

async fn call(parts: &AddonParts, job: &AddonJob, work: &Work) -> Result<Done, ProviderError> {
    let name = &work.addon.service.provider;
    let missing = || ProviderError::Later(format!("The provider {name} is not set up any more."));
    let provider = parts.providers.of(name).ok_or_else(missing)?;
    let asked = async {
        Ok(match &job.work {
            AddonWork::Provision => Done::Provisioned(provider.provision(work).await?),
            AddonWork::ChangePlan(plan) => Done::Changed(provider.change_plan(work, plan).await?),
            AddonWork::Bind(id) => {
                let id = *id;
                match parts.store.look_up(|c| store::addon_attachments::find(c, id))? {
                    Some(to) => Done::Bound(provider.bind(work, &to).await?),
                    None => Done::Moot,
                }
            }
            AddonWork::Unbind(id) => {
                let id = *id;
                match parts.store.look_up(|c| store::addon_attachments::find_any(c, id))? {
                    Some(from) => Done::Removed(provider.unbind(work, &from).await?),
                    None => Done::Moot,
                }
            }
            AddonWork::Deprovision => Done::Removed(provider.deprovision(work).await?),
            AddonWork::Upkeep => Done::KeptUp(provider.keep_up(work).await?),
        })
    };
    let slow =
        |_| ProviderError::Later(format!("The provider did not answer within {} s.", CALL_LIMIT.as_secs()));
    tokio::time::timeout(CALL_LIMIT, asked).await.unwrap_or_else(|late| Err(slow(late)))
}
