//! What shall run of one app: loaded from the store in one read.

use std::collections::BTreeMap;

use super::plan::Rollout;
use super::runs;
use crate::model::app::App;
use crate::model::build::{BuildState, ImageId};
use crate::model::catalogue::Catalogue;
use crate::model::config_var::ConfigVars;
use crate::model::dyno::Dyno;
use crate::model::feature::Feature;
use crate::model::formation::{Formation, Port};
use crate::model::ids::{AppId, ReleaseId};
use crate::model::names::{DynoName, ProcessType, SizeName};
use crate::model::oneoff::OneOff;
use crate::model::release::{Release, ReleaseState};
use crate::model::router_limits::RouterLimits;
use crate::model::signal::Signal;
use crate::model::time::Timestamp;
use crate::seal::Sealer;
use crate::store::{self, Connection, StoreError};

/// What the store says about an app.
#[derive(Debug, Clone)]
pub enum Desired {
    /// Nothing of the app shall be left.
    Deleted,
    Live(Box<LiveApp>),
}

/// An app that exists.
#[derive(Debug, Clone)]
pub struct LiveApp {
    pub app: App,
    /// What to run; `None` before the first release.
    pub target: Option<Target>,
    /// Unfinished releases that a newer one has overtaken.
    pub overtaken: Vec<Release>,
    /// Releases that failed; their dynos go.
    pub failed: Vec<ReleaseId>,
    /// The dynos as they were last written.
    pub dynos: Vec<Dyno>,
    /// Dynos that a user asked to be replaced.
    pub replace: Vec<DynoName>,
    /// Signals that a user asked to be sent.
    pub signals: Vec<(DynoName, Signal)>,
    /// One-off dynos that have not ended, and those whose containers linger, oldest first.
    pub runs: Vec<DesiredRun>,
    /// The formations with a schedule.
    pub scheduled: Vec<Formation>,
}

/// The release to run and how.
#[derive(Debug, Clone)]
pub struct Target {
    pub release: Release,
    pub rollout: Rollout,
    pub image: ImageId,
    pub types: Vec<DesiredType>,
    /// How long its requests may take.
    pub limits: RouterLimits,
    /// Two dynos of a type must never run together.
    pub alone: bool,
    /// Its web dynos speak HTTP/2 with prior knowledge.
    pub http2: bool,
}

/// How the dynos of one type are made.
#[derive(Debug, Clone)]
pub struct DesiredType {
    pub formation: Formation,
    pub size: SizeName,
    /// Bytes.
    pub memory_limit: u64,
    /// `None` runs the image's own command.
    pub argv: Option<Vec<String>>,
    pub env: BTreeMap<String, String>,
    /// Digest of everything that would need another container when it changed.
    pub fingerprint: String,
}

/// A one-off dyno and how it is made.
#[derive(Debug, Clone)]
pub struct DesiredRun {
    pub oneoff: OneOff,
    /// `None` for one that has ended, or whose image is no more.
    pub made: Option<RunSpec>,
}

/// How the container of a one-off dyno is made.
#[derive(Debug, Clone)]
pub struct RunSpec {
    pub image: ImageId,
    /// Bytes.
    pub memory_limit: u64,
    /// `None` runs the image's own command.
    pub argv: Option<Vec<String>>,
    pub env: BTreeMap<String, String>,
    pub fingerprint: String,
}

impl DesiredType {
    /// The port that the web process listens on.
    pub fn port(&self) -> Port {
        self.formation.port.unwrap_or(Port::DEFAULT)
    }
}

impl LiveApp {
    /// The one-off dyno of that name.
    pub fn run_of(&self, name: &DynoName) -> Option<&DesiredRun> {
        self.runs.iter().find(|run| run.oneoff.name == *name)
    }

    /// How the dynos of a type are made, if any shall run.
    pub fn type_of(&self, process_type: &ProcessType) -> Option<&DesiredType> {
        self.target.as_ref()?.types.iter().find(|wanted| wanted.formation.process_type == *process_type)
    }
}

