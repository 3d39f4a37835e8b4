//! Builds from the store to the image, with a scripted engine.

use std::sync::Arc;
use std::time::Duration;

use akkerisd::builds::archive::ArchiveLimits;
use akkerisd::builds::log::BuildLogs;
use akkerisd::builds::source::SourceFolder;
use akkerisd::builds::{BuildLimits, Builder, BuilderParts};
use akkerisd::clock::Clock;
use akkerisd::config::ChecksumRule;
use akkerisd::engine::{ContainerEngine, EngineError};
use akkerisd::ids::Ids;
use akkerisd::logs::Rings;
use akkerisd::model::build::{Build, BuildState, BuildStep, Checksum, Commit};
use akkerisd::model::catalogue::Catalogue;
use akkerisd::model::config_var::ConfigValue;
use akkerisd::model::event::Event;
use akkerisd::model::ids::{AppId, BuildId};
use akkerisd::model::names::{ConfigVarName, UserName};
use akkerisd::model::principal::Principal;
use akkerisd::model::release::ReleaseState;
use akkerisd::outbound::Outbound;
use akkerisd::seal::Sealer;
use akkerisd::service;
use akkerisd::store::{self, Store, StoreError};
use akkerisd::tasks::Tasks;
use arc_swap::ArcSwap;

use crate::support::fake_engine::{Call, FakeEngine};
use crate::support::wait::wait_until;

struct Bench {
    engine: Arc<FakeEngine>,
    store: Store,
    sealer: Sealer,
    ids: Ids,
    tasks: Tasks,
    catalogue: Catalogue,
    dir: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("akkerisd.db"), Clock::system()).unwrap();
        let catalogue = Catalogue::parse(include_str!("../assets/catalogue.toml")).unwrap();
        let ids = Ids::random();
        service::bootstrap::run(&store, &ids, &catalogue, None).await.unwrap();
        let (engine, sealer) = (Arc::new(FakeEngine::new()), Sealer::from_key(&[7; 32]));
        Self { engine, store, sealer, ids, tasks: Tasks::new(), catalogue, dir }
    }

    async fn start(&self, timeout: Duration) {
        let parts = BuilderParts {
            store: self.store.clone(),
            sealer: self.sealer.clone(),
            engine: Arc::<FakeEngine>::clone(&self.engine),
            outbound: Outbound::new(true).unwrap(),
            sources: self.sources(),
            logs: self.logs(),
            rings: self.rings(),
            work: self.dir.path().join("work"),
            clock: Clock::system(),
            ids: self.ids.clone(),
            catalogue: Arc::new(ArcSwap::from_pointee(self.catalogue.clone())),
            limits: BuildLimits {
                concurrency: 2,
                timeout,
                checksum: ChecksumRule::Verify,
                max_archive: 1 << 20,
                archive: ArchiveLimits::default(),
            },
        };
        Builder::start(parts, &self.tasks).await.unwrap();
    }

    fn sources(&self) -> SourceFolder {
        SourceFolder::new(self.dir.path().join("sources"))
    }

    fn rings(&self) -> Rings {
        Rings::new(self.dir.path().join("rings"), 1 << 20)
    }

    fn logs(&self) -> BuildLogs {
        BuildLogs::new(self.dir.path().join("logs"))
    }

    async fn app(&self, name: &str) -> AppId {
        let new = service::apps::NewApp {
            name: name.to_owned(),
            space: "default".to_owned(),
            organization: "akkeris".to_owned(),
            description: String::new(),
            labels: String::new(),
        };
        service::apps::create(&self.store, &self.ids, &Principal::daemon(), new).await.unwrap().id
    }

    async fn queue(&self, app: AppId, url: &str, checksum: &str) -> BuildId {
        let id = BuildId::new(self.ids.next());
        let source = self.sources().receive(id, url).await.unwrap();
        let (checksum, sealer) = (Checksum::parse(checksum).unwrap(), self.sealer.clone());
        let work = move |tx: &mut store::Tx<'_>| {
            let build = Build {
                id,
                app_id: app,
                number: store::builds::next_number(tx, app)?,
                state: BuildState::Queued,
                source,
                checksum,
                commit: Commit::default(),
                created_by: tx.author().clone(),
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            store::builds::insert(tx, &sealer, &build)?;
            tx.record(Event::BuildCreated { app, build: id })
        };
        self.store.write::<_, StoreError, _>(&Principal::daemon(), work).await.unwrap();
        id
    }

    async fn state(&self, id: BuildId) -> BuildState {
        let sealer = self.sealer.clone();
        self.store.read(move |c| store::builds::find(c, &sealer, id)).await.unwrap().unwrap().state
    }

    async fn set(&self, id: BuildId, event: Option<Event>, state: BuildState) {
        let work = move |tx: &mut store::Tx<'_>| {
            store::builds::set_state(tx, id, &state)?;
            event.map_or(Ok(()), |event| tx.record(event))
        };
        self.store.write::<_, StoreError, _>(&Principal::daemon(), work).await.unwrap();
    }

    /// The state and the log of a build once the log has its last line.
    async fn ended(&self, id: BuildId) -> (BuildState, Vec<String>) {
        let ended = async || {
            let lines = self.logs().read(id).await.unwrap();
            lines.last().is_some_and(|line| line.starts_with("Finished: ")).then_some(lines)
        };
        let lines = wait_until("the log has its last line", Duration::from_secs(20), ended).await;
        (self.state(id).await, lines)
    }

    async fn building(&self, calls: usize) {
        let building = async || (self.engine.count(Call::Build) == calls).then_some(());
        wait_until("the engine builds", Duration::from_secs(10), building).await;
    }
}

