//! `builds…` but auto builds, which are in `repo`.

use serde_json::{Value, json};

use super::{APP, Aka, assert_printable, list, strings, text};
use crate::builds::{running, set_state};

const PATH: &str = "/apps/app-default/builds";
const URL: &str = "data:,x";

/// `builds:create -s URL`.
async fn create(aka: &Aka) -> Value {
    let app = aka.get(APP).await;
    aka.post(PATH, json!({ "org": text(&app, "organization.name"), "url": URL })).await
}

/// The last of the list, as `builds:info latest` looks for it.
async fn latest(aka: &Aka) -> Value {
    let builds = aka.get(PATH).await;
    let last = list(&builds).last().unwrap();
    aka.get(&format!("{PATH}/{}", text(last, "id"))).await
}

#[tokio::test]
async fn builds_lists_commits_and_authors_as_strings() {
    let aka = Aka::with_app().await;
    create(&aka).await;
    for build in list(&aka.get(PATH).await) {
        strings(build, &["id", "created_at", "status"]);
        strings(&build["source_blob"], &["commit", "author", "version", "message"]);
    }
}

#[tokio::test]
async fn builds_create_without_a_checksum_prints_the_build() {
    let aka = Aka::with_app().await;
    assert_printable(&create(&aka).await);
    let body = json!({ "org": "akkeris", "url": URL, "repo": "https://example.com/r", "branch": "main", "version": "v1" });
    assert_printable(&aka.post(PATH, body).await);
}

#[tokio::test]
async fn builds_info_prints_the_last_of_the_list() {
    let aka = Aka::with_app().await;
    create(&aka).await;
    let newest = create(&aka).await;
    let shown = latest(&aka).await;
    assert_printable(&shown);
    assert_eq!(shown["id"], newest["id"]);
}

#[tokio::test]
async fn builds_output_reads_lines_at_the_address_that_the_build_names() {
    let aka = Aka::with_app().await;
    create(&aka).await;
    let address: http::Uri = text(&latest(&aka).await, "output_stream_url").parse().unwrap();
    let result = aka.get(address.path_and_query().unwrap().as_str()).await;
    assert!(result["lines"].as_array().unwrap().iter().all(Value::is_string), "{result}");
}

#[tokio::test]
async fn builds_rebuild_prints_another_build() {
    let aka = Aka::with_app().await;
    let made = create(&aka).await;
    let again = aka.put(&format!("{PATH}/{}", text(&made, "id"))).await.json(201);
    assert_printable(&again);
    assert_ne!(again["id"], made["id"]);
}

#[tokio::test]
async fn builds_stop_answers_without_a_body() {
    let aka = Aka::with_app().await;
    let id = text(&create(&aka).await, "id").to_owned();
    set_state(&aka.daemon, id.parse().unwrap(), running()).await;
    let stopped = aka.delete(&format!("{PATH}/{id}")).await;
    assert_eq!((stopped.status.as_u16(), stopped.text().as_str()), (205, ""));
}
