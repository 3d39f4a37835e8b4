//! What can be wrong with the configuration; each text names the place, the value and what is expected.

use super::layers::Place;

/// A configuration that the daemon does not start with (exit code 64).
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {path} cannot be read: name another with --config")]
    Unreadable { path: String, source: std::io::Error },
    #[error("the configuration file {path} is not valid TOML")]
    Syntax { path: String, source: Box<toml::de::Error> },
    #[error("{path} has the unknown key \"{key}\": {advice}")]
    UnknownKey { path: String, key: String, advice: String },
    #[error("{place} is \"{value}\": expected {expected}")]
    Wrong { place: Place, value: String, expected: String },
    #[error("the variable {variable} is not valid UTF-8: expected {expected}")]
    NotText { variable: &'static str, expected: &'static str },
    #[error(
        "the variable AKKERISD_ADMIN_TOKEN is not usable: expected 16 to 256 visible characters without spaces"
    )]
    AdminToken,
}
