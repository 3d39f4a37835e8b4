//! The public keys of the issuers that filters of the type jwt trust: fetched off the path of requests, kept while the
//! issuer is down, also over a restart (`kept_keys.rs`), and fetched again from time to time and when a token names a key
//! that is not there.
//!
//! Invariant: an address is asked by one task however many filters name it, and after an answer not again before
//! [`KeyTiming::between`] has passed, whatever tokens clients send.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::kept_keys::KeptKeys;
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
    kept: KeptKeys,
    sets: Arc<KeySets>,
}

/// The sets that somebody holds, and addresses of some that nobody holds any more.
#[derive(Debug, Default)]
struct KeySets(Mutex<HashMap<JwksUri, Weak<KeySet>>>);

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
    pub fn new(outbound: Outbound, tasks: Tasks, timing: KeyTiming, kept: KeptKeys) -> Self {
        Self { outbound, tasks, timing, kept, sets: Arc::default() }
    }

    /// The set of an address: with the keys that are on disk, else empty. The first one who asks has it fetched, and it
    /// is kept up to date until the last one has dropped it.
    pub fn keys(&self, uri: &JwksUri) -> Arc<KeySet> {
        let (set, feed) = match self.sets.find_or_add(uri) {
            (set, None) => return set,
            (set, Some(feed)) => (set, feed),
        };
        if let Some(keys) = self.kept.load(uri) {
            feed.publish(keys);
        }
        let keeper = Keeper {
            uri: uri.clone(),
            feed,
            outbound: self.outbound.clone(),
            timing: self.timing,
            kept: self.kept.clone(),
            sets: Arc::clone(&self.sets),
        };
        self.tasks.spawn("issuer-keys", keeper.run(self.tasks.stopping()));
        set
    }

    /// Takes what nobody holds a set of from the disk: filters may have changed while nobody was there to see it.
    pub async fn forget_unused(&self) {
        self.kept.forget_all_but(self.sets.used()).await;
    }
}

impl KeySets {
    /// The set of an address; when it is a new one also its other end.
    fn find_or_add(&self, uri: &JwksUri) -> (Arc<KeySet>, Option<KeyFeed>) {
        let mut sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(set) = sets.get(uri).and_then(Weak::upgrade) {
            return (set, None);
        }
        sets.retain(|_, set| set.strong_count() > 0);
        let (set, feed) = KeySet::new();
        sets.insert(uri.clone(), Arc::downgrade(&set));
        (set, Some(feed))
    }

    fn used(&self) -> Vec<JwksUri> {
        let sets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sets.iter().filter(|(_, set)| set.strong_count() > 0).map(|(uri, _)| uri.clone()).collect()
    }
}

/// Keeps one set.
struct Keeper {
    uri: JwksUri,
    feed: KeyFeed,
    outbound: Outbound,
    timing: KeyTiming,
    kept: KeptKeys,
    sets: Arc<KeySets>,
}

impl Keeper {
    async fn run(self, stop: CancellationToken) {
        tokio::select! {
            // A daemon that stops drops its filters, too, and keeps their keys.
            biased;
            () = stop.cancelled() => return,
            () = self.feed.gone() => {}
            () = self.keep() => {}
        }
        // A filter of the same address may have come meanwhile.
        if !self.sets.used().contains(&self.uri) {
            self.kept.forget(&self.uri).await;
        }
    }

    async fn keep(&self) {
        let mut pause = self.timing.first_retry;
        loop {
            match self.fetch().await {
                Ok((keys, document)) => {
                    if keys.is_empty() {
                        tracing::warn!(
                            uri = self.uri.as_str(),
                            "the issuer publishes no key that can be used"
                        );
                    }
                    self.feed.publish(keys);
                    self.kept.save(&self.uri, document).await;
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

    /// The keys, and the document that they are from.
    async fn fetch(&self) -> Result<(Keys, Vec<u8>), FetchError> {
        let document = self.outbound.get(self.uri.as_str(), LIMITS).await?;
        Ok((Keys::parse(&document)?, document))
    }
}
