//! OAuth 2: applications of others that act for a person (RFC 6749, 7009, 7636, 8414).

use std::collections::HashMap;
use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::model::account::Role;
use akkerisd::model::time::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Answer, Client, PASSWORD, TestDaemon, assert_shape};

const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more-0123";
const BACK: &str = "https://ui.example.com/callback";

/// A daemon whose clock the test moves, its account `alice`, and an application that `dev` registered.
struct Story {
    daemon: TestDaemon,
    clock: Clock,
    dev: Client,
    id: String,
    secret: String,
}

impl Story {
    async fn begin(public: bool) -> Self {
        let clock = Clock::manual(Timestamp::from_millis(1_700_000_000_000));
        let daemon = TestDaemon::at(clock.clone()).await;
        daemon.account("alice", Role::Member, &[]).await;
        let dev = daemon.personal("dev").await;
        let new = json!({ "name": "The <b>UI</b>", "redirect_uris": [BACK], "public": public });
        let made = dev.post("/oauth/clients", new).await.json(201);
        let text = |name: &str| made.get(name).unwrap().as_str().unwrap().to_owned();
        Self { id: text("id"), secret: text("secret"), daemon, clock, dev }
    }

    fn query(&self, more: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let mut fields = HashMap::from([
            ("client_id", self.id.as_str()),
            ("redirect_uri", BACK),
            ("response_type", "code"),
            ("state", "a b&c"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        fields.extend(more.iter().copied());
        fields.retain(|_, value| !value.is_empty());
        serde_urlencoded::to_string(fields).unwrap()
    }

    /// What alice sends from the page.
    async fn consent(&self, more: &[(&str, &str)]) -> Answer {
        let login = [("username", "alice"), ("password", PASSWORD), ("decision", "allow")];
        let all: Vec<_> = login.iter().chain(more).copied().collect();
        self.daemon.anonymous().send_body(Method::POST, "/oauth/authorize", self.query(&all)).await
    }

    async fn code(&self, more: &[(&str, &str)]) -> String {
        let answer = self.consent(more).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        back(&answer).remove("code").unwrap()
    }

    async fn token(&self, fields: &[(&str, &str)]) -> Answer {
        let mut all = vec![("client_id", self.id.as_str()), ("client_secret", self.secret.as_str())];
        all.extend(fields);
        all.retain(|(_, value)| !value.is_empty());
        let body = serde_urlencoded::to_string(all).unwrap();
        self.daemon.anonymous().send_body(Method::POST, "/oauth/token", body).await
    }

    async fn exchange(&self, code: &str) -> Answer {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", BACK),
            ("code_verifier", VERIFIER),
        ];
        self.token(&fields).await
    }

    async fn refresh(&self, token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    fn acting(&self, tokens: &Value) -> Client {
        self.daemon.with_secret(tokens["access_token"].as_str().unwrap())
    }
}

/// The fields of the address that a person is sent back to.
#[track_caller]
fn back(answer: &Answer) -> HashMap<String, String> {
    let location = answer.headers.get("location").unwrap().to_str().unwrap();
    let (address, query) = location.split_once('?').unwrap();
    assert_eq!(address, BACK);
    serde_urlencoded::from_str(query).unwrap()
}

#[track_caller]
fn refused(answer: &Answer, status: u16) -> String {
    let body = answer.json(status);
    assert!(body.get("error_description").is_some_and(Value::is_string), "{body}");
    assert_eq!(answer.headers.get("cache-control").unwrap(), "no-store");
    body.get("error").unwrap().as_str().unwrap().to_owned()
}

#[tokio::test]
async fn create_oauth_client_shows_its_secret_once() {
    let story = Story::begin(false).await;
    let documented = json!({
        "id": "", "name": "", "redirect_uris": [""], "public": false, "secret": "", "created_at": "", "updated_at": ""
    });
    let path = format!("/oauth/clients/{}", story.id);
    let found = story.dev.get(&path).await.json(200);
    assert_shape(&documented, &found, &[]);
    assert_eq!(story.secret.len(), 64);
    assert_eq!(found["secret"], "");
    assert!(!story.daemon.disk().await.contains(&story.secret), "only a hash is stored");
    let public = json!({ "name": "tool", "redirect_uris": ["http://127.0.0.1/cb"], "public": true });
    assert_eq!(story.dev.post("/oauth/clients", public).await.json(201)["secret"], "");
    for bad in [
        json!({}),
        json!({ "name": "", "redirect_uris": [BACK] }),
        json!({ "name": "x", "redirect_uris": [] }),
        json!({ "name": "x", "redirect_uris": ["http://example.com/"] }),
        json!({ "name": "x", "redirect_uris": ["javascript:alert(1)"] }),
    ] {
        story.dev.post("/oauth/clients", bad).await.error(422);
    }
}

#[tokio::test]
async fn list_oauth_clients_and_view_oauth_client_of_oneself_only() {
    let story = Story::begin(false).await;
    assert_eq!(story.dev.get("/oauth/clients").await.json(200).as_array().unwrap().len(), 1);
    let other = story.daemon.personal("other").await;
    assert_eq!(other.get("/oauth/clients").await.json(200), json!([]));
    for answer in [
        other.get(&format!("/oauth/clients/{}", story.id)).await,
        other.patch(&format!("/oauth/clients/{}", story.id), json!({ "name": "mine" })).await,
        other.delete(&format!("/oauth/clients/{}", story.id)).await,
    ] {
        answer.error(404);
    }
}

#[tokio::test]
async fn view_oauth_client_needs_an_id() {
    let story = Story::begin(false).await;
    story.dev.get("/oauth/clients/nothing").await.error(404);
}

#[tokio::test]
async fn update_oauth_client_takes_effect_on_the_next_consent() {
    let story = Story::begin(false).await;
    let path = format!("/oauth/clients/{}", story.id);
    let change = json!({ "name": "New", "redirect_uris": ["https://elsewhere.example/"] });
    assert_eq!(story.dev.patch(&path, change).await.json(200)["name"], "New");
    story.dev.patch(&path, json!({ "redirect_uris": ["nonsense"] })).await.error(422);
    assert_eq!(story.consent(&[]).await.status, 400);
}

#[tokio::test]
async fn delete_oauth_client_ends_all_that_it_was_granted() {
    let story = Story::begin(false).await;
    let tokens = story.exchange(&story.code(&[]).await).await.json(200);
    story.acting(&tokens).get("/account").await.json(200);
    story.dev.delete(&format!("/oauth/clients/{}", story.id)).await.json(200);
    story.acting(&tokens).get("/account").await.error(401);
    assert_eq!(
        refused(&story.refresh(tokens["refresh_token"].as_str().unwrap()).await, 401),
        "invalid_client"
    );
}

#[tokio::test]
async fn read_authorize_shows_who_asks_for_what_and_nothing_as_markup() {
    let story = Story::begin(false).await;
    for path in ["/oauth/authorize", "/authorize"] {
        let query = story.query(&[("state", "\"><script>")]);
        let page = story.daemon.anonymous().get(&format!("{path}?{query}")).await;
        assert_eq!(page.status, 200);
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        let policy = page.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(policy.ends_with("form-action 'self' https://ui.example.com"), "{policy}");
        let text = page.text();
        assert!(text.contains("Allow The &lt;b&gt;UI&lt;/b&gt;?"), "{text}");
        assert!(text.contains(BACK) && !text.contains("<script>"), "{text}");
    }
}

#[tokio::test]
async fn read_authorize_sends_nobody_to_an_address_that_is_not_registered() {
    let story = Story::begin(false).await;
    for wrong in [
        [("client_id", "nothing")],
        [("client_id", "")],
        [("redirect_uri", "https://evil.example/")],
        [("redirect_uri", "https://ui.example.com/callback/../evil")],
    ] {
        let page = story.daemon.anonymous().get(&format!("/authorize?{}", story.query(&wrong))).await;
        assert_eq!((page.status.as_u16(), page.headers.contains_key("location")), (400, false), "{wrong:?}");
    }
    for (wrong, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "everything"), "invalid_scope"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge", "short"), "invalid_request"),
    ] {
        let answer = story.daemon.anonymous().get(&format!("/authorize?{}", story.query(&[wrong]))).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        let fields = back(&answer);
        assert_eq!((fields["error"].as_str(), fields["state"].as_str()), (error, "a b&c"));
    }
}

#[tokio::test]
async fn authorize_gives_a_code_for_a_login_and_a_refusal_for_a_no() {
    let story = Story::begin(false).await;
    let answer = story.consent(&[]).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let fields = back(&answer);
    assert_eq!((fields["code"].len(), fields["state"].as_str()), (64, "a b&c"));
    assert!(!story.daemon.disk().await.contains(&fields["code"]), "only a hash is stored");
    let denied = story.consent(&[("decision", "deny"), ("password", "")]).await;
    assert_eq!(back(&denied)["error"], "access_denied");
    let wrong = story.consent(&[("password", "wrong password")]).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.text().contains("The user name or the password is wrong"), "{}", wrong.text());
    for _ in 0..9 {
        story.consent(&[("password", "wrong password")]).await;
    }
    let limited = story.consent(&[]).await;
    assert_eq!(limited.status, 429);
    assert_eq!(limited.headers["retry-after"], "900");
}

#[tokio::test]
async fn create_oauth_token_for_a_code_acts_for_the_person_within_the_scope() {
    let story = Story::begin(false).await;
    let answer = story.exchange(&story.code(&[]).await).await;
    let tokens = answer.json(200);
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(28_800)));
    let ui = story.acting(&tokens);
    assert_eq!(ui.get("/account").await.json(200)["name"], "alice");
    ui.post("/apps", json!({ "name": "mine", "space": "default", "org": "akkeris" })).await.json(201);
    let own = ui.get("/authorizations").await.json(200);
    assert_eq!(own.as_array().unwrap().len(), 1, "an application sees nothing but its own");
    assert_eq!(own[0]["note"], "The <b>UI</b>");
    ui.patch("/account", json!({ "email": "x@y.example" })).await.error(403);
    ui.post("/oauth/clients", json!({ "name": "x", "redirect_uris": [BACK] })).await.error(403);

    let tokens = story.exchange(&story.code(&[("scope", "read")]).await).await.json(200);
    assert_eq!(tokens["scope"], "read");
    story.acting(&tokens).get("/apps").await.json(200);
    story.acting(&tokens).patch("/apps/mine", json!({ "description": "x" })).await.error(403);

    story.clock.advance(Duration::from_hours(8));
    story.acting(&tokens).get("/apps").await.error(401);
}

