//! Auto builds, as the section "Source Control Hooks" documents them, with servers that answer as the providers do.

mod checks;
mod events;
pub(crate) mod harness;
mod pull_requests;
mod reports;

use akkerisd::model::auto_build::SourceProvider;
use akkerisd::source_control::{SourceLogin, SourceServers};
use http::Method;
use serde_json::{Value, json};

use self::harness::{AUTO, Bench, NEXT, TIP, archive, limits, server};
use crate::support::provider::{Provider, TOKEN};
use crate::support::{TestDaemon, assert_shape};

const ALL: [SourceProvider; 3] = [SourceProvider::GitHub, SourceProvider::GitLab, SourceProvider::Gitea];

#[tokio::test]
async fn create_auto_build_registers_a_webhook_and_builds_the_tip() {
    for kind in ALL {
        let bench = Bench::start(kind).await;
        bench.connect(json!({})).await;
        let hooks = bench.provider.hooks();
        let [hook] = hooks.as_slice() else { panic!("{hooks:?}") };
        let url = hook.pointer("/config/url").or_else(|| hook.get("url")).and_then(Value::as_str).unwrap();
        assert_eq!(url, format!("http://localhost{AUTO}/{kind}"));
        assert_eq!(bench.provider.secret().len(), 64);
        let build = bench.built(TIP, "succeeded").await;
        let source = &build["source_blob"];
        assert_eq!(source["repo"], json!(bench.provider.repo()));
        assert_eq!(source["branch"], "main");
        assert_eq!(source["message"], json!(format!("Tip {TIP}")));
        assert_eq!(source["version"], json!(format!("{}/commit/{TIP}", bench.provider.repo())));
        assert!(source["author"].as_str().unwrap().starts_with("Alice Liddell"), "{source}");
        let releases = bench.client.get("/apps/app-default/releases").await.json(200);
        assert_eq!(releases.as_array().unwrap().len(), 1, "{releases}");
    }
}

#[tokio::test]
async fn create_auto_build_fetches_with_the_token_and_shows_it_to_no_other_host() {
    for kind in ALL {
        let bench = Bench::start(kind).await;
        bench.connect(json!({})).await;
        bench.built(TIP, "succeeded").await;
        let asked = bench.provider.asked();
        let source =
            asked.iter().find(|asked| asked.path.contains("zipball") || asked.path.contains("archive"));
        assert!(source.unwrap().path.contains(TIP));
        assert!(source.unwrap().authorization.as_ref().unwrap().contains(TOKEN));
        let files: Vec<_> = asked.iter().filter(|asked| asked.path.starts_with("/files/")).collect();
        assert_eq!(files.len(), 1, "{asked:?}");
        assert_eq!(files[0].authorization, None);
        let secret = bench.provider.secret();
        let disk = bench.daemon.disk().await;
        assert!(!disk.contains(TOKEN) && !disk.contains(&secret), "a secret lies on the disk");
        let shown = bench.client.get(AUTO).await.text();
        assert!(!shown.contains(TOKEN) && !shown.contains(&secret), "{shown}");
    }
}

#[tokio::test]
async fn create_auto_build_takes_texts_for_booleans_and_the_spelling_of_the_ui() {
    let bench = Bench::idle(SourceProvider::GitHub, limits()).await;
    for (change, expected) in [
        (json!({}), (false, true)),
        (json!({ "status_check": "true", "auto_deploy": "false" }), (true, false)),
        (json!({ "statusCheck": true, "autoDeploy": false, "app": "app-default" }), (true, false)),
        (json!({ "status_check": null, "auto_deploy": true }), (false, true)),
    ] {
        bench.connect(change).await;
        let shown = bench.client.get(AUTO).await.json(200);
        let found = (shown["status_check"].as_bool().unwrap(), shown["auto_deploy"].as_bool().unwrap());
        assert_eq!(found, expected);
    }
    bench.client.post(AUTO, bench.body(json!({ "status_check": "maybe" }))).await.error(422);
}

