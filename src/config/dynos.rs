//! `[dynos]`: how long dynos may take to start, to finish their requests, and to stop.

use std::time::Duration;

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};
use super::units;

/// Settings of dynos.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DynosConfig {
    /// Between SIGTERM and SIGKILL. Default 60 s.
    pub stop_grace: Duration,
    /// In which a new web dyno must answer its probe. Default 60 s.
    pub boot_timeout: Duration,
    /// How long a replaced dyno may finish its open requests before it is told to stop. Default 60 s.
    pub drain_limit: Duration,
}

const STOP_GRACE: Setting = Setting {
    key: "dynos.stop_grace",
    variable: "AKKERISD_DYNOS_STOP_GRACE",
    flag: None,
    form: Form::Text,
    default: "60s",
    expected: "a duration, like 60s or 2m",
};
const BOOT_TIMEOUT: Setting = Setting {
    key: "dynos.boot_timeout",
    variable: "AKKERISD_DYNOS_BOOT_TIMEOUT",
    flag: None,
    form: Form::Text,
    default: "60s",
    expected: "a duration above zero, like 60s or 2m",
};
const DRAIN_LIMIT: Setting = Setting {
    key: "dynos.drain_limit",
    variable: "AKKERISD_DYNOS_DRAIN_LIMIT",
    flag: None,
    form: Form::Text,
    default: "60s",
    expected: "a duration, like 60s or 2m",
};
pub(super) const SETTINGS: &[Setting] = &[STOP_GRACE, BOOT_TIMEOUT, DRAIN_LIMIT];

impl DynosConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            stop_grace: layers.parse(&STOP_GRACE, units::duration)?,
            boot_timeout: layers.parse(&BOOT_TIMEOUT, units::positive_duration)?,
            drain_limit: layers.parse(&DRAIN_LIMIT, units::duration)?,
        })
    }
}