#[tokio::test]
async fn create_oauth_token_as_the_web_page_of_akkeris_does() {
    let story = Story::begin(false).await;
    let code =
        story.code(&[("code_challenge", ""), ("code_challenge_method", ""), ("response_type", "")]).await;
    let body = json!({
        "client_id": story.id, "client_secret": story.secret, "code": code, "grant_type": "authorization_code"
    });
    let tokens = story.daemon.anonymous().post("/access_token", body).await.json(200);
    let secret = tokens["access_token"].as_str().unwrap();
    let ui = story.acting(&tokens);
    ui.get("/account").await.json(200);
    assert_eq!(ui.delete(&format!("/authorizations/{secret}")).await.status, 204);
    ui.get("/account").await.error(401);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(refused(&story.refresh(refresh).await, 400), "invalid_grant");
}

#[tokio::test]
async fn create_oauth_token_takes_a_code_once_and_a_second_use_ends_the_first() {
    let story = Story::begin(false).await;
    let code = story.code(&[]).await;
    let tokens = story.exchange(&code).await.json(200);
    assert_eq!(refused(&story.exchange(&code).await, 400), "invalid_grant");
    story.acting(&tokens).get("/account").await.error(401);
}

#[tokio::test]
async fn create_oauth_token_refuses_what_does_not_fit_the_code() {
    let story = Story::begin(false).await;
    let code = story.code(&[]).await;
    let with = |more: [(&'static str, &'static str); 1]| {
        let code = code.clone();
        let story = &story;
        async move {
            let mut fields = HashMap::from([
                ("grant_type", "authorization_code"),
                ("code", code.as_str()),
                ("redirect_uri", BACK),
                ("code_verifier", VERIFIER),
            ]);
            fields.extend(more);
            let fields: Vec<_> = fields.into_iter().collect();
            story.token(&fields).await
        }
    };
    assert_eq!(refused(&with([("grant_type", "password")]).await, 400), "unsupported_grant_type");
    assert_eq!(refused(&with([("grant_type", "")]).await, 400), "invalid_request");
    assert_eq!(refused(&with([("code", "")]).await, 400), "invalid_request");
    assert_eq!(refused(&with([("code", "unknown")]).await, 400), "invalid_grant");
    assert_eq!(refused(&with([("redirect_uri", "https://evil.example/")]).await, 400), "invalid_grant");
    assert_eq!(refused(&with([("code_verifier", "")]).await, 400), "invalid_grant");
    assert_eq!(
        refused(&with([("code_verifier", "another-verifier-of-forty-three-characters-012")]).await, 400),
        "invalid_grant"
    );
    let anonymous = story.daemon.anonymous();
    let wrong =
        format!("grant_type=authorization_code&code={code}&client_id={}&client_secret=wrong", story.id);
    let answer = anonymous.send_body(Method::POST, "/oauth/token", wrong).await;
    assert_eq!(refused(&answer, 401), "invalid_client");
    let none = format!("grant_type=authorization_code&code={code}&client_id={}", story.id);
    assert_eq!(
        refused(&anonymous.send_body(Method::POST, "/oauth/token", none).await, 401),
        "invalid_client"
    );
    story.exchange(&code).await.json(200);
    let late = story.code(&[]).await;
    story.clock.advance(Duration::from_mins(2));
    assert_eq!(refused(&story.exchange(&late).await, 400), "invalid_grant");
}