#[tokio::test]
async fn create_auto_build_refuses_what_cannot_be_followed() {
    let bench = Bench::idle(SourceProvider::GitHub, limits()).await;
    for (change, part) in [
        (json!({ "repo": "" }), "repo"),
        (json!({ "repo": "https://example.com/org/app" }), "no server that is known"),
        (json!({ "repo": format!("{}/org", bench.provider.url) }), "repo"),
        (json!({ "repo": format!("{}/org/app/more", bench.provider.url) }), "no server that is known"),
        (json!({ "branch": "" }), "branch"),
        (json!({ "branch": "a..b" }), "branch"),
        (json!({ "username": "alice@example.com" }), "e-mail"),
        (json!({ "username": "" }), "username"),
        (json!({ "token": "" }), "token"),
        (json!({ "token": "two words" }), "token"),
    ] {
        let error = bench.client.post(AUTO, bench.body(change.clone())).await.error(422);
        assert!(error.contains(part) && !error.contains("two words"), "{change}: {error}");
    }
    for (change, part) in [
        (json!({ "token": "wrong" }), "401: Bad credentials"),
        (json!({ "branch": "none" }), "404"),
        (json!({ "repo": format!("{}/org/other", bench.provider.url) }), "404"),
    ] {
        let error = bench.client.post(AUTO, bench.body(change.clone())).await.error(400);
        assert!(error.contains(part) && error.contains("GitHub"), "{change}: {error}");
    }
    bench.provider.set_down(true);
    let error = bench.client.post(AUTO, bench.body(json!({}))).await.error(400);
    assert!(error.contains("503"), "{error}");
    bench.client.get(AUTO).await.error(404);
    assert!(bench.provider.hooks().is_empty() && bench.builds().await.is_empty());
}

#[tokio::test]
async fn create_auto_build_is_a_conflict_where_the_provider_has_the_webhook() {
    for kind in ALL {
        let bench = Bench::idle(kind, limits()).await;
        bench.connect(json!({})).await;
        // As after a crash between the provider's answer and the commit.
        bench.daemon.corrupt("DELETE FROM auto_build_runs; DELETE FROM auto_builds;");
        let error = bench.client.post(AUTO, bench.body(json!({}))).await.error(409);
        assert!(error.contains("webhook"), "{error}");
        bench.client.get(AUTO).await.error(404);
    }
}

#[tokio::test]
async fn create_auto_build_again_takes_the_webhook_over_with_a_new_secret() {
    for kind in ALL {
        let bench = Bench::idle(kind, limits()).await;
        bench.connect(json!({})).await;
        let (first, id) = (bench.provider.secret(), bench.client.get(AUTO).await.json(200)["id"].clone());
        bench.connect(json!({ "username": "bob", "auto_deploy": false })).await;
        assert_eq!(bench.provider.hooks().len(), 1);
        assert_ne!(bench.provider.secret(), first);
        let shown = bench.client.get(AUTO).await.json(200);
        assert_eq!((shown["username"].as_str(), shown["auto_deploy"].as_bool()), (Some("bob"), Some(false)));
        assert_ne!(shown["id"], id);
        assert_eq!(bench.daemon.count("auto_builds"), 1);
        assert_eq!(bench.push("main", NEXT).await.status, 201);
        // Somebody removed it at the provider.
        bench.provider.forget_hooks();
        bench.connect(json!({})).await;
        assert_eq!(bench.push("main", NEXT).await.status, 201);
    }
}

