//! `git push` on a real engine, through the edge: builds, releases, is refused, and is cloned back.

use std::path::Path;
use std::process::Command;

use crate::support::archive::Source;
use crate::support::daemon::{Daemon, TOKEN};

/// Runs git in a folder; whether it was content, and what it said.
async fn git(folder: &Path, daemon: &Daemon, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("git");
    command.current_dir(folder).args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"]);
    // Stronger than the setting: the environment of the tests may name another one.
    command.env("GIT_SSL_CAINFO", daemon.data_dir().join("ca/ca.crt"));
    command.arg("-c").arg(format!("http.curloptResolve=api.localhost:{}:127.0.0.1", daemon.https_port()));
    command.args(arguments).env("HOME", folder).env("GIT_TERMINAL_PROMPT", "0");
    let finished = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = [finished.stdout, finished.stderr].concat();
    (finished.status.success(), String::from_utf8_lossy(&said).into_owned())
}

async fn commit(folder: &Path, daemon: &Daemon, source: &Source) {
    source.write_to(folder);
    for arguments in [&["add", "."][..], &["commit", "--quiet", "--message", "Next"]] {
        let (done, said) = git(folder, daemon, arguments).await;
        assert!(done, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_through_the_edge_deploys_and_a_failing_one_is_refused() {
    let daemon = Daemon::start().await;
    let app = daemon.client().create_app("pushed", "default").await;
    let dir = tempfile::tempdir().unwrap();
    let url = format!("https://x:{TOKEN}@api.localhost:{}/git/{app}.git", daemon.https_port());
    git(dir.path(), &daemon, &["init", "--quiet"]).await;
    let push = ["push", url.as_str(), "HEAD:main"];

    commit(dir.path(), &daemon, &Source::version("one")).await;
    let (done, said) = git(dir.path(), &daemon, &push).await;
    assert!(done && said.contains("remote: -----> Released v1"), "{said}\n{}", daemon.log());
    daemon.wait_for_answer(&app, "/", "one").await;

    let failing = "FROM akkerisd-e2e-base:latest\nRUN [\"/bin/sh\", \"-c\", \"echo no-way; exit 7\"]\n";
    commit(dir.path(), &daemon, &Source::version("bad").file("Dockerfile", failing)).await;
    let (done, said) = git(dir.path(), &daemon, &push).await;
    assert!(!done && said.contains("no-way") && said.contains("[remote rejected]"), "{said}");
    assert_eq!(daemon.fetch(&app, "/").await.unwrap(), (200, "one".to_owned()));

    commit(dir.path(), &daemon, &Source::version("two")).await;
    let (done, said) = git(dir.path(), &daemon, &push).await;
    assert!(done && said.contains("Released v2"), "{said}");
    daemon.wait_for_answer(&app, "/", "two").await;
    let (done, said) = git(dir.path(), &daemon, &["clone", "--quiet", &url, "back"]).await;
    assert!(done, "{said}");
    assert_eq!(std::fs::read_to_string(dir.path().join("back/behaviour")).unwrap(), "version=two\n");
}
