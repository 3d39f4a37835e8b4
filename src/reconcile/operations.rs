//! What a worker does to containers: each operation is one future, bounded in time, whose end is told.

use std::sync::Arc;
use std::time::Duration;

use super::Context;
use super::probe::{Probe, probe_after};
use crate::edge::table::Upstream;
use crate::engine::{ContainerId, ContainerSpec, EngineError};
use crate::failpoint;
use crate::model::ids::SpaceId;
use crate::model::journal::JournalStep;
use crate::model::names::{DynoName, ProcessType, SpaceName};
use crate::model::time::Timestamp;

/// How an operation ended.
#[derive(Debug)]
pub(super) enum Done {
    Launched { dyno: DynoName, process_type: ProcessType, result: Result<(), LaunchError> },
    Started { dyno: DynoName, result: Result<(), EngineError> },
    Left { dyno: DynoName, result: Result<(), EngineError> },
    Probed { dyno: DynoName, run: Timestamp, answer: Result<(), String> },
}

/// Why a launch failed.
#[derive(Debug)]
pub(super) enum LaunchError {
    /// There is no container.
    Create(EngineError),
    /// The container is there, its process is not.
    Start(EngineError),
}

/// A dyno to launch; the network of its space is made when it is missing.
#[derive(Debug)]
pub(super) struct Launch {
    pub(super) spec: ContainerSpec,
    pub(super) space: SpaceId,
    pub(super) space_name: SpaceName,
}

/// Makes and starts a container.
pub(super) async fn launch(context: Arc<Context>, launch: Launch) -> Done {
    let (dyno, process_type) = (launch.spec.dyno.clone(), launch.spec.process_type.clone());
    let result = try_launch(&context, launch).await;
    Done::Launched { dyno, process_type, result }
}

async fn try_launch(context: &Context, mut launch: Launch) -> Result<(), LaunchError> {
    let _permit =
        context.launches.acquire().await.map_err(|_| {
            LaunchError::Create(EngineError::Unavailable("the daemon is stopping".to_owned()))
        })?;
    let engine = &context.engine;
    launch.spec.network =
        engine.ensure_network(launch.space, &launch.space_name).await.map_err(LaunchError::Create)?;
    let id = engine.create(&launch.spec).await.map_err(LaunchError::Create)?;
    failpoint::reached(JournalStep::DynoCreated);
    engine.start(&id).await.map_err(LaunchError::Start)?;
    failpoint::reached(JournalStep::DynoStarted);
    Ok(())
}

/// Starts a container whose process is not running.
pub(super) async fn start(context: Arc<Context>, dyno: DynoName, id: ContainerId) -> Done {
    let result = context.engine.start(&id).await.map(|_| ());
    Done::Started { dyno, result }
}

/// Drains (within a limit), stops and removes a container. The caller has published a table without it.
pub(super) async fn retire(
    context: Arc<Context>,
    dyno: DynoName,
    id: ContainerId,
    drained: Option<(Arc<Upstream>, Duration)>,
) -> Done {
    failpoint::reached(JournalStep::DynoDraining);
    if let Some((upstream, limit)) = drained {
        drain(&upstream, limit).await;
    }
    let result = stop_and_remove(&context, &id).await;
    Done::Left { dyno, result }
}

async fn stop_and_remove(context: &Context, id: &ContainerId) -> Result<(), EngineError> {
    context.engine.stop(id, context.timing.stop_grace).await?;
    failpoint::reached(JournalStep::DynoStopped);
    context.engine.remove(id).await.map(|_| ())
}

/// Removes a container whose process is not running.
pub(super) async fn remove(context: Arc<Context>, dyno: DynoName, id: ContainerId) -> Done {
    let result = context.engine.remove(&id).await.map(|_| ());
    Done::Left { dyno, result }
}

/// Waits, then probes once.
pub(super) async fn probe(dyno: DynoName, run: Timestamp, pause: Duration, probe: Probe) -> Done {
    let answer = probe_after(pause, &probe).await;
    Done::Probed { dyno, run, answer }
}

/// Waits until no request is open, at most `limit`.
async fn drain(upstream: &Upstream, limit: Duration) {
    const LOOK_AGAIN: Duration = Duration::from_millis(20);
    upstream.retire();
    let quiet = async {
        while upstream.in_flight() > 0 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    if tokio::time::timeout(limit, quiet).await.is_err() {
        tracing::info!(dyno = %upstream.dyno, open = upstream.in_flight(), "requests were open when the drain limit passed");
    }
}
