//! Containers: made, started, stopped, removed and listed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum,
    EndpointSettings, HostConfig, HostConfigLogConfig, NetworkingConfig, RestartPolicy,
    RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder, LogsOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use futures_util::StreamExt;

use super::labels::{self, Labels};
use super::{ASK_LIMIT, STOP_MARGIN, WORK_LIMIT, bounded, found, outcome, refusal};
use crate::engine::{ContainerId, ContainerSpec, ContainerState, EngineError, ObservedContainer, Outcome};
use crate::model::names::{DynoName, ProcessType};
use crate::model::oneoff::Terminal;
use crate::model::time::Timestamp;

/// Processes and threads of one dyno; a fork bomb ends here.
pub(super) const PROCESS_LIMIT: i64 = 4096;
/// Bytes of one line of [`last_lines`].
const LINE_LIMIT: usize = 1024;

/// Since when each running container runs. The list does not tell, so it is asked for once a run; starts and
/// events make it forgotten.
#[derive(Debug, Clone, Default)]
pub(super) struct RunningSince(Arc<Mutex<HashMap<String, Timestamp>>>);

impl RunningSince {
    pub(super) fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn get(&self, id: &str) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).copied()
    }

    fn set(&self, id: &str, since: Timestamp) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), since);
    }

    /// Keeps only what still runs, so that the memory is bounded by the containers there are.
    fn retain(&self, running: &[ContainerSummary]) {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.retain(|id, _| running.iter().any(|container| container.id.as_deref() == Some(id)));
    }
}

pub(super) async fn create(
    docker: &Docker,
    labels: &Labels,
    init: bool,
    spec: &ContainerSpec,
) -> Result<ContainerId, EngineError> {
    let name = format!("{}.{}.{}", spec.key, spec.process_type, spec.dyno);
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let body = ContainerCreateBody {
        hostname: Some(spec.dyno.to_string()),
        image: Some(spec.image.as_str().to_owned()),
        entrypoint: spec.command.clone(),
        env: Some(spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        labels: Some(labels.of_container(spec)),
        tty: Some(spec.terminal == Terminal::Tty),
        open_stdin: Some(spec.terminal.is_attached()),
        // Its input ends with the connection of who attached.
        stdin_once: Some(spec.terminal.is_attached()),
        attach_stdin: Some(spec.terminal.is_attached()),
        host_config: Some(host_config(init, spec)),
        networking_config: Some(networking(spec)),
        ..ContainerCreateBody::default()
    };
    let created = bounded(WORK_LIMIT, docker.create_container(Some(options), body)).await?;
    Ok(ContainerId::new(created.id))
}

fn host_config(init: bool, spec: &ContainerSpec) -> HostConfig {
    let memory = i64::try_from(spec.memory_limit).unwrap_or(i64::MAX);
    HostConfig {
        // The daemon starts ended dynos itself, with its own back-off.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        memory: Some(memory),
        memory_swap: Some(memory),
        pids_limit: Some(PROCESS_LIMIT),
        init: init.then_some(true),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        log_config: Some(log_config(spec.terminal)),
        network_mode: Some(spec.network.as_str().to_owned()),
        ..HostConfig::default()
    }
}

/// What somebody does at a terminal is nobody else's to read.
fn log_config(terminal: Terminal) -> HostConfigLogConfig {
    if terminal.is_attached() {
        return HostConfigLogConfig { typ: Some("none".to_owned()), config: None };
    }
    bounded_log()
}

/// At most 30 MB of a container's output with the engine, from which it is followed into the ring of its app. Not
/// compressed: that would cost the engine a core while somebody floods.
pub(super) fn bounded_log() -> HostConfigLogConfig {
    let options = [("max-size", "10m"), ("max-file", "3"), ("compress", "false")];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    HostConfigLogConfig { typ: Some("local".to_owned()), config: Some(HashMap::from(options)) }
}

fn networking(spec: &ContainerSpec) -> NetworkingConfig {
    let endpoint = EndpointSettings { aliases: Some(spec.aliases.clone()), ..EndpointSettings::default() };
    NetworkingConfig { endpoints_config: Some(HashMap::from([(spec.network.as_str().to_owned(), endpoint)])) }
}

pub(super) async fn start(docker: &Docker, id: &ContainerId) -> Result<Outcome, EngineError> {
    use bollard::errors::Error::DockerResponseServerError as Refusal;
    let call = docker.start_container(id.as_str(), None::<StartContainerOptions>);
    match tokio::time::timeout(WORK_LIMIT, call).await {
        Ok(Ok(())) => Ok(Outcome::Done),
        Ok(Err(Refusal { status_code: 304, .. })) => Ok(Outcome::Nothing),
        // The network that it was made for can be what is not found, too.
        Ok(Err(Refusal { status_code: 404, message })) if message.starts_with("No such container") => {
            Ok(Outcome::Nothing)
        }
        // The engine blames the command.
        Ok(Err(Refusal { status_code: 400, message })) => Err(EngineError::CannotRun(message)),
        Ok(Err(error)) => Err(refusal(error)),
        Err(_) => Err(EngineError::TimedOut(WORK_LIMIT)),
    }
}

pub(super) async fn stop(docker: &Docker, id: &ContainerId, grace: Duration) -> Result<Outcome, EngineError> {
    let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
    let options = StopContainerOptionsBuilder::default().t(seconds).build();
    outcome(grace + STOP_MARGIN, &[304, 404], docker.stop_container(id.as_str(), Some(options))).await
}

pub(super) async fn remove(docker: &Docker, id: &ContainerId) -> Result<Outcome, EngineError> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    // 409: its removal is under way already.
    outcome(WORK_LIMIT, &[404, 409], docker.remove_container(id.as_str(), Some(options))).await
}

