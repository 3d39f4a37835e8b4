//! Addon services and their plans: what apps can be given (`behaviour.md` §18).
//!
//! Invariant: a service has a plan, each plan's name begins with that of its service, and at most one plan is the
//! default.

mod file;

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

pub use self::file::{AddonPlanFile, AddonServiceFile};
use super::addon_engine::{PlanEngine, ServiceEngine};
use super::ids::{AddonPlanId, AddonServiceId};
use super::rule::{RuleError, shown};

/// Something that apps can have an addon of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonService {
    pub id: AddonServiceId,
    pub name: AddonServiceName,
    /// What its provider calls it.
    pub reference: String,
    pub human_name: String,
    pub description: String,
    pub state: OfferState,
    /// The plugin of `aka` that knows more of it; may be empty.
    pub cli_plugin_name: String,
    pub provider: ProviderName,
    /// An app may have several addons of it.
    pub supports_multiple_installations: bool,
    /// Its addons may be attached to other apps.
    pub supports_sharing: bool,
    /// How its addons run on this host's engine.
    pub engine: Option<Arc<ServiceEngine>>,
    /// Never empty; in the order of the operator's file or of the broker's catalogue.
    pub plans: Vec<AddonPlan>,
}

/// A variant of a service, at a price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonPlan {
    pub id: AddonPlanId,
    /// `<service>:<plan>`.
    pub name: AddonPlanName,
    /// What its provider calls it.
    pub reference: String,
    pub human_name: String,
    pub description: String,
    /// Cents a month.
    pub price: u32,
    pub state: OfferState,
    /// The plan of an addon that names only the service.
    pub is_default: bool,
    /// Tags that the space of the app must have.
    pub compliance: Vec<String>,
    pub attributes: BTreeMap<String, String>,
    /// Names of regions; every region when empty.
    pub regions: Vec<String>,
    /// An app is given variables for its addon.
    pub bindable: bool,
    /// An addon of this plan can get another one.
    pub updateable: bool,
    /// How long its provider may work on an addon, where it says so.
    pub patience: Option<Duration>,
    /// What an addon of it may use of this host's engine.
    pub engine: Option<PlanEngine>,
}

crate::text_enum! {
    /// How finished a service or a plan is. Nothing new is made of one that is shut down.
    pub enum OfferState {
        Alpha => "alpha",
        Beta => "beta",
        Public => "public",
        Ga => "ga",
        Deprecated => "deprecated",
        Shutdown => "shutdown",
    }
}

/// Who makes the addons of a service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProviderName {
    /// This daemon, in containers.
    Engine,
    /// This daemon, out of random numbers.
    Securekey,
    /// The Open Service Broker of that name in the configuration.
    Broker(BrokerName),
}

/// What the operator calls a broker: lower-case letters, digits and dashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerName(String);

/// The name of a service: lower-case letters, digits, dashes, dots and `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddonServiceName(String);

/// The full name of a plan, `<service>:<plan>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddonPlanName(String);

/// Everything that apps can be given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddonOffer(Vec<AddonService>);

/// Longest name of a service, and of a plan without its service.
const NAME_LIMIT: usize = 64;

impl AddonService {
    /// The plan of that id, full name or short name.
    pub fn plan(&self, text: &str) -> Option<&AddonPlan> {
        let named = |plan: &&AddonPlan| {
            plan.id.to_string().eq_ignore_ascii_case(text)
                || plan.name.as_str().eq_ignore_ascii_case(text)
                || plan.name.short().eq_ignore_ascii_case(text)
        };
        self.plans.iter().find(named)
    }

    /// The plan of an addon for which only the service is named.
    pub fn default_plan(&self) -> Option<&AddonPlan> {
        self.plans.iter().find(|plan| plan.is_default)
    }
}

impl AddonOffer {
    /// The services in order; of several with one name or id the first is taken, and the others are returned.
    pub fn of(services: impl IntoIterator<Item = AddonService>) -> (Self, Vec<AddonService>) {
        let (mut taken, mut left): (Vec<AddonService>, Vec<AddonService>) = (Vec::new(), Vec::new());
        for service in services {
            let clash = taken.iter().any(|other| other.name == service.name || other.id == service.id);
            if clash { left.push(service) } else { taken.push(service) }
        }
        (Self(taken), left)
    }

    /// All services.
    pub fn services(&self) -> &[AddonService] {
        &self.0
    }

    /// The service of that id or name.
    pub fn service(&self, text: &str) -> Option<&AddonService> {
        let named = |service: &&AddonService| {
            service.id.to_string().eq_ignore_ascii_case(text)
                || service.name.as_str().eq_ignore_ascii_case(text)
        };
        self.0.iter().find(named)
    }

