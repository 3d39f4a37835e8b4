//! Who may call what, generated from the OpenAPI document: every operation, every kind of principal.

use akkerisd::model::account::Role;
use akkerisd::model::names::UserName;
use akkerisd::model::token::{TokenKind, TokenName};
use akkerisd::service;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::openapi::operations;
use crate::support::{Answer, Client, PASSWORD, TestDaemon};

/// How a request is answered before anything else about it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Let in; what follows is the operation's business.
    LetIn,
    /// 401.
    Unknown,
    /// 403.
    Forbidden,
}

/// A kind of principal, and what each policy answers to it.
struct Kind {
    name: &'static str,
    client: Client,
    user: Verdict,
    person: Verdict,
    holder: Verdict,
    /// Whether it only reads.
    reads: bool,
}

fn kind(name: &'static str, client: Client, [user, person, holder]: [Verdict; 3]) -> Kind {
    Kind { name, client, user, person, holder, reads: false }
}

/// A path that is routed but names nothing that exists.
fn concrete(path: &str) -> String {
    let fill = |segment: &str| {
        if segment.starts_with('{') {
            "00000000-0000-4000-8000-00000000dead".to_owned()
        } else {
            segment.to_owned()
        }
    };
    path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

/// The access token of an application that alice lets act for her.
async fn application(daemon: &TestDaemon) -> Client {
    const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more-0123";
    let client = daemon.personal("dev").await;
    let new = json!({ "name": "ui", "redirect_uris": ["https://ui.example/"], "public": true });
    let made = client.post("/oauth/clients", new).await.json(201);
    let id = made.get("id").and_then(Value::as_str).unwrap();
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
    let consent = format!(
        "client_id={id}&code_challenge={challenge}&code_challenge_method=S256&username=alice&password={}&decision=allow",
        PASSWORD.replace(' ', "+")
    );
    let answer = daemon.anonymous().send_body(Method::POST, "/oauth/authorize", consent).await;
    let location = answer.headers.get("location").unwrap().to_str().unwrap();
    let code = location.split_once("code=").unwrap().1;
    let body = json!({
        "grant_type": "authorization_code", "client_id": id, "code": code, "code_verifier": VERIFIER
    });
    let tokens = daemon.anonymous().post("/oauth/token", body).await.json(200);
    daemon.with_secret(tokens.get("access_token").and_then(Value::as_str).unwrap())
}

async fn principals(daemon: &TestDaemon) -> Vec<Kind> {
    use Verdict::{Forbidden, LetIn, Unknown};
    daemon.account("alice", Role::Member, &[]).await;
    daemon.account("olivia", Role::Owner, &[]).await;
    daemon.account("sam", Role::Member, &[]).await;
    let revoked = daemon.token("gone", TokenKind::Admin).await;
    let store = &daemon.state.store;
    service::tokens::revoke(store, TokenName::parse("gone-admin").unwrap()).await.unwrap();
    let suspended = daemon.personal("sam").await;
    let now = daemon.state.clock.now();
    service::accounts::suspend(store, UserName::parse("sam").unwrap(), Some(now)).await.unwrap();
    let expired = daemon.token("late", TokenKind::Personal).await;
    daemon.corrupt("UPDATE tokens SET expires_at = 1 WHERE user = 'late'");
    let service = daemon.service("robot").await;
    let reader = daemon.reader("alice").await;
    vec![
        kind("anonymous", daemon.anonymous(), [Unknown; 3]),
        kind("password", daemon.basic("alice", PASSWORD), [Unknown; 3]),
        kind("member", daemon.personal("alice").await, [LetIn; 3]),
        kind("owner", daemon.personal("olivia").await, [LetIn; 3]),
        Kind { reads: true, ..kind("reader", reader, [LetIn; 3]) },
        kind("application", application(daemon).await, [LetIn, LetIn, Forbidden]),
        kind("service", service.clone(), [LetIn, Forbidden, Forbidden]),
        kind("service for alice", service.header("x-username", "alice"), [LetIn; 3]),
        kind("service for a suspended one", service.header("x-username", "sam"), [Forbidden; 3]),
        kind("admin", daemon.admin(), [LetIn; 3]),
        kind("suspended", suspended, [Forbidden; 3]),
        kind("expired", daemon.with_secret(&expired), [Unknown; 3]),
        kind("revoked", daemon.with_secret(&revoked), [Unknown; 3]),
    ]
}

impl Kind {
    /// `None` for a policy without a rule here.
    fn verdict(&self, policy: &str, method: &Method) -> Option<Verdict> {
        let verdict = match policy {
            "public" => return Some(Verdict::LetIn),
            "password" if self.name == "password" => return Some(Verdict::LetIn),
            "password" => return Some(Verdict::Unknown),
            "user" => self.user,
            "person" => self.person,
            "holder" => self.holder,
            _ => return None,
        };
        let forbidden = verdict == Verdict::LetIn && self.reads && *method != Method::GET;
        Some(if forbidden { Verdict::Forbidden } else { verdict })
    }
}

#[tokio::test]
async fn every_operation_lets_in_whom_its_policy_names_and_nobody_else() {
    let daemon = TestDaemon::start().await;
    let principals = principals(&daemon).await;
    let document = crate::openapi::document();
    let operations = operations(&document);
    assert!(operations.len() > 10);
    for (method, path, operation) in operations {
        let of_releases = path.starts_with("/api/releases");
        let policy = operation["x-akkeris-policy"].as_str().unwrap();
        assert_eq!(operation.get("security").is_some(), policy != "public", "{method} {path}");
        let method: Method = method.parse().unwrap();
        for kind in &principals {
            let answer = kind.client.send(method.clone(), &concrete(&path)).await;
            let verdict = kind.verdict(policy, &method).unwrap();
            check(&answer, verdict, &format!("{}: {method} {path}", kind.name));
            if verdict == Verdict::Unknown && of_releases {
                answer.release_error(401);
            } else if verdict == Verdict::Unknown {
                answer.error(401);
            }
        }
    }
}

#[track_caller]
fn check(answer: &Answer, verdict: Verdict, what: &str) {
    let what = format!("{what} answered {}", answer.status);
    assert!(!answer.status.is_server_error(), "{what}");
    match verdict {
        Verdict::LetIn => assert_ne!(answer.status, 401, "{what}"),
        Verdict::Forbidden => assert_eq!(answer.status, 403, "{what}"),
        Verdict::Unknown => {
            assert_eq!(answer.status, 401, "{what}");
            assert_eq!(answer.headers.get("www-authenticate").unwrap(), "Bearer", "{what}");
        }
    }
}

/// An app of the organization `theirs`, with something of everything that belongs to apps.
async fn with_their_app() -> (TestDaemon, Client) {
    let daemon = TestDaemon::start().await;
    let admin = daemon.admin();
    admin.post("/organizations", json!({ "name": "theirs" })).await.json(201);
    admin.post("/apps", json!({ "name": "secret", "space": "default", "org": "theirs" })).await.json(201);
    admin.post("/pipelines", json!({ "name": "line" })).await.json(201);
    let coupling = json!({ "app": "secret", "pipeline": "line", "stage": "staging" });
    admin.post("/pipeline-couplings", coupling).await.json(201);
    admin.post("/sites", json!({ "domain": "secret.example", "organization": "theirs" })).await.json(201);
    admin.post("/sites", json!({ "domain": "own.example", "organization": "akkeris" })).await.json(201);
    for site in ["secret.example", "own.example"] {
        admin.post("/routes", json!({ "site": site, "app": "secret", "source_path": "/" })).await.json(201);
    }
    daemon.account("mallory", Role::Member, &["akkeris"]).await;
    let mallory = daemon.personal("mallory").await;
    (daemon, mallory)
}

#[tokio::test]
async fn nothing_of_an_app_is_done_for_one_outside_its_organization() {
    let (daemon, mallory) = with_their_app().await;
    let app = daemon.admin().get("/apps/secret").await.json(200);
    let id = app["id"].as_str().unwrap();
    let service = daemon.service("robot").await.header("x-username", "mallory");
    let document = crate::openapi::document();
    let mut asked = 0;
    for (method, path, _) in operations(&document) {
        if !path.contains("{app}") {
            continue;
        }
        for reference in ["secret", "secret-default", id] {
            for client in [&mallory, &service] {
                let path = concrete(&path.replace("{app}", reference));
                let method: Method = method.parse().unwrap();
                let answer = client.send_body(method.clone(), &path, "{}").await;
                assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text());
                asked += 1;
            }
        }
    }
    assert!(asked > 150, "{asked}");
    assert_eq!(daemon.admin().get("/apps/secret").await.json(200), app, "nothing was changed");
}

