//! What systemd is told. Without systemd nothing happens here.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Interval;

/// Tells systemd something.
pub(super) fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// Signs of life, as often as systemd wants them.
pub(super) struct Watchdog(Option<Interval>);

impl Watchdog {
    pub(super) fn new() -> Self {
        // Half of what systemd allows between two signs.
        let period = sd_notify::watchdog_enabled().map(|limit| limit / 2);
        Self(period.filter(|period| *period > Duration::ZERO).map(tokio::time::interval))
    }

    /// Gives the next sign when it is due. Cancel-safe.
    pub(super) async fn next(&mut self) {
        match &mut self.0 {
            Some(interval) => {
                interval.tick().await;
                notify(NotifyState::Watchdog);
            }
            None => std::future::pending().await,
        }
    }
}
