//! What a request and its answer look like, as the specification shows them (`assets/examples.json`, by operation
//! id), completed by the fields that it leaves out.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, RefOr};

/// The examples of an operation.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Examples {
    request: Option<Value>,
    response: Option<Value>,
}

// That the file is well-formed, and of this document, is what `tests/openapi.rs` holds it to.
static EXAMPLES: LazyLock<BTreeMap<String, Examples>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../../assets/examples.json")).unwrap_or_default());

/// Adds the examples of an operation, if there are any.
pub(super) fn complete(operation: &mut Operation) {
    let Some(examples) = operation.operation_id.as_ref().and_then(|id| EXAMPLES.get(id)) else { return };
    if let (Some(RefOr::T(body)), Some(example)) = (&mut operation.request_body, &examples.request) {
        body.content.values_mut().for_each(|content| show(content, example));
    }
    let successes = operation.responses.responses.iter_mut().filter(|(status, _)| status.starts_with('2'));
    for (_, response) in successes {
        if let (RefOr::T(response), Some(example)) = (response, &examples.response) {
            response.content.values_mut().for_each(|content| show(content, example));
        }
    }
}

fn show(content: &mut RefOr<Content>, example: &Value) {
    if let RefOr::T(content) = content {
        content.example = Some(example.clone());
    }
}
