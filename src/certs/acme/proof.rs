//! Proofs that a domain is served here: an answer of the edge over HTTP, or a certificate over TLS.

use std::sync::Arc;

use instant_acme::{
    AuthorizationStatus, ChallengeHandle, ChallengeStatus, ChallengeType, KeyAuthorization, Order,
};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::{AcmeError, AcmeIssuer};
use crate::certs::book::PresentedProof;
use crate::config::ChallengeKind;
use crate::edge::PresentedChallenge;

/// A proof that is shown until it is dropped.
pub(super) enum Proof {
    Http(#[expect(dead_code, reason = "held for its drop")] PresentedChallenge),
    Tls(#[expect(dead_code, reason = "held for its drop")] PresentedProof),
}

impl AcmeIssuer {
    /// Shows a proof for each domain that is not proved yet, and tells the server to look.
    pub(super) async fn prove(&self, order: &mut Order) -> Result<Vec<Proof>, AcmeError> {
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
            proofs.push(self.show(&challenge, &kind, &domain)?);
            if challenge.status == ChallengeStatus::Pending {
                challenge.set_ready().await?;
            }
        }
        Ok(proofs)
    }

    /// The kinds of proofs, the operator's choice first.
    fn preferred(&self) -> [ChallengeType; 2] {
        match self.challenge {
            ChallengeKind::Http01 => [ChallengeType::Http01, ChallengeType::TlsAlpn01],
            ChallengeKind::TlsAlpn01 => [ChallengeType::TlsAlpn01, ChallengeType::Http01],
        }
    }

    fn show(
        &self,
        challenge: &ChallengeHandle<'_>,
        kind: &ChallengeType,
        domain: &str,
    ) -> Result<Proof, AcmeError> {
        let answer = challenge.key_authorization();
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
