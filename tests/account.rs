//! The account of the one who asks (`behaviour.md` §1.3), its password and its one-time codes.

use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::model::account::Role;
use akkerisd::model::names::UserName;
use akkerisd::model::time::Timestamp;
use akkerisd::service;
use serde_json::{Value, json};

use crate::support::{Client, PASSWORD, TestDaemon, assert_shape, one_time_code};

fn documented() -> Value {
    json!({
        "allow_tracking": false, "beta": false, "created_at": "", "email": "", "id": "", "last_login": "",
        "name": "", "photo": "", "sms_number": "", "elevated_access": true, "suspended_at": "",
        "delinquent_at": "", "two_factor_authentication": false, "updated_at": "", "verified": true,
        "thumbnailPhoto": "", "role": ""
    })
}

/// A daemon whose clock the test moves, and its account `alice` with a token.
async fn with_alice() -> (TestDaemon, Clock, Client) {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let daemon = TestDaemon::at(clock.clone()).await;
    daemon.account("alice", Role::Member, &[]).await;
    let client = daemon.personal("alice").await;
    (daemon, clock, client)
}

#[tokio::test]
async fn view_account_as_the_clients_read_it() {
    let (daemon, _, client) = with_alice().await;
    let account = client.get("/account").await.json(200);
    assert_shape(&documented(), &account, &["last_login", "suspended_at", "delinquent_at"]);
    assert_eq!((&account["name"], &account["email"]), (&json!("alice"), &json!("alice@example.com")));
    assert_eq!((&account["role"], &account["elevated_access"]), (&json!("member"), &json!(false)));
    assert_eq!(account["last_login"], Value::Null);
    daemon.basic("alice", PASSWORD).post("/authorizations", json!({})).await.json(201);
    assert!(client.get("/account").await.json(200)["last_login"].is_string());
    let admin = daemon.admin().get("/account").await.json(200);
    assert_eq!((&admin["role"], &admin["elevated_access"]), (&json!("owner"), &json!(true)));
}

#[tokio::test]
async fn view_account_of_the_user_that_a_service_token_names() {
    let (daemon, _, _) = with_alice().await;
    let service = daemon.service("proxy").await;
    service.get("/account").await.error(403);
    assert_eq!(service.header("x-username", "Alice").get("/account").await.json(200)["name"], "alice");
    let message = service.header("x-username", "stranger").get("/account").await.error(404);
    assert_eq!(message, "There is no account stranger here.");
}

#[tokio::test]
async fn update_account_changes_address_and_password_against_the_present_one() {
    let (daemon, _, client) = with_alice().await;
    let changed = client.patch("/account", json!({ "email": "a@b.example" })).await.json(200);
    assert_eq!(changed["email"], "a@b.example");
    client.patch("/account", json!({ "email": "nonsense" })).await.error(422);
    let change = json!({ "new_password": "another one entirely" });
    client.patch("/account", change.clone()).await.error(403);
    client.patch("/account", json!({ "new_password": "short", "password": PASSWORD })).await.error(422);
    let login = daemon.basic("alice", PASSWORD);
    login.post("/authorizations", json!({})).await.json(201);
    let change = json!({ "new_password": "another one entirely", "password": PASSWORD });
    client.patch("/account", change).await.json(200);
    login.post("/authorizations", json!({})).await.error(401);
    daemon.basic("alice", "another one entirely").post("/authorizations", json!({})).await.json(201);
}

#[tokio::test]
async fn update_account_sets_a_first_password_without_one() {
    let daemon = TestDaemon::start().await;
    let bob = daemon.personal("bob").await;
    bob.patch("/account", json!({ "new_password": PASSWORD })).await.json(200);
    daemon.basic("bob", PASSWORD).post("/authorizations", json!({})).await.json(201);
}

