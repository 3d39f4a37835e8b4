//! Lists by pages: the header `Range` in the way of Heroku's Platform API.

use std::collections::BTreeSet;

use akkerisd::model::principal::Principal;
use akkerisd::service;
use akkerisd::service::apps::NewApp;
use serde_json::{Value, json};

use crate::openapi::operations;
use crate::support::{Answer, Client, TestDaemon};

fn header(answer: &Answer, name: &str) -> Option<String> {
    answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
}

fn names(answer: &Answer, status: u16) -> Vec<String> {
    let listed = answer.json(status);
    let names = listed.as_array().unwrap().iter().map(|item| item.get("name").and_then(Value::as_str));
    names.map(|name| name.unwrap().to_owned()).collect()
}

async fn create(daemon: &TestDaemon, name: String) {
    let new = NewApp {
        name,
        space: "default".to_owned(),
        organization: "akkeris".to_owned(),
        description: String::new(),
        labels: String::new(),
    };
    service::apps::create(&daemon.state.store, &daemon.state.ids, &Principal::daemon(), new).await.unwrap();
}

async fn with_apps(names: &[&str]) -> (TestDaemon, Client) {
    let daemon = TestDaemon::start().await;
    for name in names {
        create(&daemon, (*name).to_owned()).await;
    }
    let client = daemon.admin();
    (daemon, client)
}

async fn ranged(client: &Client, path: &str, range: &str) -> Answer {
    client.header("range", range).get(path).await
}

/// Walks to the end from the first answer on; `between` is done after every page.
async fn walk(
    client: &Client,
    path: &str,
    first: Answer,
    mut between: impl AsyncFnMut(usize),
) -> Vec<String> {
    let (mut answer, mut all, mut pages) = (first, Vec::new(), 0);
    loop {
        let next = header(&answer, "next-range");
        all.extend(names(&answer, if next.is_some() { 206 } else { 200 }));
        let Some(next) = next else { return all };
        pages += 1;
        assert!(pages < 100, "the walk has no end");
        between(pages).await;
        answer = ranged(client, path, &next).await;
    }
}

#[tokio::test]
async fn a_walk_meets_every_one_of_2500_apps_once_while_others_come_and_go() {
    let daemon = TestDaemon::start().await;
    let expected: BTreeSet<String> = (0..2500).map(|number| format!("app{number}")).collect();
    let mut making = futures_util::stream::FuturesUnordered::new();
    making.extend(expected.iter().cloned().map(|name| create(&daemon, name)));
    while futures_util::StreamExt::next(&mut making).await.is_some() {}
    let client = daemon.admin();
    let starts =
        [None, Some("id ..; max=300"), Some("name ..; max=400, order=desc"), Some("created_at ..; max=700")];
    for (round, start) in starts.into_iter().enumerate() {
        let first = match start {
            None => client.get("/apps?simple=true").await,
            Some(range) => ranged(&client, "/apps?simple=true", range).await,
        };
        assert_eq!(first.status.as_u16(), 206);
        let all = walk(&client, "/apps?simple=true", first, async |page| {
            create(&daemon, format!("new{round}x{page}")).await;
            if page > 1 {
                let gone = format!("/apps/new{round}x{}-default", page - 1);
                client.delete(&gone).await.json(200);
            }
        })
        .await;
        let met: Vec<&String> = all.iter().filter(|name| name.starts_with("app")).collect();
        assert_eq!(met.len(), 2500, "round {round}");
        assert_eq!(met.into_iter().cloned().collect::<BTreeSet<_>>(), expected, "round {round}");
    }
}

#[tokio::test]
async fn a_page_goes_on_after_an_item_that_was_deleted() {
    let (_daemon, client) = with_apps(&["a", "b", "c", "d"]).await;
    let first = ranged(&client, "/apps", "name ..; max=2").await;
    assert_eq!(names(&first, 206), ["a", "b"]);
    client.delete("/apps/b-default").await.json(200);
    let next = header(&first, "next-range").unwrap();
    assert!(next.starts_with("name ]b~") && next.ends_with("..; max=2, order=asc"), "{next}");
    assert_eq!(names(&ranged(&client, "/apps", &next).await, 200), ["c", "d"]);
}

#[tokio::test]
async fn order_bounds_and_max_decide_what_is_answered() {
    let (_daemon, client) = with_apps(&["c", "a", "d", "b"]).await;
    for (range, expected, partial) in [
        ("name ..", &["a", "b", "c", "d"][..], false),
        ("name ..; order=desc", &["d", "c", "b", "a"], false),
        ("name ..; order=desc,max=3;", &["d", "c", "b"], true),
        ("name b..c", &["b", "c"], false),
        ("name ]b..d[", &["c"], false),
        ("name c..; max=1", &["c"], true),
        ("name x..", &[], false),
        ("created_at ..; max=2", &["c", "a"], true),
        ("id ..; max=2, order=desc", &["b", "d"], true),
        ("created_at 2020-01-01T00:00:00Z..; max=4", &["c", "a", "d", "b"], false),
        ("created_at ..2020-01-01T00:00:00Z", &[], false),
    ] {
        let answer = ranged(&client, "/apps", range).await;
        assert_eq!(names(&answer, if partial { 206 } else { 200 }), expected, "{range}");
        assert_eq!(header(&answer, "next-range").is_some(), partial, "{range}");
        assert_eq!(header(&answer, "accept-ranges").unwrap(), "created_at, updated_at, name, id", "{range}");
        assert_eq!(header(&answer, "content-range").is_some(), !expected.is_empty(), "{range}");
    }
    let descending = ranged(&client, "/apps", "name ..; order=desc, max=2").await;
    let next = header(&descending, "next-range").unwrap();
    assert_eq!(names(&ranged(&client, "/apps", &next).await, 200), ["b", "a"]);
}

