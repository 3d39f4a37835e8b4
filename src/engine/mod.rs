//! Containers behind one trait: what the daemon needs of an engine, in the words of the model.
//!
//! Invariants: only `docker` names bollard; a container, image or network without our installation's label
//! is never listed, changed or removed; "it is not there" is an outcome, not an error.

mod cpu_limit;
pub mod docker;
pub mod instance;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::io::AsyncWrite;
use tokio::sync::mpsc;

pub use self::cpu_limit::CpuLimit;
use crate::model::build::{ImageId, ImageReference, RegistryLogin};
use crate::model::ids::{AppId, BuildId, ReleaseId, SpaceId};
use crate::model::log::OutputStream;
use crate::model::metric::Usage;
use crate::model::names::{AppKey, DynoName, ProcessType, SpaceName};
use crate::model::oneoff::Terminal;
use crate::model::signal::Signal;
use crate::model::time::Timestamp;

/// The engine's id of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(String);

impl ContainerId {
    /// Takes the engine's own text.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The engine's own text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the engine says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    pub version: String,
    pub api_version: String,
    /// Memory of the machine, in bytes.
    pub memory: u64,
}

/// A dyno to make. Everything that would need another container when it changed.
#[derive(Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    pub app: AppId,
    pub key: AppKey,
    /// Names by which other dynos of the space reach this one.
    pub aliases: Vec<String>,
    pub space: SpaceId,
    pub process_type: ProcessType,
    pub dyno: DynoName,
    pub release: ReleaseId,
    pub image: ImageId,
    /// `None` runs the image's own command.
    pub command: Option<Vec<String>>,
    /// Never shown by `Debug`.
    pub env: BTreeMap<String, String>,
    /// Bytes at which the kernel ends the dyno.
    pub memory_limit: u64,
    /// Digest of what the dyno was made from; kept as a label.
    pub fingerprint: String,
    /// The network of the space, from [`ContainerEngine::ensure_network`].
    pub network: NetworkName,
    /// Where its input and output go. Only the output of a detached one is kept by the engine.
    pub terminal: Terminal,
}

impl std::fmt::Debug for ContainerSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContainerSpec")
            .field("key", &self.key)
            .field("dyno", &self.dyno)
            .field("image", &self.image)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// The engine's name of a space's network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetworkName(String);

impl NetworkName {
    /// Takes the engine's own text.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The engine's own text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A container of ours, as the engine sees it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedContainer {
    pub id: ContainerId,
    pub app: AppId,
    pub process_type: ProcessType,
    pub dyno: DynoName,
    pub release: ReleaseId,
    pub fingerprint: String,
    pub terminal: Terminal,
    pub created_at: Timestamp,
    pub state: ContainerState,
}

/// What a container is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Its process runs. `address` is that on the space's network; `None` for the moment in which the
    /// engine has not given it one.
    Running { address: Option<IpAddr>, started_at: Timestamp },
    /// Its process ended, or could not be started (`error` is then the engine's text).
    Exited {
        code: i64,
        out_of_memory: bool,
        started_at: Option<Timestamp>,
        finished_at: Timestamp,
        error: String,
    },
    /// The engine is taking it away, or it is beyond repair.
    Dead,
}

/// An image to build out of a context archive.
#[derive(Clone)]
pub struct BuildSpec {
    pub app: AppId,
    pub build: BuildId,
    /// An uncompressed tar on disk with the Dockerfile at its root.
    pub context: PathBuf,
    /// Name of the Dockerfile inside the context.
    pub dockerfile: String,
    /// Never shown by `Debug`.
    pub args: BTreeMap<String, String>,
}

impl std::fmt::Debug for BuildSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BuildSpec").field("build", &self.build).finish_non_exhaustive()
    }
}

/// An image that this installation made or pulled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedImage {
    pub id: ImageId,
    pub app: AppId,
    pub build: BuildId,
}

/// A network that this installation made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedNetwork {
    pub name: NetworkName,
    pub space: SpaceId,
}

