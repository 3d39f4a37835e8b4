//! Proofs that a domain is ours: an answer of the edge over HTTP, a certificate over TLS, or a record in the DNS.
//!
//! Invariant: a record is on disk before it is in the DNS, so that it is taken out whatever happens.

use std::sync::Arc;

use instant_acme::{
    AuthorizationStatus, ChallengeHandle, ChallengeStatus, ChallengeType, KeyAuthorization, Order,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{AcmeError, AcmeIssuer};
use crate::certs::book::PresentedProof;
use crate::certs::dns::{DnsRecords, ProofRecord};
use crate::config::ChallengeKind;
use crate::edge::PresentedChallenge;
use crate::model::ids::CertificateId;
use crate::model::principal::Principal;
use crate::store::{self, Tx};

/// A proof that is shown until it is dropped; one in the DNS until [`AcmeIssuer::take_back`].
pub(super) enum Proof {
    Http(#[expect(dead_code, reason = "held for its drop")] PresentedChallenge),
    Tls(#[expect(dead_code, reason = "held for its drop")] PresentedProof),
    Dns,
}

impl AcmeIssuer {
    /// Shows a proof for each domain that is not proved yet, and tells the server to look.
    pub(super) async fn prove(&self, id: CertificateId, order: &mut Order) -> Result<Vec<Proof>, AcmeError> {
        let mut proofs = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Invalid => {
                    // Its order is invalid too, which the caller finds and explains.
                    continue;
                }
                AuthorizationStatus::Revoked
                | AuthorizationStatus::Expired
                | AuthorizationStatus::Deactivated => return Err(AcmeError::OrderEnded),
            }
            let domain = authorization.identifier().to_string();
            let offered = |kind: &ChallengeType| authorization.challenges.iter().any(|c| c.r#type == *kind);
            let kind = self.preferred().into_iter().find(offered);
            let Some(kind) = kind else { return Err(AcmeError::NoChallenge(domain)) };
            let challenge = authorization.challenge(kind.clone());
            let Some(mut challenge) = challenge else { return Err(AcmeError::NoChallenge(domain)) };
            proofs.push(self.show(id, &challenge, &kind, &domain).await?);
            if challenge.status == ChallengeStatus::Pending {
                challenge.set_ready().await?;
            }
        }
        Ok(proofs)
    }

    /// The kinds of proofs, the operator's choice first.
    fn preferred(&self) -> Vec<ChallengeType> {
        let (http, tls) = (ChallengeType::Http01, ChallengeType::TlsAlpn01);
        let dns = self.dns.as_ref().map(|_| ChallengeType::Dns01);
        match self.challenge {
            ChallengeKind::Http01 => [http, tls].into_iter().chain(dns).collect(),
            ChallengeKind::TlsAlpn01 => [tls, http].into_iter().chain(dns).collect(),
            ChallengeKind::Dns01 => dns.into_iter().chain([http, tls]).collect(),
        }
    }

    /// Takes out of the DNS what was put there for a certificate, and for those that were deleted. What cannot be taken
    /// out now is tried again with the next order.
    pub(super) async fn take_back(&self, id: CertificateId) {
        let Some(dns) = &self.dns else { return };
        let found = match self.parts.store.read(move |c| store::acme::dns_records(c, id)).await {
            Ok(found) => found,
            Err(error) => return tracing::warn!(%error, "what is left in the DNS cannot be read"),
        };
        for (owner, name, value) in found {
            let record = ProofRecord { name, value };
            if let Err(error) = self.take_out(dns, owner, &record).await {
                tracing::warn!(%error, name = record.name, "a record is left in the DNS");
            }
        }
    }

    async fn take_out(
        &self,
        dns: &DnsRecords,
        owner: CertificateId,
        record: &ProofRecord,
    ) -> Result<(), AcmeError> {
        dns.remove(record).await?;
        let (name, value) = (record.name.clone(), record.value.clone());
        let forget = move |tx: &mut Tx<'_>| store::acme::forget_dns_record(tx, owner, (&name, &value));
        Ok(self.parts.store.write(&Principal::daemon(), forget).await?)
    }

    async fn put_record(&self, id: CertificateId, record: ProofRecord) -> Result<(), AcmeError> {
        let Some(dns) = &self.dns else { return Err(AcmeError::NoChallenge(record.name)) };
        let (name, value) = (record.name.clone(), record.value.clone());
        let note = move |tx: &mut Tx<'_>| store::acme::put_dns_record(tx, id, (&name, &value));
        self.parts.store.write(&Principal::daemon(), note).await?;
        Ok(dns.put(&record).await?)
    }

    async fn show(
        &self,
        id: CertificateId,
        challenge: &ChallengeHandle<'_>,
        kind: &ChallengeType,
        domain: &str,
    ) -> Result<Proof, AcmeError> {
        let answer = challenge.key_authorization();
        if *kind == ChallengeType::Dns01 {
            self.put_record(id, ProofRecord::of(domain, answer.dns_value())).await?;
            return Ok(Proof::Dns);
        }
        if *kind == ChallengeType::Http01 {
            return Ok(Proof::Http(self.parts.challenges.present(&challenge.token, answer.as_str())));
        }
        Ok(Proof::Tls(self.parts.book.present(domain, certificate(domain, &answer)?)))
    }
}

/// A certificate that holds the proof, signed by itself (RFC 8737 §3).
fn certificate(domain: &str, answer: &KeyAuthorization) -> Result<CertifiedKey, AcmeError> {
    let key = KeyPair::generate().map_err(AcmeError::Key)?;
    let mut params = CertificateParams::new(vec![domain.to_owned()]).map_err(AcmeError::Key)?;
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(answer.digest().as_ref())];
    let certificate = params.self_signed(&key).map_err(AcmeError::Key)?;
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let signing = rustls::crypto::aws_lc_rs::sign::any_ecdsa_type(&der).map_err(AcmeError::Proof)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], Arc::clone(&signing)))
}
