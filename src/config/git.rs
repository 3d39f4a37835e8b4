//! `[git]`: the repositories that apps are pushed to.

use std::path::PathBuf;

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};
use super::units;

/// Settings of the repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitConfig {
    /// A path, or a name that is looked for in the usual folders. Default `git`.
    pub program: PathBuf,
    /// Bytes of one push. Default 256 MiB.
    pub max_push_bytes: u64,
    /// Bytes of the repository of one app. Default 1 GiB.
    pub max_repository_bytes: u64,
}

const PROGRAM: Setting = Setting {
    key: "git.program",
    variable: "AKKERISD_GIT_PROGRAM",
    flag: None,
    form: Form::Text,
    default: "git",
    expected: "git, or the path of another git",
};
const MAX_PUSH_BYTES: Setting = Setting {
    key: "git.max_push_bytes",
    variable: "AKKERISD_GIT_MAX_PUSH_BYTES",
    flag: None,
    form: Form::Text,
    default: "256 MiB",
    expected: SIZE,
};
const MAX_REPOSITORY_BYTES: Setting = Setting {
    key: "git.max_repository_bytes",
    variable: "AKKERISD_GIT_MAX_REPOSITORY_BYTES",
    flag: None,
    form: Form::Text,
    default: "1 GiB",
    expected: SIZE,
};
pub(super) const SETTINGS: &[Setting] = &[PROGRAM, MAX_PUSH_BYTES, MAX_REPOSITORY_BYTES];

const SIZE: &str = "a size above zero, like 256 MiB or 1 GiB";

impl GitConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        let program = |text: &str| (!text.is_empty()).then(|| PathBuf::from(text));
        Ok(Self {
            program: layers.parse(&PROGRAM, program)?,
            max_push_bytes: layers.parse(&MAX_PUSH_BYTES, units::bytes)?,
            max_repository_bytes: layers.parse(&MAX_REPOSITORY_BYTES, units::bytes)?,
        })
    }
}
