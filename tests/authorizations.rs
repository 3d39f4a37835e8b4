//! Authorizations: what `aka auth:login` does, and the tokens that a person has.

use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::model::account::Role;
use akkerisd::model::time::Timestamp;
use serde_json::{Value, json};

use crate::support::{ADMIN_TOKEN, Client, PASSWORD, TestDaemon, assert_shape, one_time_code};

fn documented() -> Value {
    json!({ "id": "", "token": "", "note": "", "scopes": [""], "created_at": "", "updated_at": "", "expires_at": "" })
}

/// What `aka auth:login` sends.
fn of_aka() -> Value {
    json!({
        "notes": "Akkeris CLI", "note": "Akkeris CLI", "notes_url": "", "fingerprint": "",
        "scopes": ["read:user", "read:org"]
    })
}

async fn with_alice() -> (TestDaemon, Clock) {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let daemon = TestDaemon::at(clock.clone()).await;
    daemon.account("alice", Role::Member, &[]).await;
    (daemon, clock)
}

async fn log_in(daemon: &TestDaemon, name: &str, password: &str) -> Client {
    let made = daemon.basic(name, password).post("/authorizations", of_aka()).await.json(201);
    daemon.with_secret(made.get("token").unwrap().as_str().unwrap())
}

#[tokio::test]
async fn create_authorization_as_aka_logs_in() {
    let (daemon, _) = with_alice().await;
    let aka = daemon.basic("alice", PASSWORD).header("user-agent", "akkeris-cli");
    let made = aka.post("/authorizations", of_aka()).await.json(201);
    assert_shape(&documented(), &made, &["expires_at"]);
    assert_eq!((&made["note"], &made["scopes"]), (&json!("Akkeris CLI"), &json!(["global"])));
    let client = daemon.with_secret(made["token"].as_str().unwrap());
    assert_eq!(client.get("/account").await.json(200)["name"], "alice");
    client.post("/apps", json!({ "name": "mine", "space": "default", "org": "akkeris" })).await.json(201);
    assert!(!daemon.disk().await.contains(made["token"].as_str().unwrap()), "only a hash is stored");
    assert!(!daemon.disk().await.contains(PASSWORD), "only a hash is stored");
}

#[tokio::test]
async fn create_authorization_tells_nothing_of_who_exists() {
    let (daemon, _) = with_alice().await;
    let known = daemon.basic("alice", "wrong password").post("/authorizations", json!({})).await;
    let unknown = daemon.basic("nobody", "wrong password").post("/authorizations", json!({})).await;
    assert_eq!(known.error(401), unknown.error(401));
    assert!(!known.error(401).contains("OTP"), "aka would ask for a code");
    for client in [daemon.basic("alice", ""), daemon.basic("not a name", PASSWORD), daemon.anonymous()] {
        client.post("/authorizations", json!({})).await.error(401);
    }
    let bob = daemon.personal("bob").await;
    bob.post("/authorizations", json!({})).await.error(401);
    daemon.basic("bob", PASSWORD).post("/authorizations", json!({})).await.error(401);
}

#[tokio::test]
async fn create_authorization_takes_an_admin_token_as_the_password() {
    let (daemon, _) = with_alice().await;
    let client = log_in(&daemon, "admin", ADMIN_TOKEN).await;
    assert_eq!(client.get("/account").await.json(200)["elevated_access"], true);
    daemon.basic("alice", ADMIN_TOKEN).post("/authorizations", json!({})).await.error(401);
    let personal = daemon.token("alice", akkerisd::model::token::TokenKind::Personal).await;
    daemon.basic("alice", &personal).post("/authorizations", json!({})).await.error(401);
}

#[tokio::test]
async fn create_authorization_makes_tokens_that_only_read() {
    let (daemon, _) = with_alice().await;
    let made = daemon
        .basic("alice", PASSWORD)
        .post("/authorizations", json!({ "scopes": ["read"] }))
        .await
        .json(201);
    assert_eq!(made["scopes"], json!(["read"]));
    let client = daemon.with_secret(made["token"].as_str().unwrap());
    client.get("/apps").await.json(200);
    let message = client
        .post("/apps", json!({ "name": "mine", "space": "default", "org": "akkeris" }))
        .await
        .error(403);
    assert!(message.starts_with("This token may only read, and POST changes something"), "{message}");
    let bad = json!({ "scopes": ["everything"] });
    daemon.basic("alice", PASSWORD).post("/authorizations", bad).await.error(422);
    let long = json!({ "note": "x".repeat(256) });
    daemon.basic("alice", PASSWORD).post("/authorizations", long).await.error(422);
}

