//! Holds the input and output of a container.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::{AttachContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder};
use futures_util::StreamExt;

use super::{ASK_LIMIT, bounded, outcome, refusal};
use crate::engine::{Attachment, ContainerId, EngineError, Outcome, TerminalSize};
use crate::model::log::OutputStream;

pub(super) async fn attach(docker: &Docker, id: &ContainerId) -> Result<Attachment, EngineError> {
    let options =
        AttachContainerOptionsBuilder::default().stdin(true).stdout(true).stderr(true).stream(true).build();
    let attached = bounded(ASK_LIMIT, docker.attach_container(id.as_str(), Some(options))).await?;
    let output = attached.output.map(|output| output.map(piece).map_err(refusal)).boxed();
    Ok(Attachment { output, input: attached.input })
}

fn piece(output: LogOutput) -> (OutputStream, bytes::Bytes) {
    match output {
        LogOutput::StdErr { message } => (OutputStream::Stderr, message),
        LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
            (OutputStream::Stdout, message)
        }
    }
}

pub(super) async fn resize(
    docker: &Docker,
    id: &ContainerId,
    size: TerminalSize,
) -> Result<Outcome, EngineError> {
    let options =
        ResizeContainerTTYOptionsBuilder::default().w(size.columns.into()).h(size.rows.into()).build();
    // 409: it does not run.
    outcome(ASK_LIMIT, &[404, 409], docker.resize_container_tty(id.as_str(), options)).await
}
