//! A daemon with the worker of app setups, and without the builder: tests end builds as they need them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use akkerisd::addons::{AddonParts, Offer, Providers, Securekey};
use akkerisd::builds::archive::ArchiveLimits;
use akkerisd::builds::source::SourceFolder;
use akkerisd::model::build::{BuildState, ImageId};
use akkerisd::model::catalogue::Catalogue;
use akkerisd::model::event::Event;
use akkerisd::model::ids::{AppId, BuildId};
use akkerisd::model::principal::Principal;
use akkerisd::model::release::{ReleaseKind, ReleaseState};
use akkerisd::model::time::Timestamp;
use akkerisd::outbound::Outbound;
use akkerisd::service::addons::Shop;
use akkerisd::service::app_setups::SetupTools;
use akkerisd::service::releases::{self, NewRelease};
use akkerisd::setups::SetupsParts;
use akkerisd::store::{self, StoreError};
use akkerisd::tasks::Tasks;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::wait::wait_until;
use crate::support::{Client, TestDaemon};

pub(super) const PATIENCE: Duration = Duration::from_secs(30);

const KEYRING: &str = r#"
[[addon_service]]
name = "keyring"
human_name = "Key ring"
description = "Keys for the tests"
provider = "securekey"
state = "ga"
supports_multiple_installations = true
supports_sharing = true

[[addon_service.plan]]
name = "small"
human_name = "Small"
description = "Few keys"
price = 0
default = true
attributes = {}
"#;

pub(super) struct Bench {
    pub(super) daemon: TestDaemon,
    pub(super) client: Client,
    tasks: Tasks,
}

impl Bench {
    pub(super) async fn start() -> Self {
        let bench = Self::without_worker().await;
        bench.work();
        bench
    }

    pub(super) async fn without_worker() -> Self {
        let daemon = TestDaemon::start().await;
        let client = daemon.admin();
        client.post("/spaces", json!({ "name": "perf-dev-us" })).await.json(201);
        Self { daemon, client, tasks: Tasks::new() }
    }

    pub(super) fn tools(&self) -> SetupTools {
        let state = &self.daemon.state;
        SetupTools {
            sealer: state.sealer.clone(),
            ids: state.ids.clone(),
            catalogue: Arc::clone(&state.catalogue),
        }
    }

    /// Another service with addons that apps can share and have several of.
    pub(super) fn offer_keyrings(&self) {
        let text = format!("{}\n{KEYRING}", include_str!("../../assets/catalogue.toml"));
        self.daemon.state.catalogue.store(Arc::new(Catalogue::parse(&text).unwrap()));
    }

    /// What addons there are.
    pub(super) fn offer(&self) -> Offer {
        Offer::new(Arc::clone(&self.daemon.state.catalogue))
    }

    pub(super) fn shop(&self) -> Shop {
        Shop { offer: self.offer().current(), region: "us-seattle".to_owned() }
    }

    /// Starts the worker of the addons.
    pub(super) fn provide(&self) {
        let state = &self.daemon.state;
        let parts = AddonParts {
            store: state.store.clone(),
            sealer: state.sealer.clone(),
            clock: state.clock.clone(),
            offer: self.offer(),
            providers: Providers { securekey: Arc::new(Securekey), engine: None, brokers: BTreeMap::new() },
            retry: Duration::from_millis(10),
        };
        akkerisd::addons::start(parts, &self.tasks);
    }

    /// Starts the worker.
    pub(super) fn work(&self) {
        let parts = SetupsParts {
            store: self.daemon.state.store.clone(),
            tools: self.tools(),
            addons: self.daemon.state.addons.clone(),
            outbound: Outbound::new(true).unwrap(),
            sources: SourceFolder::new(self.daemon.dir.path().join("sources")),
            work: self.daemon.dir.path().join("work"),
            limits: ArchiveLimits::default(),
            max_archive: 1 << 20,
        };
        parts.start(&self.tasks);
    }

    /// Sends a blueprint; gives the setup as it was answered.
    pub(super) async fn submit(&self, blueprint: &Value) -> Value {
        self.client.post("/app-setups", blueprint.clone()).await.json(201)
    }

    pub(super) async fn setup(&self, id: &str) -> Value {
        self.client.get(&format!("/app-setups/{id}")).await.json(200)
    }

    /// The setup once it is as `wanted`.
    pub(super) async fn until(&self, id: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_until(what, PATIENCE, async || Some(self.setup(id).await).filter(|setup| wanted(setup))).await
    }

