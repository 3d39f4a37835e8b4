//! What is wrong with a blueprint: every reason, found without a look at what others may change.

use std::collections::BTreeMap;

use crate::model::RuleError;
use crate::model::addon_attachment::AttachmentName;
use crate::model::app::{check_description, check_labels};
use crate::model::blueprint::{
    Blueprint, BlueprintCoupling, BlueprintDrain, BlueprintFeature, BlueprintFilter, BlueprintFormation,
    BlueprintOptions, BlueprintRoute, PORT, is_web,
};
use crate::model::build::{Checksum, ImageReference};
use crate::model::catalogue::Catalogue;
use crate::model::command::Command;
use crate::model::config_var::{ConfigChange, ConfigValue, ConfigVars, REDACTED};
use crate::model::config_var_note::ConfigVarNote;
use crate::model::drain_url::DrainUrl;
use crate::model::feature::{Feature, FeatureState, OfferedFeature};
use crate::model::filter::PathScope;
use crate::model::formation::{HealthCheck, Port, Quantity};
use crate::model::log_drain::{DrainToken, LOG_DRAIN_LIMIT};
use crate::model::names::{
    AppKey, AppName, ConfigVarName, OrganizationName, ProcessType, SizeName, SpaceName,
};
use crate::model::pipeline::{RequiredChecks, Stage};
use crate::model::route::RoutePath;
use crate::model::rule::shown;
use crate::model::schedule::{Overlap, Schedule};
use crate::model::site::SiteDomain;
use crate::service::formations::{self, CommandChange, FormationChange, HealthCheckChange, RunsChange};
use crate::service::{Error, config_vars, features, pipeline_couplings};

/// All reasons as one.
pub(super) fn all(reasons: &[RuleError]) -> RuleError {
    RuleError::new(reasons.iter().map(RuleError::to_string).collect::<Vec<_>>().join(" "))
}

/// `PORT` among the variables, which a blueprint shows there, is the port of `web` where that names none.
pub(super) fn normalise(blueprint: &mut Blueprint) -> Vec<RuleError> {
    let Some(value) = blueprint.env.remove(PORT).and_then(|var| var.value) else { return Vec::new() };
    let Ok(port) = value.trim().parse::<i64>() else {
        return vec![RuleError::new(format!("The PORT {} is not a whole number.", shown(&value)))];
    };
    let web = match blueprint.formation.keys().find(|name| is_web(name)) {
        Some(name) => name.clone(),
        None => "web".to_owned(),
    };
    blueprint.formation.entry(web).or_default().port.get_or_insert(port);
    Vec::new()
}

/// Everything that can be known to be wrong.
pub(super) fn reasons(blueprint: &Blueprint, catalogue: &Catalogue) -> Vec<RuleError> {
    let mut found = Reasons(Vec::new());
    found.of_app(blueprint);
    found.of_env(blueprint);
    for (name, formation) in &blueprint.formation {
        found.note(formation_of(name, formation, |size| formations::check_size(catalogue, size)));
    }
    for (name, addon) in &blueprint.addons {
        if addon.plan.trim().is_empty() {
            found.say(format!(
                "The addon {} has no plan; name one, such as alamo-postgresql:small.",
                shown(name)
            ));
        }
    }
    for attachment in &blueprint.attachments {
        if attachment.id.trim().is_empty() && attachment.name.trim().is_empty() {
            found.say("An attachment has neither id nor name; name the addon that it is of.".to_owned());
        }
        found.note(attachment.alias.as_deref().map(AttachmentName::parse).transpose());
    }
    found.of_drains(blueprint);
    for coupling in &blueprint.couplings {
        found.note(coupling_of(coupling));
    }
    if blueprint.couplings.len() > 1 {
        found.say("The app is in one pipeline at most; leave one of pipeline-couplings.".to_owned());
    }
    for feature in &blueprint.features {
        found.note(feature_of(feature, catalogue));
    }
    for filter in &blueprint.filters {
        found.note(filter_of(filter));
    }
    for (domain, site) in &blueprint.sites {
        found.note(SiteDomain::parse(domain));
        for route in &site.routes {
            found.note(route_of(route));
        }
    }
    found.of_source(blueprint);
    found.0
}

