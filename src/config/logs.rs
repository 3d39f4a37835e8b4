//! `[logs]`: what is kept of the logs of apps.

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};
use super::units;

/// Settings of the logs of apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogsConfig {
    /// Bytes of the log that is kept of each app. Default 64 MiB.
    pub ring_bytes: u64,
    /// Bytes that are taken of each dyno's output in a second, over some seconds; what is more is left out.
    /// Default 8 MiB.
    pub dyno_rate: u64,
    /// A dyno that goes on to write more than `dyno_rate` gets less CPU until it writes less, so that its neighbours
    /// and the engine do not suffer. Default `true`.
    pub slow_floods: bool,
}

const RING_BYTES: Setting = Setting {
    key: "logs.ring_bytes",
    variable: "AKKERISD_LOGS_RING_BYTES",
    flag: None,
    form: Form::Text,
    default: "64 MiB",
    expected: "a size of at least 1 MiB, like 64 MiB or 1 GiB",
};
const DYNO_RATE: Setting = Setting {
    key: "logs.dyno_rate",
    variable: "AKKERISD_LOGS_DYNO_RATE",
    flag: None,
    form: Form::Text,
    default: "8 MiB",
    expected: "a size of at least 64 KiB, like 8 MiB",
};
const SLOW_FLOODS: Setting = Setting {
    key: "logs.slow_floods",
    variable: "AKKERISD_LOGS_SLOW_FLOODS",
    flag: None,
    form: Form::Switch,
    default: "true",
    expected: "true or false",
};
pub(super) const SETTINGS: &[Setting] = &[RING_BYTES, DYNO_RATE, SLOW_FLOODS];

const SMALLEST_RING: u64 = 1 << 20;
const SMALLEST_RATE: u64 = 64 << 10;

impl LogsConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        let at_least = |least| move |text: &str| units::bytes(text).filter(|bytes| *bytes >= least);
        Ok(Self {
            ring_bytes: layers.parse(&RING_BYTES, at_least(SMALLEST_RING))?,
            dyno_rate: layers.parse(&DYNO_RATE, at_least(SMALLEST_RATE))?,
            slow_floods: layers.parse(&SLOW_FLOODS, units::switch)?,
        })
    }
}
