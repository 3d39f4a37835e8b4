//! Networks: a bridge for each space. Docker keeps bridges apart, so spaces do not reach each other.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{Network, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptionsBuilder;

use super::labels::{self, Labels};
use super::{ASK_LIMIT, WORK_LIMIT, bounded, outcome};
use crate::engine::{EngineError, NetworkName, ObservedNetwork, Outcome};
use crate::model::ids::SpaceId;
use crate::model::names::SpaceName;

/// Finds or makes the network of a space. One call at a time: Docker lets two networks have one name, and then
/// starts no container in either. Where there are several all the same, the oldest is taken and the others are
/// removed, once nothing uses them.
pub(super) async fn ensure(
    docker: &Docker,
    labels: &Labels,
    space: SpaceId,
    name: &SpaceName,
) -> Result<NetworkName, EngineError> {
    if let Some(network) = only(docker, of_space(docker, labels, space).await?).await? {
        return Ok(network);
    }
    let request = NetworkCreateRequest {
        name: format!("akkeris-{name}-{}", labels.short()),
        driver: Some("bridge".to_owned()),
        labels: Some(labels.of_network(space)),
        ..NetworkCreateRequest::default()
    };
    let created = bounded(WORK_LIMIT, docker.create_network(request)).await;
    let made = only(docker, of_space(docker, labels, space).await?).await?;
    made.ok_or_else(|| match created {
        Err(error) => error,
        Ok(_) => EngineError::Refused(format!("the network of the space {name} went away as it was made")),
    })
}

/// The first of these networks, without the others.
async fn only(docker: &Docker, networks: Vec<NetworkName>) -> Result<Option<NetworkName>, EngineError> {
    let mut networks = networks.into_iter();
    let first = networks.next();
    for extra in networks {
        remove(docker, &extra).await?;
    }
    Ok(first)
}

pub(super) async fn list(docker: &Docker, labels: &Labels) -> Result<Vec<ObservedNetwork>, EngineError> {
    let networks = query(docker, labels).await?;
    Ok(networks
        .into_iter()
        .filter_map(|network| {
            let space = network.labels.as_ref()?.get(labels::SPACE)?.parse().ok()?;
            Some(ObservedNetwork { name: NetworkName::new(network.id?), space })
        })
        .collect())
}

pub(super) async fn remove(docker: &Docker, name: &NetworkName) -> Result<Outcome, EngineError> {
    // 403: a container uses it.
    outcome(WORK_LIMIT, &[403, 404], docker.remove_network(name.as_str())).await
}

async fn query(docker: &Docker, labels: &Labels) -> Result<Vec<Network>, EngineError> {
    let filter: HashMap<String, Vec<String>> = labels.filter(None);
    let options = ListNetworksOptionsBuilder::default().filters(&filter).build();
    bounded(ASK_LIMIT, docker.list_networks(Some(options))).await
}

/// The networks of a space, oldest first.
async fn of_space(docker: &Docker, labels: &Labels, space: SpaceId) -> Result<Vec<NetworkName>, EngineError> {
    let space = space.to_string();
    let mut networks: Vec<Network> = query(docker, labels)
        .await?
        .into_iter()
        .filter(|network| {
            network.labels.as_ref().and_then(|labels| labels.get(labels::SPACE)) == Some(&space)
        })
        .collect();
    networks.sort_by_key(|network| (network.created.as_ref().map(ToString::to_string), network.id.clone()));
    Ok(networks.into_iter().filter_map(|network| network.id).map(NetworkName::new).collect())
}
