//! A scripted engine: containers and images in memory, every call recorded, faults on demand.
//!
//! A container that is started runs at once with [`FakeEngine::set_address`]'s address; it ends when
//! [`FakeEngine::die`] says so. A call waits for the delay of its kind, then fails with the next scripted
//! fault of its kind, if there is one, and does its work otherwise.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use akkerisd::engine::{
    Attachment, BuildSpec, ContainerEngine, ContainerId, ContainerSpec, ContainerState, CpuLimit,
    EngineError, EngineEvent, EngineInfo, NetworkName, ObservedContainer, ObservedImage, ObservedNetwork,
    Outcome, OutputFrom, OutputPiece, TerminalSize,
};
use akkerisd::model::build::{ImageId, ImageReference, RegistryLogin};
use akkerisd::model::ids::{AppId, BuildId, SpaceId};
use akkerisd::model::log::OutputStream;
use akkerisd::model::metric::Usage;
use akkerisd::model::names::SpaceName;
use akkerisd::model::signal::Signal;
use akkerisd::model::time::Timestamp;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::sync::{broadcast, mpsc, watch};

use super::fake_instances::FakeInstances;

/// Which call a script or a delay is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Info,
    Pull,
    FindImage,
    AdoptImage,
    Build,
    ListImages,
    RemoveImage,
    Create,
    Start,
    Stop,
    Signal,
    Attach,
    Resize,
    Remove,
    List,
    LastLines,
    LimitCpu,
    Output,
    Usage,
    LayerSizes,
    EnsureNetwork,
    ListNetworks,
    RemoveNetwork,
    Events,
    CreateInstance,
    Exec,
    Connect,
    Disconnect,
    RemoveVolume,
}

/// The engine. Its state is looked at and changed between calls through the methods below.
#[derive(Debug, Clone)]
pub(crate) struct FakeEngine {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<EngineEvent>,
    /// Sent to when a container wrote or ended.
    written: watch::Sender<()>,
    /// The containers of addons.
    pub(crate) instances: FakeInstances,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<(Call, String)>,
    faults: HashMap<Call, VecDeque<EngineError>>,
    delays: HashMap<Call, Duration>,
    address: Option<IpAddr>,
    now: i64,
    containers: BTreeMap<ContainerId, Container>,
    next: u64,
    /// Images by reference, as a registry or an earlier pull left them here.
    local: HashMap<String, ImageId>,
    images: Vec<ObservedImage>,
    networks: BTreeMap<NetworkName, SpaceId>,
    output: Vec<String>,
    usage: HashMap<ContainerId, Usage>,
    /// What was sent to containers that somebody attached to.
    inputs: HashMap<ContainerId, tokio::io::DuplexStream>,
    /// The contexts and args that builds were asked for.
    builds: Vec<(BuildSpec, Vec<u8>)>,
}

#[derive(Debug)]
struct Container {
    spec: ContainerSpec,
    created_at: Timestamp,
    state: ContainerState,
    lines: Vec<String>,
    output: Vec<OutputPiece>,
    readers_overtaken: u32,
    cpu_limit: Option<CpuLimit>,
}

#[expect(dead_code, reason = "the tests of the reconciler and of the API use the rest")]
impl FakeEngine {
    /// An engine with nothing in it; dynos get the address 127.0.0.1.
    pub(crate) fn new() -> Self {
        let state = State { address: Some([127, 0, 0, 1].into()), ..State::default() };
        Self {
            state: Arc::new(Mutex::new(state)),
            events: broadcast::channel(1024).0,
            written: watch::Sender::new(()),
            instances: FakeInstances::default(),
        }
    }

    /// The address that containers get when they start; `None` leaves them without one.
    pub(crate) fn set_address(&self, address: Option<IpAddr>) {
        self.lock().address = address;
    }

    /// The next calls of this kind fail, one fault each.
    pub(crate) fn fail_next(&self, call: Call, fault: EngineError) {
        self.lock().faults.entry(call).or_default().push_back(fault);
    }

    /// Calls of this kind fail no more.
    pub(crate) fn heal(&self, call: Call) {
        self.lock().faults.remove(&call);
    }