    /// The setup once nothing but its build is left.
    pub(super) async fn until_built(&self, id: &str) -> Value {
        self.until(id, "the steps are taken", |setup| {
            at(setup, "/build/id").is_string() && text(setup, "/status_message") == "build"
        })
        .await
    }

    /// The setup once it has come to its end.
    pub(super) async fn until_done(&self, id: &str) -> Value {
        self.until(id, "the setup ends", |setup| text(setup, "/status") != "pending").await
    }

    /// Ends a build as the builder would, without a release.
    pub(super) async fn end_build(&self, setup: &Value, failure: Option<&str>) {
        let build: BuildId = text(setup, "/build/id").parse().unwrap();
        let sealer = self.daemon.state.sealer.clone();
        let finished_at = Timestamp::from_millis(1);
        let state = match failure {
            None => BuildState::Succeeded { image: ImageId::new("sha256:1"), finished_at },
            Some(reason) => BuildState::Failed { reason: reason.to_owned(), finished_at },
        };
        let end = move |tx: &mut store::Tx<'_>| {
            let app = store::builds::find(tx, &sealer, build)?.unwrap().app_id;
            store::builds::set_state(tx, build, &state)?;
            let succeeded = matches!(state, BuildState::Succeeded { .. });
            tx.record(if succeeded {
                Event::BuildSucceeded { app, build }
            } else {
                Event::BuildFailed { app, build }
            })
        };
        let ended: Result<(), StoreError> = self.daemon.state.store.write(&Principal::daemon(), end).await;
        ended.unwrap();
    }

    /// Ends a build and its release as builder and reconciler would.
    pub(super) async fn end_build_with_release(&self, setup: &Value) {
        let build: BuildId = text(setup, "/build/id").parse().unwrap();
        let app: AppId = text(setup, "/app/id").parse().unwrap();
        let (store, ids) = (&self.daemon.state.store, self.daemon.state.ids.clone());
        let default_size = self.daemon.state.catalogue.load().default_size.clone();
        let end = move |tx: &mut store::Tx<'_>| {
            let finished_at = Timestamp::from_millis(1);
            let done = BuildState::Succeeded { image: ImageId::new("sha256:1"), finished_at };
            store::builds::set_state(tx, build, &done)?;
            tx.record(Event::BuildSucceeded { app, build })?;
            let new = NewRelease { app, slug: build, kind: ReleaseKind::Auto, description: String::new() };
            let mut release = releases::make(tx, &ids, &default_size, new)?;
            release.state = ReleaseState::Succeeded { at: finished_at };
            store::releases::set_state(tx, &release)?;
            let (id, version) = (release.id, release.version);
            tx.record(Event::ReleaseSucceeded { app, release: id, version })?;
            Ok::<_, akkerisd::service::Error>(())
        };
        store.write(&Principal::daemon(), end).await.unwrap();
    }

    /// Carries a blueprint out to its success.
    pub(super) async fn make(&self, blueprint: &Value) -> Value {
        let made = self.submit(blueprint).await;
        let built = self.until_built(text(&made, "/id")).await;
        self.end_build(&built, None).await;
        let done = self.until_done(text(&made, "/id")).await;
        assert_eq!(text(&done, "/status"), "succeeded", "{done}");
        done
    }

    /// The names of what happened to an app.
    pub(super) async fn kinds(&self, app: &str) -> Vec<String> {
        let app = app.parse().unwrap();
        self.daemon.state.store.read(move |c| store::events::kinds_of_app(c, app)).await.unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.tasks.stopping().cancel();
    }
}

/// What stands at a pointer; nothing is `null`.
pub(super) fn at<'v>(value: &'v Value, pointer: &str) -> &'v Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

#[track_caller]
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    let found = at(value, pointer).as_str();
    assert!(found.is_some(), "{pointer} is no text in {value}");
    found.unwrap()
}

/// The least that makes an app.
pub(super) fn least(name: &str) -> Value {
    json!({
        "app": { "name": name, "space": "default", "organization": "akkeris" },
        "source_blob": { "url": "docker://registry.example/app:1" }
    })
}

/// A blueprint with more in it.
pub(super) fn with(mut blueprint: Value, more: Value) -> Value {
    let Value::Object(more) = more else { return blueprint };
    blueprint.as_object_mut().unwrap().extend(more);
    blueprint
}

/// An archive of those files, as a data URI.
pub(super) fn archive(files: &[(&str, &str)]) -> String {
    format!("data:base64,{}", STANDARD.encode(tar_of(files)))
}

pub(super) fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append_data(&mut header, path, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}
