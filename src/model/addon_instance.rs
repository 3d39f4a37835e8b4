//! Instances: what runs on this host's engine for an addon of a built-in service.
//!
//! Invariant: its credentials, its host name and its image are decided once; they outlive each of its containers.

use super::addon_engine::{ServiceEngine, Values};
use super::build::ImageReference;
use super::ids::AddonId;
use super::time::Timestamp;

/// An instance as it shall be.
#[derive(Clone, PartialEq, Eq)]
pub struct AddonInstance {
    pub addon: AddonId,
    /// Name of the service, as in the catalogue.
    pub service: String,
    /// Full name of the plan, as in the catalogue.
    pub plan: String,
    /// By which apps reach it; no other instance has it.
    pub host: AddonHost,
    /// Of the catalogue when it was made: data of one version may be nothing to another.
    pub image: ImageReference,
    pub secrets: InstanceSecrets,
    /// Which volume has its data; a backup that is laid out as files makes the next.
    pub generation: u32,
    pub phase: InstancePhase,
    /// Why it failed; else empty.
    pub reason: String,
    /// MiB at which it is ended.
    pub memory_mib: u32,
    /// When the next backup of the plan's schedule is made.
    pub backup_due_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

/// The passwords of an instance. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct InstanceSecrets {
    pub password: String,
    pub admin_password: String,
}

crate::text_enum! {
    /// How far an instance is.
    pub enum InstancePhase {
        /// It is being made for the first time.
        Making => "making",
        /// Apps can use it; it is started again whenever it ends.
        Ready => "ready",
        /// It could not be made.
        Failed => "failed",
        /// A last backup is made, and everything else is taken away.
        Removing => "removing",
    }
}

/// The name by which apps reach an instance: a label, then `.addons`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddonHost(String);

/// Characters of an addon's id in names inside of it.
const ID_PART: usize = 12;
/// Longest label of a name in the DNS.
const LABEL_LIMIT: usize = 63;

impl AddonInstance {
    /// What is filled into the templates of its service.
    pub fn values(&self, engine: &ServiceEngine) -> Values {
        let id = self.addon.uuid().simple().to_string();
        let part = id.get(id.len().saturating_sub(ID_PART)..).unwrap_or_default();
        Values {
            user: format!("u{part}"),
            password: self.secrets.password.clone(),
            admin_password: self.secrets.admin_password.clone(),
            database: format!("d{part}"),
            host: self.host.to_string(),
            port: engine.port,
            memory_mib: self.memory_mib,
        }
    }
}

impl AddonHost {
    /// Of the name of an addon, which is lower-case; a given `number` tells it from another of that name.
    pub fn of(name: &str, number: Option<&str>) -> Self {
        let label: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let label = label.trim_matches('-');
        let room = LABEL_LIMIT - number.map_or(0, |number| number.len() + 1);
        let label = label.get(..room.min(label.len())).unwrap_or(label).trim_end_matches('-');
        match number {
            Some(number) => Self(format!("{label}-{number}.addons")),
            None => Self(format!("{label}.addons")),
        }
    }

    /// Takes a value that was made by [`AddonHost::of`].
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The name as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before `.addons`.
    pub fn label(&self) -> &str {
        self.0.trim_end_matches(".addons")
    }
}

impl std::fmt::Display for AddonHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::fmt::Debug for AddonInstance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddonInstance")
            .field("addon", &self.addon)
            .field("host", &self.host)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for InstanceSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("InstanceSecrets([sealed])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_of_the_dns_whatever_the_addon_is_called() {
        assert_eq!(AddonHost::of("alamo-redis-fire-1", None).as_str(), "alamo-redis-fire-1.addons");
        assert_eq!(AddonHost::of("my_db_", Some("c0ffee")).as_str(), "my-db-c0ffee.addons");
        let long = AddonHost::of(&"x".repeat(80), Some("c0ffee"));
        assert_eq!(long.label().len(), 63);
    }
}
