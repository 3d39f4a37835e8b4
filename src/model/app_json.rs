//! `app.json`: what a source says of the app that it wants to be, in the form that Heroku made known.
//!
//! Invariant: it fills what a blueprint leaves open and changes nothing that the blueprint says.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::blueprint::{Blueprint, BlueprintAddon};
use super::rule::{RuleError, shown};

/// Its name at the root of a source.
pub const APP_JSON: &str = "app.json";

/// What of the file is understood; all else in it is ignored.
#[derive(Debug, Default, Deserialize)]
pub struct AppJson {
    #[serde(default)]
    env: BTreeMap<String, ManifestVar>,
    #[serde(default)]
    formation: BTreeMap<String, ManifestFormation>,
    #[serde(default)]
    addons: Vec<ManifestAddon>,
    #[serde(default)]
    scripts: Scripts,
    success_url: Option<String>,
}

/// What a manifest asks for beyond the blueprint.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// A command that runs once after the first release.
    pub postdeploy: Option<String>,
    pub success_url: Option<String>,
}

/// What the platform lends to the filling.
pub struct Platform<'p> {
    /// Whether a name is that of a size; a manifest written for another platform names others, which count as none.
    pub is_size: &'p dyn Fn(&str) -> bool,
    /// A new random text for `generator: "secret"`.
    pub secret: &'p dyn Fn() -> String,
}

/// A config var that the app wants.
#[derive(Debug)]
struct ManifestVar {
    value: Option<String>,
    description: String,
    required: bool,
    /// A random value is made where there is none.
    generated: bool,
}

#[derive(Debug, Deserialize)]
struct ManifestFormation {
    quantity: Option<i64>,
    size: Option<String>,
    command: Option<String>,
}

/// An addon as `service:plan`, or with a name.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum ManifestAddon {
    Plan(String),
    Named {
        plan: String,
        #[serde(rename = "as")]
        name: Option<String>,
    },
}

#[derive(Debug, Default, Deserialize)]
struct Scripts {
    postdeploy: Option<Script>,
}

/// A command alone, or with the buildpack's words around it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Script {
    Command(String),
    Object { command: String },
}

impl AppJson {
    /// Reads the file.
    pub fn parse(content: &[u8]) -> Result<Self, RuleError> {
        serde_json::from_slice(content).map_err(|error| {
            let at = format!("line {} column {}", error.line(), error.column());
            RuleError::new(format!("The {APP_JSON} of the source is not usable: look at {at}."))
        })
    }

    /// Adds to the blueprint what it does not say; every variable that is required and has no value is a reason
    /// against it.
    pub fn fill(self, blueprint: &mut Blueprint, platform: &Platform<'_>) -> Result<Extras, Vec<RuleError>> {
        let mut missing = Vec::new();
        for (name, wanted) in self.env {
            fill_var(blueprint, &name, wanted, platform).unwrap_or_else(|reason| missing.push(reason));
        }
        for (process_type, wanted) in self.formation {
            let formation = blueprint.formation.entry(process_type).or_default();
            formation.quantity = formation.quantity.or(wanted.quantity);
            let size = wanted.size.filter(|size| (platform.is_size)(size));
            formation.size = formation.size.take().or(size);
            formation.command = formation.command.take().or(wanted.command);
        }
        for addon in self.addons {
            fill_addon(blueprint, addon);
        }
        if !missing.is_empty() {
            return Err(missing);
        }
        let postdeploy = self.scripts.postdeploy.map(|script| match script {
            Script::Command(command) | Script::Object { command } => command,
        });
        Ok(Extras {
            postdeploy: postdeploy.filter(|command| !command.trim().is_empty()),
            success_url: self.success_url,
        })
    }
}

fn fill_var(
    blueprint: &mut Blueprint,
    name: &str,
    wanted: ManifestVar,
    platform: &Platform<'_>,
) -> Result<(), RuleError> {
    let var = blueprint.env.entry(name.to_owned()).or_default();
    var.value = var.value.take().or(wanted.value);
    if var.value.is_none() && wanted.generated {
        var.value = Some((platform.secret)());
    }
    if var.description.is_empty() {
        var.description = wanted.description;
    }
    if var.value.is_some() {
        return Ok(());
    }
    let required = var.required || wanted.required;
    blueprint.env.remove(name);
    if !required {
        return Ok(());
    }
    Err(RuleError::new(format!(
        "The config var {} is required by the {APP_JSON} of the source and has no value; give it one in env.",
        shown(name)
    )))
}

