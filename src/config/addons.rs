//! `[addons]`: the Open Service Brokers that addons may come from.

use std::path::PathBuf;
use std::time::Duration;

use super::absolute_path;
use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};
use super::units;
use crate::model::addon_service::BrokerName;

/// Settings of addons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonsConfig {
    /// None twice. Default: none.
    pub brokers: Vec<BrokerConfig>,
    /// Lines like `NAME: USER:PASSWORD` or `NAME: bearer TOKEN`; a file, so that no configuration shows them.
    pub credentials_file: Option<PathBuf>,
    /// Between two questions how far a broker is. Default 60 s.
    pub poll_interval: Duration,
    /// Between two times that a catalogue is fetched. Default 2 h.
    pub refresh_interval: Duration,
}

/// One broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerConfig {
    pub name: BrokerName,
    /// Without credentials and without a slash at the end.
    pub url: String,
}

const BROKERS: Setting = Setting {
    key: "addons.brokers",
    variable: "AKKERISD_ADDONS_BROKERS",
    flag: None,
    form: Form::List,
    default: "",
    expected: "brokers like \"name=https://broker.example.com\", each name once, without user or password",
};
const CREDENTIALS_FILE: Setting = Setting {
    key: "addons.credentials_file",
    variable: "AKKERISD_ADDONS_CREDENTIALS_FILE",
    flag: None,
    form: Form::Text,
    default: "",
    expected: "an absolute path",
};
const POLL_INTERVAL: Setting = Setting {
    key: "addons.poll_interval",
    variable: "AKKERISD_ADDONS_POLL_INTERVAL",
    flag: None,
    form: Form::Text,
    default: "60s",
    expected: "a duration like 60s, above zero",
};
const REFRESH_INTERVAL: Setting = Setting {
    key: "addons.refresh_interval",
    variable: "AKKERISD_ADDONS_REFRESH_INTERVAL",
    flag: None,
    form: Form::Text,
    default: "2h",
    expected: "a duration like 2h, above zero",
};
pub(super) const SETTINGS: &[Setting] = &[BROKERS, CREDENTIALS_FILE, POLL_INTERVAL, REFRESH_INTERVAL];

impl AddonsConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        Ok(Self {
            brokers: layers.parse(&BROKERS, brokers)?,
            credentials_file: layers.parse_optional(&CREDENTIALS_FILE, absolute_path)?,
            poll_interval: layers.parse(&POLL_INTERVAL, units::positive_duration)?,
            refresh_interval: layers.parse(&REFRESH_INTERVAL, units::positive_duration)?,
        })
    }
}

fn brokers(text: &str) -> Option<Vec<BrokerConfig>> {
    let mut brokers: Vec<BrokerConfig> = Vec::new();
    for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let broker = broker(one)?;
        if brokers.iter().any(|other| other.name == broker.name) {
            return None;
        }
        brokers.push(broker);
    }
    Some(brokers)
}

fn broker(text: &str) -> Option<BrokerConfig> {
    let (name, url) = text.split_once('=')?;
    let uri: http::Uri = url.trim().parse().ok()?;
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority()?;
    let plain = !authority.as_str().contains('@') && uri.query().is_none();
    let usable = scheme && plain && !authority.host().is_empty();
    let url = url.trim().trim_end_matches('/').to_owned();
    usable.then_some(BrokerConfig { name: BrokerName::parse(name.trim()).ok()?, url })
}
