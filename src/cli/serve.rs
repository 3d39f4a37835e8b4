//! `akkerisd serve`: the daemon in the foreground, until SIGTERM.

use super::failure::Failure;
use super::log_output;
use crate::config::Config;
use crate::daemon::{self, DaemonError};

/// Runs the control plane on a runtime of its own; the edge has its threads beside it.
pub(super) fn run(config: &Config) -> Result<(), Failure> {
    log_output::install(config.log)?;
    #[cfg(feature = "failpoints")]
    if let Some(step) = crate::config::abort_at()? {
        crate::failpoint::abort_at(step);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("control").enable_all().build()?;
    runtime.block_on(daemon::run(config)).map_err(Failure::from)
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        match error {
            DaemonError::Sockets(error) => error.into(),
            DaemonError::Store(error) => error.into(),
            DaemonError::Catalogue(error) => error.into(),
            DaemonError::Bootstrap(error) => error.into(),
            DaemonError::TelemetryHeader { .. } => Self::Usage(error.into()),
            DaemonError::Engine { .. } => Self::EngineUnavailable(error.into()),
            DaemonError::DataDir { .. }
            | DaemonError::InUse(_)
            | DaemonError::Listen { .. }
            | DaemonError::Seal(_)
            | DaemonError::Acme(_)
            | DaemonError::CertificateFolder(_)
            | DaemonError::Certificates(_)
            | DaemonError::Outbound(_)
            | DaemonError::Reconcile(_)
            | DaemonError::Edge(_)
            | DaemonError::Api(_)
            | DaemonError::TelemetryHeaders { .. }
            | DaemonError::Signals(_) => Self::Io(error.into()),
        }
    }
}
