//! The type `cors`: which other sites may read an app's answers (the Fetch standard, §3.2).

use super::{check_length, is_token};
use crate::model::rule::{RuleError, shown};

/// What browsers are told of the app.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CorsOptions {
    /// At least one.
    pub allow_origin: Vec<OriginPattern>,
    /// Upper case.
    pub allow_methods: Vec<String>,
    pub allow_headers: Vec<String>,
    pub expose_headers: Vec<String>,
    /// Seconds for which a browser may keep the answer to a preflight.
    pub max_age: u32,
    pub allow_credentials: bool,
}

/// The parts of the options as a client wrote them.
#[derive(Debug, Clone, Default)]
pub struct NewCors {
    pub allow_origin: Vec<String>,
    pub allow_methods: Vec<String>,
    pub allow_headers: Vec<String>,
    pub expose_headers: Vec<String>,
    /// A day when absent.
    pub max_age: Option<u32>,
    pub allow_credentials: bool,
}

/// `*`, or a host with or without scheme and port; a first label `*` stands for any labels.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct OriginPattern(String);

const ITEMS: usize = 64;
const TEXT_LIMIT: usize = 256;
const DAY: u32 = 86_400;

impl CorsOptions {
    /// Checks the parts (`behaviour.md` §32).
    pub fn new(new: NewCors) -> Result<Self, RuleError> {
        if new.allow_origin.is_empty() {
            return Err(RuleError::new(
                "The list allow_origin is empty: give at least one origin, such as https://example.com.",
            ));
        }
        check_length("allow_origin", &new.allow_origin, ITEMS)?;
        let origins: Result<Vec<_>, _> =
            new.allow_origin.iter().map(|text| OriginPattern::parse(text)).collect();
        let allow_origin = origins?;
        if new.allow_credentials && allow_origin.iter().any(OriginPattern::is_any) {
            return Err(RuleError::new(
                "The origin * cannot go with allow_credentials: any site could act in the name of a visitor. Name the origins.",
            ));
        }
        let max_age = new.max_age.unwrap_or(DAY);
        if max_age == 0 {
            return Err(RuleError::new("The max_age 0 is not usable: give a number of seconds above 0."));
        }
        let methods = tokens("allow_methods", new.allow_methods)?;
        Ok(Self {
            allow_origin,
            allow_methods: methods.iter().map(|method| method.to_ascii_uppercase()).collect(),
            allow_headers: tokens("allow_headers", new.allow_headers)?,
            expose_headers: tokens("expose_headers", new.expose_headers)?,
            max_age,
            allow_credentials: new.allow_credentials,
        })
    }
}

impl OriginPattern {
    /// No path, no user info, no regular expression.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let pattern = text.trim().to_ascii_lowercase();
        if pattern == "*" || is_origin(&pattern) {
            return Ok(Self(pattern));
        }
        Err(RuleError::new(format!(
            "The origin \"{}\" is not usable: give *, or a host with or without scheme and port, such as https://*.example.com.",
            shown(text)
        )))
    }

    /// Whether it stands for every origin.
    pub fn is_any(&self) -> bool {
        self.0 == "*"
    }

    /// The pattern, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the header `Origin` names such an origin. A pattern without a scheme is for `http` and `https`; one
    /// without a port is for the port that a browser does not tell.
    pub fn matches(&self, origin: &str) -> bool {
        if self.is_any() {
            return true;
        }
        let Some((scheme, host)) = origin.split_once("://") else { return false };
        let (wanted, pattern) = match self.0.split_once("://") {
            Some((wanted, pattern)) => (Some(wanted), pattern),
            None => (None, self.0.as_str()),
        };
        let scheme_fits = match wanted {
            Some(wanted) => scheme.eq_ignore_ascii_case(wanted),
            None => scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"),
        };
        let host_fits = || match pattern.strip_prefix('*') {
            // What the star stands for is labels, so the rest begins with a full stop.
            Some(rest) => host.to_ascii_lowercase().strip_suffix(rest).is_some_and(are_labels),
            None => host.eq_ignore_ascii_case(pattern),
        };
        scheme_fits && host_fits()
    }
}

fn is_origin(pattern: &str) -> bool {
    let (scheme, rest) = match pattern.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, pattern),
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    };
    let port_fits = |port: &str| port.parse::<u16>().is_ok_and(|number| number > 0 && !port.starts_with('+'));
    scheme.is_none_or(|scheme| matches!(scheme, "http" | "https"))
        && port.is_none_or(port_fits)
        && pattern.len() <= TEXT_LIMIT
        && are_labels(host.strip_prefix("*.").unwrap_or(host))
}

fn are_labels(host: &str) -> bool {
    host.split('.').all(|label| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    })
}

fn tokens(field: &str, items: Vec<String>) -> Result<Vec<String>, RuleError> {
    check_length(field, &items, ITEMS)?;
    for item in &items {
        if !is_token(item) || item.len() > TEXT_LIMIT {
            return Err(RuleError::new(format!(
                "\"{}\" in {field} is not usable: give names without spaces and commas.",
                shown(item)
            )));
        }
    }
    Ok(items)
}
