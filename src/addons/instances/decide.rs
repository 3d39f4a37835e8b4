//! What to do next for one instance: pure, one step at a time.
//!
//! Invariants: carrying steps out ends in [`Step::Nothing`], or in the instance being forgotten; a volume with the
//! data of an instance is removed only when the instance goes.

use crate::engine::instance::{InstanceRole, InstanceVolume, ObservedInstance};
use crate::engine::{ContainerId, ContainerState, NetworkName};
use crate::model::addon_instance::{AddonInstance, InstancePhase};

/// What is known of an instance.
#[derive(Debug, Clone)]
pub(super) struct Sight<'a> {
    pub instance: &'a AddonInstance,
    /// Digest of how its container shall be made; `None` where the catalogue does not say so any more.
    pub fingerprint: Option<&'a str>,
    /// The networks of the spaces whose apps use it.
    pub wanted: &'a [NetworkName],
    /// A last backup is still to be made.
    pub is_unsaved: bool,
    /// Its containers, of each role.
    pub containers: &'a [ObservedInstance],
    /// Its volumes, of each role.
    pub volumes: &'a [InstanceVolume],
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// All is as it shall be, or cannot be made so.
    Nothing,
    /// Stop a container and remove it.
    Remove(ContainerId),
    RemoveVolume(InstanceVolume),
    Create,
    Start(ContainerId),
    Connect(ContainerId, NetworkName),
    Disconnect(ContainerId, NetworkName),
    /// See whether it is ready, and set it up.
    Prepare(ContainerId),
    /// Make the last backup.
    Save(ContainerId),
    /// Nothing is left of it.
    Forget,
}

/// Decides on the next step.
pub(super) fn decide(sight: &Sight<'_>) -> Step {
    match sight.instance.phase {
        InstancePhase::Failed => Step::Nothing,
        InstancePhase::Making => run(sight, |id| Step::Prepare(id.clone())),
        InstancePhase::Ready => {
            run(sight, |_| superfluous_volume(sight).map_or(Step::Nothing, Step::RemoveVolume))
        }
        InstancePhase::Removing if sight.is_unsaved => run(sight, |id| Step::Save(id.clone())),
        InstancePhase::Removing => remove(sight),
    }
}

/// Has it run as it shall, then goes on with `then`.
fn run(sight: &Sight<'_>, then: impl FnOnce(&ContainerId) -> Step) -> Step {
    let mut services = sight.containers.iter().filter(|one| one.role == InstanceRole::Service);
    let Some(first) = services.next() else {
        let is_reachable = !sight.wanted.is_empty() || sight.is_unsaved;
        return if sight.fingerprint.is_some() && is_reachable { Step::Create } else { Step::Nothing };
    };
    if let Some(extra) = services.next() {
        return Step::Remove(extra.id.clone());
    }
    let is_outdated = sight.fingerprint.is_some_and(|wanted| wanted != first.fingerprint);
    if is_outdated && !sight.is_unsaved {
        return Step::Remove(first.id.clone());
    }
    match &first.state {
        ContainerState::Dead => Step::Remove(first.id.clone()),
        // Where it could not be started, a new one may be.
        ContainerState::Exited { error, .. } if !error.is_empty() && sight.fingerprint.is_some() => {
            Step::Remove(first.id.clone())
        }
        ContainerState::Created | ContainerState::Exited { .. } => Step::Start(first.id.clone()),
        ContainerState::Running { .. } => reach(sight, first).unwrap_or_else(|| then(&first.id)),
    }
}

/// Which network it is to join or to leave.
fn reach(sight: &Sight<'_>, container: &ObservedInstance) -> Option<Step> {
    let missing = sight.wanted.iter().find(|wanted| !container.networks.contains(wanted));
    if let Some(network) = missing {
        return Some(Step::Connect(container.id.clone(), network.clone()));
    }
    // Whoever is in no network at all cannot join one again.
    let extra = container.networks.iter().find(|network| !sight.wanted.contains(network));
    let extra = extra.filter(|_| !sight.wanted.is_empty())?;
    Some(Step::Disconnect(container.id.clone(), extra.clone()))
}

/// A volume whose data was replaced by a restored backup.
fn superfluous_volume(sight: &Sight<'_>) -> Option<InstanceVolume> {
    let is_old = |volume: &&InstanceVolume| {
        volume.role == InstanceRole::Service && volume.generation < sight.instance.generation
    };
    sight.volumes.iter().find(is_old).copied()
}

