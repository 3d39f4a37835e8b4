//! A released app, the reconciler that runs it on a scripted engine, and the time.

use std::sync::Arc;
use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::config::Dialect;
use akkerisd::engine::{ContainerEngine, ContainerId, ContainerSpec, ContainerState};
use akkerisd::ids::Ids;
use akkerisd::model::build::{Build, BuildSource, BuildState, Checksum, Commit, ImageId};
use akkerisd::model::command::Command;
use akkerisd::model::ids::{AppId, BuildId};
use akkerisd::model::names::{ProcessType, SizeName, UserName};
use akkerisd::model::principal::Principal;
use akkerisd::model::release::{Release, ReleaseKind};
use akkerisd::model::time::Timestamp;
use akkerisd::reconcile::plan::Limits;
use akkerisd::reconcile::routes::RouteBook;
use akkerisd::reconcile::{Context, LookCounters, Reconciler, Timing};
use akkerisd::service::releases::{self, NewRelease};
use akkerisd::store;
use akkerisd::tasks::Tasks;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::fake_engine::{Call, FakeEngine};
use crate::support::wait::wait_until;
use crate::support::{Client, TestDaemon};

pub(crate) const PATH: &str = "/apps/app-default/dynos";
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct House {
    pub(crate) daemon: TestDaemon,
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    app: AppId,
    tasks: Tasks,
}

impl House {
    /// An app without a release, a little after the beginning of 1970, which is when the engine's clock starts.
    pub(crate) async fn empty() -> Self {
        let clock = Clock::manual(Timestamp::from_millis(10_000));
        let daemon = TestDaemon::at(clock.clone()).await;
        assert!(matches!(daemon.state.settings.dialect, Dialect::Document));
        let client = daemon.admin();
        let body = json!({ "name": "app", "space": "default", "org": "akkeris" });
        let app = client.post("/apps", body).await.json(201);
        let app = app.get("id").and_then(Value::as_str).unwrap().parse().unwrap();
        let mut house = Self { daemon, client, clock, app, tasks: Tasks::new() };
        house.start_reconciler().await;
        house
    }

    /// The same with a release that has succeeded.
    pub(crate) async fn released(procfile: &[(&str, &str)]) -> Self {
        let house = Self::empty().await;
        let release = house.release(procfile).await;
        house.wait("the first release is up", || house.is_released(&release, "succeeded")).await;
        house
    }

    pub(crate) fn engine(&self) -> &FakeEngine {
        &self.daemon.engine
    }

    pub(crate) async fn start_reconciler(&mut self) {
        self.tasks = Tasks::new();
        let state = &self.daemon.state;
        let limits = Limits { boot: Duration::from_mins(1), release: Duration::from_mins(10) };
        let all_counted = CancellationToken::new();
        all_counted.cancel();
        let context = Context {
            store: state.store.clone(),
            sealer: state.sealer.clone(),
            engine: Arc::new(self.engine().clone()),
            routes: Arc::new(RouteBook::new("localhost".to_owned(), ([127, 0, 0, 1], 1).into())),
            catalogue: Arc::clone(&state.catalogue),
            clock: self.clock.clone(),
            ids: Ids::random(),
            timing: Timing {
                limits,
                stop_grace: Duration::from_secs(1),
                drain_limit: Duration::from_secs(1),
            },
            launches: Context::launch_permits(),
            looks: Context::look_permits(),
            counters: LookCounters::default(),
            all_counted,
        };
        Reconciler::new(Arc::new(context), self.tasks.clone()).start(LIMIT).await.unwrap();
    }

    /// Ends the reconciler, as the end of the daemon does; containers run on.
    pub(crate) async fn stop_reconciler(&self) {
        assert!(self.tasks.stop(LIMIT).await);
    }

