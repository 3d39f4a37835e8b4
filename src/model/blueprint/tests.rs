use serde_json::json;

use super::*;

fn read(document: serde_json::Value) -> Blueprint {
    serde_json::from_value(document).unwrap()
}

#[test]
fn a_config_var_is_a_text_or_an_object_and_its_value_becomes_text() {
    let env = read(json!({ "env": {
        "A": "x", "B": 7, "C": { "value": true, "description": "what it is", "required": true },
        "D": { "required": true }, "E": { "default": "e", "description": null }, "F": { "value": "" }
    } }))
    .env;
    let values: Vec<Option<&str>> = env.values().map(|var| var.value.as_deref()).collect();
    assert_eq!(values, [Some("x"), Some("7"), Some("true"), None, Some("e"), Some("")]);
    assert_eq!(
        (env["C"].description.as_str(), env["C"].required, env["B"].required),
        ("what it is", true, false)
    );
    assert!(env["D"].required);
    for bad in [json!({ "A": [1] }), json!({ "A": { "value": {} } }), json!({ "A": null })] {
        assert!(serde_json::from_value::<Blueprint>(json!({ "env": bad })).is_err(), "{bad} was accepted");
    }
}

#[test]
fn what_is_null_is_as_if_it_were_absent() {
    let all_null = json!({
        "app": null, "env": null, "formation": null, "addons": null, "attachments": null, "source_blob": null,
        "log-drains": null, "pipeline-couplings": null, "features": null, "filters": null, "sites": null
    });
    assert_eq!(read(all_null), Blueprint::default());
    assert_eq!(read(json!({ "unknown": 1 })), Blueprint::default());
}

#[test]
fn both_spellings_of_the_document_and_of_the_code_are_read() {
    let blueprint = read(json!({
        "app": { "organization": "old", "org": "new" },
        "formation": {
            "worker": { "quantity": "2" }, "Web": { "health-check": "/up", "port": 5000, "command": null }
        }
    }));
    assert_eq!(blueprint.app.organization(), "new");
    let order: Vec<&str> = blueprint.formations().map(|(name, _)| name.as_str()).collect();
    assert_eq!(order, ["Web", "worker"]);
    assert_eq!(blueprint.formation["Web"].healthcheck(), Some("/up"));
    assert_eq!(
        (blueprint.formation["Web"].port, blueprint.formation["worker"].quantity),
        (Some(5000), Some(2))
    );
    for bad in [json!("two"), json!(1.5), json!("-1"), json!(true)] {
        let document = json!({ "formation": { "web": { "quantity": bad } } });
        assert!(serde_json::from_value::<Blueprint>(document).is_err(), "{bad} was accepted");
    }
}

#[test]
fn a_blueprint_is_read_as_it_was_written_and_shows_no_secret() {
    let blueprint = read(json!({
        "app": { "name": "a", "space": "s", "organization": "o" }, "env": { "KEY": { "value": "secret" } },
        "log-drains": [{ "url": "https://u:secret@h", "token": "t" }], "sites": { "a.b": { "routes": [] } }
    }));
    let text = serde_json::to_value(&blueprint).unwrap();
    assert_eq!(read(text), blueprint);
    assert_eq!(format!("{blueprint:?}"), "Blueprint(a-s)");
}
