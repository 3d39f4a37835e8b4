//! What an attempt leads to: its record, the next attempt, or the end of the delivery.

use std::time::Duration;

use crate::model::hook::HookHealth;
use crate::model::hook_delivery::{
    Attempt, Delivery, DeliveryReport, DeliveryState, Outcome, Response, SentRequest, Verdict, verdict,
};
use crate::model::time::Timestamp;
use crate::outbound::{Answer, OutboundError};
use crate::seal::Sealer;
use crate::store::hook_queue::Lease;
use crate::store::{self, StoreError, Tx};

/// Deliveries that wait this long behind an endpoint that keeps failing are given up.
const PATIENCE: Duration = Duration::from_hours(24);
/// Deliveries that are given up so in one write.
const GIVEN_UP_AT_ONCE: u32 = 1000;

/// An attempt that is over.
pub(super) struct Ended {
    request: SentRequest,
    response: Response,
    outcome: Outcome,
    at: Timestamp,
    /// Empty when it did not fail.
    error: String,
}

impl Ended {
    /// Judges what the endpoint answered, or why it did not.
    pub(super) fn of(request: SentRequest, answer: Result<Answer, OutboundError>, at: Timestamp) -> Self {
        match answer {
            Ok(Answer { status, headers, body }) => {
                let success = (200..400).contains(&status);
                let error = if success { String::new() } else { format!("The endpoint answered {status}.") };
                let response =
                    Response { code: status, headers, body: String::from_utf8_lossy(&body).into_owned() };
                Self { request, response, outcome: Outcome::Answered(status), at, error }
            }
            Err(error) => {
                let outcome = match &error {
                    OutboundError::Url | OutboundError::Private(_) | OutboundError::Forbidden(_) => {
                        Outcome::Hopeless
                    }
                    OutboundError::Status(_)
                    | OutboundError::TooLarge(_)
                    | OutboundError::TimedOut(_)
                    | OutboundError::Transport(_)
                    | OutboundError::Io(_) => Outcome::Unreachable,
                };
                let error = format!("No answer: {error}.");
                Self { request, response: Response::default(), outcome, at, error }
            }
        }
    }
}

/// Writes down how a leased delivery's attempt ended and makes the hook's queue due again. Nothing happens when
/// the hook was deleted meanwhile, or when another holder of the same delivery was faster.
pub(super) fn record(tx: &Tx<'_>, sealer: &Sealer, lease: Lease, ended: Ended) -> Result<(), StoreError> {
    let hook = store::hooks::find(tx, sealer, lease.hook)?;
    let delivery = store::hook_deliveries::find(tx, sealer, lease.delivery)?;
    let (Some(hook), Some(mut delivery)) = (hook, delivery) else { return Ok(()) };
    if delivery.state != DeliveryState::Waiting {
        return Ok(());
    }
    let verdict = verdict(ended.outcome, delivery.attempts);
    let health = hook.health.after(verdict, tx.now());
    let retry_at = match verdict {
        Verdict::Retry(pause) => Some(tx.now().plus(pause)),
        Verdict::Delivered | Verdict::GiveUp => None,
    };
    delivery.state = match verdict {
        Verdict::Delivered => DeliveryState::Succeeded,
        Verdict::Retry(_) => DeliveryState::Waiting,
        Verdict::GiveUp => DeliveryState::Failed,
    };
    let message = message(&delivery, verdict, health, retry_at);
    note(&mut delivery.report, ended, message);
    store::hook_deliveries::update(tx, sealer, &delivery)?;
    let mut finished = usize::from(delivery.state != DeliveryState::Waiting);
    if verdict == Verdict::GiveUp {
        finished += give_up_late_ones(tx, sealer, lease)?;
    }
    store::hook_queue::settle(tx, lease.hook, health, finished, retry_at)
}

fn note(report: &mut DeliveryReport, ended: Ended, message: String) {
    report.attempts.push(Attempt { at: ended.at, code: ended.response.code, error: ended.error });
    report.request = Some(ended.request);
    report.response = ended.response;
    report.message = message;
}

fn message(delivery: &Delivery, verdict: Verdict, health: HookHealth, retry_at: Option<Timestamp>) -> String {
    let attempts = delivery.attempts;
    match (verdict, retry_at) {
        (Verdict::Delivered, _) => String::new(),
        (Verdict::Retry(_), Some(at)) => format!("Attempt {attempts} failed; the next is at {at}."),
        (Verdict::Retry(_) | Verdict::GiveUp, _) => {
            let given_up = match attempts {
                1 => "Given up after one attempt.".to_owned(),
                many => format!("Given up after {many} attempts."),
            };
            match health.suspended_until {
                Some(until) => format!(
                    "{given_up} The endpoint keeps failing: deliveries to it are suspended until {until}."
                ),
                None => given_up,
            }
        }
    }
}

/// Returns how many there were.
fn give_up_late_ones(tx: &Tx<'_>, sealer: &Sealer, lease: Lease) -> Result<usize, StoreError> {
    let oldest = tx.now().minus(PATIENCE);
    let report = DeliveryReport {
        message: format!(
            "Given up without an attempt: it waited for {} hours while the endpoint kept failing.",
            PATIENCE.as_secs() / 3600
        ),
        ..DeliveryReport::default()
    };
    store::hook_deliveries::give_up_older(tx, sealer, lease.hook, (oldest, GIVEN_UP_AT_ONCE), &report)
}
