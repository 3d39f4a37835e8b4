//! One pass over an order: place it or take it up again, prove what is to be proved, fetch the certificate.

use std::time::Duration;

use instant_acme::{Account, Identifier, NewOrder, Order, OrderStatus, RetryPolicy};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use super::{AcmeError, AcmeIssuer};
use crate::failpoint;
use crate::model::certificate::Certificate;
use crate::model::journal::JournalStep;
use crate::model::principal::Principal;
use crate::store::acme::PlacedOrder;
use crate::store::certificates::KeyedChain;
use crate::store::{self, Tx};

/// How often the server is asked whether it is ready, and for how long.
const POLLING: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(90));

impl AcmeIssuer {
    pub(super) async fn pass(&self, certificate: &Certificate) -> Result<KeyedChain, AcmeError> {
        let account = self.account().await?;
        let (mut order, key) = self.placed(&account, certificate).await?;
        if order.state().status == OrderStatus::Pending {
            // The proofs are shown until the server has seen them.
            let proofs = self.prove(certificate.id, &mut order).await?;
            failpoint::reached(JournalStep::AcmeChallengesReady);
            let seen = order.poll_ready(&POLLING).await;
            drop(proofs);
            if order.state().status != OrderStatus::Invalid {
                seen?;
            }
        }
        if order.state().status == OrderStatus::Ready {
            let request = request(certificate, &key).map_err(AcmeError::Key)?;
            order.finalize_csr(&request).await?;
            failpoint::reached(JournalStep::AcmeOrderFinalized);
        }
        if order.state().status == OrderStatus::Invalid {
            return Err(Self::refusal(&account, order.url()).await?);
        }
        let chain = order.poll_certificate(&POLLING).await;
        if order.state().status == OrderStatus::Invalid {
            return Err(Self::refusal(&account, order.url()).await?);
        }
        Ok(KeyedChain { chain: chain?, key: key.serialize_pem() })
    }

    /// The order as the server has it: the one that is on disk, else a new one, which is on disk then.
    async fn placed(
        &self,
        account: &Account,
        certificate: &Certificate,
    ) -> Result<(Order, KeyPair), AcmeError> {
        let (sealer, directory, id) = (self.parts.sealer.clone(), self.directory.clone(), certificate.id);
        let found = self.parts.store.read(move |c| store::acme::order(c, &sealer, (id, &directory))).await?;
        if let Some(PlacedOrder { url, key }) = found {
            let key = KeyPair::from_pem(&key).map_err(AcmeError::Key)?;
            let mut order = account.order(url).await?;
            // It became so while nobody was here to show the proofs.
            if order.state().status == OrderStatus::Invalid {
                return Err(AcmeError::OrderEnded);
            }
            return Ok((order, key));
        }
        let identifiers: Vec<Identifier> =
            certificate.domains.as_slice().iter().map(|domain| Identifier::Dns(domain.to_string())).collect();
        let order = account.new_order(&NewOrder::new(&identifiers)).await?;
        let key = KeyPair::generate().map_err(AcmeError::Key)?;
        let placed = PlacedOrder { url: order.url().to_owned(), key: key.serialize_pem() };
        let (sealer, directory) = (self.parts.sealer.clone(), self.directory.clone());
        let keep = move |tx: &mut Tx<'_>| {
            // A certificate that was deleted meanwhile has no order to keep.
            if store::certificates::find(tx, id)?.is_none() {
                return Err(AcmeError::Invalid("the certificate was deleted".to_owned()));
            }
            Ok(store::acme::put_order(tx, &sealer, (id, &directory), &placed)?)
        };
        self.parts.store.write(&Principal::daemon(), keep).await?;
        failpoint::reached(JournalStep::AcmeOrderPlaced);
        Ok((order, key))
    }

    /// Why an order is invalid: the proof that the server did not see, where it tells.
    async fn refusal(account: &Account, url: &str) -> Result<AcmeError, AcmeError> {
        let mut order = account.order(url.to_owned()).await?;
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let authorization = authorization?;
            let problem = authorization.challenges.iter().find_map(|challenge| challenge.error.as_ref());
            if let Some(problem) = problem {
                return Ok(AcmeError::NotProved {
                    domain: authorization.identifier().to_string(),
                    reason: problem.detail.clone().unwrap_or_else(|| problem.to_string()),
                });
            }
        }
        let reason = order.state().error.as_ref().and_then(|problem| problem.detail.clone());
        Ok(AcmeError::Invalid(reason.unwrap_or_else(|| "no reason was given".to_owned())))
    }
}

/// The request for the certificate (PKCS #10), DER.
fn request(certificate: &Certificate, key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let domains: Vec<String> = certificate.domains.as_slice().iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(domains)?;
    params.distinguished_name = DistinguishedName::new();
    Ok(params.serialize_request(key)?.der().to_vec())
}
