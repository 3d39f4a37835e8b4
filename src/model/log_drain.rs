//! Log drains: where the lines of a log go beside its own ring, and how far they got.

use super::drain_url::DrainUrl;
use super::ids::LogDrainId;
use super::log::LogOwner;
use super::rule::RuleError;
use super::time::Timestamp;

/// A place that the lines of an app or of a site are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDrain {
    pub id: LogDrainId,
    pub owner: LogOwner,
    pub url: DrainUrl,
    pub token: DrainToken,
    pub progress: DrainProgress,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// How a drain does, as it was last written down.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DrainProgress {
    pub state: DrainState,
    /// What is wrong; empty when nothing is.
    pub description: String,
    /// Where in the log it goes on; `None` before it was first looked at.
    pub position: Option<u64>,
    /// Lines that it lost since it was made.
    pub dropped: u64,
    /// Those of them that the stream has not been told of.
    pub unreported: Option<Loss>,
}

/// Lines that a drain did not deliver, or cannot know to have delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    pub lines: u64,
    /// Since when.
    pub since: Timestamp,
}

/// By which a receiver of batches knows the drain: `d.` and a UUID, as Logplex has it. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct DrainToken(String);

const TOKEN_LIMIT: usize = 256;
/// Drains that an app or a site can have.
pub const LOG_DRAIN_LIMIT: usize = 20;

crate::text_enum! {
    /// Whether lines get through.
    #[derive(Default)]
    pub enum DrainState {
        /// The first attempt is not over.
        #[default]
        Connecting => "connecting",
        Connected => "connected",
        /// It is tried again, with growing pauses.
        Failing => "failing",
    }
}

impl Loss {
    /// Both losses as one.
    #[must_use]
    pub fn and(self, other: Option<Self>) -> Self {
        match other {
            None => self,
            Some(other) => {
                Self { lines: self.lines.saturating_add(other.lines), since: self.since.min(other.since) }
            }
        }
    }
}

impl DrainToken {
    /// Of a random UUID.
    pub fn new(random: uuid::Uuid) -> Self {
        Self(format!("d.{random}"))
    }

    /// Takes up to 256 visible ASCII characters: it travels in a header.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text.is_empty() || text.len() > TOKEN_LIMIT || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(RuleError::new(format!(
                "The token of a log drain is not usable: give up to {TOKEN_LIMIT} visible ASCII characters, or none."
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes a token that was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The token itself. Not for a log, an event or an error message.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for DrainToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sealed]")
    }
}
