//! Temporary tokens of hooks, and the key by which others check them.

use std::cmp::Ordering;
use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::hooks::Deliverer;
use akkerisd::model::account::Role;
use akkerisd::model::dyno::CrashCode;
use akkerisd::model::event::Event;
use akkerisd::model::names::{DynoName, ProcessType};
use akkerisd::model::principal::Principal;
use akkerisd::model::time::Timestamp;
use akkerisd::tasks::Tasks;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::hook_payloads::deliverer_parts;
use crate::pipelines::{id_of, text};
use crate::support::sink::Sink;
use crate::support::{Client, TestDaemon};

const NOW: i64 = 1_800_000_000;

/// A number, its least significant 64 bits first.
type Number = Vec<u64>;

fn number(bytes: &[u8], limbs: usize) -> Number {
    let mut limbs = vec![0_u64; limbs];
    for (place, byte) in bytes.iter().rev().enumerate() {
        *limbs.get_mut(place / 8).unwrap() |= u64::from(*byte) << (place % 8 * 8);
    }
    limbs
}

fn compare(a: &Number, b: &Number) -> Ordering {
    a.iter().rev().cmp(b.iter().rev())
}

/// `a + b`, less `n` where it is not below it.
fn add(a: &Number, b: &Number, n: &Number) -> Number {
    let mut carry = 0_u128;
    let mut sum: Number = Vec::with_capacity(a.len());
    for (a, b) in a.iter().zip(b) {
        carry += u128::from(*a) + u128::from(*b);
        sum.push(u64::try_from(carry & u128::from(u64::MAX)).unwrap());
        carry >>= 64;
    }
    if compare(&sum, n) == Ordering::Less {
        return sum;
    }
    let mut borrow = false;
    for (limb, n) in sum.iter_mut().zip(n) {
        let (once, first) = limb.overflowing_sub(*n);
        let (twice, second) = once.overflowing_sub(u64::from(borrow));
        *limb = twice;
        borrow = first || second;
    }
    sum
}

fn multiply(a: &Number, b: &Number, n: &Number) -> Number {
    let mut product = vec![0; a.len()];
    for limb in b.iter().rev() {
        for bit in (0..64).rev() {
            product = add(&product, &product, n);
            if limb >> bit & 1 == 1 {
                product = add(&product, a, n);
            }
        }
    }
    product
}

/// RSASSA-PKCS1-v1_5 with SHA-256 from its definition (RFC 8017 §8.2.2), for the exponent 65537.
fn is_signed(message: &[u8], signature: &[u8], modulus: &[u8]) -> bool {
    // One limb more, so that sums have room.
    let limbs = modulus.len() / 8 + 1;
    let (n, s) = (number(modulus, limbs), number(signature, limbs));
    let power = (0..16).fold(s.clone(), |power, _| multiply(&power, &power, &n));
    let opened = multiply(&power, &s, &n);
    let algorithm = hex::decode("3031300d060960864801650304020105000420").unwrap();
    let end = [algorithm, Sha256::digest(message).to_vec()].concat();
    let mut expected = vec![0, 1];
    expected.resize(modulus.len() - end.len() - 1, 0xff);
    expected.push(0);
    expected.extend(end);
    opened == number(&expected, limbs)
}

fn decoded(part: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(part).unwrap()
}

/// The daemon on a clock that stands, alice of the organization akkeris with an app, and another's app.
struct World {
    daemon: TestDaemon,
    alice: Client,
    sink: Sink,
    clock: Clock,
    hook: String,
    tasks: Tasks,
}

impl World {
    async fn new() -> Self {
        let clock = Clock::manual(Timestamp::from_millis(NOW * 1000));
        let daemon = TestDaemon::at(clock.clone()).await;
        let admin = daemon.admin();
        admin.post("/organizations", json!({ "name": "others", "description": "" })).await.json(201);
        let theirs = json!({ "name": "theirs", "space": "default", "org": "others" });
        admin.post("/apps", theirs).await.json(201);
        daemon.account("alice", Role::Member, &["akkeris", "others"]).await;
        let alice = daemon.personal("alice").await;
        let app = json!({ "name": "app", "space": "default", "org": "akkeris" });
        alice.post("/apps", app).await.json(201);
        let sink = Sink::start().await;
        let wanted = json!({ "url": sink.url, "events": ["config_change", "crashed"], "secret": "secret" });
        let hook = alice.post("/apps/app/hooks", wanted).await.json(201);
        let hook = text(&hook, "id").to_owned();
        let tasks = Tasks::new();
        Deliverer::start(deliverer_parts(&daemon), &tasks).await.unwrap();
        Self { daemon, alice, sink, clock, hook, tasks }
    }

    /// The token of a delivery that alice causes.
    async fn token(&self) -> String {
        self.alice.patch("/apps/app/config-vars", json!({ "A": "b" })).await.json(200);
        self.sink.wait_for(1).await.first().unwrap().header("x-akkeris-token").to_owned()
    }
}

