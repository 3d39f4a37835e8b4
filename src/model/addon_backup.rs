//! Backups of built-in addons, and what was done with them: restored, or tried out in a drill.
//!
//! Invariant: a backup outlives its addon, so it carries the names of what it is of.

use super::ids::{AddonBackupId, AddonBackupRunId, AddonId, AppId};
use super::time::Timestamp;

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonBackup {
    pub id: AddonBackupId,
    pub addon: AddonId,
    /// The addon's name at that time.
    pub addon_name: String,
    /// The app that the addon belonged to.
    pub app: AppId,
    /// Name of the service; it can be restored into addons of this one.
    pub service: String,
    pub origin: BackupOrigin,
    pub state: BackupState,
    pub created_at: Timestamp,
    /// When it is removed, where that is decided.
    pub expires_at: Option<Timestamp>,
}

crate::text_enum! {
    /// Why a backup was made.
    pub enum BackupOrigin {
        /// Somebody asked for it; it stays until it is deleted.
        Manual => "manual",
        /// The plan's schedule; the newest of them are kept.
        Scheduled => "scheduled",
        /// The addon was deleted.
        Final => "final",
    }
}

/// How far a backup is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupState {
    /// It is made, or will be.
    Pending,
    Succeeded(BackupContent),
    Failed {
        reason: String,
        at: Timestamp,
    },
}

/// What was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupContent {
    /// In bytes.
    pub size: u64,
    /// In hexadecimal.
    pub sha256: String,
    pub at: Timestamp,
    pub storage: BackupStorage,
    /// Why it could not be brought to S3 yet; empty unless that was tried.
    pub upload_failure: String,
}

crate::text_enum! {
    /// Where a backup lies.
    pub enum BackupStorage {
        /// On this machine, for good or until it is brought to S3.
        Local => "local",
        /// In the bucket of the configuration.
        S3 => "s3",
    }
}

/// Something that was done with a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonBackupRun {
    pub id: AddonBackupRunId,
    pub backup: AddonBackupId,
    pub purpose: RunPurpose,
    pub state: RunState,
    pub created_at: Timestamp,
}

/// What a backup was used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunPurpose {
    /// It became the data of this addon.
    Restore(AddonId),
    /// It was restored into a throwaway instance and looked at.
    Drill,
}

crate::text_enum! {
    /// The kind of a [`RunPurpose`].
    pub enum RunKind {
        Restore => "restore",
        Drill => "drill",
    }
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// It is done, or will be.
    Pending,
    /// With what the check of the data said.
    Succeeded {
        found: String,
        at: Timestamp,
    },
    Failed {
        reason: String,
        at: Timestamp,
    },
}

crate::text_enum! {
    /// The kind of a [`BackupState`] or [`RunState`].
    pub enum BackupStatus {
        Pending => "pending",
        Succeeded => "succeeded",
        Failed => "failed",
    }
}

impl BackupState {
    /// Its kind.
    pub const fn status(&self) -> BackupStatus {
        match self {
            Self::Pending => BackupStatus::Pending,
            Self::Succeeded(_) => BackupStatus::Succeeded,
            Self::Failed { .. } => BackupStatus::Failed,
        }
    }
}

impl RunState {
    /// Its kind.
    pub const fn status(&self) -> BackupStatus {
        match self {
            Self::Pending => BackupStatus::Pending,
            Self::Succeeded { .. } => BackupStatus::Succeeded,
            Self::Failed { .. } => BackupStatus::Failed,
        }
    }
}

impl RunPurpose {
    /// Its kind.
    pub const fn kind(self) -> RunKind {
        match self {
            Self::Restore(_) => RunKind::Restore,
            Self::Drill => RunKind::Drill,
        }
    }

    /// The addon that gets the data.
    pub const fn target(self) -> Option<AddonId> {
        match self {
            Self::Restore(addon) => Some(addon),
            Self::Drill => None,
        }
    }
}
