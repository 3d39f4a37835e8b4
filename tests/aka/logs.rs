//! `logs`.

use http::Method;
use serde_json::json;

use super::{APP, Aka, speaking, text};
use crate::log_sessions::{dyno, path_of, write};

/// What the client colours a line by: a time that ends in `Z`, the app, and the process.
fn parts(line: &str) -> Option<(&str, &str, &str)> {
    let (time, rest) = line.split_once(' ')?;
    let (app, rest) = rest.split_once(' ')?;
    let (process, _) = rest.split_once(": ")?;
    let coloured = |c: char| c.is_ascii_alphanumeric() || ".-/[]".contains(c);
    (time.ends_with('Z') && process.chars().all(coloured)).then_some((time, app, process))
}

#[tokio::test]
async fn logs_opens_the_address_over_https_without_a_token_and_ends_with_the_stream() {
    let aka = Aka::with_app().await;
    let app = text(&aka.get(APP).await, "id").parse().unwrap();
    write(&aka.daemon, app, &dyno("web"), &["hi"]).await;
    let session = aka.post(&format!("{APP}/log-sessions"), json!({ "lines": 100, "tail": false })).await;
    let url = text(&session, "logplex_url");
    assert!(url.starts_with("https:"), "{url}");
    let log = speaking(&aka.daemon.anonymous()).send(Method::GET, &path_of(url)).await;
    assert_eq!(log.status, 200);
    let log = log.text();
    let (_, key, process) = parts(log.lines().next().unwrap()).unwrap();
    assert_eq!((key, process), ("app-default", "app[web.1562910588-cg82f]"));
}
