//! For which paths of an app a filter is in force.

use super::check_length;
use crate::model::route::RoutePath;
use crate::model::rule::RuleError;

/// Paths, each with all that lies below it. They are those that clients send, not those that a route makes of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PathScope {
    /// When there are any, only for these.
    pub includes: Vec<RoutePath>,
    /// Not for these.
    pub excludes: Vec<RoutePath>,
}

const PATHS: usize = 64;

impl PathScope {
    /// At most 64 paths each, in the spelling of [`RoutePath`].
    pub fn parse(includes: &[String], excludes: &[String]) -> Result<Self, RuleError> {
        let paths = |field: &str, texts: &[String]| {
            check_length(field, texts, PATHS)?;
            texts.iter().map(|text| RoutePath::parse(field, text)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { includes: paths("includes", includes)?, excludes: paths("excludes", excludes)? })
    }

    /// Whether it is all paths.
    pub fn is_everything(&self) -> bool {
        self.includes.is_empty() && self.excludes.is_empty()
    }
}
