//! The sources of settings laid over each other: defaults, file, environment, flags.
//!
//! Every value is kept as text beside the place it came from, so that one parser serves all sources and
//! every error names the place.

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::rule::shown;

use super::environment::{DOCKER_HOST, Environment, Secret};
use super::error::ConfigError;
use super::setting::Setting;
use super::{DEFAULT_FILE, docker};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Default { key: &'static str },
    File { path: String, key: &'static str },
    Variable(&'static str),
    Flag(&'static str),
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    pub text: String,
    pub place: Place,
}

/// The merged values of all sources, not yet checked.
#[derive(Debug)]
pub struct Layers {
    values: BTreeMap<&'static str, Value>,
    admin_token: Option<Secret>,
}

impl Layers {
    /// Reads the file and lays environment and flags over it. Without `file`, the default file is read
    /// when it is there; a file that was asked for must be there. `flags` are pairs like
    /// `("--api-addr", "127.0.0.1:5000")`.
    pub fn load(
        file: Option<&Path>,
        environment: &Environment,
        flags: &[(&'static str, String)],
    ) -> Result<Self, ConfigError> {
        let text = match file {
            Some(path) => Some((path, read(path)?)),
            None => read_if_there(Path::new(DEFAULT_FILE))?.map(|text| (Path::new(DEFAULT_FILE), text)),
        };
        let mut layers = Self::defaults();
        if let Some((path, text)) = text {
            layers.lay_file(&path.display().to_string(), &text)?;
        }
        layers.lay_environment(environment);
        layers.lay_flags(flags);
        Ok(layers)
    }

    /// The value of a setting.
    pub fn value(&self, setting: &Setting) -> Option<&Value> {
        self.values.get(setting.key)
    }

    /// Only the defaults.
    pub(super) fn defaults() -> Self {
        let value = |setting: &'static Setting| Value {
            text: setting.default.to_owned(),
            place: Place::Default { key: setting.key },
        };
        Self { values: Setting::all().map(|s| (s.key, value(s))).collect(), admin_token: None }
    }

    /// Lays a file's text over what is there; `path` is for messages.
    pub(super) fn lay_file(&mut self, path: &str, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = toml::from_str(text)
            .map_err(|source| ConfigError::Syntax { path: path.to_owned(), source: Box::new(source) })?;
        for (name, value) in &table {
            let Some(section) = value.as_table() else {
                self.lay_key(path, name, value)?;
                continue;
            };
            if section.is_empty() && !is_section(name) {
                return Err(unknown_key(path, name));
            }
            for (inner, value) in section {
                self.lay_key(path, &format!("{name}.{inner}"), value)?;
            }
        }
        Ok(())
    }

    pub(super) fn lay_environment(&mut self, environment: &Environment) {
        if let Some(text) = environment.get(DOCKER_HOST) {
            self.lay(&docker::HOST, text.to_owned(), Place::Variable(DOCKER_HOST));
        }
        for setting in Setting::all() {
            if let Some(text) = environment.get(setting.variable) {
                self.lay(setting, text.to_owned(), Place::Variable(setting.variable));
            }
        }
        self.admin_token = environment.admin_token().cloned();
    }

    pub(super) fn lay_flags(&mut self, flags: &[(&'static str, String)]) {
        for (flag, text) in flags {
            if let Some(setting) = Setting::by_flag(flag) {
                self.lay(setting, text.clone(), Place::Flag(flag));
            }
        }
    }

    /// The checked value of a setting.
    pub(super) fn parse<T>(
        &self,
        setting: &Setting,
        parser: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let text = self.value(setting).map_or(setting.default, |value| value.text.as_str());
        parser(text).ok_or_else(|| self.wrong(setting, setting.expected.to_owned()))
    }

    /// The checked value of a setting that may be unset (empty).
    pub(super) fn parse_optional<T>(
        &self,
        setting: &Setting,
        parser: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        match self.value(setting) {
            Some(value) if !value.text.is_empty() => self.parse(setting, parser).map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// The error for a setting's present value.
    pub(super) fn wrong(&self, setting: &Setting, expected: String) -> ConfigError {
        let (text, place) = match self.value(setting) {
            Some(value) => (value.text.as_str(), value.place.clone()),
            None => (setting.default, Place::Variable(setting.variable)),
        };
        ConfigError::Wrong { place, value: shown(text), expected }
    }

    pub(super) fn admin_token(&self) -> Result<Option<Secret>, ConfigError> {
        match &self.admin_token {
            Some(token) if !usable_token(token.reveal()) => Err(ConfigError::AdminToken),
            token => Ok(token.clone()),
        }
    }

    fn lay(&mut self, setting: &Setting, text: String, place: Place) {
        self.values.insert(setting.key, Value { text, place });
    }

    fn lay_key(&mut self, path: &str, key: &str, value: &toml::Value) -> Result<(), ConfigError> {
        let setting = Setting::by_key(key).ok_or_else(|| unknown_key(path, key))?;
        let place = Place::File { path: path.to_owned(), key: setting.key };
        match setting.form.text_of(value) {
            Some(text) => {
                self.lay(setting, text, place);
                Ok(())
            }
            None => Err(ConfigError::Wrong {
                place,
                value: shown(&value.to_string()),
                expected: setting.expected.to_owned(),
            }),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default { key } => write!(f, "the default of {key}"),
            Self::File { path, key } => write!(f, "{key} in {path}"),
            Self::Variable(name) => write!(f, "the variable {name}"),
            Self::Flag(name) => write!(f, "the flag {name}"),
        }
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.display().to_string(), source })
}

fn read_if_there(path: &Path) -> Result<Option<String>, ConfigError> {
    match std::fs::exists(path) {
        Ok(false) => Ok(None),
        Ok(true) | Err(_) => read(path).map(Some),
    }
}

fn unknown_key(path: &str, key: &str) -> ConfigError {
    let section = key.split_once('.').map_or(key, |(section, _)| section);
    let known: Vec<&str> = Setting::all()
        .filter(|setting| setting.section_and_name().0 == Some(section))
        .map(|setting| setting.section_and_name().1)
        .collect();
    let advice = if known.is_empty() {
        let mut sections: Vec<&str> = Setting::all().filter_map(|s| s.section_and_name().0).collect();
        sections.dedup();
        format!("at the top there are data_dir and the sections {}", sections.join(", "))
    } else {
        format!("[{section}] knows {}", known.join(", "))
    };
    ConfigError::UnknownKey { path: path.to_owned(), key: shown(key), advice }
}

fn is_section(name: &str) -> bool {
    Setting::all().any(|setting| setting.section_and_name().0 == Some(name))
}

fn usable_token(text: &str) -> bool {
    (16..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}
