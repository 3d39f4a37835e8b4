//! Organizations: who an app belongs to.

use super::ids::OrganizationId;
use super::names::OrganizationName;
use super::time::Timestamp;

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    pub id: OrganizationId,
    pub name: OrganizationName,
    pub description: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
