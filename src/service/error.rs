//! What a verb can answer instead of its result, free of any transport.

use std::time::Duration;

use crate::model::RuleError;
use crate::store::StoreError;

/// `Display` prints only what the client may read; the cause of an internal error goes to the log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The named thing does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The request itself is malformed, or changes what cannot be changed.
    #[error("{0}")]
    BadRequest(String),
    /// The request breaks a rule.
    #[error(transparent)]
    Invalid(#[from] RuleError),
    /// The request is fine but the present state forbids it.
    #[error("{0}")]
    Conflict(String),
    /// Nobody is known by what was sent.
    #[error("{0}")]
    Unauthenticated(String),
    /// Name and password are right, and the one-time code is missing or wrong.
    #[error("{0}")]
    OneTimeCode(String),
    /// Too much failed; the next attempt may come after `wait`.
    #[error("{message}")]
    TooManyAttempts { message: String, wait: Duration },
    /// The principal may not do this.
    #[error("{0}")]
    Forbidden(String),
    /// The thing is still being made.
    #[error("{0}")]
    NotReady(String),
    /// Something the verb needs is not there now.
    #[error("{0}")]
    Unavailable(String),
    /// A fault of the daemon or its machine.
    #[error("the daemon could not do this because of an internal fault")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// A fault with its cause.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// A conflict in these words when another row has the key; any other fault of the store as it is.
    pub fn exists(error: StoreError, message: impl FnOnce() -> String) -> Self {
        if matches!(error, StoreError::Exists(_)) { Self::Conflict(message()) } else { error.into() }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let message = if matches!(error, StoreError::Full(_)) {
            "The disk of the server is full; nothing was changed."
        } else if matches!(error, StoreError::Busy(_) | StoreError::Closed | StoreError::Undone) {
            "The server is busy or stopping; nothing was changed. Try again in a moment."
        } else {
            return Self::internal(error);
        };
        tracing::error!(error = &error as &dyn std::error::Error, "the store refused");
        Self::Unavailable(message.to_owned())
    }
}
