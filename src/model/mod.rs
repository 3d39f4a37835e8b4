//! The nouns: ids, names, states and rules.
//!
//! Invariant: no I/O, no clock, no async, no SQL and no HTTP; imports nothing of ours. A wrong value
//! cannot be built: names are parsed, states are enums, and a broken rule is a [`RuleError`] whose text
//! is what the API's client reads.

pub mod account;
pub mod addon;
pub mod addon_attachment;
pub mod addon_backup;
pub mod addon_engine;
pub mod addon_instance;
pub mod addon_job;
pub mod addon_service;
pub mod addon_volume;
pub mod address;
pub mod app;
pub mod app_json;
pub mod app_setup;
pub mod auto_build;
pub mod blueprint;
pub mod build;
pub mod catalogue;
pub mod certificate;
pub mod command;
pub mod compliance;
pub mod config_var;
pub mod config_var_note;
pub mod deployment;
pub mod domain;
pub mod drain_url;
pub mod dyno;
pub mod event;
pub mod favorite;
pub mod feature;
pub mod filter;
pub mod formation;
pub mod hook;
pub mod hook_delivery;
pub mod hook_url;
pub mod ids;
pub mod invoice;
pub mod journal;
pub mod log;
pub mod log_drain;
pub mod metric;
pub mod names;
pub mod network;
pub mod oauth;
pub mod oneoff;
pub mod organization;
pub mod pipeline;
pub mod plugin;
pub mod preview;
pub mod principal;
pub mod pull_request;
pub mod recommendation;
pub mod release;
pub mod release_candidate;
pub mod release_status;
pub mod repository_url;
pub mod route;
pub mod router_limits;
pub mod rule;
pub mod schedule;
pub mod security_scan;
pub mod signal;
pub mod site;
pub mod source_event;
pub mod space;
pub mod stack;
pub mod text_enum;
pub mod time;
pub mod token;
pub mod trace;
pub mod two_factor;

pub use rule::RuleError;
