//! Plugins: what the registry tells the users of the client `aka` to install.
//!
//! Invariant: `aka` hands the repo to `git clone`, so it is an `https://` address and nothing else.

use super::ids::PluginId;
use super::names::PluginName;
use super::rule::{RuleError, shown};
use super::time::Timestamp;

/// A published plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    pub id: PluginId,
    pub name: PluginName,
    pub repo: PluginRepo,
    pub owner: PluginOwner,
    pub description: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Where a plugin is installed from: an `https://` address (`behaviour.md` §21).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRepo(String);

/// Who answers for a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginOwner {
    pub name: String,
    pub email: String,
}

const REPO_LIMIT: usize = 1024;
const OWNER_NAME_LIMIT: usize = 128;
/// The longest address that mail can be sent to (RFC 5321 §4.5.3.1.3).
const EMAIL_LIMIT: usize = 254;

impl PluginRepo {
    /// `https://`, a host, and up to 1024 characters without spaces.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let repo = text.trim();
        let host = repo.strip_prefix("https://").is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
        if !host || repo.len() > REPO_LIMIT || !is_one_word(repo) {
            return Err(RuleError::new(format!(
                "The repo \"{}\" is not usable: give an address such as https://github.com/foo/bar.",
                shown(text)
            )));
        }
        Ok(Self(repo.to_owned()))
    }

    /// Takes an address that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PluginOwner {
    /// A name of up to 128 characters, and an address with a `@` between two parts.
    pub fn parse(name: &str, email: &str) -> Result<Self, RuleError> {
        let (name, email) = (name.trim(), email.trim());
        if name.is_empty() || name.chars().count() > OWNER_NAME_LIMIT || name.chars().any(char::is_control) {
            return Err(RuleError::new(format!(
                "The owner \"{}\" is not usable: give the owner's name in up to {OWNER_NAME_LIMIT} characters.",
                shown(name)
            )));
        }
        let parts = email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
        if !parts || email.len() > EMAIL_LIMIT || !is_one_word(email) {
            return Err(RuleError::new(format!(
                "The email \"{}\" is not usable: give the owner's address, such as foo@example.com.",
                shown(email)
            )));
        }
        Ok(Self { name: name.to_owned(), email: email.to_owned() })
    }
}

fn is_one_word(text: &str) -> bool {
    !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repo_is_an_https_address_and_nothing_that_git_reads_otherwise() {
        assert_eq!(PluginRepo::parse(" https://foo.com ").unwrap().as_str(), "https://foo.com");
        for bad in
            ["", "https://", "https:///x", "http://foo.com", "git@foo.com:x", "--upload-pack=x", "ext::sh"]
        {
            assert!(PluginRepo::parse(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(PluginRepo::parse("https://foo.com/a b").is_err());
        assert!(PluginRepo::parse(&format!("https://foo.com/{}", "x".repeat(REPO_LIMIT))).is_err());
    }

    #[test]
    fn an_owner_has_a_name_and_an_address() {
        let owner = PluginOwner::parse(" Trevor Linton ", "trevor@akkeris.com").unwrap();
        assert_eq!((owner.name.as_str(), owner.email.as_str()), ("Trevor Linton", "trevor@akkeris.com"));
        for (name, email) in [("", "a@b"), ("a\nb", "a@b"), ("a", ""), ("a", "b"), ("a", "@b"), ("a", "b@")] {
            assert!(PluginOwner::parse(name, email).is_err(), "{name:?} {email:?} was accepted");
        }
        assert!(PluginOwner::parse(&"x".repeat(OWNER_NAME_LIMIT + 1), "a@b").is_err());
        assert!(PluginOwner::parse("a", &format!("a@{}", "x".repeat(EMAIL_LIMIT))).is_err());
    }
}
