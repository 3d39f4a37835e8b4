//! The issuers: who signs, behind one trait.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::authority::LocalAuthority;
use crate::model::certificate::{Certificate, IssuerKind};
use crate::store::StoreError;
use crate::store::certificates::KeyedChain;

/// Signs certificates.
#[async_trait]
pub trait Issuer: fmt::Debug + Send + Sync {
    /// Has the certificate of an order issued, for the first time or anew. Called again after a failure, a restart or
    /// a dropped future, it goes on where it was.
    async fn issue(&self, certificate: &Certificate) -> Result<KeyedChain, IssueError>;
}

/// Why there is no certificate. The texts are shown to the order's people, so they hold no secret.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// It will not be otherwise next time.
    #[error("{0}")]
    Refused(String),
    /// It may be otherwise later.
    #[error("{0}")]
    Failed(String),
    #[error("the state of the order cannot be read or written")]
    Store(#[from] StoreError),
}

/// Those that this daemon has. What is uploaded has none.
#[derive(Debug, Clone)]
pub struct Issuers {
    pub local: Arc<dyn Issuer>,
    pub acme: Option<Arc<dyn Issuer>>,
}

impl Issuers {
    /// The issuer of that kind.
    pub fn of(&self, kind: IssuerKind) -> Option<&Arc<dyn Issuer>> {
        match kind {
            IssuerKind::Local => Some(&self.local),
            IssuerKind::Acme => self.acme.as_ref(),
            IssuerKind::Upload => None,
        }
    }
}

#[async_trait]
impl Issuer for LocalAuthority {
    async fn issue(&self, certificate: &Certificate) -> Result<KeyedChain, IssueError> {
        let domains: Vec<String> = certificate.domains.as_slice().iter().map(ToString::to_string).collect();
        self.sign_order(domains).map_err(|error| IssueError::Failed(format!("The local authority: {error}.")))
    }
}
