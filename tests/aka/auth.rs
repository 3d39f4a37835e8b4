//! `auth:login`, with and without a second factor, and `auth:whoami`.

use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::model::account::Role;
use akkerisd::model::time::Timestamp;
use http::Method;
use serde_json::{Value, json};

use super::{Aka, chunked, speaking, strings, text};
use crate::support::{Answer, PASSWORD, one_time_code};

/// `auth:login -u alice -p PASSWORD`; the code when the client was asked for one.
async fn log_in(aka: &Aka, code: Option<&str>) -> Answer {
    let mut basic = speaking(&aka.daemon.basic("alice", PASSWORD));
    if let Some(code) = code {
        basic = basic.header("x-akkeris-otp", code);
    }
    let body = json!({
        "notes": "Akkeris CLI", "note": "Akkeris CLI", "notes_url": "", "fingerprint": "",
        "scopes": ["read:user", "read:org"]
    });
    chunked(&basic, Method::POST, "/authorizations", body).await
}

/// Whether the client asks its user for a code, and the header that it will send it in.
fn asked_for(answer: &Answer) -> Option<String> {
    let otp = |name: &&http::HeaderName| name.as_str().starts_with("x-") && name.as_str().ends_with("-otp");
    let mut headers = answer.headers.keys().filter(otp);
    let mentioned = answer.text().contains("2FA") || answer.text().contains("OTP");
    let header = headers.next().filter(|_| mentioned && !answer.status.is_success())?;
    headers.next().is_none().then(|| header.to_string())
}

#[tokio::test]
async fn auth_login_reads_the_token_that_all_other_commands_send() {
    let aka = Aka::start().await;
    aka.daemon.account("alice", Role::Member, &[]).await;
    let made = log_in(&aka, None).await.json(201);
    let alice = speaking(&aka.daemon.with_secret(text(&made, "token")));
    alice.get("/apps").await.json(200);
}

#[tokio::test]
async fn auth_login_shows_why_it_is_refused_and_asks_for_no_code() {
    let aka = Aka::start().await;
    let refused = log_in(&aka, None).await;
    strings(&refused.json(401), &["message"]);
    assert_eq!(asked_for(&refused), None);
}

#[tokio::test]
async fn auth_login_asks_for_a_code_and_sends_it_in_the_header_of_the_answer() {
    let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
    let aka = Aka::at(clock.clone()).await;
    aka.daemon.account("alice", Role::Member, &[]).await;
    let alice = aka.daemon.personal("alice").await;
    let path = "/account/two-factor-authentication";
    let made: Value = alice.send(Method::POST, path).await.json(201);
    let secret = text(&made, "secret");
    alice.patch(path, json!({ "code": one_time_code(secret, &clock) })).await.json(200);
    clock.advance(Duration::from_secs(30));

    let first = log_in(&aka, None).await;
    assert_eq!(first.status, 401);
    assert_eq!(asked_for(&first).as_deref(), Some("x-akkeris-otp"));
    let second = log_in(&aka, Some(&one_time_code(secret, &clock))).await;
    strings(&second.json(201), &["token"]);
}

#[tokio::test]
async fn auth_whoami_reads_name_and_email() {
    let aka = Aka::start().await;
    strings(&aka.get("/account").await, &["name", "email"]);
}
