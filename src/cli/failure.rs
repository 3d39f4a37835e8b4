//! Why a command failed, and the exit code that says so.

use std::io;
use std::process::ExitCode;

use crate::catalogue::CatalogueError;
use crate::config::{ConfigError, SocketsError};
use crate::model::RuleError;
use crate::password::PasswordError;
use crate::service;
use crate::store::StoreError;

/// Bad usage or configuration.
pub(super) const USAGE: u8 = 64;
const ENGINE_UNAVAILABLE: u8 = 69;
const BUG: u8 = 70;
const IO: u8 = 74;

/// A failed command, by what the operator can do about it.
#[derive(Debug)]
pub(super) enum Failure {
    /// The arguments or the configuration are wrong.
    Usage(anyhow::Error),
    /// There is no Docker Engine.
    EngineUnavailable(anyhow::Error),
    /// The daemon itself is wrong.
    Bug(anyhow::Error),
    /// The machine refused: files, sockets, the database.
    Io(anyhow::Error),
}

impl Failure {
    /// Whether the reader of standard output went away (`akkerisd openapi | head`), which is no failure.
    pub(super) fn is_closed_pipe(&self) -> bool {
        let Self::Io(error) = self else { return false };
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        let code = match self {
            Self::Usage(_) => USAGE,
            Self::EngineUnavailable(_) => ENGINE_UNAVAILABLE,
            Self::Bug(_) => BUG,
            Self::Io(_) => IO,
        };
        code.into()
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Usage(error) | Self::EngineUnavailable(error) | Self::Bug(error) | Self::Io(error) => {
                write!(f, "{error:#}")
            }
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Usage(error.into())
    }
}

impl From<RuleError> for Failure {
    fn from(error: RuleError) -> Self {
        Self::Usage(error.into())
    }
}

impl From<SocketsError> for Failure {
    fn from(error: SocketsError) -> Self {
        Self::Usage(error.into())
    }
}

impl From<CatalogueError> for Failure {
    fn from(error: CatalogueError) -> Self {
        match error {
            CatalogueError::Invalid { .. } => Self::Usage(error.into()),
            CatalogueError::File { .. } => Self::Io(error.into()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Panicked | StoreError::Statement(_) => Self::Bug(error.into()),
            StoreError::Exists(_)
            | StoreError::Referenced(_)
            | StoreError::Busy(_)
            | StoreError::Corrupt(_)
            | StoreError::Full(_)
            | StoreError::Io(_)
            | StoreError::Content(_)
            | StoreError::Newer { .. }
            | StoreError::Copy(_)
            | StoreError::Undone
            | StoreError::Closed
            | StoreError::Seal(_) => Self::Io(error.into()),
        }
    }
}

impl From<PasswordError> for Failure {
    fn from(error: PasswordError) -> Self {
        Self::Bug(error.into())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error.into())
    }
}

impl From<service::Error> for Failure {
    fn from(error: service::Error) -> Self {
        match error {
            service::Error::NotFound(_)
            | service::Error::BadRequest(_)
            | service::Error::Invalid(_)
            | service::Error::Conflict(_)
            | service::Error::Forbidden(_)
            | service::Error::Unauthenticated(_)
            | service::Error::OneTimeCode(_)
            | service::Error::TooManyAttempts { .. }
            | service::Error::NotReady(_) => Self::Usage(error.into()),
            service::Error::Unavailable(_) => Self::Io(error.into()),
            service::Error::Internal(_) => Self::Bug(error.into()),
        }
    }
}
