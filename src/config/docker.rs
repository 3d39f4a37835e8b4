//! `[docker]`: the engine that runs the containers.

use super::error::ConfigError;
use super::layers::Layers;
use super::setting::{Form, Setting};

/// Settings of the Docker Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerConfig {
    /// `unix:///path`, `tcp://host:port` or `http://host:port`. Default `unix:///var/run/docker.sock`; the
    /// variable `DOCKER_HOST` counts below `AKKERISD_DOCKER_HOST`.
    pub host: String,
}

pub(super) const HOST: Setting = Setting {
    key: "docker.host",
    variable: "AKKERISD_DOCKER_HOST",
    flag: Some("--docker-host"),
    form: Form::Text,
    default: "unix:///var/run/docker.sock",
    expected: "unix:///path/to/docker.sock, tcp://host:port or http://host:port",
};
pub(super) const SETTINGS: &[Setting] = &[HOST];

impl DockerConfig {
    pub(super) fn read(layers: &Layers) -> Result<Self, ConfigError> {
        Ok(Self { host: layers.parse(&HOST, host)? })
    }
}

fn host(text: &str) -> Option<String> {
    let usable = match text.split_once("://")? {
        ("unix", path) => path.starts_with('/') && path.len() > 1,
        ("tcp" | "http", authority) => {
            authority.trim_end_matches('/').rsplit_once(':').is_some_and(|(name, port)| {
                !name.is_empty() && !name.contains(['/', '@']) && port.parse::<u16>().is_ok()
            })
        }
        _ => false,
    };
    usable.then(|| text.to_owned())
}
