//! Deliveries: one event on its way to one hook, and when it is tried again (reading 24).
//!
//! Invariant: a delivery keeps its id over all attempts, so that a receiver can tell a repetition.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hook::{HookEvent, HookHealth};
use super::ids::{DeliveryId, HookId};
use super::names::UserName;
use super::time::Timestamp;

/// One event for one hook, with what became of it.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: DeliveryId,
    pub hook_id: HookId,
    pub event: HookEvent,
    /// Whose doing the event was.
    pub author: UserName,
    /// The exact JSON that is signed.
    pub payload: Payload,
    pub state: DeliveryState,
    /// Attempts that were begun.
    pub attempts: u32,
    pub report: DeliveryReport,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The JSON of an event. It may hold config vars, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(String);

crate::text_enum! {
    /// Where a delivery stands.
    pub enum DeliveryState {
        /// To be sent, for the first time or again.
        Waiting => "waiting",
        Succeeded => "succeeded",
        /// Given up.
        Failed => "failed",
    }
}

crate::text_enum! {
    /// How the last attempt of a delivery ended, as results show it.
    pub enum AttemptStatus {
        /// None has ended yet.
        Pending => "pending",
        Succeeded => "succeeded",
        Failed => "failed",
    }
}

/// What the attempts met, as the results show it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// The request of the last attempt; `None` before the first has ended.
    pub request: Option<SentRequest>,
    /// The answer to it; empty when there was none.
    pub response: Response,
    /// Every attempt that has ended, oldest first.
    pub attempts: Vec<Attempt>,
    /// What the platform did about it, for people; may be empty.
    pub message: String,
}

/// A request without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentRequest {
    /// Without query and userinfo.
    pub url: String,
    /// Without `authorization`.
    pub headers: BTreeMap<String, String>,
}

/// What an endpoint answered.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Response {
    /// 0 when there was no answer.
    pub code: u16,
    pub headers: BTreeMap<String, String>,
    /// At most the first 16 KiB.
    pub body: String,
}

/// How one attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub at: Timestamp,
    /// 0 when there was no answer.
    pub code: u16,
    /// Why it failed, for people; empty when it did not.
    pub error: String,
}

/// How an attempt ended, as far as it decides what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered with this status.
    Answered(u16),
    /// It could not be reached, or did not answer in time.
    Unreachable,
    /// Sending it again would meet the same refusal: a forbidden address, a body that cannot be made.
    Hopeless,
}

/// What comes next for a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    /// It is sent again after this pause.
    Retry(Duration),
    GiveUp,
}

/// The pauses before the second to the sixth attempt: 61 minutes together.
pub const RETRY_PAUSES: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_mins(40),
];
/// Failed attempts in a row after which a delivery that is given up suspends its hook.
const TOLERATED_FAILURES: u32 = 2;
const FIRST_SUSPENSION: Duration = Duration::from_mins(5);
const LONGEST_SUSPENSION: Duration = Duration::from_hours(6);

/// What comes next after the attempt with this number, the first being 1 (reading 24): 2xx and 3xx are
/// deliveries; no answer, 429 and 5xx are tried again; anything else is final.
pub fn verdict(outcome: Outcome, attempt: u32) -> Verdict {
    let passing = match outcome {
        Outcome::Answered(200..=399) => return Verdict::Delivered,
        Outcome::Answered(code) => code == 429 || code >= 500,
        Outcome::Unreachable => true,
        Outcome::Hopeless => false,
    };
    let index = usize::try_from(attempt.saturating_sub(1)).unwrap_or(usize::MAX);
    match RETRY_PAUSES.get(index) {
        Some(pause) if passing => Verdict::Retry(*pause),
        Some(_) | None => Verdict::GiveUp,
    }
}

impl HookHealth {
    /// After an attempt that ended so. A delivery that is given up after three failures in a row suspends the
    /// hook, for five minutes at first and twice as long each further time, up to six hours.
    #[must_use]
    pub fn after(self, verdict: Verdict, now: Timestamp) -> Self {
        match verdict {
            Verdict::Delivered => Self::default(),
            Verdict::Retry(_) => Self { failures: self.failures.saturating_add(1), ..self },
            Verdict::GiveUp => {
                let failures = self.failures.saturating_add(1);
                if failures <= TOLERATED_FAILURES {
                    return Self { failures, ..self };
                }
                let factor = 1_u32.checked_shl(self.suspensions).unwrap_or(u32::MAX);
                let pause = FIRST_SUSPENSION.saturating_mul(factor).min(LONGEST_SUSPENSION);
                let suspensions = self.suspensions.saturating_add(1);
                Self { failures, suspensions, suspended_until: Some(now.plus(pause)) }
            }
        }
    }
}

impl Delivery {
    /// How the last attempt ended.
    pub fn last_status(&self) -> AttemptStatus {
        match self.state {
            DeliveryState::Succeeded => AttemptStatus::Succeeded,
            DeliveryState::Waiting if self.report.attempts.is_empty() => AttemptStatus::Pending,
            DeliveryState::Waiting | DeliveryState::Failed => AttemptStatus::Failed,
        }
    }
}

impl Payload {
    /// Takes the JSON.
    pub fn new(json: String) -> Self {
        Self(json)
    }

    /// The JSON.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl std::fmt::Debug for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Response({}, {} bytes)", self.code, self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again_and_six_times_at_most() {
        assert_eq!(verdict(Outcome::Answered(204), 1), Verdict::Delivered);
        assert_eq!(verdict(Outcome::Answered(302), 6), Verdict::Delivered);
        for outcome in [Outcome::Answered(429), Outcome::Answered(503), Outcome::Unreachable] {
            let pauses: Vec<Verdict> = (1..=6).map(|attempt| verdict(outcome, attempt)).collect();
            let mut wanted: Vec<Verdict> = RETRY_PAUSES.iter().map(|pause| Verdict::Retry(*pause)).collect();
            wanted.push(Verdict::GiveUp);
            assert_eq!(pauses, wanted);
        }
        for outcome in [Outcome::Answered(404), Outcome::Answered(100), Outcome::Hopeless] {
            assert_eq!(verdict(outcome, 1), Verdict::GiveUp);
        }
        let all: Duration = RETRY_PAUSES.iter().sum();
        assert!(all >= Duration::from_mins(55) && all <= Duration::from_mins(65));
    }

    #[test]
    fn suspensions_grow_to_six_hours_and_end_with_a_success() {
        let now = Timestamp::from_millis(0);
        let mut health = HookHealth::default();
        let mut minutes = Vec::new();
        for _ in 0..12 {
            health = health.after(Verdict::GiveUp, now);
            minutes.push(health.suspended_until.map(|until| until.since(now).as_secs() / 60));
        }
        let wanted = [5, 10, 20, 40, 80, 160, 320, 360, 360, 360].map(Some);
        assert_eq!(minutes, [&[None, None][..], &wanted[..]].concat());
        assert_eq!(health.after(Verdict::Delivered, now), HookHealth::default());
        let many = HookHealth { suspensions: 400, ..health }.after(Verdict::GiveUp, now);
        assert_eq!(many.suspended_until, Some(now.plus(LONGEST_SUSPENSION)));
    }
}
