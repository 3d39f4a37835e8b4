//! One way to a drain's target, whatever its transport.

use std::path::PathBuf;
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

/// What the links of one drain are made with.
#[derive(Debug)]
pub(super) struct Links {
    outbound: Outbound,
    clock: Clock,
    /// Where files of authorities lie.
    cas: PathBuf,
    /// Kept as long as it serves: reading authorities takes a while, and it holds the tickets of earlier sessions.
    tls: Option<Arc<ClientConfig>>,
}

impl Links {
    pub(super) fn new(outbound: Outbound, clock: Clock, cas: PathBuf) -> Self {
        Self { outbound, clock, cas, tls: None }
    }

    /// The clock of all that is sent.
    pub(super) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whom to trust is looked up anew, after something failed.
    pub(super) fn forget_tls(&mut self) {
        self.tls = None;
    }

    /// Connects to where the drain leads.
    pub(super) async fn open(&mut self, drain: &LogDrain) -> Result<Link, DrainError> {
        let target = drain.url.target();
        let tls = match &target.transport {
            Transport::Tls(trust) => Some(self.tls(trust).await?),
            // The client of the whole daemon trusts this machine's authorities already.
            Transport::Https(trust) if *trust != Trust::System => Some(self.tls(trust).await?),
            Transport::Https(_) | Transport::Tcp | Transport::Udp | Transport::Http => None,
        };
        match &target.transport {
            Transport::Tcp | Transport::Tls(_) => {
                let stream = Stream::connect(&self.outbound, target, tls, self.clock.clone()).await?;
                Ok(Link::Stream(stream))
            }
            Transport::Udp => Ok(Link::Datagrams(Datagrams::open(&self.outbound, target).await?)),
            Transport::Http | Transport::Https(_) => {
                self.outbound.resolve(&target.host, target.port).await?;
                let outbound = match tls {
                    None => self.outbound.clone(),
                    Some(tls) => self.outbound.with_tls(tls.as_ref().clone())?,
                };
                Ok(Link::Batches(Batches::new(outbound, target.post_to.clone(), drain.token.clone())))
            }
        }
    }

    async fn tls(&mut self, trust: &Trust) -> Result<Arc<ClientConfig>, DrainError> {
        if let Some(tls) = &self.tls {
            return Ok(Arc::clone(tls));
        }
        let (trust, cas) = (trust.clone(), self.cas.clone());
        let made = tokio::task::spawn_blocking(move || super::tls::client_config(&trust, &cas))
            .await
            .unwrap_or_else(|error| Err(DrainError::Tls(error.to_string())))?;
        Ok(Arc::clone(self.tls.insert(Arc::new(made))))
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
