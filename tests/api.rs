//! Suite 1: the whole daemon but Docker. Real SQLite, real HTTP stack, a scripted engine.
#![expect(clippy::unwrap_used, reason = "in a test a broken premise shall end the test")]

#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test that cannot go on fails, helpers too")]

mod cli;
mod house_rules;
mod store;
