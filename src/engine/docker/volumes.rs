//! Volumes of addons.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder};

use super::labels::{self, Labels};
use super::{ASK_LIMIT, WORK_LIMIT, bounded, outcome};
use crate::engine::instance::InstanceVolume;
use crate::engine::{EngineError, Outcome};

/// Makes a volume, or finds it; gives its name. One of that name which is not ours is refused.
pub(super) async fn ensure(
    docker: &Docker,
    labels: &Labels,
    volume: InstanceVolume,
) -> Result<String, EngineError> {
    let name = name(labels, volume);
    let request = VolumeCreateRequest {
        name: Some(name.clone()),
        driver: Some("local".to_owned()),
        labels: Some(labels.of_volume(volume)),
        ..VolumeCreateRequest::default()
    };
    let made = bounded(WORK_LIMIT, docker.create_volume(request)).await?;
    // Where there is one already, the engine answers with that one.
    if identify(&made.labels) == Some(volume) {
        return Ok(name);
    }
    Err(EngineError::Refused(format!("there is a volume {name} that is not of this installation")))
}

pub(super) async fn list(docker: &Docker, labels: &Labels) -> Result<Vec<InstanceVolume>, EngineError> {
    let options = ListVolumesOptionsBuilder::default().filters(&labels.addon_filter()).build();
    let listed = bounded(ASK_LIMIT, docker.list_volumes(Some(options))).await?;
    let volumes: Vec<Volume> = listed.volumes.unwrap_or_default();
    Ok(volumes.iter().filter_map(|volume| identify(&volume.labels)).collect())
}

pub(super) async fn remove(
    docker: &Docker,
    labels: &Labels,
    volume: InstanceVolume,
) -> Result<Outcome, EngineError> {
    if !list(docker, labels).await?.contains(&volume) {
        return Ok(Outcome::Nothing);
    }
    let options = RemoveVolumeOptionsBuilder::default().build();
    outcome(WORK_LIMIT, &[404], docker.remove_volume(&name(labels, volume), Some(options))).await
}

fn name(labels: &Labels, volume: InstanceVolume) -> String {
    labels.name(&format!("{}-{}-{}", volume.addon, volume.role, volume.generation))
}

fn identify(labels: &HashMap<String, String>) -> Option<InstanceVolume> {
    Some(InstanceVolume {
        addon: labels.get(labels::ADDON)?.parse().ok()?,
        role: labels.get(labels::ROLE)?.parse().ok()?,
        generation: labels.get(labels::GENERATION)?.parse().ok()?,
    })
}