/// Something happened to a container of this app; look again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineEvent {
    pub app: AppId,
}

/// A line that a container wrote, with its line end, or a piece of one that was long for the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPiece {
    pub stream: OutputStream,
    /// When the engine took it, in nanoseconds since 1970; several pieces may have the same.
    pub nanos: i64,
    pub bytes: Bytes,
}

/// Where the output of a container is followed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFrom {
    /// A second since 1970; pieces of before may come first.
    Second(i64),
    /// Its last lines, at most so many.
    Last(usize),
}

/// The input and output of a container that was made for somebody to attach.
pub struct Attachment {
    /// Ends when the process does. What a terminal shows is all `Stdout`.
    pub output: BoxStream<'static, Result<(OutputStream, Bytes), EngineError>>,
    /// Shutting it down ends the input of the process.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
}

impl std::fmt::Debug for Attachment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attachment").finish_non_exhaustive()
    }
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    pub columns: u16,
    pub rows: u16,
}

/// What became of a request about a thing that may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// It was not there, or was already so.
    Nothing,
}

/// Why the engine did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine cannot be reached, or went away in the middle.
    #[error("the container engine cannot be reached: {0}")]
    Unavailable(String),
    /// The engine answered and refused; the text is its own.
    #[error("{0}")]
    Refused(String),
    /// The container's command cannot be run: there is no such program, or it is none; the text is the engine's.
    #[error("{0}")]
    CannotRun(String),
    /// The image is neither here nor can it be had.
    #[error("the image {image} cannot be had: {reason}")]
    NoImage { image: String, reason: String },
    /// The build ended with an error; the text is the engine's own.
    #[error("{0}")]
    BuildFailed(String),
    /// The container in which a program should run has stopped, maybe in the middle of it.
    #[error("the container does not run")]
    NotRunning,
    /// The engine did not answer in time.
    #[error("the container engine did not answer within {0:?}")]
    TimedOut(Duration),
}

impl EngineError {
    /// Whether asking again later may help without anything being changed.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable(_) | Self::NotRunning | Self::TimedOut(_) => true,
            Self::Refused(_) | Self::CannotRun(_) | Self::NoImage { .. } | Self::BuildFailed(_) => false,
        }
    }

    /// Gives a refusal the meaning that it has in the caller's place; any other error stays.
    #[must_use]
    pub fn meaning(self, of_refusal: impl FnOnce(String) -> Self) -> Self {
        if let Self::Refused(reason) = self { of_refusal(reason) } else { self }
    }
}

/// An engine that runs containers. Every call is bounded in time by the driver, except builds and pulls,
/// which end when their future is dropped.
#[async_trait]
pub trait ContainerEngine: Send + Sync + std::fmt::Debug {
    /// Asks the engine about itself; the check that it is there.
    async fn info(&self) -> Result<EngineInfo, EngineError>;

    /// Pulls an image. Progress goes to `log`, a line at a time, waiting when it is full.
    async fn pull(
        &self,
        image: &ImageReference,
        login: Option<&RegistryLogin>,
        log: &mpsc::Sender<String>,
    ) -> Result<ImageId, EngineError>;

    /// The id of an image by reference or id; `None` when it is not on this machine.
    async fn find_image(&self, reference: &str) -> Result<Option<ImageId>, EngineError>;

    /// Makes a pulled image ours: gives it a tag that carries the app and the build.
    async fn adopt_image(&self, image: &ImageId, app: AppId, build: BuildId) -> Result<(), EngineError>;

    /// Builds an image. Its output goes to `log`, a line at a time, waiting when it is full. Dropping the
    /// future ends the build.
    async fn build(&self, spec: &BuildSpec, log: &mpsc::Sender<String>) -> Result<ImageId, EngineError>;

    /// The images that this installation made or adopted.
    async fn list_images(&self) -> Result<Vec<ObservedImage>, EngineError>;

