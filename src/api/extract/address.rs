//! Where a request comes from.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::HeaderMap;
use http::request::Parts;

/// The client's address: what the edge of this machine says, and else the other end of the connection.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct ClientAddress(pub(in crate::api) IpAddr);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        Ok(Self(client(peer.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), &parts.headers)))
    }
}

/// The edge connects from this machine and replaces what clients say of themselves.
fn client(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !peer.to_canonical().is_loopback() {
        return peer;
    }
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
    let last = forwarded.and_then(|value| value.to_str().ok()).and_then(|value| value.rsplit(',').next());
    last.and_then(|address| address.trim().parse().ok()).unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_may_speak_for_another_address() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "198.51.100.7, 192.0.2.1".parse().unwrap());
        let address = |peer: &str| client(peer.parse().unwrap(), &headers).to_string();
        assert_eq!(address("127.0.0.1"), "192.0.2.1");
        assert_eq!(address("::ffff:127.0.0.1"), "192.0.2.1");
        assert_eq!(address("203.0.113.9"), "203.0.113.9");
        assert_eq!(client("127.0.0.1".parse().unwrap(), &HeaderMap::new()).to_string(), "127.0.0.1");
    }
}