/// A tar with these files, as a data URI.
fn source(files: &[(&str, &str)]) -> String {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    let bytes = builder.into_inner().unwrap();
    let text = bytes.iter().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat();
    format!("data:,{text}")
}

fn app_source() -> String {
    source(&[("app/Dockerfile", "FROM x\n"), ("app/Procfile", "web: ./serve\nworker: ./work\n")])
}

const LONG: Duration = Duration::from_mins(5);

#[tokio::test]
async fn a_source_becomes_an_image_and_a_release() {
    let bench = Bench::new().await;
    let app = bench.app("events").await;
    bench.engine.set_output(&["Step 1/2 : FROM x", "Step 2/2 : ARG AKKERIS_GIT_SHA1", " ---> abcdef012345"]);
    bench.start(LONG).await;
    let id = bench.queue(app, &app_source(), "").await;
    let (state, lines) = bench.ended(id).await;
    assert!(matches!(state, BuildState::Succeeded { .. }), "{state:?} {lines:?}");
    assert!(lines.contains(&"Step 1/2 : FROM x".to_owned()) && !lines.iter().any(|l| l.contains("ARG")));
    assert_eq!(lines.last().map(String::as_str), Some("Finished: SUCCESS"));
    let releases = bench.store.read(move |c| store::releases::list(c, app)).await.unwrap();
    assert_eq!(releases.iter().map(|release| release.slug).collect::<Vec<_>>(), [id]);
    let formations = bench.store.read(move |c| store::formations::list(c, app)).await.unwrap();
    assert_eq!(formations.len(), 2);
    let context = &bench.engine.builds()[0].1;
    assert!(String::from_utf8_lossy(context).contains("FROM x\nARG AKKERIS_GIT_BRANCH\n"));
    assert!(bench.tasks.stop(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn a_wrong_source_fails_the_build_with_the_reason() {
    let bench = Bench::new().await;
    let app = bench.app("events").await;
    bench.start(LONG).await;
    let wrong = format!("sha256:{}", "0".repeat(64));
    for (url, checksum, says) in [
        (source(&[("readme", "x")]), "", "Add a file named Dockerfile"),
        ("data:,hello".to_owned(), "", "is no archive"),
        (app_source(), wrong.as_str(), "the request says sha256:0000"),
        ("http://127.0.0.1:1/x.zip".to_owned(), "", "could not be fetched"),
        ("http://169.254.169.254/x.zip".to_owned(), "", "metadata service"),
    ] {
        let id = bench.queue(app, &url, checksum).await;
        let (state, lines) = bench.ended(id).await;
        let BuildState::Failed { reason, .. } = state else { panic!("{state:?}") };
        assert!(reason.contains(says), "{reason}");
        assert!(lines.iter().any(|line| line.contains(says)), "{lines:?}");
        assert_eq!(lines.last().map(String::as_str), Some("Finished: FAILURE"));
    }
    assert_eq!(bench.engine.count(Call::Build), 0);
}

#[tokio::test]
async fn an_image_that_is_here_replaces_an_unreachable_registry() {
    let bench = Bench::new().await;
    let app = bench.app("events").await;
    bench.start(LONG).await;
    bench.engine.add_image("r.test/here:1", "sha256:here");
    for image in ["r.test/here:1", "r.test/gone:1"] {
        let fault = EngineError::NoImage { image: image.to_owned(), reason: "no route".to_owned() };
        bench.engine.fail_next(Call::Pull, fault);
    }
    let here = bench.queue(app, "docker://u:p@r.test/here:1", "").await;
    let (state, lines) = bench.ended(here).await;
    assert!(matches!(state, BuildState::Succeeded { image, .. } if image.as_str() == "sha256:here"));
    assert!(lines.iter().any(|line| line.contains("the image of this machine is used")), "{lines:?}");
    let gone = bench.queue(app, "docker://r.test/gone:1", "").await;
    let (state, _) = bench.ended(gone).await;
    assert!(matches!(state, BuildState::Failed { reason, .. } if reason.contains("no route")));
    assert_eq!(bench.engine.calls()[0], (Call::Pull, "u@r.test/here:1".to_owned()));
}

#[tokio::test]
async fn a_running_build_can_be_stopped_and_one_past_its_limit_is_ended() {
    let bench = Bench::new().await;
    let app = bench.app("events").await;
    bench.engine.delay(Call::Build, LONG);
    bench.start(Duration::from_secs(2)).await;
    let stopped = bench.queue(app, &app_source(), "").await;
    bench.building(1).await;
    let by = UserName::from_stored("someone".to_owned());
    let state = BuildState::Stopped { by, finished_at: Clock::system().now() };
    bench.set(stopped, Some(Event::BuildStopped { app, build: stopped }), state).await;
    let slow = bench.queue(app, &app_source(), "").await;
    let (state, _) = bench.ended(slow).await;
    assert!(
        matches!(state, BuildState::Failed { reason, .. } if reason.contains("took longer than 2 seconds"))
    );
    let (state, lines) = bench.ended(stopped).await;
    assert!(matches!(state, BuildState::Stopped { .. }));
    assert_eq!(lines.last().map(String::as_str), Some("Finished: FAILURE"));
}

#[tokio::test]
async fn builds_of_one_app_wait_for_each_other_and_leave_room_for_others() {
    let bench = Bench::new().await;
    let (one, two) = (bench.app("one").await, bench.app("two").await);
    bench.engine.delay(Call::Build, LONG);
    let first = bench.queue(one, &app_source(), "").await;
    let second = bench.queue(one, &app_source(), "").await;
    let other = bench.queue(two, &app_source(), "").await;
    bench.start(LONG).await;
    bench.building(2).await;
    assert!(matches!(bench.state(first).await, BuildState::Running { .. }));
    assert!(matches!(bench.state(other).await, BuildState::Running { .. }));
    assert_eq!(bench.state(second).await, BuildState::Queued);
    assert!(bench.tasks.stop(Duration::from_secs(5)).await);
}

#[tokio::test]
async fn an_interrupted_build_is_started_again_once() {
    let bench = Bench::new().await;
    let app = bench.app("events").await;
    let (again, often) =
        (bench.queue(app, &app_source(), "").await, bench.queue(app, &app_source(), "").await);
    for (id, attempt) in [(again, 1), (often, 2)] {
        let since = Clock::system().now();
        bench.set(id, None, BuildState::Running { step: BuildStep::Building, since, attempt }).await;
    }
    bench.start(LONG).await;
    let (state, lines) = bench.ended(again).await;
    assert!(matches!(state, BuildState::Succeeded { .. }), "{lines:?}");
    assert!(lines.contains(&"The build was interrupted and begins again.".to_owned()), "{lines:?}");
    let (state, _) = bench.ended(often).await;
    assert!(matches!(state, BuildState::Failed { reason, .. } if reason.contains("interrupted 2 times")));
}

#[tokio::test]
async fn the_values_of_config_vars_reach_the_build_and_never_its_log() {
    let bench = Bench::new().await;
    let app = bench.app("events").await;
    let name = ConfigVarName::parse("API_KEY").unwrap();
    let value = ConfigValue::parse(&name, "s3cret-value\n\"{json}\"").unwrap();
    let sealer = bench.sealer.clone();
    let set = move |tx: &mut store::Tx<'_>| store::config_vars::set(tx, &sealer, app, &name, &value);
    bench.store.write(&Principal::daemon(), set).await.unwrap();
    let output =
        ["Step 2/9 : ARG API_KEY", "Step 3/9 : RUN make", "the key is s3cret-value", "Finished: SUCCESS"];
    bench.engine.set_output(&output);
    bench.start(LONG).await;
    let id = bench.queue(app, &app_source(), "").await;
    let (_, lines) = bench.ended(id).await;
    assert!(lines.contains(&"the key is [redacted]".to_owned()), "{lines:?}");
    assert!(!lines.concat().contains("s3cret") && !lines.concat().contains("ARG"));
    assert_eq!(lines.iter().filter(|line| *line == "Finished: SUCCESS").count(), 1);
    let builds = bench.engine.builds();
    let args = &builds.first().unwrap().0.args;
    assert_eq!(args.get("API_KEY").unwrap(), "s3cret-value\n\"{json}\"");
    assert!(args.contains_key("AKKERIS_GIT_SHA1"));
}

#[tokio::test]
async fn only_the_newest_sources_and_images_stay_and_no_work_is_left() {
    let bench = Bench::new().await;
    let app = bench.app("events").await;
    bench.start(LONG).await;
    let mut ids = Vec::new();
    for _ in 0..13 {
        ids.push(bench.queue(app, &app_source(), "").await);
        bench.ended(*ids.last().unwrap()).await;
        let release = bench.store.read(move |c| store::releases::newest_live(c, app)).await.unwrap();
        let mut release = release.unwrap();
        release.state = ReleaseState::Succeeded { at: Clock::system().now() };
        let set = move |tx: &mut store::Tx<'_>| store::releases::set_state(tx, &release);
        bench.store.write(&Principal::daemon(), set).await.unwrap();
    }
    let left = async || {
        let images = bench.engine.list_images().await.unwrap();
        let images: Vec<BuildId> = images.iter().map(|image| image.build).collect();
        let sources: Vec<BuildId> =
            ids.iter().filter(|id| bench.sources().path(**id).exists()).copied().collect();
        (images == ids[3..] && sources == ids[3..]).then_some(())
    };
    wait_until("the oldest are gone", Duration::from_secs(10), left).await;
    assert_eq!(std::fs::read_dir(bench.dir.path().join("work")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_build_of_a_deleted_app_ends_and_leaves_no_image() {
    let bench = Bench::new().await;
    let app = bench.app("events").await;
    bench.engine.delay(Call::Build, LONG);
    bench.start(LONG).await;
    let id = bench.queue(app, &app_source(), "").await;
    bench.building(1).await;
    let delete = move |tx: &mut store::Tx<'_>| {
        store::apps::mark_deleted(tx, app)?;
        tx.record(Event::AppDeleted { app })
    };
    bench.store.write::<_, StoreError, _>(&Principal::daemon(), delete).await.unwrap();
    let (_, lines) = bench.ended(id).await;
    assert_eq!(lines.last().map(String::as_str), Some("Finished: FAILURE"));
    assert!(bench.engine.list_images().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_engine_that_goes_away_in_the_middle_costs_one_attempt() {
    let bench = Bench::new().await;
    let app = bench.app("events").await;
    bench.engine.fail_next(Call::Build, EngineError::Unavailable("the socket closed".to_owned()));
    bench.start(LONG).await;
    let id = bench.queue(app, &app_source(), "").await;
    let (state, lines) = bench.ended(id).await;
    assert!(matches!(state, BuildState::Succeeded { .. }), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("the socket closed")), "{lines:?}");
}

#[tokio::test]
async fn a_log_that_a_crash_left_without_its_end_is_ended_at_the_start() {
    let bench = Bench::new().await;
    let app = bench.app("events").await;
    let id = bench.queue(app, &app_source(), "").await;
    let reason = "broken".to_owned();
    let state = BuildState::Failed { reason, finished_at: Clock::system().now() };
    bench.set(id, None, state).await;
    bench.start(LONG).await;
    let (_, lines) = bench.ended(id).await;
    assert_eq!(lines, ["Finished: FAILURE"]);
}

#[tokio::test]
async fn a_refused_pull_never_falls_back_to_a_local_image() {
    let bench = Bench::new().await;
    let app = bench.app("events").await;
    bench.engine.add_image("r.test/private:1", "sha256:private");
    let reason = "pull access denied for r.test/private".to_owned();
    bench.engine.fail_next(Call::Pull, EngineError::NoImage { image: "r.test/private:1".to_owned(), reason });
    bench.start(LONG).await;
    let id = bench.queue(app, "docker://r.test/private:1", "").await;
    let (state, _) = bench.ended(id).await;
    assert!(matches!(state, BuildState::Failed { reason, .. } if reason.contains("access denied")));
}
