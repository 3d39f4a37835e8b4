//! Signals to all processes of a container.
//!
//! A program inside the container cannot signal its first process, and the engine can signal no other: so both do
//! their part. Where the engine's init program is the first process, it passes on what it gets and needs none.

use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecResults, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::KillContainerOptionsBuilder;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};

use super::{bounded, outcome};
use crate::engine::{ContainerId, EngineError, Outcome};
use crate::model::signal::Signal;

/// Longest wait for a signal to be sent; sending takes a moment only.
const SIGNAL_LIMIT: Duration = Duration::from_secs(10);
/// What an exec answers when it cannot run its program, or does not find it.
const NO_SHELL: &[i64] = &[126, 127];

pub(super) async fn send(
    docker: &Docker,
    init: bool,
    id: &ContainerId,
    signal: Signal,
) -> Result<Outcome, EngineError> {
    let told = tokio::time::timeout(SIGNAL_LIMIT, tell_all_but_first(docker, id, signal)).await;
    let told = told.map_err(|_| EngineError::TimedOut(SIGNAL_LIMIT))?;
    if init && told {
        return Ok(Outcome::Done);
    }
    let options = KillContainerOptionsBuilder::default().signal(&signal.number().to_string()).build();
    // 409: it does not run any more.
    let first = outcome(SIGNAL_LIMIT, &[404, 409], docker.kill_container(id.as_str(), Some(options))).await?;
    Ok(if told { Outcome::Done } else { first })
}

/// Returns whether there was a shell to do it. What goes wrong otherwise shows when the first process is told.
async fn tell_all_but_first(docker: &Docker, id: &ContainerId, signal: Signal) -> bool {
    let argv = ["sh", "-c", &format!("kill -{} -1", signal.number())];
    let config = ExecConfig {
        cmd: Some(argv.iter().map(|word| (*word).to_owned()).collect()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ExecConfig::default()
    };
    let Ok(CreateExecResults { id: exec }) = docker.create_exec(id.as_str(), config).await else {
        return false;
    };
    let Ok(StartExecResults::Attached { output, .. }) = docker.start_exec(&exec, None).await else {
        return false;
    };
    let output: BoxStream<'_, Result<LogOutput, Error>> = output.boxed();
    // The stream ends when the program does.
    if output.try_for_each(|_| std::future::ready(Ok(()))).await.is_err() {
        return false;
    }
    let inspected = bounded(SIGNAL_LIMIT, docker.inspect_exec(&exec)).await;
    inspected.is_ok_and(|exec| exec.exit_code.is_some_and(|code| !NO_SHELL.contains(&code)))
}
