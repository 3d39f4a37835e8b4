//! Backups of built-in addons: made, kept as long as the plan says, restored, and tried out every night.
//!
//! Invariants: a backup that succeeded is a whole file or object with its digest; what is to be done is a row and is done again
//! after a crash; a drill touches nothing that an app can reach.

mod drill;
mod folder;
mod restore;
pub mod s3;
mod save;
mod storage;
mod timetable;
mod upload;
mod worker;

use std::time::Duration;

pub use self::folder::BackupFolder;
pub(in crate::addons) use self::save::{fail_last, save_last};
pub use self::storage::{BackupBytes, BackupStorages, StorageError};
pub(in crate::addons) use self::timetable::first_due;
pub use self::worker::Backups;
use super::instances::{InstanceError, ProgramError};

/// How long the last backup of a deleted addon is kept.
pub(in crate::addons) const FINAL_KEPT: Duration = Duration::from_hours(7 * 24);
/// Longest that a backup or its restoring may take.
const LONG_LIMIT: Duration = Duration::from_hours(2);
/// Longest that the check of restored data may take.
const CHECK_LIMIT: Duration = Duration::from_mins(2);

/// Why a backup was not made, restored or tried out.
#[derive(Debug, thiserror::Error)]
enum BackupError {
    /// It may be otherwise later.
    #[error("the instance is not ready")]
    NotReady,
    #[error(transparent)]
    Instance(#[from] InstanceError),
    #[error("the backup cannot be read or written: {0}")]
    Storage(#[from] StorageError),
    /// It will not be otherwise; the text is for people.
    #[error("{0}")]
    Final(String),
}

impl From<ProgramError> for BackupError {
    fn from(error: ProgramError) -> Self {
        Self::Instance(error.into())
    }
}

impl From<std::io::Error> for BackupError {
    fn from(error: std::io::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<crate::engine::EngineError> for BackupError {
    fn from(error: crate::engine::EngineError) -> Self {
        Self::Instance(error.into())
    }
}

impl From<crate::store::StoreError> for BackupError {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Instance(error.into())
    }
}

impl BackupError {
    /// The reason as people read it; `None` where it is tried again.
    fn final_reason(&self) -> Option<String> {
        match self {
            Self::NotReady => None,
            Self::Instance(error) => error.is_final().then(|| error.to_string()),
            Self::Storage(error) => Some(format!("The backup cannot be read or written: {error}.")),
            Self::Final(reason) => Some(reason.clone()),
        }
    }
}