fn remove(sight: &Sight<'_>) -> Step {
    if let Some(container) = sight.containers.first() {
        return Step::Remove(container.id.clone());
    }
    sight.volumes.first().map_or(Step::Forget, |volume| Step::RemoveVolume(*volume))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::model::addon_instance::{AddonHost, InstanceSecrets};
    use crate::model::build::ImageReference;
    use crate::model::ids::AddonId;
    use crate::model::time::Timestamp;

    /// An engine of one instance.
    #[derive(Debug, Clone)]
    struct World {
        instance: AddonInstance,
        unsaved: bool,
        wanted: Vec<NetworkName>,
        containers: Vec<ObservedInstance>,
        volumes: Vec<InstanceVolume>,
        made: u32,
        forgotten: bool,
    }

    fn network(number: u8) -> NetworkName {
        NetworkName::new(format!("n{number}"))
    }

    fn instance(phase: InstancePhase, generation: u32) -> AddonInstance {
        AddonInstance {
            addon: AddonId::new(Uuid::nil()),
            service: "db".to_owned(),
            plan: "db:small".to_owned(),
            host: AddonHost::of("db", None),
            image: ImageReference::parse("db:1").unwrap(),
            secrets: InstanceSecrets { password: String::new(), admin_password: String::new() },
            generation,
            phase,
            reason: String::new(),
            memory_mib: 64,
            backup_due_at: None,
            created_at: Timestamp::from_millis(0),
        }
    }

    fn volume(generation: u32) -> InstanceVolume {
        InstanceVolume { addon: AddonId::new(Uuid::nil()), role: InstanceRole::Service, generation }
    }

    fn running() -> ContainerState {
        ContainerState::Running { address: None, started_at: Timestamp::from_millis(1) }
    }

    fn container(number: u32, fingerprint: &str, state: ContainerState) -> ObservedInstance {
        ObservedInstance {
            id: ContainerId::new(format!("c{number}")),
            addon: AddonId::new(Uuid::nil()),
            role: InstanceRole::Service,
            fingerprint: fingerprint.to_owned(),
            state,
            networks: Vec::new(),
        }
    }

    impl World {
        fn step(&self) -> Step {
            decide(&Sight {
                instance: &self.instance,
                fingerprint: Some("now"),
                wanted: &self.wanted,
                is_unsaved: self.unsaved,
                containers: &self.containers,
                volumes: &self.volumes,
            })
        }

        fn container(&mut self, id: &ContainerId) -> &mut ObservedInstance {
            self.containers.iter_mut().find(|one| one.id == *id).unwrap()
        }

        fn carry_out(&mut self, step: Step) {
            match step {
                Step::Nothing => {}
                Step::Remove(id) => self.containers.retain(|one| one.id != id),
                Step::RemoveVolume(volume) => {
                    assert!(
                        self.instance.phase == InstancePhase::Removing
                            || volume.generation < self.instance.generation,
                        "the data is gone"
                    );
                    self.volumes.retain(|one| *one != volume);
                }
                Step::Create => {
                    self.made += 1;
                    let mut made = container(100 + self.made, "now", ContainerState::Created);
                    made.networks.extend(self.wanted.first().cloned());
                    self.containers.push(made);
                    if !self.volumes.contains(&volume(self.instance.generation)) {
                        self.volumes.push(volume(self.instance.generation));
                    }
                }
                Step::Start(id) => self.container(&id).state = running(),
                Step::Connect(id, network) => self.container(&id).networks.push(network),
                Step::Disconnect(id, network) => self.container(&id).networks.retain(|one| *one != network),
                Step::Prepare(_) => self.instance.phase = InstancePhase::Ready,
                Step::Save(_) => self.unsaved = false,
                Step::Forget => self.forgotten = true,
            }
        }
    }

    fn any_state() -> impl Strategy<Value = ContainerState> {
        let exited = |error: &str| ContainerState::Exited {
            code: 1,
            out_of_memory: false,
            started_at: None,
            finished_at: Timestamp::from_millis(2),
            error: error.to_owned(),
        };
        prop_oneof![
            Just(ContainerState::Created),
            Just(running()),
            Just(exited("")),
            Just(exited("no network")),
            Just(ContainerState::Dead)
        ]
    }

    prop_compose! {
        fn any_container(number: u32)(
            state in any_state(),
            current in any::<bool>(),
            networks in prop::collection::btree_set(0_u8..4, 0..4),
        ) -> ObservedInstance {
            let mut made = container(number, if current { "now" } else { "before" }, state);
            made.networks = networks.into_iter().map(network).collect();
            made
        }
    }

    prop_compose! {
        fn any_world()(
            phase in prop::sample::select(InstancePhase::ALL),
            generation in 0_u32..3,
            unsaved in any::<bool>(),
            wanted in prop::collection::btree_set(0_u8..3, 1..3),
            one in prop::option::of(any_container(1)),
            two in prop::option::of(any_container(2)),
            volumes in prop::collection::btree_set(0_u32..3, 0..3),
        ) -> World {
            World {
                instance: instance(phase, generation),
                unsaved: unsaved && phase == InstancePhase::Removing,
                wanted: wanted.into_iter().map(network).collect(),
                containers: one.into_iter().chain(two).collect(),
                volumes: volumes.into_iter().map(volume).collect(),
                made: 0,
                forgotten: false,
            }
        }
    }

    proptest! {
        #[test]
        fn steps_end_with_one_container_in_the_networks_of_its_apps_or_with_nothing_left(world in any_world()) {
            let mut world = world;
            let began_as = world.instance.phase;
            for _ in 0..20 {
                let step = world.step();
                if step == Step::Nothing || world.forgotten {
                    break;
                }
                world.carry_out(step);
            }
            match began_as {
                InstancePhase::Failed => prop_assert_eq!(world.made, 0),
                InstancePhase::Removing => {
                    prop_assert!(world.forgotten && world.containers.is_empty() && world.volumes.is_empty());
                }
                InstancePhase::Making | InstancePhase::Ready => {
                    prop_assert_eq!(world.step(), Step::Nothing);
                    prop_assert_eq!(world.containers.len(), 1);
                    let mut networks = world.containers[0].networks.clone();
                    networks.sort();
                    prop_assert_eq!(networks, world.wanted.clone());
                    prop_assert_eq!(&world.containers[0].fingerprint, "now");
                }
            }
        }
    }

    #[test]
    fn what_the_catalogue_does_not_know_any_more_is_started_but_not_made_anew() {
        let ready = instance(InstancePhase::Ready, 0);
        let stopped = [container(1, "before", ContainerState::Created)];
        let sight = Sight {
            instance: &ready,
            fingerprint: None,
            wanted: &[network(1)],
            is_unsaved: false,
            containers: &stopped,
            volumes: &[],
        };
        assert_eq!(decide(&sight), Step::Start(ContainerId::new("c1")));
        assert_eq!(decide(&Sight { containers: &[], ..sight }), Step::Nothing);
    }
}
