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
    let mut partial = String::new();
    while let Some(step) = output.next().await {
        let step = step.map_err(|error| refusal(error).meaning(EngineError::BuildFailed))?;
        partial.push_str(&step.stream.unwrap_or_default());
        while let Some((line, rest)) = partial.split_once('\n') {
            // Nobody reading the log is no reason to stop building.
            let _closed = log.send(line.trim_end_matches('\r').to_owned()).await;
            partial = rest.to_owned();
        }
    }
    if !partial.is_empty() {
        let _closed = log.send(partial).await;
    }
    images::find(docker, &name)
        .await?
        .ok_or_else(|| EngineError::BuildFailed("the engine ended the build without an image".to_owned()))
}

fn chunks(file: tokio::fs::File) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static {
    futures_util::stream::try_unfold(file, async |mut file| {
        let mut chunk = vec![0; CHUNK];
        let read = file.read(&mut chunk).await?;
        chunk.truncate(read);
        Ok((read > 0).then(|| (Bytes::from(chunk), file)))
    })
}
