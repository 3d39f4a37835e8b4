//! Repositories of apps with a real git client: clone, fetch and push, over a real socket, with a scripted engine.
//!
//! Needs the Debian package `git`, which `tests/run.sh` installs.
#![expect(clippy::disallowed_types, reason = "the client is a program")]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use akkerisd::api;
use akkerisd::builds::archive::ArchiveLimits;
use akkerisd::builds::{BuildLimits, Builder, BuilderParts};
use akkerisd::config::ChecksumRule;
use akkerisd::engine::EngineError;
use akkerisd::model::account::Role;
use akkerisd::model::token::TokenKind;
use akkerisd::outbound::Outbound;
use akkerisd::reconcile::plan::Limits;
use akkerisd::reconcile::routes::RouteBook;
use akkerisd::reconcile::{Context, LookCounters, Reconciler, Timing};
use akkerisd::tasks::Tasks;
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::support::fake_engine::{Call, FakeEngine};
use crate::support::wait::wait_until;
use crate::support::{ADMIN_TOKEN, TestDaemon};

const LIMIT: Duration = Duration::from_mins(1);

/// A daemon that builds and releases, on a socket, and a folder for its clients.
pub(crate) struct Forge {
    pub(crate) daemon: TestDaemon,
    pub(crate) address: std::net::SocketAddr,
    tasks: Tasks,
    folder: tempfile::TempDir,
}

/// What a client of git said, with whether it was content.
struct Said {
    success: bool,
    text: String,
}

impl Forge {
    /// With the app `events` in the space `default`.
    pub(crate) async fn start() -> Self {
        let forge = Self::start_idle().await;
        forge.build().await;
        forge
    }

    /// Takes its builds, from now on.
    async fn build(&self) {
        start_builder(&self.daemon, &self.tasks).await;
    }

    /// The same, which queues builds and carries none out yet.
    async fn start_idle() -> Self {
        let (daemon, tasks) = (TestDaemon::start().await, Tasks::new());
        let body = json!({ "name": "events", "space": "default", "org": "akkeris" });
        daemon.admin().post("/apps", body).await.json(201);
        start_reconciler(&daemon, &tasks).await;
        daemon.state.git.start().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tasks.spawn("api", api::serve(listener, daemon.state.clone(), tasks.stopping()));
        let forge = Self { daemon, address, tasks, folder: tempfile::tempdir().unwrap() };
        forge.engine().set_output(&["Step 1/1 : FROM x"]);
        forge
    }

    pub(crate) fn engine(&self) -> &FakeEngine {
        &self.daemon.engine
    }

