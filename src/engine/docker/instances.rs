//! Containers of addons: made, listed, and put into networks.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, ContainerSummary, EndpointSettings, HostConfig, Mount, MountType,
    NetworkConnectRequest, NetworkDisconnectRequest, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, ListContainersOptionsBuilder, UploadToContainerOptionsBuilder,
};
use futures_util::stream::BoxStream;

use super::containers::{self, PROCESS_LIMIT, RunningSince};
use super::labels::{self, Labels};
use super::{ASK_LIMIT, DockerEngine, WORK_LIMIT, bounded, events, exec, outcome, volumes};
use crate::engine::instance::{
    Endpoint, Exec, Exited, InstanceEngine, InstanceSpec, InstanceVolume, ObservedInstance,
};
use crate::engine::{ContainerId, ContainerState, EngineError, NetworkName, Outcome};
use crate::model::ids::AddonId;

/// Shared memory that databases work with is part of the memory limit; the engine's default is 64 MiB.
const SHARED_MEMORY_PART: i64 = 4;
const LEAST_SHARED_MEMORY: i64 = 64 << 20;

#[async_trait]
impl InstanceEngine for DockerEngine {
    async fn create_instance(&self, spec: &InstanceSpec) -> Result<ContainerId, EngineError> {
        let volume = match &spec.volume {
            Some((volume, path)) => {
                Some((volumes::ensure(&self.docker, &self.labels, *volume).await?, path.clone()))
            }
            None => None,
        };
        create(&self.docker, &self.labels, self.init, (spec, volume)).await
    }

    async fn list_instances(&self) -> Result<Vec<ObservedInstance>, EngineError> {
        list(&self.docker, &self.labels, &self.running_since).await
    }

    async fn instance_events(&self) -> Result<BoxStream<'static, Result<AddonId, EngineError>>, EngineError> {
        Ok(events::follow_addons(&self.patient, &self.labels, self.running_since.clone()))
    }

    async fn connect(&self, id: &ContainerId, endpoint: &Endpoint) -> Result<Outcome, EngineError> {
        let request = NetworkConnectRequest {
            container: id.as_str().to_owned(),
            endpoint_config: Some(settings(endpoint)),
        };
        let call = self.docker.connect_network(endpoint.network.as_str(), request);
        // 403: it is in it already.
        outcome(WORK_LIMIT, &[403], call).await
    }

    async fn disconnect(&self, id: &ContainerId, network: &NetworkName) -> Result<Outcome, EngineError> {
        let request = NetworkDisconnectRequest { container: id.as_str().to_owned(), force: Some(true) };
        // 403: it is not in it.
        outcome(WORK_LIMIT, &[403, 404], self.docker.disconnect_network(network.as_str(), request)).await
    }

    async fn list_volumes(&self) -> Result<Vec<InstanceVolume>, EngineError> {
        volumes::list(&self.docker, &self.labels).await
    }

    async fn remove_volume(&self, volume: InstanceVolume) -> Result<Outcome, EngineError> {
        volumes::remove(&self.docker, &self.labels, volume).await
    }

    async fn exec(&self, id: &ContainerId, exec: Exec) -> Result<Exited, EngineError> {
        exec::run(&self.patient, id, exec).await
    }

    async fn unpack(
        &self,
        id: &ContainerId,
        folder: &str,
        archive: &Path,
        limit: Duration,
    ) -> Result<(), EngineError> {
        let file = tokio::fs::File::open(archive)
            .await
            .map_err(|error| EngineError::Refused(format!("an archive cannot be read: {error}")))?;
        let body = bollard::body_try_stream(tokio_util::io::ReaderStream::new(file));
        let options = UploadToContainerOptionsBuilder::default().path(folder).build();
        bounded(limit, self.patient.upload_to_container(id.as_str(), Some(options), body)).await
    }
}

async fn create(
    docker: &Docker,
    labels: &Labels,
    init: bool,
    (spec, volume): (&InstanceSpec, Option<(String, String)>),
) -> Result<ContainerId, EngineError> {
    let name = labels.name(&format!("{}-{}", spec.name, spec.role));
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let endpoints = spec
        .endpoint
        .as_ref()
        .map(|endpoint| HashMap::from([(endpoint.network.as_str().to_owned(), settings(endpoint))]));
    let body = ContainerCreateBody {
        hostname: Some(spec.name.clone()),
        image: Some(spec.image.as_str().to_owned()),
        cmd: spec.command.clone(),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(labels.of_instance(spec)),
        host_config: Some(host_config(init, spec, volume)),
        networking_config: endpoints.map(|endpoints| NetworkingConfig { endpoints_config: Some(endpoints) }),
        ..ContainerCreateBody::default()
    };
    let created = bounded(WORK_LIMIT, docker.create_container(Some(options), body)).await?;
    Ok(ContainerId::new(created.id))
}

fn host_config(init: bool, spec: &InstanceSpec, volume: Option<(String, String)>) -> HostConfig {
    let memory = i64::try_from(spec.memory_limit).unwrap_or(i64::MAX);
    let network = spec.endpoint.as_ref().map_or("none", |endpoint| endpoint.network.as_str());
    HostConfig {
        // The daemon heals it, with its own back-off.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        memory: Some(memory),
        memory_swap: Some(memory),
        shm_size: Some((memory / SHARED_MEMORY_PART).max(LEAST_SHARED_MEMORY)),
        pids_limit: Some(PROCESS_LIMIT),
        init: init.then_some(true),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        log_config: Some(containers::bounded_log()),
        mounts: volume.map(|(name, path)| {
            vec![Mount {
                typ: Some(MountType::VOLUME),
                source: Some(name),
                target: Some(path),
                ..Mount::default()
            }]
        }),
        network_mode: Some(network.to_owned()),
        ..HostConfig::default()
    }
}

fn settings(endpoint: &Endpoint) -> EndpointSettings {
    EndpointSettings { aliases: Some(vec![endpoint.alias.clone()]), ..EndpointSettings::default() }
}

async fn list(
    docker: &Docker,
    labels: &Labels,
    running_since: &RunningSince,
) -> Result<Vec<ObservedInstance>, EngineError> {
    let options = ListContainersOptionsBuilder::default().all(true).filters(&labels.addon_filter()).build();
    let summaries = bounded(ASK_LIMIT, docker.list_containers(Some(options))).await?;
    let mut observed = Vec::with_capacity(summaries.len());
    for summary in &summaries {
        let Some(instance) = identify(summary) else { continue };
        if let Some(state) = containers::state_now(docker, running_since, summary).await? {
            observed.push(ObservedInstance { state, ..instance });
        }
    }
    Ok(observed)
}

fn identify(summary: &ContainerSummary) -> Option<ObservedInstance> {
    let labels = summary.labels.as_ref()?;
    let networks = summary.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let networks = networks.into_iter().flatten().map(|(name, endpoint)| {
        let id = endpoint.network_id.as_ref().filter(|id| !id.is_empty());
        NetworkName::new(id.unwrap_or(name).clone())
    });
    Some(ObservedInstance {
        id: ContainerId::new(summary.id.clone()?),
        addon: labels.get(labels::ADDON)?.parse().ok()?,
        role: labels.get(labels::ROLE)?.parse().ok()?,
        fingerprint: labels.get(labels::SPEC)?.clone(),
        state: ContainerState::Created,
        networks: networks.collect(),
    })
}
