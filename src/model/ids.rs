//! Typed ids. Each noun has its own type, so that a build's id cannot be passed where an app's is meant.

use sha2::{Digest, Sha256};
use uuid::Uuid;

macro_rules! typed_id {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Gives a UUID the type of this noun.
            pub const fn new(id: Uuid) -> Self { Self(id) }

            /// The UUID itself.
            pub const fn uuid(self) -> Uuid { self.0 }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> { Uuid::parse_str(text).map(Self) }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Uuid { id.0 }
        }
    )+};
}

typed_id!(
    AccountId,
    /// An app's use of an addon.
    AddonAttachmentId,
    /// A backup of an addon that runs on this host's engine.
    AddonBackupId,
    /// A use of such a backup.
    AddonBackupRunId,
    AddonId,
    AddonPlanId,
    AddonServiceId,
    AppId,
    AutoBuildId,
    /// One commit on its way to a build.
    AutoBuildRunId,
    /// Also the id of the slug that the build makes (reading 8 of the specification).
    /// An app being made of a blueprint.
    AppSetupId,
    BuildId,
    /// A release candidate of a project.
    CandidateId,
    CertificateId,
    /// One event for one hook; also the id of its result.
    DeliveryId,
    DeploymentId,
    DynoId,
    FavoriteId,
    FilterId,
    /// A filter in force for an app.
    FilterAttachmentId,
    FormationId,
    CouplingId,
    /// What a person allowed an application (RFC 6749).
    GrantId,
    HookId,
    LogDrainId,
    OauthClientId,
    OrganizationId,
    PipelineId,
    PromotionId,
    PromotionTargetId,
    PluginId,
    /// An app made for a pull request of another.
    PreviewId,
    RecommendationId,
    RegionId,
    ReleaseId,
    ReleaseStatusId,
    RouteId,
    SiteId,
    SpaceId,
    StackId,
    TokenId,
    /// This installation's own id: the label by which its containers are told from another daemon's.
    InstallationId,
);

/// The deterministic id of a name: bytes 16 to 31 of its SHA-256 (`behaviour.md` §1.4).
pub fn deterministic(name: &str) -> Uuid {
    let digest = Sha256::digest(name.as_bytes());
    let mut bytes = [0_u8; 16];
    for (to, from) in bytes.iter_mut().zip(digest.iter().skip(16)) {
        *to = *from;
    }
    Uuid::from_bytes(bytes)
}

impl DynoId {
    /// A dyno's id is the deterministic id of its name (`behaviour.md` §1.4).
    pub fn of(name: &super::names::DynoName) -> Self {
        Self(deterministic(name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deterministic_ids_are_those_of_the_specification() {
        assert_eq!(deterministic("papertrail:basic").to_string(), "c0d522b4-5a6e-958f-aab4-12b1f628594d");
        assert_eq!(deterministic("alamo-postgresql").to_string(), "01bb60d2-f2bb-64c0-4c8b-ead731a690bc");
        assert_eq!(
            deterministic("alamo-postgresql:small").to_string(),
            "f6757b64-022d-518f-beb1-29d6eee937d2"
        );
    }
}
