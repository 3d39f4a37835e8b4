//! Source in, HTTPS out: from an archive to an answer, by each way that a source can come.

use serde_json::json;

use crate::support::archive::Source;
use crate::support::client::all_ready;
use crate::support::daemon::Daemon;
use crate::support::docker::{BASE, docker};

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_deployed_from_tar_gz_and_from_zip_and_rolled_back() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("story", "default").await;
    let first = client.deploy(&app, &Source::version("one")).await;
    assert_eq!((&first["status"], &first["version"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "one".to_owned()));

    let build = client.begin_build(&app, &Source::version("two").zip()).await;
    assert_eq!(client.finish_build(&app, &build).await.0, "succeeded");
    assert_eq!(client.finish_release(&app, 2).await["status"], "succeeded");
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "two".to_owned()));

    let back = json!({"release": first["id"]});
    client.send("POST", &format!("/apps/{app}/releases"), Some(back), 201).await;
    assert_eq!(client.finish_release(&app, 3).await["status"], "succeeded");
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "one".to_owned()));
    client.wait_for_dynos(&app, "one dyno is left", all_ready(1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_here_is_used_when_its_registry_cannot_be_reached() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("image", "default").await;
    let reference = "localhost:1/akkerisd-e2e-local:1";
    docker(&["tag", BASE, reference]);
    let build = client.begin_build(&app, &format!("docker://{reference}")).await;
    let (status, log) = client.finish_build(&app, &build).await;
    docker(&["rmi", reference]);
    assert_eq!(status, "succeeded", "{log:#?}");
    assert!(
        log.iter().any(|line| line.contains("this machine")),
        "the log says which image was used: {log:#?}"
    );
    assert_eq!(client.finish_release(&app, 1).await["status"], "succeeded");
    assert_eq!(daemon.fetch(&app, "/").await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dyno_sees_its_config_vars_and_the_headers_of_the_edge() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("seen", "default").await;
    client.deploy(&app, &Source::version("one")).await;
    let vars = json!({"GREETING": "hello\nworld"});
    client.send("PATCH", &format!("/apps/{app}/config-vars"), Some(vars), 200).await;
    daemon.wait_for_answer(&app, "/env?GREETING", "hello\nworld").await;
    daemon.wait_for_answer(&app, "/env?AKKERIS_APPLICATION", "seen-default").await;
    let (_, headers) = daemon.fetch(&app, "/headers").await.unwrap();
    for expected in
        ["x-forwarded-proto: https", "x-forwarded-for: 127.0.0.1", "x-request-id: ", "x-request-start: t="]
    {
        assert!(headers.contains(expected), "{expected} is not in {headers}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_shows_its_page_while_the_dynos_run_and_deletion_leaves_nothing() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("closing", "default").await;
    client.deploy(&app, &Source::version("one")).await;
    client.send("PATCH", &format!("/apps/{app}"), Some(json!({"maintenance": true})), 200).await;
    crate::support::wait_until("maintenance is on", std::time::Duration::from_secs(5), || async {
        match daemon.fetch(&app, "/").await? {
            (503, _) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    client.wait_for_dynos(&app, "the dyno runs on", all_ready(1)).await;
    client.send("PATCH", &format!("/apps/{app}"), Some(json!({"maintenance": false})), 200).await;
    daemon.wait_for_answer(&app, "/", "one").await;
    client.send("DELETE", &format!("/apps/{app}"), None, 200).await;
    crate::support::wait_until("nothing of the app is left", std::time::Duration::from_secs(30), || async {
        let (containers, images) = (daemon.containers(), daemon.images());
        if containers.is_empty() && images.is_empty() {
            Ok(())
        } else {
            Err(format!("{containers:?} {images:?}"))
        }
    })
    .await;
    assert_eq!(daemon.fetch(&app, "/").await.unwrap().0, 404);
}
