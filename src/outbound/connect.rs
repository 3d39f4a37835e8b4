//! Connections that are no HTTP, under the same address policy.

use std::net::SocketAddr;

use reqwest::redirect::Policy;
use tokio::net::TcpStream;

use super::{CONNECT_TIMEOUT, Outbound, OutboundError, build};

impl Outbound {
    /// Connects to the first address of a host that answers. Takes at most ten seconds.
    pub async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, OutboundError> {
        let attempt = async {
            let mut failed = OutboundError::Transport(format!("{host} has no address"));
            for address in self.addresses(host, port).await? {
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => failed = OutboundError::Transport(format!("{address}: {error}")),
                }
            }
            Err(failed)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, attempt)
            .await
            .unwrap_or(Err(OutboundError::TimedOut(CONNECT_TIMEOUT)))
    }

    /// The addresses of a host that the policy allows: at least one. Takes at most ten seconds.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, OutboundError> {
        tokio::time::timeout(CONNECT_TIMEOUT, self.addresses(host, port))
            .await
            .unwrap_or(Err(OutboundError::TimedOut(CONNECT_TIMEOUT)))
    }

    /// The same client with another idea of whom to trust.
    pub fn with_tls(&self, tls: rustls::ClientConfig) -> Result<Self, OutboundError> {
        let poster = build(self.policy, Policy::none(), Some(tls))?;
        Ok(Self { client: poster.clone(), poster, policy: self.policy })
    }

    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, OutboundError> {
        let unknown = |why: String| OutboundError::Transport(format!("{host} cannot be resolved: {why}"));
        let found =
            tokio::net::lookup_host((host, port)).await.map_err(|error| unknown(error.to_string()))?;
        let mut refused = None;
        let mut allowed = Vec::new();
        for address in found {
            match self.policy.check(address.ip()) {
                Ok(()) => allowed.push(address),
                Err(error) => refused = Some(error),
            }
        }
        if allowed.is_empty() {
            return Err(refused.unwrap_or_else(|| unknown("it has no address".to_owned())));
        }
        Ok(allowed)
    }
}
