//! The two dialects of the API, row by row of the specification's table, for each endpoint that is served.

use std::sync::Arc;

use akkerisd::config::Dialect;
use http::Method;
use serde_json::{Value, json};

use crate::metrics::measured;
use crate::pipelines::{id_of, released, text, with_stages};
use crate::support::fake_engine::FakeEngine;
use crate::support::{Client, TestDaemon};

const BOTH: [Dialect; 2] = [Dialect::Document, Dialect::Reference];

/// `dev` and `qa` in the space `space`, in two stages of a pipeline, with what names them: a release, a
/// recommendation and a favorite of `dev`.
async fn with_apps() -> (TestDaemon, Client) {
    let (daemon, client) = with_stages(&[("dev", "development"), ("qa", "staging")]).await;
    released(&daemon, &client, "dev-space").await;
    client.post("/favorites", json!({ "app": "dev-space" })).await.json(201);
    let details = json!({ "resource": "web", "quantity": 2, "description": "Scale web" });
    let body =
        json!({ "service": "own", "resource_type": "formation", "action": "scale", "details": details });
    client.post("/apps/dev-space/recommendations", body).await.json(201);
    (daemon, client)
}

fn speaking(client: &Client, dialect: Dialect) -> Client {
    client.header("x-akkeris-dialect", dialect.as_str())
}

/// The name of `dev` in that dialect.
fn dev(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Document => "dev",
        Dialect::Reference => "dev-space",
    }
}

#[tokio::test]
async fn an_app_has_its_short_name_or_its_key_wherever_it_is_read() {
    let (_daemon, client) = with_apps().await;
    let release = client.get("/apps/dev-space/releases").await.json(200)[0]["id"].clone();
    let release = format!("/apps/dev-space/releases/{}", release.as_str().unwrap());
    let statuses = format!("{release}/statuses");
    let places = [
        ("/apps", "/0/name"),
        ("/apps?simple=true", "/0/name"),
        ("/apps/dev-space", "/name"),
        ("/favorites", "/0/name"),
        ("/apps/dev-space/pipeline-couplings", "/app/name"),
        ("/pipelines/pipe/pipeline-couplings", "/0/app/name"),
        ("/apps/dev-space/releases", "/0/app/name"),
        (release.as_str(), "/app/name"),
        (statuses.as_str(), "/release/app/name"),
        ("/apps/dev-space/recommendations", "/0/app/name"),
    ];
    for dialect in BOTH {
        for (path, place) in places {
            let answer = speaking(&client, dialect).get(path).await.json(200);
            assert_eq!(answer.pointer(place), Some(&json!(dev(dialect))), "{dialect} {path}: {answer}");
        }
    }
}

#[tokio::test]
async fn an_app_has_its_short_name_or_its_key_in_the_answer_to_a_change() {
    for dialect in BOTH {
        let (_daemon, client) = with_apps().await;
        let slug = client.get("/apps/dev-space/releases").await.json(200)[0]["slug"]["id"].clone();
        let coupling = client.get("/apps/dev-space/pipeline-couplings").await.json(200);
        let coupling = format!("/pipeline-couplings/{}", text(&coupling, "id"));
        let client = speaking(&client, dialect);
        let details = json!({ "resource": "web", "quantity": 3, "description": "Scale web" });
        let recommendation =
            json!({ "service": "own", "resource_type": "formation", "action": "scale", "details": details });
        let own = "/apps/dev-space/recommendations?service=own&resource_type=formation&action=scale";
        let couple = json!({ "app": "dev-space", "pipeline": "pipe", "stage": "review" });
        let changes = [
            (Method::PATCH, "/apps/dev-space", json!({ "description": "x" }), "/name"),
            (Method::POST, "/favorites", json!({ "app": "dev-space" }), "/name"),
            (Method::POST, "/apps/dev-space/releases", json!({ "slug": slug }), "/app/name"),
            (Method::POST, "/apps/dev-space/recommendations", recommendation, "/app/name"),
            (Method::PATCH, &coupling, json!({ "required_status_checks": { "contexts": [] } }), "/app/name"),
            (Method::DELETE, &coupling, json!({}), "/app/name"),
            (Method::POST, "/pipeline-couplings", couple, "/app/name"),
            (Method::DELETE, own, json!({}), "/recommendation/app/name"),
            (Method::DELETE, "/apps/dev-space", json!({}), "/name"),
            (Method::POST, "/apps", json!({ "name": "dev", "space": "space", "org": "akkeris" }), "/name"),
        ];
        for (method, path, body, place) in changes {
            let answer = client.send_body(method.clone(), path, body.to_string()).await;
            assert!(answer.status.is_success(), "{method} {path}: {}", answer.text());
            let answer: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(
                answer.pointer(place),
                Some(&json!(dev(dialect))),
                "{dialect} {method} {path}: {answer}"
            );
        }
    }
}