#[tokio::test]
async fn create_oauth_token_of_another_application_s_code_is_refused() {
    let story = Story::begin(false).await;
    let code = story.code(&[]).await;
    let other = json!({ "name": "other", "redirect_uris": [BACK] });
    let other = story.dev.post("/oauth/clients", other).await.json(201);
    let basic = story.daemon.basic(other["id"].as_str().unwrap(), other["secret"].as_str().unwrap());
    let body = format!("grant_type=authorization_code&code={code}&code_verifier={VERIFIER}");
    assert_eq!(refused(&basic.send_body(Method::POST, "/oauth/token", body).await, 400), "invalid_grant");
    story.exchange(&code).await.json(200);
}

#[tokio::test]
async fn create_oauth_token_for_a_public_application_needs_pkce_and_no_secret() {
    let story = Story::begin(true).await;
    let without = story.query(&[("code_challenge", ""), ("code_challenge_method", "")]);
    let answer = story.daemon.anonymous().get(&format!("/authorize?{without}")).await;
    assert_eq!(back(&answer)["error"], "invalid_request");
    story.exchange(&story.code(&[]).await).await.json(200);
}

#[tokio::test]
async fn create_oauth_token_refreshes_once_and_a_second_use_ends_everything() {
    let story = Story::begin(false).await;
    let first = story.exchange(&story.code(&[]).await).await.json(200);
    let second = story.refresh(first["refresh_token"].as_str().unwrap()).await.json(200);
    story.acting(&first).get("/account").await.error(401);
    story.acting(&second).get("/account").await.json(200);
    let stolen = story.refresh(first["refresh_token"].as_str().unwrap()).await;
    assert_eq!(refused(&stolen, 400), "invalid_grant");
    story.acting(&second).get("/account").await.error(401);
    assert_eq!(
        refused(&story.refresh(second["refresh_token"].as_str().unwrap()).await, 400),
        "invalid_grant"
    );

    let late = story.exchange(&story.code(&[]).await).await.json(200);
    story.clock.advance(Duration::from_hours(30 * 24));
    assert_eq!(refused(&story.refresh(late["refresh_token"].as_str().unwrap()).await, 400), "invalid_grant");
}

