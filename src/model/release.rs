//! Releases: a slug put onto an app's dynos.

use super::ids::{AppId, BuildId, ReleaseId};
use super::names::UserName;
use super::rule::RuleError;
use super::time::Timestamp;

/// One release of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    pub id: ReleaseId,
    pub app_id: AppId,
    /// The build whose image runs; it may belong to another app (promotions).
    pub slug: BuildId,
    /// 1, 2, 3 … per app, never reused (reading 6).
    pub version: u32,
    pub description: String,
    pub kind: ReleaseKind,
    pub state: ReleaseState,
    pub created_by: UserName,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What led to a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseKind {
    /// A user named the slug.
    Slug,
    /// The feature `auto-release` after a successful build.
    Auto,
    /// An older release's slug again; config vars stay as they are (reading 18).
    Rollback { of: ReleaseId },
    /// The slug of an earlier stage's release; config vars stay as they are (`behaviour.md` §19).
    Promotion { of: ReleaseId },
}

/// The lifecycle of a release (reading 7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseState {
    /// On disk, not yet seen by the reconciler.
    Queued,
    /// Its dynos are being started and probed.
    Pending { since: Timestamp },
    /// All its dynos came up; older ones are out of rotation.
    Succeeded { at: Timestamp },
    /// It never got healthy, or was overtaken; what ran before runs on.
    Failed { reason: String, at: Timestamp },
}

crate::text_enum! {
    /// A release's state as the API's `status` shows it.
    pub enum ReleaseStatus {
        Queued => "queued",
        Pending => "pending",
        Succeeded => "succeeded",
        Failed => "failed",
    }
}

impl ReleaseState {
    /// As the API's `status` shows it.
    pub fn status(&self) -> ReleaseStatus {
        match self {
            Self::Queued => ReleaseStatus::Queued,
            Self::Pending { .. } => ReleaseStatus::Pending,
            Self::Succeeded { .. } => ReleaseStatus::Succeeded,
            Self::Failed { .. } => ReleaseStatus::Failed,
        }
    }
}

/// Longest description, in characters.
const DESCRIPTION_LIMIT: usize = 1024;

/// Bounds the note that a user gives a release.
pub fn check_description(text: &str) -> Result<(), RuleError> {
    let length = text.chars().count();
    if length > DESCRIPTION_LIMIT {
        return Err(RuleError::new(format!(
            "The description has {length} characters; at most {DESCRIPTION_LIMIT} are kept."
        )));
    }
    Ok(())
}
