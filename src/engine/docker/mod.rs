//! The Docker Engine: the only folder that names bollard.
//!
//! Invariants: whatever is made carries this installation's label, and only what carries it is listed, changed
//! or removed; each call has a time limit, except builds and pulls, which end when they are dropped.

mod attach;
mod build;
mod checkup;
mod containers;
mod cpu;
mod events;
mod exec;
mod images;
mod instances;
mod labels;
mod networks;
mod output;
mod signals;
mod stats;
mod volumes;

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use futures_util::stream::BoxStream;
use tokio::sync::{Semaphore, mpsc};

pub use self::checkup::{BuildCache, EngineFeatures};
use self::containers::RunningSince;
use self::labels::Labels;
use super::{
    Attachment, BuildSpec, ContainerEngine, ContainerId, ContainerSpec, CpuLimit, EngineError, EngineEvent,
    EngineInfo, NetworkName, ObservedContainer, ObservedImage, ObservedNetwork, Outcome, OutputFrom,
    OutputPiece, TerminalSize,
};
use crate::model::build::{ImageId, ImageReference, RegistryLogin};
use crate::model::ids::{AppId, BuildId, InstallationId, SpaceId};
use crate::model::metric::Usage;
use crate::model::names::SpaceName;
use crate::model::signal::Signal;

/// Longest wait for an answer that needs no work of the engine.
const ASK_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for making, starting or removing something.
const WORK_LIMIT: Duration = Duration::from_mins(2);
/// Lists of containers that are asked for at the same time; each is a connection to the engine.
const LISTS_AT_ONCE: usize = 8;
/// Longest wait for those who look for a network before.
const NETWORK_TURN_LIMIT: Duration = WORK_LIMIT;
/// What a stop may take beyond its grace period.
const STOP_MARGIN: Duration = Duration::from_secs(15);

/// A connection to one Docker Engine, for one installation of akkerisd.
#[derive(Debug)]
pub struct DockerEngine {
    docker: Docker,
    /// For builds and pulls, which have no time limit of their own.
    patient: Docker,
    labels: Labels,
    /// Whether the engine has an init program that reaps zombies and passes signals on.
    init: bool,
    running_since: RunningSince,
    lists: Semaphore,
    /// One at a time looks for the network of a space and makes it.
    networks: Semaphore,
}

impl DockerEngine {
    /// Connects to `host` (`unix://…` or `tcp://…`; the local socket when `None`) and agrees on the API's
    /// version, from Engine 20.10 on.
    pub async fn connect(host: Option<&str>, installation: InstallationId) -> Result<Self, EngineError> {
        let host = host.unwrap_or("unix:///var/run/docker.sock");
        let docker =
            Docker::connect_with_host(host).map_err(|error| EngineError::Unavailable(error.to_string()))?;
        let docker = bounded(ASK_LIMIT, docker.negotiate_version()).await?;
        let info = bounded(ASK_LIMIT, docker.info()).await?;
        Ok(Self {
            patient: docker.clone().with_timeout(Duration::from_hours(24)),
            docker: docker.with_timeout(WORK_LIMIT),
            labels: Labels::new(installation),
            // The path is filled even where the program is missing; its version tells.
            init: info.init_commit.is_some_and(|commit| commit.id.as_deref() != Some("N/A")),
            running_since: RunningSince::default(),
            lists: Semaphore::new(LISTS_AT_ONCE),
            networks: Semaphore::new(1),
        })
    }
}

#[cfg(test)]
impl DockerEngine {
    /// An engine that nothing listens at, for tests of what does not use one.
    pub(crate) fn nowhere() -> Self {
        let docker = Docker::connect_with_host("tcp://127.0.0.1:1").unwrap();
        Self {
            patient: docker.clone(),
            docker,
            labels: Labels::new(InstallationId::new(uuid::Uuid::nil())),
            init: false,
            running_since: RunningSince::default(),
            lists: Semaphore::new(LISTS_AT_ONCE),
            networks: Semaphore::new(1),
        }
    }
}

