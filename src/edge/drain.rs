//! How the edge stops: no new connections, the open requests to their end, within a limit.

use std::sync::OnceLock;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Tells the workers to stop.
#[derive(Debug, Default)]
pub(super) struct Stop {
    pub(super) token: CancellationToken,
    /// The last connection over HTTP/3 has ended, and nobody here reads its socket any more.
    pub(super) http3: CancellationToken,
    limit: OnceLock<Duration>,
}

impl Stop {
    /// Lets the workers drain for at most `limit`. The first limit stands.
    pub(super) fn begin(&self, limit: Duration) {
        self.limit.get_or_init(|| limit);
        self.token.cancel();
    }

    /// How long the workers may drain.
    pub(super) fn limit(&self) -> Duration {
        self.limit.get().copied().unwrap_or_default()
    }
}
