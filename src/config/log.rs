//! `[log]`: the daemon's own log, on standard error.

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};

/// Settings of the daemon's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogConfig {
    /// One line a record. Default `text`.
    pub format: LogFormat,
    /// The least grave records that are written. Default `info`.
    pub level: LogLevel,
}

crate::text_enum! {
    /// The form of a record.
    pub enum LogFormat {
        /// For people.
        Text => "text",
        /// One JSON object a line.
        Json => "json",
    }
}

crate::text_enum! {
    /// The gravity of a record.
    pub enum LogLevel {
        Error => "error",
        Warn => "warn",
        Info => "info",
        Debug => "debug",
        Trace => "trace",
    }
}

const FORMAT: Setting = Setting {
    key: "log.format",
    variable: "AKKERISD_LOG_FORMAT",
    flag: Some("--log-format"),
    form: Form::Text,
    default: "text",
    expected: "text or json",
};
const LEVEL: Setting = Setting {
    key: "log.level",
    variable: "AKKERISD_LOG_LEVEL",
    flag: Some("--log-level"),
    form: Form::Text,
    default: "info",
    expected: "error, warn, info, debug or trace",
};
pub(super) const SETTINGS: &[Setting] = &[FORMAT, LEVEL];

impl LogConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            format: layers.parse(&FORMAT, |text| text.parse().ok())?,
            level: layers.parse(&LEVEL, |text| text.parse().ok())?,
        })
    }
}
