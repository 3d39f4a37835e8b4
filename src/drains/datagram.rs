//! Syslog by datagrams: each message leaves alone, and nothing is known of it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use super::error::DrainError;
use super::message::Batch;
use crate::model::drain_url::DrainTarget;
use crate::outbound::{Outbound, OutboundError};

/// A socket that sends to one address.
pub(super) struct Datagrams {
    socket: UdpSocket,
}

impl Datagrams {
    /// Sends to the first address of the host.
    pub(super) async fn open(outbound: &Outbound, target: &DrainTarget) -> Result<Self, DrainError> {
        let addresses = outbound.resolve(&target.host, target.port).await?;
        let unknown = || OutboundError::Transport(format!("{} has no address", target.host));
        let address = *addresses.first().ok_or_else(unknown)?;
        let local: SocketAddr = match address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(local).await.map_err(DrainError::Broken)?;
        socket.connect(address).await.map_err(DrainError::Broken)?;
        Ok(Self { socket })
    }

    /// Sends messages and counts them in `handed`, also when it ends early.
    pub(super) async fn send(&mut self, batch: &Batch, handed: &mut usize) -> Result<(), DrainError> {
        for message in batch.messages() {
            self.socket.send(message.as_bytes()).await.map_err(DrainError::Broken)?;
            *handed += 1;
        }
        Ok(())
    }

    /// Waits until it is told that nobody listens there. Cancel-safe.
    pub(super) async fn ended(&mut self) -> DrainError {
        let mut ignored = [0; 64];
        loop {
            if let Err(error) = self.socket.recv(&mut ignored).await {
                return DrainError::Broken(error);
            }
        }
    }
}
