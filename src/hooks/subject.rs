//! Which events hooks are told of, and under which name (`behaviour.md` §23).

use crate::model::addon::AddonChange;
use crate::model::dyno::CrashCode;
use crate::model::event::{ChangeKind, ConfigVarChanged, Event};
use crate::model::feature::Feature;
use crate::model::hook::HookEvent;
use crate::model::ids::{AddonAttachmentId, AddonId, BuildId, FormationId, LogDrainId, PreviewId, ReleaseId};
use crate::model::names::{DynoName, ProcessType};
use crate::model::security_scan::SecurityScan;

/// What a payload is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject<'a> {
    Updated,
    Destroyed,
    Addon {
        addon: AddonId,
        change: AddonChange,
    },
    AddonAttachment {
        attachment: AddonAttachmentId,
        change: AddonChange,
    },
    /// It began, succeeded or failed; which of them is in the build.
    Build(BuildId),
    ConfigVars(&'a [ConfigVarChanged]),
    Crash {
        process_type: &'a ProcessType,
        dyno: &'a DynoName,
        code: CrashCode,
        restarts: u32,
    },
    Feature {
        feature: Feature,
        enabled: bool,
    },
    Formation {
        formation: FormationId,
        change: ChangeKind,
    },
    LogDrain {
        drain: LogDrainId,
        change: ChangeKind,
    },
    /// One was made for the app.
    Preview(PreviewId),
    /// The dynos of one are up.
    PreviewReleased {
        preview: PreviewId,
        release: ReleaseId,
    },
    Promotion {
        release: ReleaseId,
        source: ReleaseId,
    },
    /// It was made, which is told as a success (`behaviour.md` §9), or it failed.
    Release {
        release: ReleaseId,
        failed: bool,
    },
    /// Its dynos are up.
    Released(ReleaseId),
    SecurityScan(&'a SecurityScan),
}

impl<'a> Subject<'a> {
    /// `None` for what no hook is told of.
    #[expect(clippy::too_many_lines, reason = "one line an event, so that a new one is decided on here")]
    pub(super) fn of(event: &'a Event) -> Option<Self> {
        match event {
            Event::AppUpdated { .. } => Some(Self::Updated),
            Event::AppDeleted { .. } => Some(Self::Destroyed),
            Event::AddonCreated { addon, .. } => {
                Some(Self::Addon { addon: *addon, change: AddonChange::Create })
            }
            Event::AddonDeleted { addon, .. } => {
                Some(Self::Addon { addon: *addon, change: AddonChange::Delete })
            }
            Event::AddonAttached { attachment, .. } => Some(attached(*attachment, AddonChange::Attach)),
            Event::AddonDetached { attachment, .. } => Some(attached(*attachment, AddonChange::Detach)),
            Event::AddonPromoted { attachment, .. } => Some(attached(*attachment, AddonChange::Promote)),
            Event::BuildStarted { build, .. }
            | Event::BuildSucceeded { build, .. }
            | Event::BuildFailed { build, .. }
            | Event::BuildStopped { build, .. } => Some(Self::Build(*build)),
            Event::ConfigVarsChanged { changes, .. } => Some(Self::ConfigVars(changes)),
            Event::DynoCrashed { process_type, dyno, code, restarts, .. } => {
                Some(Self::Crash { process_type, dyno, code: *code, restarts: *restarts })
            }
            Event::FeatureChanged { feature, enabled, .. } => {
                Some(Self::Feature { feature: *feature, enabled: *enabled })
            }
            Event::FormationCreated { formation, .. } => {
                Some(Self::Formation { formation: *formation, change: ChangeKind::Create })
            }
            Event::FormationUpdated { formation, .. } => {
                Some(Self::Formation { formation: *formation, change: ChangeKind::Update })
            }
            Event::FormationDeleted { formation, .. } => {
                Some(Self::Formation { formation: *formation, change: ChangeKind::Delete })
            }
            Event::LogDrainCreated { drain, .. } => {
                Some(Self::LogDrain { drain: *drain, change: ChangeKind::Create })
            }
            Event::LogDrainDeleted { drain, .. } => {
                Some(Self::LogDrain { drain: *drain, change: ChangeKind::Delete })
            }
            Event::PreviewCreated { preview, .. } => Some(Self::Preview(*preview)),
            Event::PreviewReleased { preview, release, .. } => {
                Some(Self::PreviewReleased { preview: *preview, release: *release })
            }
            Event::ReleasePromoted { release, source, .. } => {
                Some(Self::Promotion { release: *release, source: *source })
            }
            Event::ReleaseCreated { release, .. } => Some(Self::Release { release: *release, failed: false }),
            Event::ReleaseFailed { release, .. } => Some(Self::Release { release: *release, failed: true }),
            Event::ReleaseSucceeded { release, .. } => Some(Self::Released(*release)),
            Event::SecurityScanReported { scan, .. } => Some(Self::SecurityScan(scan)),
            Event::AccountCreated { .. }
            | Event::AccountUpdated { .. }
            | Event::AccountLoggedIn { .. }
            | Event::AddonProvisioned { .. }
            | Event::AddonFailed { .. }
            | Event::AddonUpdated { .. }
            | Event::AddonPlanChanged { .. }
            | Event::AddonDeprovisioned { .. }
            | Event::AddonAttachmentUpdated { .. }
            | Event::AddonVariablesChanged { .. }
            | Event::AddonBackupCreated { .. }
            | Event::AddonBackupFinished { .. }
            | Event::AddonBackupDeleted { .. }
            | Event::AddonBackupRunCreated { .. }
            | Event::AddonBackupRunFinished { .. }
            | Event::AddonVolumeNearlyFull { .. }
            | Event::AppCreated { .. }
            | Event::AutoBuildCreated { .. }
            | Event::AutoBuildDeleted { .. }
            | Event::AutoBuildQueued { .. }
            | Event::AutoBuildFailed { .. }
            | Event::AppSetupCreated { .. }
            | Event::AppSetupSucceeded { .. }
            | Event::AppSetupFailed { .. }
            | Event::BuildCreated { .. }
            | Event::CertificateOrdered { .. }
            | Event::CertificateIssued { .. }
            | Event::CertificateRejected { .. }
            | Event::CertificateInstalled { .. }
            | Event::CertificateDeleted { .. }
            | Event::ConfigVarNotesChanged { .. }
            | Event::DeploymentCreated { .. }
            | Event::DeploymentCanceled { .. }
            | Event::DeploymentReported { .. }
            | Event::DynoSignalled { .. }
            | Event::OneOffCreated { .. }
            | Event::OneOffAttached { .. }
            | Event::OneOffStopped { .. }
            | Event::OneOffEnded { .. }
            | Event::ScheduleSkipped { .. }
            | Event::DynosRestarted { .. }
            | Event::EnvironmentChanged { .. }
            | Event::FavoriteCreated { .. }
            | Event::FavoriteDeleted { .. }
            | Event::FilterCreated { .. }
            | Event::FilterUpdated { .. }
            | Event::FilterDeleted { .. }
            | Event::FilterAttached { .. }
            | Event::FilterAttachmentUpdated { .. }
            | Event::FilterDetached { .. }
            | Event::CouplingCreated { .. }
            | Event::CouplingUpdated { .. }
            | Event::CouplingDeleted { .. }
            | Event::GrantCreated { .. }
            | Event::GrantRevoked { .. }
            | Event::HookCreated { .. }
            | Event::HookUpdated { .. }
            | Event::HookDeleted { .. }
            | Event::OauthClientCreated { .. }
            | Event::OauthClientUpdated { .. }
            | Event::OauthClientDeleted { .. }
            | Event::OrganizationCreated { .. }
            | Event::OrganizationMemberChanged { .. }
            | Event::PipelineCreated { .. }
            | Event::PipelineDeleted { .. }
            | Event::PluginCreated { .. }
            | Event::PluginUpdated { .. }
            | Event::PluginDeleted { .. }
            | Event::PreviewDeleted { .. }
            | Event::PreviewRefused { .. }
            | Event::RecommendationCreated { .. }
            | Event::RecommendationUpdated { .. }
            | Event::RecommendationDeleted { .. }
            | Event::ReleaseCandidateCreated { .. }
            | Event::ReleaseCandidateReady { .. }
            | Event::ReleaseStarted { .. }
            | Event::ReleaseStatusCreated { .. }
            | Event::ReleaseStatusUpdated { .. }
            | Event::RouteCreated { .. }
            | Event::RouteDeleted { .. }
            | Event::SiteCreated { .. }
            | Event::SiteUpdated { .. }
            | Event::SiteDeleted { .. }
            | Event::SiteLogDrainCreated { .. }
            | Event::SiteLogDrainDeleted { .. }
            | Event::SpaceCreated { .. }
            | Event::SpaceUpdated { .. }
            | Event::StackCreated { .. }
            | Event::StackUpdated { .. }
            | Event::StackDeleted { .. }
            | Event::TokenCreated { .. }
            | Event::TokenRevoked { .. } => None,
        }
    }

    /// The name by which hooks ask for it.
    pub(super) fn hook_event(self) -> HookEvent {
        match self {
            Self::Updated => HookEvent::Updated,
            Self::Destroyed => HookEvent::Destroy,
            Self::Addon { .. } | Self::AddonAttachment { .. } => HookEvent::AddonChange,
            Self::Build(_) => HookEvent::Build,
            Self::ConfigVars(_) => HookEvent::ConfigChange,
            Self::Crash { .. } => HookEvent::Crashed,
            Self::Feature { .. } => HookEvent::FeatureChange,
            Self::Formation { .. } => HookEvent::FormationChange,
            Self::LogDrain { .. } => HookEvent::LogdrainChange,
            Self::Preview(_) => HookEvent::Preview,
            Self::PreviewReleased { .. } => HookEvent::PreviewReleased,
            Self::Promotion { .. } => HookEvent::PipelinePromotion,
            Self::Release { .. } => HookEvent::Release,
            Self::Released(_) => HookEvent::Released,
            Self::SecurityScan(_) => HookEvent::SecurityScan,
        }
    }
}

fn attached(attachment: AddonAttachmentId, change: AddonChange) -> Subject<'static> {
    Subject::AddonAttachment { attachment, change }
}
