//! What each room is told of the configuration.

use std::time::Duration;

use super::listeners::{Listeners, https_port};
use crate::api::ApiSettings;
use crate::builds::BuildLimits;
use crate::builds::archive::ArchiveLimits;
use crate::clock::Clock;
use crate::config::Config;
use crate::edge::EdgeSettings;
use crate::git::GitSettings;
use crate::reconcile::Timing;
use crate::reconcile::plan::Limits;
use crate::service::certificates::OrderRules;

/// A release that is not up this long after it began fails (`behaviour.md` §9 gives up after as long).
const RELEASE_LIMIT: Duration = Duration::from_mins(10);

/// What a push may take beside its build: a turn among other builds, and a release with its command.
const BESIDE_THE_BUILD: Duration = Duration::from_hours(2);

pub(super) fn timing(config: &Config) -> Timing {
    Timing {
        limits: Limits { boot: config.dynos.boot_timeout, release: RELEASE_LIMIT },
        stop_grace: config.dynos.stop_grace,
        drain_limit: config.dynos.drain_limit,
    }
}

pub(super) fn api_settings(config: &Config, listeners: &Listeners) -> ApiSettings {
    ApiSettings {
        public_url: config.api.public_url.clone(),
        apps_domain: config.edge.apps_domain.clone(),
        https_port: https_port(config, &listeners.edge),
        dialect: config.api.dialect,
        public_metrics: config.metrics.public,
        max_upload: config.builds.max_upload,
        orders: order_rules(config),
    }
}

fn order_rules(config: &Config) -> OrderRules {
    OrderRules {
        issuer: config.certs.issuer,
        acme: config.certs.acme.is_some(),
        dns: config.certs.acme.as_ref().is_some_and(|acme| acme.dns.is_some()),
        apps_domain: config.edge.apps_domain.clone(),
    }
}

pub(super) fn build_limits(config: &Config) -> BuildLimits {
    BuildLimits {
        concurrency: config.builds.concurrency,
        timeout: config.builds.timeout,
        checksum: config.builds.checksum,
        max_archive: config.builds.max_archive,
        archive: ArchiveLimits {
            entries: config.builds.max_entries as u64,
            total: config.builds.max_unpacked,
            ..ArchiveLimits::default()
        },
    }
}

pub(super) fn git_settings(config: &Config) -> GitSettings {
    GitSettings {
        folder: config.git_dir(),
        program: config.git.program.clone(),
        // This very program, also after its file was replaced.
        hook: format!("/proc/{}/exe", std::process::id()).into(),
        max_push: config.git.max_push_bytes,
        max_repository: config.git.max_repository_bytes,
        max_archive: config.builds.max_archive,
        limit: config.builds.timeout + BESIDE_THE_BUILD,
    }
}

pub(super) fn edge_settings(config: &Config, listeners: &Listeners, clock: Clock) -> EdgeSettings {
    let mut settings = EdgeSettings::new(clock);
    settings.workers = listeners.workers;
    settings.public_https_port = https_port(config, &listeners.edge);
    settings.no_redirect = config.edge.no_redirect;
    settings.max_connections = config.edge.max_connections;
    settings.max_connections_per_address = config.edge.max_connections_per_address;
    settings.trusted_proxies = config.edge.trusted_proxies.clone().into();
    settings.proxy_protocol = config.edge.proxy_protocol;
    settings.limits.first_byte = config.edge.first_byte_timeout;
    settings.limits.rolling = config.edge.idle_timeout;
    settings
}
