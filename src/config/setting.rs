//! One setting: its names in the file, the environment and the flags, its default, and what it must be.

use super::{
    DATA_DIR, addons, api, backups, builds, certs, dns, docker, dynos, edge, git, log, logs, metrics,
    outbound, previews, sources, telemetry,
};

/// A setting as an operator sees it.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// In the file: `section.name`, or `name` at the top.
    pub key: &'static str,
    /// In the environment.
    pub variable: &'static str,
    /// On the command line, where there is a flag.
    pub flag: Option<&'static str>,
    /// Its type in the file.
    pub form: Form,
    /// The text that holds when nobody says otherwise; empty is "unset".
    pub default: &'static str,
    /// What a value must be, for error messages.
    pub expected: &'static str,
}

/// The TOML type of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Text,
    Number,
    Switch,
    /// Texts without commas; joined by commas in the environment.
    List,
}

/// Every setting, in the order in which `config check` prints them; those of one section are neighbours.
const SETTINGS: &[&[Setting]] = &[
    &[DATA_DIR],
    api::SETTINGS,
    edge::SETTINGS,
    docker::SETTINGS,
    log::SETTINGS,
    logs::SETTINGS,
    builds::SETTINGS,
    git::SETTINGS,
    dynos::SETTINGS,
    outbound::SETTINGS,
    previews::SETTINGS,
    metrics::SETTINGS,
    certs::SETTINGS,
    certs::ACME_SETTINGS,
    dns::SETTINGS,
    addons::SETTINGS,
    backups::SETTINGS,
    telemetry::SETTINGS,
    sources::SETTINGS,
];

impl Setting {
    /// A text without a flag.
    pub(super) const fn text(
        key: &'static str,
        variable: &'static str,
        default: &'static str,
        expected: &'static str,
    ) -> Self {
        Self { key, variable, flag: None, form: Form::Text, default, expected }
    }

    /// The setting with this key in the file.
    pub fn by_key(key: &str) -> Option<&'static Self> {
        Self::all().find(|setting| setting.key == key)
    }

    /// The setting with this flag.
    pub fn by_flag(flag: &str) -> Option<&'static Self> {
        Self::all().find(|setting| setting.flag == Some(flag))
    }

    /// Every setting.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        SETTINGS.iter().copied().flatten()
    }

    /// The section and the name within it; a setting at the top has no section.
    pub fn section_and_name(&self) -> (Option<&'static str>, &'static str) {
        match self.key.split_once('.') {
            Some((section, name)) => (Some(section), name),
            None => (None, self.key),
        }
    }
}

impl Form {
    /// The text of a TOML value of this form; `None` for a value of another type.
    pub(super) fn text_of(self, value: &toml::Value) -> Option<String> {
        match (self, value) {
            (Self::Text, toml::Value::String(text)) => Some(text.clone()),
            (Self::Number, toml::Value::Integer(number)) => Some(number.to_string()),
            (Self::Switch, toml::Value::Boolean(on)) => Some(on.to_string()),
            (Self::List, toml::Value::Array(texts)) => {
                let one =
                    |text: &toml::Value| text.as_str().filter(|text| !text.contains(',')).map(str::to_owned);
                texts.iter().map(one).collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
            }
            (Self::Text | Self::Number | Self::Switch | Self::List, _) => None,
        }
    }

    /// The value as it is written in the file.
    pub fn to_toml(self, text: &str) -> String {
        match self {
            Self::Text => toml::Value::String(text.to_owned()).to_string(),
            Self::Number | Self::Switch => text.to_owned(),
            Self::List => {
                let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
                toml::Value::Array(texts.map(|text| toml::Value::String(text.to_owned())).collect())
                    .to_string()
            }
        }
    }
}
