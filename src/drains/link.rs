//! One way to a drain's target, whatever its transport.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use uuid::Uuid;

use super::datagram::Datagrams;
use super::error::DrainError;
use super::ledger::Unsettled;
use super::logplex::Batches;
use super::message::{Batch, Framing};
use super::stream::{Confirmation, Stream};
use crate::clock::Clock;
use crate::model::drain_url::{Transport, Trust};
use crate::model::log_drain::LogDrain;
use crate::outbound::Outbound;

/// A connection, or what stands for one.
pub(super) enum Link {
    Stream(Stream),
    Datagrams(Datagrams),
    Batches(Batches),
}

/// What links are made with.
#[derive(Debug, Clone)]
pub(super) struct Links {
    pub(super) outbound: Outbound,
    pub(super) clock: Clock,
    /// Where files of authorities lie.
    pub(super) cas: PathBuf,
}

impl Links {
    /// Connects to where the drain leads.
    pub(super) async fn open(&self, drain: &LogDrain) -> Result<Link, DrainError> {
        let (target, outbound) = (drain.url.target(), &self.outbound);
        let posting =
            |outbound| Link::Batches(Batches::new(outbound, target.post_to.clone(), drain.token.clone()));
        match &target.transport {
            Transport::Tcp => {
                Ok(Link::Stream(Stream::connect(outbound, target, None, self.clock.clone()).await?))
            }
            Transport::Tls(trust) => {
                let tls = Some(Arc::new(self.tls(trust).await?));
                Ok(Link::Stream(Stream::connect(outbound, target, tls, self.clock.clone()).await?))
            }
            Transport::Udp => Ok(Link::Datagrams(Datagrams::open(outbound, target).await?)),
            Transport::Http | Transport::Https(Trust::System) => {
                outbound.resolve(&target.host, target.port).await?;
                Ok(posting(outbound.clone()))
            }
            Transport::Https(trust) => {
                outbound.resolve(&target.host, target.port).await?;
                Ok(posting(outbound.with_tls(self.tls(trust).await?)?))
            }
        }
    }

    async fn tls(&self, trust: &Trust) -> Result<ClientConfig, DrainError> {
        let (trust, cas) = (trust.clone(), self.cas.clone());
        tokio::task::spawn_blocking(move || super::tls::client_config(&trust, Path::new(&cas)))
            .await
            .unwrap_or_else(|error| Err(DrainError::Tls(error.to_string())))
    }
}

impl Link {
    /// Hands messages over and counts them in `handed`, also when it ends early. `frame` names the batch.
    pub(super) async fn send(
        &mut self,
        batch: &Batch,
        frame: Uuid,
        handed: &mut usize,
    ) -> Result<(), DrainError> {
        match self {
            Self::Stream(stream) => stream.send(batch, handed).await,
            Self::Datagrams(datagrams) => datagrams.send(batch, handed).await,
            Self::Batches(batches) => {
                batches.send(batch, frame).await?;
                *handed = batch.len();
                Ok(())
            }
        }
    }

    /// Waits until the other end is gone. Cancel-safe.
    pub(super) async fn ended(&mut self) -> DrainError {
        match self {
            Self::Stream(stream) => stream.ended().await,
            Self::Datagrams(datagrams) => datagrams.ended().await,
            Self::Batches(_) => std::future::pending().await,
        }
    }

    /// Whether it must be asked for what it has read.
    pub(super) fn is_full(&mut self) -> bool {
        match self {
            Self::Stream(stream) => stream.is_full(),
            Self::Datagrams(_) | Self::Batches(_) => false,
        }
    }

    /// Asks whether all was read, which ends a connection.
    pub(super) async fn confirm(&mut self) -> Confirmation {
        match self {
            Self::Stream(stream) => stream.confirm().await,
            Self::Datagrams(_) | Self::Batches(_) => Confirmation::Read,
        }
    }

    /// What is lost when it ended with that error.
    pub(super) async fn lost(&mut self, error: &DrainError) -> Option<Unsettled> {
        match self {
            Self::Stream(stream) => stream.lost(error).await,
            Self::Datagrams(_) | Self::Batches(_) => None,
        }
    }
}

/// How a transport tells messages apart.
pub(super) fn framing(transport: &Transport) -> Framing {
    match transport {
        Transport::Tls(_) | Transport::Tcp => Framing::Newline,
        Transport::Udp => Framing::Datagram,
        Transport::Https(_) | Transport::Http => Framing::Counted,
    }
}
