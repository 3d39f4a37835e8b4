//! The verbs that change something: one noun a file; each validates, writes one transaction and records events.
//!
//! Invariant: knows nothing of HTTP and never waits for the engine.

pub mod accounts;
pub mod addon_attachments;
pub mod addon_backups;
pub mod addons;
pub mod app_setups;
pub mod apps;
pub mod audits;
pub mod authorizations;
pub mod auto_builds;
pub mod bootstrap;
pub mod builds;
pub mod certificates;
pub mod config_var_notes;
pub mod config_vars;
pub mod deployment_reports;
pub mod deployments;
pub mod dynos;
pub mod environments;
mod error;
pub mod favorites;
pub mod features;
pub mod filter_attachments;
pub mod filters;
pub mod formations;
pub mod hooks;
pub mod invoices;
pub mod log_drains;
mod login_attempts;
pub mod logins;
pub mod oauth;
pub mod oauth_clients;
pub mod oneoffs;
pub mod organization_members;
pub mod organizations;
pub mod pipeline_couplings;
pub mod pipeline_promotions;
pub mod pipelines;
pub mod plugins;
pub mod previews;
pub mod principals;
pub mod recommendations;
pub mod release_candidates;
pub mod release_projects;
pub mod release_statuses;
pub mod releases;
pub mod routes;
pub mod sites;
pub mod spaces;
pub mod stacks;
pub mod tokens;

pub use error::Error;
