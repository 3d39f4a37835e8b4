//! The steps of a build: fetch, check, unpack, build. Each is journalled before it begins, and tells the
//! build's log what it did and how long it took.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::archive::ArchiveError;
use super::arguments::Arguments;
use super::log::BuildLog;
use super::queue::BuilderParts;
use super::redact::LogFilter;
use super::{dockerfile, procfile, run, unpack};
use crate::config::ChecksumRule;
use crate::engine::{BuildSpec, EngineError};
use crate::model::RuleError;
use crate::model::build::{
    ArchiveLogin, Build, BuildSource, BuildStep, ImageId, ImageReference, RegistryLogin,
};
use crate::model::command::Command;
use crate::model::config_var::{ConfigValue, ConfigVars};
use crate::model::names::ProcessType;
use crate::outbound::{DownloadLimits, OutboundError};
use crate::store::{self, StoreError};

/// Lines of the engine that wait for the log.
const LINES_WAITING: usize = 256;

/// What a build made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) image: ImageId,
    pub(super) process_types: Vec<(ProcessType, Command)>,
}

/// Why a build did not get to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// A sentence for the user.
    Failed(String),
    /// The engine went away; a sentence for the user.
    Interrupted(String),
    /// The build is finished in the store: it was stopped.
    Gone,
}

/// The work on one build. Dropping it ends what goes on in the engine and on the blocking threads.
pub(super) struct Steps<'a> {
    parts: &'a BuilderParts,
    build: &'a Build,
    attempt: u32,
    log: &'a mut BuildLog,
    /// The build's own folder for what is in the works.
    work: PathBuf,
}

/// A source that was unpacked: what the engine gets.
struct Prepared {
    context: PathBuf,
    args: BTreeMap<String, String>,
    process_types: Vec<(ProcessType, Command)>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(
        parts: &'a BuilderParts,
        build: &'a Build,
        attempt: u32,
        log: &'a mut BuildLog,
    ) -> Self {
        let work = parts.work.join(build.id.to_string());
        Self { parts, build, attempt, log, work }
    }

    /// Everything from the fetching, which is journalled already, to the image.
    pub(super) async fn all(&mut self) -> Result<Made, Failure> {
        let build = self.build;
        if let BuildSource::Image { reference, login } = &build.source {
            return self.take_image(reference, login.as_ref()).await;
        }
        let archive = self.fetch().await?;
        self.verify(&archive).await?;
        self.journal(BuildStep::Unpacking).await?;
        let (app, sealer) = (build.app_id, self.parts.sealer.clone());
        let vars = self.parts.store.read(move |c| store::config_vars::list(c, &sealer, app)).await?;
        let prepared = self.unpack(archive, &vars).await?;
        self.journal(BuildStep::Building).await?;
        let process_types = prepared.process_types.clone();
        let image = self.build_image(prepared, &vars).await?;
        self.journal(BuildStep::Recording).await?;
        Ok(Made { image, process_types })
    }

    /// Brings the archive to this machine and returns where it lies.
    async fn fetch(&mut self) -> Result<PathBuf, Failure> {
        tokio::fs::create_dir_all(&self.work).await?;
        let BuildSource::Archive { url, login } = &self.build.source else {
            let path = self.parts.sources.path(self.build.id);
            if !tokio::fs::try_exists(&path).await? {
                return Err(Failure::Failed(
                    "The uploaded source is not there any more. Send it again.".to_owned(),
                ));
            }
            return Ok(path);
        };
        let path = self.work.join("source");
        let limits =
            DownloadLimits { bytes: self.parts.limits.max_archive, total: self.parts.limits.timeout };
        let started = Instant::now();
        self.log.note(&format!("Fetching {}", self.build.source.shown_url())).await?;
        let length = self
            .parts
            .outbound
            .download(url, login.as_ref().map(ArchiveLogin::reveal), (&path, limits))
            .await?;
        self.log.note(&format!("Fetched {} in {}", size(length), took(started))).await?;
        Ok(path)
    }

    /// Compares the content with the checksum that the request named (reading 9).
    async fn verify(&mut self, archive: &Path) -> Result<(), Failure> {
        let checksum = &self.build.checksum;
        if self.parts.limits.checksum == ChecksumRule::Record || checksum.as_str().is_empty() {
            return Ok(());
        }
        let Some(expected) = checksum.sha256() else {
            self.log
                .note("The checksum is not of the form sha256:<64 hexadecimal digits>: it is not verified.")
                .await?;
            return Ok(());
        };
        let archive = archive.to_owned();
        let found = self.blocking(move |_| sha256(&archive).map_err(Failure::from)).await?;
        if found != expected {
            return Err(Failure::Failed(format!(
                "The checksum does not match: the request says sha256:{expected}, the content has sha256:{found}."
            )));
        }
        self.log.note("The checksum matches.").await?;
        Ok(())
    }

