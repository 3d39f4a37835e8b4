//! Builds an image with the engine's classic builder, which every engine from 20.10 on has.

use bollard::Docker;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::{Stream, StreamExt};
use hyper::body::Bytes;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::labels::Labels;
use super::{images, refusal};
use crate::engine::{BuildSpec, EngineError};
use crate::model::build::ImageId;

/// Bytes of the context that are in memory at a time.
const CHUNK: usize = 64 * 1024;
/// Bytes of output without an end of a line that are kept: more than any line that a log shows, and than any secret
/// that must be found in it as a whole.
const LINE_LIMIT: usize = 256 * 1024;

/// The context is streamed from its file; dropping the future closes the connection, upon which the engine
/// ends the build and removes its intermediate containers.
pub(super) async fn build(
    docker: &Docker,
    labels: &Labels,
    spec: &BuildSpec,
    log: &mpsc::Sender<String>,
) -> Result<ImageId, EngineError> {
    let name = images::name(labels, spec.app, spec.build);
    let args = spec.args.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let image_labels = labels.of_image(spec.app, spec.build);
    let options = BuildImageOptionsBuilder::default()
        .dockerfile(&spec.dockerfile)
        .t(&name)
        .rm(true)
        .forcerm(true)
        .buildargs(&args)
        .labels(&image_labels)
        .build();
    let file = tokio::fs::File::open(&spec.context)
        .await
        .map_err(|error| EngineError::Refused(format!("the build context cannot be read: {error}")))?;
    let body = bollard::body_try_stream(chunks(file));
    let mut output = docker.build_image(options, None, Some(body));
    let mut partial = PartialLine::default();
    while let Some(step) = output.next().await {
        let step = step.map_err(|error| refusal(error).meaning(EngineError::BuildFailed))?;
        for line in partial.take(&step.stream.unwrap_or_default()) {
            // Nobody reading the log is no reason to stop building.
            let _closed = log.send(line).await;
        }
    }
    if !partial.is_empty() {
        let _closed = log.send(partial.end()).await;
    }
    images::find(docker, &name)
        .await?
        .ok_or_else(|| EngineError::BuildFailed("the engine ended the build without an image".to_owned()))
}

/// Output that is yet to become a line.
#[derive(Debug, Default)]
struct PartialLine {
    text: String,
    too_long: bool,
}

impl PartialLine {
    /// The lines that end in the piece.
    fn take(&mut self, piece: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for part in piece.split_inclusive('\n') {
            match part.strip_suffix('\n') {
                Some(end) => {
                    self.add(end);
                    lines.push(self.end());
                }
                None => self.add(part),
            }
        }
        lines
    }

    fn add(&mut self, text: &str) {
        self.too_long |= self.text.len() + text.len() > LINE_LIMIT;
        if self.too_long {
            self.text = String::new();
        } else {
            self.text.push_str(text);
        }
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.too_long
    }

    /// Nothing of a line that is too long is shown: where it is cut, so might be a secret.
    fn end(&mut self) -> String {
        let Self { mut text, too_long } = std::mem::take(self);
        if too_long {
            return format!("[a line of more than {} KiB is left out]", LINE_LIMIT / 1024);
        }
        text.truncate(text.trim_end_matches('\r').len());
        text
    }
}

fn chunks(file: tokio::fs::File) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    futures_util::stream::try_unfold(file, async |mut file| {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok((read > 0).then(|| (Bytes::from(chunk), file)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let mut partial = PartialLine::default();
        assert_eq!(partial.take("a\nb"), ["a"]);
        assert_eq!(partial.take("c\r\n\nd"), ["bc", ""]);
        assert!(!partial.is_empty());
        assert_eq!(partial.end(), "d");
        assert!(partial.is_empty());
    }

    #[test]
    fn output_without_an_end_of_line_does_not_stay_in_memory() {
        let mut partial = PartialLine::default();
        for _ in 0..100 {
            assert_eq!(partial.take(&"x".repeat(32 * 1024)), [""; 0]);
            assert!(partial.text.len() <= LINE_LIMIT);
        }
        assert_eq!(partial.take("x\nnext\n"), ["[a line of more than 256 KiB is left out]", "next"]);
        assert!(partial.is_empty());
    }
}
