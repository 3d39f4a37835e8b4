//! The issuers: who signs, behind one trait.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::authority::LocalAuthority;
use crate::chain::Chain;
use crate::model::certificate::{Certificate, IssuerKind};
use crate::model::time::Timestamp;
use crate::store::StoreError;
use crate::store::certificates::KeyedChain;

/// Signs certificates.
#[async_trait]
pub trait Issuer: fmt::Debug + Send + Sync {
    /// Has the certificate of an order issued, for the first time or anew. Called again after a failure, a restart or
    /// a dropped future, it goes on where it was.
    async fn issue(&self, certificate: &Certificate) -> Result<KeyedChain, IssueError>;

    /// When the issuer wants a certificate renewed, where it says.
    async fn renewal_window(&self, _chain: &Chain) -> Result<Option<RenewalWindow>, IssueError> {
        Ok(None)
    }
}

/// When an issuer wants a certificate renewed (RFC 9773 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewalWindow {
    pub start: Timestamp,
    pub end: Timestamp,
    /// The window may be another one after this.
    pub ask_again: Duration,
}

/// What a window means at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    Now,
    /// Ask again at this instant.
    Later(Timestamp),
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

impl RenewalWindow {
    /// At an instant of the window chosen by `chance` (0 to 1), or when the window would be asked for again after it
    /// (RFC 9773 §4.2).
    pub fn judge(self, now: Timestamp, chance: f64) -> Renewal {
        let chosen = self.start.plus(self.end.since(self.start).mul_f64(chance.clamp(0.0, 1.0)));
        if chosen <= now { Renewal::Now } else { Renewal::Later(chosen.min(now.plus(self.ask_again))) }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_renewed_in_at_a_chosen_instant() {
        let at = |hours: u64| Timestamp::from_millis(0).plus(Duration::from_hours(hours));
        let window = RenewalWindow { start: at(100), end: at(200), ask_again: Duration::from_hours(6) };
        assert_eq!(window.judge(at(0), 0.5), Renewal::Later(at(6)));
        assert_eq!(window.judge(at(148), 0.5), Renewal::Later(at(150)));
        assert_eq!(window.judge(at(150), 0.5), Renewal::Now);
        assert_eq!(window.judge(at(150), 0.9), Renewal::Later(at(156)));
        assert_eq!(window.judge(at(200), 1.0), Renewal::Now, "a window that is over");
        let recalled = RenewalWindow { start: at(1), end: at(2), ..window };
        assert_eq!(recalled.judge(at(50), 1.0), Renewal::Now);
    }
}
