//! A daemon whose addons run on the scripted engine, driven through the verbs.

use std::sync::Arc;
use std::time::Duration;

use akkerisd::addons::backups::Backups;
use akkerisd::addons::instances::{Context, EngineProvider, Instances, VolumeWatch};
use akkerisd::addons::{self, AddonParts, Offer, Providers, Securekey};
use akkerisd::engine::instance::InstanceRole;
use akkerisd::engine::{ContainerId, ContainerState};
use akkerisd::model::addon::{Addon, AddonState};
use akkerisd::model::addon_attachment::AddonAttachment;
use akkerisd::model::addon_instance::InstancePhase;
use akkerisd::model::catalogue::Catalogue;
use akkerisd::model::ids::AddonId;
use akkerisd::model::names::AppKey;
use akkerisd::model::principal::Principal;
use akkerisd::service::addons::{AddonChange, NewAddon, Shop};
use akkerisd::store;
use akkerisd::tasks::{Activator, Tasks};
use serde_json::{Value, json};

use crate::support::TestDaemon;
use crate::support::fake_engine::FakeEngine;
use crate::support::wait::wait_until;

/// Waits on a machine under load.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A service that is all programs of the scripted engine.
pub(crate) const SERVICE: &str = r#"
[[addon_service]]
name = "db"
human_name = "DB"
provider = "engine"
state = "ga"
[addon_service.engine]
image = "db:1"
port = 5432
volume = "/data"
env = { PASSWORD = "{password}" }
health = ["health"]
usage = ["usage"]
variables = { DB_URL = "db://{user}:{password}@{host}:{port}/{database}" }
[[addon_service.engine.setup]]
argv = ["setup"]
[addon_service.engine.backup]
dump = ["dump"]
restore = ["restore"]
check = ["check"]
[[addon_service.plan]]
name = "small"
human_name = "Small"
price = 0
default = true
engine = { memory_mib = 64, volume_mib = 1, backup_schedule = "0 3 * * *", drill_schedule = "0 4 * * *", backups_kept = 2 }
[[addon_service.plan]]
name = "large"
human_name = "Large"
price = 100
engine = { memory_mib = 128 }
"#;

/// The house that is tested.
pub(crate) struct House {
    pub(crate) daemon: TestDaemon,
    tasks: Tasks,
    pub(crate) backups: Backups,
    pub(crate) volumes: VolumeWatch,
    offer: Offer,
}

impl House {
    /// A daemon that works at its addons.
    pub(crate) async fn start() -> Self {
        Self::of(TestDaemon::start().await, SERVICE).await
    }

    /// The same with that service, in a daemon made before.
    pub(crate) async fn of(daemon: TestDaemon, service: &str) -> Self {
        let text = format!("{}{service}", include_str!("../../assets/catalogue.toml"));
        daemon.state.catalogue.store(Arc::new(Catalogue::parse(&text).unwrap()));
        daemon.admin().post("/spaces", json!({"name": "other"})).await.json(201);
        let (tasks, offer) = (Tasks::new(), Offer::new(Arc::clone(&daemon.state.catalogue)));
        let (backups, volumes) = begin(&daemon, &tasks, &offer).await;
        Self { daemon, tasks, backups, volumes, offer }
    }

    /// Ends the work, as the end of a daemon does.
    pub(crate) async fn stop(&mut self) {
        assert!(std::mem::take(&mut self.tasks).stop(LIMIT).await, "the tasks do not end");
    }