#[tokio::test]
async fn create_authorization_asks_for_a_one_time_code_the_way_aka_understands() {
    let (daemon, clock) = with_alice().await;
    let client = daemon.personal("alice").await;
    let path = "/account/two-factor-authentication";
    let made = client.send(http::Method::POST, path).await.json(201);
    let secret = made["secret"].as_str().unwrap();
    client.patch(path, json!({ "code": one_time_code(secret, &clock) })).await.json(200);

    let login = daemon.basic("alice", PASSWORD);
    for _ in 0..20 {
        let asked = login.post("/authorizations", of_aka()).await;
        let message = asked.error(401);
        assert!(message.contains("2FA") && message.contains("OTP"), "{message}");
        let otp =
            |name: &&http::HeaderName| name.as_str().starts_with("x-") && name.as_str().ends_with("-otp");
        assert_eq!(asked.headers.keys().filter(otp).count(), 1, "{:?}", asked.headers);
    }
    let wrong = daemon.basic("alice", "wrong password").post("/authorizations", of_aka()).await;
    assert!(!wrong.headers.contains_key("x-akkeris-otp"), "the password comes first");

    login.header("x-akkeris-otp", "000000").post("/authorizations", of_aka()).await.error(401);
    clock.advance(Duration::from_secs(30));
    let code = one_time_code(secret, &clock);
    let both = login.header("x-akkeris-otp", &code);
    both.post("/authorizations", of_aka()).await.json(201);
    both.post("/authorizations", of_aka()).await.error(401);
}

#[tokio::test]
async fn create_authorization_is_limited_per_account_and_tokens_go_on_working() {
    let (daemon, clock) = with_alice().await;
    let client = daemon.personal("alice").await;
    let wrong = daemon.basic("alice", "wrong password");
    let attempts = (0..30).map(|_| wrong.post("/authorizations", json!({})));
    let answers = futures_util::future::join_all(attempts).await;
    let refused = answers.iter().filter(|answer| answer.status == 429).count();
    assert_eq!(refused, 20, "ten are looked at, however many come at once");
    let right = daemon.basic("alice", PASSWORD);
    let answer = right.post("/authorizations", json!({})).await;
    let message = answer.error(429);
    assert_eq!(message, "There were too many failed logins; try again in 15 minutes. Tokens go on working.");
    assert_eq!(answer.headers["retry-after"], "900");
    client.get("/account").await.json(200);
    daemon.account("carol", Role::Member, &[]).await;
    log_in(&daemon, "carol", PASSWORD).await;
    clock.advance(Duration::from_mins(15));
    log_in(&daemon, "alice", PASSWORD).await;
}

#[tokio::test]
async fn create_authorization_is_limited_per_address() {
    let (daemon, _) = with_alice().await;
    let from = |address: &str, number: u32| {
        daemon.basic(&format!("user{number}"), "wrong password").header("x-forwarded-for", address)
    };
    for number in 0..50 {
        from("192.0.2.1", number).post("/authorizations", json!({})).await.error(401);
    }
    from("192.0.2.1", 50).post("/authorizations", json!({})).await.error(429);
    from("192.0.2.2", 50).post("/authorizations", json!({})).await.error(401);
}

#[tokio::test]
async fn create_authorization_is_bounded_per_account() {
    let (daemon, _) = with_alice().await;
    daemon.corrupt(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO tokens (id, name, kind, user, hash, created_at)
         SELECT randomblob(16), 'token' || i, 'personal', 'alice', randomblob(32), 1 FROM n",
    );
    let message = daemon.basic("alice", PASSWORD).post("/authorizations", json!({})).await.error(422);
    assert!(message.contains("500 authorizations, which is the limit"), "{message}");
}

#[tokio::test]
async fn list_authorizations_of_oneself_without_secrets() {
    let (daemon, _) = with_alice().await;
    let client = log_in(&daemon, "alice", PASSWORD).await;
    log_in(&daemon, "admin", ADMIN_TOKEN).await;
    daemon.basic("alice", PASSWORD).post("/authorizations", json!({ "note": "second" })).await.json(201);
    let all = client.get("/authorizations").await.json(200);
    assert_shape(&json!([documented()]), &all, &["expires_at"]);
    let notes: Vec<&str> = all.as_array().unwrap().iter().map(|one| one["note"].as_str().unwrap()).collect();
    assert_eq!(notes, ["Akkeris CLI", "second"]);
    assert!(all.as_array().unwrap().iter().all(|one| one["token"] == ""));
}

#[tokio::test]
async fn view_authorization_by_id_or_secret_of_oneself_only() {
    let (daemon, _) = with_alice().await;
    let made = daemon.basic("alice", PASSWORD).post("/authorizations", json!({})).await.json(201);
    let (id, secret) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let alice = daemon.with_secret(secret);
    let bob = daemon.personal("bob").await;
    for reference in [id, secret] {
        let path = format!("/authorizations/{reference}");
        let found = alice.get(&path).await.json(200);
        assert_eq!((&found["id"], &found["token"]), (&json!(id), &json!("")));
        assert!(!bob.get(&path).await.error(404).contains(secret), "a secret is not repeated");
    }
    let message = alice.get("/authorizations/nothing").await.error(404);
    assert_eq!(message, "The authorization of that secret does not exist.");
}

#[tokio::test]
async fn delete_authorization_ends_its_token_at_once() {
    let (daemon, _) = with_alice().await;
    let made = daemon.basic("alice", PASSWORD).post("/authorizations", json!({})).await.json(201);
    let (id, secret) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    let alice = daemon.with_secret(secret);
    let bob = daemon.personal("bob").await;
    bob.delete(&format!("/authorizations/{id}")).await.error(404);
    bob.delete(&format!("/authorizations/{secret}")).await.error(404);
    alice.get("/account").await.json(200);
    let answer = alice.delete(&format!("/authorizations/{secret}")).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    alice.get("/account").await.error(401);
    let other = log_in(&daemon, "alice", PASSWORD).await;
    other.delete(&format!("/authorizations/{id}")).await.error(404);
}
