//! An app, a provider, and a daemon that builds with a scripted engine.

use std::io::{Cursor, Write as _};
use std::sync::Arc;
use std::time::Duration;

use akkerisd::builds::archive::ArchiveLimits;
use akkerisd::builds::{BuildLimits, Builder, BuilderParts};
use akkerisd::config::ChecksumRule;
use akkerisd::model::auto_build::{ChecksLimits, SourceProvider};
use akkerisd::outbound::Outbound;
use akkerisd::source_control::{SourceServer, SourceServers};
use akkerisd::tasks::Tasks;
use http::Method;
use serde_json::{Value, json};

use crate::support::provider::{Provider, TOKEN};
use crate::support::wait::wait_until;
use crate::support::{Answer, Client, TestDaemon};

/// What waits for other tasks waits so long at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The tip of the branch `main` when the provider starts.
pub(crate) const TIP: &str = "1111111111111111111111111111111111111111";
pub(crate) const NEXT: &str = "2222222222222222222222222222222222222222";
pub(crate) const LAST: &str = "3333333333333333333333333333333333333333";
pub(crate) const AUTO: &str = "/apps/app-default/builds/auto";

/// The app is `app-default`.
pub(crate) struct Bench {
    pub(crate) daemon: TestDaemon,
    pub(crate) client: Client,
    pub(crate) provider: Provider,
    tasks: Tasks,
}

/// A server that the provider is.
pub(crate) fn server(provider: &Provider) -> SourceServer {
    SourceServer { provider: provider.kind, url: provider.url.clone(), api: provider.api(), account: None }
}

/// As providers pack a source: everything below one folder.
pub(crate) fn archive() -> Vec<u8> {
    zipped(&[("org-app-1111111/Dockerfile", "FROM x\n"), ("org-app-1111111/.env", "")])
}

pub(crate) fn zipped(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// How long checks are waited for when a test does not say.
pub(crate) fn limits() -> ChecksLimits {
    ChecksLimits { total: Duration::from_hours(1), absence: Duration::from_hours(1) }
}

impl Bench {
    pub(crate) async fn start(kind: SourceProvider) -> Self {
        Self::with(kind, limits()).await
    }

    /// With other limits for checks.
    pub(crate) async fn with(kind: SourceProvider, limits: ChecksLimits) -> Self {
        let bench = Self::idle(kind, limits).await;
        bench.work().await;
        bench
    }

    /// Nothing that is journalled is carried on yet.
    pub(crate) async fn idle(kind: SourceProvider, limits: ChecksLimits) -> Self {
        let provider = Provider::start(kind, TIP, archive()).await;
        let daemon = TestDaemon::with_sources(SourceServers::new(vec![server(&provider)]), limits).await;
        let client = daemon.admin();
        let app = json!({ "name": "app", "space": "default", "org": "akkeris" });
        client.post("/apps", app).await.json(201);
        Self { daemon, client, provider, tasks: Tasks::new() }
    }

    /// Carries on what is journalled, and builds.
    pub(crate) async fn work(&self) {
        self.carry_on();
        self.build().await;
    }

    /// Carries on what is journalled; builds stay queued.
    pub(crate) fn carry_on(&self) {
        self.daemon.state.source_control.start(&self.tasks);
    }

    /// Builds what is queued.
    pub(crate) async fn build(&self) {
        let state = &self.daemon.state;
        let parts = BuilderParts {
            store: state.store.clone(),
            sealer: state.sealer.clone(),
            engine: Arc::new(self.daemon.engine.clone()),
            outbound: Outbound::new(true).unwrap(),
            sources: state.sources.clone(),
            logs: state.build_logs.clone(),
            rings: state.rings.clone(),
            work: self.daemon.dir.path().join("work"),
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
        Builder::start(parts, &self.tasks).await.unwrap();
    }

    /// The auto build of the provider's repository, with changes.
    pub(crate) fn body(&self, change: Value) -> Value {
        let mut body = json!({
            "repo": self.provider.repo(), "branch": "main", "username": "alice", "token": TOKEN,
        });
        if let (Some(body), Value::Object(fields)) = (body.as_object_mut(), change) {
            body.extend(fields);
        }
        body
    }

    pub(crate) async fn connect(&self, change: Value) {
        let done = self.client.post(AUTO, self.body(change)).await.json(201);
        assert_eq!(done, json!({ "status": "successful" }));
    }

    /// A delivery of the provider, proven.
    pub(crate) async fn deliver(&self, event: &str, payload: &Value) -> Answer {
        let body = payload.to_string();
        let headers = self.provider.headers(event, &body);
        self.deliver_with(&headers, body).await
    }

    /// A delivery with any headers.
    pub(crate) async fn deliver_with(&self, headers: &[(&'static str, String)], body: String) -> Answer {
        let plain = self.daemon.anonymous();
        let client = headers.iter().fold(plain, |client, (name, value)| client.header(name, value));
        client.send_body(Method::POST, &format!("{AUTO}/{}", self.provider.kind), body).await
    }

    /// A push of a commit to a branch.
    pub(crate) async fn push(&self, branch: &str, sha: &str) -> Answer {
        let (event, payload) = self.provider.push(branch, sha);
        self.deliver(event, &payload).await
    }

    pub(crate) async fn builds(&self) -> Vec<Value> {
        self.client.get("/apps/app-default/builds").await.json(200).as_array().unwrap().clone()
    }

    /// The build of a commit, once it has that status.
    pub(crate) async fn built(&self, sha: &str, status: &str) -> Value {
        wait_until(&format!("the build of {sha} is {status}"), PATIENCE, async || {
            let is_it = |build: &&Value| {
                build.pointer("/source_blob/commit").is_some_and(|commit| commit == sha)
                    && build.get("status").is_some_and(|found| found == status)
            };
            self.builds().await.iter().find(is_it).cloned()
        })
        .await
    }

    /// The newest run, once it has that status.
    pub(crate) async fn latest(&self, status: &str) -> Value {
        wait_until(&format!("the newest run is {status}"), PATIENCE, async || {
            let latest = self.client.get(AUTO).await.json(200).get("latest").cloned();
            latest.filter(|run| run.get("status").is_some_and(|found| found == status))
        })
        .await
    }

    /// What the provider was told of a commit, once the last of it is that.
    pub(crate) async fn told(&self, sha: &str, last: &str) -> Vec<Value> {
        wait_until(&format!("the provider is told that {sha} is {last}"), PATIENCE, async || {
            let reports = self.provider.reports(sha);
            let is_last =
                reports.last().and_then(|report| report.get("state")).is_some_and(|state| state == last);
            is_last.then_some(reports)
        })
        .await
    }
}
