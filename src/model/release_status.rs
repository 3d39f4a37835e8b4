//! Release statuses: what checks outside the platform say of a release (`behaviour.md` §9).

use super::ids::{ReleaseId, ReleaseStatusId};
use super::rule::{RuleError, shown};
use super::time::Timestamp;

/// What one check says of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseStatus {
    pub id: ReleaseStatusId,
    pub release: ReleaseId,
    /// Which check it is; one status of each on a release.
    pub context: StatusContext,
    pub state: CheckState,
    pub text: StatusText,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What people are shown of a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusText {
    pub name: String,
    pub description: String,
    /// May be empty.
    pub target_url: String,
    /// May be empty.
    pub image_url: String,
}

crate::text_enum! {
    /// What a check says, worst first.
    pub enum CheckState {
        Error => "error",
        Failure => "failure",
        Pending => "pending",
        Success => "success",
    }
}

/// The name of a check: 6 to 31 letters, digits and `. / \ + -`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct StatusContext(String);

/// Statuses that one release may have.
pub const STATUSES_LIMIT: usize = 100;

impl CheckState {
    /// Several checks together: the worst of them; success when there is none.
    pub fn combined(states: impl IntoIterator<Item = Self>) -> Self {
        states.into_iter().min().unwrap_or(Self::Success)
    }
}

impl StatusContext {
    /// Checks the text of a context.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let charset = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"./\\+-".contains(&b));
        if !charset || !(6..=31).contains(&text.len()) {
            return Err(RuleError::new(format!(
                "The context \"{}\" is not usable: use 6 to 31 letters, digits and the characters . / \\ + -, for example ci/tests.",
                shown(text)
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// A context that was checked before it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for StatusContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl StatusText {
    /// Checks lengths and addresses.
    pub fn check(&self) -> Result<(), RuleError> {
        let name = self.name.chars().count();
        if !(4..=255).contains(&name) {
            return Err(RuleError::new(format!(
                "The name \"{}\" has {name} characters; use 4 to 255.",
                shown(&self.name)
            )));
        }
        let description = self.description.chars().count();
        if description >= 1024 {
            return Err(RuleError::new(format!(
                "The description has {description} characters; use fewer than 1024."
            )));
        }
        check_url("target_url", &self.target_url)?;
        check_url("image_url", &self.image_url)
    }
}

fn check_url(field: &str, url: &str) -> Result<(), RuleError> {
    let web = url.starts_with("https://") || url.starts_with("http://");
    if url.is_empty() || (web && url.len() < 256 && !url.contains(char::is_whitespace)) {
        return Ok(());
    }
    Err(RuleError::new(format!(
        "The {field} \"{}\" is not usable: give a http:// or https:// address of fewer than 256 bytes.",
        shown(url)
    )))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_worst_check_decides_the_state_of_a_release() {
        use CheckState::{Error, Failure, Pending, Success};
        for (states, combined) in [
            (vec![], Success),
            (vec![Success, Success], Success),
            (vec![Success, Pending], Pending),
            (vec![Pending, Failure, Success], Failure),
            (vec![Pending, Failure, Error], Error),
        ] {
            assert_eq!(CheckState::combined(states.clone()), combined, "{states:?}");
        }
    }

    proptest! {
        #[test]
        fn the_order_of_the_checks_does_not_matter(
            mut states in prop::collection::vec(prop::sample::select(CheckState::ALL), 0..8),
        ) {
            let combined = CheckState::combined(states.clone());
            states.reverse();
            prop_assert_eq!(combined, CheckState::combined(states.clone()));
            prop_assert_eq!(combined == CheckState::Success, states.iter().all(|s| *s == CheckState::Success));
        }
    }
}
