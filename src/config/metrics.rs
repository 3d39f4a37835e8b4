//! `[metrics]`: how often dynos are measured, and who may read `/metrics`.

use std::time::Duration;

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};
use super::units;

/// Settings of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Between two measurements of each dyno. Default 10 s.
    pub interval: Duration,
    /// `/metrics` needs no token. Default `false`.
    pub public: bool,
}

const INTERVAL: Setting = Setting {
    key: "metrics.interval",
    variable: "AKKERISD_METRICS_INTERVAL",
    flag: None,
    form: Form::Text,
    default: "10s",
    expected: "a duration from 1s to 10m",
};
const PUBLIC: Setting = Setting {
    key: "metrics.public",
    variable: "AKKERISD_METRICS_PUBLIC",
    flag: None,
    form: Form::Switch,
    default: "false",
    expected: "true or false",
};
pub(super) const SETTINGS: &[Setting] = &[INTERVAL, PUBLIC];

impl MetricsConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            interval: layers.parse(&INTERVAL, interval)?,
            public: layers.parse(&PUBLIC, units::switch)?,
        })
    }
}

fn interval(text: &str) -> Option<Duration> {
    let allowed = Duration::from_secs(1)..=Duration::from_mins(10);
    units::duration(text).filter(|duration| allowed.contains(duration))
}
