//! The worker of the orders: looks at what is due, has it issued, and writes down what came of it.
//!
//! Invariants: an order is at one issuer at a time; what an attempt leads to is one transaction; an attempt that
//! was cut off by a crash is due again at the next start.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::issuer::{IssueError, Issuers, Renewal};
use crate::chain::Chain;
use crate::clock::Clock;
use crate::failpoint;
use crate::model::certificate::{Certificate, CertificateStatus, Validity};
use crate::model::event::Event;
use crate::model::ids::CertificateId;
use crate::model::journal::JournalStep;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::seal::Sealer;
use crate::store::certificates::KeyedChain;
use crate::store::{self, Store, StoreError, Tx};
use crate::tasks::{Activator, Tasks};

/// Orders that are at their issuers at once.
const CONCURRENT: usize = 8;
/// What one attempt may take.
const ATTEMPT_LIMIT: Duration = Duration::from_mins(5);
/// The longest sleep between two looks at what is due.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The pause after an issuer did not say when to renew.
const ASK_AGAIN: Duration = Duration::from_hours(1);
/// The pause after the store failed.
const FAULT_PAUSE: Duration = Duration::from_secs(1);

/// What the worker needs.
#[derive(Debug, Clone)]
pub struct OrdersParts {
    pub store: Store,
    pub sealer: Sealer,
    pub clock: Clock,
    pub issuers: Issuers,
}

/// The task that has orders issued and certificates renewed.
#[derive(Debug)]
pub struct Orders {
    wake: Activator,
}

type Attempts = FuturesUnordered<Pin<Box<dyn Future<Output = CertificateId> + Send>>>;

impl Orders {
    /// Works until the tasks stop.
    pub fn start(parts: OrdersParts, tasks: &Tasks) -> Self {
        let (wake, stop) = (Activator::new(), tasks.stopping());
        let activator = wake.clone();
        tasks.supervise("certificate orders", move || run(parts.clone(), activator.clone(), stop.clone()));
        Self { wake }
    }

    /// Has it look at what is due; needed only where time passes without it, as on a test's clock.
    pub fn wake(&self) {
        self.wake.activate();
    }
}