    /// Makes a build with this Procfile and its release. There is no web dyno, for nothing would answer its probe.
    pub(crate) async fn release(&self, procfile: &[(&str, &str)]) -> Release {
        let (app, sealer) = (self.app, self.daemon.state.sealer.clone());
        let procfile: Vec<(ProcessType, Command)> = procfile
            .iter()
            .chain(&[("worker", "work")])
            .map(|(t, command)| (ProcessType::parse(t).unwrap(), Command::parse(command).unwrap()))
            .collect();
        let work = move |tx: &mut store::Tx<'_>| {
            let build = build_of(app, store::builds::next_number(tx, app)?);
            store::builds::insert(tx, &sealer, &build)?;
            store::builds::set_process_types(tx, build.id, &procfile)?;
            let image = ImageId::new(format!("sha256:{}", build.number));
            let state = BuildState::Succeeded { image, finished_at: build.created_at };
            store::builds::set_state(tx, build.id, &state)?;
            let size = SizeName::from_stored("gp1".to_owned());
            let new = NewRelease { app, slug: build.id, kind: ReleaseKind::Slug, description: String::new() };
            let release = releases::make(tx, &Ids::random(), &size, new)?;
            for mut formation in store::formations::list(tx, app)? {
                if formation.process_type.as_str() == "worker" {
                    formation.quantity = akkerisd::model::formation::Quantity::ONE;
                    store::formations::update(tx, &formation)?;
                }
            }
            Ok::<_, akkerisd::service::Error>(release)
        };
        self.daemon.state.store.write(&Principal::daemon(), work).await.unwrap()
    }

    pub(crate) async fn is_released(&self, release: &Release, status: &str) -> bool {
        let shown = self.client.get(&format!("/apps/app/releases/{}", release.id)).await.json(200);
        shown.get("status").and_then(Value::as_str) == Some(status)
    }

    /// Whether a field of an answer has that value.
    pub(crate) async fn shows(&self, path: impl AsRef<str>, field: &str, value: Value) -> bool {
        let answer = self.client.get(path.as_ref()).await;
        answer.status.is_success() && answer.json(200).get(field) == Some(&value)
    }

    /// The newest container of a type, once its process began, or somebody can attach to it.
    pub(crate) async fn container(&self, process_type: &str) -> (ContainerId, ContainerSpec) {
        let newest = || {
            let mut all = self.engine().containers().into_iter().rev();
            all.find(|(_, spec, _)| spec.process_type.as_str() == process_type)
        };
        self.wait(&format!("there is a container of {process_type}"), || async {
            newest().is_some_and(|(_, spec, state)| {
                !matches!(state, ContainerState::Created) || spec.terminal.is_attached()
            })
        })
        .await;
        let (id, spec, _) = newest().unwrap();
        (id, spec)
    }

    pub(crate) fn has_container(&self, process_type: &str) -> bool {
        self.engine().containers().iter().any(|(_, spec, _)| spec.process_type.as_str() == process_type)
    }

    /// How often the process of a dyno was begun.
    pub(crate) fn starts(&self, dyno: &str) -> usize {
        let made =
            self.engine().calls().into_iter().filter(|(call, about)| *call == Call::Create && about == dyno);
        made.count()
    }

    /// Somebody removes a dyno's container behind the daemon's back.
    pub(crate) async fn remove_container(&self, dyno: &str) {
        let all = self.engine().containers();
        let (id, ..) = all.iter().find(|(_, spec, _)| spec.dyno.as_str() == dyno).unwrap();
        self.engine().remove(id).await.unwrap();
    }

    /// Moves the time on and has the app looked at.
    pub(crate) async fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        let text = format!("at {seconds} {}", self.clock.now());
        self.client.patch("/apps/app", json!({ "description": text })).await.json(200);
    }

    /// Waits until that is so.
    pub(crate) async fn wait(&self, what: &str, mut check: impl AsyncFnMut() -> bool) {
        wait_until(what, LIMIT, async || check().await.then_some(())).await;
    }

    /// What was told of scheduled runs that were left out.
    pub(crate) async fn skipped(&self) -> Vec<String> {
        let audits = self.client.get("/audits?app=app&size=1000").await.json(200);
        let of = |audit: &Value| (audit["action"] == "schedule_skipped").then(|| audit.to_string());
        audits.as_array().unwrap().iter().filter_map(of).collect()
    }
}

fn build_of(app: AppId, number: u32) -> Build {
    let at = Timestamp::from_millis(10_000);
    Build {
        id: BuildId::new(Ids::random().next()),
        app_id: app,
        number,
        state: BuildState::Queued,
        source: BuildSource::Upload,
        checksum: Checksum::parse("").unwrap(),
        commit: Commit::default(),
        created_by: UserName::parse("alice").unwrap(),
        created_at: at,
        updated_at: at,
    }
}