    async fn unpack(&mut self, archive: PathBuf, vars: &ConfigVars) -> Result<Prepared, Failure> {
        let started = Instant::now();
        let (limits, context) = (self.parts.limits.archive, self.work.join("context.tar"));
        let arguments = Arguments::new(&self.build.commit, vars);
        if !arguments.left_out.is_empty() {
            let names = arguments.left_out.join(", ");
            self.log.note(&format!("Not given to the build, because too large for it: {names}")).await?;
        }
        let args = arguments.given;
        let label = self.parts.engine.image_label();
        let (inspected, prepared) = self
            .blocking(move |stop| {
                let inspected = unpack::inspect(&archive, &limits, stop)?;
                let text = dockerfile::require(inspected.dockerfile.as_deref(), &inspected.root)?;
                let process_types = inspected.procfile.as_deref().map(procfile::parse).transpose()?;
                let text = dockerfile::inject(&text, args.keys().map(String::as_str), &label);
                let wanted = unpack::Context { to: &context, dockerfile: &text };
                unpack::write_context(&archive, &limits, stop, &inspected, wanted)?;
                let process_types = process_types.unwrap_or_default();
                Ok((inspected, Prepared { context, args, process_types }))
            })
            .await?;
        let (files, bytes) = (inspected.files, size(inspected.bytes));
        self.log.note(&format!("Unpacked {files} files, {bytes}, in {}", took(started))).await?;
        if !prepared.process_types.is_empty() {
            let types: Vec<&str> = prepared.process_types.iter().map(|(name, _)| name.as_str()).collect();
            self.log.note(&format!("The Procfile names: {}", types.join(", "))).await?;
        }
        Ok(prepared)
    }

    async fn build_image(&mut self, prepared: Prepared, vars: &ConfigVars) -> Result<ImageId, Failure> {
        let started = Instant::now();
        let names = prepared.args.keys().cloned();
        let mut filter = LogFilter::new(names, vars.values().map(ConfigValue::reveal));
        let spec = BuildSpec {
            app: self.build.app_id,
            build: self.build.id,
            context: prepared.context,
            dockerfile: unpack::DOCKERFILE.to_owned(),
            args: prepared.args,
        };
        let parts = self.parts;
        let result =
            self.logged(&mut filter, |lines| async move { parts.engine.build(&spec, &lines).await }).await?;
        let image = result.map_err(|error| {
            if let EngineError::BuildFailed(text) = error {
                let text = filter.line(&text).unwrap_or_default();
                Failure::Failed(format!("The build failed: {text}"))
            } else {
                engine_failure(&error)
            }
        })?;
        self.log.note(&format!("Built the image in {}", took(started))).await?;
        Ok(image)
    }

    /// Pulls an image, or takes the one of this machine when the registry cannot be reached.
    async fn take_image(
        &mut self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
    ) -> Result<Made, Failure> {
        if self.build.checksum.sha256().is_some() {
            self.log.note("The checksum of an image is not verified; name it by its digest instead.").await?;
        }
        let image = match self.own_image(reference).await? {
            Some(image) => image,
            None => self.pull(reference, login).await?,
        };
        self.journal(BuildStep::Recording).await?;
        let (app, build) = (self.build.app_id, self.build.id);
        let adopted = self.parts.engine.adopt_image(&image, app, build).await;
        adopted.map_err(|error| engine_failure(&error))?;
        Ok(Made { image, process_types: Vec::new() })
    }

    /// What a build of this installation made lies on this machine and in no registry.
    async fn own_image(&mut self, reference: &ImageReference) -> Result<Option<ImageId>, Failure> {
        let installation = self.parts.store.look_up(store::installation::find)?;
        if installation.and_then(|installation| reference.built_by(installation)).is_none() {
            return Ok(None);
        }
        self.log.note(&format!("Taking {} of this machine", reference.as_str())).await?;
        let found = self.parts.engine.find_image(reference.as_str()).await;
        let image = found.map_err(|error| engine_failure(&error))?;
        let gone = || {
            Failure::Failed(format!(
                "The image {} is not on this machine any more: only the newest of each app are kept. Build it from its source.",
                reference.as_str()
            ))
        };
        image.map(Some).ok_or_else(gone)
    }