#[tokio::test]
async fn a_formation_and_a_promotion_name_the_app_alike_in_both() {
    for dialect in BOTH {
        let (_daemon, client) = with_apps().await;
        let client = speaking(&client, dialect);
        let formations = client.get("/apps/dev-space/formation").await.json(200);
        assert_eq!(formations[0]["app"]["name"], "dev", "{dialect}");
        assert_eq!(promote(&client).await["source"]["app"]["name"], "dev", "{dialect}");
    }
}

#[tokio::test]
async fn a_route_names_its_app_and_its_site_by_texts_or_by_objects() {
    let (_daemon, client) = with_apps().await;
    client.post("/sites", json!({ "domain": "shop.example" })).await.json(201);
    for dialect in BOTH {
        let client = speaking(&client, dialect);
        let new = json!({ "site": "shop.example", "app": "dev-space", "source_path": "/" });
        let made = client.post("/routes", new).await.json(201);
        let path = format!("/routes/{}", text(&made, "id"));
        let lists = ["/routes", "/apps/dev-space/routes", "/sites/shop.example/routes"];
        let mut answers = vec![made, client.get(&path).await.json(200)];
        for list in lists {
            answers.push(client.get(list).await.json(200)[0].clone());
        }
        answers.push(client.delete(&path).await.json(200));
        for answer in answers {
            let (app, site) = match dialect {
                Dialect::Document => (&answer["app"], &answer["site"]),
                Dialect::Reference => (&answer["app"]["name"], &answer["site"]["domain"]),
            };
            assert_eq!((app, site), (&json!("dev-space"), &json!("shop.example")), "{dialect}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_promotion_is_pending_or_already_successful_right_after_its_post() {
    let status = |dialect| match dialect {
        Dialect::Document => "pending",
        Dialect::Reference => "successful",
    };
    for made_in in BOTH {
        let (_daemon, client) = with_apps().await;
        let made = promote(&speaking(&client, made_in)).await;
        assert_eq!(made["status"], status(made_in));
        for read_in in BOTH {
            let client = speaking(&client, read_in);
            let read = client.get(&format!("/pipeline-promotions/{}", text(&made, "id"))).await.json(200);
            let listed = client.get("/pipeline-promotions").await.json(200);
            assert_eq!(
                (&read["status"], &listed[0]["status"]),
                (&json!(status(read_in)), &json!(status(read_in)))
            );
        }
    }
}

#[tokio::test]
async fn a_detail_of_a_recommendation_is_a_number_or_a_text() {
    let (_daemon, client) = with_apps().await;
    for (dialect, quantity) in [(Dialect::Document, json!(2)), (Dialect::Reference, json!("2"))] {
        let all = speaking(&client, dialect).get("/apps/dev-space/recommendations").await.json(200);
        assert_eq!(all[0]["details"]["quantity"], quantity);
    }
}

#[tokio::test]
async fn metrics_are_over_all_dynos_or_by_their_type() {
    let (daemon, client) = with_apps().await;
    let app = id_of(&client, "dev-space").await;
    let engine = Arc::new(FakeEngine::new());
    measured(&daemon, &engine, app, "dev-space", &[("web", 100.0), ("worker", 20.0)]).await;
    let metric = "memory_usage_bytes";
    for (dialect, place, value) in [
        (Dialect::Document, metric.to_owned(), 120.0),
        (Dialect::Reference, format!("web/{metric}"), 100.0),
        (Dialect::Reference, format!("worker/{metric}"), 20.0),
    ] {
        let answer = speaking(&client, dialect).get("/apps/dev-space/metrics").await.json(200);
        let points = answer.pointer(&format!("/{place}")).and_then(Value::as_object).unwrap();
        assert_eq!(points.values().collect::<Vec<_>>(), [&json!(value)], "{dialect}: {answer}");
    }
}

async fn promote(client: &Client) -> Value {
    let (source, target) = (id_of(client, "dev-space").await, id_of(client, "qa-space").await);
    let targets = json!([{ "app": { "id": target } }]);
    let body =
        json!({ "pipeline": { "id": "pipe" }, "source": { "app": { "id": source } }, "targets": targets });
    client.post("/pipeline-promotions", body).await.json(200)
}