    /// Calls of this kind take so long, counted by tokio's clock.
    pub(crate) fn delay(&self, call: Call, by: Duration) {
        self.lock().delays.insert(call, by);
    }

    /// The lines that every build writes to its log.
    pub(crate) fn set_output(&self, lines: &[&str]) {
        self.lock().output = lines.iter().map(|line| (*line).to_owned()).collect();
    }

    /// Puts an image on this machine under a reference, as if it had been pulled before.
    pub(crate) fn add_image(&self, reference: &str, id: &str) {
        self.lock().local.insert(reference.to_owned(), ImageId::new(id));
    }

    /// The input of a container that somebody attached to, up to its end.
    pub(crate) fn take_input(&self, id: &ContainerId) -> Option<tokio::io::DuplexStream> {
        self.lock().inputs.remove(id)
    }

    /// What a container has used.
    pub(crate) fn set_usage(&self, id: &ContainerId, usage: Usage) {
        self.lock().usage.insert(id.clone(), usage);
    }

    /// What a container wrote.
    pub(crate) fn set_lines(&self, id: &ContainerId, lines: &[&str]) {
        if let Some(container) = self.lock().containers.get_mut(id) {
            container.lines = lines.iter().map(|line| (*line).to_owned()).collect();
        }
    }

    /// A container writes a piece of output at this time (nanoseconds since 1970).
    pub(crate) fn write(&self, id: &ContainerId, stream: OutputStream, nanos: i64, text: &str) {
        if let Some(container) = self.lock().containers.get_mut(id) {
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            container.output.push(OutputPiece { stream, nanos, bytes });
        }
        self.written.send_replace(());
    }

    /// The engine's log overtakes all who read a container's output now: they hear nothing any more.
    pub(crate) fn overtake_readers(&self, id: &ContainerId) {
        if let Some(container) = self.lock().containers.get_mut(id) {
            container.readers_overtaken += 1;
        }
    }

    /// How often that happened.
    fn readers_overtaken(&self, id: &ContainerId) -> u32 {
        self.lock().containers.get(id).map_or(0, |container| container.readers_overtaken)
    }

    /// The limit of a container's CPU.
    pub(crate) fn limit_of(&self, id: &ContainerId) -> Option<CpuLimit> {
        self.lock().containers.get(id)?.cpu_limit
    }

    /// The piece of output with this number; `Err(true)` when there will be none, `Err(false)` when not yet.
    fn piece(&self, id: &ContainerId, number: usize) -> Result<OutputPiece, bool> {
        let state = self.lock();
        let container = state.containers.get(id).ok_or(true)?;
        let over = matches!(container.state, ContainerState::Exited { .. } | ContainerState::Dead);
        container.output.get(number).cloned().ok_or(over)
    }

    /// How many pieces of output there are.
    fn pieces(&self, id: &ContainerId) -> usize {
        self.lock().containers.get(id).map_or(0, |container| container.output.len())
    }

    /// A running container's process ends, as if by itself; the followers of events hear of it.
    pub(crate) fn die(&self, id: &ContainerId, code: i64, out_of_memory: bool) {
        let mut state = self.lock();
        let finished_at = state.tick();
        let Some(container) = state.containers.get_mut(id) else { return };
        container.end(code, out_of_memory, finished_at);
        let app = container.spec.app;
        drop(state);
        self.tell(app);
    }

    /// The calls so far, with what each was about.
    pub(crate) fn calls(&self) -> Vec<(Call, String)> {
        self.lock().calls.clone()
    }

    /// How often a call was made.
    pub(crate) fn count(&self, call: Call) -> usize {
        self.lock().calls.iter().filter(|(made, _)| *made == call).count()
    }

    /// The containers with what they were made from.
    pub(crate) fn containers(&self) -> Vec<(ContainerId, ContainerSpec, ContainerState)> {
        let state = self.lock();
        state.containers.iter().map(|(id, c)| (id.clone(), c.spec.clone(), c.state.clone())).collect()
    }

    /// The builds that were asked for, each with the bytes of its context.
    pub(crate) fn builds(&self) -> Vec<(BuildSpec, Vec<u8>)> {
        self.lock().builds.clone()
    }