#[tokio::test]
async fn create_auto_build_at_another_server_leaves_no_webhook_at_the_old_one() {
    let (old, new) = (
        Provider::start(SourceProvider::GitLab, TIP, archive()).await,
        Provider::start(SourceProvider::Gitea, TIP, archive()).await,
    );
    let servers = SourceServers::new(vec![server(&old), server(&new)]);
    let daemon = TestDaemon::with_sources(servers, limits()).await;
    let client = daemon.admin();
    let app = json!({ "name": "app", "space": "default", "org": "akkeris" });
    client.post("/apps", app).await.json(201);
    for provider in [&old, &new] {
        let body = json!({ "repo": provider.repo(), "branch": "main", "username": "alice", "token": TOKEN });
        client.post(AUTO, body).await.json(201);
    }
    assert!(old.hooks().is_empty());
    assert_eq!(new.hooks().len(), 1);
    assert_eq!(client.get(AUTO).await.json(200)["provider"], "gitea");
}

#[tokio::test]
async fn create_auto_build_without_a_token_uses_the_daemons_own_account() {
    let provider = Provider::start(SourceProvider::GitHub, TIP, archive()).await;
    let token = akkerisd::model::auto_build::SourceSecret::parse(TOKEN).unwrap();
    let account = Some(SourceLogin { username: "robot".to_owned(), token });
    let servers =
        SourceServers::new(vec![akkerisd::source_control::SourceServer { account, ..server(&provider) }]);
    let daemon = TestDaemon::with_sources(servers, limits()).await;
    let client = daemon.admin();
    let app = json!({ "name": "app", "space": "default", "org": "akkeris" });
    client.post("/apps", app).await.json(201);
    client.post(AUTO, json!({ "repo": provider.repo(), "branch": "main" })).await.json(201);
    assert_eq!(client.get(AUTO).await.json(200)["username"], "robot");
    let half = json!({ "repo": provider.repo(), "branch": "main", "username": "alice" });
    client.post(AUTO, half).await.error(422);
}

#[tokio::test]
async fn create_auto_build_in_a_space_with_compliance_needs_elevation() {
    let bench = Bench::idle(SourceProvider::GitHub, limits()).await;
    bench.client.post("/spaces", json!({ "name": "prod", "compliance": ["prod"] })).await.json(201);
    let app = json!({ "name": "app", "space": "prod", "org": "akkeris" });
    bench.client.post("/apps", app).await.json(201);
    let alice = bench.daemon.personal("alice").await;
    let path = "/apps/app-prod/builds/auto";
    alice.post(path, bench.body(json!({}))).await.error(403);
    bench.client.post(path, bench.body(json!({}))).await.json(201);
    alice.send(Method::POST, &format!("{path}/github/trigger")).await.error(403);
}

#[tokio::test]
async fn view_auto_build_shows_the_documented_object_at_both_paths() {
    let bench = Bench::idle(SourceProvider::GitLab, limits()).await;
    bench.client.get(AUTO).await.error(404);
    bench.connect(json!({})).await;
    let shown = bench.client.get(AUTO).await.json(200);
    let documented = json!({
        "app": { "id": "", "name": "" }, "auto_deploy": true, "branch": "", "created_at": "", "id": "",
        "organization": { "id": "", "name": "" }, "repo": "", "site": "", "space": { "id": "", "name": "" },
        "status_check": true, "updated_at": "", "username": ""
    });
    assert_shape(&documented, &shown, &[]);
    assert_eq!(shown["app"]["name"], "app-default");
    assert_eq!(shown["organization"]["name"], "akkeris");
    assert_eq!(shown["site"], json!(bench.provider.url));
    assert_eq!(shown["latest"]["status"], "waiting");
    for provider in ["github", "gitlab"] {
        assert_eq!(bench.client.get(&format!("{AUTO}/{provider}")).await.json(200), shown);
    }
    bench.client.get(&format!("{AUTO}/gitea")).await.error(404);
    let app = bench.client.get("/apps/app-default").await.json(200);
    assert_eq!((&app["git_url"], &app["git_branch"]), (&shown["repo"], &json!("main")));
}

