//! Suite 1: the whole daemon but Docker. Real SQLite, real HTTP stack, a scripted engine.
#![expect(clippy::unwrap_used, reason = "in a test a broken premise shall end the test")]

mod apps;
mod audits;
mod auth;
mod authorization;
mod builds;
mod builds_run;
mod cli;
mod config_var_notes;
mod config_vars;
mod dynos;
mod edge;
mod endpoints;
mod examples;
mod favorites;
mod features;
mod formations;
mod health;
mod hooks;
mod house_rules;
mod invoices;
mod openapi;
mod organizations;
mod pipeline_promotions;
mod pipelines;
mod plugins;
mod ranges;
mod recommendations;
mod regions;
mod release_statuses;
mod releases;
mod sizes;
mod spaces;
mod stacks;
mod store;
mod support;
