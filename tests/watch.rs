//! `akkerisd watch` as its user runs it, against a daemon on a socket with a scripted engine.
#![expect(clippy::disallowed_types, reason = "the command is a program")]

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::git::Forge;
use crate::support::ADMIN_TOKEN;
use crate::support::fake_engine::Call;
use crate::support::wait::wait_until;

const LIMIT: Duration = Duration::from_mins(1);

/// The command at work; its standard output lies in a file.
struct Watching {
    child: Child,
    output: std::path::PathBuf,
}

impl Watching {
    fn start(forge: &Forge, folder: &Path, arguments: &[&str]) -> Self {
        Self::start_at(&format!("http://{}", forge.address), folder, arguments)
    }

    fn start_at(api: &str, folder: &Path, arguments: &[&str]) -> Self {
        let output = folder.with_extension("output");
        let file = std::fs::File::create(&output).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_akkerisd"))
            .arg("watch")
            .arg(folder)
            .args(["--api", api])
            .args(arguments)
            .env_clear()
            .env("AKKERISD_TOKEN", ADMIN_TOKEN)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { child, output }
    }

    fn shown(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap()
    }

    async fn shows(&self, text: &str) {
        let shown = async || self.shown().contains(text).then_some(());
        wait_until(&format!("{text:?} is shown"), LIMIT, shown).await;
    }

    /// As Ctrl-C does.
    async fn interrupt(mut self) -> (Option<i32>, String) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::INT).unwrap();
        self.end().await
    }

    async fn end(&mut self) -> (Option<i32>, String) {
        let ended = tokio::time::timeout(LIMIT, self.child.wait()).await.unwrap().unwrap();
        (ended.code(), self.shown())
    }
}

fn app_folder(dir: &tempfile::TempDir) -> std::path::PathBuf {
    let folder = dir.path().join("app");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("Dockerfile"), "FROM x\n").unwrap();
    std::fs::write(folder.join("Procfile"), "worker: ./work\n").unwrap();
    std::fs::write(folder.join(".gitignore"), "*.log\n").unwrap();
    folder
}

fn versions(releases: &[Value]) -> Vec<u64> {
    releases.iter().filter_map(|release| release["version"].as_u64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_deploys_itself_when_its_content_changes() {
    let (forge, dir) = (Forge::start().await, tempfile::tempdir().unwrap());
    let folder = app_folder(&dir);
    let watching = Watching::start(&forge, &folder, &["--app", "events"]);
    watching.shows("Released v1: https://events.localhost/").await;
    assert!(watching.shown().contains("Step 1/1 : FROM x"), "{}", watching.shown());

    // Ignored, unchanged, then changed: only the last is built.
    std::fs::write(folder.join("a.log"), "x").unwrap();
    std::fs::write(folder.join("Procfile"), "worker: ./work\n").unwrap();
    std::fs::write(folder.join("data"), "1").unwrap();
    watching.shows("Released v2").await;
    assert_eq!(versions(&forge.list("releases").await), [1, 2]);

    // A change that comes during a build is picked up after it.
    forge.engine().delay(Call::Build, Duration::from_secs(2));
    std::fs::write(folder.join("data"), "2").unwrap();
    wait_until("it is built", LIMIT, async || (forge.engine().count(Call::Build) == 3).then_some(())).await;
    std::fs::write(folder.join("data"), "3").unwrap();
    watching.shows("Released v4").await;
    let (code, shown) = watching.interrupt().await;
    assert_eq!(code, Some(0), "{shown}");

    // What runs is what is in the folder: nothing is to be done until it changes.
    let again = Watching::start(&forge, &folder, &["--app", "events"]);
    again.shows("Watching").await;
    std::fs::write(folder.join("data"), "4").unwrap();
    again.shows("Released v5").await;
    assert_eq!(versions(&forge.list("releases").await), [1, 2, 3, 4, 5]);
    assert_eq!(again.interrupt().await.0, Some(0));
    forge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_is_created_only_when_asked_and_a_failing_build_is_told() {
    let (forge, dir) = (Forge::start().await, tempfile::tempdir().unwrap());
    let folder = app_folder(&dir);
    let (code, shown) = Watching::start(&forge, &folder, &["--app", "shop-default"]).end().await;
    assert_eq!(code, Some(64), "{shown}");
    assert!(shown.contains("shop-default does not exist. --create makes it."), "{shown}");

    let fault = akkerisd::engine::EngineError::BuildFailed("non-zero code: 7".to_owned());
    forge.engine().fail_next(Call::Build, fault);
    let watching = Watching::start(&forge, &folder, &["--app", "shop-default", "--create"]);
    watching.shows("the build failed; what runs runs on").await;
    assert!(watching.shown().contains("non-zero code: 7"), "{}", watching.shown());
    std::fs::write(folder.join("data"), "1").unwrap();
    watching.shows("Released v1: https://shop.localhost/").await;
    assert_eq!(watching.interrupt().await.0, Some(0));
    forge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_watched_is_named() {
    let (forge, dir) = (Forge::start().await, tempfile::tempdir().unwrap());
    let nowhere = dir.path().join("nowhere");
    let (code, shown) = Watching::start(&forge, &nowhere, &["--app", "events"]).end().await;
    assert_eq!(code, Some(64));
    assert!(shown.contains("nowhere cannot be used"), "{shown}");
    let folder = app_folder(&dir);
    let (code, shown) = Watching::start(&forge, &folder, &["--app", "events", "--token", "x"]).end().await;
    assert_eq!(code, Some(64));
    assert!(shown.contains("No valid token"), "{shown}");
    let arguments = ["--app", "events"];
    let (code, shown) = Watching::start_at("http://127.0.0.1:1", &folder, &arguments).end().await;
    assert_eq!(code, Some(74));
    assert!(shown.contains("http://127.0.0.1:1 does not answer"), "{shown}");
    forge.stop().await;
}
