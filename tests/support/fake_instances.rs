//! The part of the scripted engine that runs addons: containers with volumes that keep what was put into them.
//!
//! A program inside of a container ends with 0 unless [`FakeInstances::answer`] says otherwise. The program `dump`
//! writes what the container's volume has, `restore` replaces it with its input, and `check` and `usage` say it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use akkerisd::engine::instance::{
    Endpoint, Exec, Exited, InstanceEngine, InstanceSpec, InstanceVolume, ObservedInstance,
};
use akkerisd::engine::{ContainerId, ContainerState, EngineError, NetworkName, Outcome};
use akkerisd::model::ids::AddonId;
use akkerisd::model::time::Timestamp;
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::broadcast;

use super::fake_engine::{Call, FakeEngine};

/// The containers and volumes of addons.
#[derive(Debug, Clone)]
pub(crate) struct FakeInstances {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<AddonId>,
}

#[derive(Debug, Default)]
struct State {
    containers: BTreeMap<ContainerId, Instance>,
    volumes: BTreeMap<InstanceVolume, Vec<u8>>,
    answers: HashMap<String, (i64, String)>,
    next: u64,
}

/// A container of an addon.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) spec: InstanceSpec,
    pub(crate) state: ContainerState,
    /// The networks that it is in, with its names there.
    pub(crate) endpoints: Vec<Endpoint>,
}

impl Default for FakeInstances {
    fn default() -> Self {
        Self { state: Arc::default(), events: broadcast::channel(1024).0 }
    }
}

impl FakeInstances {
    /// The containers there are.
    pub(crate) fn all(&self) -> Vec<(ContainerId, Instance)> {
        self.lock().containers.iter().map(|(id, one)| (id.clone(), one.clone())).collect()
    }

    /// The volumes there are, with what is in them.
    pub(crate) fn volumes(&self) -> Vec<(InstanceVolume, String)> {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        self.lock().volumes.iter().map(|(volume, bytes)| (*volume, text(bytes))).collect()
    }

    /// Replaces what is in the volumes of an addon.
    pub(crate) fn fill(&self, addon: AddonId, content: &str) {
        for (volume, bytes) in &mut self.lock().volumes {
            if volume.addon == addon {
                *bytes = content.as_bytes().to_vec();
            }
        }
    }

    /// A program ends with that code and complaint from now on.
    pub(crate) fn answer(&self, program: &str, code: i64, complaint: &str) {
        self.lock().answers.insert(program.to_owned(), (code, complaint.to_owned()));
    }

    /// A container's process ends by itself.
    pub(crate) fn die(&self, id: &ContainerId) {
        self.stop(id);
    }

    /// A container goes, as when somebody removes it by hand.
    pub(crate) fn lose(&self, id: &ContainerId) {
        self.remove(id);
    }

    pub(super) fn start(&self, id: &ContainerId) -> Option<Outcome> {
        self.change(id, |one| {
            one.state = ContainerState::Running {
                address: Some([127, 0, 0, 1].into()),
                started_at: Timestamp::from_millis(1),
            };
        })
    }

    pub(super) fn stop(&self, id: &ContainerId) -> Option<Outcome> {
        self.change(id, |one| {
            one.state = ContainerState::Exited {
                code: 137,
                out_of_memory: false,
                started_at: Some(Timestamp::from_millis(1)),
                finished_at: Timestamp::from_millis(2),
                error: String::new(),
            };
        })
    }

    pub(super) fn remove(&self, id: &ContainerId) -> Option<Outcome> {
        let removed = self.lock().containers.remove(id)?;
        self.tell(removed.spec.addon);
        Some(Outcome::Done)
    }

    fn change(&self, id: &ContainerId, change: impl FnOnce(&mut Instance)) -> Option<Outcome> {
        let mut state = self.lock();
        let one = state.containers.get_mut(id)?;
        change(one);
        let addon = one.spec.addon;
        drop(state);
        self.tell(addon);
        Some(Outcome::Done)
    }

    fn tell(&self, addon: AddonId) {
        // Nobody may be listening.
        let _listeners = self.events.send(addon);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The volume of a container that runs.
    fn running_volume(&self, id: &ContainerId) -> Result<Option<InstanceVolume>, EngineError> {
        let state = self.lock();
        match state.containers.get(id) {
            Some(Instance { state: ContainerState::Running { .. }, spec, .. }) => {
                Ok(spec.volume.as_ref().map(|(volume, _)| *volume))
            }
            _ => Err(EngineError::Refused(format!("container {} is not running", id.as_str()))),
        }
    }

    fn content(&self, volume: Option<InstanceVolume>) -> Vec<u8> {
        volume.and_then(|volume| self.lock().volumes.get(&volume).cloned()).unwrap_or_default()
    }
}

#[async_trait]
impl InstanceEngine for FakeEngine {
    async fn create_instance(&self, spec: &InstanceSpec) -> Result<ContainerId, EngineError> {
        self.called(Call::CreateInstance, spec.name.as_str()).await?;
        let mut state = self.instances.lock();
        if state.containers.values().any(|one| one.spec.name == spec.name && one.spec.role == spec.role) {
            return Err(EngineError::Refused(format!("the name {} is in use", spec.name)));
        }
        state.next += 1;
        let id = ContainerId::new(format!("instance-{}", state.next));
        if let Some((volume, _)) = &spec.volume {
            state.volumes.entry(*volume).or_default();
        }
        let endpoints = spec.endpoint.iter().cloned().collect();
        let made = Instance { spec: spec.clone(), state: ContainerState::Created, endpoints };
        state.containers.insert(id.clone(), made);
        Ok(id)
    }

