//! Containers of addons: what the built-in services need of an engine beyond what dynos do.
//!
//! Invariant: an instance is never a dyno: neither is listed, changed or removed as the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{ContainerEngine, ContainerId, ContainerState, EngineError, NetworkName, Outcome};
use crate::model::build::ImageId;
use crate::model::ids::AddonId;

crate::text_enum! {
    /// What an addon's container is for.
    pub enum InstanceRole {
        /// The one that apps connect to.
        Service => "service",
        /// It is never started: a backup is laid into its volume.
        Restore => "restore",
        /// A backup is restored into it and checked; apps never reach it.
        Drill => "drill",
    }
}

/// A container to make for an addon.
#[derive(Clone, PartialEq, Eq)]
pub struct InstanceSpec {
    pub addon: AddonId,
    pub role: InstanceRole,
    /// For people, and the container's own host name.
    pub name: String,
    pub image: ImageId,
    /// `None` runs the image's own command.
    pub command: Option<Vec<String>>,
    /// Never shown by `Debug`.
    pub env: BTreeMap<String, String>,
    /// Bytes at which the kernel ends it.
    pub memory_limit: u64,
    /// The volume that keeps its data, and where it is mounted.
    pub volume: Option<(InstanceVolume, String)>,
    /// The first network that it is in; without one nobody reaches it.
    pub endpoint: Option<Endpoint>,
    /// Digest of what it was made from; kept as a label.
    pub fingerprint: String,
}

impl std::fmt::Debug for InstanceSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InstanceSpec")
            .field("addon", &self.addon)
            .field("role", &self.role)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A place in a network, and the name by which the others in it find who is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub network: NetworkName,
    pub alias: String,
}

/// The volume of an addon. A restored backup that is laid out as files gets a volume of the next generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceVolume {
    pub addon: AddonId,
    pub role: InstanceRole,
    pub generation: u32,
}

/// A container of an addon of ours, as the engine sees it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedInstance {
    pub id: ContainerId,
    pub addon: AddonId,
    pub role: InstanceRole,
    pub fingerprint: String,
    pub state: ContainerState,
    /// The networks that it is in.
    pub networks: Vec<NetworkName>,
}

/// What a program inside a container reads; it ends where this does.
pub type ExecInput = Pin<Box<dyn AsyncRead + Send>>;
/// Where the output of a program inside a container goes. It is flushed, not shut down.
pub type ExecOutput = Pin<Box<dyn AsyncWrite + Send>>;

/// A program to run inside a running container.
pub struct Exec {
    pub argv: Vec<String>,
    /// In addition to the container's own. Never shown by `Debug`.
    pub env: BTreeMap<String, String>,
    pub input: Option<ExecInput>,
    /// Without one, the last of what it writes is kept for [`Exited::output`].
    pub output: Option<ExecOutput>,
    /// The longest that it may take. The engine has no means to end it then; its input and output are closed.
    pub limit: Duration,
}

impl std::fmt::Debug for Exec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exec").field("program", &self.argv.first()).finish_non_exhaustive()
    }
}

/// How a program inside a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exited {
    pub code: i64,
    /// The last of what it wrote to stdout, where it had no [`Exec::output`]; at most 4 KiB.
    pub output: String,
    /// The last of what it wrote to stderr; at most 4 KiB.
    pub errors: String,
}

/// The part of an engine that runs addons.
#[async_trait]
pub trait InstanceEngine: ContainerEngine {
    /// Makes a container and its volume, not started. They are started, stopped and removed like dynos.
    async fn create_instance(&self, spec: &InstanceSpec) -> Result<ContainerId, EngineError>;

    /// The containers of all addons of this installation.
    async fn list_instances(&self) -> Result<Vec<ObservedInstance>, EngineError>;

    /// Follows what happens to the containers of addons. It ends when the connection does.
    async fn instance_events(&self) -> Result<BoxStream<'static, Result<AddonId, EngineError>>, EngineError>;

    /// Puts a container into a network; nothing when it is in it already.
    async fn connect(&self, id: &ContainerId, endpoint: &Endpoint) -> Result<Outcome, EngineError>;

    /// Takes a container out of a network; nothing when it is not in it.
    async fn disconnect(&self, id: &ContainerId, network: &NetworkName) -> Result<Outcome, EngineError>;

    /// The volumes of all addons of this installation.
    async fn list_volumes(&self) -> Result<Vec<InstanceVolume>, EngineError>;

    /// Removes a volume with what is in it; nothing when it is gone. Refused while a container has it.
    async fn remove_volume(&self, volume: InstanceVolume) -> Result<Outcome, EngineError>;

    /// Runs a program inside a running container until it ends. Dropping the future closes its input and output.
    async fn exec(&self, id: &ContainerId, exec: Exec) -> Result<Exited, EngineError>;

    /// Unpacks an uncompressed tar into a folder of a container, running or not.
    async fn unpack(
        &self,
        id: &ContainerId,
        folder: &str,
        archive: &Path,
        limit: Duration,
    ) -> Result<(), EngineError>;
}