    pub(super) async fn called(&self, call: Call, about: impl Into<String>) -> Result<(), EngineError> {
        let delay = {
            let mut state = self.lock();
            state.calls.push((call, about.into()));
            state.delays.get(&call).copied()
        };
        if let Some(delay) = delay {
            tokio::time::timeout(delay, std::future::pending::<()>()).await.unwrap_or_default();
        }
        let fault = self.lock().faults.get_mut(&call).and_then(VecDeque::pop_front);
        fault.map_or(Ok(()), Err)
    }

    fn tell(&self, app: AppId) {
        self.written.send_replace(());
        // Nobody may be listening.
        let _listeners = self.events.send(EngineEvent { app });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tick(&mut self) -> Timestamp {
        self.now += 1;
        Timestamp::from_millis(self.now)
    }

    fn own(&mut self, image: &ImageId, app: AppId, build: BuildId) {
        self.images.retain(|image| image.build != build);
        self.images.push(ObservedImage { id: image.clone(), app, build });
    }
}

impl Container {
    fn end(&mut self, code: i64, out_of_memory: bool, finished_at: Timestamp) {
        if let ContainerState::Running { started_at, .. } = self.state {
            let started_at = Some(started_at);
            let error = String::new();
            self.state = ContainerState::Exited { code, out_of_memory, started_at, finished_at, error };
        }
    }
}

#[async_trait]
impl ContainerEngine for FakeEngine {
    async fn info(&self) -> Result<EngineInfo, EngineError> {
        self.called(Call::Info, "").await?;
        Ok(EngineInfo { version: "fake".to_owned(), api_version: "1.41".to_owned(), memory: 8 << 30 })
    }

    async fn pull(
        &self,
        image: &ImageReference,
        login: Option<&RegistryLogin>,
        log: &mpsc::Sender<String>,
    ) -> Result<ImageId, EngineError> {
        let user = login.map_or(String::new(), |login| format!("{}@", login.user));
        self.called(Call::Pull, format!("{user}{}", image.as_str())).await?;
        let _closed = log.send(format!("Pulling from {}", image.as_str())).await;
        let id = ImageId::new(format!("sha256:{}", image.as_str()));
        self.lock().local.insert(image.as_str().to_owned(), id.clone());
        Ok(id)
    }

    async fn find_image(&self, reference: &str) -> Result<Option<ImageId>, EngineError> {
        self.called(Call::FindImage, reference).await?;
        Ok(self.lock().local.get(reference).cloned())
    }

    async fn adopt_image(&self, image: &ImageId, app: AppId, build: BuildId) -> Result<(), EngineError> {
        self.called(Call::AdoptImage, build.to_string()).await?;
        self.lock().own(image, app, build);
        Ok(())
    }

    async fn build(&self, spec: &BuildSpec, log: &mpsc::Sender<String>) -> Result<ImageId, EngineError> {
        let context =
            tokio::fs::read(&spec.context).await.map_err(|error| EngineError::Refused(error.to_string()))?;
        let output = {
            let mut state = self.lock();
            state.builds.push((spec.clone(), context));
            state.output.clone()
        };
        for line in output {
            let _closed = log.send(line).await;
        }
        self.called(Call::Build, spec.build.to_string()).await?;
        let id = ImageId::new(format!("sha256:{}", spec.build));
        self.lock().own(&id, spec.app, spec.build);
        Ok(id)
    }

    async fn list_images(&self) -> Result<Vec<ObservedImage>, EngineError> {
        self.called(Call::ListImages, "").await?;
        Ok(self.lock().images.clone())
    }

    fn image_label(&self) -> String {
        "akkeris.installation=fake".to_owned()
    }

    async fn prune_images(&self) -> Result<u64, EngineError> {
        Ok(0)
    }

