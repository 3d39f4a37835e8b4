//! App setups: an app being made of a blueprint, step by step.
//!
//! Invariant: a step is carried out once, in the order of `behaviour.md` §4; one that fails is written down, and the
//! next one follows.

use serde::{Deserialize, Serialize};

use super::blueprint::{
    Blueprint, BlueprintAddon, BlueprintAttachment, BlueprintCoupling, BlueprintDrain, BlueprintFeature,
    BlueprintFilter, BlueprintFormation, BlueprintRoute,
};
use super::build::BuildSource;
use super::ids::{AppId, AppSetupId, BuildId};
use super::names::{DynoName, UserName};
use super::principal::Principal;
use super::time::Timestamp;

/// A setup, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSetup {
    pub id: AppSetupId,
    pub app_id: AppId,
    /// The id that its build gets.
    pub build_id: BuildId,
    pub status: SetupStatus,
    pub progress: Progress,
    /// The step that is next, for people; `""` when nothing is.
    pub step: String,
    pub failures: Vec<StepFailure>,
    /// What is wrong with the `app.json` of the source.
    pub manifest_errors: Vec<String>,
    /// Where a person goes when it is done; a path of the app, or an address.
    pub success_url: Option<String>,
    /// The one-off dyno that ran the script of `app.json`.
    pub postdeploy: Option<DynoName>,
    pub created_by: UserName,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a setup works from, which is forgotten when it is done: it holds secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupOrder {
    /// On whose behalf.
    pub author: Principal,
    pub blueprint: Blueprint,
    /// Where the source of the blueprint lies.
    pub source: BuildSource,
    /// The command that runs once after the first release (`scripts.postdeploy` of `app.json`).
    pub postdeploy: Option<String>,
    /// Whether the archive is still to be looked into for an `app.json`.
    pub unread: bool,
}

crate::text_enum! {
    /// How a setup stands.
    pub enum SetupStatus {
        Pending => "pending",
        Succeeded => "succeeded",
        /// At least one step failed.
        Failed => "failed",
    }
}

/// How many steps are done, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: u32,
    pub total: u32,
}

/// A step that failed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFailure {
    /// As [`Step`] shows it.
    pub step: String,
    pub kind: FailureKind,
    /// A sentence for the user.
    pub reason: String,
}

crate::text_enum! {
    /// What kind of answer the step would have been as a request.
    pub enum FailureKind {
        BadRequest => "bad-request",
        Forbidden => "forbidden",
        NotFound => "not-found",
        Conflict => "conflict",
        Invalid => "invalid",
        Fault => "fault",
    }
}

