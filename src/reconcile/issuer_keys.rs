//! The public keys of the issuers that filters of the type jwt trust: fetched off the path of requests, kept while the
//! issuer is down, and fetched again from time to time and when a token names a key that is not there.
//!
//! Invariant: an address is asked by one task however many filters name it, and after an answer not again before
//! [`KeyTiming::between`] has passed, whatever tokens clients send.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::edge::filters::jwt::{KeyFeed, KeySet, Keys, KeysError};
use crate::model::filter::JwksUri;
use crate::outbound::{DownloadLimits, Outbound, OutboundError};
use crate::tasks::Tasks;

/// What one fetch may take.
const LIMITS: DownloadLimits = DownloadLimits { bytes: 256 * 1024, total: Duration::from_secs(10) };

/// When keys are fetched.
#[derive(Debug, Clone, Copy)]
pub struct KeyTiming {
    /// After the first failure; each further one doubles it, up to `between`.
    pub first_retry: Duration,
    /// At least, after an answer.
    pub between: Duration,
    /// At most, after an answer.
    pub period: Duration,
}

/// The sets of keys that are in use, by address.
#[derive(Debug)]
pub struct IssuerKeys {
    outbound: Outbound,
    tasks: Tasks,
    timing: KeyTiming,
    sets: Mutex<HashMap<JwksUri, Weak<KeySet>>>,
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error("the answer is no set of keys: {0}")]
    Keys(#[from] KeysError),
}

impl Default for KeyTiming {
    fn default() -> Self {
        Self {
            first_retry: Duration::from_secs(1),
            between: Duration::from_secs(30),
            period: Duration::from_mins(5),
        }
    }
}

impl IssuerKeys {
    /// No sets yet.
    pub fn new(outbound: Outbound, tasks: Tasks, timing: KeyTiming) -> Self {
        Self { outbound, tasks, timing, sets: Mutex::default() }
    }

    /// The set of an address. The first one who asks has it fetched, and it is kept up to date until the last one has
    /// dropped it.
    pub fn keys(&self, uri: &JwksUri) -> Arc<KeySet> {
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = sets.get(uri).and_then(Weak::upgrade) {
            return set;
        }
        sets.retain(|_, set| set.strong_count() > 0);
        let (set, feed) = KeySet::new();
        sets.insert(uri.clone(), Arc::downgrade(&set));
        drop(sets);
        let keeper = Keeper { uri: uri.clone(), feed, outbound: self.outbound.clone(), timing: self.timing };
        self.tasks.spawn("issuer-keys", keeper.run(self.tasks.stopping()));
        set
    }
}

/// Keeps one set.
struct Keeper {
    uri: JwksUri,
    feed: KeyFeed,
    outbound: Outbound,
    timing: KeyTiming,
}

impl Keeper {
    async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.feed.gone() => {}
            () = self.keep() => {}
        }
    }

    async fn keep(&self) {
        let mut pause = self.timing.first_retry;
        loop {
            match self.fetch().await {
                Ok(keys) => {
                    if keys.is_empty() {
                        tracing::warn!(
                            uri = self.uri.as_str(),
                            "the issuer publishes no key that can be used"
                        );
                    }
                    self.feed.publish(keys);
                    pause = self.timing.first_retry;
                    tokio::time::sleep(self.timing.between).await;
                    let rest = self.timing.period.saturating_sub(self.timing.between);
                    // Elapsed or wanted: both lead to the next fetch.
                    drop(tokio::time::timeout(rest, self.feed.wanted()).await);
                }
                Err(error) => {
                    let uri = self.uri.as_str();
                    tracing::warn!(
                        uri,
                        error = &error as &dyn std::error::Error,
                        "an issuer's keys stay as they were"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(self.timing.between);
                }
            }
        }
    }

    async fn fetch(&self) -> Result<Keys, FetchError> {
        let document = self.outbound.get(self.uri.as_str(), LIMITS).await?;
        Ok(Keys::parse(&document)?)
    }
}