    async fn remove_image(&self, app: AppId, build: BuildId) -> Result<Outcome, EngineError> {
        self.called(Call::RemoveImage, build.to_string()).await?;
        let mut state = self.lock();
        let before = state.images.len();
        state.images.retain(|image| image.app != app || image.build != build);
        Ok(if state.images.len() < before { Outcome::Done } else { Outcome::Nothing })
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError> {
        self.called(Call::Create, spec.dyno.as_str()).await?;
        let mut state = self.lock();
        state.next += 1;
        let id = ContainerId::new(format!("container-{}", state.next));
        let created_at = state.tick();
        let container = Container {
            spec: spec.clone(),
            created_at,
            state: ContainerState::Created,
            lines: Vec::new(),
            output: Vec::new(),
            readers_overtaken: 0,
            cpu_limit: None,
        };
        state.containers.insert(id.clone(), container);
        Ok(id)
    }

    async fn start(&self, id: &ContainerId) -> Result<Outcome, EngineError> {
        self.called(Call::Start, id.as_str()).await?;
        if let Some(outcome) = self.instances.start(id) {
            return Ok(outcome);
        }
        let mut state = self.lock();
        let (address, started_at) = (state.address, state.tick());
        let Some(container) = state.containers.get_mut(id) else {
            return Err(EngineError::Refused(format!("no such container: {}", id.as_str())));
        };
        if matches!(container.state, ContainerState::Running { .. }) {
            return Ok(Outcome::Nothing);
        }
        container.state = ContainerState::Running { address, started_at };
        let app = container.spec.app;
        drop(state);
        self.tell(app);
        Ok(Outcome::Done)
    }

    async fn stop(&self, id: &ContainerId, _grace: Duration) -> Result<Outcome, EngineError> {
        self.called(Call::Stop, id.as_str()).await?;
        if let Some(outcome) = self.instances.stop(id) {
            return Ok(outcome);
        }
        let mut state = self.lock();
        let finished_at = state.tick();
        let Some(container) = state.containers.get_mut(id) else { return Ok(Outcome::Nothing) };
        if !matches!(container.state, ContainerState::Running { .. }) {
            return Ok(Outcome::Nothing);
        }
        container.end(143, false, finished_at);
        let app = container.spec.app;
        drop(state);
        self.tell(app);
        Ok(Outcome::Done)
    }

    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<Outcome, EngineError> {
        self.called(Call::Signal, format!("{} {}", signal.number(), id.as_str())).await?;
        let running =
            self.lock().containers.get(id).is_some_and(|c| matches!(c.state, ContainerState::Running { .. }));
        Ok(if running { Outcome::Done } else { Outcome::Nothing })
    }

    async fn remove(&self, id: &ContainerId) -> Result<Outcome, EngineError> {
        self.called(Call::Remove, id.as_str()).await?;
        if let Some(outcome) = self.instances.remove(id) {
            return Ok(outcome);
        }
        let removed = self.lock().containers.remove(id);
        let Some(container) = removed else { return Ok(Outcome::Nothing) };
        self.tell(container.spec.app);
        Ok(Outcome::Done)
    }

    async fn list(&self, app: Option<AppId>) -> Result<Vec<ObservedContainer>, EngineError> {
        self.called(Call::List, app.map_or(String::new(), |app| app.to_string())).await?;
        let state = self.lock();
        let wanted = state.containers.iter().filter(|(_, c)| app.is_none_or(|app| c.spec.app == app));
        Ok(wanted.map(|(id, container)| observed(id, container)).collect())
    }

    async fn last_lines(&self, id: &ContainerId, lines: usize) -> Result<Vec<String>, EngineError> {
        self.called(Call::LastLines, id.as_str()).await?;
        let state = self.lock();
        let all = state.containers.get(id).map(|container| container.lines.as_slice()).unwrap_or_default();
        Ok(all.iter().skip(all.len().saturating_sub(lines)).cloned().collect())
    }

    async fn limit_cpu(&self, id: &ContainerId, limit: Option<CpuLimit>) -> Result<Outcome, EngineError> {
        self.called(Call::LimitCpu, id.as_str()).await?;
        let mut state = self.lock();
        let Some(container) = state.containers.get_mut(id) else { return Ok(Outcome::Nothing) };
        container.cpu_limit = limit;
        Ok(Outcome::Done)
    }

    async fn cpu_limit(&self, id: &ContainerId) -> Result<Option<CpuLimit>, EngineError> {
        Ok(self.limit_of(id))
    }

    fn control_groups(&self, id: &ContainerId) -> Vec<String> {
        vec![format!("no-such-group/{}", id.as_str())]
    }

    async fn usage(&self, id: &ContainerId) -> Result<Option<Usage>, EngineError> {
        self.called(Call::Usage, id.as_str()).await?;
        Ok(self.lock().usage.get(id).copied())
    }

    async fn layer_sizes(&self) -> Result<HashMap<ContainerId, u64>, EngineError> {
        self.called(Call::LayerSizes, "").await?;
        Ok(self.lock().containers.keys().map(|id| (id.clone(), 4096)).collect())
    }

    async fn output(
        &self,
        id: &ContainerId,
        from: OutputFrom,
    ) -> Result<BoxStream<'static, Result<OutputPiece, EngineError>>, EngineError> {
        self.called(Call::Output, format!("{} {from:?}", id.as_str())).await?;
        let (engine, id, written) = (self.clone(), id.clone(), self.written.subscribe());
        let overtaken = self.readers_overtaken(&id);
        let (first, since) = match from {
            OutputFrom::Second(since) => (0, since),
            OutputFrom::Last(count) => (self.pieces(&id).saturating_sub(count), 0),
        };
        let stream = futures_util::stream::unfold((first, written), move |(mut number, mut written)| {
            let (engine, id) = (engine.clone(), id.clone());
            async move {
                loop {
                    written.borrow_and_update();
                    if engine.readers_overtaken(&id) > overtaken {
                        std::future::pending::<()>().await;
                    }
                    match engine.piece(&id, number) {
                        Ok(piece) if piece.nanos / 1_000_000_000 < since => number += 1,
                        Ok(piece) => return Some((Ok(piece), (number + 1, written))),
                        Err(true) => return None,
                        Err(false) => written.changed().await.ok()?,
                    }
                }
            }
        });
        Ok(stream.boxed())
    }

