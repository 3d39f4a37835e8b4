//! `config…`.

use serde_json::{Value, json};

use super::{APP, Aka, at, strings, text};

fn all_strings(vars: &Value) {
    let vars = vars.as_object().unwrap();
    assert!(vars.values().all(Value::is_string), "{vars:?}");
}

#[tokio::test]
async fn config_and_config_get_read_an_object_of_strings() {
    let aka = Aka::with_app().await;
    let path = format!("{APP}/config-vars");
    all_strings(&aka.get(&path).await);
    aka.patch(&path, json!({ "A": "1" })).await;
    aka.post(&format!("{APP}/formation"), json!({ "type": "web", "quantity": 1, "port": 5000 })).await;
    let vars = aka.get(&path).await;
    all_strings(&vars);
    assert_eq!((text(&vars, "A"), text(&vars, "PORT")), ("1", "5000"));
}

#[tokio::test]
async fn config_set_sends_strings_and_reads_the_whole_map() {
    let aka = Aka::with_app().await;
    let path = format!("{APP}/config-vars");
    aka.patch(&path, json!({ "OLD": "kept" })).await;
    let vars = aka.patch(&path, json!({ "A": "1", "B": "two\nlines", "C": "" })).await;
    all_strings(&vars);
    assert_eq!((text(&vars, "OLD"), text(&vars, "B")), ("kept", "two\nlines"));
}

#[tokio::test]
async fn config_set_of_the_port_goes_to_the_formation() {
    let aka = Aka::with_app().await;
    aka.post(&format!("{APP}/formation"), json!({ "type": "web", "quantity": 1 })).await;
    aka.patch(&format!("{APP}/formation/web"), json!({ "port": 8080 })).await;
    let vars = aka.get(&format!("{APP}/config-vars")).await;
    all_strings(&vars);
    assert_eq!(text(&vars, "PORT"), "8080");
    // With other names beside it the rest is set, which answers the same map.
    let vars = aka.patch(&format!("{APP}/config-vars"), json!({ "A": "1" })).await;
    assert_eq!((text(&vars, "PORT"), text(&vars, "A")), ("8080", "1"));
}

#[tokio::test]
async fn config_unset_sends_null_and_reads_what_is_left() {
    let aka = Aka::with_app().await;
    let path = format!("{APP}/config-vars");
    aka.patch(&path, json!({ "A": "1", "B": "2" })).await;
    let vars = aka.patch(&path, json!({ "A": null, "NEVER_SET": null })).await;
    all_strings(&vars);
    assert_eq!((vars.get("A"), text(&vars, "B")), (None, "2"));
}

#[tokio::test]
async fn config_notes_and_config_notes_set_read_a_note_of_each_variable() {
    let aka = Aka::with_app().await;
    aka.patch(&format!("{APP}/config-vars"), json!({ "A": "1" })).await;
    let path = format!("{APP}/config-vars/notes");
    for body in [json!({ "A": { "description": "What it is" } }), json!({ "A": { "required": true } })] {
        aka.patch(&path, body).await;
    }
    let body = json!({ "A": { "description": "What it is for", "required": true } });
    let set = aka.patch(&path, body).await;
    let notes = aka.get(&path).await;
    assert_eq!(set, notes);
    for note in notes.as_object().unwrap().values() {
        strings(note, &["type", "description"]);
        assert!(note["read_only"].is_boolean() && note["required"].is_boolean(), "{note}");
        assert!(note.get("addon").is_some(), "{note}");
    }
    assert_eq!((at(&notes, "A.required"), text(&notes, "A.description")), (&json!(true), "What it is for"));
}
