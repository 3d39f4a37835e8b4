//! Spaces: the network boundary that apps live in.

use super::compliance::Compliance;
use super::ids::SpaceId;
use super::names::SpaceName;
use super::time::Timestamp;

/// A space. Its apps share one network and reach each other by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    pub id: SpaceId,
    pub name: SpaceName,
    pub description: String,
    pub compliance: Compliance,
    /// Name of the stack in the catalogue.
    pub stack: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}
