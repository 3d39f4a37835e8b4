//! How long a drain waits before it tries again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_mins(1);

/// Pauses that double from half a second to a minute, each changed by up to a quarter, so that drains which lost the
/// same server do not come back at the same instant.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure; `chance` is from 0 to 1.
    pub(super) fn next(&mut self, chance: f64) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0)
    }

    /// It works again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_begin_anew() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u64> =
            (0..9).map(|_| u64::try_from(backoff.next(0.5).as_millis()).unwrap()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(backoff.next(0.0), LONGEST.mul_f64(0.75));
        assert_eq!(backoff.next(1.0), LONGEST.mul_f64(1.25));
        backoff.reset();
        assert_eq!(backoff.next(0.5), FIRST);
    }
}
