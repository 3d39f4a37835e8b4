//! How the container of an instance is made, out of the catalogue and of what was decided for the instance.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Context;
use crate::engine::instance::{Endpoint, InstanceRole, InstanceSpec, InstanceVolume};
use crate::model::addon_engine::{ServiceEngine, Values, fill_all, fill_map};
use crate::model::addon_instance::AddonInstance;
use crate::model::build::ImageId;

/// An instance with what the catalogue says of its service now.
#[derive(Debug, Clone)]
pub(in crate::addons) struct Blueprint {
    pub(in crate::addons) engine: Arc<ServiceEngine>,
    pub(in crate::addons) values: Values,
    pub(in crate::addons) fingerprint: String,
}

impl Blueprint {
    /// `None` where the catalogue does not have the service any more.
    pub(in crate::addons) fn of(context: &Context, instance: &AddonInstance) -> Option<Self> {
        let catalogue = context.catalogue.load();
        let service = catalogue.addon_services.iter().find(|one| one.name.as_str() == instance.service)?;
        let engine = Arc::clone(service.engine.as_ref()?);
        let values = instance.values(&engine);
        let made_of = MadeOf {
            image: instance.image.as_str(),
            host: instance.host.as_str(),
            generation: instance.generation,
            memory_mib: instance.memory_mib,
            command: engine.command.as_ref().map(|command| fill_all(command, &values)),
            env: fill_map(&engine.env, &values),
            volume: engine.volume.as_deref(),
        };
        // A structure of texts and numbers cannot fail to become text.
        let text = serde_json::to_vec(&made_of).unwrap_or_default();
        let fingerprint = context.sealer.fingerprint(&text);
        Some(Self { engine, values, fingerprint })
    }

    /// What its container is made from.
    pub(in crate::addons) fn spec(
        &self,
        instance: &AddonInstance,
        role: InstanceRole,
        image: ImageId,
        endpoint: Option<Endpoint>,
    ) -> InstanceSpec {
        let generation = match role {
            InstanceRole::Service | InstanceRole::Drill => instance.generation,
            InstanceRole::Restore => instance.generation.saturating_add(1),
        };
        InstanceSpec {
            addon: instance.addon,
            role,
            name: instance.host.label().to_owned(),
            image,
            command: self.engine.command.as_ref().map(|command| fill_all(command, &self.values)),
            env: fill_map(&self.engine.env, &self.values),
            memory_limit: u64::from(instance.memory_mib) << 20,
            volume: self.engine.volume.clone().map(|path| {
                // What a restored backup is laid into becomes the volume of the instance itself.
                let role = if role == InstanceRole::Drill { role } else { InstanceRole::Service };
                (InstanceVolume { addon: instance.addon, role, generation }, path)
            }),
            endpoint,
            fingerprint: self.fingerprint.clone(),
        }
    }

    /// The environment of programs that are run inside of it.
    pub(in crate::addons) fn exec_env(&self) -> BTreeMap<String, String> {
        fill_map(&self.engine.exec_env, &self.values)
    }

    /// A text of a program without the passwords that it may repeat.
    pub(in crate::addons) fn redacted(&self, text: &str) -> String {
        text.replace(&self.values.password, "[redacted]").replace(&self.values.admin_password, "[redacted]")
    }
}

/// What would need another container when it changed.
#[derive(serde::Serialize)]
struct MadeOf<'a> {
    image: &'a str,
    host: &'a str,
    generation: u32,
    memory_mib: u32,
    command: Option<Vec<String>>,
    env: BTreeMap<String, String>,
    volume: Option<&'a str>,
}
