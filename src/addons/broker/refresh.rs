//! The catalogues of the brokers: known from the last time at start, and fetched again from time to time.

use std::time::Duration;

use super::catalogue;
use super::client::BrokerClient;
use crate::addons::Offer;
use crate::model::principal::Principal;
use crate::store::{self, Store, StoreError};
use crate::tasks::Tasks;

/// The longest pause after a catalogue could not be fetched.
const LONGEST_RETRY: Duration = Duration::from_mins(1);

/// Fetches the catalogue of one broker.
#[derive(Debug, Clone)]
pub struct Refresh {
    pub client: BrokerClient,
    pub store: Store,
    pub offer: Offer,
    /// Between two times.
    pub period: Duration,
}

/// What came of fetching a catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    /// So many services are offered.
    Offered(usize),
    /// What was offered before still is.
    Kept { reason: String },
}

impl Refresh {
    /// Offers what the broker offered the last time, and goes on fetching until the tasks stop.
    pub async fn start(self, tasks: &Tasks) -> Result<(), StoreError> {
        self.recall().await?;
        let stop = tasks.stopping();
        tasks.spawn("broker catalogue", async move {
            stop.run_until_cancelled(self.follow()).await;
        });
        Ok(())
    }

    /// Fetches the catalogue once.
    pub async fn refresh(&self) -> Result<Refreshed, StoreError> {
        let name = self.client.name().clone();
        let fetched = match self.client.catalogue().await {
            Ok(text) => self.take_over(&text).map(|offered| (text, offered)),
            Err(reason) => Err(reason),
        };
        match fetched {
            Ok((text, offered)) => {
                let daemon = Principal::daemon();
                self.store.write(&daemon, move |tx| store::broker_catalogues::set(tx, &name, &text)).await?;
                Ok(Refreshed::Offered(offered))
            }
            Err(reason) => {
                tracing::warn!(broker = %name, reason, "a catalogue was not fetched; the one before stays");
                Ok(Refreshed::Kept { reason })
            }
        }
    }

    async fn recall(&self) -> Result<(), StoreError> {
        let known = self.store.read(store::broker_catalogues::list).await?;
        if let Some(text) = known.get(self.client.name().as_str())
            && let Err(reason) = self.take_over(text)
        {
            tracing::warn!(broker = %self.client.name(), reason, "the last catalogue is not usable");
        }
        Ok(())
    }

    async fn follow(&self) {
        loop {
            let pause = match self.refresh().await {
                Ok(Refreshed::Offered(_)) => self.period,
                Ok(Refreshed::Kept { .. }) => self.period.min(LONGEST_RETRY),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, broker = %self.client.name(), "a catalogue was not stored");
                    self.period.min(LONGEST_RETRY)
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn take_over(&self, text: &str) -> Result<usize, String> {
        let broker = self.client.name();
        let (services, left_out) = catalogue::parse(broker, text)?;
        for reason in left_out {
            tracing::warn!(%broker, reason, "a service of a broker is not usable and not offered");
        }
        for service in self.offer.set(broker, &services) {
            tracing::warn!(%broker, service = %service.name, "a service of a broker has a name that is taken");
        }
        Ok(services.len())
    }
}