async fn run(parts: OrdersParts, wake: Activator, stop: CancellationToken) {
    let mut events = parts.store.subscribe();
    let mut attempts = Attempts::new();
    let mut under_way: HashSet<CertificateId> = HashSet::new();
    while !stop.is_cancelled() {
        let pause = match due(&parts, &under_way) {
            Ok((due, pause)) => {
                for id in due {
                    under_way.insert(id);
                    attempts.push(Box::pin(attempt(parts.clone(), id)));
                }
                pause
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the orders cannot be read");
                FAULT_PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = store::events::wait_for(&mut events, is_order) => {}
            () = wake.activated() => {}
            Some(id) = attempts.next() => drop(under_way.remove(&id)),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn is_order(event: &Event) -> bool {
    matches!(event, Event::CertificateOrdered { .. })
}

/// What to begin now, and how long nothing more will be due.
fn due(
    parts: &OrdersParts,
    under_way: &HashSet<CertificateId>,
) -> Result<(Vec<CertificateId>, Duration), StoreError> {
    let now = parts.clock.now();
    let due = parts.store.look_up(|c| store::certificates::list_due(c, now, 2 * CONCURRENT))?;
    let free = CONCURRENT.saturating_sub(under_way.len());
    let begin = due.into_iter().filter(|id| !under_way.contains(id)).take(free).collect();
    let next = parts.store.look_up(|c| store::certificates::next_due(c, now))?;
    let pause = next.map_or(LONGEST_PAUSE, |next| next.since(now).min(LONGEST_PAUSE));
    Ok((begin, pause))
}

async fn attempt(parts: OrdersParts, id: CertificateId) -> CertificateId {
    if let Err(error) = try_attempt(&parts, id).await {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            certificate = %id,
            "what came of an order was not recorded; it is tried again"
        );
        tokio::time::sleep(FAULT_PAUSE).await;
    }
    id
}

async fn try_attempt(parts: &OrdersParts, id: CertificateId) -> Result<(), StoreError> {
    let daemon = Principal::daemon();
    let begun = parts.store.write(&daemon, move |tx| begin(tx, id)).await?;
    let Some(certificate) = begun else { return Ok(()) };
    if let Renewal::Later(at) = renewal(parts, &certificate).await? {
        return parts.store.write(&daemon, move |tx| put_off(tx, &certificate, at)).await;
    }
    match issue(parts, &certificate).await {
        Ok((issued, chain)) => {
            let sealer = parts.sealer.clone();
            let is_renewal = certificate.status == CertificateStatus::Issued;
            let name = certificate.name.to_string();
            let due = next_look(parts, &certificate, &chain).await;
            parts
                .store
                .write(&daemon, move |tx| {
                    record_issued(tx, &sealer, &certificate, (&issued, chain.validity(), due))
                })
                .await?;
            failpoint::reached(JournalStep::CertificateIssued);
            tracing::info!(certificate = name, is_renewal, "a certificate was issued");
            Ok(())
        }
        Err(IssueError::Store(error)) => Err(error),
        Err(error) => {
            let reason = error.to_string();
            let is_final = matches!(error, IssueError::Refused(_));
            tracing::warn!(certificate = %certificate.name, reason, "a certificate was not issued");
            parts.store.write(&daemon, move |tx| record_failed(tx, &certificate, &reason, is_final)).await
        }
    }
}

/// The order as it is to be issued now; `None` when there is nothing to do for it any more.
fn begin(tx: &mut Tx<'_>, id: CertificateId) -> Result<Option<Certificate>, StoreError> {
    let is_due = |one: &Certificate| one.due_at.is_some_and(|due| due <= tx.now());
    let Some(mut certificate) = store::certificates::find(tx, id)?.filter(is_due) else { return Ok(None) };
    certificate.begin();
    store::certificates::update(tx, &certificate)?;
    Ok(Some(certificate))
}

/// Whether what is due is to be renewed now. An issuer that says when is asked again until then; one that cannot be
/// asked is waited for until a third of the lifetime is left.
async fn renewal(parts: &OrdersParts, certificate: &Certificate) -> Result<Renewal, StoreError> {
    let (CertificateStatus::Issued, Some(validity), 0) =
        (certificate.status, certificate.validity, certificate.attempts)
    else {
        return Ok(Renewal::Now);
    };
    let (id, sealer, now) = (certificate.id, parts.sealer.clone(), parts.clock.now());
    let keyed = parts.store.read(move |c| store::certificates::keyed_chain(c, &sealer, id)).await?;
    let chain = keyed.and_then(|keyed| Chain::parse(&keyed.chain, &keyed.key).ok());
    let (Some(issuer), Some(chain)) = (parts.issuers.of(certificate.issuer), chain) else {
        return Ok(Renewal::Now);
    };
    let is_late = validity.renew_at(0.0) <= now;
    Ok(match issuer.renewal_window(&chain).await {
        Ok(Some(window)) => window.judge(now, rand::random()),
        Err(error) if !is_late => {
            tracing::warn!(certificate = %certificate.name, %error, "it is not known when to renew");
            Renewal::Later(now.plus(ASK_AGAIN))
        }
        Ok(None) | Err(_) => Renewal::Now,
    })
}

/// When to look at a certificate again that was issued just now.
async fn next_look(parts: &OrdersParts, certificate: &Certificate, chain: &Chain) -> Timestamp {
    let window = match parts.issuers.of(certificate.issuer) {
        Some(issuer) => issuer.renewal_window(chain).await,
        None => Ok(None),
    };
    let now = parts.clock.now();
    match window {
        Ok(Some(window)) => match window.judge(now, rand::random()) {
            Renewal::Later(at) => at,
            // It was issued this moment: the window is asked for again before anything is done.
            Renewal::Now => now.plus(window.ask_again),
        },
        Ok(None) | Err(_) => chain.validity().renew_at(rand::random()),
    }
}

/// Has the issuer at it, and looks at what it gave.
async fn issue(parts: &OrdersParts, certificate: &Certificate) -> Result<(KeyedChain, Chain), IssueError> {
    let Some(issuer) = parts.issuers.of(certificate.issuer) else {
        let text = format!(
            "The issuer {} is not set up any more: the operator can set it up again.",
            certificate.issuer
        );
        return Err(IssueError::Failed(text));
    };
    let issued = tokio::time::timeout(ATTEMPT_LIMIT, issuer.issue(certificate)).await.map_err(|_| {
        IssueError::Failed(format!("The issuer was not ready within {} s.", ATTEMPT_LIMIT.as_secs()))
    })??;
    let unusable = |error| IssueError::Failed(format!("What the issuer gave is not usable. {error}"));
    let chain = Chain::parse(&issued.chain, &issued.key).map_err(unusable)?;
    chain.check_domains(certificate.domains.as_slice()).map_err(unusable)?;
    chain.check_time(parts.clock.now()).map_err(unusable)?;
    Ok((issued, chain))
}

fn record_issued(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    begun: &Certificate,
    (issued, validity, due): (&KeyedChain, Validity, Timestamp),
) -> Result<(), StoreError> {
    let Some(mut certificate) = still(tx, begun)? else { return Ok(()) };
    let was_installed = certificate.is_installed();
    certificate.succeed(validity, Some(due), tx.now());
    certificate.updated_at = tx.now();
    store::certificates::update_issued(tx, sealer, (&certificate, validity), issued)?;
    store::acme::forget_order(tx, certificate.id)?;
    tx.record(Event::CertificateIssued { certificate: certificate.id })?;
    if certificate.is_installed() && !was_installed {
        tx.record(Event::CertificateInstalled { certificate: certificate.id })?;
    }
    Ok(())
}

fn put_off(tx: &mut Tx<'_>, begun: &Certificate, at: Timestamp) -> Result<(), StoreError> {
    let Some(mut certificate) = still(tx, begun)? else { return Ok(()) };
    certificate.due_at = Some(at);
    store::certificates::update(tx, &certificate)
}

fn record_failed(
    tx: &mut Tx<'_>,
    begun: &Certificate,
    reason: &str,
    is_final: bool,
) -> Result<(), StoreError> {
    let Some(mut certificate) = still(tx, begun)? else { return Ok(()) };
    let at: (Timestamp, f64) = (tx.now(), rand::random());
    certificate.fail(reason, is_final, at);
    certificate.updated_at = tx.now();
    store::certificates::update(tx, &certificate)?;
    if certificate.status == CertificateStatus::Rejected {
        store::acme::forget_order(tx, certificate.id)?;
        tx.record(Event::CertificateRejected { certificate: certificate.id })?;
    }
    Ok(())
}

/// The certificate as it is now; `None` when it was deleted or uploaded while the issuer was at it.
fn still(tx: &Tx<'_>, begun: &Certificate) -> Result<Option<Certificate>, StoreError> {
    let found = store::certificates::find(tx, begun.id)?;
    Ok(found.filter(|one| one.issuer == begun.issuer && one.due_at == begun.due_at))
}
