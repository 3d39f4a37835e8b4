//! TLS towards clients: 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN, resumption by tickets.
//!
//! Invariant: one configuration for all workers, so a ticket of one worker is good at every other.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::ResolvesServerCert;

use super::EdgeError;

/// What a certificate authority speaks that looks for a certificate with its proof (TLS-ALPN-01, RFC 8737).
pub const ALPN_ACME: &[u8] = b"acme-tls/1";
pub(super) const ALPN_H2: &[u8] = b"h2";
const ALPN_H1: &[u8] = b"http/1.1";

pub(super) fn server_config(
    certificates: Arc<dyn ResolvesServerCert>,
) -> Result<Arc<ServerConfig>, EdgeError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(EdgeError::Tls)?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_H1.to_vec(), ALPN_ACME.to_vec()];
    config.ticketer = aws_lc_rs::Ticketer::new().map_err(EdgeError::Tls)?;
    // One ticket is enough for a client that comes back, and each one costs a message.
    config.send_tls13_tickets = 1;
    Ok(Arc::new(config))
}
