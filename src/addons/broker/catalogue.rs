//! A broker's catalogue: its services and plans in this daemon's terms.
//!
//! Invariant: what is not usable of a catalogue is left out, and never takes the rest with it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::model::addon_service::{
    AddonPlan, AddonPlanName, AddonService, AddonServiceName, BrokerName, OfferState, ProviderName,
};
use crate::model::ids::{AddonPlanId, AddonServiceId, deterministic};
use crate::model::rule::{RuleError, shown};

/// Services of one broker, and plans of one service, at most.
const LIMIT: usize = 256;

#[derive(Deserialize)]
struct CatalogueBody {
    services: Vec<Value>,
}

#[derive(Deserialize)]
struct ServiceBody {
    id: String,
    name: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    bindable: bool,
    #[serde(default)]
    plan_updateable: bool,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
    plans: Vec<PlanBody>,
}

#[derive(Deserialize)]
struct PlanBody {
    id: String,
    name: String,
    #[serde(default)]
    description: String,
    bindable: Option<bool>,
    plan_updateable: Option<bool>,
    maximum_polling_duration: Option<u64>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
}

/// The services of a catalogue, and why some of them are left out.
pub(super) fn parse(broker: &BrokerName, text: &str) -> Result<(Vec<AddonService>, Vec<String>), String> {
    let body: CatalogueBody = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let (mut services, mut left_out) = (Vec::new(), Vec::new());
    for value in body.services.into_iter().take(LIMIT) {
        let read = serde_json::from_value::<ServiceBody>(value).map_err(|error| error.to_string());
        match read.and_then(|body| service(broker, body).map_err(|error| error.to_string())) {
            Ok(service) => services.push(service),
            Err(reason) => left_out.push(reason),
        }
    }
    Ok((services, left_out))
}

fn service(broker: &BrokerName, body: ServiceBody) -> Result<AddonService, RuleError> {
    let name = AddonServiceName::parse(&body.name)?;
    let metadata = body.metadata.unwrap_or_default();
    let terms = (body.bindable, body.plan_updateable);
    let plans = body.plans.into_iter().take(LIMIT);
    let plans: Vec<AddonPlan> =
        plans.map(|body| plan((broker, &name), terms, body)).collect::<Result<_, _>>()?;
    if plans.is_empty() {
        return Err(RuleError::new(format!("The service {name} has no plan.")));
    }
    let mut plans = plans;
    let mut defaults = 0;
    for plan in &mut plans {
        defaults += u32::from(plan.is_default);
        plan.is_default = plan.is_default && defaults == 1;
    }
    Ok(AddonService {
        id: AddonServiceId::new(id(broker, &body.id)?),
        human_name: text(&metadata, &["human_name", "displayName"]).unwrap_or_else(|| body.name.clone()),
        description: body.description,
        reference: body.id,
        state: state(&metadata),
        cli_plugin_name: text(&metadata, &["cli_plugin_name"]).unwrap_or_default(),
        provider: ProviderName::Broker(broker.clone()),
        supports_multiple_installations: flag(&metadata, &["supports_multiple_installations"])
            .unwrap_or(true),
        supports_sharing: flag(&metadata, &["supports_sharing", "shareable"]).unwrap_or(true),
        engine: None,
        plans,
        name,
    })
}

fn plan(
    (broker, service): (&BrokerName, &AddonServiceName),
    (bindable, updateable): (bool, bool),
    body: PlanBody,
) -> Result<AddonPlan, RuleError> {
    let metadata = body.metadata.unwrap_or_default();
    Ok(AddonPlan {
        id: AddonPlanId::new(id(broker, &body.id)?),
        name: AddonPlanName::parse(service, &body.name)?,
        human_name: text(&metadata, &["human_name", "displayName"]).unwrap_or_else(|| body.name.clone()),
        description: body.description,
        price: price(&metadata),
        state: state(&metadata),
        is_default: flag(&metadata, &["default"]).unwrap_or(false),
        compliance: words(metadata.get("compliance")),
        attributes: attributes(metadata.get("attributes")),
        regions: words(metadata.get("regions")),
        bindable: body.bindable.unwrap_or(bindable),
        updateable: body.plan_updateable.unwrap_or(updateable),
        patience: body.maximum_polling_duration.map(Duration::from_secs),
        engine: None,
        reference: body.id,
    })
}

/// A broker's own id where it is a UUID, else one made out of it.
fn id(broker: &BrokerName, text: &str) -> Result<Uuid, RuleError> {
    if text.is_empty() || text.len() > 255 {
        return Err(RuleError::new(format!("The id \"{}\" is not usable.", shown(text))));
    }
    Ok(Uuid::try_parse(text).unwrap_or_else(|_| deterministic(&format!("{broker}:{text}"))))
}

