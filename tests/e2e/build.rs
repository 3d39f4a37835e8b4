//! Builds that cannot succeed say why, and everything else goes on undisturbed.

use serde_json::json;

use crate::support::archive::{Source, data_uri};
use crate::support::daemon::Daemon;

/// Builds this source; the log of the failed build.
async fn failing_log(daemon: &Daemon, app: &str, url: &str) -> String {
    let client = daemon.client();
    let build = client.begin_build(app, url).await;
    let (status, log) = client.finish_build(app, &build).await;
    assert_eq!(status, "failed", "{log:#?}");
    assert_eq!(log.last().unwrap(), "Finished: FAILURE");
    log.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_cannot_succeed_says_why_and_disturbs_nothing() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("bad", "default").await;
    client.deploy(&app, &Source::version("good")).await;

    let log = failing_log(&daemon, &app, &data_uri(b"this is no archive")).await;
    assert!(log.contains("archive"), "{log}");
    let failing = Source::version("x")
        .file("Dockerfile", "FROM akkerisd-e2e-base:latest\nRUN [\"/bin/sh\", \"-c\", \"exit 7\"]\n");
    let log = failing_log(&daemon, &app, &failing.tar_gz()).await;
    assert!(log.contains("non-zero code: 7"), "{log}");
    let none = Source::version("x").file("Dockerfile.not", "").tar_gz();
    let without = Source::version("x").file("Dockerfile", "").tar_gz();
    assert_ne!(none, without);
    let log = failing_log(&daemon, &app, &without).await;
    assert!(log.contains("Dockerfile"), "{log}");
    let log = failing_log(&daemon, &app, "docker://localhost:1/nowhere/nothing:1").await;
    assert!(log.contains("localhost:1/nowhere/nothing:1"), "{log}");
    let log = failing_log(&daemon, &app, "http://127.0.0.1:1/x.zip").await;
    assert!(log.contains("127.0.0.1"), "{log}");

    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "good".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_build_shows_its_log_and_can_be_stopped() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("slow", "default").await;
    let slow = Source::version("x").file(
        "Dockerfile",
        "FROM akkerisd-e2e-base:latest\nRUN [\"/bin/sh\", \"-c\", \"echo at-work; sleep 100\"]\n",
    );
    let build = client.begin_build(&app, &slow.tar_gz()).await;
    let path = format!("/apps/{app}/builds/{build}");
    crate::support::wait_until("the log grows", std::time::Duration::from_mins(1), || async {
        let (_, result) = client.try_send("GET", &format!("{path}/result"), None).await?;
        if result.to_string().contains("at-work") { Ok(()) } else { Err(result.to_string()) }
    })
    .await;
    assert_eq!(client.get(&path).await["status"], "pending");
    client.send("DELETE", &path, None, 205).await;
    let (status, log) = client.finish_build(&app, &build).await;
    assert_eq!((status.as_str(), log.last().unwrap().as_str()), ("failed", "Finished: FAILURE"));
    client.send("DELETE", &path, None, 422).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn config_vars_are_build_args_of_every_stage_and_stay_out_of_every_log() {
    let daemon = Daemon::start_with(&[("AKKERISD_LOG_LEVEL", "trace")]).await;
    let client = daemon.client();
    let app = client.create_app("args", "default").await;
    let vars =
        json!({ "SECRET_JSON": "{\"pem\": \"-----BEGIN-----\n\tline\"}", "LARGE": "\"".repeat(100_000) });
    client.send("PATCH", &format!("/apps/{app}/config-vars"), Some(vars), 200).await;
    let source = Source::version("x").file(
        "Dockerfile",
        "FROM akkerisd-e2e-base:latest AS one\nRUN [\"/bin/sh\", \"-c\", \"test -n \\\"$SECRET_JSON\\\"\"]\n\
         FROM akkerisd-e2e-base:latest\nRUN [\"/bin/sh\", \"-c\", \"printf 'version=%s' \\\"$AKKERIS_GIT_SHA1\\\" > /behaviour\"]\nCMD [\"/dyno\"]\n",
    );
    let build = client.begin_build(&app, &source.tar_gz()).await;
    let (status, log) = client.finish_build(&app, &build).await;
    assert_eq!(status, "succeeded", "{log:#?}");
    assert!(!log.join("\n").contains("BEGIN"), "{log:#?}");
    assert!(log.contains(&"Not given to the build, because too large for it: LARGE".to_owned()), "{log:#?}");
    client.finish_release(&app, 1).await;
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "abc".to_owned()));
    assert!(!daemon.log().contains("BEGIN"), "a config var lies open in the daemon's own log");
}

#[tokio::test(flavor = "multi_thread")]
async fn output_without_ends_of_lines_costs_no_memory() {
    let daemon = Daemon::start().await;
    let client = daemon.client();
    let app = client.create_app("endless", "default").await;
    let source = Source::version("x").file(
        "Dockerfile",
        "FROM akkerisd-e2e-base:latest\nRUN [\"/bin/sh\", \"-c\", \"head -c 100000000 /dev/zero | tr '\\\\0' x; echo; echo done\"]\n",
    );
    let before = daemon.resident_kib();
    let build = client.begin_build(&app, &source.tar_gz()).await;
    let (status, log) = client.finish_build(&app, &build).await;
    assert_eq!(status, "succeeded", "{log:#?}");
    assert!(log.contains(&"[a line of more than 256 KiB is left out]".to_owned()), "{log:#?}");
    assert!(log.contains(&"done".to_owned()), "{log:#?}");
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 30 * 1024, "the daemon grew by {grown} KiB");
}
