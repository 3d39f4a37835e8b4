//! Whom a drain trusts, as a configuration of rustls.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;

use super::error::DrainError;
use crate::model::drain_url::Trust;

/// Largest file of authorities, in bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// Makes the configuration; files are looked for in `folder`. Blocks on files.
pub(super) fn client_config(trust: &Trust, folder: &Path) -> Result<ClientConfig, DrainError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let failed = |error: Error| DrainError::Tls(error.to_string());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let builder = match trust {
        Trust::System => {
            let verifier = Verifier::new(provider).map_err(failed)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        Trust::Given(certificates) => builder.with_root_certificates(roots(certificates).map_err(failed)?),
        Trust::Named(name) => {
            let unusable = |why: String| DrainError::Authorities { name: name.as_str().to_owned(), why };
            let certificates = read(&folder.join(name.as_str())).map_err(unusable)?;
            let roots = roots(&certificates).map_err(|error| unusable(error.to_string()))?;
            builder.with_root_certificates(roots)
        }
        Trust::Anybody => {
            let anybody = Anybody(provider.signature_verification_algorithms);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(anybody))
        }
    };
    Ok(builder.with_no_client_auth())
}

fn roots(certificates: &[CertificateDer<'static>]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate.clone())?;
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let length = std::fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > FILE_LIMIT {
        return Err(format!("it has {length} bytes, and at most {FILE_LIMIT} are taken"));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    if found.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok(found) }
}

/// Takes any certificate, of any name; only for a drain whose address asks for it.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