/// Cents a month: `price.cents`, or the monthly dollars of `costs`; nothing where neither is there.
fn price(metadata: &Map<String, Value>) -> u32 {
    let cents = metadata.get("price").and_then(|price| price.get("cents")).and_then(Value::as_u64);
    let monthly = |cost: &&Value| {
        cost.get("unit").and_then(Value::as_str).is_some_and(|unit| unit.eq_ignore_ascii_case("monthly"))
    };
    let costs = metadata.get("costs").and_then(Value::as_array);
    let dollars = costs.and_then(|costs| costs.iter().find(monthly)?.get("amount")?.get("usd")?.as_f64());
    let cents = cents.or_else(|| dollars.map(in_cents)).unwrap_or(0);
    u32::try_from(cents).unwrap_or(u32::MAX)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value is clamped before")]
fn in_cents(dollars: f64) -> u64 {
    (dollars * 100.0).round().clamp(0.0, f64::from(u32::MAX)) as u64
}

fn state(metadata: &Map<String, Value>) -> OfferState {
    text(metadata, &["state"]).and_then(|text| text.parse().ok()).unwrap_or(OfferState::Public)
}

fn text(metadata: &Map<String, Value>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| metadata.get(*name)?.as_str()).map(str::to_owned)
}

fn flag(metadata: &Map<String, Value>, names: &[&str]) -> Option<bool> {
    names.iter().find_map(|name| metadata.get(*name)?.as_bool())
}

/// A list of words, or one text with commas.
fn words(value: Option<&Value>) -> Vec<String> {
    let lower = |text: &str| text.trim().to_ascii_lowercase();
    let all: Vec<String> = match value {
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).map(lower).collect(),
        Some(Value::String(text)) => text.split(',').map(lower).collect(),
        Some(_) | None => Vec::new(),
    };
    all.into_iter().filter(|word| !word.is_empty()).collect()
}

fn attributes(value: Option<&Value>) -> BTreeMap<String, String> {
    let Some(Value::Object(fields)) = value else { return BTreeMap::new() };
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    fields.iter().map(|(name, value)| (name.clone(), shown(value))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(catalogue: &Value) -> (Vec<AddonService>, Vec<String>) {
        parse(&BrokerName::parse("big").unwrap(), &catalogue.to_string()).unwrap()
    }

    #[test]
    fn services_and_plans_carry_what_the_metadata_says() {
        let (services, left_out) = read(&json!({ "services": [{
            "id": "acb56d7c-1111-4222-8333-feb140a59a66", "name": "Fake-DB", "description": "d", "bindable": true,
            "plan_updateable": true, "metadata": { "displayName": "Fake", "shareable": false },
            "plans": [
                { "id": "p-1", "name": "small", "description": "s", "maximum_polling_duration": 60, "metadata": {
                    "costs": [{ "amount": { "usd": 99.5 }, "unit": "MONTHLY" }], "compliance": "socs, PROD",
                    "attributes": { "ram": 4 } } },
                { "id": "p-2", "name": "big", "bindable": false, "metadata": { "price": { "cents": 5 }, "state": "shutdown" } },
            ],
        }] }));
        assert!(left_out.is_empty(), "{left_out:?}");
        let service = &services[0];
        assert_eq!((service.name.as_str(), service.human_name.as_str()), ("fake-db", "Fake"));
        assert_eq!(service.id.to_string(), "acb56d7c-1111-4222-8333-feb140a59a66");
        assert!(!service.supports_sharing && service.supports_multiple_installations);
        let (small, big) = (&service.plans[0], &service.plans[1]);
        assert_eq!(
            (small.name.as_str(), small.price, small.reference.as_str()),
            ("fake-db:small", 9950, "p-1")
        );
        assert_eq!(small.id.uuid(), deterministic("big:p-1"));
        assert_eq!(
            (small.compliance.clone(), small.patience),
            (vec!["socs".to_owned(), "prod".to_owned()], Some(Duration::from_mins(1)))
        );
        assert_eq!(small.attributes.get("ram").map(String::as_str), Some("4"));
        assert!(small.bindable && small.updateable && !big.bindable);
        assert_eq!((big.price, big.state), (5, OfferState::Shutdown));
    }

    #[test]
    fn what_is_not_usable_is_left_out_and_the_rest_stays() {
        let plan = json!([{ "id": "p", "name": "s" }]);
        let (services, left_out) = read(&json!({ "services": [
            { "id": "a", "name": "a b", "plans": plan }, { "id": "b", "name": "b", "plans": [] }, { "name": 3 }, "x",
            { "id": "", "name": "e", "plans": plan }, { "id": "c", "name": "c", "plans": plan },
        ] }));
        assert_eq!((services.len(), left_out.len()), (1, 5));
        let broker = BrokerName::parse("big").unwrap();
        for nonsense in ["", "null", "[]", "{}", "{\"services\":{}}", "<html>"] {
            assert!(parse(&broker, nonsense).is_err(), "{nonsense}");
        }
    }
}
