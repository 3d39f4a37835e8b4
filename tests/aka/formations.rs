//! `ps` where it is about formations, and what keeps and restores them.

use serde_json::{Value, json};

use super::{APP, Aka, assert_printable, list, strings, text};

const PATH: &str = "/apps/app-default/formation";

async fn with_types() -> Aka {
    let aka = Aka::with_app().await;
    let web = json!({ "quantity": 1, "command": null, "type": "web", "healthcheck": null, "size": "gp1", "port": 9000 });
    aka.post(PATH, web).await;
    let worker = json!({ "quantity": 1, "command": "work", "type": "worker", "healthcheck": null });
    aka.post(PATH, worker).await;
    aka
}

fn of_type<'v>(formations: &'v Value, process_type: &str) -> &'v Value {
    list(formations).iter().find(|formation| text(formation, "type") == process_type).unwrap()
}

#[tokio::test]
async fn ps_create_without_a_size_prints_the_formation() {
    let aka = Aka::with_app().await;
    let body = json!({ "quantity": 1, "command": null, "type": "web", "healthcheck": null });
    let made = aka.post(PATH, body).await;
    assert_printable(&made);
    strings(&made, &["type", "size"]);
}

#[tokio::test]
async fn ps_update_changes_and_removes_and_prints_the_formation() {
    let aka = with_types().await;
    let path = format!("{PATH}/web");
    let body =
        json!({ "size": "gp2", "quantity": 2, "command": "serve", "port": 8000, "healthcheck": "/up" });
    let updated = aka.patch(&path, body).await;
    assert_printable(&updated);
    assert_eq!((text(&updated, "command"), text(&updated, "healthcheck")), ("serve", "/up"));
    let removed = aka.patch(&path, json!({ "removeHealthcheck": true, "remove-command": true })).await;
    assert_printable(&removed);
    assert_eq!((&removed["command"], &removed["healthcheck"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn ps_forward_sends_a_number() {
    let aka = with_types().await;
    assert_eq!(aka.patch(&format!("{PATH}/web"), json!({ "port": 7000 })).await["port"], 7000);
}

#[tokio::test]
async fn ps_scale_sends_what_it_read_with_other_quantities() {
    let aka = with_types().await;
    let before = aka.get(PATH).await;
    let (web, worker) = (of_type(&before, "web"), of_type(&before, "worker"));
    // web=2 worker+1:gp2
    let more = worker["quantity"].as_u64().unwrap() + 1;
    let body = json!([
        { "type": web["type"], "quantity": 2 },
        { "type": worker["type"], "quantity": more, "command": worker["command"], "size": "gp2" },
    ]);
    aka.patch(PATH, body).await;
    let after = aka.get(PATH).await;
    assert_eq!(
        (&of_type(&after, "web")["quantity"], &of_type(&after, "worker")["quantity"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(of_type(&after, "worker")["command"], "work");
}

#[tokio::test]
async fn ps_scale_sends_a_null_command_of_a_type_without_one() {
    let aka = with_types().await;
    aka.patch(&format!("{PATH}/worker"), json!({ "remove-command": true })).await;
    let body = json!([{ "type": "worker", "quantity": 0, "command": null }]);
    aka.patch(PATH, body).await;
    assert_eq!(of_type(&aka.get(PATH).await, "worker")["quantity"], 0);
}

#[tokio::test]
async fn ps_destroy_finds_the_type_and_deletes_it() {
    let aka = with_types().await;
    let path = format!("{PATH}/worker");
    aka.get(&path).await;
    aka.delete(&path).await.json(200);
    aka.client.get(&path).await.error(404);
}

#[tokio::test]
async fn ps_sizes_reads_names_memory_and_prices() {
    let aka = Aka::start().await;
    for size in list(&aka.get("/sizes").await) {
        strings(size, &["name", "resources.limits.memory"]);
        assert!(size["price"].is_number(), "{size}");
    }
}

#[tokio::test]
async fn maintenance_state_saves_scales_down_and_restores_every_type() {
    let aka = with_types().await;
    let before = aka.get(PATH).await;
    aka.get(APP).await;
    let fields = ["id", "type", "command", "healthcheck", "quantity", "port", "size"];
    let saved: Vec<Value> = list(&before)
        .iter()
        .map(|formation| {
            strings(formation, &["id", "type", "size"]);
            assert!(fields.iter().all(|field| formation.get(*field).is_some()), "{formation}");
            fields.iter().map(|field| ((*field).to_owned(), formation[*field].clone())).collect()
        })
        .collect();
    let mut down = saved.clone();
    for formation in &mut down {
        formation["quantity"] = json!(0);
    }
    aka.patch(PATH, json!(down)).await;
    assert!(list(&aka.get(PATH).await).iter().all(|formation| formation["quantity"] == 0));
    aka.patch(PATH, json!(saved)).await;
    for formation in list(&aka.get(PATH).await) {
        let old = of_type(&before, text(formation, "type"));
        assert!(fields.iter().all(|field| old[*field] == formation[*field]), "{old} and {formation}");
    }
}
