//! Follows what happens to our containers.

use std::collections::HashMap;
use std::str::FromStr;

use bollard::Docker;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::containers::RunningSince;
use super::labels::{self, Labels};
use super::refusal;
use crate::engine::{EngineError, EngineEvent};
use crate::model::ids::AddonId;

/// What is worth a look: the beginning and the end of a process, and the going of a container.
const ACTIONS: [&str; 4] = ["start", "die", "oom", "destroy"];

/// The apps whose dynos changed.
pub(super) fn follow(
    docker: &Docker,
    labels: &Labels,
    running_since: RunningSince,
) -> BoxStream<'static, Result<EngineEvent, EngineError>> {
    let apps = follow_label(docker, labels.filter(None), labels::APP, running_since);
    apps.map(|event| event.map(|app| EngineEvent { app })).boxed()
}

/// The addons whose containers changed.
pub(super) fn follow_addons(
    docker: &Docker,
    labels: &Labels,
    running_since: RunningSince,
) -> BoxStream<'static, Result<AddonId, EngineError>> {
    follow_label(docker, labels.addon_filter(), labels::ADDON, running_since)
}

/// The values of a label of the containers that changed.
fn follow_label<T: FromStr + Send + 'static>(
    docker: &Docker,
    mut filters: HashMap<String, Vec<String>>,
    label: &'static str,
    running_since: RunningSince,
) -> BoxStream<'static, Result<T, EngineError>> {
    filters.insert("type".to_owned(), vec!["container".to_owned()]);
    filters.insert("event".to_owned(), ACTIONS.map(str::to_owned).to_vec());
    let options = EventsOptionsBuilder::default().filters(&filters).build();
    let docker = docker.clone();
    docker
        .events(Some(options))
        .filter_map(move |event| {
            let event = event.map_err(refusal).map(|event| {
                let actor = event.actor?;
                if let Some(id) = &actor.id {
                    running_since.forget(id);
                }
                actor.attributes?.get(label)?.parse().ok()
            });
            futures_util::future::ready(event.transpose())
        })
        .boxed()
}
