//! API tokens. Only a hash is ever stored (reading 4).

use sha2::{Digest, Sha256};

use super::ids::TokenId;
use super::names::UserName;
use super::rule::{RuleError, shown};
use super::time::Timestamp;

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub id: TokenId,
    pub name: TokenName,
    pub kind: TokenKind,
    /// The user that the token acts as.
    pub user: UserName,
    pub created_at: Timestamp,
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

/// SHA-256 of a token's secret. The secret is 256 random bits, so a fast hash is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a secret.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// The bytes to store and look up.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
