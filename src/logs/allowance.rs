//! How much of a dyno's output may be taken.

use std::time::Duration;

use tokio::time::Instant;

/// A burst may have so many seconds' worth of output.
const BURST: u32 = 4;

/// Output that may be taken: fills with time up to a burst.
pub(super) struct Allowance {
    rate: f64,
    bytes: f64,
    filled: Instant,
}

impl Allowance {
    /// A whole burst, filled with so many bytes a second.
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
    pub(super) fn new(rate: u64) -> Self {
        let rate = rate as f64;
        Self { rate, bytes: rate * f64::from(BURST), filled: Instant::now() }
    }

    /// Takes so many bytes, also beyond what is there.
    #[expect(clippy::cast_precision_loss, reason = "a few pieces are far below 2^52 bytes")]
    pub(super) fn take(&mut self, bytes: usize) {
        let now = Instant::now();
        let grown = self.rate * now.duration_since(self.filled).as_secs_f64();
        self.bytes = (self.bytes + grown).min(self.rate * f64::from(BURST)) - bytes as f64;
        self.filled = now;
    }

    /// How long until more may be taken, when too much was.
    pub(super) fn debt(&self) -> Option<Duration> {
        (self.bytes < 0.0).then(|| Duration::from_secs_f64(-self.bytes / self.rate))
    }
}
