//! The type `basic-auth`: requests need the name and password of one of its users (RFC 7617).
//!
//! Invariant: no password is kept, only a keyed hash of it. The hash is a fast one on purpose: it is paid with each
//! request, also by the wrong ones, so that a slow hash would let anyone use up the processors. What a slow hash
//! protects against, a stolen database, is answered by sealing the options at rest.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{check_header_text, check_length};
use crate::model::rule::{RuleError, shown};

/// Who may come.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BasicAuthOptions {
    /// What browsers show when they ask.
    pub realm: String,
    /// At least one, each name once.
    pub users: Vec<Credential>,
}

/// A user, and how a password is told to be the right one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Credential {
    pub name: String,
    /// `None` only in a change, where the password stays as it is.
    pub password: Option<PasswordDigest>,
}

/// HMAC-SHA-256 of a password under a random key of its own.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PasswordDigest {
    key: [u8; 16],
    digest: [u8; 32],
}

const USERS: usize = 256;
const NAME_LIMIT: usize = 128;
const PASSWORD_LIMIT: usize = 256;
const REALM: &str = "Restricted";

impl BasicAuthOptions {
    /// Checks the parts; the realm is `Restricted` when absent.
    pub fn new(realm: Option<&str>, users: Vec<Credential>) -> Result<Self, RuleError> {
        let realm = realm.unwrap_or(REALM);
        check_header_text("realm", realm, NAME_LIMIT)?;
        if realm.contains(['"', '\\']) {
            return Err(RuleError::new("The realm is not usable: leave out quotes and backslashes."));
        }
        if users.is_empty() {
            return Err(RuleError::new(
                "The list users is empty: give at least one, with name and password.",
            ));
        }
        check_length("users", &users, USERS)?;
        for (place, user) in users.iter().enumerate() {
            if users.iter().take(place).any(|other| other.name == user.name) {
                return Err(RuleError::new(format!("The user \"{}\" is there twice.", shown(&user.name))));
            }
        }
        Ok(Self { realm: realm.to_owned(), users })
    }

    pub(super) fn keep_passwords(&mut self, old: &Self) {
        for user in self.users.iter_mut().filter(|user| user.password.is_none()) {
            let known = old.users.iter().find(|known| known.name == user.name);
            user.password = known.and_then(|known| known.password.clone());
        }
    }

    pub(super) fn check_complete(&self) -> Result<(), RuleError> {
        match self.users.iter().find(|user| user.password.is_none()) {
            None => Ok(()),
            Some(user) => Err(RuleError::new(format!(
                "The user \"{}\" has no password: give one of 1 to {PASSWORD_LIMIT} characters.",
                shown(&user.name)
            ))),
        }
    }
}

impl Credential {
    /// A user; `key` is 16 random bytes.
    pub fn new(name: &str, password: Option<&str>, key: [u8; 16]) -> Result<Self, RuleError> {
        check_header_text("user name", name, NAME_LIMIT)?;
        if name.contains(':') {
            return Err(RuleError::new(format!(
                "The user name \"{}\" is not usable: it may hold no colon.",
                shown(name)
            )));
        }
        if password.is_some_and(|password| password.is_empty() || password.len() > PASSWORD_LIMIT) {
            return Err(RuleError::new(format!(
                "The password of the user \"{}\" is not usable: give 1 to {PASSWORD_LIMIT} characters.",
                shown(name)
            )));
        }
        let password = password.map(|password| PasswordDigest::of(password.as_bytes(), key));
        Ok(Self { name: name.to_owned(), password })
    }
}

impl PasswordDigest {
    /// The digest of a password under a key.
    pub fn of(password: &[u8], key: [u8; 16]) -> Self {
        let digest = mac(&key, password).map_or([0; 32], |mac| mac.finalize().into_bytes().into());
        Self { key, digest }
    }

    /// Whether it is that password, in a time that does not tell.
    pub fn is_of(&self, password: &[u8]) -> bool {
        mac(&self.key, password).is_some_and(|mac| mac.verify_slice(&self.digest).is_ok())
    }
}

impl std::fmt::Debug for PasswordDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[sealed]")
    }
}

fn mac(key: &[u8], text: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text);
    Some(mac)
}