#[tokio::test]
async fn revoke_oauth_token_ends_the_grant_and_tells_nothing_of_unknown_ones() {
    let story = Story::begin(false).await;
    let tokens = story.exchange(&story.code(&[]).await).await.json(200);
    let basic = story.daemon.basic(&story.id, &story.secret);
    let revoke =
        async |token: &str| basic.send_body(Method::POST, "/oauth/revoke", format!("token={token}")).await;
    assert_eq!(revoke("unknown").await.status, 200);
    assert_eq!(refused(&revoke("").await, 400), "invalid_request");
    story.acting(&tokens).get("/account").await.json(200);
    assert_eq!(revoke(tokens["refresh_token"].as_str().unwrap()).await.status, 200);
    story.acting(&tokens).get("/account").await.error(401);
    let wrong = story.daemon.basic(&story.id, "wrong");
    assert_eq!(
        refused(&wrong.send_body(Method::POST, "/oauth/revoke", "token=x").await, 401),
        "invalid_client"
    );
}

#[tokio::test]
async fn read_oauth_metadata_tells_where_everything_is() {
    let story = Story::begin(false).await;
    let path = "/.well-known/oauth-authorization-server";
    let client = story.daemon.anonymous().header("host", "api.example.com");
    let found = client.header("x-forwarded-proto", "https").get(path).await.json(200);
    assert_eq!(found["issuer"], "https://api.example.com");
    assert_eq!(found["token_endpoint"], "https://api.example.com/oauth/token");
    assert_eq!(client.get(path).await.json(200)["issuer"], "http://api.example.com");
}

#[tokio::test]
async fn what_has_ended_is_forgotten_in_time() {
    let story = Story::begin(false).await;
    let tokens = story.exchange(&story.code(&[]).await).await.json(200);
    for _ in 0..3 {
        story.code(&[]).await;
    }
    story.clock.advance(Duration::from_hours(48));
    story.code(&[]).await;
    let count = |table: &'static str| story.daemon.count(table);
    assert_eq!(count("oauth_grants"), 2, "the one that can be refreshed, and the new one");
    story.refresh(tokens["refresh_token"].as_str().unwrap()).await.json(200);
    story.clock.advance(Duration::from_hours(32 * 24));
    story.code(&[]).await;
    assert_eq!((count("oauth_grants"), count("oauth_refresh_tokens")), (1, 0));
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused_in_the_form_of_each_operation() {
    let story = Story::begin(false).await;
    let send = async |path: &str| {
        story
            .daemon
            .anonymous()
            .send_body(Method::POST, path, "token=a&token=b&decision=a&decision=b&code=a&code=b")
            .await
    };
    let page = send("/oauth/authorize").await;
    assert_eq!(page.status, 400);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert_eq!(refused(&send("/oauth/token").await, 400), "invalid_request");
    assert_eq!(refused(&send("/oauth/revoke").await, 400), "invalid_request");
}
