//! The successor's view of the process that started it.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use super::channel::Channel;
use super::{FromSuccessor, ToSuccessor};

/// The process that serves until this one is ready. Clones share the channel.
#[derive(Debug, Clone)]
pub struct Predecessor(Arc<Channel>);

/// Why a predecessor's place cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum PredecessorError {
    #[error("this process was started as a successor, but its standard input does not lead to a predecessor")]
    NotThere(#[source] io::Error),
    #[error("the daemon that started this one cannot be talked to")]
    Channel(#[source] io::Error),
    #[error("the daemon that started this one gave the upgrade up")]
    GaveUp,
}

impl Predecessor {
    /// The predecessor at standard input, which must be there.
    pub fn at_stdin() -> Result<Self, PredecessorError> {
        let channel = Channel::from_stdin().map_err(PredecessorError::NotThere)?;
        Ok(Self(Arc::new(channel)))
    }

    /// The predecessor at the other end of a channel.
    #[cfg(test)]
    pub(super) fn at(channel: Channel) -> Self {
        Self(Arc::new(channel))
    }

    /// Says something. Does not wait.
    pub fn tell(&self, message: &FromSuccessor) -> Result<(), PredecessorError> {
        self.0.send(message, &[]).map_err(PredecessorError::Channel)
    }

    /// Waits until the predecessor has put down its control plane; gives its listening sockets. From then on it does
    /// not matter whether it lives.
    pub async fn released(&self) -> Result<Vec<TcpListener>, PredecessorError> {
        let mut listeners = Vec::new();
        loop {
            let received = self.0.receive::<ToSuccessor>().await.map_err(PredecessorError::Channel)?;
            match received.ok_or(PredecessorError::GaveUp)? {
                (ToSuccessor::Listeners, sockets) => {
                    listeners.extend(sockets.into_iter().map(TcpListener::from));
                }
                (ToSuccessor::Released, _) => return Ok(listeners),
                // It does not say this before its successor is ready.
                (ToSuccessor::Datagrams, _) => {}
            }
        }
    }

    /// Waits for the UDP socket of HTTP/3, which comes when the predecessor's last connection on it has ended; `None`
    /// when it ends without one. To be asked by one, and before [`Predecessor::ended`], which passes over it.
    pub async fn datagrams(&self) -> Option<UdpSocket> {
        while let Ok(Some((message, sockets))) = self.0.receive::<ToSuccessor>().await {
            if message == ToSuccessor::Datagrams {
                return sockets.into_iter().next().map(UdpSocket::from);
            }
        }
        None
    }

    /// Waits until the predecessor has ended. Cancel-safe.
    pub async fn ended(&self) {
        // What it says after `Released` is for others; an error means that nobody is there.
        while let Ok(Some(_)) = self.0.receive::<ToSuccessor>().await {}
    }

    /// Lets the predecessor end what it still has open within its limit, and waits for it, at most `limit`.
    pub async fn stop(&self, limit: Duration) {
        if self.tell(&FromSuccessor::Stopping).is_ok()
            && tokio::time::timeout(limit, self.ended()).await.is_err()
        {
            tracing::warn!("the daemon before this one has not ended yet");
        }
    }
}
