//! Every row of the specification's index of endpoints (`endpoints.tsv`): served, or listed here.

use http::Method;

use crate::log_sessions::path_of;
use crate::support::{Client, TestDaemon};

const ROWS: &str = include_str!("endpoints.tsv");

/// The rows that are not served yet. The test fails when one of them is.
const NOT_YET: &[&str] = &[];

struct Row {
    method: Method,
    path: String,
}

/// The rows of one path each; what is true of every path has a test of its own (`auth`).
fn rows() -> Vec<Row> {
    let row = |line: &str| {
        let mut fields = line.split('\t').skip(1);
        let (method, path) = (fields.next().unwrap(), fields.next().unwrap());
        (method != "*").then(|| Row { method: method.parse().unwrap(), path: path.to_owned() })
    };
    ROWS.lines().filter(|line| !line.starts_with('#')).filter_map(row).collect()
}

/// Whether something answers there: anything but "there is nothing" and "not with this method".
async fn is_served(client: &Client, row: &Row) -> bool {
    if row.path == "(logplex_url)" {
        let session = client.post("/apps/app-default/log-sessions", serde_json::json!({})).await.json(201);
        let url = session.get("logplex_url").and_then(serde_json::Value::as_str).unwrap();
        return client.get(&path_of(url)).await.status == 200;
    }
    let fill = |segment: &str| match segment {
        "{type}" => "web".to_owned(),
        "{feature}" => "preview".to_owned(),
        // The app must outlive the row that deletes one.
        "{app}" if row.method != Method::DELETE => "app-default".to_owned(),
        segment if segment.starts_with('{') => uuid::Uuid::nil().to_string(),
        segment => segment.to_owned(),
    };
    let path: Vec<String> = row.path.split('/').map(fill).collect();
    let answer = client.send_body(row.method.clone(), &path.join("/"), "").await;
    assert!(!answer.status.is_server_error(), "{} {}: {}", row.method, row.path, answer.text());
    // A word of the path that was taken for an id: another row answered.
    let mistaken =
        path.iter().any(|segment| answer.text().contains(&format!("\\\"{segment}\\\" is not a UUID")));
    answer.status.as_u16() != 405 && !mistaken && !answer.text().contains("There is nothing at this path")
}

#[tokio::test]
async fn every_documented_endpoint_is_served_or_listed_as_missing() {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let body = serde_json::json!({ "name": "app", "space": "default", "org": "akkeris" });
    client.post("/apps", body).await.json(201);
    let rows = rows();
    assert!(rows.len() > 100, "{} rows", rows.len());
    let mut missing = Vec::new();
    for row in &rows {
        if !is_served(&client, row).await {
            missing.push(format!("{} {}", row.method, row.path));
        }
    }
    assert_eq!(missing, NOT_YET);
}
