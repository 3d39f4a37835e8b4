//! Names that people choose. Each is parsed once, lower-cased and bounded, so that no layer below
//! checks it again.

use super::rule::{RuleError, shown};

macro_rules! name_type {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as stored and shown.
            pub fn as_str(&self) -> &str { &self.0 }

            /// Takes a value that was checked when it was stored.
            pub fn from_stored(text: String) -> Self { Self(text) }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str { &self.0 }
        }
    )+};
}

name_type!(
    /// The short name of an app: letters and digits (`events`).
    AppName,
    /// The name of a space: letters, digits and dashes, under 12 characters (`perf-dev-us`).
    SpaceName,
    /// The name of an organization: letters and digits, under 12 characters.
    OrganizationName,
    /// The name of a pipeline: a letter, then letters, digits and dashes, under 24 characters.
    PipelineName,
    /// `<app>-<space>`, under 25 characters; the app's name has no dash, so the first dash splits it.
    AppKey,
    /// The name of a plugin of the registry: letters and digits.
    PluginName,
    /// A process type of an app: `web`, `worker`, … letters and digits.
    ProcessType,
    /// The name of one dyno: `<deployment, 10 digits>-<5 characters>`, lower case.
    DynoName,
    /// The name of a dyno size of the catalogue.
    SizeName,
    /// The name of a config var: letters, digits and `_`.
    ConfigVarName,
    /// The name of a user account.
    UserName,
);

/// Names under this length only: the "less than 12 characters" of the specification (Spaces, Organizations).
const SHORT_NAME_LIMIT: usize = 12;
/// The "less than 24 characters" of the specification (Pipelines).
const PIPELINE_NAME_LIMIT: usize = 24;
/// `len(name + "-" + space) < 25` (`behaviour.md` §3).
const APP_KEY_LIMIT: usize = 25;
/// The label of the control API's host below the apps domain.
pub const API_HOST_LABEL: &str = "api";
const PLUGIN_NAME_LIMIT: usize = 64;
const PROCESS_TYPE_LIMIT: usize = 32;
const CONFIG_VAR_NAME_LIMIT: usize = 256;

/// Names that the platform keeps for itself (`behaviour.md` §15).
pub const RESERVED_SPACES: &[&str] =
    &["kube-system", "brokers", "k2-poc", "kube-public", "akkeris-system", "istio-system", "cert-manager"];

impl AppName {
    /// Letters and digits only; trimmed and lower-cased (`behaviour.md` §3).
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let name = text.trim().to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(RuleError::new(format!(
                "The app name \"{}\" is not usable: use letters and digits only, without dashes or spaces.",
                shown(text)
            )));
        }
        Ok(Self(name))
    }
}

impl SpaceName {
    /// Letters, digits and dashes, under 12 characters; trimmed and lower-cased.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let name = text.trim().to_ascii_lowercase();
        let charset = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if name.is_empty() || !charset || name.starts_with('-') || name.ends_with('-') {
            return Err(RuleError::new(format!(
                "The space name \"{}\" is not usable: use letters, digits and inner dashes only.",
                shown(text)
            )));
        }
        if name.len() >= SHORT_NAME_LIMIT {
            return Err(RuleError::new(format!(
                "The space name \"{}\" is too long: use fewer than {SHORT_NAME_LIMIT} characters.",
                shown(text)
            )));
        }
        Ok(Self(name))
    }

    /// Whether this is the space whose apps have no suffix in their host name.
    pub fn is_default(&self) -> bool {
        self.0 == "default"
    }
}

impl OrganizationName {
    /// Letters and digits, under 12 characters; trimmed and lower-cased.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let name = text.trim().to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(RuleError::new(format!(
                "The organization name \"{}\" is not usable: use letters and digits only.",
                shown(text)
            )));
        }
        if name.len() >= SHORT_NAME_LIMIT {
            return Err(RuleError::new(format!(
                "The organization name \"{}\" is too long: use fewer than {SHORT_NAME_LIMIT} characters.",
                shown(text)
            )));
        }
        Ok(Self(name))
    }
}

impl PipelineName {
    /// A letter, then letters, digits and dashes; at least 3 and under 24 characters (`behaviour.md` §19);
    /// trimmed and lower-cased.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let name = text.trim().to_ascii_lowercase();
        let charset = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !charset || !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return Err(RuleError::new(format!(
                "The pipeline name \"{}\" is not usable: begin with a letter and go on with letters, digits and dashes.",
                shown(text)
            )));
        }
        if name.len() < 3 || name.len() >= PIPELINE_NAME_LIMIT {
            return Err(RuleError::new(format!(
                "The pipeline name \"{}\" has {} characters: use at least 3 and fewer than {PIPELINE_NAME_LIMIT}.",
                shown(text),
                name.len()
            )));
        }
        Ok(Self(name))
    }
}