    async fn attach(&self, id: &ContainerId) -> Result<Attachment, EngineError> {
        self.called(Call::Attach, id.as_str()).await?;
        let (theirs, ours) = tokio::io::duplex(4096);
        let output = self.output(id, OutputFrom::Second(0)).await?;
        let output = output.map(|piece| piece.map(|piece| (piece.stream, piece.bytes))).boxed();
        self.lock().inputs.insert(id.clone(), ours);
        Ok(Attachment { output, input: Box::pin(theirs) })
    }

    async fn resize(&self, id: &ContainerId, size: TerminalSize) -> Result<Outcome, EngineError> {
        self.called(Call::Resize, format!("{}x{} {}", size.columns, size.rows, id.as_str())).await?;
        Ok(Outcome::Done)
    }

    async fn ensure_network(&self, space: SpaceId, name: &SpaceName) -> Result<NetworkName, EngineError> {
        self.called(Call::EnsureNetwork, name.as_str()).await?;
        let network = NetworkName::new(format!("fake-{name}"));
        self.lock().networks.insert(network.clone(), space);
        Ok(network)
    }

    async fn list_networks(&self) -> Result<Vec<ObservedNetwork>, EngineError> {
        self.called(Call::ListNetworks, "").await?;
        let state = self.lock();
        let networks = state.networks.iter();
        Ok(networks.map(|(name, space)| ObservedNetwork { name: name.clone(), space: *space }).collect())
    }

    async fn remove_network(&self, name: &NetworkName) -> Result<Outcome, EngineError> {
        self.called(Call::RemoveNetwork, name.as_str()).await?;
        let removed = self.lock().networks.remove(name);
        Ok(removed.map_or(Outcome::Nothing, |_| Outcome::Done))
    }

    async fn events(&self) -> Result<BoxStream<'static, Result<EngineEvent, EngineError>>, EngineError> {
        self.called(Call::Events, "").await?;
        let receiver = self.events.subscribe();
        let stream = futures_util::stream::unfold(receiver, |mut receiver| async {
            let event = receiver.recv().await.ok()?;
            Some((Ok(event), receiver))
        });
        Ok(stream.boxed())
    }
}

fn observed(id: &ContainerId, container: &Container) -> ObservedContainer {
    ObservedContainer {
        id: id.clone(),
        app: container.spec.app,
        process_type: container.spec.process_type.clone(),
        dyno: container.spec.dyno.clone(),
        release: container.spec.release,
        fingerprint: container.spec.fingerprint.clone(),
        terminal: container.spec.terminal,
        created_at: container.created_at,
        state: container.state.clone(),
    }
}
