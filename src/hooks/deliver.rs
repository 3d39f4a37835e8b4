//! The far end: leases what is due, posts it, and has the result recorded.
//!
//! Invariants: at most [`CONCURRENT`] deliveries are in memory, of as many hooks; what is not recorded is sent
//! again, with the same delivery id.

use std::future::Future;
use std::pin::Pin;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;
use tokio_util::sync::CancellationToken;

use super::request::{self, HookRequest};
use super::settle::{self, Ended};
use crate::clock::Clock;
use crate::ids::Ids;
use crate::model::event::Event;
use crate::model::hook::{Hook, HookEvent};
use crate::model::hook_delivery::Delivery;
use crate::model::hook_url::Receiver;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::outbound::{Answer, Outbound, OutboundError, PostLimits};
use crate::seal::Sealer;
use crate::store::hook_queue::Lease;
use crate::store::{self, Store, StoreError};
use crate::tasks::{Activator, Tasks};
use crate::telemetry::{Span, SpanKind, Telemetry};
use crate::temporary_token::{TemporaryTokens, TokenReason};

/// Deliveries that are on their way at once.
const CONCURRENT: usize = 32;
/// After this a lease that was not given back lapses. Longer than any attempt takes.
const LEASE: Duration = Duration::from_mins(1);
/// The longest sleep between two looks at what is due.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The pause after the store failed.
const FAULT_PAUSE: Duration = Duration::from_secs(1);
/// How long attempts may still take when the daemon stops.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// How often old results are removed.
const TIDY_PERIOD: Duration = Duration::from_hours(1);
/// The age at which a result may be removed (reading 24).
const RESULT_AGE: Duration = Duration::from_hours(30 * 24);

/// What deliveries need.
#[derive(Debug, Clone)]
pub struct DelivererParts {
    pub store: Store,
    pub sealer: Sealer,
    pub outbound: Outbound,
    /// Gets a span of each attempt.
    pub telemetry: Telemetry,
    pub issuer: TokenIssuer,
    pub clock: Clock,
    /// What one attempt may take, and how much of the answer is kept.
    pub limits: PostLimits,
}

/// Makes the tokens that receivers get.
#[derive(Debug, Clone)]
pub struct TokenIssuer {
    pub tokens: TemporaryTokens,
    pub clock: Clock,
    pub ids: Ids,
}

/// The task that delivers.
#[derive(Debug)]
pub struct Deliverer {
    wake: Activator,
}

type Attempts = FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>>;

impl Deliverer {
    /// Takes over what an earlier process left on its way, and delivers until `tasks` are stopped.
    pub async fn start(parts: DelivererParts, tasks: &Tasks) -> Result<Self, StoreError> {
        parts.store.write(&Principal::daemon(), |tx| store::hook_queue::give_all_back(tx)).await?;
        let (wake, stop) = (Activator::new(), tasks.stopping());
        let activator = wake.clone();
        tasks.supervise("hook deliveries", move || run(parts.clone(), activator.clone(), stop.clone()));
        Ok(Self { wake })
    }

    /// Has it look at what is due; needed only where time passes without it, as on a test's clock.
    pub fn wake(&self) {
        self.wake.activate();
    }
}