/// An addon of the same service is the one that is meant.
fn fill_addon(blueprint: &mut Blueprint, addon: ManifestAddon) {
    let (plan, name) = match addon {
        ManifestAddon::Plan(plan) => (plan, None),
        ManifestAddon::Named { plan, name } => (plan, name),
    };
    let service = |plan: &str| plan.split(':').next().unwrap_or(plan).to_owned();
    let wanted = service(&plan);
    if name.is_none() && blueprint.addons.values().any(|other| service(&other.plan) == wanted) {
        return;
    }
    blueprint.addons.entry(name.unwrap_or(wanted)).or_insert(BlueprintAddon { plan, primary: None });
}

/// A variable is a value, or an object in which it is required unless it says otherwise.
impl<'de> Deserialize<'de> for ManifestVar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Value::deserialize(deserializer)?;
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        let Value::Object(fields) = &written else {
            let value = text(&written).ok_or_else(|| serde::de::Error::custom("expected a value"))?;
            return Ok(Self {
                value: Some(value),
                description: String::new(),
                required: false,
                generated: false,
            });
        };
        Ok(Self {
            value: fields.get("value").and_then(text),
            description: fields.get("description").and_then(text).unwrap_or_default(),
            required: fields.get("required") != Some(&Value::Bool(false)),
            generated: fields.get("generator").and_then(Value::as_str) == Some("secret"),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fill(manifest: &Value, blueprint: Value) -> (Blueprint, Result<Extras, Vec<RuleError>>) {
        let mut blueprint: Blueprint = serde_json::from_value(blueprint).unwrap();
        let platform = Platform { is_size: &|name| name == "scout", secret: &|| "random".to_owned() };
        let filled = AppJson::parse(manifest.to_string().as_bytes()).unwrap().fill(&mut blueprint, &platform);
        (blueprint, filled)
    }

    #[test]
    fn it_fills_what_the_blueprint_leaves_open_and_nothing_else() {
        let manifest = json!({
            "name": "ignored", "buildpacks": [{ "url": "ignored" }],
            "env": {
                "A": "a", "B": { "value": "b", "description": "what B is" }, "S": { "generator": "secret" },
                "O": { "required": false, "description": "nobody needs it" }, "N": 7
            },
            "formation": { "web": { "quantity": 2, "size": "scout" }, "worker": { "quantity": 1, "size": "Standard-1X" } },
            "addons": ["alamo-redis", { "plan": "alamo-postgresql:small", "as": "db" }],
            "scripts": { "postdeploy": "./seed" }, "success_url": "/welcome"
        });
        let given = json!({
            "env": { "A": "mine" }, "formation": { "web": { "quantity": 1 } },
            "addons": { "cache": { "plan": "alamo-redis:large" } }
        });
        let (blueprint, extras) = fill(&manifest, given);
        let values: Vec<(&str, Option<&str>)> =
            blueprint.env.iter().map(|(name, var)| (name.as_str(), var.value.as_deref())).collect();
        assert_eq!(values, [("A", Some("mine")), ("B", Some("b")), ("N", Some("7")), ("S", Some("random"))]);
        assert_eq!(blueprint.env["B"].description, "what B is");
        let web = &blueprint.formation["web"];
        assert_eq!((web.quantity, web.size.as_deref()), (Some(1), Some("scout")));
        assert_eq!(blueprint.formation["worker"].size, None, "it is no size of this platform");
        let plans: Vec<(&str, &str)> =
            blueprint.addons.iter().map(|(name, addon)| (name.as_str(), addon.plan.as_str())).collect();
        assert_eq!(plans, [("cache", "alamo-redis:large"), ("db", "alamo-postgresql:small")]);
        let wanted =
            Extras { postdeploy: Some("./seed".to_owned()), success_url: Some("/welcome".to_owned()) };
        assert_eq!(extras.unwrap(), wanted);
    }

    #[test]
    fn every_required_variable_without_a_value_is_a_reason() {
        let manifest =
            json!({ "env": { "A": {}, "B": { "required": true }, "C": { "description": "x" }, "D": {} } });
        let (_, filled) = fill(&manifest, json!({ "env": { "D": "given" } }));
        let reasons: Vec<String> = filled.unwrap_err().iter().map(RuleError::to_string).collect();
        assert_eq!(reasons.len(), 3, "{reasons:?}");
        for (reason, name) in reasons.iter().zip(["A", "B", "C"]) {
            assert!(reason.contains(&format!("config var {name} is required")), "{reason}");
        }
    }

    #[test]
    fn a_broken_file_says_where() {
        for bad in ["", "[]", "{\"env\": [}", "{\"env\": {\"A\": [1]}}"] {
            let error = AppJson::parse(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("app.json") && error.contains("line"), "{error}");
        }
    }
}
