//! The type `jwt`: requests need a token that an issuer has signed.

use super::{check_header_text, check_length};
use crate::model::rule::{RuleError, shown};

/// Whose tokens are good.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JwtOptions {
    pub jwks_uri: JwksUri,
    /// What the claim `iss` must be.
    pub issuer: String,
    /// One of these must be in the claim `aud`; when there are none the claim is not looked at.
    pub audiences: Vec<String>,
}

/// Where the public keys of an issuer are: an `https://` or `http://` address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct JwksUri(String);

const TEXT_LIMIT: usize = 1024;
const AUDIENCES: usize = 32;

impl JwtOptions {
    /// Checks the parts; empty audiences are left out.
    pub fn new(jwks_uri: &str, issuer: &str, audiences: &[String]) -> Result<Self, RuleError> {
        check_header_text("issuer", issuer, TEXT_LIMIT)?;
        let audiences: Vec<String> =
            audiences.iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect();
        check_length("audiences", &audiences, AUDIENCES)?;
        for audience in &audiences {
            check_header_text("audience", audience, TEXT_LIMIT)?;
        }
        Ok(Self { jwks_uri: JwksUri::parse(jwks_uri)?, issuer: issuer.to_owned(), audiences })
    }
}

impl JwksUri {
    /// `http://` or `https://`, a host, and up to 1024 characters in all. No user info: whoever reads the filter
    /// would read it too.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let uri = text.trim();
        let rest = uri.strip_prefix("https://").or_else(|| uri.strip_prefix("http://"));
        let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
        let begins = authority.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '[');
        let visible = uri.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
        if !begins || authority.contains('@') || uri.len() > TEXT_LIMIT || !visible {
            return Err(RuleError::new(format!(
                "The jwks_uri \"{}\" is not usable: give an address such as https://issuer.example.com/.well-known/jwks.json.",
                shown(text)
            )));
        }
        Ok(Self(uri.to_owned()))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
