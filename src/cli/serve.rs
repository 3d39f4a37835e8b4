//! `akkerisd serve`: the daemon in the foreground, until SIGTERM.

use std::time::Duration;

use super::failure::Failure;
use super::flags::ConfigFlags;
use super::log_output;
use crate::addons::backups::s3::S3SetupError;
use crate::config::{self, Config};
use crate::daemon::{self, DaemonError};
use crate::upgrade::{FromSuccessor, Predecessor, PredecessorError};

/// What still runs when the daemon has ended, such as an edge whose successor died, is not waited for longer.
const END_LIMIT: Duration = Duration::from_secs(1);

/// Runs the control plane on a runtime of its own; the edge has its threads beside it. A daemon that waits for this
/// process to take its place is told when it cannot.
pub(super) fn run(flags: &ConfigFlags) -> Result<(), Failure> {
    let predecessor = if config::is_successor()? { Some(Predecessor::at_stdin()?) } else { None };
    let served = flags.load().map_err(Failure::from).and_then(|config| serve(&config, predecessor.clone()));
    if let (Err(failure), Some(predecessor)) = (&served, &predecessor) {
        // One that does not listen any more needs not be told.
        predecessor.tell(&FromSuccessor::Failed { reason: failure.to_string() }).ok();
    }
    served
}

fn serve(config: &Config, predecessor: Option<Predecessor>) -> Result<(), Failure> {
    log_output::install(config.log)?;
    #[cfg(feature = "failpoints")]
    if let Some(step) = config::abort_at()? {
        crate::failpoint::abort_at(step);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("control").enable_all().build()?;
    let ended = runtime.block_on(daemon::run(config, predecessor));
    runtime.shutdown_timeout(END_LIMIT);
    ended.map_err(Failure::from)
}

impl From<PredecessorError> for Failure {
    fn from(error: PredecessorError) -> Self {
        match error {
            PredecessorError::NotThere(_) => Self::Usage(error.into()),
            PredecessorError::Channel(_) | PredecessorError::GaveUp => Self::Io(error.into()),
        }
    }
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Sockets(error) => error.into(),
            DaemonError::Predecessor(error) => error.into(),
            DaemonError::Store(error) => error.into(),
            DaemonError::Catalogue(error) => error.into(),
            DaemonError::Bootstrap(error) => error.into(),
            DaemonError::TelemetryHeader { .. }
            | DaemonError::BrokerCredential { .. }
            | DaemonError::Backups(S3SetupError::Secret { .. } | S3SetupError::Bucket { .. })
            | DaemonError::NoSourceToken { .. } => Self::Usage(error.into()),
            DaemonError::Engine { .. } => Self::EngineUnavailable(error.into()),
            DaemonError::DataDir { .. }
            | DaemonError::InUse(_)
            | DaemonError::Listen { .. }
            | DaemonError::Inherited(_)
            | DaemonError::Seal(_)
            | DaemonError::Acme(_)
            | DaemonError::CertificateFolder(_)
            | DaemonError::Certificates(_)
            | DaemonError::Outbound(_)
            | DaemonError::Reconcile(_)
            | DaemonError::Edge(_)
            | DaemonError::Api(_)
            | DaemonError::BrokerCredentials { .. }
            | DaemonError::Backups(S3SetupError::File { .. } | S3SetupError::Client(_))
            | DaemonError::TelemetryHeaders { .. }
            | DaemonError::SourceToken { .. }
            | DaemonError::Signals(_) => Self::Io(error.into()),
        }
    }
}
