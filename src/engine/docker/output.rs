//! Follows what a container writes.

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::refusal;
use crate::engine::{ContainerId, EngineError, OutputFrom, OutputPiece};
use crate::model::log::OutputStream;

pub(super) fn follow(
    docker: &Docker,
    id: &ContainerId,
    from: OutputFrom,
) -> BoxStream<'static, Result<OutputPiece, EngineError>> {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).follow(true).timestamps(true);
    let options = match from {
        OutputFrom::Second(since) => options.since(i32::try_from(since).unwrap_or(0)),
        OutputFrom::Last(lines) => options.tail(&lines.to_string()),
    };
    docker
        .logs(id.as_str(), Some(options.build()))
        .map(|output| output.map_err(refusal).and_then(piece))
        .boxed()
}

/// Takes the time off the front of a message.
fn piece(output: LogOutput) -> Result<OutputPiece, EngineError> {
    let (stream, mut bytes) = match output {
        LogOutput::StdErr { message } => (OutputStream::Stderr, message),
        LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
            (OutputStream::Stdout, message)
        }
    };
    let nanos = nanos(&bytes).ok_or_else(|| {
        EngineError::Unavailable("a line of a container's output came without its time".to_owned())
    })?;
    let time = bytes.iter().position(|byte| *byte == b' ').map_or(bytes.len(), |space| space + 1);
    bytes.advance(time);
    Ok(OutputPiece { stream, nanos, bytes })
}

fn nanos(message: &Bytes) -> Option<i64> {
    let time = message.split(|byte| *byte == b' ').next()?;
    let instant: jiff::Timestamp = std::str::from_utf8(time).ok()?.parse().ok()?;
    i64::try_from(instant.as_nanosecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_taken_off_and_the_rest_stays_as_it_is() {
        let message = Bytes::from_static(b"2026-01-01T00:00:00.123456789Z  two words\n");
        let piece = piece(LogOutput::StdErr { message }).unwrap();
        assert_eq!((piece.stream, piece.nanos), (OutputStream::Stderr, 1_767_225_600_123_456_789));
        assert_eq!(piece.bytes, " two words\n");
        let empty = Bytes::from_static(b"2026-01-01T00:00:00.000000000Z ");
        assert_eq!(super::piece(LogOutput::StdOut { message: empty }).unwrap().bytes, "");
        let message = Bytes::from_static(b"no time");
        assert!(super::piece(LogOutput::StdOut { message }).is_err());
    }
}
