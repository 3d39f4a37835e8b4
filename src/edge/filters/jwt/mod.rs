//! The type `jwt`: a bearer token in each request (RFC 6750), signed by a key of the issuer's set.
//!
//! Invariant: a token passes only after its signature was checked under a key of the present set, and only until it
//! expires. The result is remembered, at most for 2,048 tokens of a filter, because a check costs some ten times as
//! much as the rest of a request; the memory of a set ends with it.

mod keys;
mod token;

pub use self::keys::{KeyFeed, KeySet, Keys, KeysError};

use std::sync::{Arc, Mutex, PoisonError};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use self::token::TokenError;
use super::Refusal;
use super::recent::Recent;
use crate::model::filter::JwtOptions;
use crate::model::time::Timestamp;

/// Tokens that are remembered for certain; as many more may be.
const REMEMBERED: usize = 1024;
/// Seconds by which the clocks of an issuer and this machine may differ.
const LEEWAY: f64 = 60.0;

#[derive(Debug)]
pub(super) struct Jwt {
    options: JwtOptions,
    keys: Arc<KeySet>,
    verified: Mutex<Recent<[u8; 32], Verified>>,
}

/// What is remembered of a good token.
#[derive(Debug, Clone, Copy)]
struct Verified {
    /// Seconds since 1970.
    expires: f64,
    /// Under which set of keys.
    keys: u64,
}

impl Jwt {
    pub(super) fn new(options: &JwtOptions, keys: Arc<KeySet>) -> Self {
        Self { options: options.clone(), keys, verified: Mutex::new(Recent::new(REMEMBERED)) }
    }

    pub(super) fn is_for(&self, options: &JwtOptions) -> bool {
        self.options == *options
    }

    pub(super) fn check(&self, headers: &HeaderMap, now: Timestamp) -> Result<(), Refusal> {
        let Some(token) = bearer(headers) else {
            return Err(Refusal::Unauthorized { challenge: HeaderValue::from_static("Bearer") });
        };
        let keys = self.keys.load().ok_or(Refusal::NoKeys)?;
        let (digest, now) = (Sha256::digest(token.as_bytes()).into(), seconds(now));
        if self.remembers(digest, &keys, now) {
            return Ok(());
        }
        match token::verify(token, &keys, &self.options, now) {
            Ok(expires) => {
                let verified = Verified { expires, keys: keys.id() };
                self.verified.lock().unwrap_or_else(PoisonError::into_inner).put(digest, verified);
                Ok(())
            }
            Err(error) => {
                if error == TokenError::UnknownKey {
                    self.keys.want();
                }
                Err(Refusal::Unauthorized { challenge: error.challenge() })
            }
        }
    }

    fn remembers(&self, digest: [u8; 32], keys: &Keys, now: f64) -> bool {
        let found = self.verified.lock().unwrap_or_else(PoisonError::into_inner).get(digest);
        found.is_some_and(|found| found.keys == keys.id() && now < found.expires + LEEWAY)
    }
}

/// The one token of a request; two are none.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[expect(clippy::cast_precision_loss, reason = "a double tells milliseconds of the next 200,000 years")]
fn seconds(time: Timestamp) -> f64 {
    time.as_millis() as f64 / 1000.0
}

#[cfg(test)]
mod tests;
