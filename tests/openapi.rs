//! The OpenAPI document: complete, and changed only on purpose.

use akkerisd::api;
use serde_json::Value;

use crate::support::TestDaemon;

/// The document that is served.
pub(crate) fn document() -> Value {
    serde_json::from_str(api::OPENAPI).unwrap()
}

/// Every operation with its method and path.
pub(crate) fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    found
}

/// `INSTA_UPDATE=always cargo test --all-features --test api openapi` writes the file anew.
#[test]
#[cfg(feature = "openapi")]
fn the_document_is_that_of_the_routes_and_was_reviewed() {
    let made = format!("{}\n", api::openapi().to_pretty_json().unwrap());
    if std::env::var_os("INSTA_UPDATE").is_some_and(|value| value == "always") {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/assets/openapi.json"), &made).unwrap();
        return;
    }
    let first = made.lines().zip(api::OPENAPI.lines()).find(|(new, old)| new != old);
    assert!(
        made == api::OPENAPI,
        "assets/openapi.json differs, first at {first:?}; INSTA_UPDATE=always writes it anew"
    );
}

/// What operation ids begin with: the fixed verbs, and what the documents call an action.
const VERBS: &[&str] = &[
    "create",
    "list",
    "view",
    "update",
    "delete",
    "read",
    "restart",
    "stop",
    "rebuild",
    "act",
    "attach",
    "install",
    "authorize",
    "revoke",
];

#[test]
fn every_operation_has_a_tag_an_id_a_summary_and_a_schema_of_its_success() {
    let document = document();
    let mut ids = std::collections::BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let what = format!("{method} {path}");
        let text = |field: &str| operation[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        assert!(operation["tags"][0].as_str().is_some_and(|tag| !tag.is_empty()), "{what} has no tag");
        assert!(text("summary").is_some(), "{what} has no summary");
        let id = text("operationId").unwrap();
        let verb = id.split('_').next().unwrap();
        assert!(VERBS.contains(&verb), "{what}: {id} does not begin with one of our verbs");
        assert!(ids.insert(id.clone()), "{id} is there twice");
        assert!(operation["x-akkeris-policy"].is_string(), "{what} has no policy");
        let responses = operation["responses"].as_object().unwrap();
        // Consent succeeds by sending a person on.
        let succeeds = |status: &str| status.starts_with('2') || (id == "authorize" && status == "303");
        let successes: Vec<_> = responses.iter().filter(|(status, _)| succeeds(status)).collect();
        // A part of a list is the second one.
        let whole = successes.iter().filter(|(status, _)| status.as_str() != "206").count();
        assert_eq!(whole, 1, "{what} has one success");
        for (status, response) in successes {
            let schema = response["content"].as_object().and_then(|content| content.values().next());
            assert!(
                ["204", "205", "303"].contains(&status.as_str())
                    || schema.is_some_and(|s| s["schema"].is_object()),
                "{what} has no schema"
            );
        }
    }
}

#[test]
fn every_parameter_of_a_path_is_described() {
    let document = document();
    for (method, path, operation) in operations(&document) {
        for name in path.split('/').filter_map(|s| s.strip_prefix('{')?.strip_suffix('}')) {
            let described = operation["parameters"].as_array().is_some_and(|parameters| {
                parameters.iter().filter(|p| p["name"] == name && p["in"] == "path").count() == 1
            });
            assert!(described, "{method} {path}: {name}");
        }
    }
}

#[test]
fn every_schema_that_is_named_is_there() {
    fn check(value: &Value, document: &Value) {
        match value {
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.trim_start_matches('#');
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                }
                fields.values().for_each(|value| check(value, document));
            }
            Value::Array(items) => items.iter().for_each(|value| check(value, document)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document();
    check(&document, &document);
}

#[tokio::test]
async fn read_openapi_shows_the_document_without_a_token() {
    let daemon = TestDaemon::start().await;
    let answer = daemon.anonymous().get("/openapi.json").await;
    assert_eq!(answer.json(200), document());
    assert_eq!(answer.headers["content-type"], "application/json");
}

#[tokio::test]
async fn read_docs_is_a_page_that_needs_nothing_from_elsewhere() {
    let daemon = TestDaemon::start().await;
    let answer = daemon.anonymous().get("/docs").await;
    assert_eq!(answer.status.as_u16(), 200);
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8");
    assert!(answer.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let page = answer.text();
    assert!(page.contains("/openapi.json"));
    assert!(!page.contains("http://") && !page.contains("https://"), "the page names another server");
}
