//! Stacks: named runtimes that spaces are put on. On one machine they differ in name and state only.

use super::ids::StackId;
use super::rule::{RuleError, shown};
use super::time::Timestamp;

/// One stack (`behaviour.md` §17).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stack {
    pub id: StackId,
    pub name: String,
    pub state: StackState,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

crate::text_enum! {
    /// Who may put a space on a stack.
    pub enum StackState {
        /// Everyone.
        Public => "public",
        /// Everyone but spaces with the compliance `prod`.
        Beta => "beta",
        /// Nobody; the spaces that are on it stay.
        Deprecated => "deprecated",
    }
}

impl StackState {
    /// The state after a change of the two switches; what is `None` stays.
    #[must_use]
    pub fn switched(self, beta: Option<bool>, deprecated: Option<bool>) -> Self {
        if deprecated.unwrap_or(self == Self::Deprecated) {
            Self::Deprecated
        } else if beta.unwrap_or(self == Self::Beta) {
            Self::Beta
        } else {
            Self::Public
        }
    }
}

/// A name for a stack: up to 32 letters, digits and dashes, in lower case.
pub fn parse_name(text: &str) -> Result<String, RuleError> {
    let name = text.trim().to_ascii_lowercase();
    let charset = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if name.is_empty() || name.len() > 32 || !charset {
        return Err(RuleError::new(format!(
            "The stack name \"{}\" is not usable: use up to 32 letters, digits and dashes, for example ds2.",
            shown(text)
        )));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_switches_give_one_state_and_deprecated_wins() {
        use StackState::{Beta, Deprecated, Public};
        for (old, beta, deprecated, new) in [
            (Public, None, None, Public),
            (Public, Some(true), None, Beta),
            (Beta, None, Some(true), Deprecated),
            (Deprecated, Some(true), None, Deprecated),
            (Deprecated, Some(true), Some(false), Beta),
            (Beta, Some(false), None, Public),
        ] {
            assert_eq!(old.switched(beta, deprecated), new, "{old} {beta:?} {deprecated:?}");
        }
    }
}