    async fn pull(
        &mut self,
        reference: &ImageReference,
        login: Option<&RegistryLogin>,
    ) -> Result<ImageId, Failure> {
        let started = Instant::now();
        self.log.note(&format!("Pulling {}", reference.as_str())).await?;
        let mut filter = LogFilter::new([].into_iter(), login.iter().map(|login| login.password.as_str()));
        let parts = self.parts;
        let pulled = self
            .logged(&mut filter, |lines| async move { parts.engine.pull(reference, login, &lines).await })
            .await?;
        match pulled {
            Ok(image) => {
                self.log.note(&format!("Pulled the image in {}", took(started))).await?;
                Ok(image)
            }
            Err(EngineError::NoImage { reason, .. }) if !is_answer(&reason) => {
                let local =
                    parts.engine.find_image(reference.as_str()).await.map_err(|e| engine_failure(&e))?;
                let reason = filter.line(&reason).unwrap_or_default();
                let Some(image) = local else {
                    return Err(Failure::Failed(format!(
                        "The image {} cannot be pulled and is not on this machine: {reason}",
                        reference.as_str()
                    )));
                };
                self.log
                    .note(&format!(
                        "The registry cannot be reached ({reason}); the image of this machine is used."
                    ))
                    .await?;
                Ok(image)
            }
            Err(error) => Err(engine_failure(&error)),
        }
    }

    /// Runs a call of the engine while its lines go through the filter into the log.
    async fn logged<T, F: Future<Output = T>>(
        &mut self,
        filter: &mut LogFilter,
        call: impl FnOnce(mpsc::Sender<String>) -> F,
    ) -> io::Result<T> {
        let (sender, mut receiver) = mpsc::channel::<String>(LINES_WAITING);
        let log = &mut *self.log;
        let copy = async {
            let mut lines = Vec::with_capacity(LINES_WAITING);
            let mut result = Ok(());
            while receiver.recv_many(&mut lines, LINES_WAITING).await > 0 {
                let kept: Vec<String> = lines.drain(..).filter_map(|line| filter.line(&line)).collect();
                // A log that cannot be written ends the build, but only once the engine's call has ended.
                result = result.and(log.append(kept).await);
            }
            result
        };
        let (answer, copied) = tokio::join!(call(sender), copy);
        copied.map(|()| answer)
    }

    async fn journal(&mut self, step: BuildStep) -> Result<(), Failure> {
        if run::journal(self.parts, self.build, step, self.attempt).await? {
            Ok(())
        } else {
            Err(Failure::Gone)
        }
    }

    /// Runs work off the runtime's threads; it is told to stop when the build is dropped.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&CancellationToken) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let stop = CancellationToken::new();
        let _stop_when_dropped = stop.clone().drop_guard();
        tokio::task::spawn_blocking(move || work(&stop)).await.map_err(io::Error::other)?
    }
}

/// Whether a failed pull was the registry's own answer, upon which a local image must not be used.
fn is_answer(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    ["denied", "unauthorized", "authentication required", "no basic auth", "manifest unknown", "not found"]
        .iter()
        .any(|answer| reason.contains(answer))
}

fn sha256(path: &Path) -> io::Result<String> {
    struct Hash(Sha256);
    impl io::Write for Hash {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hash = Hash(Sha256::new());
    io::copy(&mut File::open(path)?, &mut hash)?;
    Ok(hex::encode(hash.0.finalize()))
}

fn engine_failure(error: &EngineError) -> Failure {
    let text = format!("The container engine did not do its part: {error}.");
    if error.is_transient() { Failure::Interrupted(text) } else { Failure::Failed(text) }
}

fn took(started: Instant) -> String {
    format!("{:.1} s", started.elapsed().as_secs_f64())
}

fn size(bytes: u64) -> String {
    const KB: u64 = 1000;
    const MB: u64 = 1000 * KB;
    match bytes {
        0..KB => format!("{bytes} bytes"),
        KB..MB => format!("{}.{} kB", bytes / KB, bytes % KB / 100),
        _ => format!("{}.{} MB", bytes / MB, bytes % MB / (100 * KB)),
    }
}

impl From<RuleError> for Failure {
    fn from(error: RuleError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Stopped => Self::Gone,
            ArchiveError::Refused(_) | ArchiveError::Io(_) => Self::Failed(error.to_string()),
        }
    }
}

impl From<OutboundError> for Failure {
    fn from(error: OutboundError) -> Self {
        Self::Failed(format!("The source could not be fetched: {error}."))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a build could not use the store");
        Self::Interrupted("The daemon could not use its database.".to_owned())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Failed(format!("The daemon could not use its disk: {error}."))
    }
}
