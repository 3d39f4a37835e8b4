//! The keys of issuers: fetched once for all filters, kept while the issuer is down, and fetched again when they change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::edge::filters::jwt::KeySet;
use akkerisd::outbound::Outbound;
use akkerisd::reconcile::issuer_keys::{IssuerKeys, KeyTiming};
use akkerisd::reconcile::kept_keys::KeptKeys;
use akkerisd::store::Store;
use akkerisd::tasks::Tasks;
use tempfile::TempDir;

use super::LIMIT;
use super::issuer::Issuer;
use crate::support::wait::wait_until;

/// Fetches as often as it may.
pub(super) const QUICK: KeyTiming = KeyTiming {
    first_retry: Duration::from_millis(10),
    between: Duration::from_millis(20),
    period: Duration::from_millis(20),
};

/// Fetches when a key is missed, and else not in the time of a test.
pub(super) const ON_DEMAND: KeyTiming = KeyTiming { period: Duration::from_hours(1), ..QUICK };

/// What fetches keys, with a disk of its own.
pub(super) struct Keeping {
    pub(super) keys: IssuerKeys,
    pub(super) tasks: Tasks,
    pub(super) store: Store,
    _folder: Option<TempDir>,
}

impl Keeping {
    pub(super) fn new(timing: KeyTiming) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keeping = Self::on(folder.path(), Clock::system(), timing);
        Self { _folder: Some(folder), ..keeping }
    }

    /// As of a daemon that starts on this disk.
    pub(super) fn on(folder: &Path, clock: Clock, timing: KeyTiming) -> Self {
        let store = Store::open(&folder.join("akkerisd.db"), clock.clone()).unwrap();
        let (tasks, kept) = (Tasks::new(), KeptKeys::new(store.clone(), clock));
        let keys = IssuerKeys::new(Outbound::new(true).unwrap(), tasks.clone(), timing, kept);
        Self { keys, tasks, store, _folder: None }
    }
}

pub(super) async fn until_keys(set: &Arc<KeySet>, count: usize) {
    let what = format!("the set has {count} keys");
    wait_until(&what, LIMIT, async || (set.load()?.len() == count).then_some(())).await;
}

pub(super) async fn until_asked(issuer: &Issuer, count: usize) {
    let what = format!("the issuer was asked {count} times");
    wait_until(&what, LIMIT, async || (issuer.asked() >= count).then_some(())).await;
}

#[tokio::test]
async fn filters_of_one_address_share_its_keys_and_the_last_one_ends_the_fetching() {
    let (issuer, keeping) = (Issuer::start().await, Keeping::new(ON_DEMAND));
    let (keys, tasks) = (&keeping.keys, &keeping.tasks);
    let (one, two) = (keys.keys(&issuer.uri), keys.keys(&issuer.uri));
    assert!(Arc::ptr_eq(&one, &two));
    until_keys(&one, 5).await;
    assert_eq!((issuer.asked(), tasks.running()), (1, 1));
    drop(one);
    assert_eq!(tasks.running(), 1);
    drop(two);
    wait_until("the task has ended", LIMIT, async || (tasks.running() == 0).then_some(())).await;
    until_keys(&keys.keys(&issuer.uri), 5).await;
    assert_eq!(issuer.asked(), 2);
    assert!(tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn keys_stay_while_the_issuer_is_down_or_answers_nonsense_and_change_when_it_is_back() {
    let (issuer, keeping) = (Issuer::start().await, Keeping::new(QUICK));
    let (keys, tasks) = (&keeping.keys, &keeping.tasks);
    let set = keys.keys(&issuer.uri);
    until_keys(&set, 5).await;
    let large = format!("{{\"keys\":[],\"x\":\"{}\"}}", "x".repeat(300 * 1024));
    for (status, body) in [(500, "{\"keys\":[]}"), (200, "<html>"), (200, large.as_str())] {
        issuer.answer(status, body);
        until_asked(&issuer, issuer.asked() + 3).await;
        assert_eq!(set.load().unwrap().len(), 5, "{status}");
    }
    issuer.rotate();
    until_keys(&set, 1).await;
    issuer.answer(200, "{\"keys\":[]}");
    until_keys(&set, 0).await;
    assert!(tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn an_issuer_that_is_down_at_first_is_asked_again() {
    let (issuer, keeping) = (Issuer::start().await, Keeping::new(ON_DEMAND));
    let (keys, tasks) = (&keeping.keys, &keeping.tasks);
    issuer.answer(503, "");
    let set = keys.keys(&issuer.uri);
    until_asked(&issuer, 3).await;
    assert!(set.load().is_none());
    issuer.rotate();
    until_keys(&set, 1).await;
    assert!(tasks.stop(LIMIT).await);
}
