//! Authentication (reading 4) and the form of every answer (readings 1 and 2).

use std::io::Read;
use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::ids::Ids;
use akkerisd::model::catalogue::Catalogue;
use akkerisd::model::names::UserName;
use akkerisd::model::token::{Scope, TokenHash, TokenKind, TokenName};
use akkerisd::service::tokens::{self, NewToken};
use akkerisd::service::{self, bootstrap};
use akkerisd::store::{self, Store};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::json;

use crate::support::{ADMIN_TOKEN, Client, TestDaemon};

#[tokio::test]
async fn an_unknown_path_is_404_even_without_credentials() {
    let daemon = TestDaemon::start().await;
    for path in ["/", "/nothing", "/apps/x/nothing"] {
        let answer = daemon.anonymous().get(path).await;
        let message = answer.error(404);
        assert!(message.contains("GET /openapi.json"), "{message}");
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.headers["ratelimit-remaining"], "2400");
        assert!(answer.headers.contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn an_unknown_method_is_405_with_those_that_are_known() {
    let daemon = TestDaemon::start().await;
    let answer = daemon.anonymous().send(Method::DELETE, "/openapi.json").await;
    answer.error(405);
    assert_eq!(answer.headers["allow"], "GET,HEAD");
}

#[tokio::test]
async fn an_error_is_plain_text_when_the_client_prefers_that() {
    let daemon = TestDaemon::start().await;
    let answer = daemon.anonymous().header("accept", "text/plain").get("/nothing").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(answer.text(), "There is nothing at this path; GET /openapi.json lists what there is.");
}

#[tokio::test]
async fn a_token_is_accepted_in_three_spellings() {
    let daemon = TestDaemon::start().await;
    let basic =
        |user: &str, password: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    for value in [
        format!("Bearer {ADMIN_TOKEN}"),
        format!("bearer {ADMIN_TOKEN}"),
        basic("", ADMIN_TOKEN),
        basic("anyone", ADMIN_TOKEN),
        ADMIN_TOKEN.to_owned(),
    ] {
        daemon.anonymous().header("authorization", &value).get("/apps").await.json(200);
    }
    for value in [
        "Bearer wrong".to_owned(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        basic(ADMIN_TOKEN, "wrong"),
        format!("Digest {ADMIN_TOKEN}"),
        String::new(),
    ] {
        let answer = daemon.anonymous().header("authorization", &value).get("/apps").await;
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        answer.error(401);
    }
}

#[tokio::test]
async fn a_token_with_two_dots_is_a_token_as_any_other() {
    let daemon = TestDaemon::start().await;
    let (store, ids) = (&daemon.state.store, &daemon.state.ids);
    let secret = "prod.eu-1.9f3c2ab7d1e4";
    daemon.with_secret(secret).get("/apps").await.error(401);
    bootstrap::run(store, ids, &daemon.state.catalogue.load(), Some(secret)).await.unwrap();
    daemon.with_secret(secret).get("/apps").await.json(200);
}

#[tokio::test]
async fn a_refused_request_is_refused_before_its_body_or_app_is_looked_at() {
    let daemon = TestDaemon::start().await;
    daemon.anonymous().send_body(Method::POST, "/apps", "{").await.error(401);
    daemon.anonymous().get("/apps/nobody").await.error(401);
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once() {
    let daemon = TestDaemon::start().await;
    let client = daemon.personal("alice").await;
    client.get("/apps").await.json(200);
    let name = TokenName::parse("alice-personal").unwrap();
    tokens::revoke(&daemon.state.store, name.clone()).await.unwrap();
    client.get("/apps").await.error(401);
    assert!(matches!(tokens::revoke(&daemon.state.store, name).await, Err(service::Error::NotFound(_))));
}

#[tokio::test]
async fn only_a_service_token_acts_for_another_user() {
    let daemon = TestDaemon::start().await;
    let author = async |client: &Client, name: &str| {
        let body = json!({ "name": name, "space": "default", "org": "akkeris" });
        client.post("/apps", body).await.json(201);
        daemon.state.store.read(store::events::last_author).await.unwrap().unwrap().to_string()
    };
    let service = daemon.service("robot").await;
    assert_eq!(author(&service, "one").await, "robot");
    assert_eq!(author(&service.header("x-username", "Bob"), "two").await, "bob");
    let personal = daemon.personal("alice").await.header("x-username", "bob");
    assert_eq!(author(&personal, "three").await, "alice");
    let message = service.header("x-username", "b b").get("/apps").await.error(400);
    assert!(message.contains("x-username"), "{message}");
}

#[tokio::test]
async fn a_body_is_json_whatever_its_content_type() {
    let daemon = TestDaemon::start().await;
    for (name, content_type) in
        [("one", "application/x-www-form-urlencoded"), ("two", "text/plain"), ("three", "x")]
    {
        let client = daemon.admin().header("content-type", content_type);
        let body = json!({ "name": name, "unknown": [1, { "a": null }] });
        client.post("/organizations", body).await.json(201);
    }
    let chunks = ["{\"na", "me\":\"fo", "ur\"}"].map(Ok::<_, std::io::Error>);
    let body = axum::body::Body::from_stream(futures_util::stream::iter(chunks));
    daemon.admin().send_body(Method::POST, "/organizations", body).await.json(201);
}

#[tokio::test]
async fn a_malformed_body_is_400_and_says_where() {
    let daemon = TestDaemon::start().await;
    let post =
        async |body: Vec<u8>| daemon.admin().send_body(Method::POST, "/organizations", body).await.error(400);
    assert_eq!(post(Vec::new()).await, "The request has no body; send a JSON object.");
    assert!(post(b"{\n  \"name\" 1}".to_vec()).await.contains("line 2 column 10"));
    assert!(post(b"{\"name\":\"\xff\"}".to_vec()).await.contains("line 1 column"));
    assert!(post(b"{} {}".to_vec()).await.contains("trailing characters"));
    assert!(post("{\"a\":".repeat(100_000).into_bytes()).await.contains("EOF"));
    assert!(post(b"[\"name\", \"description\"]".to_vec()).await.contains("not a JSON object"));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413() {
    let daemon = TestDaemon::start().await;
    let body = json!({ "name": "x".repeat(1024 * 1024) });
    let message = daemon.admin().post("/organizations", body).await.error(413);
    assert!(message.contains("1048576 bytes"), "{message}");
    let client = daemon.admin().header("content-length", "99999999").header("expect", "100-continue");
    client.send_body(Method::POST, "/organizations", "{}").await.error(413);
}

#[tokio::test]
async fn an_answer_is_gzipped_when_the_client_asks_for_it() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin().header("accept-encoding", "gzip");
    for (path, status) in [("/spaces", 200), ("/nothing", 404)] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.headers["content-encoding"], "gzip");
        let mut text = String::new();
        flate2::read::GzDecoder::new(&answer.body[..]).read_to_string(&mut text).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }
    assert!(!daemon.admin().get("/spaces").await.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn a_fault_of_the_daemon_is_500_with_the_request_s_id_and_nothing_internal() {
    let daemon = TestDaemon::start().await;
    let admin = daemon.admin();
    admin.post("/apps", json!({ "name": "one", "space": "default", "org": "akkeris" })).await.json(201);
    admin.patch("/apps/one/config-vars", json!({ "A": "x" })).await.json(200);
    daemon.corrupt("UPDATE config_vars SET value = x'00'");
    let answer = admin.header("x-request-id", "the-request").get("/apps/one/config-vars").await;
    assert_eq!(answer.headers["x-request-id"], "the-request");
    assert_eq!(
        answer.error(500),
        "The server failed to do this; the fault is logged there under the request id the-request."
    );
}

#[tokio::test]
async fn a_closed_store_is_503_with_a_time_to_come_again() {
    let daemon = TestDaemon::start().await;
    assert!(daemon.state.store.close(Duration::from_secs(5)).await);
    let answer = daemon.admin().post("/organizations", json!({ "name": "late" })).await;
    assert!(answer.headers.contains_key("retry-after"));
    answer.error(503);
}

#[tokio::test]
async fn the_first_start_makes_a_token_and_later_ones_keep_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("db"), Clock::system()).unwrap();
    let catalogue = Catalogue::parse(include_str!("../assets/catalogue.toml")).unwrap();
    let start = async |secret: Option<&str>| bootstrap::run(&store, &Ids::random(), &catalogue, secret).await;
    let known = async |secret: &str| {
        let hash = TokenHash::of(secret);
        store.read(move |c| store::tokens::find_by_hash(c, &hash)).await.unwrap()
    };
    let first = start(None).await.unwrap();
    let made = first.made_token.clone().unwrap();
    assert_eq!(known(&made).await.unwrap().kind, TokenKind::Admin);
    assert!(!format!("{first:?}").contains(&made));
    let second = start(None).await.unwrap();
    assert_eq!((second.installation, second.made_token), (first.installation, None));
    assert!(known(&made).await.is_some());
    for secret in ["given", "other", "given", "given"] {
        assert_eq!(start(Some(secret)).await.unwrap().made_token, None);
        assert!(known(secret).await.is_some(), "{secret}");
        assert!(known(&made).await.is_none());
    }
    assert!(known("other").await.is_none());
    for secret in ["", "with space", "ä"] {
        assert!(start(Some(secret)).await.is_err(), "{secret:?}");
    }
    let spaces = store.read(store::spaces::list).await.unwrap();
    assert_eq!(spaces.len(), catalogue.first_spaces.len());
}

#[tokio::test]
async fn a_token_s_name_is_taken_until_it_is_revoked_and_its_secret_is_stored_nowhere() {
    let daemon = TestDaemon::start().await;
    let store = &daemon.state.store;
    let new = || NewToken {
        scope: Scope::Global,
        name: TokenName::parse("ci").unwrap(),
        kind: TokenKind::Personal,
        user: UserName::parse("alice").unwrap(),
    };
    let (token, secret) = tokens::create(store, &daemon.state.ids, new()).await.unwrap();
    let again = tokens::create(store, &daemon.state.ids, new()).await;
    assert!(matches!(again, Err(service::Error::Conflict(_))));
    let revoked = tokens::revoke(store, token.name.clone()).await.unwrap();
    assert!(revoked.revoked_at.is_some());
    tokens::create(store, &daemon.state.ids, new()).await.unwrap();
    let names: Vec<String> =
        tokens::list(store).await.unwrap().iter().map(|t| t.name.as_str().to_owned()).collect();
    assert_eq!(names, ["admin", "ci", "ci"]);
    for entry in std::fs::read_dir(daemon.dir.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}
