//! The Platform Apps API as HTTP and JSON; the only folder that names axum.
//!
//! Invariant: a handler reads through the store, changes through a service's verb, and never waits for the
//! engine. Status codes, error bodies and the two dialects each have one home: `respond`, `error`, `dialect`.

mod account;
mod addon_attachments;
mod addon_backups;
mod addon_services;
mod addons;
mod app_setups;
mod apps;
mod audits;
mod auth;
mod authorizations;
mod auto_builds;
mod builds;
mod config_var_notes;
mod config_vars;
mod deployments;
mod dialect;
mod dynos;
mod envelope;
mod environments;
mod error;
mod events;
mod extract;
mod favorites;
mod features;
mod filter_attachments;
mod filters;
mod formations;
mod git;
mod health;
mod hooks;
mod invoices;
mod json_body;
mod keys;
mod lasting;
mod log_drains;
mod logs;
mod metrics;
mod oauth;
mod oauth_clients;
mod openapi;
mod organization_members;
mod organizations;
mod origin;
mod page;
mod pipeline_couplings;
mod pipeline_promotions;
mod pipelines;
mod place;
mod plugins;
mod previews;
mod range;
mod recommendations;
mod regions;
mod release_candidates;
mod release_projects;
mod release_statuses;
mod releases;
mod respond;
mod router;
mod routes;
mod serve;
mod sites;
mod spaces;
mod ssl_endpoints;
mod ssl_orders;
mod stacks;
mod terminal;
mod trace;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

pub use self::error::Error;
pub use self::openapi::OPENAPI;
#[cfg(feature = "openapi")]
pub use self::openapi::document::openapi;
pub use self::router::router;
pub use self::serve::serve;
use crate::addons::Addons;
use crate::addons::backups::BackupStorages;
use crate::builds::log::BuildLogs;
use crate::builds::source::SourceFolder;
use crate::clock::Clock;
use crate::config::Dialect;
use crate::git::Git;
use crate::ids::Ids;
use crate::logs::{LogSessions, Rings};
use crate::metrics::Metrics;
use crate::model::app::App;
use crate::model::catalogue::Catalogue;
use crate::model::site::PlatformHosts;
use crate::seal::Sealer;
use crate::service::certificates::OrderRules;
use crate::service::logins::Logins;
use crate::source_control::SourceControl;
use crate::store::Store;
use crate::telemetry::Telemetry;
use crate::temporary_token::TemporaryTokens;
use crate::terminals::Terminals;

/// Large bodies that are in memory at once; others wait for their turn.
const LARGE_BODIES: usize = 2;

/// What every handler may use. Clones share everything.
#[derive(Debug, Clone)]
pub struct ApiState(Arc<Shared>);

/// Behind one pointer, because every request clones the state several times.
#[derive(Debug)]
pub struct Shared {
    parts: ApiParts,
    large_bodies: Arc<Semaphore>,
    signed_bodies: Arc<Semaphore>,
    logins: Logins,
}

/// What the API is built from.
#[derive(Debug)]
pub struct ApiParts {
    pub store: Store,
    pub sealer: Sealer,
    pub clock: Clock,
    pub ids: Ids,
    /// Replaced as a whole when the operator's file changes.
    pub catalogue: Arc<ArcSwap<Catalogue>>,
    /// Takes uploaded sources, one file a build.
    pub sources: SourceFolder,
    pub build_logs: BuildLogs,
    /// The logs of apps.
    pub rings: Rings,
    pub log_sessions: LogSessions,
    pub metrics: Metrics,
    pub addons: Addons,
    /// Where the backups of addons lie.
    pub backups: BackupStorages,
    pub terminals: Terminals,
    /// The repositories of apps.
    pub git: Git,
    pub telemetry: Telemetry,
    pub temporary_tokens: TemporaryTokens,
    pub source_control: SourceControl,
    pub settings: ApiSettings,
}

/// What the operator decided about the API.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Start of the links that clients follow, without a trailing slash; derived from the request when `None`.
    pub public_url: Option<String>,
    /// Apps answer on `<label>.<apps domain>`.
    pub apps_domain: String,
    /// The edge's HTTPS port, shown in an app's `web_url` unless it is 443.
    pub https_port: u16,
    /// The dialect of a request that chooses none.
    pub dialect: Dialect,
    /// `/metrics` needs no token.
    pub public_metrics: bool,
    /// Largest body that may hold a source, in bytes.
    pub max_upload: u64,
    /// Who signs certificates.
    pub orders: OrderRules,
}

impl ApiState {
    /// Takes the parts.
    pub fn new(parts: ApiParts) -> Self {
        let logins = Logins::new(parts.store.clone(), parts.sealer.clone(), parts.clock.clone());
        let large_bodies = Arc::new(Semaphore::new(LARGE_BODIES));
        let signed_bodies = Arc::new(Semaphore::new(LARGE_BODIES));
        Self(Arc::new(Shared { parts, large_bodies, signed_bodies, logins }))
    }
}

impl ApiSettings {
    /// Where the app answers, with a slash at the end (`behaviour.md` §3).
    fn web_url(&self, app: &App) -> String {
        let key = app.key();
        let (label, domain) = (key.host_label(), &self.apps_domain);
        match self.https_port {
            443 => format!("https://{label}.{domain}/"),
            port => format!("https://{label}.{domain}:{port}/"),
        }
    }

    /// The names that are no site's.
    fn platform_hosts(&self) -> PlatformHosts {
        let public = self.public_url.as_deref().and_then(|url| url.parse::<http::Uri>().ok());
        PlatformHosts {
            apps_domain: self.apps_domain.clone(),
            api: public.and_then(|url| url.host().map(str::to_owned)),
        }
    }
}

impl std::ops::Deref for ApiState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl std::ops::Deref for Shared {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.parts
    }
}
