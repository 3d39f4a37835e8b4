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
pub(super) const SETTINGS: &[Setting] = &[RING_BYTES, DYNO_RATE];

const SMALLEST_RING: u64 = 1 << 20;
const SMALLEST_RATE: u64 = 64 << 10;

impl LogsConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        let at_least = |least| move |text: &str| units::bytes(text).filter(|bytes| *bytes >= least);
        Ok(Self {
            ring_bytes: layers.parse(&RING_BYTES, at_least(SMALLEST_RING))?,
            dyno_rate: layers.parse(&DYNO_RATE, at_least(SMALLEST_RATE))?,
        })
    }
}
