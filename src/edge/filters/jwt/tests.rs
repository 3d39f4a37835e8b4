use serde_json::Value;

use super::*;

const TOKENS: &str = include_str!("../../../../tests/edge/tokens.json");
/// 2026-01-01.
const NOW: f64 = 1_767_225_600.0;

fn tokens() -> Value {
    serde_json::from_str(TOKENS).unwrap()
}

fn keys(tokens: &Value, name: &str) -> Keys {
    Keys::parse(tokens[name].to_string().as_bytes()).unwrap()
}

fn options(tokens: &Value, audiences: &[&str]) -> JwtOptions {
    let audiences: Vec<String> = audiences.iter().map(|&text| text.to_owned()).collect();
    JwtOptions::new("https://issuer.example/jwks", tokens["issuer"].as_str().unwrap(), &audiences).unwrap()
}

#[test]
fn tokens_that_another_implementation_signed_pass_under_every_algorithm() {
    let tokens = tokens();
    let (keys, options) = (keys(&tokens, "jwks"), options(&tokens, &["other", "api"]));
    assert_eq!(keys.len(), 5, "those for encryption, too short ones and unknown kinds are left out");
    let good = tokens["good"].as_object().unwrap();
    assert_eq!(good.len(), 12);
    for (name, token) in good {
        let expires = token::verify(token.as_str().unwrap(), &keys, &options, NOW);
        assert!(expires.is_ok_and(|expires| expires >= 4_102_444_800.0), "{name}: {expires:?}");
    }
}

#[test]
fn each_broken_token_is_refused_for_what_is_wrong_with_it() {
    let tokens = tokens();
    let (keys, options) = (keys(&tokens, "jwks"), options(&tokens, &["api"]));
    for (name, case) in tokens["bad"].as_object().unwrap() {
        let error = token::verify(case["token"].as_str().unwrap(), &keys, &options, NOW).unwrap_err();
        assert_eq!(format!("{error:?}"), case["error"].as_str().unwrap(), "{name}");
        assert!(error.challenge().to_str().unwrap().starts_with("Bearer error=\"invalid_token\""));
    }
    let long = "x".repeat(20_000);
    assert_eq!(token::verify(&long, &keys, &options, NOW), Err(TokenError::Malformed));
}

#[test]
fn without_audiences_the_claim_is_not_looked_at() {
    let tokens = tokens();
    let token = tokens["bad"]["no_audience"]["token"].as_str().unwrap();
    assert!(token::verify(token, &keys(&tokens, "jwks"), &options(&tokens, &[]), NOW).is_ok());
}

#[test]
fn the_clocks_may_differ_by_a_minute() {
    let tokens = tokens();
    let (keys, options) = (keys(&tokens, "jwks"), options(&tokens, &["api"]));
    let at = |now| token::verify(tokens["brief"].as_str().unwrap(), &keys, &options, now);
    assert_eq!(at(1_999_999_000.0 - 61.0), Err(TokenError::NotYetValid));
    assert!(at(1_999_999_000.0 - 59.0).is_ok() && at(2_000_000_059.0).is_ok());
    assert_eq!(at(2_000_000_060.0), Err(TokenError::Expired));
}

#[test]
fn what_is_no_set_of_keys_is_refused() {
    for document in ["", "[]", "{}", "{\"keys\":{}}", "<html>"] {
        assert!(matches!(Keys::parse(document.as_bytes()), Err(KeysError::Form)), "{document}");
    }
    let many = format!("{{\"keys\":[{}]}}", vec!["{}"; 101].join(","));
    assert!(matches!(Keys::parse(many.as_bytes()), Err(KeysError::TooMany)));
    assert!(Keys::parse(b"{\"keys\":[]}").unwrap().is_empty());
}

fn headers(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("bearer {token}")).unwrap());
    headers
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_time_and_with_its_keys() {
    let tokens = tokens();
    let (set, feed) = KeySet::new();
    let jwt = Jwt::new(&options(&tokens, &["api"]), set);
    let brief = headers(tokens["brief"].as_str().unwrap());
    let good = headers(tokens["good"]["RS256"].as_str().unwrap());
    assert!(matches!(jwt.check(&brief, at(1_999_999_999)), Err(Refusal::NoKeys)));
    assert!(matches!(jwt.check(&HeaderMap::new(), at(0)), Err(Refusal::Unauthorized { .. })));
    feed.publish(keys(&tokens, "jwks"));
    for _ in 0..2 {
        assert!(jwt.check(&brief, at(1_999_999_999)).is_ok() && jwt.check(&good, at(1_999_999_999)).is_ok());
    }
    assert!(jwt.check(&brief, at(2_000_000_060)).is_err());
    assert!(jwt.check(&good, at(2_000_000_060)).is_ok());
    feed.publish(keys(&tokens, "rotated"));
    assert!(jwt.check(&good, at(2_000_000_060)).is_err(), "its key is no longer the issuer's");
    feed.wanted().await;
    assert!(jwt.check(&headers(tokens["rotated_token"].as_str().unwrap()), at(2_000_000_060)).is_ok());
    drop(jwt);
    feed.gone().await;
}

#[test]
fn a_request_with_two_tokens_has_none() {
    let mut twice = headers("a");
    twice.append(AUTHORIZATION, HeaderValue::from_static("Bearer b"));
    assert_eq!(bearer(&twice), None);
    assert_eq!(bearer(&headers("a")), Some("a"));
    assert_eq!(bearer(&headers(" ")), None);
}
