//! API tokens. Only a hash is ever stored (reading 4).

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::ids::{GrantId, TokenId};
use super::names::UserName;
use super::rule::{RuleError, parse_word, shown};
use super::time::Timestamp;

const LONGEST_NOTE: usize = 255;

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: TokenId,
    pub name: TokenName,
    pub kind: TokenKind,
    /// The user that the token acts as.
    pub user: UserName,
    pub scope: Scope,
    /// What its owner wrote about it; `""` when nothing.
    pub note: Note,
    /// The grant by which an application holds it; `None` for the user's own.
    pub grant: Option<GrantId>,
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

crate::text_enum! {
    /// What a token may do.
    pub enum TokenKind {
        /// Acts as its user.
        Personal => "personal",
        /// May act for another user with `x-username` and `x-elevated-access`.
        Service => "service",
        /// Acts as its user with elevated access.
        Admin => "admin",
    }
}

crate::text_enum! {
    /// What the requests of a token may do.
    pub enum Scope {
        /// All that its user may.
        Global => "global",
        /// Read only.
        Read => "read",
    }
}

/// What a person writes about a token: up to 255 characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note(String);

impl Note {
    /// Up to 255 characters without control characters.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text.chars().count() > LONGEST_NOTE || text.chars().any(char::is_control) {
            return Err(RuleError::new(format!(
                "The note \"{}\" is not usable: use up to {LONGEST_NOTE} characters in one line.",
                shown(text)
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes a note that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Scope {
    /// The scope that a client asks for in OAuth's way: `read` alone limits; `global` wins over it. The
    /// scopes that `aka` asks for at its login (`aka-client.md` §3) limit nothing.
    pub fn parse_all<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, RuleError> {
        const OF_AKA: [&str; 2] = ["read:user", "read:org"];
        let mut asked = Vec::new();
        for text in texts {
            asked.push(if OF_AKA.contains(&text) { Self::Global } else { parse_word("scope", text)? });
        }
        let limited = asked.contains(&Self::Read) && !asked.contains(&Self::Global);
        Ok(if limited { Self::Read } else { Self::Global })
    }
}

/// What a person calls a token: 1 to 64 visible ASCII characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenName(String);

impl TokenName {
    /// 1 to 64 visible ASCII characters without spaces.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text.is_empty() || text.len() > 64 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(RuleError::new(format!(
                "The token name \"{}\" is not usable: use up to 64 visible characters without spaces.",
                shown(text)
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes a name that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// SHA-256 of a token's secret. The secret is 256 random bits, so a fast hash is enough. Comparing two takes
/// the same time wherever they differ.
#[derive(Debug, Clone)]
pub struct TokenHash([u8; 32]);

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl TokenHash {
    /// The hash of a secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Takes a hash as it was stored.
    pub fn from_stored(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes to store and look up.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_read_alone_limits_a_token() {
        let scope = |texts: &[&str]| Scope::parse_all(texts.iter().copied());
        assert_eq!(scope(&[]), Ok(Scope::Global));
        assert_eq!(scope(&["read"]), Ok(Scope::Read));
        assert_eq!(scope(&["read", "global"]), Ok(Scope::Global));
        assert_eq!(scope(&["read:user", "read:org"]), Ok(Scope::Global), "what aka asks for");
        assert!(scope(&["read", "admin"]).is_err());
    }
}