#[tokio::test]
async fn no_list_shows_what_belongs_to_another_organization() {
    let (daemon, mallory) = with_their_app().await;
    let admin = daemon.admin();
    let app = admin.get("/apps/secret").await.json(200);
    let coupling = admin.get("/apps/secret/pipeline-couplings").await.json(200);
    let route = admin.get("/apps/secret/routes").await.json(200)[0]["id"].clone();
    let document = crate::openapi::document();
    for (method, path, operation) in operations(&document) {
        let listed = operation.pointer("/responses/200/content/application~1json/schema/type");
        if method != "GET" || path.contains("{app}") || listed != Some(&json!("array")) {
            continue;
        }
        let path =
            path.replace("{pipeline}", "line").replace("{project}", "line").replace("{space}", "default");
        let path = path.replace("{site}", "own.example");
        let text = mallory.get(&path.replace("{organization}", "theirs")).await.text();
        let names = [json!("secret"), json!("theirs"), json!("secret-default"), json!("secret.example")];
        for hidden in [&app["id"], &coupling["id"], &route].into_iter().chain(&names) {
            let message = format!("GET {path} shows {hidden} in {text}");
            assert!(!text.contains(&format!(":{hidden}")), "{message}");
        }
    }
    let coupling = format!("/pipeline-couplings/{}", coupling["id"].as_str().unwrap());
    mallory.get(&coupling).await.error(403);
    mallory.delete(&coupling).await.error(403);
    mallory.delete("/pipelines/line").await.error(403);
    mallory.get(&format!("/routes/{}", route.as_str().unwrap())).await.error(403);
    mallory.get("/sites/secret.example").await.error(403);
    let other = json!({ "app": "secret", "pipeline": "line", "stage": "staging" });
    mallory.post("/pipeline-couplings", other).await.error(403);
    mallory.post("/favorites", json!({ "app": "secret" })).await.error(403);
    mallory.post("/apps", json!({ "name": "mine", "space": "default", "org": "theirs" })).await.error(403);
    mallory.get("/organizations/theirs/invoices").await.error(403);
    mallory.get("/spaces/default/invoices").await.error(404);
    assert_eq!(mallory.get("/account/invoices").await.json(200), json!([]));
    assert_eq!(mallory.get("/audits?app=secret").await.json(200), json!([]));
    assert!(!admin.get("/audits?app=secret").await.json(200).as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_name_that_others_use_too_means_the_one_within_reach() {
    let (daemon, mallory) = with_their_app().await;
    let admin = daemon.admin();
    admin.post("/spaces", json!({ "name": "other" })).await.json(201);
    mallory.post("/apps", json!({ "name": "secret", "space": "other", "org": "akkeris" })).await.json(201);
    admin.get("/apps/secret").await.error(422);
    assert_eq!(mallory.get("/apps/secret").await.json(200)["space"]["name"], "other");
}

#[tokio::test]
async fn an_owner_is_elevated_with_a_personal_token_and_a_member_is_not() {
    let daemon = TestDaemon::start().await;
    daemon.account("olivia", Role::Owner, &[]).await;
    let stack = json!({ "name": "ds2" });
    daemon.personal("alice").await.post("/stacks", stack.clone()).await.error(403);
    daemon.personal("olivia").await.post("/stacks", stack).await.json(201);
}
