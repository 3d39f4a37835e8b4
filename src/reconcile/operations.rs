//! What a worker does to containers: each operation is one future, bounded in time, whose end is told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Context;
use super::probe::{Probe, probe_after};
use crate::edge::table::Upstream;
use crate::engine::{ContainerId, ContainerSpec, EngineError};
use crate::failpoint;
use crate::model::build::{ImageId, ImageReference};
use crate::model::ids::SpaceId;
use crate::model::journal::JournalStep;
use crate::model::names::{DynoName, ProcessType, SpaceName};
use crate::model::time::Timestamp;

/// Longest pull of an image for a one-off dyno.
const PULL_LIMIT: Duration = Duration::from_mins(10);
/// Lines of a pull that may wait.
const PULL_LINES: usize = 16;

/// How an operation ended.
#[derive(Debug)]
pub(super) enum Done {
    Launched {
        dyno: DynoName,
        process_type: ProcessType,
        result: Result<(), LaunchError>,
    },
    /// The container of a one-off dyno was made.
    RunMade {
        dyno: DynoName,
        result: Result<(), LaunchError>,
    },
    Started {
        dyno: DynoName,
        result: Result<(), EngineError>,
    },
    Left {
        dyno: DynoName,
        result: Result<(), EngineError>,
    },
    Probed {
        dyno: DynoName,
        run: Timestamp,
        answer: Result<(), String>,
    },
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
    /// An image to pull and run instead of the one in `spec`.
    pub(super) pull: Option<String>,
}

/// Makes and starts a container.
pub(super) async fn launch(context: Arc<Context>, launch: Launch) -> Done {
    let (dyno, process_type) = (launch.spec.dyno.clone(), launch.spec.process_type.clone());
    let result = try_launch(&context, launch).await;
    Done::Launched { dyno, process_type, result }
}

/// Makes the container of a one-off dyno. It is started once that is on disk, or by who attaches.
pub(super) async fn make_run(context: Arc<Context>, launch: Launch) -> Done {
    let dyno = launch.spec.dyno.clone();
    let result = make(&context, launch).await.map(drop);
    Done::RunMade { dyno, result }
}

async fn try_launch(context: &Context, launch: Launch) -> Result<(), LaunchError> {
    let id = make(context, launch).await?;
    context.engine.start(&id).await.map_err(LaunchError::Start)?;
    failpoint::reached(JournalStep::DynoStarted);
    Ok(())
}

async fn make(context: &Context, mut launch: Launch) -> Result<ContainerId, LaunchError> {
    let _permit =
        context.launches.acquire().await.map_err(|_| {
            LaunchError::Create(EngineError::Unavailable("the daemon is stopping".to_owned()))
        })?;
    let engine = &context.engine;
    if let Some(reference) = &launch.pull {
        launch.spec.image = pull(context, reference).await.map_err(LaunchError::Create)?;
    }
    launch.spec.network =
        engine.ensure_network(launch.space, &launch.space_name).await.map_err(LaunchError::Create)?;
    let id = engine.create(&launch.spec).await.map_err(LaunchError::Create)?;
    failpoint::reached(JournalStep::DynoCreated);
    Ok(id)
}

/// Pulls an image anew. What it says of its progress is nobody's to read.
async fn pull(context: &Context, reference: &str) -> Result<ImageId, EngineError> {
    let image = ImageReference::parse(reference).map_err(|error| EngineError::Refused(error.to_string()))?;
    let (log, mut lines) = mpsc::channel(PULL_LINES);
    let pull = async move { context.engine.pull(&image, None, &log).await };
    let drain = async move { while lines.recv().await.is_some() {} };
    let both = async { tokio::join!(pull, drain).0 };
    tokio::time::timeout(PULL_LIMIT, both).await.unwrap_or(Err(EngineError::TimedOut(PULL_LIMIT)))
}

/// Stops a container and leaves it, for its end and its output to be read.
pub(super) async fn stop(context: Arc<Context>, dyno: DynoName, id: ContainerId) -> Done {
    let result = context.engine.stop(&id, context.timing.stop_grace).await.map(|_| ());
    Done::Left { dyno, result }
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
    drain(&context, &dyno, drained).await;
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

/// Waits until no request is open, at most the app's drain limit.
async fn drain(context: &Context, dyno: &DynoName, drained: Option<(Arc<Upstream>, Duration)>) {
    const LOOK_AGAIN: Duration = Duration::from_millis(20);
    let limit = drained.as_ref().map_or(context.timing.drain_limit, |(_, limit)| *limit);
    let in_flight = || drained.as_ref().map_or(0, |(upstream, _)| upstream.in_flight());
    if let Some((upstream, _)) = &drained {
        upstream.retire();
    }
    let quiet = async {
        while in_flight() > 0 {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        context.all_counted.cancelled().await;
    };
    if tokio::time::timeout(limit, quiet).await.is_err() {
        tracing::info!(%dyno, open = in_flight(), "requests may have been open when the drain limit passed");
    }
}
