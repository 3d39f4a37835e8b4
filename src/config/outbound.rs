//! `[outbound]`: requests that the daemon makes for its users.

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};
use super::units;

/// Settings of outgoing requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboundConfig {
    /// Sources may be fetched from private and loopback addresses, and hooks may be sent there. Default `true`: this is the machine of its own operator.
    pub allow_private: bool,
}

const ALLOW_PRIVATE: Setting = Setting {
    key: "outbound.allow_private",
    variable: "AKKERISD_OUTBOUND_ALLOW_PRIVATE",
    flag: None,
    form: Form::Switch,
    default: "true",
    expected: "true or false",
};
pub(super) const SETTINGS: &[Setting] = &[ALLOW_PRIVATE];

impl OutboundConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        Ok(Self { allow_private: layers.parse(&ALLOW_PRIVATE, units::switch)? })
    }
}
