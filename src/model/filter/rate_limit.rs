//! The type `rate-limit`: how many requests each client may send.

use std::time::Duration;

use crate::model::rule::RuleError;

/// So many requests in so many seconds, for each IPv4 address and each /64 of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RateLimitOptions {
    pub requests: u32,
    /// Seconds.
    pub period: u32,
    /// Requests that may come at once after a pause.
    pub burst: u32,
}

const MOST: u32 = 1_000_000;
const LONGEST: u32 = 86_400;
const MINUTE: u32 = 60;

impl RateLimitOptions {
    /// A minute when `period` is absent, and all of them at once when `burst` is.
    pub fn new(requests: u32, period: Option<u32>, burst: Option<u32>) -> Result<Self, RuleError> {
        let (period, burst) = (period.unwrap_or(MINUTE), burst.unwrap_or(requests));
        let between = |field: &str, value: u32, most: u32| {
            if (1..=most).contains(&value) {
                return Ok(());
            }
            Err(RuleError::new(format!("The {field} {value} is not usable: give a number from 1 to {most}.")))
        };
        between("requests", requests, MOST)?;
        between("period", period, LONGEST)?;
        between("burst", burst, MOST)?;
        Ok(Self { requests, period, burst })
    }

    /// The time in which one more request is granted.
    pub fn interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.period)) / self.requests.max(1)
    }
}