    async fn list_instances(&self) -> Result<Vec<ObservedInstance>, EngineError> {
        let state = self.instances.lock();
        let observed = |(id, one): (&ContainerId, &Instance)| ObservedInstance {
            id: id.clone(),
            addon: one.spec.addon,
            role: one.spec.role,
            fingerprint: one.spec.fingerprint.clone(),
            state: one.state.clone(),
            networks: one.endpoints.iter().map(|endpoint| endpoint.network.clone()).collect(),
        };
        Ok(state.containers.iter().map(observed).collect())
    }

    async fn instance_events(&self) -> Result<BoxStream<'static, Result<AddonId, EngineError>>, EngineError> {
        let receiver = self.instances.events.subscribe();
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
            let event = receiver.recv().await.ok()?;
            Some((Ok(event), receiver))
        });
        Ok(stream.boxed())
    }

    async fn connect(&self, id: &ContainerId, endpoint: &Endpoint) -> Result<Outcome, EngineError> {
        self.called(Call::Connect, endpoint.network.as_str()).await?;
        let endpoint = endpoint.clone();
        let changed = self.instances.change(id, |one| one.endpoints.push(endpoint));
        changed.ok_or_else(|| EngineError::Refused("no such container".to_owned()))
    }

    async fn disconnect(&self, id: &ContainerId, network: &NetworkName) -> Result<Outcome, EngineError> {
        self.called(Call::Disconnect, network.as_str()).await?;
        let changed = self.instances.change(id, |one| one.endpoints.retain(|one| one.network != *network));
        Ok(changed.unwrap_or(Outcome::Nothing))
    }

    async fn list_volumes(&self) -> Result<Vec<InstanceVolume>, EngineError> {
        Ok(self.instances.lock().volumes.keys().copied().collect())
    }

    async fn remove_volume(&self, volume: InstanceVolume) -> Result<Outcome, EngineError> {
        self.called(Call::RemoveVolume, volume.generation.to_string()).await?;
        let mut state = self.instances.lock();
        if state
            .containers
            .values()
            .any(|one| one.spec.volume.as_ref().is_some_and(|(used, _)| *used == volume))
        {
            return Err(EngineError::Refused("the volume is in use".to_owned()));
        }
        Ok(state.volumes.remove(&volume).map_or(Outcome::Nothing, |_| Outcome::Done))
    }

    async fn exec(&self, id: &ContainerId, exec: Exec) -> Result<Exited, EngineError> {
        let program = exec.argv.first().cloned().unwrap_or_default();
        self.called(Call::Exec, exec.argv.join(" ")).await?;
        let volume = self.instances.running_volume(id)?;
        let answer = self.instances.lock().answers.get(&program).cloned();
        if let Some((code, errors)) = answer.filter(|(code, _)| *code != 0) {
            return Ok(Exited { code, output: String::new(), errors });
        }
        let failed = |error: std::io::Error| EngineError::Refused(error.to_string());
        let mut input = Vec::new();
        if let Some(mut source) = exec.input {
            source.read_to_end(&mut input).await.map_err(failed)?;
        }
        let content = self.instances.content(volume);
        let mut output = String::new();
        match program.as_str() {
            "dump" => {
                if let Some(mut sink) = exec.output {
                    sink.write_all(&content).await.map_err(failed)?;
                    sink.flush().await.map_err(failed)?;
                }
            }
            "restore" => {
                if let Some(volume) = volume {
                    self.instances.lock().volumes.insert(volume, input);
                }
            }
            "check" | "usage" => output = String::from_utf8_lossy(&content).into_owned(),
            _ => {}
        }
        Ok(Exited { code: 0, output, errors: String::new() })
    }

    async fn unpack(
        &self,
        id: &ContainerId,
        _folder: &str,
        archive: &Path,
        _limit: Duration,
    ) -> Result<(), EngineError> {
        let bytes =
            tokio::fs::read(archive).await.map_err(|error| EngineError::Refused(error.to_string()))?;
        let mut state = self.instances.lock();
        let volume = state.containers.get(id).and_then(|one| one.spec.volume.clone());
        let volume = volume.ok_or_else(|| EngineError::Refused("no such container".to_owned()))?.0;
        // The content of the files, one after the other.
        let mut content = Vec::new();
        let unreadable = |error: std::io::Error| EngineError::Refused(error.to_string());
        for entry in tar::Archive::new(bytes.as_slice()).entries().map_err(unreadable)? {
            std::io::Read::read_to_end(&mut entry.map_err(unreadable)?, &mut content).map_err(unreadable)?;
        }
        state.volumes.insert(volume, content);
        Ok(())
    }
}
