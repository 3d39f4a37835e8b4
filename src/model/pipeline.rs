//! Pipelines: apps in stages, and the promotion of a release from one stage to the next.

use super::app::App;
use super::ids::{
    AppId, BuildId, CouplingId, OrganizationId, PipelineId, PromotionId, PromotionTargetId, ReleaseId,
};
use super::names::{AppName, PipelineName, SpaceName};
use super::release::ReleaseState;
use super::release_status::{CheckState, ReleaseStatus, StatusContext};
use super::rule::RuleError;
use super::time::Timestamp;

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pipeline {
    pub id: PipelineId,
    pub name: PipelineName,
    pub description: String,
    pub created_at: Timestamp,
    /// Changes of its couplings count (`behaviour.md` §19).
    pub updated_at: Timestamp,
}

crate::text_enum! {
    /// The stages, in the order of promotion.
    pub enum Stage {
        Review => "review",
        Development => "development",
        Staging => "staging",
        Production => "production",
    }
}

/// An app's place in a pipeline, with the names that every answer shows. An app has one at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coupling {
    pub id: CouplingId,
    pub pipeline: PipelineReference,
    pub app: AppReference,
    pub stage: Stage,
    pub required_checks: RequiredChecks,
    /// The app's current release; `None` before one has succeeded.
    pub release: Option<CoupledRelease>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Which pipeline, also one that was deleted meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineReference {
    pub id: PipelineId,
    pub name: PipelineName,
}

/// Which app, also one that was deleted meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppReference {
    pub id: AppId,
    pub name: AppName,
    pub space: SpaceName,
    pub organization: OrganizationId,
}

impl AppReference {
    /// The reference to an app.
    pub fn of(app: &App) -> Self {
        Self {
            id: app.id,
            name: app.name.clone(),
            space: app.space.name.clone(),
            organization: app.organization.id,
        }
    }
}

/// What runs in a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoupledRelease {
    pub id: ReleaseId,
    pub version: u32,
    pub updated_at: Timestamp,
    pub build: CoupledBuild,
}

/// The commit that runs in a stage; texts that the build was not told of are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoupledBuild {
    pub id: BuildId,
    pub updated_at: Timestamp,
    pub repo: String,
    pub branch: String,
    pub sha: String,
    pub message: String,
    pub author: String,
}

/// The contexts of the status checks that a release must have passed before it is promoted to this coupling's
/// app, in the order given, without repetition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequiredChecks(Vec<StatusContext>);

/// The promotion of one release to the apps of the next stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promotion {
    pub id: PromotionId,
    pub pipeline: PipelineReference,
    pub source: AppReference,
    /// The release of the source app whose slug was promoted.
    pub release: ReleaseId,
    /// At least one.
    pub targets: Vec<PromotionTarget>,
    pub created_at: Timestamp,
}

/// One app that a promotion released to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromotionTarget {
    pub id: PromotionTargetId,
    pub promotion: PromotionId,
    pub app: AppId,
    /// The release that the promotion made on the app.
    pub release: ReleaseId,
    pub state: TargetState,
    pub updated_at: Timestamp,
}

/// A check that has been run on releases of a pipeline's apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCheck {
    pub context: StatusContext,
    /// As its newest status calls it.
    pub name: String,
}

/// What a client says of a promotion's safety.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// Source and target must have config vars of the same names.
    Safe,
    /// The configuration is not compared; the required status checks must have passed.
    Unstated,
    /// An elevated principal passes over the required status checks too.
    Unsafe,
}

/// How far a promotion is on one app: the state of the release that it made there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetState {
    Pending,
    Successful,
    Failed { reason: String },
}

crate::text_enum! {
    /// How far a promotion is, as the API's `status` shows it.
    pub enum PromotionStatus {
        Pending => "pending",
        Successful => "successful",
        Failed => "failed",
    }
}

const CHECKS_LIMIT: usize = 32;

impl Stage {
    /// The stage that this one is promoted to; `None` at the end.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Review => Some(Self::Development),
            Self::Development => Some(Self::Staging),
            Self::Staging => Some(Self::Production),
            Self::Production => None,
        }
    }
}

impl RequiredChecks {
    /// Takes contexts that a release status can have, on a stage that has checks: nothing is promoted to
    /// `review`.
    pub fn parse(stage: Stage, contexts: &[String]) -> Result<Self, RuleError> {
        let mut kept: Vec<StatusContext> = Vec::new();
        for context in contexts {
            let context = StatusContext::parse(context)?;
            if !kept.contains(&context) {
                kept.push(context);
            }
        }
        if kept.len() > CHECKS_LIMIT {
            return Err(RuleError::new(format!(
                "A coupling has at most {CHECKS_LIMIT} required status checks."
            )));
        }
        if stage == Stage::Review && !kept.is_empty() {
            return Err(RuleError::new(
                "The stage review cannot have required status checks: nothing is promoted to it.",
            ));
        }
        Ok(Self(kept))
    }

    /// From the stored form, contexts joined by commas.
    pub fn from_stored(text: &str) -> Self {
        let contexts = text.split(',').filter(|context| !context.is_empty());
        Self(contexts.map(|context| StatusContext::from_stored(context.to_owned())).collect())
    }

    /// The stored form, contexts joined by commas.
    pub fn to_stored(&self) -> String {
        self.0.iter().map(StatusContext::as_str).collect::<Vec<_>>().join(",")
    }

    /// The contexts, in order.
    pub fn contexts(&self) -> &[StatusContext] {
        &self.0
    }

    /// The contexts of which these statuses do not say success, in order.
    pub fn unmet(&self, statuses: &[ReleaseStatus]) -> Vec<&StatusContext> {
        let is_met = |context: &StatusContext| {
            let mut of_context = statuses.iter().filter(|status| status.context == *context);
            of_context.any(|status| status.state == CheckState::Success)
        };
        self.0.iter().filter(|context| !is_met(context)).collect()
    }