    /// The plan of that id or full name, or the default plan of the service of that name.
    pub fn plan(&self, text: &str) -> Option<(&AddonService, &AddonPlan)> {
        let full = |plan: &&AddonPlan| {
            plan.id.to_string().eq_ignore_ascii_case(text) || plan.name.as_str().eq_ignore_ascii_case(text)
        };
        let found = self.0.iter().find_map(|service| Some((service, service.plans.iter().find(full)?)));
        let by_default = || {
            let service = self.0.iter().find(|service| service.name.as_str().eq_ignore_ascii_case(text))?;
            Some((service, service.default_plan()?))
        };
        found.or_else(by_default)
    }

    /// The plan of that id.
    pub fn plan_of(&self, id: AddonPlanId) -> Option<(&AddonService, &AddonPlan)> {
        let own = |service| {
            let service: &AddonService = service;
            Some((service, service.plans.iter().find(|plan| plan.id == id)?))
        };
        self.0.iter().find_map(own)
    }
}

impl BrokerName {
    /// Up to 64 lower-case letters, digits and dashes.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let charset = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if text.is_empty() || text.len() > NAME_LIMIT || !charset {
            return Err(RuleError::new(format!(
                "The broker name \"{}\" is not usable: use up to {NAME_LIMIT} lower-case letters, digits and dashes.",
                shown(text)
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as stored and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AddonServiceName {
    /// Up to 64 letters, digits, dashes, dots and `_`, beginning with a letter or digit; lower-cased.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        Ok(Self(part("service name", text)?))
    }

    /// The name as stored and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a value that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl AddonPlanName {
    /// Of a plan's own name, which may begin with that of the service; written like the service's name.
    pub fn parse(service: &AddonServiceName, text: &str) -> Result<Self, RuleError> {
        let own = text.split_once(':').filter(|(of, _)| of.eq_ignore_ascii_case(service.as_str()));
        let short = part("plan name", own.map_or(text, |(_, short)| short))?;
        Ok(Self(format!("{}:{short}", service.as_str())))
    }

    /// The name as stored and shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without that of the service.
    pub fn short(&self) -> &str {
        self.0.split_once(':').map_or(self.0.as_str(), |(_, short)| short)
    }

    /// Takes a value that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Display for BrokerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for AddonServiceName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for AddonPlanName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Display for ProviderName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Engine => f.write_str("engine"),
            Self::Securekey => f.write_str("securekey"),
            Self::Broker(name) => write!(f, "broker:{name}"),
        }
    }
}

impl FromStr for ProviderName {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        match (text, text.strip_prefix("broker:")) {
            ("engine", _) => Ok(Self::Engine),
            ("securekey", _) => Ok(Self::Securekey),
            (_, Some(name)) => BrokerName::parse(name).map(Self::Broker),
            (_, None) => Err(RuleError::new(format!(
                "The provider \"{}\" is not one of engine, securekey.",
                shown(text)
            ))),
        }
    }
}

fn part(noun: &str, text: &str) -> Result<String, RuleError> {
    let name = text.trim().to_ascii_lowercase();
    let charset = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    if !charset || name.len() > NAME_LIMIT || !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Err(RuleError::new(format!(
            "The {noun} \"{}\" is not usable: use up to {NAME_LIMIT} letters, digits, dashes, dots and underscores.",
            shown(text)
        )));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_cased_words_and_a_plan_carries_its_service() {
        let service = AddonServiceName::parse(" Alamo-PostgreSQL ").unwrap();
        assert_eq!(service.as_str(), "alamo-postgresql");
        for text in ["small", "alamo-postgresql:Small", "ALAMO-POSTGRESQL:small"] {
            let plan = AddonPlanName::parse(&service, text).unwrap();
            assert_eq!((plan.as_str(), plan.short()), ("alamo-postgresql:small", "small"));
        }
        for bad in ["", "-a", "a b", "ä", "other:small", &"x".repeat(65)] {
            assert!(AddonPlanName::parse(&service, bad).is_err(), "{bad:?} was accepted");
        }
        assert!(AddonServiceName::parse("a:b").is_err());
        assert!(BrokerName::parse("Big").is_err() && BrokerName::parse("").is_err());
    }

    #[test]
    fn a_provider_is_read_back_as_it_was_written() {
        let broker = ProviderName::Broker(BrokerName::parse("big-broker").unwrap());
        for provider in [ProviderName::Engine, ProviderName::Securekey, broker] {
            assert_eq!(provider.to_string().parse::<ProviderName>().unwrap(), provider);
        }
        assert!("docker".parse::<ProviderName>().is_err());
    }
}