#[async_trait]
impl ContainerEngine for DockerEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        let version = bounded(ASK_LIMIT, self.docker.version()).await?;
        let info = bounded(ASK_LIMIT, self.docker.info()).await?;
        Ok(EngineInfo {
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            memory: info.mem_total.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0),
        })
    }

    async fn pull(
        &self,
        image: &ImageReference,
        login: Option<&RegistryLogin>,
        log: &mpsc::Sender<String>,
    ) -> Result<ImageId, EngineError> {
        images::pull(&self.patient, image, login, log).await
    }

    async fn find_image(&self, reference: &str) -> Result<Option<ImageId>, EngineError> {
        images::find(&self.docker, reference).await
    }

    async fn adopt_image(&self, image: &ImageId, app: AppId, build: BuildId) -> Result<(), EngineError> {
        images::tag(&self.docker, image, &self.labels.repository(app), build).await
    }

    async fn build(&self, spec: &BuildSpec, log: &mpsc::Sender<String>) -> Result<ImageId, EngineError> {
        build::build(&self.patient, &self.labels, spec, log).await
    }

    async fn list_images(&self) -> Result<Vec<ObservedImage>, EngineError> {
        images::list(&self.docker, &self.labels).await
    }

    async fn remove_image(&self, app: AppId, build: BuildId) -> Result<Outcome, EngineError> {
        images::remove(&self.docker, &self.labels.repository(app), build).await
    }

    fn image_label(&self) -> String {
        self.labels.image_label()
    }

    async fn prune_images(&self) -> Result<u64, EngineError> {
        images::prune(&self.docker, &self.labels).await
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        containers::create(&self.docker, &self.labels, self.init, spec).await
    }

    async fn start(&self, id: &ContainerId) -> Result<Outcome, EngineError> {
        self.running_since.forget(id.as_str());
        containers::start(&self.docker, id).await
    }

    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<Outcome, EngineError> {
        containers::stop(&self.patient, id, grace).await
    }

    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<Outcome, EngineError> {
        signals::send(&self.docker, self.init, id, signal).await
    }

    async fn remove(&self, id: &ContainerId) -> Result<Outcome, EngineError> {
        self.running_since.forget(id.as_str());
        containers::remove(&self.docker, id).await
    }

    async fn list(&self, app: Option<AppId>) -> Result<Vec<ObservedContainer>, EngineError> {
        // The semaphore is never closed, and without a permit the list would only have more company.
        let _permit = self.lists.acquire().await.ok();
        containers::list(&self.docker, &self.labels, &self.running_since, app).await
    }

    async fn last_lines(&self, id: &ContainerId, lines: usize) -> Result<Vec<String>, EngineError> {
        containers::last_lines(&self.docker, id, lines).await
    }

    async fn limit_cpu(&self, id: &ContainerId, limit: Option<CpuLimit>) -> Result<Outcome, EngineError> {
        cpu::limit(&self.docker, id, limit).await
    }

    async fn cpu_limit(&self, id: &ContainerId) -> Result<Option<CpuLimit>, EngineError> {
        cpu::limit_of(&self.docker, id).await
    }

    fn control_groups(&self, id: &ContainerId) -> Vec<String> {
        stats::control_groups(id)
    }

    async fn usage(&self, id: &ContainerId) -> Result<Option<Usage>, EngineError> {
        stats::usage(&self.docker, id).await
    }

    async fn layer_sizes(&self) -> Result<HashMap<ContainerId, u64>, EngineError> {
        stats::layer_sizes(&self.patient, &self.labels).await
    }

    async fn output(
        &self,
        id: &ContainerId,
        from: OutputFrom,
    ) -> Result<BoxStream<'static, Result<OutputPiece, EngineError>>, EngineError> {
        Ok(output::follow(&self.patient, id, from))
    }

    async fn attach(&self, id: &ContainerId) -> Result<Attachment, EngineError> {
        attach::attach(&self.patient, id).await
    }

    async fn resize(&self, id: &ContainerId, size: TerminalSize) -> Result<Outcome, EngineError> {
        attach::resize(&self.docker, id, size).await
    }

    async fn ensure_network(&self, space: SpaceId, name: &SpaceName) -> Result<NetworkName, EngineError> {
        let turn = tokio::time::timeout(NETWORK_TURN_LIMIT, self.networks.acquire()).await;
        let _turn = turn.map_err(|_| EngineError::TimedOut(NETWORK_TURN_LIMIT))?.ok();
        networks::ensure(&self.docker, &self.labels, space, name).await
    }

    async fn list_networks(&self) -> Result<Vec<ObservedNetwork>, EngineError> {
        networks::list(&self.docker, &self.labels).await
    }

    async fn remove_network(&self, name: &NetworkName) -> Result<Outcome, EngineError> {
        networks::remove(&self.docker, name).await
    }

    async fn events(&self) -> Result<BoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        Ok(events::follow(&self.patient, &self.labels, self.running_since.clone()))
    }
}

/// Waits for a call at most `limit`, and gives its error our form.
async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<T, EngineError> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result.map_err(refusal),
        Err(_) => Err(EngineError::TimedOut(limit)),
    }
}

/// Like [`bounded`], where the status of "it is not there" or "it is so already" is no error.
async fn outcome(
    limit: Duration,
    nothing: &[u16],
    call: impl Future<Output = Result<(), bollard::errors::Error>>,
) -> Result<Outcome, EngineError> {
    use bollard::errors::Error;
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(())) => Ok(Outcome::Done),
        Ok(Err(Error::DockerResponseServerError { status_code, .. })) if nothing.contains(&status_code) => {
            Ok(Outcome::Nothing)
        }
        Ok(Err(error)) => Err(refusal(error)),
        Err(_) => Err(EngineError::TimedOut(limit)),
    }
}

/// Like [`bounded`]; `None` when the engine says that the thing is not there.
async fn found<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, bollard::errors::Error>>,
) -> Result<Option<T>, EngineError> {
    use bollard::errors::Error;
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(value)) => Ok(Some(value)),
        Ok(Err(Error::DockerResponseServerError { status_code: 404, .. })) => Ok(None),
        Ok(Err(error)) => Err(refusal(error)),
        Err(_) => Err(EngineError::TimedOut(limit)),
    }
}

/// An answer of the engine is a refusal, and so is what cannot be asked; anything else means that there was no answer.
#[expect(clippy::wildcard_enum_match_arm, reason = "the errors of bollard grow with its versions")]
fn refusal(error: bollard::errors::Error) -> EngineError {
    use bollard::errors::Error;
    match error {
        Error::DockerResponseServerError { message, .. } => EngineError::Refused(message),
        Error::DockerStreamError { error } => EngineError::Refused(error),
        Error::InvalidURIError { err } => EngineError::Refused(err.to_string()),
        Error::RequestTimeoutError => EngineError::TimedOut(WORK_LIMIT),
        other => EngineError::Unavailable(chain(&other)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
