//! TLS towards clients: 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN, resumption by tickets; for QUIC 1.3 and HTTP/3.
//!
//! Invariant: one configuration for all workers, so a ticket of one worker is good at every other.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::ResolvesServerCert;
use rustls::{CipherSuite, ServerConfig, SupportedProtocolVersion};

use super::EdgeError;

/// What a certificate authority speaks that looks for a certificate with its proof (TLS-ALPN-01, RFC 8737).
pub const ALPN_ACME: &[u8] = b"acme-tls/1";
pub(super) const ALPN_H2: &[u8] = b"h2";
const ALPN_H3: &[u8] = b"h3";
const ALPN_H1: &[u8] = b"http/1.1";

pub(super) fn server_config(
    certificates: Arc<dyn ResolvesServerCert>,
) -> Result<Arc<ServerConfig>, EdgeError> {
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    config(certificates, &versions, &[ALPN_H2, ALPN_H1, ALPN_ACME])
}

/// For QUIC, which has 1.3 only. Early data stays off: it could be replayed.
pub(super) fn quic_config(certificates: Arc<dyn ResolvesServerCert>) -> Result<Arc<ServerConfig>, EdgeError> {
    config(certificates, &[&rustls::version::TLS13], &[ALPN_H3])
}

fn config(
    certificates: Arc<dyn ResolvesServerCert>,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, EdgeError> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| !is_cheapest(suite.suite()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .map_err(EdgeError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(EdgeError::Tls)?;
    // One ticket is enough for a client that comes back, and each one costs a message.
    config.send_tls13_tickets = 1;
    // Most clients put the longer key first, whose hash takes a tenth of a whole handshake.
    config.ignore_client_order = true;
    Ok(Arc::new(config))
}

/// AES with 128 bits, which nobody breaks either, and SHA-256, for which processors have instructions.
fn is_cheapest(suite: CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    )
}