#[tokio::test]
async fn create_two_factor_asks_for_codes_only_once_one_was_confirmed() {
    let (daemon, clock, client) = with_alice().await;
    let path = "/account/two-factor-authentication";
    client.patch(path, json!({ "code": "123456" })).await.error(422);
    let made = client.send(http::Method::POST, path).await.json(201);
    let secret = made["secret"].as_str().unwrap();
    assert!(made["otpauth_url"].as_str().unwrap().starts_with("otpauth://totp/akkerisd:alice?secret="));
    let login = daemon.basic("alice", PASSWORD);
    login.post("/authorizations", json!({})).await.json(201);
    client.patch(path, json!({ "code": "abc" })).await.error(422);
    let on = client.patch(path, json!({ "code": one_time_code(secret, &clock) })).await.json(200);
    assert_eq!(on["two_factor_authentication"], true);
    client.send(http::Method::POST, path).await.error(409);
    login.post("/authorizations", json!({})).await.error(401);
    assert!(!daemon.disk().await.contains(secret), "the secret lies sealed");
}

#[tokio::test]
async fn update_two_factor_uses_a_code_up() {
    let (_daemon, clock, client) = with_alice().await;
    let path = "/account/two-factor-authentication";
    let made = client.send(http::Method::POST, path).await.json(201);
    let shown = one_time_code(made["secret"].as_str().unwrap(), &clock);
    client.patch(path, json!({ "code": shown })).await.json(200);
    client.header("x-akkeris-otp", &shown).delete(path).await.error(422);
    clock.advance(Duration::from_secs(30));
    let next = one_time_code(made["secret"].as_str().unwrap(), &clock);
    client.header("x-akkeris-otp", &next).delete(path).await.json(200);
}

#[tokio::test]
async fn delete_two_factor_needs_a_last_code() {
    let (daemon, clock, client) = with_alice().await;
    let path = "/account/two-factor-authentication";
    client.delete(path).await.error(409);
    let made = client.send(http::Method::POST, path).await.json(201);
    let secret = made["secret"].as_str().unwrap();
    client.patch(path, json!({ "code": one_time_code(secret, &clock) })).await.json(200);
    client.delete(path).await.error(422);
    clock.advance(Duration::from_mins(1));
    let off = client.header("x-akkeris-otp", &one_time_code(secret, &clock)).delete(path).await.json(200);
    assert_eq!(off["two_factor_authentication"], false);
    daemon.basic("alice", PASSWORD).post("/authorizations", json!({})).await.json(201);
}

#[tokio::test]
async fn a_suspended_account_is_refused_with_all_of_its_tokens_until_it_is_resumed() {
    let (daemon, clock, client) = with_alice().await;
    let store = &daemon.state.store;
    let alice = || UserName::parse("alice").unwrap();
    service::accounts::suspend(store, alice(), Some(clock.now())).await.unwrap();
    let message = client.get("/apps").await.error(403);
    assert!(message.contains("suspended since 2023-11-14T22:13:20.000Z"), "{message}");
    let service = daemon.service("proxy").await.header("x-username", "alice");
    service.get("/apps").await.error(403);
    daemon.basic("alice", PASSWORD).post("/authorizations", json!({})).await.error(403);
    daemon.basic("alice", "wrong password").post("/authorizations", json!({})).await.error(401);
    service::accounts::suspend(store, alice(), None).await.unwrap();
    client.get("/apps").await.json(200);
}

#[tokio::test]
async fn a_one_time_code_cannot_be_guessed_with_a_stolen_token() {
    let (_daemon, clock, client) = with_alice().await;
    let path = "/account/two-factor-authentication";
    let made = client.send(http::Method::POST, path).await.json(201);
    let secret = made["secret"].as_str().unwrap();
    client.patch(path, json!({ "code": one_time_code(secret, &clock) })).await.json(200);
    clock.advance(Duration::from_mins(1));
    let right = one_time_code(secret, &clock);
    let wrong = if right == "000000" { "111111" } else { "000000" };
    for _ in 0..10 {
        client.header("x-akkeris-otp", wrong).delete(path).await.error(422);
    }
    client.header("x-akkeris-otp", &right).delete(path).await.error(429);
    client.get("/account").await.json(200);
    clock.advance(Duration::from_mins(15));
    client.header("x-akkeris-otp", &one_time_code(secret, &clock)).delete(path).await.json(200);
}
