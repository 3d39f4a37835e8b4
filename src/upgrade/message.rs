//! What predecessor and successor say to each other.
//!
//! Invariant: a message that is not known ends the upgrade before anything was given away, so that versions which
//! do not understand each other do no harm.

use serde::{Deserialize, Serialize};

/// Said by the successor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromSuccessor {
    /// It can take over.
    Prepared {
        /// It will change the schema, so a copy of the database is needed for the way back.
        migrates: bool,
    },
    /// It serves; the predecessor may end.
    Ready,
    /// It cannot take over.
    Failed { reason: String },
    /// It is stopped itself: the predecessor shall let nothing go on for long.
    Stopping,
}

/// Said by the predecessor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToSuccessor {
    /// Listening sockets come with this message, as many as fit.
    Listeners,
    /// Control plane and data dir are free, and all listeners were sent.
    Released,
    /// The UDP socket of HTTP/3 comes with this message, after the successor was ready: two processes that read from
    /// it would take each other's packets, so it goes over when the predecessor reads no more of it.
    Datagrams,
}