#[tokio::test]
async fn view_keys_gives_the_key_that_a_delivery_s_token_is_signed_with() {
    let world = World::new().await;
    let token = world.token().await;
    let keys = world.daemon.anonymous().get("/.well-known/jwks.json").await.json(200);
    let key = keys.pointer("/keys/0").unwrap();
    assert_eq!((&key["kty"], &key["alg"], &key["e"]), (&json!("RSA"), &json!("RS256"), &json!("AQAB")));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (head, claims) = signed.split_once('.').unwrap();
    let head: Value = serde_json::from_slice(&decoded(head)).unwrap();
    assert_eq!(head, json!({ "alg": "RS256", "typ": "JWT", "kid": key["kid"] }));
    let (modulus, signature) = (decoded(text(key, "n")), decoded(signature));
    assert!(is_signed(signed.as_bytes(), &signature, &modulus));
    assert!(!is_signed(b"something else", &signature, &modulus), "the check can fail");

    let mut claims: Value = serde_json::from_slice(&decoded(claims)).unwrap();
    assert!(claims.as_object_mut().unwrap().remove("jti").is_some());
    let app = id_of(&world.alice, "app").await;
    let documented = json!({
        "sub": "alice", "ele": false, "aud": "http://api.test", "iss": "http://api.test",
        "exp": NOW + 3660, "nbf": NOW - 60,
        "hook_id": world.hook, "hook_type": "config_change", "app_uuid": app.to_string(),
    });
    assert_eq!(claims, documented);
    // The key is made once, and known to its owner alone.
    assert_eq!(world.daemon.anonymous().get("/.well-known/jwks.json").await.json(200), keys);
    world.tasks.stop(Duration::from_secs(30)).await;
}

#[tokio::test]
async fn a_temporary_token_acts_for_its_person_in_the_organization_of_its_app_for_an_hour() {
    let world = World::new().await;
    let hook = world.daemon.with_secret(&world.token().await);
    hook.get("/apps/app").await.json(200);
    hook.patch("/apps/app/config-vars", json!({ "FROM": "hook" })).await.json(200);
    hook.get("/apps/theirs").await.error(403);
    world.alice.get("/apps/theirs").await.json(200);
    let new = json!({ "url": world.sink.url, "events": ["release"], "secret": "secret" });
    for answer in [
        hook.delete("/apps/app").await,
        hook.delete("/apps/app/formation/web").await,
        hook.post("/apps/app/hooks", new).await,
        hook.patch(&format!("/apps/app/hooks/{}", world.hook), json!({})).await,
        hook.delete(&format!("/apps/app/hooks/{}", world.hook)).await,
        hook.get("/favorites").await,
    ] {
        assert!(answer.error(403).contains("temporary token"), "{answer:?}");
    }
    hook.post("/favorites", json!({ "app": "app" })).await.error(403);
    world.clock.advance(Duration::from_secs(3661));
    hook.get("/apps/app").await.error(401);
    world.alice.get("/apps/app").await.json(200);
}

#[tokio::test]
async fn a_temporary_token_shows_no_changes_and_no_costs_of_other_organizations() {
    let world = World::new().await;
    world.alice.patch("/apps/theirs", json!({ "description": "secret plans" })).await.json(200);
    world.alice.post("/apps/theirs/formation", json!({ "type": "web" })).await.json(201);
    world.alice.post("/apps/app/formation", json!({ "type": "web" })).await.json(201);
    let hook = world.daemon.with_secret(&world.token().await);
    world.clock.advance(Duration::from_mins(30));
    let month = world.alice.get("/account/invoices").await.json(200)[0]["$ref"].as_str().unwrap().to_owned();
    for path in ["/audits?size=1000", &month] {
        let (own, shown) = (world.alice.get(path).await.text(), hook.get(path).await.text());
        assert!(own.contains("\"theirs"), "{own}");
        assert!(shown.contains("\"app") && !shown.contains("theirs"), "{shown}");
    }
}

#[tokio::test]
async fn a_token_is_shown_in_no_result_and_goes_with_no_event_of_the_daemon() {
    let world = World::new().await;
    let token = world.token().await;
    let app = id_of(&world.alice, "app").await;
    let crash = move |tx: &mut akkerisd::store::Tx<'_>| {
        let (process_type, dyno) = (ProcessType::web(), DynoName::new("1", "a"));
        tx.record(Event::DynoCrashed { app, process_type, dyno, code: CrashCode::Crashed, restarts: 1 })
    };
    world.daemon.state.store.write(&Principal::daemon(), crash).await.unwrap();
    let received = world.sink.wait_for(2).await;
    assert!(!received.last().unwrap().headers.contains_key("x-akkeris-token"));
    let results = world.alice.get(&format!("/apps/app/hooks/{}/results", world.hook)).await.text();
    assert!(!results.contains("x-akkeris-token") && !results.contains(&token), "{results}");
    assert!(!world.daemon.disk().await.contains(&token));
    for wrong in ["a.b.c", "..", &token.replacen('.', ".A", 1)] {
        world.daemon.with_secret(wrong).get("/apps/app").await.error(401);
    }
}