    /// Ends the work and begins it again, as the next daemon does.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        self.tasks = Tasks::new();
        (self.backups, self.volumes) = begin(&self.daemon, &self.tasks, &self.offer).await;
    }

    /// A test's clock goes on while one waits: providers are asked again after a while.
    fn let_time_pass(&self) {
        self.daemon.state.clock.advance(Duration::from_millis(50));
    }

    pub(crate) fn engine(&self) -> &FakeEngine {
        &self.daemon.engine
    }

    /// Makes an app.
    pub(crate) async fn app(&self, name: &str, space: &str) -> AppKey {
        let body = json!({"org": "akkeris", "name": name, "space": space});
        let made = self.daemon.admin().post("/apps", body).await.json(201);
        AppKey::from_stored(made.get("key").and_then(Value::as_str).unwrap().to_owned())
    }

    /// Makes an app with an addon.
    pub(crate) async fn addon(&self, app: &str, space: &str) -> Addon {
        self.app(app, space).await;
        self.another_addon(app, space).await
    }

    /// Makes another addon of an app.
    pub(crate) async fn another_addon(&self, app: &str, space: &str) -> Addon {
        let state = &self.daemon.state;
        let key = format!("{app}-{space}");
        let found =
            state.store.look_up(|c| akkerisd::service::apps::resolve(c, &admin().reach, &key)).unwrap();
        let new = NewAddon { plan: "db:small".to_owned(), name: None };
        let (author, what) = (admin(), (found.id, self.shop()));
        akkerisd::service::addons::create(&state.store, &state.ids, &author, what, new).await.unwrap()
    }

    fn shop(&self) -> Shop {
        Shop { offer: self.offer.current(), region: "us-seattle".to_owned() }
    }

    pub(crate) async fn change_plan(&self, addon: AddonId, plan: &str) {
        let change = AddonChange { plan: Some(plan.to_owned()), ..AddonChange::default() };
        let store = &self.daemon.state.store;
        akkerisd::service::addons::update(store, &admin(), (addon, self.shop()), change).await.unwrap();
    }

    pub(crate) async fn delete(&self, addon: AddonId) {
        akkerisd::service::addons::delete(&self.daemon.state.store, &admin(), addon).await.unwrap();
    }

    /// The only addon of an app once it has that state.
    pub(crate) async fn until_state(&self, app: &str, wanted: AddonState) -> Addon {
        let store = &self.daemon.state.store;
        wait_until(&format!("the addon of {app} is {wanted}"), LIMIT, async || {
            self.let_time_pass();
            let all = store.look_up(store::addons::list).unwrap();
            all.into_iter().find(|addon| addon.app.name.as_str() == app && addon.state == wanted)
        })
        .await
    }

    pub(crate) async fn until_phase(&self, addon: AddonId, wanted: InstancePhase) {
        let state = &self.daemon.state;
        wait_until("the instance has that phase", LIMIT, async || {
            self.let_time_pass();
            let found =
                state.store.look_up(|c| store::addon_instances::find(c, &state.sealer, addon)).unwrap();
            found.filter(|instance| instance.phase == wanted)
        })
        .await;
    }

    /// A variable that an app has because of its addons, once it has it.
    pub(crate) async fn variable(&self, app: &str, name: &str) -> String {
        let state = &self.daemon.state;
        wait_until(&format!("{app} has {name}"), LIMIT, async || {
            let apps = state.store.look_up(store::apps::list).unwrap();
            let id = apps.into_iter().find(|one| one.name.as_str() == app)?.id;
            let all =
                state.store.look_up(|c| store::addon_attachments::variables(c, &state.sealer, id)).unwrap();
            all.into_iter()
                .find(|(known, _)| known.as_str() == name)
                .map(|(_, one)| one.value.reveal().to_owned())
        })
        .await
    }

    /// The container that apps reach, once it runs.
    pub(crate) async fn running(&self, addon: AddonId) -> ContainerId {
        wait_until("the instance runs", LIMIT, async || {
            let all = self.engine().instances.all();
            let found = all.into_iter().find(|(_, one)| {
                one.spec.addon == addon
                    && one.spec.role == InstanceRole::Service
                    && matches!(one.state, ContainerState::Running { .. })
            });
            found.map(|(id, _)| id)
        })
        .await
    }

    pub(crate) async fn until_networks(&self, addon: AddonId, wanted: &[&str]) {
        wait_until(&format!("the instance is in {wanted:?}"), LIMIT, async || {
            let all = self.engine().instances.all();
            let (_, one) = all.into_iter().find(|(_, one)| one.spec.addon == addon)?;
            let mut networks: Vec<&str> = one.endpoints.iter().map(|one| one.network.as_str()).collect();
            networks.sort_unstable();
            (networks == wanted).then_some(())
        })
        .await;
    }

    pub(crate) async fn until_nothing_is_left(&self) {
        wait_until("no container and no volume is left", LIMIT, async || {
            self.let_time_pass();
            let instances = &self.engine().instances;
            let rows = self.daemon.count("addon_instances");
            (instances.all().is_empty() && instances.volumes().is_empty() && rows == 0).then_some(())
        })
        .await;
    }

    /// Waits until the providers have nothing to do.
    pub(crate) async fn until_idle(&self) {
        wait_until("no work is left", LIMIT, async || {
            self.let_time_pass();
            (self.daemon.count("addon_jobs") == 0).then_some(())
        })
        .await;
    }

    pub(crate) async fn attach(&self, addon: AddonId, app: &AppKey) -> AddonAttachment {
        let attachments = format!("/apps/{app}/addon-attachments");
        let body = json!({"addon": addon.to_string(), "app": app.to_string()});
        let made = self.daemon.admin().post(&attachments, body).await.json(201);
        let id = made.get("id").and_then(Value::as_str).unwrap().parse().unwrap();
        let found = self.daemon.state.store.look_up(|c| store::addon_attachments::find(c, id)).unwrap();
        found.unwrap()
    }

    pub(crate) async fn detach(&self, attachment: &AddonAttachment) {
        let path = format!(
            "/apps/{}/addon-attachments/{}",
            AppKey::of(&attachment.app.name, &attachment.app.space),
            attachment.id
        );
        self.daemon.admin().delete(&path).await.json(200);
    }
}

/// What the daemon starts for its addons.
async fn begin(daemon: &TestDaemon, tasks: &Tasks, offer: &Offer) -> (Backups, VolumeWatch) {
    let state = &daemon.state;
    let context = Arc::new(Context {
        store: state.store.clone(),
        sealer: state.sealer.clone(),
        engine: Arc::new(daemon.engine.clone()),
        catalogue: Arc::clone(&state.catalogue),
        clock: state.clock.clone(),
        ids: state.ids.clone(),
        backups: state.backups.clone(),
        wake: Activator::new(),
    });
    Instances::start(Arc::clone(&context), tasks, Duration::from_millis(200)).await;
    let backups = Backups::start(Arc::clone(&context), tasks);
    let volumes = VolumeWatch::start(Arc::clone(&context), tasks);
    let parts = AddonParts {
        store: state.store.clone(),
        sealer: state.sealer.clone(),
        clock: state.clock.clone(),
        offer: offer.clone(),
        providers: Providers {
            securekey: Arc::new(Securekey),
            engine: Some(Arc::new(EngineProvider::new(context))),
            brokers: std::collections::BTreeMap::new(),
        },
        retry: Duration::from_millis(20),
    };
    addons::start(parts, tasks);
    (backups, volumes)
}

fn admin() -> Principal {
    Principal::daemon()
}
