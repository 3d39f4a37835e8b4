//! The examples of the document (`assets/examples.json`): they fit what it says of their form.

use serde_json::Value;

use crate::openapi::operations;

#[test]
fn examples_are_of_operations_that_are_there_and_fit_their_schemas() {
    let document = crate::openapi::document();
    let examples: Value = serde_json::from_str(include_str!("../assets/examples.json")).unwrap();
    let mut unknown: std::collections::BTreeSet<&str> =
        examples.as_object().unwrap().keys().map(String::as_str).collect();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        unknown.remove(id);
        let what = format!("{method} {path} ({id})");
        if let Some(body) = operation.get("requestBody") {
            let content = body["content"].as_object().unwrap().values().next().unwrap();
            assert!(content.get("example").is_some(), "{what} has no example of its body");
            fits(&content["example"], &content["schema"], &document)
                .unwrap_or_else(|e| panic!("{what}, request: {e}"));
        } else {
            assert!(examples[id].get("request").is_none(), "{what} has no body, but an example of it");
        }
        let mut shown = false;
        for (status, response) in operation["responses"].as_object().unwrap() {
            for content in response["content"].as_object().into_iter().flat_map(serde_json::Map::values) {
                let Some(example) = content.get("example") else { continue };
                shown |= status.starts_with('2');
                fits(example, &content["schema"], &document)
                    .unwrap_or_else(|e| panic!("{what}, {status}: {e}"));
            }
        }
        assert_eq!(shown, examples[id].get("response").is_some(), "{what} shows the example of its answer");
    }
    assert!(unknown.is_empty(), "examples of operations that are not there: {unknown:?}");
}

#[test]
fn a_value_that_does_not_fit_its_schema_is_found() {
    let schema = serde_json::json!({
        "type": "object", "required": ["id"],
        "properties": { "id": { "type": "string", "format": "uuid" }, "n": { "type": ["integer", "null"] } }
    });
    let id = "09eac4cd-4824-f569-bdc4-420656e65ce2";
    let check = |value: Value| fits(&value, &schema, &Value::Null).is_ok();
    assert!(
        check(serde_json::json!({ "id": id, "n": null })) && check(serde_json::json!({ "id": id, "n": 1 }))
    );
    for wrong in [
        serde_json::json!([]),
        serde_json::json!({}),
        serde_json::json!({ "id": "x" }),
        serde_json::json!({ "id": id, "n": 1.5 }),
        serde_json::json!({ "id": id, "more": 1 }),
    ] {
        assert!(!check(wrong.clone()), "{wrong}");
    }
}

/// Whether a value has the form that a schema of our document asks for: the words that the document uses, and no
/// field that it does not know.
fn fits(value: &Value, schema: &Value, document: &Value) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("{value} {why}"));
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let named = document.pointer(reference.trim_start_matches('#')).ok_or("a name that leads nowhere")?;
        return fits(value, named, document);
    }
    let mut eithers = ["oneOf", "anyOf"].iter().filter_map(|word| schema.get(*word)?.as_array());
    if let Some(either) = eithers.next() {
        let tried: Vec<_> = either.iter().map(|schema| fits(value, schema, document)).collect();
        return if tried.iter().any(Result::is_ok) { Ok(()) } else { Err(format!("{tried:?}")) };
    }
    if let Some(parts) = schema.get("allOf").and_then(Value::as_array) {
        return all_fit(value, parts, document);
    }
    if schema.get("enum").and_then(Value::as_array).is_some_and(|words| !words.contains(value)) {
        return wrong("is none of the words");
    }
    let types: Vec<&str> = match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    match value {
        Value::Null if types.contains(&"null") => Ok(()),
        Value::Bool(_) if types.contains(&"boolean") => Ok(()),
        Value::Number(n) if types.contains(&"number") || (types.contains(&"integer") && !n.is_f64()) => {
            Ok(())
        }
        Value::String(text) if types.contains(&"string") => {
            match schema.get("format").and_then(Value::as_str) {
                Some("uuid") if text.parse::<uuid::Uuid>().is_err() => wrong("is no UUID"),
                Some("date-time") if text.parse::<jiff::Timestamp>().is_err() => wrong("is no time"),
                _ => Ok(()),
            }
        }
        Value::Array(items) if types.contains(&"array") => items
            .iter()
            .try_for_each(|item| fits(item, schema.get("items").unwrap_or(&Value::Null), document)),
        Value::Object(fields) if types.contains(&"object") => object_fits(fields, schema, document),
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => wrong(&format!("is not of {types:?}")),
    }
}

/// A part does not know the fields of the others: the whole is checked by what each of them requires. Where a part is
/// a choice, one of its alternatives must fit together with the others.
fn all_fit(value: &Value, parts: &[Value], document: &Value) -> Result<(), String> {
    let known: Vec<&Value> = parts.iter().map(|part| resolved(part, document)).collect();
    let choice = known.iter().find_map(|part| Some((*part, part.get("oneOf")?.as_array()?)));
    if let Some((choice, alternatives)) = choice {
        let others = known.iter().filter(|part| !std::ptr::eq(**part, choice)).copied();
        let others: Vec<Value> = others.cloned().collect();
        let with = |one: &Value| [others.as_slice(), std::slice::from_ref(one)].concat();
        let tried: Vec<_> = alternatives.iter().map(|one| all_fit(value, &with(one), document)).collect();
        return if tried.iter().any(Result::is_ok) { Ok(()) } else { Err(format!("{tried:?}")) };
    }
    for (name, field) in value.as_object().ok_or("no object")? {
        let of = known.iter().find_map(|part| part.get("properties")?.get(name));
        fits(field, of.ok_or_else(|| format!("{name} is not known"))?, document)?;
    }
    let required = known.iter().filter_map(|part| part.get("required")?.as_array()).flatten();
    let missing: Vec<_> =
        required.filter_map(Value::as_str).filter(|name| value.get(name).is_none()).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("{value} lacks {missing:?}")) }
}

fn object_fits(
    fields: &serde_json::Map<String, Value>,
    schema: &Value,
    document: &Value,
) -> Result<(), String> {
    for name in
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        if !fields.contains_key(name) {
            return Err(format!("{name} is missing"));
        }
    }
    let Some(known) = schema.get("properties") else { return Ok(()) };
    for (name, field) in fields {
        let schema = known.get(name).ok_or_else(|| format!("{name} is not known"))?;
        fits(field, schema, document).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

fn resolved<'a>(schema: &'a Value, document: &'a Value) -> &'a Value {
    let pointer =
        schema.get("$ref").and_then(Value::as_str).map(|reference| reference.trim_start_matches('#'));
    pointer.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema)
}
