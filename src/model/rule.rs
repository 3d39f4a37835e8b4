//! A broken rule: what was wrong, with which value, and what to do about it.

use std::str::FromStr;

/// The text is the contract with the API's client: a whole sentence that names the offending value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RuleError(String);

impl RuleError {
    /// Takes the sentence that the client will read.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// One of the words of a closed set; the error says of which noun the text is none.
pub fn parse_word<T: FromStr<Err = RuleError>>(noun: &str, text: &str) -> Result<T, RuleError> {
    text.parse().map_err(|error| RuleError::new(format!("The {noun} {error}")))
}

/// Shortens a value for an error message, so that a client cannot make the daemon echo megabytes.
pub fn shown(value: &str) -> String {
    const LONGEST: usize = 60;
    let mut text: String =
        value.chars().take(LONGEST).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if value.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
}
