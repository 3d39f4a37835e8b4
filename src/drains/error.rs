//! Why a drain does not get its lines through, as its state tells it.

use std::io;
use std::time::Duration;

use crate::outbound::OutboundError;

/// No text holds the address, which may carry a password.
#[derive(Debug, thiserror::Error)]
pub(super) enum DrainError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("the TLS handshake failed: {0}")]
    Handshake(io::Error),
    #[error("the handshake did not end within {0:?}")]
    SlowHandshake(Duration),
    #[error("the authorities in drain-cas/{name} cannot be used: {why}")]
    Authorities { name: String, why: String },
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    #[error("the server closed the connection")]
    Closed,
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("the server took nothing for {0:?}")]
    Stalled(Duration),
    #[error("the server answered {0}")]
    Status(u16),
    #[error("the app's log cannot be read: {0}")]
    Log(io::Error),
    /// The drain or the daemon ends.
    #[error("it is stopped")]
    Stopped,
}