#[tokio::test]
async fn a_range_that_cannot_be_is_416_with_the_reason_and_what_can_be() {
    let (_daemon, client) = with_apps(&["a"]).await;
    for (range, reason) in [
        ("maintenance ..", "no pages by \"maintenance\""),
        ("items 0-10", "cannot be read"),
        ("name", "cannot be read"),
        ("name ..; max=0", "from 1 to 1000"),
        ("name ..; max=1001", "from 1 to 1000"),
        ("name ..; order=random", "cannot be read"),
        ("name z..a", "ends before it begins"),
        ("created_at yesterday..", "is not a time"),
    ] {
        let answer = ranged(&client, "/apps", range).await;
        let message = answer.error(416);
        assert!(message.contains(reason), "{range}: {message}");
        assert_eq!(answer.json(416)["id"], "requested_range_not_satisfiable");
        assert_eq!(header(&answer, "accept-ranges").unwrap(), "created_at, updated_at, name, id");
    }
}

#[tokio::test]
async fn a_range_of_another_unit_is_ignored() {
    let (_daemon, client) = with_apps(&["a", "b"]).await;
    let answer = ranged(&client, "/apps", "bytes=0-10").await;
    assert_eq!(names(&answer, 200), ["a", "b"]);
}

#[tokio::test]
async fn a_page_is_compressed_and_told_at_once() {
    let (_daemon, client) = with_apps(&["a", "b"]).await;
    let client = client.header("accept-encoding", "gzip");
    let answer = ranged(&client, "/apps", "name ..; max=1").await;
    assert_eq!(answer.status.as_u16(), 206);
    for name in ["content-encoding", "accept-ranges", "content-range", "next-range"] {
        assert!(header(&answer, name).is_some(), "{name}");
    }
    let refused = ranged(&client, "/apps", "nothing ..").await;
    assert_eq!(refused.status.as_u16(), 416);
    assert!(header(&refused, "accept-ranges").is_some());
}

#[tokio::test]
async fn audits_are_paged_from_the_newest_on() {
    let (_daemon, client) = with_apps(&["a", "b", "c"]).await;
    let whole = client.get("/audits?size=1000").await.json(200);
    let ids =
        |list: &Value| list.as_array().unwrap().iter().map(|a| a["id"].as_i64().unwrap()).collect::<Vec<_>>();
    let first = ranged(&client, "/audits", "received_at ..; max=2").await;
    let next = header(&first, "next-range").unwrap();
    let second = ranged(&client, "/audits", &next).await;
    let mut both = ids(&first.json(206));
    both.extend(ids(&serde_json::from_slice(&second.body).unwrap()));
    assert_eq!(both, ids(&whole)[..both.len()]);
    assert!(both.len() > 2 && both.is_sorted_by(|a, b| a > b), "{both:?}");
}

#[tokio::test]
async fn every_list_of_the_document_tells_what_it_may_be_paged_by() {
    let (_daemon, client) = with_apps(&["events"]).await;
    let pipeline = client.post("/pipelines", json!({ "name": "line" })).await.json(201);
    let hook = json!({ "url": "https://example.com/", "events": ["build"], "secret": "secret" });
    let hook = client.post("/apps/events-default/hooks", hook).await.json(201);
    client.post("/sites", json!({ "domain": "shop.example" })).await.json(201);
    let addon = json!({ "plan": "securekey:manual" });
    let addon = client.post("/apps/events-default/addons", addon).await.json(201);
    let document = crate::openapi::document();
    let mut lists = 0;
    for (method, path, operation) in operations(&document) {
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        let paged = operation["responses"]["206"].is_object();
        if method != "GET" {
            assert!(!paged, "{method} {path}");
            continue;
        }
        let numbered =
            operation["parameters"].as_array().into_iter().flatten().any(|p| p["name"] == "per_page");
        assert!(schema["type"] != "array" || paged || numbered, "{path} is a list without pages");
        assert!(!(paged && numbered), "{path} has pages of two kinds");
        // A promotion needs two apps and a release; its lists are walked in `pipeline_promotions`.
        if !paged || path.contains("{promotion}") {
            continue;
        }
        lists += 1;
        let parameter =
            operation["parameters"].as_array().unwrap().iter().find(|p| p["name"] == "Range").unwrap();
        assert_eq!(parameter["in"], "header", "{path}");
        let path = path
            .replace("{app}", "events-default")
            .replace("{hook}", hook["id"].as_str().unwrap())
            .replace("{pipeline}", pipeline["id"].as_str().unwrap())
            .replace("{project}", pipeline["name"].as_str().unwrap())
            .replace("{organization}", "akkeris")
            .replace("{site}", "shop.example")
            .replace("{service}", "securekey")
            .replace("{addon}", addon["id"].as_str().unwrap())
            .replace("{space}", "default");
        let answer = client.get(&path).await;
        let accepted =
            header(&answer, "accept-ranges").unwrap_or_else(|| panic!("{path}: {}", answer.text()));
        answer.json(200);
        for property in accepted.split(", ") {
            ranged(&client, &path, &format!("{property} ..; order=desc")).await.json(200);
        }
        let refused = ranged(&client, &path, "nothing ..").await;
        if path.starts_with("/api/releases") {
            refused.release_error(416)
        } else {
            refused.error(416)
        };
    }
    assert!(lists >= 27, "{lists}");
}
