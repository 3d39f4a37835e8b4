//! How the edge stops: no new connections, the open requests to their end, within a limit.

use std::sync::OnceLock;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// How patient a drain is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Patience {
    /// For what is open to end.
    pub limit: Duration,
    /// For the next request of a connection without one, which may be under way to it.
    pub quiet: Duration,
}

/// Tells the workers to stop.
#[derive(Debug, Default)]
pub(super) struct Stop {
    pub(super) token: CancellationToken,
    /// The last connection over HTTP/3 has ended, and nobody here reads its socket any more.
    pub(super) http3: CancellationToken,
    patience: OnceLock<Patience>,
}

impl Stop {
    /// Lets the workers drain. The first patience stands.
    pub(super) fn begin(&self, patience: Patience) {
        self.patience.get_or_init(|| patience);
        self.token.cancel();
    }

    /// Whether the workers are to drain. Unlike a look at the token it takes no lock, which all of them would share.
    pub(super) fn has_begun(&self) -> bool {
        self.patience.get().is_some()
    }

    /// How patient the drain is; not at all before it begins.
    pub(super) fn patience(&self) -> Patience {
        self.patience.get().copied().unwrap_or_default()
    }
}
