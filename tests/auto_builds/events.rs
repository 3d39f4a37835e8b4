//! What providers post: what is proven has consequences, and nothing else has.

use akkerisd::model::auto_build::SourceProvider;
use serde_json::{Value, json};

use super::ALL;
use super::harness::{AUTO, Bench, LAST, NEXT, TIP, limits};
use crate::support::provider::Provider;

#[tokio::test]
async fn create_auto_build_event_builds_what_was_pushed_to_the_branch() {
    for kind in ALL {
        let bench = Bench::start(kind).await;
        bench.connect(json!({})).await;
        bench.built(TIP, "succeeded").await;
        let answer = bench.push("MAIN", NEXT).await.json(201);
        assert_eq!(answer["code"], 201);
        assert!(answer["message"].as_str().unwrap().contains(NEXT.split_at(7).0), "{answer}");
        let build = bench.built(NEXT, "succeeded").await;
        let source = &build["source_blob"];
        assert_eq!(source["message"], json!(format!("Change {NEXT}\n\nWith a body.")));
        assert_eq!(source["author"], "Alice Liddell (alice)");
        assert_eq!(source["version"], json!(format!("{}/commit/{NEXT}", bench.provider.repo())));
        assert_eq!(source["branch"], "main");
        let releases = bench.client.get("/apps/app-default/releases").await.json(200);
        assert_eq!(releases.as_array().unwrap().len(), 2, "{releases}");
    }
}

#[tokio::test]
async fn create_auto_build_event_is_on_disk_before_the_answer_and_outlives_the_daemon() {
    let bench = Bench::idle(SourceProvider::GitHub, limits()).await;
    bench.connect(json!({})).await;
    assert_eq!(bench.push("main", NEXT).await.status, 201);
    assert!(bench.builds().await.is_empty(), "nothing works on it yet");
    assert_eq!(bench.daemon.count("auto_build_runs"), 2);
    // What a daemon finds that starts after a crash.
    bench.work().await;
    bench.built(NEXT, "succeeded").await;
    let commits = bench.builds().await;
    assert_eq!(commits.len(), 1, "of commits that wait only the newest is built: {commits:?}");
}

#[tokio::test]
async fn create_auto_build_event_answers_pong_to_a_ping() {
    let bench = Bench::idle(SourceProvider::GitHub, limits()).await;
    bench.connect(json!({})).await;
    let ping = json!({ "zen": "Design for failure.", "hook_id": 8, "repository": bench.provider.repository("org/app") });
    let answer = bench.deliver("ping", &ping).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, "pong."));
}

#[tokio::test]
async fn create_auto_build_event_ignores_what_is_no_commit_of_the_branch() {
    for kind in ALL {
        let bench = Bench::idle(kind, limits()).await;
        bench.connect(json!({})).await;
        let zeros = "0".repeat(40);
        let (event, mut deleted) = bench.provider.push("main", &zeros);
        deleted["deleted"] = json!(true);
        deleted["head_commit"] = Value::Null;
        deleted["commits"] = json!([]);
        deleted["checkout_sha"] = Value::Null;
        let (_, other) = bench.provider.push("other", NEXT);
        let (_, mut tag) = bench.provider.push("main", NEXT);
        tag["ref"] = json!("refs/tags/main");
        for payload in [&deleted, &other, &tag] {
            let answer = bench.deliver(event, payload).await;
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (205, ""), "{kind}: {payload}");
        }
        let (_, push) = bench.provider.push("main", NEXT);
        let elsewhere = if kind == SourceProvider::GitLab { "Issue Hook" } else { "issues" };
        assert_eq!(bench.deliver(elsewhere, &push).await.status, 205);
        assert_eq!(bench.daemon.count("auto_build_runs"), 1, "{kind}: only the first");
    }
}