/// A formation as the verb takes it. `size` says what the name of one means.
pub(super) fn formation_of(
    name: &str,
    formation: &BlueprintFormation,
    size: impl FnOnce(&str) -> Result<SizeName, RuleError>,
) -> Result<(ProcessType, FormationChange), RuleError> {
    let process_type = ProcessType::parse(name)?;
    if !process_type.is_web() && (formation.port.is_some() || formation.healthcheck().is_some()) {
        return Err(RuleError::new(format!(
            "The type {process_type} has no port and no healthcheck; only web receives requests."
        )));
    }
    let (image, env) = formation.options.as_ref().map(options_of).transpose()?.unwrap_or_default();
    let command = formation.command.as_deref().filter(|command| !command.trim().is_empty());
    let change = FormationChange {
        size: formation.size.as_deref().map(size).transpose()?,
        quantity: formation.quantity.map(Quantity::new).transpose()?,
        command: command.map(Command::parse).transpose()?.map(CommandChange::Set),
        port: formation.port.map(Port::new).transpose()?,
        healthcheck: formation.healthcheck().map(HealthCheck::parse).transpose()?.map(HealthCheckChange::Set),
        runs: runs_of(formation)?,
        image,
        env,
    };
    formations::check(&process_type, &change)?;
    Ok((process_type, change))
}

fn runs_of(formation: &BlueprintFormation) -> Result<Option<RunsChange>, RuleError> {
    let Some(schedule) = &formation.schedule else {
        return Ok((formation.oneoff == Some(true)).then_some(RunsChange::Once));
    };
    let overlap = schedule.overlap.as_deref().map(str::parse::<Overlap>).transpose()?;
    let zone = schedule.time_zone.as_deref().unwrap_or("UTC");
    let schedule = Schedule::parse(&schedule.cron, zone, overlap.unwrap_or(Overlap::Skip))?;
    Ok(Some(RunsChange::Schedule(Box::new(schedule))))
}

fn options_of(options: &BlueprintOptions) -> Result<(Option<String>, Option<ConfigVars>), RuleError> {
    if let Some(image) = &options.image {
        ImageReference::parse(image)?;
    }
    let Some(env) = &options.env else { return Ok((options.image.clone(), None)) };
    let mut vars = ConfigVars::new();
    for (name, value) in env {
        let name = ConfigVarName::parse(name)?;
        let value = ConfigValue::parse(&name, value)?;
        vars.insert(name, value);
    }
    Ok((options.image.clone(), (!vars.is_empty()).then_some(vars)))
}

/// The config vars that have a value.
pub(super) fn config_changes(blueprint: &Blueprint) -> Result<Vec<(ConfigVarName, ConfigChange)>, Error> {
    let valued = blueprint.env.iter().filter(|(_, var)| var.value.is_some());
    config_vars::parse(valued.map(|(name, var)| (name.clone(), var.value.clone())).collect())
}

/// A drain's address and token; `None` for the token where the daemon makes one.
pub(super) fn drain_of(drain: &BlueprintDrain) -> Result<(DrainUrl, Option<DrainToken>), RuleError> {
    let url = DrainUrl::parse(&drain.url)?;
    if drain.url.contains(REDACTED) {
        return Err(RuleError::new(format!(
            "The url {} of a log drain is redacted; put the secret back in its place.",
            shown(&url.shown())
        )));
    }
    let token =
        drain.token.as_deref().filter(|token| !token.is_empty()).map(DrainToken::parse).transpose()?;
    Ok((url, token))
}

/// A coupling's place in its pipeline.
pub(super) fn coupling_of(coupling: &BlueprintCoupling) -> Result<(Stage, RequiredChecks), RuleError> {
    if coupling.pipeline.trim().is_empty() {
        return Err(RuleError::new("A pipeline coupling names no pipeline; give its name."));
    }
    pipeline_couplings::parse_place(&coupling.stage, &coupling.required_status_checks.contexts)
}

