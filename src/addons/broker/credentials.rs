//! The variables of an app out of what a broker gives for a binding.

use serde_json::Value;

use super::ProviderError;
use super::answer::Reply;
use crate::model::addon_service::AddonServiceName;
use crate::model::config_var::{self, ConfigValue, ConfigVars};
use crate::model::names::ConfigVarName;

/// Credentials of one binding at most.
const LIMIT: usize = 64;

/// A credential whose name is that of an environment variable already (`DATABASE_URL`) keeps it; any other is named after
/// its service (`uri` of `some-db` is `SOME_DB_URI`). What is no text is shown as JSON.
pub(super) fn variables(service: &AddonServiceName, reply: &Reply) -> Result<ConfigVars, ProviderError> {
    let credentials = match reply.json.get("credentials") {
        None | Some(Value::Null) => return Ok(ConfigVars::new()),
        Some(Value::Object(credentials)) => credentials,
        Some(_) => return Err(unusable("the credentials are no object")),
    };
    if credentials.len() > LIMIT {
        return Err(unusable(&format!("there are more than {LIMIT} credentials")));
    }
    let mut variables = ConfigVars::new();
    for (key, value) in credentials {
        let Some(text) = text(value) else { continue };
        let name = name(service, key)?;
        let value = ConfigValue::parse(&name, &text).map_err(|error| unusable(&error.to_string()))?;
        variables.insert(name, value);
    }
    Ok(variables)
}

fn name(service: &AddonServiceName, key: &str) -> Result<ConfigVarName, ProviderError> {
    let is_upper = key.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    let plain = ConfigVarName::parse(key).ok().filter(|name| {
        is_upper && key.starts_with(|c: char| c.is_ascii_alphabetic()) && !config_var::is_reserved(name)
    });
    if let Some(name) = plain {
        return Ok(name);
    }
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let text: String = format!("{service}_{key}").chars().map(letter).collect();
    ConfigVarName::parse(&text).map_err(|error| unusable(&error.to_string()))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => Some(value.to_string()),
    }
}

fn unusable(why: &str) -> ProviderError {
    ProviderError::Broken(format!("What the broker gave is not usable: {why}."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(credentials: &Value) -> Result<Vec<(String, String)>, ProviderError> {
        let service = AddonServiceName::parse("some-db").unwrap();
        let reply = Reply { status: 200, json: json!({ "credentials": credentials }), retry_after: None };
        let pair =
            |(name, value): (ConfigVarName, ConfigValue)| (name.to_string(), value.reveal().to_owned());
        Ok(variables(&service, &reply)?.into_iter().map(pair).collect())
    }

    #[test]
    fn upper_case_names_stay_and_others_are_named_after_the_service() {
        let found = of(
            &json!({ "DATABASE_URL": "x", "uri": "y", "port": 5432, "PORT": "1", "hosts": ["a"], "n": null }),
        );
        let expected = [
            ("DATABASE_URL", "x"),
            ("SOME_DB_HOSTS", "[\"a\"]"),
            ("SOME_DB_PORT", "1"),
            ("SOME_DB_URI", "y"),
        ];
        let found = found.unwrap();
        // Both ports have one name; which of them wins is the order of the keys.
        assert_eq!(found.len(), expected.len());
        for (name, value) in expected {
            if name != "SOME_DB_PORT" {
                assert!(found.contains(&(name.to_owned(), value.to_owned())), "{name} in {found:?}");
            }
        }
    }

    #[test]
    fn nonsense_is_refused_and_may_have_left_a_binding() {
        for bad in [json!("text"), json!([1]), json!({ "a": "nul\u{0}" }), json!({ "k".repeat(300): "x" })] {
            assert!(matches!(of(&bad), Err(ProviderError::Broken(_))), "{bad}");
        }
        assert!(of(&Value::Null).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn every_name_is_one_of_an_environment_variable(key in "\\PC{1,40}") {
            for (name, _) in of(&json!({ key: "x" })).unwrap() {
                prop_assert!(ConfigVarName::parse(&name).is_ok());
            }
        }
    }
}
