//! The issuer that speaks ACME (RFC 8555): account, order, proofs, certificate.
//!
//! Invariants: an order is on disk before anything is proved for it, so a restart goes on with it; each pass takes
//! the order where the server says it is, so that a pass which failed anywhere is simply begun again.

mod account;
mod error;
mod order;
mod proof;
mod renewal;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use self::account::Accounts;
pub use self::error::AcmeError;
use super::book::CertificateBook;
use super::dns::DnsRecords;
use super::issuer::{IssueError, Issuer, RenewalWindow};
use crate::chain::Chain;
use crate::clock::Clock;
use crate::config::{AcmeConfig, ChallengeKind};
use crate::edge::Challenges;
use crate::model::certificate::Certificate;
use crate::seal::Sealer;
use crate::store::certificates::KeyedChain;
use crate::store::{Store, StoreError};

/// How long a question may take.
const QUESTION_LIMIT: Duration = Duration::from_secs(30);
/// How long one pass may take.
const PASS_LIMIT: Duration = Duration::from_mins(2);
/// How long passes are begun again after errors that may be gone a moment later.
const PATIENCE: Duration = Duration::from_mins(2);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What the issuer needs.
#[derive(Debug, Clone)]
pub struct AcmeParts {
    pub store: Store,
    pub sealer: Sealer,
    /// Where the edge takes its answers over HTTP from.
    pub challenges: Challenges,
    /// Where the edge takes its proofs over TLS from.
    pub book: CertificateBook,
    pub clock: Clock,
}

/// The issuer.
pub struct AcmeIssuer {
    parts: AcmeParts,
    directory: String,
    ca: Option<PathBuf>,
    challenge: ChallengeKind,
    /// Who puts records into the DNS.
    dns: Option<DnsRecords>,
    accounts: Accounts,
}

impl AcmeIssuer {
    /// An issuer for the configured server. Nothing is asked of it before the first order.
    ///
    /// Reads the keys of the external account binding and of DNS updates, if there are any: blocking.
    pub fn new(parts: AcmeParts, config: &AcmeConfig) -> Result<Self, AcmeError> {
        Ok(Self {
            accounts: Accounts::new(config)?,
            dns: config.dns.as_ref().map(|dns| DnsRecords::new(dns, parts.clock.clone())).transpose()?,
            parts,
            directory: config.directory.clone(),
            ca: config.ca.clone(),
            challenge: config.challenge,
        })
    }
}

#[async_trait]
impl Issuer for AcmeIssuer {
    async fn issue(&self, certificate: &Certificate) -> Result<KeyedChain, IssueError> {
        let issued = self.passes(certificate).await;
        self.take_back(certificate.id).await;
        issued
    }

    async fn renewal_window(&self, chain: &Chain) -> Result<Option<RenewalWindow>, IssueError> {
        let told = tokio::time::timeout(QUESTION_LIMIT, self.window(chain)).await;
        let told = told.unwrap_or(Err(AcmeError::Slow));
        told.map_err(|error| IssueError::Failed(format!("The ACME server {}: {error}.", self.server())))
    }
}

impl AcmeIssuer {
    /// Passes over the order until one succeeds or there is no hope in another.
    async fn passes(&self, certificate: &Certificate) -> Result<KeyedChain, IssueError> {
        let deadline = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            let pass = tokio::time::timeout(PASS_LIMIT, self.pass(certificate)).await;
            let error = match pass.unwrap_or(Err(AcmeError::Slow)) {
                Ok(issued) => return Ok(issued),
                Err(error) => error,
            };
            let text = format!("The ACME server {}: {error}.", self.server());
            match self.recover(certificate, error, &text).await? {
                Some(hopeless) => return Err(hopeless),
                None if Instant::now() + pause > deadline => return Err(IssueError::Failed(text)),
                None => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Makes good what can be made good at once; otherwise why the attempt failed.
    async fn recover(
        &self,
        certificate: &Certificate,
        error: AcmeError,
        text: &str,
    ) -> Result<Option<IssueError>, StoreError> {
        tracing::debug!(certificate = %certificate.name, %error, "a pass over an ACME order failed");
        if error.is_lost_account() {
            self.forget_account().await?;
            self.forget_order(certificate.id).await?;
            return Ok(None);
        }
        if error.is_lost_order() {
            self.forget_order(certificate.id).await?;
        }
        if error.is_passing() {
            return Ok(None);
        }
        if let AcmeError::Store(error) = error {
            return Ok(Some(IssueError::Store(error)));
        }
        let text = text.to_owned();
        Ok(Some(if error.is_final() { IssueError::Refused(text) } else { IssueError::Failed(text) }))
    }

    /// The host of the server, for people.
    fn server(&self) -> &str {
        let rest = self.directory.split_once("://").map_or(self.directory.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }
}

impl fmt::Debug for AcmeIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcmeIssuer").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl From<AcmeIssuer> for Arc<dyn Issuer> {
    fn from(issuer: AcmeIssuer) -> Self {
        Arc::new(issuer)
    }
}
