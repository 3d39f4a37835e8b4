//! What the program that git runs before it moves a branch, and the daemon, say to each other: JSON, a line each.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Bytes of a line.
pub(super) const LONGEST_LINE: u64 = 1 << 20;

/// A push that arrived whole and asks to be let in.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Asked {
    /// Says which push it is; of use once.
    pub(super) key: String,
    /// Where the new objects lie until the push is let in.
    pub(super) quarantine: Option<PathBuf>,
    /// The lines that git gives to its hooks.
    pub(super) changes: String,
}

/// What the daemon answers: lines and signs of life, then one of the last two.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Told {
    /// To be shown to the one who pushes.
    Line(String),
    /// The daemon is there and works.
    Alive,
    /// The branches move.
    Accepted,
    /// They stay.
    Refused,
}
