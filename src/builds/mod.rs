//! Builds: from a source to an image, one journalled step after another.
//!
//! Invariant: what a user sent is read, checked and copied, never extracted to disk and never run here;
//! only the engine runs it.

pub mod archive;
mod arguments;
mod data_uri;
pub mod dockerfile;
pub mod dockerignore;
pub mod log;
pub mod manifest;
pub mod procfile;
mod queue;
pub mod redact;
mod retention;
mod run;
pub mod source;
mod steps;
pub mod unpack;

pub use self::queue::{BuildLimits, Builder, BuilderParts};
