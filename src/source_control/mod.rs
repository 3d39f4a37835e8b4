//! What goes on between apps and the providers of their repositories: webhooks, pushes, checks and reports.
//!
//! Invariants: what a callback brought is on disk before it is answered; a provider that is down delays nothing but what
//! it is asked for; no token leaves for another host than its provider's API.

mod callback;
mod client;
mod connect;
mod forge;
mod gitea;
mod github;
mod gitlab;
mod hub_payload;
mod removals;
mod reports;
mod runs;
mod servers;
mod signature;
mod worker;

use std::sync::Arc;

pub use self::callback::{Delivered, Received};
use self::client::RepositoryClient;
pub use self::connect::NewAutoBuild;
pub use self::servers::{SourceLogin, SourceServer, SourceServers};
use crate::addons::Addons;
use crate::clock::Clock;
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::auto_build::{AutoBuild, ChecksLimits};
use crate::outbound::Outbound;
use crate::seal::Sealer;
use crate::store::Store;
use crate::tasks::{Activator, Tasks};

/// What it works with.
#[derive(Debug)]
pub struct SourceControlParts {
    pub store: Store,
    pub sealer: Sealer,
    pub ids: Ids,
    pub clock: Clock,
    pub outbound: Outbound,
    pub servers: SourceServers,
    pub limits: ChecksLimits,
    /// What previews are given of what is offered.
    pub addons: Addons,
}

/// Connects apps with repositories. Clones share everything.
#[derive(Debug, Clone)]
pub struct SourceControl {
    parts: Arc<SourceControlParts>,
    wake: Activator,
}

impl SourceControl {
    pub fn new(parts: SourceControlParts) -> Self {
        Self { parts: Arc::new(parts), wake: Activator::new() }
    }

    /// Carries on what is journalled, from now until the tasks stop.
    pub fn start(&self, tasks: &Tasks) {
        let (parts, wake, stop) = (Arc::clone(&self.parts), self.wake.clone(), tasks.stopping());
        tasks
            .supervise("source control", move || worker::run(Arc::clone(&parts), wake.clone(), stop.clone()));
    }

    /// Has it look at what is due; needed only where time passes without it, as on a test's clock.
    pub fn wake(&self) {
        self.wake.activate();
    }
}

impl SourceControlParts {
    /// The repository of an auto build; an error when its server is not known any more.
    fn repository(&self, auto_build: &AutoBuild) -> Result<RepositoryClient, RuleError> {
        let at = self.servers.of(&auto_build.repo)?;
        Ok(RepositoryClient::new(&self.outbound, at, auto_build.token.clone()))
    }
}

/// Where the provider posts what happens in the repository of an app.
fn callback_url(origin: &str, app: &App, provider: crate::model::auto_build::SourceProvider) -> String {
    format!("{origin}/apps/{}/builds/auto/{provider}", app.key())
}
