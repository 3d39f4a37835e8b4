//! Blueprints: all that makes an app, in one document (`behaviour.md` §4).
//!
//! Invariant: what is read here is the form only, under the names of the document; each part is checked by the rules
//! of the noun that it becomes. `Debug` shows no value, because config vars and addresses hold secrets.

mod lenient;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use self::lenient::{given, text_or_object, whole_number};

/// All that makes an app.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blueprint {
    #[serde(default, deserialize_with = "given")]
    pub app: BlueprintApp,
    #[serde(default, deserialize_with = "given")]
    pub env: BTreeMap<String, BlueprintVar>,
    #[serde(default, deserialize_with = "given")]
    pub formation: BTreeMap<String, BlueprintFormation>,
    #[serde(default, deserialize_with = "given")]
    pub addons: BTreeMap<String, BlueprintAddon>,
    #[serde(default, deserialize_with = "given")]
    pub attachments: Vec<BlueprintAttachment>,
    #[serde(default, deserialize_with = "given")]
    pub source_blob: BlueprintSource,
    #[serde(rename = "log-drains", default, deserialize_with = "given")]
    pub log_drains: Vec<BlueprintDrain>,
    #[serde(rename = "pipeline-couplings", default, deserialize_with = "given")]
    pub couplings: Vec<BlueprintCoupling>,
    #[serde(default, deserialize_with = "given")]
    pub features: Vec<BlueprintFeature>,
    #[serde(default, deserialize_with = "given")]
    pub filters: Vec<BlueprintFilter>,
    /// By domain.
    #[serde(default, deserialize_with = "given")]
    pub sites: BTreeMap<String, BlueprintSite>,
}

/// The app itself.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintApp {
    #[serde(default, deserialize_with = "given")]
    pub name: String,
    #[serde(default, deserialize_with = "given")]
    pub organization: String,
    /// Another name of the organization; wins, because who copies a blueprint for another organization sets this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub space: String,
    #[serde(default)]
    pub stack: Option<String>,
    /// Shown only: that of the space.
    #[serde(default)]
    pub region: Option<String>,
    #[serde(default, deserialize_with = "given")]
    pub description: String,
    #[serde(default, deserialize_with = "given")]
    pub labels: String,
    /// Shown only: no app is locked.
    #[serde(default, deserialize_with = "given")]
    pub locked: bool,
    /// Shown only: every app belongs to an organization.
    #[serde(default, deserialize_with = "given")]
    pub personal: bool,
}

/// A config var and its note.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
pub struct BlueprintVar {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    pub description: String,
    /// Without a value there is no app.
    pub required: bool,
}

/// A process type.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintFormation {
    #[serde(default, deserialize_with = "whole_number")]
    pub quantity: Option<i64>,
    #[serde(default)]
    pub size: Option<String>,
    #[serde(default)]
    pub command: Option<String>,
    #[serde(default, deserialize_with = "whole_number", skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<String>,
    /// Another spelling of `healthcheck`.
    #[serde(rename = "health-check", default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oneoff: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<BlueprintSchedule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<BlueprintOptions>,
}

/// When a one-off dyno of the type starts by itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintSchedule {
    pub cron: String,
    #[serde(default)]
    pub time_zone: Option<String>,
    #[serde(default)]
    pub overlap: Option<String>,
}

/// What one-off dynos of the type are made with instead.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintOptions {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<BTreeMap<String, String>>,
}

/// An addon to be made.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintAddon {
    #[serde(default, deserialize_with = "given")]
    pub plan: String,
    /// It has the plain names of the variables; of several of one service the first one otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}

/// An addon of another app.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintAttachment {
    #[serde(default, deserialize_with = "given")]
    pub id: String,
    #[serde(default, deserialize_with = "given")]
    pub name: String,
    /// The app that it belongs to.
    #[serde(default, deserialize_with = "given")]
    pub app: String,
    /// Its name for the app of the blueprint.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

/// What is built.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintSource {
    #[serde(default, deserialize_with = "given")]
    pub checksum: String,
    #[serde(default, deserialize_with = "given")]
    pub url: String,
    #[serde(default, deserialize_with = "given")]
    pub version: String,
}

/// A log drain.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintDrain {
    #[serde(default, deserialize_with = "given")]
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// The app's place in a pipeline.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintCoupling {
    /// Name or id.
    #[serde(default, deserialize_with = "given")]
    pub pipeline: String,
    #[serde(default, deserialize_with = "given")]
    pub stage: String,
    #[serde(default, deserialize_with = "given")]
    pub required_status_checks: BlueprintChecks,
}

/// The contexts of the status checks that a promotion to the app requires.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintChecks {
    #[serde(default, deserialize_with = "given")]
    pub contexts: Vec<String>,
}

/// Whether a feature is on.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintFeature {
    #[serde(default, deserialize_with = "given")]
    pub id: String,
    #[serde(default, deserialize_with = "given")]
    pub name: String,
    pub enabled: bool,
}

/// A filter to be attached.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintFilter {
    #[serde(default, deserialize_with = "given")]
    pub filter: BlueprintReference,
    #[serde(default, deserialize_with = "given")]
    pub options: BlueprintScope,
}

/// What is named by its id or its name.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintReference {
    #[serde(default, deserialize_with = "given")]
    pub id: String,
}

/// For which paths a filter is in force.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintScope {
    #[serde(default, deserialize_with = "given")]
    pub includes: Vec<String>,
    #[serde(default, deserialize_with = "given")]
    pub excludes: Vec<String>,
}

/// The routes of one site that lead to the app.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintSite {
    #[serde(default, deserialize_with = "given")]
    pub routes: Vec<BlueprintRoute>,
}

/// A route.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlueprintRoute {
    #[serde(default, deserialize_with = "given")]
    pub source_path: String,
    #[serde(default, deserialize_with = "given")]
    pub target_path: String,
}

impl Blueprint {
    /// The addons, primary ones first: the first one of a service becomes it.
    pub fn addons(&self) -> impl Iterator<Item = (&String, &BlueprintAddon)> {
        let is_primary = |(_, addon): &(&String, &BlueprintAddon)| addon.primary == Some(true);
        let (primary, others): (Vec<_>, Vec<_>) = self.addons.iter().partition(is_primary);
        primary.into_iter().chain(others)
    }

    /// The formations, `web` first.
    pub fn formations(&self) -> impl Iterator<Item = (&String, &BlueprintFormation)> {
        let (web, others): (Vec<_>, Vec<_>) = self.formation.iter().partition(|(name, _)| is_web(name));
        web.into_iter().chain(others)
    }
}

/// `PORT` is what the config vars show of the port of `web`.
pub const PORT: &str = "PORT";

/// Whether a text names the process type that receives requests.
pub fn is_web(process_type: &str) -> bool {
    process_type.trim().eq_ignore_ascii_case("web")
}

impl BlueprintApp {
    /// The organization, by whichever name it was given.
    pub fn organization(&self) -> &str {
        self.org.as_deref().filter(|org| !org.is_empty()).unwrap_or(&self.organization)
    }
}

impl BlueprintFormation {
    /// The health check, by whichever name it was given.
    pub fn healthcheck(&self) -> Option<&str> {
        self.healthcheck.as_deref().or(self.health_check.as_deref())
    }
}

impl std::fmt::Debug for Blueprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blueprint({}-{})", self.app.name, self.app.space)
    }
}

impl<'de> Deserialize<'de> for BlueprintVar {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_object(deserializer)
    }
}

#[cfg(test)]
mod tests;
