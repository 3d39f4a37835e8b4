//! Config vars: the environment of an app's dynos, and what of it may be shown.

use std::collections::BTreeMap;

use super::names::ConfigVarName;
use super::router_limits::RouterLimits;
use super::rule::RuleError;

/// The text that stands for a secret in an answer, and means "unchanged" in a request (reading 12).
pub const REDACTED: &str = "[redacted]";

/// Longest value, in bytes: an environment string of Linux is at most 128 KiB.
pub const VALUE_LIMIT: usize = 128 * 1024 - 512;
/// All values of an app together, in bytes, so that a dyno can still be started with them.
pub const TOTAL_LIMIT: usize = 1024 * 1024;

/// Names that the platform sets itself; a change of one is a conflict (`behaviour.md` §13).
const RESERVED: &[&str] = &[
    "PORT",
    "AKKERIS_DEPLOYMENT",
    "AKKERIS_APPLICATION",
    "AKKERIS_SPACE",
    "AKKERIS_GIT_SHA1",
    "AKKERIS_GIT_BRANCH",
    "AKKERIS_GIT_REPO",
];

/// The value of a config var. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigValue(String);

impl ConfigValue {
    /// Takes any text without NUL, up to [`VALUE_LIMIT`]; for the limits of the router only times.
    pub fn parse(name: &ConfigVarName, text: &str) -> Result<Self, RuleError> {
        if text.len() > VALUE_LIMIT {
            return Err(RuleError::new(format!(
                "The value of {name} has {} bytes; the system takes at most {VALUE_LIMIT} in one environment variable.",
                text.len()
            )));
        }
        if text.contains('\0') {
            return Err(RuleError::new(format!(
                "The value of {name} contains a NUL character, which no environment variable can hold."
            )));
        }
        RouterLimits::check(name, text)?;
        Ok(Self(text.to_owned()))
    }

    /// Takes a value that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The value itself. Not for a log, an event or an error message.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for ConfigValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sealed]")
    }
}

/// The config vars that a user set, in name order.
pub type ConfigVars = BTreeMap<ConfigVarName, ConfigValue>;

/// What a request does to one config var.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigChange {
    Set(ConfigValue),
    Remove,
}

/// Whether the platform sets this variable itself.
pub fn is_reserved(name: &ConfigVarName) -> bool {
    RESERVED.contains(&name.as_str())
}

/// What a variable shows in a space with `socs` compliance (`behaviour.md` §13): nothing where the name
/// speaks of a secret, and a URL without its password and without secret query parameters.
pub fn redacted(name: &str, value: &str) -> String {
    const SECRET_WORDS: &[&str] = &["PASS", "KEY", "SECRET", "PRIVATE", "TOKEN", "SALT", "AUTH", "HASH"];
    let upper = name.to_ascii_uppercase();
    if SECRET_WORDS.iter().any(|word| upper.contains(word)) {
        return REDACTED.to_owned();
    }
    redact_query(&redact_userinfo(value))
}

/// `scheme://user:password@host` with the password replaced; anything else unchanged.
pub fn redact_userinfo(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    let Some((userinfo, host)) = authority.rsplit_once('@') else { return value.to_owned() };
    match userinfo.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:{REDACTED}@{host}{tail}"),
        None => value.to_owned(),
    }
}

fn redact_query(value: &str) -> String {
    const SECRET_PARAMETERS: &[&str] = &[
        "password",
        "pwd",
        "access_token",
        "accesstoken",
        "refresh_token",
        "refreshtoken",
        "token",
        "client_secret",
        "clientsecret",
        "circle-token",
    ];
    if !value.contains("://") {
        return value.to_owned();
    }
    let Some((before, query)) = value.split_once('?') else { return value.to_owned() };
    let (query, fragment) = query.split_once('#').map_or((query, None), |(q, f)| (q, Some(f)));
    let shown: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if SECRET_PARAMETERS.contains(&name.to_ascii_lowercase().as_str()) => {
                format!("{name}={REDACTED}")
            }
            _ => pair.to_owned(),
        })
        .collect();
    let fragment = fragment.map(|f| format!("#{f}")).unwrap_or_default();
    format!("{before}?{}{fragment}", shown.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_redacted_by_name_and_in_urls() {
        assert_eq!(redacted("API_KEY", "x"), REDACTED);
        assert_eq!(redacted("my_password", "x"), REDACTED);
        assert_eq!(redacted("PLAIN", "value"), "value");
        assert_eq!(redacted("DB", "https://foo:bar@host/path/"), "https://foo:[redacted]@host/path/");
        assert_eq!(redacted("DB", "https://h/?a=1&token=x#f"), "https://h/?a=1&token=[redacted]#f");
        assert_eq!(redacted("DB", "https://foo@host/"), "https://foo@host/");
    }

    #[test]
    fn a_value_is_never_shown_by_debug() {
        let name = ConfigVarName::parse("A").unwrap();
        assert_eq!(format!("{:?}", ConfigValue::parse(&name, "secret").unwrap()), "[sealed]");
    }
}
