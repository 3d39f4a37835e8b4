//! What an S3-compatible store can be at fault with, in words for people.

use crate::outbound::OutboundError;

/// Why the store did not do what it was asked for. It names the bucket and what the server said; no address with a
/// signature, no secret.
#[derive(Debug, thiserror::Error)]
#[error("the S3 bucket \"{bucket}\" at {server}: {doing}: {fault}")]
pub struct S3Error {
    pub(super) bucket: String,
    pub(super) server: String,
    pub(super) doing: &'static str,
    #[source]
    pub(super) fault: Fault,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("the server answered {status} {code}: {message}")]
    Refused { status: u16, code: String, message: String },
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("the file on this machine cannot be read or written: {0}")]
    File(#[from] std::io::Error),
    #[error("the server says that the object has {found} bytes, and it has {expected}")]
    Length { expected: u64, found: u64 },
    #[error("the server's answer is none of S3: {0}")]
    Nonsense(&'static str),
}

impl S3Error {
    /// Whether the server knows no such object or upload.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self.fault, Fault::Refused { status: 404, .. })
    }

    /// Whether the server does not know such a request.
    pub(super) fn is_unsupported(&self) -> bool {
        matches!(self.fault, Fault::Refused { status: 501, .. })
    }
}

impl Fault {
    /// Whether it may be otherwise in a moment.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => {
                matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
                    || matches!(
                        code.as_str(),
                        "RequestTimeout" | "SlowDown" | "InternalError" | "BadDigest" | "IncompleteBody"
                    )
            }
            Self::Outbound(OutboundError::Transport(_) | OutboundError::TimedOut(_)) => true,
            Self::Outbound(
                OutboundError::Url
                | OutboundError::Private(_)
                | OutboundError::Forbidden(_)
                | OutboundError::Status(_)
                | OutboundError::TooLarge(_)
                | OutboundError::Io(_),
            )
            | Self::File(_)
            | Self::Length { .. }
            | Self::Nonsense(_) => false,
        }
    }
}
