//! One token: its parts, its signature and its claims (RFC 7515, RFC 7519).
//!
//! Invariant: which algorithm is checked is decided by the key, never by the token: a token whose header asks for
//! another one than its key is for is refused. `none` and the symmetric algorithms are none of ours.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderValue;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::LEEWAY;
use super::keys::{Algorithm, Keys};
use crate::model::filter::JwtOptions;

/// A longer token is refused.
const TOKEN_LIMIT: usize = 16 * 1024;

/// What is wrong with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenError {
    Malformed,
    Algorithm,
    UnknownKey,
    Signature,
    Expired,
    NotYetValid,
    Issuer,
    Audience,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that must be understood; none is.
    crit: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Option<String>,
    aud: Option<Audience>,
    exp: Option<f64>,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Checks a token; tells when it expires, in seconds since 1970. One without that claim is refused: it would be good
/// for ever.
pub(super) fn verify(token: &str, keys: &Keys, options: &JwtOptions, now: f64) -> Result<f64, TokenError> {
    if token.len() > TOKEN_LIMIT {
        return Err(TokenError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    let header: Header = decoded(header)?;
    if header.crit.is_some() {
        return Err(TokenError::Malformed);
    }
    let algorithm = Algorithm::parse(&header.alg).ok_or(TokenError::Algorithm)?;
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenError::Malformed)?;
    check_signature((signed.as_bytes(), &signature), keys, header.kid.as_deref(), algorithm)?;
    decoded::<Claims>(claims)?.check(options, now)
}

/// A token that names its key is checked under keys of that name; one that does not under those that fit.
fn check_signature(
    (signed, signature): (&[u8], &[u8]),
    keys: &Keys,
    kid: Option<&str>,
    algorithm: Algorithm,
) -> Result<(), TokenError> {
    let mut named = keys.named(kid).peekable();
    if named.peek().is_none() {
        return Err(TokenError::UnknownKey);
    }
    let mut fitting = named.filter(|key| key.is_for(algorithm)).peekable();
    if fitting.peek().is_none() {
        return Err(TokenError::Algorithm);
    }
    if fitting.any(|key| key.verifies(algorithm, signed, signature)) {
        return Ok(());
    }
    // Without a name it could be a key that is not in the set yet.
    Err(if kid.is_none() { TokenError::UnknownKey } else { TokenError::Signature })
}

fn decoded<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenError> {
    let json = BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)
}

impl Claims {
    fn check(&self, options: &JwtOptions, now: f64) -> Result<f64, TokenError> {
        let expires = self.exp.ok_or(TokenError::Expired)?;
        if now >= expires + LEEWAY {
            return Err(TokenError::Expired);
        }
        if self.nbf.is_some_and(|begins| now < begins - LEEWAY) {
            return Err(TokenError::NotYetValid);
        }
        if self.iss.as_ref() != Some(&options.issuer) {
            return Err(TokenError::Issuer);
        }
        let told = match &self.aud {
            None => &[],
            Some(Audience::One(one)) => std::slice::from_ref(one),
            Some(Audience::Several(several)) => several.as_slice(),
        };
        if !options.audiences.is_empty() && !told.iter().any(|told| options.audiences.contains(told)) {
            return Err(TokenError::Audience);
        }
        Ok(expires)
    }
}

impl TokenError {
    /// What the client is told (RFC 6750 §3).
    pub(super) fn challenge(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Malformed => r#"Bearer error="invalid_token", error_description="The token is malformed""#,
            Self::Algorithm => {
                r#"Bearer error="invalid_token", error_description="The algorithm is not that of the key""#
            }
            Self::UnknownKey => {
                r#"Bearer error="invalid_token", error_description="The key is not one of the issuer's""#
            }
            Self::Signature => r#"Bearer error="invalid_token", error_description="The signature is wrong""#,
            Self::Expired => {
                r#"Bearer error="invalid_token", error_description="The token has expired or never does""#
            }
            Self::NotYetValid => {
                r#"Bearer error="invalid_token", error_description="The token is not valid yet""#
            }
            Self::Issuer => r#"Bearer error="invalid_token", error_description="The issuer is another one""#,
            Self::Audience => {
                r#"Bearer error="invalid_token", error_description="The token is for another audience""#
            }
        })
    }
}