impl AppKey {
    /// Joins the two names; refuses a key that is too long to be a host name of ours, or whose host is the
    /// control API's.
    pub fn new(app: &AppName, space: &SpaceName) -> Result<Self, RuleError> {
        let key = Self::of(app, space);
        if key.host_label() == API_HOST_LABEL {
            return Err(RuleError::new(format!(
                "The app name {app} is taken in the space {space}: its host is that of this API. Use another name or space."
            )));
        }
        if key.0.len() >= APP_KEY_LIMIT {
            return Err(RuleError::new(format!(
                "The app name and space together are too long: \"{key}\" has {} characters, use fewer than {APP_KEY_LIMIT}.",
                key.0.len()
            )));
        }
        Ok(key)
    }

    /// The key of an app that exists, whose length was checked when it was created.
    pub fn of(app: &AppName, space: &SpaceName) -> Self {
        Self(format!("{app}-{space}"))
    }

    /// Splits `name-space` at the first dash; `None` when there is none.
    pub fn split(text: &str) -> Option<(&str, &str)> {
        text.split_once('-')
    }

    /// The label of the app's host below the apps domain: the key, without the suffix of the default space.
    pub fn host_label(&self) -> &str {
        self.0.strip_suffix("-default").unwrap_or(&self.0)
    }
}

impl ProcessType {
    /// Letters and digits, lower-cased; at most 32 characters.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let name = text.trim().to_ascii_lowercase();
        let charset = name.bytes().all(|b| b.is_ascii_alphanumeric());
        if name.is_empty() || name.len() > PROCESS_TYPE_LIMIT || !charset {
            return Err(RuleError::new(format!(
                "The type \"{}\" is not usable: use up to {PROCESS_TYPE_LIMIT} letters and digits, for example web or worker.",
                shown(text)
            )));
        }
        Ok(Self(name))
    }

    /// The one type that has a port and receives requests.
    pub fn web() -> Self {
        Self("web".to_owned())
    }

    /// Whether this is the type that receives requests.
    pub fn is_web(&self) -> bool {
        self.0 == "web"
    }
}

impl ConfigVarName {
    /// Letters, digits and `_`, at most 256 characters; case is kept (`behaviour.md` §13).
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let charset = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if text.is_empty() || text.len() > CONFIG_VAR_NAME_LIMIT || !charset {
            return Err(RuleError::new(format!(
                "The config var name \"{}\" is not usable: use up to {CONFIG_VAR_NAME_LIMIT} letters, digits and underscores.",
                shown(text)
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

impl PluginName {
    /// Up to 64 letters and digits; trimmed and lower-cased (`behaviour.md` §21).
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let name = text.trim().to_ascii_lowercase();
        let charset = name.bytes().all(|b| b.is_ascii_alphanumeric());
        if name.is_empty() || name.len() > PLUGIN_NAME_LIMIT || !charset {
            return Err(RuleError::new(format!(
                "The plugin name \"{}\" is not usable: use up to {PLUGIN_NAME_LIMIT} letters and digits.",
                shown(text)
            )));
        }
        Ok(Self(name))
    }
}

impl UserName {
    /// One to 64 letters, digits, `.`, `-`, `_` or `@`, so that it fits a header and a log line.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let charset = text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_@".contains(&b));
        if text.is_empty() || text.len() > 64 || !charset {
            return Err(RuleError::new(format!(
                "The user name \"{}\" is not usable: use up to 64 letters, digits and . - _ @.",
                shown(text)
            )));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl DynoName {
    /// The first part tells the deployment, the second the dyno in it.
    pub fn new(deployment: &str, instance: &str) -> Self {
        Self(format!("{deployment}-{instance}").to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_names_are_lower_cased_letters_and_digits() {
        assert_eq!(AppName::parse(" Events1 ").unwrap().as_str(), "events1");
        for bad in ["", "a-b", "a b", "ä", "a_b", "a.b"] {
            assert!(AppName::parse(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn pipeline_names_begin_with_a_letter_and_are_bounded() {
        assert_eq!(PipelineName::parse(" My-Pipeline1 ").unwrap().as_str(), "my-pipeline1");
        assert!(PipelineName::parse(&"a".repeat(23)).is_ok());
        for bad in ["", "ab", "1ab", "-ab", "a b", "a_b", "äbc", &"a".repeat(24)] {
            assert!(PipelineName::parse(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn an_app_key_splits_at_the_first_dash_and_is_bounded() {
        assert_eq!(AppKey::split("events-perf-dev-us"), Some(("events", "perf-dev-us")));
        let space = SpaceName::parse("perf-dev-us").unwrap();
        assert_eq!(
            AppKey::new(&AppName::parse("events").unwrap(), &space).unwrap().as_str(),
            "events-perf-dev-us"
        );
        assert!(AppKey::new(&AppName::parse("abcdefghijklm").unwrap(), &space).is_err());
        let default = SpaceName::parse("default").unwrap();
        assert!(AppKey::new(&AppName::parse("api").unwrap(), &default).is_err());
        assert!(AppKey::new(&AppName::parse("api").unwrap(), &space).is_ok());
    }

    #[test]
    fn the_default_space_has_no_suffix_in_the_host() {
        let name = AppName::parse("events").unwrap();
        assert_eq!(AppKey::of(&name, &SpaceName::parse("default").unwrap()).host_label(), "events");
        assert_eq!(AppKey::of(&name, &SpaceName::parse("perf").unwrap()).host_label(), "events-perf");
    }
}
