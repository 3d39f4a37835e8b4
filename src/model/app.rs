//! Apps.

use super::compliance::Compliance;
use super::ids::{AppId, OrganizationId, PreviewId, SpaceId};
use super::names::{AppKey, AppName, OrganizationName, SpaceName};
use super::rule::RuleError;
use super::time::Timestamp;

/// An app with the names of what it belongs to, as every answer shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    pub id: AppId,
    pub name: AppName,
    pub space: AppSpace,
    pub organization: AppOrganization,
    /// Set when the app was made for a pull request of another.
    pub preview: Option<PreviewId>,
    pub description: String,
    pub labels: String,
    /// The edge answers with the maintenance page; dynos keep running (reading 17).
    pub maintenance: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// When the last release succeeded; `None` before the first.
    pub released_at: Option<Timestamp>,
}

/// The space of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppSpace {
    pub id: SpaceId,
    pub name: SpaceName,
    pub compliance: Compliance,
    /// Name of the stack in the catalogue.
    pub stack: String,
}

/// The organization of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppOrganization {
    pub id: OrganizationId,
    pub name: OrganizationName,
}

impl App {
    /// `name-space`.
    pub fn key(&self) -> AppKey {
        AppKey::of(&self.name, &self.space.name)
    }
}

const DESCRIPTION_LIMIT: usize = 1024;
const LABELS_LIMIT: usize = 1024;

/// Bounds a free text of an app, space or organization.
pub fn check_description(text: &str) -> Result<(), RuleError> {
    check_length("description", text, DESCRIPTION_LIMIT)
}

/// Bounds the comma-separated labels of an app.
pub fn check_labels(text: &str) -> Result<(), RuleError> {
    check_length("labels", text, LABELS_LIMIT)
}

fn check_length(field: &str, text: &str, limit: usize) -> Result<(), RuleError> {
    let length = text.chars().count();
    if length > limit {
        return Err(RuleError::new(format!(
            "The {field} has {length} characters; at most {limit} are kept."
        )));
    }
    Ok(())
}
