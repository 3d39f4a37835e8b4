//! How the model's types lie in columns: ids as 16 bytes, times as milliseconds, enums and names as text,
//! details as JSON.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use uuid::Uuid;

use crate::model::account::{MemberRole, Role};
use crate::model::addon::AddonState;
use crate::model::addon_attachment::{AttachmentName, AttachmentState};
use crate::model::addon_backup::{BackupOrigin, BackupStatus, BackupStorage, RunKind};
use crate::model::addon_instance::InstancePhase;
use crate::model::addon_job::AddonWorkKind;
use crate::model::addon_service::{AddonPlanName, AddonServiceName};
use crate::model::app_setup::SetupStatus;
use crate::model::auto_build::{CommitState, RunTrigger, SourceProvider};
use crate::model::build::{BuildStep, ImageId};
use crate::model::certificate::{CertificateOrigin, CertificateStatus, IssuerKind};
use crate::model::deployment::DeploymentStatus;
use crate::model::dyno::DynoState;
use crate::model::feature::Feature;
use crate::model::filter::{FilterName, FilterType, PathScope};
use crate::model::formation::{HealthCheck, Origin, Port, Quantity};
use crate::model::hook::HookEvent;
use crate::model::hook_delivery::DeliveryState;
use crate::model::ids::{
    AccountId, AddonAttachmentId, AddonBackupId, AddonBackupRunId, AddonId, AddonPlanId, AddonServiceId,
    AppId, AppSetupId, AutoBuildId, AutoBuildRunId, BuildId, CandidateId, CertificateId, CouplingId,
    DeliveryId, DeploymentId, FavoriteId, FilterAttachmentId, FilterId, FormationId, GrantId, HookId,
    InstallationId, LogDrainId, OauthClientId, OrganizationId, PipelineId, PluginId, PreviewId, PromotionId,
    PromotionTargetId, RecommendationId, ReleaseId, ReleaseStatusId, RouteId, SiteId, SpaceId, StackId,
    TokenId,
};
use crate::model::log_drain::DrainState;
use crate::model::names::{
    AppName, ConfigVarName, DynoName, OrganizationName, PipelineName, PluginName, ProcessType, SizeName,
    SpaceName, UserName,
};
use crate::model::oauth::ClientKind;
use crate::model::oneoff::Terminal;
use crate::model::pipeline::Stage;
use crate::model::preview::PreviewTrigger;
use crate::model::principal::Memberships;
use crate::model::recommendation::{Action, Details, ResourceType};
use crate::model::release_status::CheckState;
use crate::model::route::RoutePath;
use crate::model::schedule::Overlap;
use crate::model::site::SiteDomain;
use crate::model::stack::StackState;
use crate::model::time::Timestamp;
use crate::model::token::{Scope, TokenHash, TokenKind};
use crate::seal::Sealed;

/// The organizations as a JSON array, for `SELECT unhex(value) FROM json_each(…)`.
impl ToSql for Memberships {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let ids: Vec<String> = self.organizations.iter().map(|id| id.uuid().simple().to_string()).collect();
        Ok(ToSqlOutput::from(serde_json::Value::from(ids).to_string()))
    }
}

macro_rules! id_columns {
    ($($name:ident),+ $(,)?) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.uuid().as_bytes().to_vec()))
            }
        }
        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                Uuid::column_result(value).map($name::new)
            }
        }
    )+};
}

macro_rules! name_columns {
    ($($name:ident),+ $(,)?) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.as_str()))
            }
        }
        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_str().map(|text| $name::from_stored(text.to_owned()))
            }
        }
    )+};
}

macro_rules! json_columns {
    ($($name:ident),+ $(,)?) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                let json = serde_json::to_string(self);
                json.map(ToSqlOutput::from)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
            }
        }
        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                serde_json::from_str(value.as_str()?).map_err(|error| FromSqlError::Other(Box::new(error)))
            }
        }
    )+};
}

macro_rules! enum_columns {
    ($($name:ident),+ $(,)?) => {$(
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(ToSqlOutput::from(self.as_str()))
            }
        }
        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                value.as_str()?.parse().map_err(|error| FromSqlError::Other(Box::new(error)))
            }
        }
    )+};
}

json_columns!(Details, PathScope);

id_columns!(
    AccountId,
    AddonAttachmentId,
    AddonBackupId,
    AddonBackupRunId,
    AddonId,
    AddonPlanId,
    AddonServiceId,
    AppId,
    AppSetupId,
    AutoBuildId,
    AutoBuildRunId,
    BuildId,
    CandidateId,
    CertificateId,
    CouplingId,
    DeliveryId,
    DeploymentId,
    FavoriteId,
    FilterAttachmentId,
    FilterId,
    FormationId,
    GrantId,
    HookId,
    InstallationId,
    LogDrainId,
    OauthClientId,
    OrganizationId,
    PipelineId,
    PluginId,
    PreviewId,
    PromotionId,
    PromotionTargetId,
    RecommendationId,
    ReleaseId,
    ReleaseStatusId,
    RouteId,
    SiteId,
    SpaceId,
    StackId,
    TokenId
);
name_columns!(
    AddonPlanName,
    AddonServiceName,
    AttachmentName,
    AppName,
    ConfigVarName,
    DynoName,
    FilterName,
    OrganizationName,
    PipelineName,
    PluginName,
    ProcessType,
    SizeName,
    SpaceName,
    UserName,
    HealthCheck,
    RoutePath,
    SiteDomain
);
enum_columns!(
    Action,
    AddonState,
    AddonWorkKind,
    AttachmentState,
    BackupOrigin,
    BackupStatus,
    BackupStorage,
    BuildStep,
    CertificateOrigin,
    CertificateStatus,
    CheckState,
    ClientKind,
    CommitState,
    DeliveryState,
    DeploymentStatus,
    DrainState,
    DynoState,
    Feature,
    FilterType,
    HookEvent,
    InstancePhase,
    IssuerKind,
    MemberRole,
    Origin,
    Overlap,
    PreviewTrigger,
    ResourceType,
    Role,
    RunKind,
    RunTrigger,
    Scope,
    SourceProvider,
    SetupStatus,
    Stage,
    StackState,
    Terminal,
    TokenKind
);

impl ToSql for TokenHash {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_bytes().as_slice()))
    }
}

impl FromSql for TokenHash {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        <[u8; 32]>::column_result(value).map(Self::from_stored)
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_millis()))
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(Self::from_millis)
    }
}

impl ToSql for Quantity {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(i64::from(self.get())))
    }
}

impl FromSql for Quantity {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::new(value.as_i64()?).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

impl ToSql for Port {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(i64::from(self.get())))
    }
}

impl FromSql for Port {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Self::new(value.as_i64()?).map_err(|error| FromSqlError::Other(Box::new(error)))
    }
}

impl ToSql for ImageId {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_str()))
    }
}

impl FromSql for ImageId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_str().map(Self::new)
    }
}

impl ToSql for Sealed {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(self.as_bytes()))
    }
}

impl FromSql for Sealed {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_blob().map(|bytes| Self::from_stored(bytes.to_vec()))
    }
}