    /// Removes the tags and layers of a build's image that nothing else uses. An image that a container uses stays.
    async fn remove_image(&self, app: AppId, build: BuildId) -> Result<Outcome, EngineError>;

    /// `name=value` of a label that tells an image to be of this installation. Builds give it to every stage,
    /// so that [`ContainerEngine::prune_images`] finds what they leave.
    fn image_label(&self) -> String;

    /// Removes the nameless images that this installation's builds left more than a day ago: replaced ones,
    /// and stages that nothing uses as a cache any more. Returns the bytes that were freed.
    async fn prune_images(&self) -> Result<u64, EngineError>;

    /// Makes a container, not started.
    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, EngineError>;

    /// Starts a container; nothing when it runs already or is gone.
    async fn start(&self, id: &ContainerId) -> Result<Outcome, EngineError>;

    /// Sends SIGTERM, waits up to `grace`, then SIGKILL; returns when the process is gone.
    async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<Outcome, EngineError>;

    /// Sends a signal to all processes of a container, or to its first one alone where its image has no `sh`;
    /// nothing when it does not run.
    async fn signal(&self, id: &ContainerId, signal: Signal) -> Result<Outcome, EngineError>;

    /// Removes a container with its anonymous volumes, killing it if it runs.
    async fn remove(&self, id: &ContainerId) -> Result<Outcome, EngineError>;

    /// The containers of this installation, of one app or of all.
    async fn list(&self, app: Option<AppId>) -> Result<Vec<ObservedContainer>, EngineError>;

    /// The last lines of a container's output, stdout and stderr together, oldest first; each line at most 1 KiB.
    async fn last_lines(&self, id: &ContainerId, lines: usize) -> Result<Vec<String>, EngineError>;

    /// Follows a container's output, both streams in the order of their pieces. The stream ends when the process does.
    async fn output(
        &self,
        id: &ContainerId,
        from: OutputFrom,
    ) -> Result<BoxStream<'static, Result<OutputPiece, EngineError>>, EngineError>;

    /// Takes hold of the input and output of a container that was made for it, before it is started.
    async fn attach(&self, id: &ContainerId) -> Result<Attachment, EngineError>;

    /// Gives the terminal of a running container another size; nothing when it has none or does not run.
    async fn resize(&self, id: &ContainerId, size: TerminalSize) -> Result<Outcome, EngineError>;

    /// Limits the CPU of a container, from now on and when it is started again; `None` takes the limit away.
    async fn limit_cpu(&self, id: &ContainerId, limit: Option<CpuLimit>) -> Result<Outcome, EngineError>;

    /// The limit of a container's CPU; `None` when it has none or is gone.
    async fn cpu_limit(&self, id: &ContainerId) -> Result<Option<CpuLimit>, EngineError>;

    /// The names that the kernel's control group of a container may have, below the root of its hierarchy; the
    /// engine's set-up decides which of them it is.
    fn control_groups(&self, id: &ContainerId) -> Vec<String>;

    /// What a container has used, as far as the engine counts it; `None` when it is gone.
    async fn usage(&self, id: &ContainerId) -> Result<Option<Usage>, EngineError>;

    /// The bytes that each running container of this installation has written into its own layer. Costs the
    /// engine a walk over the files.
    async fn layer_sizes(&self) -> Result<HashMap<ContainerId, u64>, EngineError>;

    /// Makes the network of a space, or finds it.
    async fn ensure_network(&self, space: SpaceId, name: &SpaceName) -> Result<NetworkName, EngineError>;

    /// The networks of this installation.
    async fn list_networks(&self) -> Result<Vec<ObservedNetwork>, EngineError>;

    /// Removes a network that no container uses.
    async fn remove_network(&self, name: &NetworkName) -> Result<Outcome, EngineError>;

    /// Follows what happens to the containers of this installation. The stream ends, with an error or
    /// without, when the connection does; the caller then looks at everything and follows again.
    async fn events(&self) -> Result<BoxStream<'static, Result<EngineEvent, EngineError>>, EngineError>;
}
