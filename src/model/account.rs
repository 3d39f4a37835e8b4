//! Accounts: the people who use this installation, and what they may reach.

use super::ids::{AccountId, OrganizationId};
use super::names::UserName;
use super::rule::{RuleError, shown};
use super::time::Timestamp;

/// Shortest password, in characters (NIST SP 800-63B §5.1.1.1).
pub const SHORTEST_PASSWORD: usize = 8;
/// Longest password, in bytes.
pub const LONGEST_PASSWORD: usize = 256;
const LONGEST_EMAIL: usize = 254;

/// A person's account, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: AccountId,
    pub name: UserName,
    pub email: Email,
    pub role: Role,
    /// Whether a password was set: without one nobody logs in, and tokens work all the same.
    pub has_password: bool,
    /// Whether a login also needs a one-time code.
    pub two_factor: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub last_login_at: Option<Timestamp>,
    /// Since when nothing is accepted from it.
    pub suspended_at: Option<Timestamp>,
}

crate::text_enum! {
    /// How far an account's rights go.
    pub enum Role {
        /// Administers the installation: elevated, in every organization.
        Owner => "owner",
        /// Acts in the organizations that it is a member of.
        Member => "member",
    }
}

/// A member of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationMember {
    pub organization: OrganizationId,
    pub account: AccountId,
    pub name: UserName,
    pub role: MemberRole,
    pub created_at: Timestamp,
}

crate::text_enum! {
    /// What a member may do with an organization itself.
    pub enum MemberRole {
        /// May add and remove members.
        Admin => "admin",
        /// Acts on the organization's apps.
        Member => "member",
    }
}

/// An e-mail address; `""` when none was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// `""`, or something before and after one `@`, up to 254 visible characters.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let text = text.trim();
        let visible =
            text.len() <= LONGEST_EMAIL && !text.chars().any(|c| c.is_whitespace() || c.is_control());
        let split = text
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
        if text.is_empty() || (visible && split) {
            return Ok(Self(text.to_owned()));
        }
        Err(RuleError::new(format!(
            "The e-mail address \"{}\" is not usable: it has the form name@example.com.",
            shown(text)
        )))
    }

    /// Takes an address that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The address itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Refuses a password that is too short to be one, or longer than anybody types. The text does not repeat it.
pub fn check_password(password: &str) -> Result<(), RuleError> {
    if password.chars().count() < SHORTEST_PASSWORD || password.len() > LONGEST_PASSWORD {
        return Err(RuleError::new(format!(
            "The new password is not usable: use {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters."
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_address_has_two_sides_or_is_absent() {
        for good in ["", "a@b", " bob@example.com "] {
            assert!(Email::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["bob", "@b", "a@", "a@b@c", "a b@c", "a@b\nc", &format!("a@{}", "b".repeat(253))] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_password_is_bounded_and_never_repeated() {
        assert!(check_password("12345678").is_ok());
        assert!(check_password("ääääääää").is_ok());
        for bad in ["", "1234567", &"x".repeat(257)] {
            let text = check_password(bad).unwrap_err().to_string();
            assert!(bad.is_empty() || !text.contains(bad), "{text}");
        }
    }
}
