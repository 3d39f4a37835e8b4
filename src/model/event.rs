//! Every fact that can happen, in the past tense, as one closed enum.
//!
//! Invariant: an event holds no secret and no config var's value. It is written in the transaction of the
//! change it tells of and published after the commit.

use super::addon_backup::RunKind;
use super::deployment::DeploymentStatus;
use super::dyno::CrashCode;
use super::feature::Feature;
use super::ids::{
    AccountId, AddonAttachmentId, AddonBackupId, AddonId, AppId, AppSetupId, AutoBuildId, AutoBuildRunId,
    BuildId, CandidateId, CertificateId, CouplingId, DeploymentId, FilterAttachmentId, FilterId, FormationId,
    GrantId, HookId, LogDrainId, OauthClientId, OrganizationId, PipelineId, PluginId, PreviewId, PromotionId,
    RecommendationId, ReleaseId, ReleaseStatusId, RouteId, SiteId, SpaceId, StackId, TokenId,
};
use super::names::{ConfigVarName, DynoName, ProcessType};
use super::oneoff::Ended;
use super::release_status::CheckState;
use super::repository_url::BranchName;
use super::schedule::SkipReason;
use super::security_scan::SecurityScan;
use super::signal::Signal;
use super::time::Timestamp;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, strum::IntoStaticStr)]
#[serde(tag = "event", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Event {
    AccountCreated { account: AccountId },
    AccountUpdated { account: AccountId },
    AccountLoggedIn { account: AccountId },
    AddonCreated { app: AppId, addon: AddonId },
    AddonProvisioned { app: AppId, addon: AddonId },
    AddonFailed { app: AppId, addon: AddonId, reason: String },
    AddonUpdated { app: AppId, addon: AddonId },
    AddonPlanChanged { app: AppId, addon: AddonId },
    AddonDeleted { app: AppId, addon: AddonId },
    AddonDeprovisioned { app: AppId, addon: AddonId },
    AddonAttached { app: AppId, addon: AddonId, attachment: AddonAttachmentId },
    AddonAttachmentUpdated { app: AppId, addon: AddonId, attachment: AddonAttachmentId },
    AddonPromoted { app: AppId, addon: AddonId, attachment: AddonAttachmentId },
    AddonDetached { app: AppId, addon: AddonId, attachment: AddonAttachmentId },
    AddonVariablesChanged { app: AppId, addon: AddonId, attachment: AddonAttachmentId },
    AddonBackupCreated { app: AppId, addon: AddonId, backup: AddonBackupId },
    AddonBackupFinished { app: AppId, addon: AddonId, backup: AddonBackupId, succeeded: bool },
    AddonBackupDeleted { app: AppId, addon: AddonId, backup: AddonBackupId },
    AddonBackupRunCreated { app: AppId, backup: AddonBackupId, kind: RunKind },
    AddonBackupRunFinished { app: AppId, backup: AddonBackupId, kind: RunKind, succeeded: bool },
    AddonVolumeNearlyFull { app: AppId, addon: AddonId, percent: u64 },
    AppCreated { app: AppId },
    AppUpdated { app: AppId },
    AppDeleted { app: AppId },
    AutoBuildCreated { app: AppId, auto_build: AutoBuildId },
    AutoBuildDeleted { app: AppId, auto_build: AutoBuildId },
    AutoBuildQueued { app: AppId, run: AutoBuildRunId },
    AutoBuildFailed { app: AppId, run: AutoBuildRunId, sha: String, reason: String },
    AppSetupCreated { app: AppId, setup: AppSetupId },
    AppSetupSucceeded { app: AppId, setup: AppSetupId },
    AppSetupFailed { app: AppId, setup: AppSetupId },
    BuildCreated { app: AppId, build: BuildId },
    BuildStarted { app: AppId, build: BuildId },
    BuildSucceeded { app: AppId, build: BuildId },
    BuildFailed { app: AppId, build: BuildId },
    BuildStopped { app: AppId, build: BuildId },
    CertificateOrdered { certificate: CertificateId },
    CertificateIssued { certificate: CertificateId },
    CertificateRejected { certificate: CertificateId },
    CertificateInstalled { certificate: CertificateId },
    CertificateDeleted { certificate: CertificateId },
    ConfigVarsChanged { app: AppId, changes: Vec<ConfigVarChanged> },
    ConfigVarNotesChanged { app: AppId, names: Vec<ConfigVarName> },
    DeploymentCreated { pipeline: PipelineId, deployment: DeploymentId },
    DeploymentCanceled { pipeline: PipelineId, deployment: DeploymentId },
    DeploymentReported { pipeline: PipelineId, deployment: DeploymentId, status: DeploymentStatus },
    DynoCrashed { app: AppId, process_type: ProcessType, dyno: DynoName, code: CrashCode, restarts: u32 },
    DynoSignalled { app: AppId, process_type: ProcessType, dyno: DynoName, signal: Signal },
    DynosRestarted { app: AppId, process_type: Option<ProcessType>, dyno: Option<DynoName> },
    EnvironmentChanged { pipeline: PipelineId, environment: String, frozen: bool },
    FeatureChanged { app: AppId, feature: Feature, enabled: bool },
    FavoriteCreated { app: AppId },
    FavoriteDeleted { app: AppId },
    FilterCreated { filter: FilterId },
    FilterUpdated { filter: FilterId },
    FilterDeleted { filter: FilterId },
    FilterAttached { app: AppId, filter: FilterId, attachment: FilterAttachmentId },
    FilterAttachmentUpdated { app: AppId, filter: FilterId, attachment: FilterAttachmentId },
    FilterDetached { app: AppId, filter: FilterId, attachment: FilterAttachmentId },
    FormationCreated { app: AppId, formation: FormationId, process_type: ProcessType },
    FormationUpdated { app: AppId, formation: FormationId, process_type: ProcessType },
    FormationDeleted { app: AppId, formation: FormationId, process_type: ProcessType },
    CouplingCreated { app: AppId, pipeline: PipelineId, coupling: CouplingId },
    CouplingUpdated { app: AppId, pipeline: PipelineId, coupling: CouplingId },
    CouplingDeleted { app: AppId, pipeline: PipelineId, coupling: CouplingId },
    HookCreated { app: AppId, hook: HookId },
    HookUpdated { app: AppId, hook: HookId },
    HookDeleted { app: AppId, hook: HookId },
    LogDrainCreated { app: AppId, drain: LogDrainId },
    LogDrainDeleted { app: AppId, drain: LogDrainId },
    SiteLogDrainCreated { site: SiteId, drain: LogDrainId },
    SiteLogDrainDeleted { site: SiteId, drain: LogDrainId },
    GrantCreated { client: OauthClientId, grant: GrantId },
    GrantRevoked { client: OauthClientId, grant: GrantId },
    OneOffCreated { app: AppId, process_type: ProcessType, dyno: DynoName },
    OneOffAttached { app: AppId, process_type: ProcessType, dyno: DynoName },
    OneOffStopped { app: AppId, process_type: ProcessType, dyno: DynoName },
    OneOffEnded { app: AppId, process_type: ProcessType, dyno: DynoName, ended: Ended },
    OauthClientCreated { client: OauthClientId },
    OauthClientUpdated { client: OauthClientId },
    OauthClientDeleted { client: OauthClientId },
    OrganizationCreated { organization: OrganizationId },
    OrganizationMemberChanged { organization: OrganizationId, account: AccountId, change: ChangeKind },
    PipelineCreated { pipeline: PipelineId },
    PipelineDeleted { pipeline: PipelineId },
    PluginCreated { plugin: PluginId },
    PluginUpdated { plugin: PluginId },
    PluginDeleted { plugin: PluginId },
    PreviewCreated { app: AppId, preview: PreviewId, preview_app: AppId },
    PreviewReleased { app: AppId, preview: PreviewId, release: ReleaseId },
    PreviewDeleted { app: AppId, preview: PreviewId, preview_app: AppId },
    PreviewRefused { app: AppId, branch: BranchName, reason: String },
    RecommendationCreated { app: AppId, recommendation: RecommendationId },
    RecommendationUpdated { app: AppId, recommendation: RecommendationId },
    RecommendationDeleted { app: AppId, recommendation: RecommendationId },
    ReleaseCreated { app: AppId, release: ReleaseId, version: u32 },
    ReleaseStarted { app: AppId, release: ReleaseId, version: u32 },
    ReleaseSucceeded { app: AppId, release: ReleaseId, version: u32 },
    ReleaseFailed { app: AppId, release: ReleaseId, version: u32, reason: String },
    ReleaseCandidateCreated { pipeline: PipelineId, candidate: CandidateId },
    ReleaseCandidateReady { pipeline: PipelineId, candidate: CandidateId, build: BuildId },
    ReleasePromoted { app: AppId, release: ReleaseId, promotion: Option<PromotionId>, source: ReleaseId },
    ReleaseStatusCreated { app: AppId, release: ReleaseId, status: ReleaseStatusId, state: CheckState },
    ReleaseStatusUpdated { app: AppId, release: ReleaseId, status: ReleaseStatusId, state: CheckState },
    ScheduleSkipped { app: AppId, process_type: ProcessType, due_at: Timestamp, reason: SkipReason },
    RouteCreated { app: AppId, site: SiteId, route: RouteId },
    RouteDeleted { app: AppId, site: SiteId, route: RouteId },
    SecurityScanReported { app: AppId, scan: SecurityScan },
    SiteCreated { site: SiteId },
    SiteUpdated { site: SiteId },
    SiteDeleted { site: SiteId },
    SpaceCreated { space: SpaceId },
    SpaceUpdated { space: SpaceId },
    StackCreated { stack: StackId },
    StackUpdated { stack: StackId },
    StackDeleted { stack: StackId },
    TokenCreated { token: TokenId },
    TokenRevoked { token: TokenId },
}

