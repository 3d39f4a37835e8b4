//! `{id, name}` of a region or a stack, as it stands inside apps and spaces.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::model::catalogue::Catalogue;
use crate::model::ids::deterministic;

/// A region or a stack.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct PlaceView {
    id: Uuid,
    name: String,
}

impl PlaceView {
    /// The one region of this machine.
    pub(super) fn region(catalogue: &Catalogue) -> Self {
        Self { id: catalogue.region.id, name: catalogue.region.name.clone() }
    }

    /// A stack by the name that a space keeps; the operator may have renamed the catalogue's since.
    pub(super) fn stack(catalogue: &Catalogue, name: &str) -> Self {
        let known = catalogue.stack.name == name;
        let id = if known { catalogue.stack.id } else { deterministic(name) };
        Self { id, name: name.to_owned() }
    }
}
