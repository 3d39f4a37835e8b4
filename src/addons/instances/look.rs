//! What is, beside what shall be: the rows of the instances, and what the engine has of them.

use std::collections::{BTreeSet, HashMap};

use super::decide::{Sight, Step, decide};
use super::spec::Blueprint;
use super::{Context, InstanceError};
use crate::engine::NetworkName;
use crate::engine::instance::{InstanceVolume, ObservedInstance};
use crate::model::addon_instance::AddonInstance;
use crate::model::ids::{AddonId, SpaceId};
use crate::model::names::SpaceName;
use crate::store::{self, Connection, StoreError};

/// An instance with who uses it.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) instance: AddonInstance,
    /// The spaces whose apps use it.
    pub(super) spaces: Vec<(SpaceId, SpaceName)>,
    pub(super) is_unsaved: bool,
}

/// What the engine has.
#[derive(Debug, Default)]
pub(super) struct Look {
    containers: Vec<ObservedInstance>,
    volumes: Vec<InstanceVolume>,
    networks: HashMap<SpaceId, NetworkName>,
}

/// Loads one instance, or all.
pub(super) async fn load(context: &Context, addon: Option<AddonId>) -> Result<Vec<Wanted>, StoreError> {
    let sealer = context.sealer.clone();
    context
        .store
        .read(move |c| {
            let instances = match addon {
                Some(addon) => store::addon_instances::find(c, &sealer, addon)?.into_iter().collect(),
                None => store::addon_instances::list(c, &sealer)?,
            };
            instances.into_iter().map(|instance| wanted(c, instance)).collect()
        })
        .await
}

fn wanted(connection: &Connection, instance: AddonInstance) -> Result<Wanted, StoreError> {
    let users = store::addon_attachments::list_by_addon(connection, instance.addon)?;
    let names: BTreeSet<SpaceName> = users.into_iter().map(|user| user.app.space).collect();
    let mut spaces = Vec::with_capacity(names.len());
    for name in names {
        let space = store::spaces::find_by_name(connection, &name)?;
        spaces.extend(space.map(|space| (space.id, space.name)));
    }
    let is_unsaved = store::addon_backups::find_final_pending(connection, instance.addon)?.is_some();
    Ok(Wanted { instance, spaces, is_unsaved })
}

impl Look {
    /// Looks at the engine; makes the networks of spaces that are wanted and not there.
    pub(super) async fn at(context: &Context, wanted: &[Wanted]) -> Result<Self, InstanceError> {
        let engine = &context.engine;
        let mut networks: HashMap<SpaceId, NetworkName> =
            engine.list_networks().await?.into_iter().map(|network| (network.space, network.name)).collect();
        for (space, name) in wanted.iter().flat_map(|one| &one.spaces) {
            if !networks.contains_key(space) {
                networks.insert(*space, engine.ensure_network(*space, name).await?);
            }
        }
        let (containers, volumes) = (engine.list_instances().await?, engine.list_volumes().await?);
        Ok(Self { containers, volumes, networks })
    }

    /// The addons of which the engine has something.
    pub(super) fn addons(&self) -> BTreeSet<AddonId> {
        let of_volumes = self.volumes.iter().map(|volume| volume.addon);
        self.containers.iter().map(|container| container.addon).chain(of_volumes).collect()
    }

    /// What the engine has of an addon.
    pub(super) fn of(&self, addon: AddonId) -> (Vec<ObservedInstance>, Vec<InstanceVolume>) {
        let containers = self.containers.iter().filter(|one| one.addon == addon).cloned();
        let volumes = self.volumes.iter().filter(|one| one.addon == addon).copied();
        (containers.collect(), volumes.collect())
    }

    /// The networks that an instance shall be in.
    pub(super) fn networks_of(&self, wanted: &Wanted) -> Vec<NetworkName> {
        wanted.spaces.iter().filter_map(|(space, _)| self.networks.get(space).cloned()).collect()
    }

    /// Whether nobody reaches an instance but the spaces that use it.
    pub(super) fn is_apart(&self, wanted: &Wanted) -> bool {
        let networks = self.networks_of(wanted);
        let of_it = self.containers.iter().filter(|one| one.addon == wanted.instance.addon);
        networks.is_empty() || of_it.flat_map(|one| &one.networks).all(|network| networks.contains(network))
    }

    /// The next step for an instance.
    pub(super) fn step(&self, wanted: &Wanted, blueprint: Option<&Blueprint>) -> Step {
        let (containers, volumes) = self.of(wanted.instance.addon);
        decide(&Sight {
            instance: &wanted.instance,
            fingerprint: blueprint.map(|blueprint| blueprint.fingerprint.as_str()),
            wanted: &self.networks_of(wanted),
            is_unsaved: wanted.is_unsaved && blueprint.is_some_and(|one| one.engine.backup.is_some()),
            containers: &containers,
            volumes: &volumes,
        })
    }
}
