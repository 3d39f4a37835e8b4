//! When the server wants a certificate renewed (ARI, RFC 9773).

use std::time::Duration;

use instant_acme::{CertificateIdentifier, Error as Protocol};

use super::{AcmeError, AcmeIssuer};
use crate::certs::issuer::RenewalWindow;
use crate::chain::Chain;
use crate::model::time::Timestamp;

/// What the server may ask us to wait between two questions (RFC 9773 §4.3.2).
const SHORTEST_WAIT: Duration = Duration::from_mins(5);
const LONGEST_WAIT: Duration = Duration::from_hours(24);

impl AcmeIssuer {
    /// `None` when the server does not say, or the certificate has no name there.
    pub(super) async fn window(&self, chain: &Chain) -> Result<Option<RenewalWindow>, AcmeError> {
        let leaf = chain.certified().cert.first();
        let Some(Ok(id)) = leaf.map(CertificateIdentifier::try_from) else { return Ok(None) };
        let asked = self.account().await?.renewal_info(&id).await;
        let (info, wait) = match asked {
            Ok(told) => told,
            Err(Protocol::Unsupported(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
        Ok(Some(RenewalWindow {
            start: at(info.suggested_window.start.unix_timestamp()),
            end: at(info.suggested_window.end.unix_timestamp()),
            ask_again: wait.clamp(SHORTEST_WAIT, LONGEST_WAIT),
        }))
    }
}