async fn run(parts: DelivererParts, wake: Activator, stop: CancellationToken) {
    let mut events = parts.store.subscribe();
    let mut attempts = Attempts::new();
    let mut tidy_at = parts.clock.now();
    while !stop.is_cancelled() {
        if parts.clock.now() >= tidy_at {
            tidy_at = parts.clock.now().plus(TIDY_PERIOD);
            tidy(&parts).await;
        }
        let pause = match lease(&parts, CONCURRENT.saturating_sub(attempts.len())).await {
            Ok((leases, pause)) => {
                attempts.extend(leases.into_iter().map(|lease| boxed(attempt(parts.clone(), lease))));
                pause
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the hooks' queues cannot be read");
                FAULT_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = happened(&mut events) => {}
            () = wake.activated() => {}
            Some(()) = attempts.next() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
    let finish = attempts.for_each(|()| std::future::ready(()));
    if tokio::time::timeout(STOP_GRACE, finish).await.is_err() {
        tracing::info!("deliveries that are on their way are sent again at the next start");
    }
}

fn boxed(attempt: impl Future<Output = ()> + Send + 'static) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(attempt)
}

/// Waits for an event; those that are there already count as one.
async fn happened(events: &mut broadcast::Receiver<std::sync::Arc<Event>>) {
    if matches!(events.recv().await, Err(broadcast::error::RecvError::Closed)) {
        return std::future::pending().await;
    }
    while matches!(events.try_recv(), Ok(_) | Err(TryRecvError::Lagged(_))) {}
}

/// Leases what is due, at most `free` deliveries, and tells how long nothing more will be.
async fn lease(parts: &DelivererParts, free: usize) -> Result<(Vec<Lease>, Duration), StoreError> {
    let now = parts.clock.now();
    let next = parts.store.look_up(store::hook_queue::next_due)?;
    if free == 0 || next.is_none_or(|due| due > now) {
        return Ok((Vec::new(), pause(next, now)));
    }
    let until = now.plus(LEASE);
    let leases =
        parts.store.write(&Principal::daemon(), move |tx| store::hook_queue::lease(tx, until, free)).await?;
    let next = parts.store.look_up(store::hook_queue::next_due)?;
    Ok((leases, pause(next, now)))
}

/// Until the next delivery is due. What is due already waits for a free place, which wakes the task.
fn pause(next: Option<Timestamp>, now: Timestamp) -> Duration {
    match next {
        Some(due) if due > now => due.since(now).min(LONGEST_PAUSE),
        Some(_) | None => LONGEST_PAUSE,
    }
}

/// One attempt from the lease to its record. When it cannot be recorded the lease lapses.
async fn attempt(parts: DelivererParts, lease: Lease) {
    if let Err(error) = try_attempt(&parts, lease).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            hook = %lease.hook,
            delivery = %lease.delivery,
            "a delivery was not recorded and will be sent again"
        );
    }
}

async fn try_attempt(parts: &DelivererParts, lease: Lease) -> Result<(), StoreError> {
    // Its hook may have been deleted since.
    let Some(request) = load(parts, lease).await? else { return Ok(()) };
    let HookRequest { url, headers, body, shown } = request;
    let began = Instant::now();
    let answer = parts.outbound.post(&url, &headers, body, parts.limits).await;
    trace(parts, lease, &answer, began.elapsed());
    let ended = Ended::of(shown, answer, parts.clock.now());
    let sealer = parts.sealer.clone();
    parts.store.write(&Principal::daemon(), move |tx| settle::record(tx, &sealer, lease, ended)).await
}

fn trace(parts: &DelivererParts, lease: Lease, answer: &Result<Answer, OutboundError>, took: Duration) {
    let Some(traced) = parts.telemetry.begin(None) else { return };
    let (status, failure) = match answer {
        Ok(Answer { status, .. }) => (Some(*status), (*status >= 400).then(|| format!("status {status}"))),
        Err(error) => (None, Some(error.to_string())),
    };
    let mut attributes = vec![
        ("akkeris.hook.id", lease.hook.to_string().into()),
        ("akkeris.delivery.id", lease.delivery.to_string().into()),
    ];
    attributes.extend(status.map(|status| ("http.response.status_code", status.into())));
    parts.telemetry.record(Span {
        traced,
        name: "hook delivery".to_owned(),
        kind: SpanKind::Client,
        ended_at: parts.clock.now(),
        took,
        attributes,
        failure,
    });
}

/// The request of a leased delivery. It is made where the query runs: opening and signing take a while.
async fn load(parts: &DelivererParts, lease: Lease) -> Result<Option<HookRequest>, StoreError> {
    let (sealer, issuer) = (parts.sealer.clone(), parts.issuer.clone());
    parts
        .store
        .read(move |connection| {
            let hook = store::hooks::find(connection, &sealer, lease.hook)?;
            let delivery = store::hook_deliveries::find(connection, &sealer, lease.delivery)?;
            let Some((hook, delivery)) = hook.zip(delivery) else { return Ok(None) };
            let token = token(connection, &issuer, &hook, &delivery)?;
            Ok(Some(request::build(&hook, &delivery, token)))
        })
        .await
}

/// A temporary token for the receiver; `None` where it gets none: of an event that is the daemon's own doing, of
/// those that leave nothing to be done (`behaviour.md` §22), and where the receiver is a chat or the like.
fn token(
    connection: &store::Connection,
    issuer: &TokenIssuer,
    hook: &Hook,
    delivery: &Delivery,
) -> Result<Option<String>, StoreError> {
    let without =
        matches!(delivery.event, HookEvent::Destroy | HookEvent::Crashed | HookEvent::PreviewReleased);
    if without || hook.url.receiver() != Receiver::Plain {
        return Ok(None);
    }
    if store::accounts::find_by_name(connection, &delivery.author)?.is_none() {
        return Ok(None);
    }
    let TokenIssuer { tokens, clock, ids } = issuer;
    let (user, event) = (delivery.author.clone(), delivery.event);
    let reason = TokenReason { user, hook: hook.id, event, app: hook.app_id };
    let token = tokens.issue(&reason, ids.next(), clock.now());
    // The delivery is worth more than its token.
    Ok(token.inspect_err(|error| tracing::error!(%error, "a delivery goes without its token")).ok())
}

async fn tidy(parts: &DelivererParts) {
    let oldest = parts.clock.now().minus(RESULT_AGE);
    let removal = move |tx: &mut store::Tx<'_>| {
        store::hooks::remove_of_deleted_apps(tx)?;
        store::hook_deliveries::remove_old(tx, oldest)
    };
    loop {
        match parts.store.write::<bool, StoreError, _>(&Principal::daemon(), removal).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "old results were not removed");
                return;
            }
        }
    }
}
