//! The settings of the daemon: one struct a section, read once, checked as a whole.
//!
//! Sources, later ones win: defaults, the file (`/etc/akkerisd/akkerisd.toml` or `--config FILE`), the
//! environment (`AKKERISD_…`), flags. Invariant: nothing else reads the environment, and no other room
//! decides a default.

mod addons;
mod api;
mod backups;
mod builds;
mod certs;
mod data_dir;
mod dns;
mod docker;
mod dynos;
mod edge;
mod environment;
mod error;
mod git;
mod layers;
mod log;
mod logs;
mod metrics;
mod outbound;
mod previews;
mod setting;
mod sockets;
mod sources;
mod telemetry;
mod units;

use std::path::PathBuf;

pub use addons::{AddonsConfig, BrokerConfig};
pub use api::{ApiConfig, Dialect};
pub use backups::{BackupsConfig, S3Config};
pub use builds::{BuildsConfig, ChecksumRule};
pub use certs::{AcmeConfig, CertsConfig, ChallengeKind, EabConfig};
pub use data_dir::DATA_DIR_MODE;
pub use dns::{DnsConfig, DnsWay, TsigAlgorithm, TsigConfig};
pub use docker::DockerConfig;
pub use dynos::DynosConfig;
pub use edge::EdgeConfig;
#[cfg(feature = "failpoints")]
pub use environment::abort_at;
pub use environment::{
    Environment, PUSH_VARIABLES, PushVariables, SUCCESSOR, Secret, client_token, is_successor, pushed,
};
pub use error::ConfigError;
pub use git::GitConfig;
pub use layers::{Layers, Place, Value};
pub use log::{LogConfig, LogFormat, LogLevel};
pub use logs::LogsConfig;
pub use metrics::MetricsConfig;
pub use outbound::OutboundConfig;
pub use previews::PreviewsConfig;
pub use setting::{Form, Setting};
pub use sockets::{PassedSockets, SocketsError};
pub use sources::{SourceAccount, SourcesConfig};
pub use telemetry::TelemetryConfig;
pub use units::duration;

/// Where the file is when `--config` does not say.
pub const DEFAULT_FILE: &str = "/etc/akkerisd/akkerisd.toml";

pub(crate) const DATA_DIR: Setting = Setting {
    key: "data_dir",
    variable: "AKKERISD_DATA_DIR",
    flag: Some("--data-dir"),
    form: Form::Text,
    default: "/var/lib/akkerisd",
    expected: "an absolute path",
};

/// Every setting, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Database, keys, certificates and logs; made with mode 0700. Default `/var/lib/akkerisd`.
    pub data_dir: PathBuf,
    pub api: ApiConfig,
    pub edge: EdgeConfig,
    pub docker: DockerConfig,
    pub log: LogConfig,
    pub logs: LogsConfig,
    pub builds: BuildsConfig,
    pub git: GitConfig,
    pub dynos: DynosConfig,
    pub outbound: OutboundConfig,
    pub previews: PreviewsConfig,
    pub metrics: MetricsConfig,
    pub certs: CertsConfig,
    pub addons: AddonsConfig,
    pub backups: BackupsConfig,
    pub telemetry: TelemetryConfig,
    pub sources: SourcesConfig,
    /// The first admin token, from `AKKERISD_ADMIN_TOKEN` only. Default: made on the first start.
    pub admin_token: Option<Secret>,
}

impl Config {
    /// Checks the merged values one by one, then together.
    pub fn from_layers(layers: &Layers) -> Result<Self, ConfigError> {
        let config = Self {
            data_dir: layers.parse(&DATA_DIR, absolute_path)?,
            api: ApiConfig::read(layers)?,
            edge: EdgeConfig::read(layers)?,
            docker: DockerConfig::read(layers)?,
            log: LogConfig::read(layers)?,
            logs: LogsConfig::read(layers)?,
            builds: BuildsConfig::read(layers)?,
            git: GitConfig::read(layers)?,
            dynos: DynosConfig::read(layers)?,
            outbound: OutboundConfig::read(layers)?,
            previews: PreviewsConfig::read(layers)?,
            metrics: MetricsConfig::read(layers)?,
            certs: CertsConfig::read(layers)?,
            addons: AddonsConfig::read(layers)?,
            backups: BackupsConfig::read(layers)?,
            telemetry: TelemetryConfig::read(layers)?,
            sources: SourcesConfig::read(layers)?,
            admin_token: layers.admin_token()?,
        };
        config.check_addresses(layers)?;
        Ok(config)
    }

    /// Two listeners cannot share an address; port 0 is a different one for each.
    fn check_addresses(&self, layers: &Layers) -> Result<(), ConfigError> {
        let listeners = [
            (&api::ADDR, self.api.addr),
            (&edge::HTTP_ADDR, self.edge.http_addr),
            (&edge::HTTPS_ADDR, self.edge.https_addr),
        ];
        for (index, (setting, address)) in listeners.iter().enumerate() {
            let clash = listeners.iter().take(index).find(|(_, other)| {
                let same_host = other.ip() == address.ip()
                    || other.ip().is_unspecified()
                    || address.ip().is_unspecified();
                address.port() != 0 && other.port() == address.port() && same_host
            });
            if let Some((other, _)) = clash {
                return Err(layers.wrong(setting, format!("a port that {} does not use already", other.key)));
            }
        }
        Ok(())
    }
}

fn absolute_path(text: &str) -> Option<PathBuf> {
    let path = PathBuf::from(text);
    path.is_absolute().then_some(path)
}

#[cfg(test)]
mod tests;