/// Loads an app in the caller's read.
pub fn load(
    connection: &Connection,
    sealer: &Sealer,
    catalogue: &Catalogue,
    (id, now): (AppId, Timestamp),
) -> Result<Desired, StoreError> {
    let Some(app) = store::apps::find(connection, id)? else { return Ok(Desired::Deleted) };
    let releases = store::releases::list(connection, id)?;
    let chosen = choose(&releases);
    let newest = chosen.map_or(0, |release| release.version);
    let target = match chosen {
        Some(release) => load_target(connection, sealer, catalogue, &app, release)?,
        None => None,
    };
    let runs = runs::load(connection, sealer, catalogue, (&app, now))?;
    let mut scheduled = store::formations::list(connection, id)?;
    scheduled.retain(|formation| formation.scheduled().is_some());
    let unfinished =
        |state: &ReleaseState| matches!(state, ReleaseState::Queued | ReleaseState::Pending { .. });
    Ok(Desired::Live(Box::new(LiveApp {
        target,
        overtaken: releases.iter().filter(|r| unfinished(&r.state) && r.version < newest).cloned().collect(),
        failed: releases
            .iter()
            .filter(|r| matches!(r.state, ReleaseState::Failed { .. }) && r.version != newest)
            .map(|r| r.id)
            .collect(),
        dynos: store::dynos::list(connection, id)?,
        replace: store::dynos::list_to_replace(connection, id)?,
        signals: store::dyno_signals::list(connection, id)?,
        runs,
        scheduled,
        app,
    })))
}

/// The newest release that did not fail; where there is none, the newest failed one is tried on, because
/// nothing else could run and a changed config var may mend it.
fn choose(releases: &[Release]) -> Option<&Release> {
    let failed = |release: &&Release| matches!(release.state, ReleaseState::Failed { .. });
    releases.iter().rev().find(|release| !failed(release)).or_else(|| releases.last())
}

fn load_target(
    connection: &Connection,
    sealer: &Sealer,
    catalogue: &Catalogue,
    app: &App,
    release: &Release,
) -> Result<Option<Target>, StoreError> {
    let build = store::builds::find(connection, sealer, release.slug)?;
    let Some(BuildState::Succeeded { image, .. }) = build.map(|build| build.state) else { return Ok(None) };
    let vars = store::config_vars::effective(connection, sealer, app.id)?;
    let formations = store::formations::list(connection, app.id)?;
    let port = formations.iter().find_map(|formation| formation.port).unwrap_or(Port::DEFAULT);
    let deployment =
        Deployment { sealer, catalogue, app, image: &image, env: environment(app, release, &vars, port) };
    let types = formations
        .into_iter()
        .filter(|formation| formation.quantity.get() > 0)
        .map(|formation| deployment.desired_type(formation))
        .collect();
    let command = store::oneoffs::find_of_release(connection, sealer, release.id)?;
    let rollout = match release.state {
        ReleaseState::Queued => Rollout::Queued,
        ReleaseState::Pending { since } => runs::rollout(command, since),
        // Nothing of it may start, whatever else there is to run.
        ReleaseState::Failed { .. } if command.is_some_and(|command| !command.succeeded()) => {
            return Ok(None);
        }
        ReleaseState::Succeeded { .. } => Rollout::Settled,
        ReleaseState::Failed { .. } => Rollout::Failed,
    };
    let limits = RouterLimits::of(&vars);
    let on = store::features::list_enabled(connection, app.id)?;
    let (alone, http2) = (on.contains(&Feature::SingleDyno), on.contains(&Feature::Http2EndToEnd));
    Ok(Some(Target { release: release.clone(), rollout, image, types, limits, alone, http2 }))
}

/// What every dyno of the app sees (`behaviour.md` §6): the platform's variables, then the user's, then `PORT`.
pub(super) fn environment(
    app: &App,
    release: &Release,
    vars: &ConfigVars,
    port: Port,
) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for prefix in ["AKKERIS", "ALAMO"] {
        env.insert(format!("{prefix}_SPACE"), app.space.name.to_string());
        env.insert(format!("{prefix}_DEPLOYMENT"), app.name.to_string());
        env.insert(format!("{prefix}_APPLICATION"), app.key().to_string());
    }
    env.insert("AKKERIS_RELEASE".to_owned(), format!("v{}", release.version));
    env.extend(vars.iter().map(|(name, value)| (name.to_string(), value.reveal().to_owned())));
    env.insert("PORT".to_owned(), port.get().to_string());
    env
}

/// What the types of one deployment have in common.
struct Deployment<'a> {
    sealer: &'a Sealer,
    catalogue: &'a Catalogue,
    app: &'a App,
    image: &'a ImageId,
    env: BTreeMap<String, String>,
}

impl Deployment<'_> {
    fn desired_type(&self, formation: Formation) -> DesiredType {
        let memory_limit = self.catalogue.memory_limit(&formation.size);
        let command = formation.command.command();
        let argv = command.map(|command| command.argv(|name| self.env.get(name).map(String::as_str)));
        let made_from = serde_json::json!([
            self.app.id,
            self.app.space.id,
            self.image.as_str(),
            formation.process_type,
            formation.restarts,
            memory_limit,
            argv,
            self.env,
        ]);
        DesiredType {
            size: formation.size.clone(),
            fingerprint: self.sealer.fingerprint(made_from.to_string().as_bytes()),
            formation,
            memory_limit,
            argv,
            env: self.env.clone(),
        }
    }
}
