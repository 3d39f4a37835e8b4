//! The keys of issuers over a restart of the daemon: there at once, for as long as they are young and needed.

use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::model::filter::{FilterOptions, JwksUri};
use akkerisd::model::time::Timestamp;
use akkerisd::store;
use tempfile::TempDir;

use super::LIMIT;
use super::filters::{Filtered, attached};
use super::issuer::{Issuer, token};
use super::issuer_keys::{Keeping, ON_DEMAND, QUICK, until_asked, until_keys};
use crate::support::wait::wait_until;

/// Before the good tokens expire.
const NOW: Timestamp = Timestamp::from_millis(1_900_000_000_000);
const DAY: Duration = Duration::from_hours(24);

/// A disk on which the issuer's keys are; the issuer is down from now on.
async fn after_a_run(issuer: &Issuer, clock: &Clock) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let keeping = Keeping::on(folder.path(), clock.clone(), ON_DEMAND);
    let set = keeping.keys.keys(&issuer.uri);
    until_keys(&set, 5).await;
    until_kept(&keeping, &issuer.uri).await;
    assert!(keeping.tasks.stop(LIMIT).await);
    drop(set);
    assert!(keeping.store.close(LIMIT).await);
    issuer.answer(503, "");
    folder
}

async fn until_kept(keeping: &Keeping, uri: &JwksUri) {
    wait_until("the keys are on disk", LIMIT, async || is_kept(keeping, uri).then_some(())).await;
}

fn is_kept(keeping: &Keeping, uri: &JwksUri) -> bool {
    keeping.store.look_up(|connection| store::issuer_keys::find(connection, uri)).unwrap().is_some()
}

#[tokio::test]
async fn tokens_are_judged_at_once_after_a_restart_while_the_issuer_is_down() {
    let issuer = Issuer::start().await;
    let folder = after_a_run(&issuer, &Clock::system()).await;
    let keeping = Keeping::on(folder.path(), Clock::system(), ON_DEMAND);
    let app = Filtered::with(&[attached(FilterOptions::Jwt(issuer.options()), &[])], keeping).await;
    assert_eq!(app.bearing("/", &token("/good/ES256")).await.status, 200);
    assert_eq!(app.bearing("/", &token("/bad/unknown_kid/token")).await.status, 401);
    issuer.rotate();
    app.until_passed(&token("/rotated_token")).await;
    assert_eq!(app.bearing("/", &token("/good/ES256")).await.status, 401, "the old keys have ended");
}

#[tokio::test]
async fn keys_of_an_address_that_no_filter_names_any_more_are_not_used_and_go() {
    let (issuer, other) = (Issuer::start().await, Issuer::start().await);
    let folder = after_a_run(&issuer, &Clock::system()).await;
    other.answer(503, "");
    let keeping = Keeping::on(folder.path(), Clock::system(), ON_DEMAND);
    let set = keeping.keys.keys(&other.uri);
    until_asked(&other, 2).await;
    assert!(set.load().is_none());
    assert!(is_kept(&keeping, &issuer.uri));
    keeping.keys.forget_unused().await;
    assert!(!is_kept(&keeping, &issuer.uri));
    assert!(keeping.tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn keys_go_with_the_last_filter_that_names_their_address() {
    let (issuer, keeping) = (Issuer::start().await, Keeping::new(ON_DEMAND));
    let (one, two) = (keeping.keys.keys(&issuer.uri), keeping.keys.keys(&issuer.uri));
    until_kept(&keeping, &issuer.uri).await;
    drop(one);
    keeping.keys.forget_unused().await;
    assert!(is_kept(&keeping, &issuer.uri));
    drop(two);
    wait_until("the keys are gone", LIMIT, async || (!is_kept(&keeping, &issuer.uri)).then_some(())).await;
    assert!(keeping.tasks.stop(LIMIT).await);
}

#[tokio::test]
async fn a_start_uses_keys_of_the_last_week_only() {
    let issuer = Issuer::start().await;
    for (days, used) in [(6, true), (8, false)] {
        let clock = Clock::manual(NOW);
        issuer.answer(200, &super::issuer::tokens().get("jwks").unwrap().to_string());
        let folder = after_a_run(&issuer, &clock).await;
        clock.advance(DAY * days);
        let keeping = Keeping::on(folder.path(), clock, ON_DEMAND);
        assert_eq!(keeping.keys.keys(&issuer.uri).load().is_some(), used, "after {days} days");
        assert!(keeping.tasks.stop(LIMIT).await);
    }
}

#[tokio::test]
async fn keys_that_stay_the_same_count_from_the_issuers_last_answer() {
    let (issuer, clock, folder) = (Issuer::start().await, Clock::manual(NOW), tempfile::tempdir().unwrap());
    let keeping = Keeping::on(folder.path(), clock.clone(), QUICK);
    let set = keeping.keys.keys(&issuer.uri);
    until_keys(&set, 5).await;
    until_kept(&keeping, &issuer.uri).await;
    clock.advance(5 * DAY);
    let young = |keeping: &Keeping| {
        let found = keeping.store.look_up(|connection| store::issuer_keys::find(connection, &issuer.uri));
        found.unwrap().filter(|found| found.fetched_at == clock.now()).map(drop)
    };
    wait_until("the keys are young again", LIMIT, async || young(&keeping)).await;
    assert!(keeping.tasks.stop(LIMIT).await);
}
