//! What can go wrong in the store. Raw SQLite codes stop here.

use rusqlite::ErrorCode;

/// Why the store did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("another row already has this key")]
    Exists(#[source] rusqlite::Error),
    #[error("a row that others refer to, or that does not exist, was named")]
    Referenced(#[source] rusqlite::Error),
    #[error("the database stayed locked by another process")]
    Busy(#[source] rusqlite::Error),
    #[error("the database file is damaged; restore a backup")]
    Corrupt(#[source] rusqlite::Error),
    #[error("the disk is full")]
    Full(#[source] rusqlite::Error),
    #[error("the database cannot be read or written")]
    Io(#[source] rusqlite::Error),
    #[error("a statement failed")]
    Statement(#[source] rusqlite::Error),
    #[error("a stored value cannot be understood: {0}")]
    Content(String),
    #[error(
        "the database was written by a newer akkerisd (schema {found}, this one knows {known}); install that one"
    )]
    Newer { found: u32, known: u32 },
    #[error("the copy before a migration cannot be made")]
    Copy(#[source] std::io::Error),
    #[error("another write that shared the commit met a full or failing disk; nothing of either was written")]
    Undone,
    #[error("the store is closed")]
    Closed,
    #[error("the write panicked and was rolled back")]
    Panicked,
    #[error(transparent)]
    Seal(#[from] crate::seal::SealError),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        const FOREIGN_KEY: i32 = rusqlite::ffi::SQLITE_CONSTRAINT_FOREIGNKEY;
        const UNIQUE: i32 = rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE;
        const PRIMARY_KEY: i32 = rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY;
        let Some(code) = error.sqlite_error() else { return Self::Statement(error) };
        match (code.code, code.extended_code) {
            (ErrorCode::ConstraintViolation, UNIQUE | PRIMARY_KEY) => Self::Exists(error),
            (ErrorCode::ConstraintViolation, FOREIGN_KEY) => Self::Referenced(error),
            (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => Self::Busy(error),
            (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => Self::Corrupt(error),
            (ErrorCode::DiskFull, _) => Self::Full(error),
            (
                ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied,
                _,
            ) => Self::Io(error),
            _ => Self::Statement(error),
        }
    }
}