pub(super) async fn list(
    docker: &Docker,
    labels: &Labels,
    running_since: &RunningSince,
    app: Option<crate::model::ids::AppId>,
) -> Result<Vec<ObservedContainer>, EngineError> {
    let options = ListContainersOptionsBuilder::default().all(true).filters(&labels.filter(app)).build();
    let summaries = bounded(ASK_LIMIT, docker.list_containers(Some(options))).await?;
    if app.is_none() {
        running_since.retain(&summaries);
    }
    let mut observed = Vec::with_capacity(summaries.len());
    for summary in &summaries {
        if let Some(container) = observe(docker, running_since, summary).await? {
            observed.push(container);
        }
    }
    Ok(observed)
}

/// `None` for a container that is no dyno, or that went away meanwhile.
async fn observe(
    docker: &Docker,
    running_since: &RunningSince,
    summary: &ContainerSummary,
) -> Result<Option<ObservedContainer>, EngineError> {
    let Some(container) = identify(summary) else { return Ok(None) };
    let state = state_now(docker, running_since, summary).await?;
    Ok(state.map(|state| ObservedContainer { state, ..container }))
}

/// What a listed container is doing; `None` when it went away meanwhile.
pub(super) async fn state_now(
    docker: &Docker,
    running_since: &RunningSince,
    summary: &ContainerSummary,
) -> Result<Option<ContainerState>, EngineError> {
    let Some(id) = summary.id.as_deref() else { return Ok(None) };
    if summary.state == Some(ContainerSummaryStateEnum::RUNNING)
        && let Some(started_at) = running_since.get(id)
        && let Some(address) = summary_address(summary)
    {
        return Ok(Some(ContainerState::Running { address: Some(address), started_at }));
    }
    let inspection = docker.inspect_container(id, None::<InspectContainerOptions>);
    let Some(inspected) = found(ASK_LIMIT, inspection).await? else { return Ok(None) };
    let state = state(&inspected);
    if let ContainerState::Running { started_at, .. } = state {
        running_since.set(id, started_at);
    }
    Ok(Some(state))
}

fn identify(summary: &ContainerSummary) -> Option<ObservedContainer> {
    let labels = summary.labels.as_ref()?;
    Some(ObservedContainer {
        id: ContainerId::new(summary.id.clone()?),
        app: labels.get(labels::APP)?.parse().ok()?,
        process_type: ProcessType::from_stored(labels.get(labels::TYPE)?.clone()),
        dyno: DynoName::from_stored(labels.get(labels::DYNO)?.clone()),
        release: labels.get(labels::RELEASE)?.parse().ok()?,
        fingerprint: labels.get(labels::SPEC)?.clone(),
        terminal: labels
            .get(labels::TERMINAL)
            .and_then(|text| text.parse().ok())
            .unwrap_or(Terminal::Detached),
        created_at: Timestamp::from_millis(summary.created?.saturating_mul(1000)),
        state: ContainerState::Created,
    })
}

fn summary_address(summary: &ContainerSummary) -> Option<IpAddr> {
    let networks = summary.network_settings.as_ref()?.networks.as_ref()?;
    networks.values().find_map(|endpoint| endpoint.ip_address.as_ref()?.parse().ok())
}

fn state(inspected: &ContainerInspectResponse) -> ContainerState {
    let Some(state) = &inspected.state else { return ContainerState::Created };
    if state.dead == Some(true) {
        return ContainerState::Dead;
    }
    let instant = |text: &Option<String>| text.as_deref().and_then(parse_instant);
    let started_at = instant(&state.started_at);
    if state.running == Some(true) {
        let networks = inspected.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
        let address = networks.and_then(|networks| {
            networks.values().find_map(|endpoint| endpoint.ip_address.as_ref()?.parse().ok())
        });
        return ContainerState::Running {
            address,
            started_at: started_at.unwrap_or(Timestamp::from_millis(0)),
        };
    }
    let error = state.error.clone().unwrap_or_default();
    if started_at.is_none() && error.is_empty() {
        return ContainerState::Created;
    }
    ContainerState::Exited {
        code: state.exit_code.unwrap_or(0),
        out_of_memory: state.oom_killed == Some(true),
        started_at,
        finished_at: instant(&state.finished_at).or(started_at).unwrap_or(Timestamp::from_millis(0)),
        error,
    }
}

/// Docker writes the year 1 for "never".
fn parse_instant(text: &str) -> Option<Timestamp> {
    let instant: jiff::Timestamp = text.parse().ok()?;
    let millis = instant.as_millisecond();
    (millis > 0).then(|| Timestamp::from_millis(millis))
}

pub(super) async fn last_lines(
    docker: &Docker,
    id: &ContainerId,
    lines: usize,
) -> Result<Vec<String>, EngineError> {
    let options = LogsOptionsBuilder::default()
        .stdout(true)
        .stderr(true)
        .follow(false)
        .tail(&lines.to_string())
        .build();
    let read = async {
        let mut stream = docker.logs(id.as_str(), Some(options));
        let mut text = String::new();
        while let Some(output) = stream.next().await {
            text.push_str(&String::from_utf8_lossy(&output?.into_bytes()));
        }
        Ok(text)
    };
    let text = bounded(ASK_LIMIT, read).await?;
    let mut kept: Vec<String> = text.lines().map(shortened).collect();
    kept.drain(..kept.len().saturating_sub(lines));
    Ok(kept)
}

fn shortened(line: &str) -> String {
    let end =
        line.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= LINE_LIMIT).last();
    line.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
}
