//! How a backup is shown.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::page::{Listed, Property};
use crate::model::addon_backup::{
    AddonBackup, AddonBackupRun, BackupOrigin, BackupState, BackupStatus, BackupStorage, RunPurpose, RunState,
};
use crate::model::time::Timestamp;

/// A backup of an addon.
#[derive(Serialize, ToSchema)]
pub(super) struct AddonBackupView {
    id: Uuid,
    addon: BackedUpView,
    addon_service: ServiceView,
    /// `manual`, `scheduled`, or `final`: made when the addon was deleted, and kept for 7 days.
    #[schema(value_type = String)]
    origin: BackupOrigin,
    /// `pending`, `succeeded` or `failed`.
    #[schema(value_type = String)]
    status: BackupStatus,
    /// Why it failed; else empty.
    failure_message: String,
    /// In bytes; `null` unless it succeeded.
    size: Option<u64>,
    /// `sha256:` and 64 hexadecimal digits; `null` unless it succeeded.
    checksum: Option<String>,
    /// `local`, on the machine of the daemon, or `s3`; `null` unless it succeeded.
    #[schema(value_type = Option<String>)]
    storage: Option<BackupStorage>,
    /// Why it could not be brought to S3 yet; empty unless that was tried.
    upload_failure: String,
    /// The last time that it was restored into a throwaway instance and looked at; `null` before.
    drill: Option<BackupRunView>,
    /// The addons that it was restored into, oldest first.
    restores: Vec<BackupRunView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// When it is removed, where that is decided.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// The addon that a backup is of; it may be gone.
#[derive(Serialize, ToSchema)]
struct BackedUpView {
    id: Uuid,
    name: String,
}

/// A service by its name.
#[derive(Serialize, ToSchema)]
#[schema(as = BackedUpServiceView)]
struct ServiceView {
    name: String,
}

/// A use of a backup.
#[derive(Serialize, ToSchema)]
#[schema(as = AddonBackupRunView)]
pub(super) struct BackupRunView {
    id: Uuid,
    /// The addon that got the data; `null` of a drill.
    addon: Option<TargetView>,
    /// `pending`, `succeeded` or `failed`.
    #[schema(value_type = String)]
    status: BackupStatus,
    /// What was found in the data, or why it failed; empty before.
    result: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
}

/// The addon that got the data of a backup.
#[derive(Serialize, ToSchema)]
#[schema(as = AddonBackupTargetView)]
struct TargetView {
    id: Uuid,
}

impl AddonBackupView {
    pub(super) fn new(backup: AddonBackup, runs: Vec<AddonBackupRun>) -> Self {
        let (drills, restores): (Vec<_>, Vec<_>) =
            runs.into_iter().partition(|run| run.purpose == RunPurpose::Drill);
        let status = backup.state.status();
        let (content, failure_message, finished_at) = match backup.state {
            BackupState::Pending => (None, String::new(), None),
            BackupState::Succeeded(content) => {
                let at = content.at;
                (Some(content), String::new(), Some(at))
            }
            BackupState::Failed { reason, at } => (None, reason, Some(at)),
        };
        Self {
            id: backup.id.uuid(),
            addon: BackedUpView { id: backup.addon.uuid(), name: backup.addon_name },
            addon_service: ServiceView { name: backup.service },
            origin: backup.origin,
            status,
            failure_message,
            size: content.as_ref().map(|content| content.size),
            checksum: content.as_ref().map(|content| format!("sha256:{}", content.sha256)),
            storage: content.as_ref().map(|content| content.storage),
            upload_failure: content.map(|content| content.upload_failure).unwrap_or_default(),
            drill: drills.into_iter().next_back().map(BackupRunView::from),
            restores: restores.into_iter().map(BackupRunView::from).collect(),
            created_at: backup.created_at,
            finished_at,
            expires_at: backup.expires_at,
        }
    }
}

impl From<AddonBackupRun> for BackupRunView {
    fn from(run: AddonBackupRun) -> Self {
        let status = run.state.status();
        let (result, finished_at) = match run.state {
            RunState::Pending => (String::new(), None),
            RunState::Succeeded { found: result, at } | RunState::Failed { reason: result, at } => {
                (result, Some(at))
            }
        };
        Self {
            id: run.id.uuid(),
            addon: run.purpose.target().map(|addon| TargetView { id: addon.uuid() }),
            status,
            result,
            created_at: run.created_at,
            finished_at,
        }
    }
}

impl Listed for AddonBackupView {
    const PROPERTIES: &'static [Property<Self>] =
        &[Property::Time("created_at", |item| item.created_at), Property::Id(|item| item.id)];
}
