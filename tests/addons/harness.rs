//! Apps, and a provider that does what a test tells it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use akkerisd::addons::{
    Changed, Outcome, Provider, ProviderError, Providers, Provisioned, Removed, Work, Working,
};
use akkerisd::model::addon::PlanReference;
use akkerisd::model::addon_attachment::AddonAttachment;
use akkerisd::model::catalogue::Catalogue;
use akkerisd::model::config_var::{ConfigValue, ConfigVars};
use akkerisd::model::names::ConfigVarName;
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::support::wait::wait_until;
use crate::support::{Client, TestDaemon};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// A provider of the service `db`, which offers the plans `small`, `large`, `prod` (for spaces with prod compliance),
/// `closed` (shut down) and `far` (in another region). It remembers what it was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scripted(Arc<Mutex<Script>>);

#[derive(Debug, Default)]
struct Script {
    calls: Vec<String>,
    /// What the next calls of that name answer instead of success.
    answers: Vec<(&'static str, Answer)>,
}

/// What a call answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Working,
    Refused(&'static str),
    Broken(&'static str),
    Later(&'static str),
}

impl Scripted {
    /// The next call of that name answers so; several are answered in the order in which they were told.
    pub(crate) fn tell(&self, call: &'static str, answer: Answer) {
        self.0.lock().unwrap().answers.push((call, answer));
    }

    /// What was asked for so far.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.0.lock().unwrap().calls.clone()
    }

    /// Waits until that was asked for so often.
    pub(crate) async fn wait_for(&self, call: &str, times: usize) {
        wait_until(&format!("{call} × {times}"), LIMIT, async || {
            (self.calls().iter().filter(|one| *one == call).count() >= times).then_some(())
        })
        .await;
    }

    fn answer<T>(&self, call: &'static str, done: T) -> Result<Outcome<T>, ProviderError> {
        let mut script = self.0.lock().unwrap();
        script.calls.push(call.to_owned());
        let Some(index) = script.answers.iter().position(|(name, _)| *name == call) else {
            return Ok(Outcome::Done(done));
        };
        let poll_after = Duration::from_millis(5);
        match script.answers.remove(index).1 {
            Answer::Working => Ok(Outcome::Working(Working { operation: None, data: None, poll_after })),
            Answer::Refused(reason) => Err(ProviderError::Refused(reason.to_owned())),
            Answer::Broken(reason) => Err(ProviderError::Broken(reason.to_owned())),
            Answer::Later(reason) => Err(ProviderError::Later(reason.to_owned())),
        }
    }
}

#[async_trait]
impl Provider for Scripted {
    async fn provision(&self, _work: &Work) -> Result<Outcome<Provisioned>, ProviderError> {
        self.answer("provision", Provisioned::default())
    }

    async fn change_plan(&self, _work: &Work, _: &PlanReference) -> Result<Outcome<Changed>, ProviderError> {
        self.answer("change_plan", Changed { data: None, rebind: true })
    }

    async fn bind(&self, work: &Work, _to: &AddonAttachment) -> Result<Outcome<ConfigVars>, ProviderError> {
        let name = ConfigVarName::parse("DATABASE_URL").unwrap();
        let url = format!("db://u:secret@host/{}/{}", work.addon.name, work.addon.plan.name.short());
        self.answer("bind", ConfigVars::from([(name, ConfigValue::from_stored(url))]))
    }

    async fn unbind(&self, _work: &Work, _from: &AddonAttachment) -> Result<Outcome<Removed>, ProviderError> {
        self.answer("unbind", Removed)
    }

    async fn deprovision(&self, _work: &Work) -> Result<Outcome<Removed>, ProviderError> {
        self.answer("deprovision", Removed)
    }
}

const SERVICE: &str = r#"
[[addon_service]]
name = "db"
human_name = "Database"
provider = "engine"
plan = [
    { name = "small", human_name = "Small", price = 1500, default = true },
    { name = "large", human_name = "Large", price = 10000 },
    { name = "prod", human_name = "Prod", price = 1, compliance = ["prod"] },
    { name = "closed", human_name = "Closed", price = 1, state = "shutdown" },
    { name = "far", human_name = "Far", price = 1, regions = ["mars"] },
]
[[addon_service]]
name = "alone"
human_name = "Alone"
provider = "engine"
supports_sharing = false
plan = [{ name = "small", human_name = "Small", price = 0 }]
"#;

/// A daemon with the services of [`Scripted`] and the apps `app-default` and `other-default`.
pub(crate) async fn start() -> (TestDaemon, Scripted, Client) {
    let scripted = Scripted::default();
    let engine: Arc<dyn Provider> = Arc::new(scripted.clone());
    let providers = Providers { engine: Some(engine), ..Providers::without_brokers() };
    let daemon = TestDaemon::with_providers(providers).await;
    let text = format!("{}{SERVICE}", include_str!("../../assets/catalogue.toml"));
    daemon.state.catalogue.store(Arc::new(Catalogue::parse(&text).unwrap()));
    let client = daemon.admin();
    for name in ["app", "other"] {
        create_app(&client, name, "default").await;
    }
    (daemon, scripted, client)
}

pub(crate) async fn create_app(client: &Client, name: &str, space: &str) {
    client.post("/apps", json!({ "name": name, "space": space, "org": "akkeris" })).await.json(201);
}

/// A space with that compliance.
pub(crate) async fn create_space(client: &Client, name: &str, compliance: &[&str]) {
    client.post("/spaces", json!({ "name": name, "compliance": compliance })).await.json(201);
}

/// Waits until an addon of `app-default` is in a state, and returns it.
pub(crate) async fn addon_in(client: &Client, addon: &Value, state: &str) -> Value {
    let path = format!("/apps/app-default/addons/{}", addon["id"].as_str().unwrap());
    wait_until(&format!("the addon {state}"), LIMIT, async || {
        Some(client.get(&path).await.json(200)).filter(|addon| addon["state"] == state)
    })
    .await
}

/// An addon of `app-default` that is ready.
pub(crate) async fn ready(client: &Client, body: Value) -> Value {
    let made = client.post("/apps/app-default/addons", body).await.json(201);
    addon_in(client, &made, "provisioned").await
}

/// The config vars of an app when they hold that one.
pub(crate) async fn vars_with(client: &Client, app: &str, name: &str) -> Value {
    wait_until(&format!("{name} of {app}"), LIMIT, async || {
        Some(client.get(&format!("/apps/{app}/config-vars")).await.json(200))
            .filter(|vars| vars.get(name).is_some())
    })
    .await
}