    fn url(&self, token: &str) -> String {
        format!("http://x:{token}@{}/git/events-default.git", self.address)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A working copy with one commit on `branch`, whose remote `akkeris` is the app's repository.
    async fn copy(&self, name: &str, branch: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir(&path).unwrap();
        self.git(&path, &["init", "--quiet"]).await.content();
        self.git(&path, &["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]).await.content();
        self.git(&path, &["remote", "add", "akkeris", &self.url(ADMIN_TOKEN)]).await.content();
        std::fs::write(path.join("Procfile"), "worker: ./work\n").unwrap();
        self.commit(&path, "Dockerfile", b"FROM x\n", "Begin with this").await;
        path
    }

    /// Commits a file; the commit's id.
    async fn commit(&self, path: &Path, file: &str, content: &[u8], message: &str) -> String {
        std::fs::write(path.join(file), content).unwrap();
        self.git(path, &["add", "."]).await.content();
        self.git(path, &["commit", "--quiet", "--message", message]).await.content();
        self.git(path, &["rev-parse", "HEAD"]).await.content().trim().to_owned()
    }

    async fn git(&self, path: &Path, arguments: &[&str]) -> Said {
        let output = tokio::time::timeout(LIMIT, self.client(path, arguments).output()).await;
        let output = output.unwrap().unwrap();
        let text = [output.stdout, output.stderr].concat();
        Said { success: output.status.success(), text: String::from_utf8_lossy(&text).into_owned() }
    }

    fn begin(&self, path: &Path, arguments: &[&str]) -> Child {
        self.client(path, arguments).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn client(&self, path: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        let home = self.folder.path();
        command.args(arguments).current_dir(path).kill_on_drop(true).stdin(Stdio::null());
        command.env("HOME", home).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "Ada L")
                .env(format!("GIT_{who}_EMAIL"), "ada@example.com");
        }
        command
    }

    /// What the app's repository says it has: a line for each reference.
    async fn remote(&self) -> String {
        let url = self.url(ADMIN_TOKEN);
        self.git(self.folder.path(), &["ls-remote", &url]).await.content()
    }

    pub(crate) async fn list(&self, what: &str) -> Vec<Value> {
        let all = self.daemon.admin().get(&format!("/apps/events/{what}")).await.json(200);
        all.as_array().unwrap().clone()
    }

    async fn queued(&self) {
        let queued = async || (self.list("builds").await.len() == 1).then_some(());
        wait_until("a build is queued", LIMIT, queued).await;
    }

    pub(crate) async fn stop(self) {
        self.daemon.state.git.close();
        assert!(self.tasks.stop(LIMIT).await);
    }
}

impl Said {
    #[track_caller]
    fn content(self) -> String {
        assert!(self.success, "{}", self.text);
        self.text
    }

    #[track_caller]
    fn refused(self) -> String {
        assert!(!self.success, "{}", self.text);
        self.text
    }
}

async fn start_builder(daemon: &TestDaemon, tasks: &Tasks) {
    let state = &daemon.state;
    let parts = BuilderParts {
        store: state.store.clone(),
        sealer: state.sealer.clone(),
        engine: Arc::new(daemon.engine.clone()),
        outbound: Outbound::new(true).unwrap(),
        sources: state.sources.clone(),
        logs: state.build_logs.clone(),
        rings: state.rings.clone(),
        work: daemon.dir.path().join("work"),
        clock: state.clock.clone(),
        ids: state.ids.clone(),
        catalogue: Arc::clone(&state.catalogue),
        limits: BuildLimits {
            concurrency: 2,
            timeout: Duration::from_mins(5),
            checksum: ChecksumRule::Verify,
            max_archive: 1 << 20,
            archive: ArchiveLimits::default(),
        },
    };
    Builder::start(parts, tasks).await.unwrap();
}

async fn start_reconciler(daemon: &TestDaemon, tasks: &Tasks) {
    let state = &daemon.state;
    let all_counted = CancellationToken::new();
    all_counted.cancel();
    let second = Duration::from_secs(1);
    let limits = Limits { boot: Duration::from_mins(1), release: Duration::from_mins(10) };
    let context = Context {
        store: state.store.clone(),
        sealer: state.sealer.clone(),
        engine: Arc::new(daemon.engine.clone()),
        routes: Arc::new(RouteBook::new("localhost".to_owned(), ([127, 0, 0, 1], 1).into())),
        catalogue: Arc::clone(&state.catalogue),
        clock: state.clock.clone(),
        ids: state.ids.clone(),
        timing: Timing { limits, stop_grace: second, drain_limit: second },
        launches: Context::launch_permits(),
        looks: Context::look_permits(),
        counters: LookCounters::default(),
        all_counted,
    };
    Reconciler::new(Arc::new(context), tasks.clone()).start(LIMIT).await.unwrap();
}

/// Bytes that cannot be compressed.
fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|_| rand::random()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn git_asks_for_a_token_and_takes_only_one_that_may() {
    let forge = Forge::start().await;
    let path = "/git/events-default.git/info/refs?service=git-upload-pack";
    let answer = forge.daemon.anonymous().get(path).await;
    assert_eq!(answer.status, 401);
    assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Basic realm="));
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");

    let copy = forge.copy("copy", "main").await;
    let reader = forge.url(&forge.daemon.read_token("alice").await);
    assert!(forge.git(&copy, &["ls-remote", &reader]).await.success);
    let said = forge.git(&copy, &["push", &reader, "main"]).await.refused();
    assert!(said.contains("This token may only read"), "{said}");

    let theirs = json!({ "name": "theirs", "description": "" });
    forge.daemon.admin().post("/organizations", theirs).await.json(201);
    forge.daemon.account("bob", Role::Member, &["theirs"]).await;
    let stranger = forge.url(&forge.daemon.token("bob", TokenKind::Personal).await);
    let said = forge.git(&copy, &["ls-remote", &stranger]).await.refused();
    assert!(said.contains("of which you are no member"), "{said}");
    let said = forge.git(&copy, &["ls-remote", &forge.url("wrong")]).await.refused();
    assert!(said.contains("Authentication failed"), "{said}");
    let dumb = forge.daemon.admin().get("/git/events-default.git/info/refs").await;
    assert_eq!(dumb.status, 400, "{}", dumb.text());
    let unknown = forge.daemon.admin().get("/git/none.git/info/refs?service=git-upload-pack").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(forge.list("builds").await.len(), 0);
    forge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_builds_and_releases_the_commit_and_shows_how() {
    let forge = Forge::start().await;
    let empty = forge.git(forge.folder.path(), &["clone", &forge.url(ADMIN_TOKEN), "empty"]).await.content();
    assert!(empty.contains("empty repository"), "{empty}");

    let copy = forge.copy("copy", "main").await;
    let said = forge.git(&copy, &["push", "akkeris", "main"]).await.content();
    for line in ["Building", "Begin with this", "Step 1/1 : FROM x", "Released v1: https://events.localhost/"]
    {
        let shown = |shown: &str| shown.starts_with("remote: ") && shown.contains(line);
        assert!(said.lines().any(shown), "{line}\n{said}");
    }
    let sha = forge.git(&copy, &["rev-parse", "HEAD"]).await.content();
    assert_eq!(forge.remote().await, format!("{}\tHEAD\n{0}\trefs/heads/main\n", sha.trim()));

    let builds = forge.list("builds").await;
    let source = &builds.first().unwrap()["source_blob"];
    assert_eq!(source["commit"], sha.trim());
    assert_eq!(source["branch"], "main");
    assert_eq!(source["author"], "Ada L <ada@example.com>");
    assert_eq!(source["message"], "Begin with this");
    let repository = format!("http://{}/git/events-default.git", forge.address);
    assert_eq!(source["repo"], repository.as_str());

    // A body of more than the client's buffer comes in pieces without a length.
    forge.commit(&copy, "data", &noise(300_000), "Add data").await;
    let said = forge.git(&copy, &["-c", "http.postBuffer=65536", "push", "akkeris", "main"]).await.content();
    assert!(said.contains("Released v2"), "{said}");
    let context = forge.engine().builds().last().unwrap().1.clone();
    assert!(context.len() > 300_000);
    forge.git(forge.folder.path(), &["clone", &forge.url(ADMIN_TOKEN), "back"]).await.content();
    assert_eq!(std::fs::read(forge.path("back/data")).unwrap(), std::fs::read(copy.join("data")).unwrap());
    assert_eq!(forge.list("releases").await.len(), 2);
    forge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_build_refuses_the_push_with_its_log_and_may_be_tried_again() {
    let forge = Forge::start().await;
    let copy = forge.copy("copy", "main").await;
    let fault = EngineError::BuildFailed("the command returned a non-zero code: 7".to_owned());
    forge.engine().fail_next(Call::Build, fault);
    let said = forge.git(&copy, &["push", "akkeris", "main"]).await.refused();
    for part in ["Step 1/1 : FROM x", "non-zero code: 7", "The build failed", "[remote rejected] main"] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    assert_eq!(forge.remote().await, "");
    assert!(forge.list("releases").await.is_empty());
    let said = forge.git(&copy, &["push", "akkeris", "main"]).await.content();
    assert!(said.contains("Released v1"), "{said}");
    forge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_branches_and_tags_are_kept_and_not_built() {
    let forge = Forge::start().await;
    let copy = forge.copy("copy", "feature").await;
    forge.git(&copy, &["tag", "one"]).await.content();
    let said = forge.git(&copy, &["push", "akkeris", "feature", "one"]).await.content();
    assert!(said.contains("only the branch main is deployed"), "{said}");
    assert!(forge.list("builds").await.is_empty());
    let said = forge.git(&copy, &["push", "akkeris", "feature:master"]).await.content();
    assert!(said.contains("Released v1"), "{said}");
    assert!(forge.remote().await.contains("HEAD"), "a clone checks master out");
    let said = forge.git(&copy, &["push", "akkeris", ":master"]).await.refused();
    assert!(said.contains("cannot be removed"), "{said}");
    forge.git(&copy, &["push", "akkeris", ":feature"]).await.content();
    let said = forge.git(&copy, &["push", "akkeris", "feature:refs/notes/x"]).await.refused();
    assert!(said.contains("Only branches and tags"), "{said}");
    assert_eq!(forge.list("builds").await.len(), 1);
    forge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_push_is_told_to_wait_for_the_first() {
    let forge = Forge::start_idle().await;
    let (one, other) = (forge.copy("one", "main").await, forge.copy("other", "main").await);
    let first = forge.git(&one, &["push", "akkeris", "main"]);
    let second = async {
        forge.queued().await;
        let second = forge.git(&other, &["push", "--force", "akkeris", "main"]).await.refused();
        forge.build().await;
        second
    };
    let (first, second) = tokio::join!(first, second);
    assert!(second.contains("Another push to events-default is being deployed"), "{second}");
    let first = first.content();
    assert!(first.contains("The build waits for its turn") && first.contains("Released v1"), "{first}");
    forge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_its_push_to_its_end() {
    let forge = Forge::start_idle().await;
    let copy = forge.copy("copy", "main").await;
    let mut client = forge.begin(&copy, &["push", "akkeris", "main"]);
    // The lines come when there is something to tell, not with the end.
    let mut lines = BufReader::new(client.stderr.take().unwrap()).lines();
    let told = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("The build waits for its turn") {
                return;
            }
        }
        panic!("the push ended");
    };
    tokio::time::timeout(LIMIT, told).await.unwrap();
    client.kill().await.unwrap();
    forge.build().await;
    let moved = async || forge.remote().await.contains("refs/heads/main").then_some(());
    wait_until("the branch moves", LIMIT, moved).await;
    assert_eq!(forge.list("releases").await.len(), 1);
    forge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_is_refused_and_leaves_nothing() {
    let forge = Forge::start().await;
    let copy = forge.copy("copy", "main").await;
    forge.commit(&copy, "large", &noise(2 << 20), "Too much").await;
    let said = forge.git(&copy, &["push", "akkeris", "main"]).await.refused();
    assert!(said.contains("maximum allowed size") || said.contains("unpack"), "{said}");
    assert_eq!(forge.remote().await, "");
    assert!(forge.list("builds").await.is_empty());
    // Within the limit of a push, but more and more of it.
    for number in 0..6 {
        let branch = format!("b{number}");
        forge.git(&copy, &["checkout", "--quiet", "--orphan", &branch]).await.content();
        forge.commit(&copy, "large", &noise(900_000), "Some").await;
        let said = forge.git(&copy, &["push", "akkeris", &branch]).await;
        if !said.success {
            assert!(number >= 3, "{}", said.text);
            assert!(said.text.contains("git.max_repository_bytes"), "{}", said.text);
            return forge.stop().await;
        }
    }
    panic!("the repository grows without end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_goes_with_its_app_and_survives_its_tidying() {
    let forge = Forge::start().await;
    let copy = forge.copy("copy", "main").await;
    forge.git(&copy, &["push", "akkeris", "main"]).await.content();
    let before = forge.remote().await;
    forge.daemon.state.git.tidy().await;
    assert_eq!(forge.remote().await, before);
    let folder = forge.daemon.dir.path().join("git");
    let repositories = || {
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.extension().is_some_and(|e| e == "git")).collect::<Vec<_>>()
    };
    let [repository] = repositories().try_into().unwrap();
    assert_eq!(std::fs::metadata(repository).unwrap().permissions().mode() & 0o777, 0o700);
    forge.daemon.admin().send(Method::DELETE, "/apps/events").await.json(200);
    wait_until("the repository is removed", LIMIT, async || repositories().is_empty().then_some(())).await;
    forge.stop().await;
}
