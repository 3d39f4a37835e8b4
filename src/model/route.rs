//! Routes: which paths of a site lead to which paths of an app (`behaviour.md` §27).
//!
//! Invariant: a path has one spelling: it begins with a slash, has no empty and no dot segment, and ends with a
//! slash only when it is one.

use super::ids::{PreviewId, RouteId, SiteId};
use super::pipeline::AppReference;
use super::rule::{RuleError, shown};
use super::site::SiteDomain;
use super::time::Timestamp;

/// A route, with the names that every answer shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub id: RouteId,
    pub site: RouteSite,
    pub app: AppReference,
    /// A path of the site. No two routes of a site have the same.
    pub source: RoutePath,
    /// The path of the app that takes its place.
    pub target: RoutePath,
    /// The app has no release yet: until then requests find a shorter path, or none.
    pub pending: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The site of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSite {
    pub id: SiteId,
    pub domain: SiteDomain,
    /// Set when the site was made with a preview.
    pub preview: Option<PreviewId>,
}

/// A path of a site or of an app; case counts (reading 27).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RoutePath(String);

const PATH_LIMIT: usize = 1024;

impl RoutePath {
    /// A slash and segments of letters, digits, `_`, `.` and `-`, up to 1024 characters. Slashes at the end are
    /// dropped. `field` is how the client named it.
    pub fn parse(field: &str, text: &str) -> Result<Self, RuleError> {
        let refused = |why: &str| {
            Err(RuleError::new(format!(
                "The {field} \"{}\" is not usable: {why}, for example /api.",
                shown(text)
            )))
        };
        let charset = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_/.-".contains(&b));
        if !text.starts_with('/') || !charset {
            return refused("begin with a slash and use letters, digits and _ . - /");
        }
        if text.len() > PATH_LIMIT {
            return refused(&format!("use at most {PATH_LIMIT} characters"));
        }
        let path = text.trim_end_matches('/');
        if path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
            return refused("leave no segment empty and use neither . nor .. as one");
        }
        Ok(Self(if path.is_empty() { "/".to_owned() } else { path.to_owned() }))
    }

    /// The path of everything.
    pub fn root() -> Self {
        Self("/".to_owned())
    }

    /// Takes a path that was checked when it was stored.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The path as shown: `/` or `/a/b`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What paths below it begin with, before a slash: nothing, or `/a/b`.
    pub fn prefix(&self) -> &str {
        self.0.strip_suffix('/').unwrap_or(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        let path = |text| RoutePath::parse("source_path", text).unwrap();
        for (text, kept) in
            [("/", "/"), ("//", "/"), ("/x/", "/x"), ("/x//", "/x"), ("/a.b/C_d-1", "/a.b/C_d-1")]
        {
            assert_eq!(path(text).as_str(), kept);
        }
        assert_eq!((path("/").prefix(), path("/x/").prefix()), ("", "/x"));
        assert_eq!(path("/"), RoutePath::root());
        for bad in
            ["", "x", "/a//b", "/.", "/a/../b", "/..", "/a b", "/%2e", "/ä", "/a?b", "/a#", "/a;b", "/a\\b"]
        {
            assert!(RoutePath::parse("source_path", bad).is_err(), "{bad:?} was accepted");
        }
        assert!(RoutePath::parse("source_path", &format!("/{}", "x".repeat(PATH_LIMIT))).is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_as_it_is(text in "/[a-c./_-]{0,12}") {
            if let Ok(path) = RoutePath::parse("source_path", &text) {
                prop_assert!(!path.as_str().contains("//") && !path.prefix().ends_with('/'));
                prop_assert_eq!(RoutePath::parse("source_path", path.as_str()).unwrap(), path);
            }
        }
    }
}