#[tokio::test]
async fn delete_auto_build_removes_the_webhook_and_forgets_the_token() {
    for kind in ALL {
        let bench = Bench::idle(kind, limits()).await;
        bench.client.delete(&format!("{AUTO}/{kind}")).await.error(404);
        bench.connect(json!({})).await;
        let (event, payload) = bench.provider.push("main", NEXT);
        let headers = bench.provider.headers(event, &payload.to_string());
        let done = bench.client.delete(&format!("{AUTO}/{kind}")).await.json(200);
        assert_eq!(done, json!({ "status": "successful" }));
        assert!(bench.provider.hooks().is_empty());
        assert_eq!(bench.daemon.count("auto_builds"), 0);
        bench.client.get(AUTO).await.error(404);
        bench.deliver_with(&headers, payload.to_string()).await.error(403);
        bench.client.delete(&format!("{AUTO}/{kind}")).await.error(404);
        bench.connect(json!({})).await;
    }
}

#[tokio::test]
async fn delete_auto_build_succeeds_while_the_provider_is_down_and_removes_the_webhook_later() {
    let bench = Bench::start(SourceProvider::GitHub).await;
    bench.connect(json!({})).await;
    bench.provider.set_down(true);
    bench.client.delete(&format!("{AUTO}/github")).await.json(200);
    bench.client.get(AUTO).await.error(404);
    let tried = async || (bench.daemon.count("auto_builds WHERE removal_attempts > 0") > 0).then_some(());
    crate::support::wait::wait_until("it was tried in vain", harness::PATIENCE, tried).await;
    bench.provider.set_down(false);
    assert_eq!(bench.provider.hooks().len(), 1);
    bench.daemon.corrupt("UPDATE auto_builds SET removal_due_at = 0");
    bench.daemon.state.source_control.wake();
    let gone = async || bench.provider.hooks().is_empty().then_some(());
    crate::support::wait::wait_until("the webhook is gone", harness::PATIENCE, gone).await;
}

#[tokio::test]
async fn a_deleted_app_leaves_no_webhook_behind() {
    let bench = Bench::start(SourceProvider::Gitea).await;
    bench.connect(json!({})).await;
    bench.client.delete("/apps/app-default").await.json(200);
    let gone = async || bench.provider.hooks().is_empty().then_some(());
    crate::support::wait::wait_until("the webhook is gone", harness::PATIENCE, gone).await;
}

#[tokio::test]
async fn create_auto_build_run_builds_the_tip_of_the_moment() {
    let bench = Bench::start(SourceProvider::GitHub).await;
    let trigger = format!("{AUTO}/github/trigger");
    bench.client.send(Method::POST, &trigger).await.error(404);
    bench.connect(json!({})).await;
    bench.built(TIP, "succeeded").await;
    bench.provider.set_tip(NEXT);
    let done = bench.client.send(Method::POST, &trigger).await.json(201);
    assert_eq!(done, json!({ "status": "successful" }));
    bench.built(NEXT, "succeeded").await;
    assert_eq!(bench.latest("built").await["trigger"], "manual");
    bench.provider.set_down(true);
    bench.client.send(Method::POST, &trigger).await.error(400);
    bench.daemon.anonymous().send(Method::POST, &trigger).await.error(401);
}

#[tokio::test]
async fn auto_deploy_and_auto_release_must_both_be_on_for_a_release() {
    let bench = Bench::start(SourceProvider::GitHub).await;
    let releases = async || {
        let all = bench.client.get("/apps/app-default/releases").await.json(200);
        all.as_array().unwrap().len()
    };
    bench.connect(json!({ "auto_deploy": false })).await;
    bench.built(TIP, "succeeded").await;
    assert_eq!(releases().await, 0);
    bench.provider.set_tip(NEXT);
    bench.connect(json!({ "auto_deploy": true })).await;
    bench.built(NEXT, "succeeded").await;
    assert_eq!(releases().await, 1);
    bench
        .client
        .patch("/apps/app-default/features/auto-release", json!({ "enabled": false }))
        .await
        .json(200);
    assert_eq!(bench.push("main", harness::LAST).await.status, 201);
    bench.built(harness::LAST, "succeeded").await;
    assert_eq!(releases().await, 1);
}
