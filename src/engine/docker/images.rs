//! Images: pulled, found, named as ours, listed and removed.

use std::collections::HashMap;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptionsBuilder, PruneImagesOptionsBuilder,
    RemoveImageOptionsBuilder, TagImageOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::sync::mpsc;

use super::labels::Labels;
use super::{ASK_LIMIT, WORK_LIMIT, bounded, found, refusal};
use crate::engine::{EngineError, ObservedImage, Outcome};
use crate::model::build::{ImageId, ImageReference, RegistryLogin};
use crate::model::ids::{AppId, BuildId};

pub(super) async fn pull(
    docker: &Docker,
    image: &ImageReference,
    login: Option<&RegistryLogin>,
    log: &mpsc::Sender<String>,
) -> Result<ImageId, EngineError> {
    let unavailable = |reason: String| EngineError::NoImage { image: image.as_str().to_owned(), reason };
    let options = CreateImageOptionsBuilder::default().from_image(image.as_str()).build();
    let credentials = login.map(|login| DockerCredentials {
        username: Some(login.user.clone()),
        password: Some(login.password.clone()),
        ..DockerCredentials::default()
    });
    let mut progress = docker.create_image(Some(options), None, credentials);
    while let Some(step) = progress.next().await {
        let step = step.map_err(|error| refusal(error).meaning(unavailable))?;
        // Bytes of a layer come many times a second; only the steps are worth a line.
        let counting =
            step.progress_detail.is_some_and(|detail| detail.total.is_some() || detail.current.is_some());
        if let (false, Some(status)) = (counting, step.status) {
            let line = step.id.map_or_else(|| status.clone(), |id| format!("{id}: {status}"));
            // Nobody reading the log is no reason to stop pulling.
            let _closed = log.send(line).await;
        }
    }
    find(docker, image.as_str()).await?.ok_or_else(|| unavailable("the registry sent no image".to_owned()))
}

pub(super) async fn find(docker: &Docker, reference: &str) -> Result<Option<ImageId>, EngineError> {
    let image = found(ASK_LIMIT, docker.inspect_image(reference)).await?;
    Ok(image.and_then(|image| image.id).map(ImageId::new))
}

pub(super) async fn tag(
    docker: &Docker,
    image: &ImageId,
    repository: &str,
    build: BuildId,
) -> Result<(), EngineError> {
    let options = TagImageOptionsBuilder::default().repo(repository).tag(&build.to_string()).build();
    bounded(WORK_LIMIT, docker.tag_image(image.as_str(), Some(options))).await
}

/// The images of this installation are those in its repositories, built and pulled ones alike.
pub(super) async fn list(docker: &Docker, labels: &Labels) -> Result<Vec<ObservedImage>, EngineError> {
    let prefix = labels.repository_prefix();
    let filters = HashMap::from([("reference".to_owned(), vec![format!("{prefix}*")])]);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let images = bounded(ASK_LIMIT, docker.list_images(Some(options))).await?;
    let mut observed = Vec::new();
    for image in images {
        for tag in &image.repo_tags {
            let parsed = tag.strip_prefix(&prefix).and_then(|rest| rest.split_once(':'));
            if let Some((app, build)) = parsed
                && let (Ok(app), Ok(build)) = (app.parse(), build.parse())
            {
                observed.push(ObservedImage { id: ImageId::new(image.id.clone()), app, build });
            }
        }
    }
    Ok(observed)
}

/// Takes our tag off. The layers go with the last tag, unless a container uses them.
pub(super) async fn remove(
    docker: &Docker,
    repository: &str,
    build: BuildId,
) -> Result<Outcome, EngineError> {
    use bollard::errors::Error;
    let name = format!("{repository}:{build}");
    let options = RemoveImageOptionsBuilder::default().force(false).noprune(false).build();
    let call = docker.remove_image(&name, Some(options), None);
    match tokio::time::timeout(WORK_LIMIT, call).await {
        Ok(Ok(_)) => Ok(Outcome::Done),
        // 404: it is not there; 409: a container uses it.
        Ok(Err(Error::DockerResponseServerError { status_code: 404 | 409, .. })) => Ok(Outcome::Nothing),
        Ok(Err(error)) => Err(refusal(error)),
        Err(_) => Err(EngineError::TimedOut(WORK_LIMIT)),
    }
}

/// Images without a tag that carry our label and are older than a day, in which they serve as a cache.
pub(super) async fn prune(docker: &Docker, labels: &Labels) -> Result<u64, EngineError> {
    let filters = HashMap::from([
        ("dangling".to_owned(), vec!["true".to_owned()]),
        ("label".to_owned(), vec![labels.image_label()]),
        ("until".to_owned(), vec!["24h".to_owned()]),
    ]);
    let options = PruneImagesOptionsBuilder::default().filters(&filters).build();
    let pruned = bounded(WORK_LIMIT, docker.prune_images(Some(options))).await?;
    Ok(pruned.space_reclaimed.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(0))
}

/// The tag that a build's image gets.
pub(super) fn name(labels: &Labels, app: AppId, build: BuildId) -> String {
    format!("{}:{build}", labels.repository(app))
}