/// One config var of a [`Event::ConfigVarsChanged`]; never its value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ConfigVarChanged {
    #[serde(rename = "type")]
    pub change: ChangeKind,
    pub name: ConfigVarName,
}

crate::text_enum! {
    /// What happened to one thing of a set.
    pub enum ChangeKind {
        Create => "create",
        Update => "update",
        Delete => "delete",
    }
}

impl Event {
    /// The app that the event is about, if it is about one.
    #[expect(clippy::too_many_lines, reason = "one line an event, so that a new one is decided on here")]
    pub fn app(&self) -> Option<AppId> {
        match self {
            Self::AddonCreated { app, .. }
            | Self::AddonProvisioned { app, .. }
            | Self::AddonFailed { app, .. }
            | Self::AddonUpdated { app, .. }
            | Self::AddonPlanChanged { app, .. }
            | Self::AddonDeleted { app, .. }
            | Self::AddonDeprovisioned { app, .. }
            | Self::AddonAttached { app, .. }
            | Self::AddonAttachmentUpdated { app, .. }
            | Self::AddonPromoted { app, .. }
            | Self::AddonDetached { app, .. }
            | Self::AddonVariablesChanged { app, .. }
            | Self::AddonBackupCreated { app, .. }
            | Self::AddonBackupFinished { app, .. }
            | Self::AddonBackupDeleted { app, .. }
            | Self::AddonBackupRunCreated { app, .. }
            | Self::AddonBackupRunFinished { app, .. }
            | Self::AddonVolumeNearlyFull { app, .. }
            | Self::AppCreated { app }
            | Self::AppUpdated { app }
            | Self::AppDeleted { app }
            | Self::AutoBuildCreated { app, .. }
            | Self::AutoBuildDeleted { app, .. }
            | Self::AutoBuildQueued { app, .. }
            | Self::AutoBuildFailed { app, .. }
            | Self::AppSetupCreated { app, .. }
            | Self::AppSetupSucceeded { app, .. }
            | Self::AppSetupFailed { app, .. }
            | Self::BuildCreated { app, .. }
            | Self::BuildStarted { app, .. }
            | Self::BuildSucceeded { app, .. }
            | Self::BuildFailed { app, .. }
            | Self::BuildStopped { app, .. }
            | Self::ConfigVarsChanged { app, .. }
            | Self::ConfigVarNotesChanged { app, .. }
            | Self::DynoCrashed { app, .. }
            | Self::DynoSignalled { app, .. }
            | Self::DynosRestarted { app, .. }
            | Self::FeatureChanged { app, .. }
            | Self::FavoriteCreated { app }
            | Self::FavoriteDeleted { app }
            | Self::FilterAttached { app, .. }
            | Self::FilterAttachmentUpdated { app, .. }
            | Self::FilterDetached { app, .. }
            | Self::FormationCreated { app, .. }
            | Self::FormationUpdated { app, .. }
            | Self::FormationDeleted { app, .. }
            | Self::OneOffCreated { app, .. }
            | Self::OneOffAttached { app, .. }
            | Self::OneOffStopped { app, .. }
            | Self::OneOffEnded { app, .. }
            | Self::ScheduleSkipped { app, .. }
            | Self::HookCreated { app, .. }
            | Self::HookUpdated { app, .. }
            | Self::HookDeleted { app, .. }
            | Self::LogDrainCreated { app, .. }
            | Self::LogDrainDeleted { app, .. }
            | Self::PreviewCreated { app, .. }
            | Self::PreviewReleased { app, .. }
            | Self::PreviewDeleted { app, .. }
            | Self::PreviewRefused { app, .. }
            | Self::RecommendationCreated { app, .. }
            | Self::RecommendationUpdated { app, .. }
            | Self::RecommendationDeleted { app, .. }
            | Self::CouplingCreated { app, .. }
            | Self::CouplingUpdated { app, .. }
            | Self::CouplingDeleted { app, .. }
            | Self::ReleaseCreated { app, .. }
            | Self::ReleaseStarted { app, .. }
            | Self::ReleaseSucceeded { app, .. }
            | Self::ReleaseFailed { app, .. }
            | Self::ReleasePromoted { app, .. }
            | Self::ReleaseStatusCreated { app, .. }
            | Self::ReleaseStatusUpdated { app, .. }
            | Self::SecurityScanReported { app, .. }
            | Self::RouteCreated { app, .. }
            | Self::RouteDeleted { app, .. } => Some(*app),
            Self::AccountCreated { .. }
            | Self::AccountUpdated { .. }
            | Self::AccountLoggedIn { .. }
            | Self::FilterCreated { .. }
            | Self::FilterUpdated { .. }
            | Self::FilterDeleted { .. }
            | Self::CertificateOrdered { .. }
            | Self::CertificateIssued { .. }
            | Self::CertificateRejected { .. }
            | Self::CertificateInstalled { .. }
            | Self::CertificateDeleted { .. }
            | Self::DeploymentCreated { .. }
            | Self::DeploymentCanceled { .. }
            | Self::DeploymentReported { .. }
            | Self::EnvironmentChanged { .. }
            | Self::GrantCreated { .. }
            | Self::GrantRevoked { .. }
            | Self::OauthClientCreated { .. }
            | Self::OauthClientUpdated { .. }
            | Self::OauthClientDeleted { .. }
            | Self::OrganizationCreated { .. }
            | Self::OrganizationMemberChanged { .. }
            | Self::PipelineCreated { .. }
            | Self::PipelineDeleted { .. }
            | Self::PluginCreated { .. }
            | Self::PluginUpdated { .. }
            | Self::PluginDeleted { .. }
            | Self::ReleaseCandidateCreated { .. }
            | Self::ReleaseCandidateReady { .. }
            | Self::SiteCreated { .. }
            | Self::SiteUpdated { .. }
            | Self::SiteDeleted { .. }
            | Self::SiteLogDrainCreated { .. }
            | Self::SiteLogDrainDeleted { .. }
            | Self::SpaceCreated { .. }
            | Self::SpaceUpdated { .. }
            | Self::StackCreated { .. }
            | Self::StackUpdated { .. }
            | Self::StackDeleted { .. }
            | Self::TokenCreated { .. }
            | Self::TokenRevoked { .. } => None,
        }
    }

    /// The kind of the event, as stored beside its payload.
    pub fn kind(&self) -> &'static str {
        self.into()
    }
}
