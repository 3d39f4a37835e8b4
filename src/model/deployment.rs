//! Deployments: a release candidate brought to an environment of its project, here or by an outside pipeline.
//!
//! Invariant: how far a deployment is that was made here is what its releases say, and nothing else.

use super::ids::{AppId, CandidateId, DeploymentId, PipelineId, ReleaseId};
use super::names::UserName;
use super::pipeline::{Coupling, Stage};
use super::release::ReleaseState;
use super::release_candidate::CandidateVersion;
use super::time::Timestamp;

/// Where a project is deployed to (reading 28).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    pub pipeline: PipelineId,
    pub place: Place,
    /// The stage, or the key of the app.
    pub name: String,
    /// Its apps, at least one.
    pub couplings: Vec<Coupling>,
    /// No deployment is made here.
    pub frozen: bool,
}

/// Which apps of a pipeline are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// All apps of a stage.
    Stage(Stage),
    /// One app.
    App(AppId),
}

/// A candidate brought to an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    pub id: DeploymentId,
    pub pipeline: PipelineId,
    pub place: Place,
    /// The stage, or the key of the app.
    pub environment: String,
    pub candidate: CandidateReference,
    /// What ran in the environment before, if that was a candidate.
    pub from: Option<CandidateReference>,
    pub course: Course,
    pub created_by: UserName,
    /// The address of the account that made it; `None` for one without.
    pub email: Option<String>,
    pub created_at: Timestamp,
}

/// Which candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateReference {
    pub id: CandidateId,
    pub version: CandidateVersion,
}

/// Who carries a deployment out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
    /// This daemon, by these releases, at least one.
    Here { releases: Vec<DeployedRelease>, canceled: bool },
    /// An outside pipeline, which reports what it does.
    Outside { status: DeploymentStatus, ended_at: Option<Timestamp> },
}

/// A release that a deployment made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployedRelease {
    pub id: ReleaseId,
    /// The key of its app.
    pub app: String,
    pub app_is_deleted: bool,
    pub state: ReleaseState,
}

crate::text_enum! {
    /// How far a deployment is, as the API's `status` shows it.
    pub enum DeploymentStatus {
        Pending => "pending",
        InProgress => "in_progress",
        Success => "success",
        Failure => "failure",
        Canceling => "canceling",
        Canceled => "canceled",
        /// Only outside pipelines report it.
        Error => "error",
        /// Only outside pipelines report it.
        Unknown => "unknown",
    }
}

/// How far a deployment is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub status: DeploymentStatus,
    pub ended_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<String>,
}

impl Place {
    /// The stage, if it is one.
    pub fn stage(self) -> Option<Stage> {
        match self {
            Self::Stage(stage) => Some(stage),
            Self::App(_) => None,
        }
    }

    /// The app, if it is one.
    pub fn app(self) -> Option<AppId> {
        match self {
            Self::Stage(_) => None,
            Self::App(app) => Some(app),
        }
    }
}

impl DeploymentStatus {
    /// Whether something is going on.
    pub fn is_active(self) -> bool {
        match self {
            Self::Pending | Self::InProgress | Self::Canceling => true,
            Self::Success | Self::Failure | Self::Canceled | Self::Error | Self::Unknown => false,
        }
    }
}

impl Deployment {
    /// How far it is.
    pub fn progress(&self) -> Progress {
        match &self.course {
            Course::Here { releases, canceled } => progress_of(releases, *canceled),
            Course::Outside { status, ended_at } => {
                Progress { status: *status, ended_at: *ended_at, error: None }
            }
        }
    }
}

impl DeployedRelease {
    /// When it ended, and why it failed if it did.
    fn end(&self) -> Option<(Timestamp, Option<String>)> {
        match &self.state {
            ReleaseState::Succeeded { at } => Some((*at, None)),
            ReleaseState::Failed { reason, at } => Some((*at, Some(format!("{}: {reason}", self.app)))),
            ReleaseState::Queued | ReleaseState::Pending { .. } => None,
        }
    }
}

/// It goes on until every release has ended, and is a success when all of them are. What was overtaken by a newer
/// deployment is canceled as soon as none of its releases goes on.
fn progress_of(releases: &[DeployedRelease], canceled: bool) -> Progress {
    let gone = |release: &&DeployedRelease| release.app_is_deleted && release.end().is_none();
    let ends: Vec<_> = releases.iter().filter_map(DeployedRelease::end).collect();
    let lost = releases.iter().filter(gone).count();
    let goes_on = ends.len() + lost < releases.len();
    if goes_on {
        let begun = releases.iter().any(|release| release.state != ReleaseState::Queued);
        let status = match (canceled, begun) {
            (true, _) => DeploymentStatus::Canceling,
            (false, true) => DeploymentStatus::InProgress,
            (false, false) => DeploymentStatus::Pending,
        };
        return Progress { status, ended_at: None, error: None };
    }
    let ended_at = ends.iter().map(|(at, _)| *at).max();
    let deleted = |release: &DeployedRelease| {
        format!("{}: the app was deleted before the release had ended.", release.app)
    };
    let mut errors: Vec<String> = ends.into_iter().filter_map(|(_, error)| error).collect();
    errors.extend(releases.iter().filter(gone).map(deleted));
    let status = match (errors.is_empty(), canceled) {
        (true, _) => DeploymentStatus::Success,
        (false, true) => DeploymentStatus::Canceled,
        (false, false) => DeploymentStatus::Failure,
    };
    let error = (!errors.is_empty()).then(|| errors.join("\n"));
    Progress { status, ended_at, error }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn release(state: ReleaseState) -> DeployedRelease {
        let id = ReleaseId::new(Uuid::nil());
        DeployedRelease { id, app: "app-space".to_owned(), app_is_deleted: false, state }
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn failed(millis: i64) -> DeployedRelease {
        release(ReleaseState::Failed { reason: "it crashed".to_owned(), at: at(millis) })
    }

    fn succeeded(millis: i64) -> DeployedRelease {
        release(ReleaseState::Succeeded { at: at(millis) })
    }

    #[test]
    fn a_deployment_is_as_far_as_its_releases_are() {
        use DeploymentStatus as Status;
        let status = |releases: &[DeployedRelease], canceled| progress_of(releases, canceled).status;
        let queued = release(ReleaseState::Queued);
        let pending = release(ReleaseState::Pending { since: at(1) });
        assert_eq!(status(&[queued.clone(), queued.clone()], false), Status::Pending);
        assert_eq!(status(&[queued.clone(), pending.clone()], false), Status::InProgress);
        assert_eq!(status(&[queued.clone(), succeeded(1)], false), Status::InProgress);
        assert_eq!(status(&[failed(1), pending.clone()], false), Status::InProgress);
        assert_eq!(status(&[failed(1), pending], true), Status::Canceling);
        assert_eq!(status(&[failed(1), succeeded(2)], true), Status::Canceled);
        assert_eq!(status(&[failed(1), succeeded(2)], false), Status::Failure);
        assert_eq!(status(&[succeeded(2), succeeded(1)], true), Status::Success, "it was too late to cancel");
        let lost = DeployedRelease { app_is_deleted: true, ..queued };
        assert_eq!(status(&[lost, succeeded(1)], false), Status::Failure);
    }

    #[test]
    fn a_deployment_ends_with_the_last_of_its_releases_and_says_what_failed() {
        let progress = progress_of(&[succeeded(7), failed(5)], false);
        assert_eq!(progress.ended_at, Some(at(7)));
        assert_eq!(progress.error.as_deref(), Some("app-space: it crashed"));
        assert_eq!(progress_of(&[succeeded(7)], false).error, None);
    }
}
