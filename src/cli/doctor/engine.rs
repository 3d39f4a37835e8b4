//! The check of the Docker Engine.

use uuid::Uuid;

use super::Finding;
use crate::config::Config;
use crate::engine::docker::DockerEngine;
use crate::engine::{ContainerEngine, EngineError, EngineInfo};
use crate::model::ids::InstallationId;

pub(super) fn docker(config: &Config) -> Finding {
    let host = &config.docker.host;
    let asked = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
        .and_then(|runtime| runtime.block_on(ask(host)).map_err(|error| error.to_string()));
    match asked {
        Ok(info) => Finding::Fine(format!(
            "version {}, API {}, {} MiB of memory",
            info.version,
            info.api_version,
            info.memory >> 20
        )),
        Err(error) => Finding::Broken(format!(
            "{host} does not answer ({error}); start Docker, join the group docker, or name another with --docker-host"
        )),
    }
}

/// Nothing is listed or changed, so it does not matter for which installation the engine is asked.
async fn ask(host: &str) -> Result<EngineInfo, EngineError> {
    DockerEngine::connect(Some(host), InstallationId::new(Uuid::nil())).await?.info().await
}
