//! Suite 1: the whole daemon but Docker. Real SQLite, real HTTP stack, a scripted engine.
#![expect(clippy::unwrap_used, reason = "in a test a broken premise shall end the test")]

mod auth;
mod authorization;
mod cli;
mod house_rules;
mod openapi;
mod store;
mod support;