/// The feature that is meant. A deprecated one may be named as it is anyway.
pub(super) fn feature_of(
    feature: &BlueprintFeature,
    catalogue: &Catalogue,
) -> Result<OfferedFeature, RuleError> {
    let offered =
        features::offered(catalogue, feature.named()).map_err(|error| RuleError::new(error.to_string()))?;
    let on = Feature::ON_AT_CREATION.contains(&offered.feature);
    if offered.state == FeatureState::Deprecated && on != feature.enabled {
        return Err(RuleError::new(format!(
            "The feature {} is deprecated and cannot be switched; leave it out.",
            offered.feature
        )));
    }
    Ok(offered)
}

/// For which paths a filter is in force.
pub(super) fn filter_of(filter: &BlueprintFilter) -> Result<PathScope, RuleError> {
    if filter.filter.id.trim().is_empty() {
        return Err(RuleError::new("A filter has no id; name the filter to attach."));
    }
    PathScope::parse(&filter.options.includes, &filter.options.excludes)
}

/// The paths of a route: of the site, and of the app.
pub(super) fn route_of(route: &BlueprintRoute) -> Result<(RoutePath, RoutePath), RuleError> {
    let source = RoutePath::parse("source_path", &route.source_path)?;
    let target = match route.target_path.as_str() {
        "" => RoutePath::root(),
        path => RoutePath::parse("target_path", path)?,
    };
    Ok((source, target))
}

/// What was found so far.
struct Reasons(Vec<RuleError>);

impl Reasons {
    fn say(&mut self, text: String) {
        self.0.push(RuleError::new(text));
    }

    fn note<T>(&mut self, checked: Result<T, RuleError>) -> Option<T> {
        checked.map_err(|reason| self.0.push(reason)).ok()
    }

    fn of_app(&mut self, blueprint: &Blueprint) {
        let app = &blueprint.app;
        let name = self.note(AppName::parse(&app.name));
        if uuid::Uuid::try_parse(&app.space).is_err()
            && let (Some(space), Some(name)) = (self.note(SpaceName::parse(&app.space)), name)
        {
            self.note(AppKey::new(&name, &space));
        }
        self.note(OrganizationName::parse(app.organization()));
        self.note(check_description(&app.description));
        self.note(check_labels(&app.labels));
    }

    fn of_env(&mut self, blueprint: &Blueprint) {
        for (name, var) in &blueprint.env {
            match &var.value {
                Some(value) if value == REDACTED => {
                    self.say(format!("The value of {} is redacted; give the value itself.", shown(name)));
                }
                Some(value) => {
                    let one = BTreeMap::from([(name.clone(), Some(value.clone()))]);
                    if let Err(error) = config_vars::parse(one) {
                        self.say(error.to_string());
                    }
                }
                None if var.required => self.say(format!(
                    "The config var {} is required and has no value; give it one in env.",
                    shown(name)
                )),
                None => drop(self.note(ConfigVarName::parse(name))),
            }
            if let Ok(name) = ConfigVarName::parse(name) {
                let note = ConfigVarNote { description: var.description.clone(), required: var.required };
                self.note(note.check(&name));
            }
        }
    }

    fn of_drains(&mut self, blueprint: &Blueprint) {
        let mut urls: Vec<DrainUrl> = Vec::new();
        for drain in &blueprint.log_drains {
            let Some((url, _)) = self.note(drain_of(drain)) else { continue };
            if urls.iter().any(|other| other.is_same(&url)) {
                self.say(format!("The log drain to {} is there twice.", shown(&url.shown())));
            }
            urls.push(url);
        }
        if urls.len() > LOG_DRAIN_LIMIT {
            self.say(format!("An app has at most {LOG_DRAIN_LIMIT} log drains."));
        }
    }

    fn of_source(&mut self, blueprint: &Blueprint) {
        self.note(Checksum::parse(&blueprint.source_blob.checksum));
    }
}
