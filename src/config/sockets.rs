//! Sockets that systemd passed in (`LISTEN_FDS`), or the daemon before this one, told apart by the address they are
//! bound to.
//!
//! A socket unit gives all its sockets one name, so the name cannot say which one is for HTTPS; the
//! address can, and it is what the configuration speaks of anyway.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use listenfd::ListenFd;

/// Sockets from outside, until somebody claims them.
#[derive(Debug, Default)]
pub struct PassedSockets {
    listeners: Vec<(SocketAddr, TcpListener)>,
    /// For HTTP/3.
    datagrams: Vec<(SocketAddr, UdpSocket)>,
}

/// Why the passed sockets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SocketsError {
    #[error(
        "socket {index} of those passed by systemd is neither a TCP listener nor a UDP socket: use ListenStream= and ListenDatagram= with a port only"
    )]
    Unusable { index: usize, source: std::io::Error },
}

impl PassedSockets {
    /// Takes what systemd passed; nothing when it passed nothing. Call it once, before threads start.
    pub fn take() -> Result<Self, SocketsError> {
        let mut passed = ListenFd::from_env();
        let mut sockets = Self::default();
        for index in 0..passed.len() {
            let unusable = |source| SocketsError::Unusable { index, source };
            // One that is something else is left where it is.
            if let Ok(Some(socket)) = passed.take_udp_socket(index) {
                sockets.datagrams.push((socket.local_addr().map_err(unusable)?, socket));
            } else if let Some(listener) = passed.take_tcp_listener(index).map_err(unusable)? {
                let address = listener.local_addr().map_err(unusable)?;
                listener.set_nonblocking(true).map_err(unusable)?;
                sockets.listeners.push((address, listener));
            }
        }
        Ok(sockets)
    }

    /// Takes what the daemon before this one had.
    pub fn of_predecessor(listeners: Vec<TcpListener>) -> std::io::Result<Self> {
        let addressed = |listener: TcpListener| Ok((listener.local_addr()?, listener));
        let listeners = listeners.into_iter().map(addressed).collect::<std::io::Result<_>>()?;
        Ok(Self { listeners, datagrams: Vec::new() })
    }

    /// The listeners for a configured address, non-blocking: same port, and same IP address, where
    /// `0.0.0.0` and `[::]` count as the same (`ListenStream=80` binds `[::]:80` for both). All must be served:
    /// each has connections of its own waiting.
    pub fn claim(&mut self, wanted: SocketAddr) -> Vec<TcpListener> {
        let claimed = self.listeners.extract_if(.., |(address, _)| serves(*address, wanted));
        claimed.map(|(_, listener)| listener).collect()
    }

    /// The UDP socket for a configured address, in the same way.
    pub fn claim_datagrams(&mut self, wanted: SocketAddr) -> Option<UdpSocket> {
        let claimed = self.datagrams.extract_if(.., |(address, _)| serves(*address, wanted)).next();
        claimed.map(|(_, socket)| socket)
    }

    /// Addresses that nobody claimed: the units and the configuration disagree.
    pub fn unclaimed(&self) -> Vec<SocketAddr> {
        let listeners = self.listeners.iter().map(|(address, _)| *address);
        listeners.chain(self.datagrams.iter().map(|(address, _)| *address)).collect()
    }
}

fn serves(address: SocketAddr, wanted: SocketAddr) -> bool {
    let same_ip =
        address.ip() == wanted.ip() || (address.ip().is_unspecified() && wanted.ip().is_unspecified());
    address.port() == wanted.port() && same_ip
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passed_socket_is_found_by_its_address_and_given_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut passed = PassedSockets::of_predecessor(vec![listener]).unwrap();
        let other = SocketAddr::new("127.0.0.2".parse().unwrap(), address.port());
        assert!(passed.claim(other).is_empty());
        assert_eq!(passed.unclaimed(), [address]);
        assert_eq!(passed.claim(address).len(), 1);
        assert!(passed.claim(address).is_empty());
        assert!(passed.unclaimed().is_empty());
    }

    #[test]
    fn a_udp_socket_is_not_taken_for_a_listener() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let mut passed = PassedSockets { datagrams: vec![(address, socket)], ..PassedSockets::default() };
        assert!(passed.claim(address).is_empty());
        assert_eq!(passed.unclaimed(), [address]);
        assert!(passed.claim_datagrams(address).is_some());
        assert!(passed.claim_datagrams(address).is_none());
        assert!(passed.unclaimed().is_empty());
    }

    #[test]
    fn a_socket_on_every_address_serves_both_families() {
        let v6: SocketAddr = "[::]:80".parse().unwrap();
        assert!(serves(v6, "0.0.0.0:80".parse().unwrap()));
        assert!(!serves(v6, "0.0.0.0:443".parse().unwrap()));
        assert!(!serves(v6, "127.0.0.1:80".parse().unwrap()));
    }
}