    /// Whether every one of these is among the others.
    pub fn are_within(&self, others: &Self) -> bool {
        self.0.iter().all(|context| others.0.contains(context))
    }
}

impl Promotion {
    /// Pending until every target has ended; then failed when one of them has.
    pub fn status(&self) -> PromotionStatus {
        let any = |status| self.targets.iter().any(|target| target.state.status() == status);
        [PromotionStatus::Pending, PromotionStatus::Failed]
            .into_iter()
            .find(|status| any(*status))
            .unwrap_or(PromotionStatus::Successful)
    }

    /// When the last of its targets changed.
    pub fn updated_at(&self) -> Timestamp {
        self.targets.iter().map(|target| target.updated_at).fold(self.created_at, Timestamp::max)
    }
}

impl TargetState {
    /// The state of a target whose release is in that state.
    pub fn of(release: ReleaseState) -> Self {
        match release {
            ReleaseState::Queued | ReleaseState::Pending { .. } => Self::Pending,
            ReleaseState::Succeeded { .. } => Self::Successful,
            ReleaseState::Failed { reason, .. } => Self::Failed { reason },
        }
    }

    /// The same of an app that was deleted: what had not ended never will.
    pub fn of_deleted_app(release: ReleaseState) -> Self {
        match Self::of(release) {
            Self::Pending => {
                Self::Failed { reason: "The app was deleted before the release had ended.".to_owned() }
            }
            ended @ (Self::Successful | Self::Failed { .. }) => ended,
        }
    }

    /// As the API's `status` shows it.
    pub fn status(&self) -> PromotionStatus {
        match self {
            Self::Pending => PromotionStatus::Pending,
            Self::Successful => PromotionStatus::Successful,
            Self::Failed { .. } => PromotionStatus::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn promotion(states: &[TargetState]) -> Promotion {
        let at = Timestamp::from_millis;
        let target = |(millis, state): (i64, &TargetState)| PromotionTarget {
            id: PromotionTargetId::new(Uuid::nil()),
            promotion: PromotionId::new(Uuid::nil()),
            app: AppId::new(Uuid::nil()),
            release: ReleaseId::new(Uuid::nil()),
            state: state.clone(),
            updated_at: at(millis),
        };
        Promotion {
            id: PromotionId::new(Uuid::nil()),
            pipeline: PipelineReference {
                id: PipelineId::new(Uuid::nil()),
                name: PipelineName::parse("pipeline").unwrap(),
            },
            source: AppReference {
                id: AppId::new(Uuid::nil()),
                name: AppName::parse("app").unwrap(),
                space: SpaceName::parse("space").unwrap(),
                organization: OrganizationId::new(Uuid::nil()),
            },
            release: ReleaseId::new(Uuid::nil()),
            targets: (2..).zip(states).map(target).collect(),
            created_at: at(1),
        }
    }

    #[test]
    fn every_stage_is_promoted_to_the_one_after_it() {
        for pair in Stage::ALL.windows(2) {
            assert_eq!(pair.first().and_then(|stage| stage.next()), pair.last().copied());
        }
        assert_eq!(Stage::ALL.last().and_then(|stage| stage.next()), None);
    }

    #[test]
    fn a_promotion_ends_with_its_last_target_and_fails_with_any() {
        let failed = || TargetState::Failed { reason: "no".to_owned() };
        let (pending, successful) = (TargetState::Pending, TargetState::Successful);
        let status = |states: &[TargetState]| promotion(states).status();
        assert_eq!(status(&[failed(), pending, successful.clone()]), PromotionStatus::Pending);
        assert_eq!(status(&[successful.clone(), failed()]), PromotionStatus::Failed);
        assert_eq!(status(&[successful.clone(), successful.clone()]), PromotionStatus::Successful);
        assert_eq!(promotion(&[successful.clone(), successful]).updated_at(), Timestamp::from_millis(3));
    }

    #[test]
    fn what_had_not_ended_when_its_app_was_deleted_has_failed() {
        let at = Timestamp::from_millis(1);
        let of = TargetState::of_deleted_app;
        assert_eq!(of(ReleaseState::Queued).status(), PromotionStatus::Failed);
        assert_eq!(of(ReleaseState::Succeeded { at }), TargetState::Successful);
        assert_eq!(
            of(ReleaseState::Failed { reason: "crashed".to_owned(), at }),
            TargetState::Failed { reason: "crashed".to_owned() }
        );
    }

    #[test]
    fn required_checks_are_contexts_that_a_status_can_have() {
        let parse = |contexts: &[&str]| {
            let contexts: Vec<String> = contexts.iter().map(|&context| context.to_owned()).collect();
            RequiredChecks::parse(Stage::Staging, &contexts)
        };
        let checks = parse(&["tests/unit", "a.b\\c+d-1", "tests/unit"]).unwrap();
        assert_eq!(checks.to_stored(), "tests/unit,a.b\\c+d-1");
        assert_eq!(RequiredChecks::from_stored(&checks.to_stored()), checks);
        assert!(parse(&["tests/unit"]).unwrap().are_within(&checks));
        assert!(!checks.are_within(&parse(&["tests/unit"]).unwrap()));
        for bad in ["", "short", "with,comma", "with space", &"x".repeat(32)] {
            assert!(parse(&[bad]).is_err(), "{bad:?} was accepted");
        }
        let one = ["tests/unit".to_owned()];
        assert!(RequiredChecks::parse(Stage::Review, &one).is_err());
        assert_eq!(RequiredChecks::parse(Stage::Review, &[]), Ok(RequiredChecks::default()));
    }
}
