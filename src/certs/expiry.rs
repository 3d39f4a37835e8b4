//! Certificates that end soon: how urgent it is, and a line a day in the log.

use std::time::Duration;

use super::book::CertificateBook;
use crate::clock::Clock;
use crate::model::time::Timestamp;
use crate::tasks::Tasks;

const DAY: Duration = Duration::from_hours(24);

/// How close the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Within 21 days.
    Soon,
    /// Within 7 days.
    Near,
    /// Within 3 days, or over.
    Now,
}

impl Urgency {
    /// Of what ends at `expires`; `None` while there is time.
    pub fn of(expires: Timestamp, now: Timestamp) -> Option<Self> {
        let left = expires.since(now);
        if left <= 3 * DAY {
            Some(Self::Now)
        } else if left <= 7 * DAY {
            Some(Self::Near)
        } else if left <= 21 * DAY {
            Some(Self::Soon)
        } else {
            None
        }
    }
}

/// Whole days to the end, for people; zero when it is over.
pub fn days_left(expires: Timestamp, now: Timestamp) -> u64 {
    expires.since(now).as_secs() / DAY.as_secs()
}

/// Warns of each certificate that ends soon, at the start and then once a day, until the tasks stop.
pub fn warn_daily(book: CertificateBook, clock: Clock, tasks: &Tasks) {
    let stop = tasks.stopping();
    tasks.spawn("certificate expiry", async move {
        let mut days = tokio::time::interval(DAY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = days.tick() => warn(&book, clock.now()),
            }
        }
    });
}

fn warn(book: &CertificateBook, now: Timestamp) {
    for expiry in book.expiries() {
        let Some(urgency) = Urgency::of(expiry.expires, now) else { return };
        let (name, days) = (&expiry.name, days_left(expiry.expires, now));
        if urgency == Urgency::Now {
            tracing::error!(certificate = name, days, "a certificate that is shown ends within 3 days");
        } else {
            tracing::warn!(certificate = name, days, "a certificate that is shown ends soon");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urgency_rises_at_21_7_and_3_days() {
        let now = Timestamp::from_millis(1_000_000);
        let of = |days: u64, more: u64| {
            Urgency::of(now.plus(DAY * u32::try_from(days).unwrap() + Duration::from_secs(more)), now)
        };
        assert_eq!(of(21, 1), None);
        assert_eq!((of(21, 0), of(7, 1)), (Some(Urgency::Soon), Some(Urgency::Soon)));
        assert_eq!((of(7, 0), of(3, 1)), (Some(Urgency::Near), Some(Urgency::Near)));
        assert_eq!((of(3, 0), of(0, 0)), (Some(Urgency::Now), Some(Urgency::Now)));
        assert_eq!(Urgency::of(now.minus(DAY), now), Some(Urgency::Now));
        assert_eq!(days_left(now.plus(DAY * 2 + Duration::from_hours(5)), now), 2);
    }
}
