//! Your own Akkeris on one machine.

pub mod api;
pub mod builds;
pub mod catalogue;
pub mod certs;
pub mod cli;
pub mod clock;
pub mod config;
pub mod durable_file;
pub mod edge;
pub mod engine;
pub mod failpoint;
pub mod ids;
pub mod model;
pub mod outbound;
pub mod reconcile;
pub mod seal;
pub mod service;
pub mod store;
pub mod tasks;
