//! Programs inside running containers, with streams for their input and output.

use std::collections::VecDeque;
use std::time::Duration;

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecResults, StartExecResults};
use bollard::models::ExecConfig;
use bollard::query_parameters::InspectContainerOptions;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWriteExt;

use super::{ASK_LIMIT, bounded, refusal};
use crate::engine::instance::{Exec, ExecInput, ExecOutput, Exited};
use crate::engine::{ContainerId, EngineError};

/// Bytes that are kept of what nobody reads.
const TAIL_LIMIT: usize = 4096;
/// Between two questions whether a program whose output ended has ended, too.
const ASK_AGAIN: Duration = Duration::from_millis(20);

pub(super) async fn run(docker: &Docker, id: &ContainerId, exec: Exec) -> Result<Exited, EngineError> {
    let limit = exec.limit;
    let ran = tokio::time::timeout(limit, run_unbounded(docker, id, exec)).await;
    let ran = ran.unwrap_or(Err(EngineError::TimedOut(limit)));
    // What happens to a program whose container stops under it says nothing about the program.
    if matches!(&ran, Ok(Exited { code: 0, .. })) || is_running(docker, id).await? {
        return ran;
    }
    Err(EngineError::NotRunning)
}

async fn is_running(docker: &Docker, id: &ContainerId) -> Result<bool, EngineError> {
    let inspected =
        bounded(ASK_LIMIT, docker.inspect_container(id.as_str(), None::<InspectContainerOptions>)).await?;
    Ok(inspected.state.and_then(|state| state.running).unwrap_or(false))
}

async fn run_unbounded(docker: &Docker, id: &ContainerId, exec: Exec) -> Result<Exited, EngineError> {
    let config = ExecConfig {
        cmd: Some(exec.argv),
        env: Some(exec.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        attach_stdin: Some(exec.input.is_some()),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        ..ExecConfig::default()
    };
    let CreateExecResults { id: run } = bounded(ASK_LIMIT, docker.create_exec(id.as_str(), config)).await?;
    let started = bounded(ASK_LIMIT, docker.start_exec(&run, None)).await?;
    let StartExecResults::Attached { output, input } = started else {
        return Err(EngineError::Refused("the engine did not attach to a program".to_owned()));
    };
    let mut tails = Tails::default();
    let read = read(output.boxed(), exec.output, &mut tails);
    match exec.input {
        Some(source) => feed(source, input, read).await?,
        None => read.await?,
    }
    let code = exit_code(docker, &run).await?;
    Ok(Exited { code, output: tails.output.text(), errors: tails.errors.text() })
}

/// Writes the input while the output is read, until the output ends: a program may end before it has read all.
async fn feed(
    mut source: ExecInput,
    mut input: std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>,
    read: impl Future<Output = Result<(), EngineError>>,
) -> Result<(), EngineError> {
    let write = async {
        let copied = tokio::io::copy(&mut source, &mut input).await;
        // Its exit code tells what came of it.
        let _closed = input.shutdown().await;
        copied.map(drop).map_err(|error| error.to_string())
    };
    tokio::pin!(write, read);
    tokio::select! {
        ended = &mut read => ended,
        written = &mut write => match written {
            Ok(()) => read.await,
            // Where the program ended, that is why; where the source failed, what it was given is not whole.
            Err(reason) => {
                read.await?;
                Err(EngineError::Refused(format!("a program did not take all of its input: {reason}")))
            }
        }
    }
}

async fn read(
    mut stream: BoxStream<'_, Result<LogOutput, Error>>,
    mut output: Option<ExecOutput>,
    tails: &mut Tails,
) -> Result<(), EngineError> {
    let unwritten =
        |error: std::io::Error| EngineError::Refused(format!("a program's output cannot be kept: {error}"));
    while let Some(piece) = stream.next().await {
        match piece.map_err(refusal)? {
            LogOutput::StdErr { message } => tails.errors.push(&message),
            LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
                match &mut output {
                    Some(output) => output.write_all(&message).await.map_err(unwritten)?,
                    None => tails.output.push(&message),
                }
            }
        }
    }
    match &mut output {
        Some(output) => output.flush().await.map_err(unwritten),
        None => Ok(()),
    }
}

/// The output may end a moment before the engine knows how the program did.
async fn exit_code(docker: &Docker, run: &str) -> Result<i64, EngineError> {
    let asked = async {
        loop {
            let inspected = bounded(ASK_LIMIT, docker.inspect_exec(run)).await?;
            if let (Some(code), Some(false)) = (inspected.exit_code, inspected.running) {
                return Ok(code);
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    };
    tokio::time::timeout(ASK_LIMIT, asked).await.unwrap_or(Err(EngineError::TimedOut(ASK_LIMIT)))
}

#[derive(Default)]
struct Tails {
    output: Tail,
    errors: Tail,
}

/// The last bytes of a stream.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let excess = self.0.len().saturating_sub(TAIL_LIMIT);
        self.0.drain(..excess);
    }

    fn text(mut self) -> String {
        String::from_utf8_lossy(self.0.make_contiguous()).trim().to_owned()
    }
}