/// One step, with what of the blueprint it is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step<'b> {
    /// The archive is fetched and its `app.json` read.
    Manifest,
    ConfigVars,
    Formation(&'b str, &'b BlueprintFormation),
    Addon(&'b str, &'b BlueprintAddon),
    Attachment(&'b BlueprintAttachment),
    LogDrain(&'b BlueprintDrain),
    Coupling(&'b BlueprintCoupling),
    Feature(&'b BlueprintFeature),
    Filter(&'b BlueprintFilter),
    /// Of a site, by its domain.
    Route(&'b str, &'b BlueprintRoute),
    /// The providers have done their part: the first release finds the variables.
    AddonsReady,
    Build,
    ConfigVarNotes,
    /// The build has come to its end.
    Built,
    /// The first release is there, and the script is started.
    Postdeploy(&'b str),
    /// The script has come to its end.
    PostdeployEnded,
}

impl SetupOrder {
    /// The steps in their order (`behaviour.md` §4).
    pub fn steps(&self) -> Vec<Step<'_>> {
        let blueprint = &self.blueprint;
        if self.unread {
            return vec![Step::Manifest];
        }
        let mut steps = vec![Step::ConfigVars];
        steps.extend(blueprint.formations().map(|(name, formation)| Step::Formation(name, formation)));
        steps.extend(blueprint.addons().map(|(name, addon)| Step::Addon(name, addon)));
        steps.extend(blueprint.attachments.iter().map(Step::Attachment));
        steps.extend(blueprint.log_drains.iter().map(Step::LogDrain));
        steps.extend(blueprint.couplings.iter().map(Step::Coupling));
        steps.extend(blueprint.features.iter().map(Step::Feature));
        steps.extend(blueprint.filters.iter().map(Step::Filter));
        for (domain, site) in &blueprint.sites {
            steps.extend(site.routes.iter().map(|route| Step::Route(domain, route)));
        }
        if !blueprint.addons.is_empty() || !blueprint.attachments.is_empty() {
            steps.push(Step::AddonsReady);
        }
        steps.extend([Step::Build, Step::ConfigVarNotes, Step::Built]);
        if let Some(command) = &self.postdeploy {
            steps.extend([Step::Postdeploy(command), Step::PostdeployEnded]);
        }
        steps
    }

    /// How many steps there are.
    pub fn total(&self) -> u32 {
        u32::try_from(self.steps().len()).unwrap_or(u32::MAX)
    }
}

impl Progress {
    /// Nothing done yet.
    pub fn of(total: u32) -> Self {
        Self { done: 0, total }
    }

    /// Done by total: 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.done.min(self.total)) / f64::from(self.total.max(1))
    }

    /// Whether no step is left.
    pub fn is_complete(self) -> bool {
        self.done >= self.total
    }
}

impl std::fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Manifest => f.write_str("app.json"),
            Self::ConfigVars => f.write_str("config vars"),
            Self::Formation(name, _) => write!(f, "formation {name}"),
            Self::Addon(name, _) => write!(f, "addon {name}"),
            Self::Attachment(attachment) if attachment.name.is_empty() => {
                write!(f, "attachment {}", attachment.id)
            }
            Self::Attachment(attachment) => write!(f, "attachment {}", attachment.name),
            // Its address may hold a secret.
            Self::LogDrain(_) => f.write_str("log drain"),
            Self::Coupling(coupling) => write!(f, "pipeline coupling {}", coupling.pipeline),
            Self::Feature(feature) => write!(f, "feature {}", feature.named()),
            Self::Filter(filter) => write!(f, "filter {}", filter.filter.id),
            Self::Route(domain, route) => write!(f, "route {domain}{}", route.source_path),
            Self::AddonsReady => f.write_str("addons"),
            Self::Build | Self::Built => f.write_str("build"),
            Self::ConfigVarNotes => f.write_str("config var notes"),
            Self::Postdeploy(_) | Self::PostdeployEnded => f.write_str("postdeploy"),
        }
    }
}

impl BlueprintFeature {
    /// Its name, or its id where it has none.
    pub fn named(&self) -> &str {
        if self.name.is_empty() { &self.id } else { &self.name }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn order(blueprint: serde_json::Value) -> SetupOrder {
        SetupOrder {
            author: Principal::daemon(),
            blueprint: serde_json::from_value(blueprint).unwrap(),
            source: BuildSource::Upload,
            postdeploy: None,
            unread: false,
        }
    }

    #[test]
    fn the_steps_are_in_the_documented_order() {
        let order = order(json!({
            "env": { "A": "1" }, "formation": { "worker": {}, "web": {} }, "addons": { "db": { "plan": "x:y" } },
            "attachments": [{ "id": "1", "name": "n" }], "log-drains": [{ "url": "https://u:secret@h" }],
            "pipeline-couplings": [{ "pipeline": "p" }], "features": [{ "name": "f", "enabled": true }],
            "filters": [{ "filter": { "id": "i" } }], "sites": { "a.b": { "routes": [{ "source_path": "/x" }] } }
        }));
        let steps: Vec<String> = order.steps().iter().map(Step::to_string).collect();
        assert_eq!(
            steps,
            [
                "config vars",
                "formation web",
                "formation worker",
                "addon db",
                "attachment n",
                "log drain",
                "pipeline coupling p",
                "feature f",
                "filter i",
                "route a.b/x",
                "addons",
                "build",
                "config var notes",
                "build"
            ]
        );
        assert_eq!(order.total(), 14);
        let with_script = SetupOrder { postdeploy: Some("./seed".to_owned()), ..order };
        assert_eq!(with_script.total(), 16);
    }

    #[test]
    fn progress_is_a_share_between_nothing_and_all() {
        assert!((Progress::of(4).share() - 0.0).abs() < f64::EPSILON);
        let half = Progress { done: 2, total: 4 };
        assert!((half.share() - 0.5).abs() < f64::EPSILON && !half.is_complete());
        let all = Progress { done: 4, total: 4 };
        assert!((all.share() - 1.0).abs() < f64::EPSILON && all.is_complete());
    }
}
