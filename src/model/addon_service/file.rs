//! The form of addon services in the catalogue file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::{AddonPlan, AddonPlanName, AddonService, AddonServiceName, OfferState, ProviderName};
use crate::model::addon_engine::{PlanEngine, PlanEngineFile, ServiceEngine, ServiceEngineFile};
use crate::model::ids::{AddonPlanId, AddonServiceId, deterministic};
use crate::model::rule::RuleError;

/// An `[[addon_service]]`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddonServiceFile {
    name: String,
    id: Option<Uuid>,
    human_name: String,
    #[serde(default)]
    description: String,
    #[serde(default = "public")]
    state: OfferState,
    #[serde(default)]
    cli_plugin_name: String,
    provider: String,
    #[serde(default = "yes")]
    supports_multiple_installations: bool,
    #[serde(default = "yes")]
    supports_sharing: bool,
    engine: Option<ServiceEngineFile>,
    plan: Vec<AddonPlanFile>,
}

/// An `[[addon_service.plan]]`.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddonPlanFile {
    name: String,
    id: Option<Uuid>,
    human_name: String,
    #[serde(default)]
    description: String,
    /// Cents a month.
    price: u32,
    #[serde(default = "public")]
    state: OfferState,
    #[serde(default)]
    default: bool,
    #[serde(default)]
    compliance: Vec<String>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    regions: Vec<String>,
    engine: Option<PlanEngineFile>,
}

impl AddonService {
    /// The services of the file: none twice, each with a plan, at most one of them the default.
    pub(in crate::model) fn from_files(files: Vec<AddonServiceFile>) -> Result<Vec<Self>, RuleError> {
        let services: Vec<Self> = files.into_iter().map(Self::from_file).collect::<Result<_, _>>()?;
        let mut names = BTreeSet::new();
        match services.iter().find(|service| !names.insert(service.name.clone())) {
            Some(twice) => Err(RuleError::new(format!("The addon service {} is there twice.", twice.name))),
            None => Ok(services),
        }
    }

    fn from_file(file: AddonServiceFile) -> Result<Self, RuleError> {
        let name = AddonServiceName::parse(&file.name)?;
        let provider = file.provider.parse()?;
        if let ProviderName::Broker(broker) = &provider {
            return Err(RuleError::new(format!(
                "The addon service {name} names the broker {broker} as its provider: the services of a broker come from its own catalogue."
            )));
        }
        let plans: Vec<AddonPlan> =
            file.plan.into_iter().map(|plan| AddonPlan::from_file(&name, plan)).collect::<Result<_, _>>()?;
        let mut names = BTreeSet::new();
        if let Some(twice) = plans.iter().find(|plan| !names.insert(plan.name.clone())) {
            return Err(RuleError::new(format!("The addon plan {} is there twice.", twice.name)));
        }
        if plans.is_empty() || plans.iter().filter(|plan| plan.is_default).count() > 1 {
            return Err(RuleError::new(format!(
                "The addon service {name} needs at least one plan, of which at most one is the default."
            )));
        }
        let engine = file.engine.map(|engine| ServiceEngine::from_file(name.as_str(), engine)).transpose()?;
        Ok(Self {
            id: AddonServiceId::new(file.id.unwrap_or_else(|| deterministic(name.as_str()))),
            reference: name.as_str().to_owned(),
            name,
            human_name: file.human_name,
            description: file.description,
            state: file.state,
            cli_plugin_name: file.cli_plugin_name,
            provider,
            supports_multiple_installations: file.supports_multiple_installations,
            supports_sharing: file.supports_sharing,
            engine: engine.map(Arc::new),
            plans,
        })
    }
}

impl AddonPlan {
    fn from_file(service: &AddonServiceName, file: AddonPlanFile) -> Result<Self, RuleError> {
        let name = AddonPlanName::parse(service, &file.name)?;
        let engine = file.engine.map(|engine| PlanEngine::from_file(name.as_str(), &engine)).transpose()?;
        Ok(Self {
            id: AddonPlanId::new(file.id.unwrap_or_else(|| deterministic(name.as_str()))),
            reference: name.short().to_owned(),
            name,
            human_name: file.human_name,
            description: file.description,
            price: file.price,
            state: file.state,
            is_default: file.default,
            compliance: file.compliance.into_iter().map(|tag| tag.to_ascii_lowercase()).collect(),
            attributes: file.attributes,
            regions: file.regions,
            bindable: true,
            updateable: true,
            patience: None,
            engine,
        })
    }
}

fn public() -> OfferState {
    OfferState::Public
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct File {
        addon_service: Vec<AddonServiceFile>,
    }

    fn parse(text: &str) -> Result<Vec<AddonService>, RuleError> {
        AddonService::from_files(toml::from_str::<File>(text).unwrap().addon_service)
    }

    const SMALL: &str = "[[addon_service.plan]]\nname = \"small\"\nhuman_name = \"Small\"\nprice = 1500\n";

    fn service(name: &str, provider: &str, plans: &str) -> String {
        format!(
            "[[addon_service]]\nname = \"{name}\"\nhuman_name = \"X\"\nprovider = \"{provider}\"\n{plans}"
        )
    }

    #[test]
    fn ids_are_deterministic() {
        let services = parse(&service("alamo-postgresql", "engine", SMALL)).unwrap();
        assert_eq!(services[0].id.to_string(), "01bb60d2-f2bb-64c0-4c8b-ead731a690bc");
        assert_eq!(services[0].plans[0].id.to_string(), "f6757b64-022d-518f-beb1-29d6eee937d2");
        assert_eq!(services[0].plan("small").unwrap().price, 1500);
    }

    #[test]
    fn a_file_that_contradicts_itself_is_refused() {
        let one = service("a", "engine", SMALL);
        for (text, why) in [
            (format!("{one}{one}"), "is there twice"),
            (service("a", "engine", &format!("{SMALL}{SMALL}")), "is there twice"),
            (service("a", "engine", "plan = []\n"), "needs at least one plan"),
            (service("a", "broker:b", SMALL), "its own catalogue"),
            (service("a", "docker", SMALL), "is not one of"),
        ] {
            let error = parse(&text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
