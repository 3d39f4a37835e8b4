//! Why the daemon does not run.

use std::io;
use std::net::SocketAddr;

use crate::addons::backups::s3::S3SetupError;
use crate::catalogue::CatalogueError;
use crate::certs::{AcmeError, CertError, FolderError};
use crate::config::SocketsError;
use crate::edge::EdgeError;
use crate::engine::EngineError;
use crate::outbound::OutboundError;
use crate::reconcile::ReconcileError;
use crate::seal::SealError;
use crate::service;
use crate::store::StoreError;
use crate::upgrade::PredecessorError;

/// Why the daemon could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error("the data directory {path} cannot be used")]
    DataDir { path: String, source: io::Error },
    #[error("another akkerisd uses the data directory {0}; stop it first or name another with --data-dir")]
    InUse(String),
    #[error("cannot listen on {address} ({setting}); is another server using it?")]
    Listen { setting: &'static str, address: SocketAddr, source: io::Error },
    #[error(
        "the container engine at {host} cannot be used; is Docker running, and may this user use its socket?"
    )]
    Engine { host: String, source: EngineError },
    #[error(transparent)]
    Sockets(#[from] SocketsError),
    #[error("the listeners of the daemon before cannot be used")]
    Inherited(#[source] io::Error),
    #[error(transparent)]
    Predecessor(#[from] PredecessorError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Certificates(#[from] CertError),
    #[error(transparent)]
    CertificateFolder(#[from] FolderError),
    #[error("the ACME server cannot be used")]
    Acme(#[from] AcmeError),
    #[error("the first start could not be completed")]
    Bootstrap(#[from] service::Error),
    #[error("outgoing requests cannot be set up")]
    Outbound(#[from] OutboundError),
    #[error("the file of telemetry.otlp_headers_file, {path}, cannot be read")]
    TelemetryHeaders { path: String, source: io::Error },
    #[error("line {line} of {path} (telemetry.otlp_headers_file) is not a header like \"name: value\"")]
    TelemetryHeader { path: String, line: usize },
    #[error("the token file {path} (sources) cannot be read")]
    SourceToken { path: String, source: io::Error },
    #[error("the token file {path} (sources) does not hold a token")]
    NoSourceToken { path: String },
    #[error("the file of addons.credentials_file, {path}, cannot be read")]
    BrokerCredentials { path: String, source: io::Error },
    #[error(
        "line {line} of {path} (addons.credentials_file) is not like \"broker: user:password\" or \"broker: bearer token\""
    )]
    BrokerCredential { path: String, line: usize },
    #[error("backups cannot be brought to S3")]
    Backups(#[from] S3SetupError),
    #[error("the apps could not be looked at")]
    Reconcile(#[from] ReconcileError),
    #[error("the edge could not be started")]
    Edge(#[from] EdgeError),
    #[error("the API server ended")]
    Api(#[source] io::Error),
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
}
