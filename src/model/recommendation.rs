//! Recommendations: what a service suggests to do with an app.
//!
//! Invariant: the details hold exactly the fields that their action needs.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::{Uuid, uuid};

use super::formation::Quantity;
use super::ids::{AppId, RecommendationId};
use super::rule::{RuleError, parse_word, shown};
use super::time::Timestamp;

/// A suggestion; an app has one for each topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recommendation {
    pub id: RecommendationId,
    pub app_id: AppId,
    pub topic: Topic,
    pub details: Details,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Who suggests what to do with which kind of thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The name of the service that suggests.
    pub service: String,
    pub resource_type: ResourceType,
    pub action: Action,
}

crate::text_enum! {
    /// What a recommendation is about.
    pub enum ResourceType {
        Formation => "formation",
    }
}

crate::text_enum! {
    /// What is recommended.
    pub enum Action {
        /// Another size for a process type.
        Resize => "resize",
        /// Another number of dynos for a process type.
        Scale => "scale",
    }
}

crate::text_enum! {
    /// A field of the details.
    pub enum DetailField {
        /// A process type.
        Resource => "resource",
        /// A size.
        Plan => "plan",
        Quantity => "quantity",
        Description => "description",
    }
}

/// The details of a recommendation, each as it was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Details(BTreeMap<DetailField, DetailValue>);

/// A detail; only a quantity is a number, and only when it was written as one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum DetailValue {
    Number(u8),
    Text(String),
}

const SERVICE_LIMIT: usize = 64;
const DETAIL_LIMIT: usize = 1024;

impl Topic {
    /// Checks the name of the service, up to 64 characters, and that the action fits the resource type.
    pub fn parse(service: &str, resource_type: &str, action: &str) -> Result<Self, RuleError> {
        let resource_type = ResourceType::find(resource_type).ok_or_else(|| {
            RuleError::new(format!(
                "The resource_type \"{}\" is not known; GET /docs/recommendation_resource_types lists them.",
                shown(resource_type)
            ))
        })?;
        let length = service.chars().count();
        if service.trim().is_empty() || length > SERVICE_LIMIT || service.chars().any(char::is_control) {
            return Err(RuleError::new(format!(
                "The service \"{}\" is not usable: name who recommends, in up to {SERVICE_LIMIT} characters.",
                shown(service)
            )));
        }
        let action = parse_word("action", action)?;
        Ok(Self { service: service.trim().to_owned(), resource_type, action })
    }
}

impl ResourceType {
    /// The type of that name or id.
    pub fn find(text: &str) -> Option<Self> {
        let named = |kind: &&Self| kind.as_str() == text || Uuid::try_parse(text) == Ok(kind.id());
        Self::ALL.iter().find(named).copied()
    }

    /// The id that the reference gives the type (`behaviour.md` §34).
    pub const fn id(self) -> Uuid {
        match self {
            Self::Formation => uuid!("354d810d-304c-46ef-83db-145ed94cd352"),
        }
    }

    /// What can be recommended for it.
    pub const fn actions(self) -> &'static [Action] {
        match self {
            Self::Formation => Action::ALL,
        }
    }

    /// For people.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Formation => {
                "resize: run a process type in another size. scale: run another number of its dynos."
            }
        }
    }
}

impl Action {
    /// The fields that its details must have; no others are taken (`behaviour.md` §34).
    pub const fn fields(self) -> &'static [DetailField] {
        match self {
            Self::Resize => &[DetailField::Resource, DetailField::Plan, DetailField::Description],
            Self::Scale => &[DetailField::Resource, DetailField::Quantity, DetailField::Description],
        }
    }
}

impl Details {
    /// Checks that every field of the action is there, and no other.
    pub fn parse(action: Action, written: &Map<String, Value>) -> Result<Self, RuleError> {
        let fields = action.fields();
        if let Some(name) = written.keys().find(|name| fields.iter().all(|field| field.as_str() != **name)) {
            return Err(RuleError::new(format!(
                "The details of {action} have no field \"{}\"; they have {}.",
                shown(name),
                fields.iter().map(|field| field.as_str()).collect::<Vec<_>>().join(", ")
            )));
        }
        let value = |field: &DetailField| Ok((*field, field.parse_value(written.get(field.as_str()))?));
        fields.iter().map(value).collect::<Result<_, _>>().map(Self)
    }

    /// Every field with its value.
    pub fn iter(&self) -> impl Iterator<Item = (DetailField, &DetailValue)> {
        self.0.iter().map(|(field, value)| (*field, value))
    }
}

impl DetailField {
    fn parse_value(self, written: Option<&Value>) -> Result<DetailValue, RuleError> {
        let number = |number: i64| Quantity::new(number).map(Quantity::get);
        match (self, written) {
            (Self::Quantity, Some(Value::Number(quantity))) => {
                let quantity = quantity.as_i64().ok_or_else(|| self.refused("is not a whole number"))?;
                number(quantity).map(DetailValue::Number)
            }
            (Self::Quantity, Some(Value::String(text))) => {
                let quantity = text.parse().map_err(|_| self.refused("is not a whole number"))?;
                number(quantity).map(|_| DetailValue::Text(text.clone()))
            }
            (_, Some(Value::String(text))) if text.trim().is_empty() => Err(self.refused("is empty")),
            (_, Some(Value::String(text))) if text.chars().count() > DETAIL_LIMIT => {
                Err(self.refused(&format!("is longer than {DETAIL_LIMIT} characters")))
            }
            (_, Some(Value::String(text))) => Ok(DetailValue::Text(text.clone())),
            (_, None | Some(Value::Null)) => Err(self.refused("is missing")),
            (_, Some(Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_))) => {
                Err(self.refused("is not a text"))
            }
        }
    }

    fn refused(self, why: &str) -> RuleError {
        RuleError::new(format!("The field \"details.{self}\" {why}."))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(action: Action, written: &Value) -> Result<Details, RuleError> {
        Details::parse(action, written.as_object().unwrap())
    }

    #[test]
    fn details_are_kept_as_they_were_written() {
        for quantity in [json!(0), json!("2"), json!(32)] {
            let written = json!({ "resource": "web", "quantity": quantity, "description": "Scale web" });
            let details = parse(Action::Scale, &written).unwrap();
            assert_eq!(serde_json::to_value(&details).unwrap(), written);
            assert_eq!(serde_json::from_value::<Details>(written).unwrap(), details);
        }
    }

    #[test]
    fn details_hold_the_fields_of_the_action_and_no_others() {
        let resize = json!({ "resource": "web", "plan": "gp2", "description": "Resize web" });
        assert!(parse(Action::Resize, &resize).is_ok());
        let error = parse(Action::Scale, &resize).unwrap_err().to_string();
        assert_eq!(
            error,
            "The details of scale have no field \"plan\"; they have resource, quantity, description."
        );
        for quantity in [json!(33), json!(-1), json!(1.5), json!("x"), json!(true), json!(null), json!("")] {
            let written = json!({ "resource": "web", "quantity": quantity, "description": "Scale web" });
            assert!(parse(Action::Scale, &written).is_err(), "{quantity} was accepted");
        }
        for resource in [json!(7), json!(""), json!(null), json!([]), json!("x".repeat(DETAIL_LIMIT + 1))] {
            let written = json!({ "resource": resource, "plan": "gp2", "description": "Resize web" });
            assert!(parse(Action::Resize, &written).is_err(), "{resource} was accepted");
        }
    }
}