#[tokio::test]
async fn create_auto_build_event_refuses_what_is_not_proven() {
    for kind in ALL {
        let bench = Bench::idle(kind, limits()).await;
        let unknown = bench.deliver_with(&[], "{}".to_owned()).await.error(403);
        bench.connect(json!({})).await;
        let (event, payload) = bench.provider.push("main", NEXT);
        let body = payload.to_string();
        let proven = bench.provider.headers(event, &body);
        let stranger = Provider::start(kind, TIP, Vec::new()).await;
        assert_eq!(bench.deliver_with(&[], body.clone()).await.error(403), unknown);
        let only_event: Vec<_> = proven.iter().filter(|(name, _)| name.contains("event")).cloned().collect();
        assert_eq!(bench.deliver_with(&only_event, body.clone()).await.error(403), unknown);
        for at in 1..proven.len() {
            let mut forged = proven.clone();
            let last = forged[at].1.pop().unwrap();
            forged[at].1.push(if last == '0' { '1' } else { '0' });
            assert_eq!(
                bench.deliver_with(&forged, body.clone()).await.error(403),
                unknown,
                "{:?}",
                forged[at]
            );
        }
        if kind != SourceProvider::GitLab {
            let changed = body.replace("Alice", "Mallory");
            assert_eq!(bench.deliver_with(&proven, changed).await.error(403), unknown);
        }
        // A fork, or another repository: its push is signed by who knows the secret, and is still none of ours.
        let (_, foreign) = stranger.push("main", NEXT);
        assert_eq!(bench.deliver(event, &foreign).await.error(403), unknown);
        let other = if kind == SourceProvider::GitHub { "gitlab" } else { "github" };
        let plain = bench.daemon.anonymous();
        let client = proven.iter().fold(plain, |client, (name, value)| client.header(name, value));
        client.post(&format!("{AUTO}/{other}"), payload).await.error(403);
        assert_eq!(bench.daemon.count("auto_build_runs"), 1);
    }
}

#[tokio::test]
async fn create_auto_build_event_takes_the_repository_in_every_spelling() {
    let bench = Bench::idle(SourceProvider::GitHub, limits()).await;
    let repo = format!("{}/Org/App.git/", bench.provider.url);
    // The provider knows it by its own spelling only.
    let error = bench.client.post(AUTO, bench.body(json!({ "repo": repo }))).await.error(400);
    assert!(error.contains("404"), "{error}");
    bench.connect(json!({ "repo": format!("{}.git/", bench.provider.repo()) })).await;
    let (event, mut payload) = bench.provider.push("main", NEXT);
    payload["repository"]["html_url"] = json!(format!("{}/ORG/app", bench.provider.url));
    assert_eq!(bench.deliver(event, &payload).await.status, 201);
}

#[tokio::test]
async fn create_auto_build_event_refuses_bodies_of_more_than_25_mib_whoever_sends_them() {
    let bench = Bench::idle(SourceProvider::GitHub, limits()).await;
    bench.connect(json!({})).await;
    let body = " ".repeat(25 * 1024 * 1024 + 1);
    let headers = bench.provider.headers("push", &body);
    bench.deliver_with(&headers, body).await.error(413);
    let (event, payload) = bench.provider.push("main", NEXT);
    let mut body = payload.to_string();
    body.push_str(&" ".repeat(25 * 1024 * 1024 - body.len()));
    let headers = bench.provider.headers(event, &body);
    assert_eq!(bench.deliver_with(&headers, body).await.status, 201);
}

#[tokio::test]
async fn create_auto_build_event_says_what_is_wrong_with_a_proven_payload() {
    let bench = Bench::idle(SourceProvider::GitHub, limits()).await;
    bench.connect(json!({})).await;
    for body in ["", "payload=%7B%7D", "{"] {
        let headers = bench.provider.headers("push", body);
        let error = bench.deliver_with(&headers, body.to_owned()).await.error(400);
        assert!(error.contains("JSON"), "{error}");
    }
    let (event, payload) = bench.provider.push("main", NEXT);
    for (at, value, part) in [
        ("/ref", Value::Null, "ref"),
        ("/ref", json!("refs/heads/a..b"), "branch"),
        ("/head_commit/id", json!("../../etc"), "full hash"),
    ] {
        let mut payload = payload.clone();
        *payload.pointer_mut(at).unwrap() = value;
        let error = bench.deliver(event, &payload).await.error(400);
        assert!(error.contains(part), "{at}: {error}");
    }
    for hostile in [json!([]), json!(7), json!({ "repository": 7 }), json!({ "ref": {} })] {
        bench.deliver(event, &hostile).await.error(403);
    }
    assert_eq!(bench.daemon.count("auto_build_runs"), 1);
}

#[tokio::test]
async fn a_commit_that_overtakes_another_is_the_one_that_is_built() {
    let bench = Bench::start(SourceProvider::GitHub).await;
    bench.provider.set_checks(&[("ci", "pending")]);
    bench.connect(json!({ "status_check": true })).await;
    assert_eq!(bench.push("main", NEXT).await.status, 201);
    assert_eq!(bench.push("main", LAST).await.status, 201);
    bench.provider.set_checks(&[("ci", "success")]);
    let status =
        json!({ "sha": LAST, "state": "success", "repository": bench.provider.repository("org/app") });
    assert_eq!(bench.deliver("status", &status).await.status, 205);
    bench.built(LAST, "succeeded").await;
    assert_eq!(bench.builds().await.len(), 1);
}
