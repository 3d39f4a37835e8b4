//! `ps` where it is about dynos.

use serde_json::json;

use super::{APP, Aka, list, strings, text};
use crate::dynos::add_dynos;

const PATH: &str = "/apps/app-default/dynos";

/// With a dyno of each of two types.
async fn with_dynos() -> Aka {
    let aka = Aka::with_app().await;
    let app = text(&aka.get(APP).await, "id").parse().unwrap();
    let worker = json!({ "quantity": 1, "command": null, "type": "worker", "healthcheck": null });
    aka.post(&format!("{APP}/formation"), worker).await;
    add_dynos(&aka.daemon, app).await;
    aka
}

/// `TYPE.NAME` of the first dyno, as the client finds it.
async fn first(aka: &Aka) -> String {
    let dynos = aka.get(PATH).await;
    let dyno = list(&dynos).first().unwrap();
    format!("{}.{}", text(dyno, "type"), text(dyno, "name"))
}

#[tokio::test]
async fn ps_reads_formations_and_dynos() {
    let aka = with_dynos().await;
    for formation in list(&aka.get(&format!("{APP}/formation")).await) {
        strings(formation, &["type", "size"]);
        assert!(formation["quantity"].is_number(), "{formation}");
        assert!(formation.get("command").is_some() && formation.get("healthcheck").is_some(), "{formation}");
    }
    for dyno in list(&aka.get(PATH).await) {
        strings(dyno, &["type", "name", "state", "updated_at", "created_at", "additional_info"]);
        assert!(dyno["restarts"].is_number(), "{dyno}");
    }
}

#[tokio::test]
async fn ps_restart_of_all_is_accepted() {
    let aka = with_dynos().await;
    aka.delete(PATH).await.json(202);
}

#[tokio::test]
async fn ps_restart_of_a_type_finds_it_among_the_dynos() {
    let aka = with_dynos().await;
    let dynos = aka.get(PATH).await;
    for dyno in list(&dynos) {
        strings(dyno, &["type", "name"]);
        aka.delete(&format!("{PATH}/{}", text(dyno, "type"))).await.json(202);
    }
}

#[tokio::test]
async fn ps_restart_and_ps_stop_of_one_dyno_replace_it() {
    let aka = with_dynos().await;
    let dyno = first(&aka).await;
    aka.delete(&format!("{PATH}/{dyno}")).await.json(202);
}

#[tokio::test]
async fn ps_kill_sends_a_signal_to_all_processes_of_a_dyno() {
    let aka = with_dynos().await;
    let path = format!("{PATH}/{}/actions/attach", first(&aka).await);
    for number in [1, 9, 15] {
        let body = json!({ "command": ["sh", "-c", format!("kill -{number} -1")], "stdin": "" });
        let answer = aka.send(http::Method::POST, &path, body).await.json(200);
        strings(&answer, &["stdout", "stderr"]);
    }
}
