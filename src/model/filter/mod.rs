//! Filters: what the edge asks of the requests of an app, and adds to its answers (`behaviour.md` §32).
//!
//! Invariant: options are checked when they are made; the edge takes them as they are.

mod basic_auth;
mod cors;
mod csp;
mod ip;
mod jwt;
mod rate_limit;
mod scope;

pub use basic_auth::{BasicAuthOptions, Credential, PasswordDigest};
pub use cors::{CorsOptions, NewCors, OriginPattern};
pub use csp::{CspOptions, feature_policy};
pub use ip::IpOptions;
pub use jwt::{JwksUri, JwtOptions};
pub use rate_limit::RateLimitOptions;
pub use scope::PathScope;

use super::ids::{FilterAttachmentId, FilterId, OrganizationId};
use super::names::OrganizationName;
use super::pipeline::AppReference;
use super::rule::{RuleError, shown};
use super::time::Timestamp;

/// A filter, which any number of apps can have attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    pub id: FilterId,
    pub name: FilterName,
    pub organization: FilterOrganization,
    pub description: String,
    pub options: FilterOptions,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The organization whose members see a filter and attach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterOrganization {
    pub id: OrganizationId,
    pub name: OrganizationName,
}

/// A filter in force for an app. An app has at most one of each type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterAttachment {
    pub id: FilterAttachmentId,
    pub app: AppReference,
    pub filter: Filter,
    pub scope: PathScope,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a filter does. Its type never changes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum FilterOptions {
    Jwt(JwtOptions),
    Cors(CorsOptions),
    Csp(CspOptions),
    BasicAuth(BasicAuthOptions),
    Ip(IpOptions),
    RateLimit(RateLimitOptions),
}

crate::text_enum! {
    /// The type of a filter. The first three are those of the reference.
    pub enum FilterType {
        Jwt => "jwt",
        Cors => "cors",
        Csp => "csp",
        BasicAuth => "basic-auth",
        Ip => "ip",
        RateLimit => "rate-limit",
    }
}

/// The name of a filter: letters, digits, `-`, `_` and `.`, unlike a UUID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FilterName(String);

const NAME_LIMIT: usize = 128;

impl FilterName {
    /// Up to 128 characters; trimmed and lower-cased.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let name = text.trim().to_ascii_lowercase();
        let charset = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        let dots = name.bytes().all(|b| b == b'.');
        if dots || name.len() > NAME_LIMIT || !charset || uuid::Uuid::try_parse(&name).is_ok() {
            return Err(RuleError::new(format!(
                "The filter name \"{}\" is not usable: use up to {NAME_LIMIT} letters, digits and - _ . and no UUID.",
                shown(text)
            )));
        }
        Ok(Self(name))
    }

    /// Takes a name that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for FilterName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl FilterOptions {
    /// The type.
    pub fn filter_type(&self) -> FilterType {
        match self {
            Self::Jwt(_) => FilterType::Jwt,
            Self::Cors(_) => FilterType::Cors,
            Self::Csp(_) => FilterType::Csp,
            Self::BasicAuth(_) => FilterType::BasicAuth,
            Self::Ip(_) => FilterType::Ip,
            Self::RateLimit(_) => FilterType::RateLimit,
        }
    }

    /// Takes the place of the present options, which must be of the same type; a password that is not given anew
    /// stays as it was.
    pub fn replacing(mut self, present: &Self) -> Result<Self, RuleError> {
        let (new, old) = (self.filter_type(), present.filter_type());
        if new != old {
            return Err(RuleError::new(format!(
                "The type of a filter stays what it is, and this one's is {old}; create another filter of the type {new}."
            )));
        }
        if let (Self::BasicAuth(new), Self::BasicAuth(old)) = (&mut self, present) {
            new.keep_passwords(old);
        }
        self.check_complete()?;
        Ok(self)
    }

    /// Refuses what lacks a part that only a change may leave out.
    pub fn check_complete(&self) -> Result<(), RuleError> {
        match self {
            Self::BasicAuth(options) => options.check_complete(),
            Self::Jwt(_) | Self::Cors(_) | Self::Csp(_) | Self::Ip(_) | Self::RateLimit(_) => Ok(()),
        }
    }
}

/// A text that fits a header: printable ASCII, not empty.
fn check_header_text(field: &str, text: &str, limit: usize) -> Result<(), RuleError> {
    let printable = text.bytes().all(|b| (b' '..=b'~').contains(&b));
    if text.trim().is_empty() || text.len() > limit || !printable {
        return Err(RuleError::new(format!(
            "The {field} \"{}\" is not usable: give up to {limit} printable ASCII characters.",
            shown(text)
        )));
    }
    Ok(())
}

/// Refuses a list with too many items.
fn check_length<T>(field: &str, items: &[T], limit: usize) -> Result<(), RuleError> {
    if items.len() > limit {
        return Err(RuleError::new(format!(
            "The list {field} has {} items: give at most {limit}.",
            items.len()
        )));
    }
    Ok(())
}

/// Whether a text is a token of RFC 9110 §5.6.2: a method or the name of a header.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests;
