//! Who may call what, generated from the OpenAPI document: every operation, every kind of principal.

use akkerisd::api;
use akkerisd::model::token::{TokenKind, TokenName};
use akkerisd::service;
use http::Method;

use crate::openapi::operations;
use crate::support::TestDaemon;

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

#[tokio::test]
async fn every_operation_lets_in_whom_its_policy_names_and_nobody_else() {
    let daemon = TestDaemon::start().await;
    let revoked = daemon.token("gone", TokenKind::Admin).await;
    service::tokens::revoke(&daemon.state.store, TokenName::parse("gone-admin").unwrap()).await.unwrap();
    let principals = [
        ("anonymous", daemon.anonymous(), false),
        ("personal", daemon.personal("alice").await, true),
        ("service", daemon.service("robot").await, true),
        ("admin", daemon.admin(), true),
        ("revoked", daemon.with_secret(&revoked), false),
    ];
    let document = serde_json::to_value(api::openapi()).unwrap();
    let operations = operations(&document);
    assert!(operations.len() > 10);
    for (method, path, operation) in operations {
        let policy = operation["x-akkeris-policy"].as_str().unwrap();
        assert_eq!(operation.get("security").is_some(), policy != "public", "{method} {path}");
        for (name, client, known) in &principals {
            let let_in = match policy {
                "public" => true,
                "user" | "person" => *known,
                other => panic!("no rule for the policy {other}"),
            };
            let method: Method = method.parse().unwrap();
            let answer = client.send(method.clone(), &concrete(&path)).await;
            let what = format!("{name}: {method} {path} answered {}", answer.status);
            assert_eq!(answer.status != 401, let_in, "{what}");
            assert!(!answer.status.is_server_error(), "{what}");
            assert!(policy != "person" || *name != "service" || answer.status == 403, "{what}");
            if !let_in {
                assert_eq!(answer.headers["www-authenticate"], "Bearer", "{what}");
                assert!(answer.error(401).contains("Authorization: Bearer"));
            }
        }
    }
}
