//! Who asks, and how far that one's rights go.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ids::{AccountId, GrantId, OrganizationId};
use super::names::UserName;

/// The authenticated author of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub user: UserName,
    pub access: Access,
    pub reach: Reach,
    /// The grant by which an application acts for the user; `None` when the user acts.
    pub grant: Option<GrantId>,
}

/// Whether a principal may do what the specification reserves for administrators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Everything but what the specification reserves.
    Ordinary,
    /// Also deletions and builds in `socs` and `prod` spaces, and changes of the platform itself.
    Elevated,
}

/// Whose apps a principal acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Those of every organization.
    Everything,
    /// Those of the organizations that the account is a member of.
    Organizations(Arc<Memberships>),
}

/// The organizations that an account is a member of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memberships {
    pub account: AccountId,
    pub organizations: BTreeSet<OrganizationId>,
    /// Whether a token narrows them down, so that what the account did elsewhere is out of reach too.
    pub narrowed: bool,
}

impl Reach {
    /// Whether apps of that organization are within reach.
    pub fn includes(&self, organization: OrganizationId) -> bool {
        match self {
            Self::Everything => true,
            Self::Organizations(own) => own.organizations.contains(&organization),
        }
    }

    /// The memberships that limit the reach.
    pub fn memberships(&self) -> Option<&Arc<Memberships>> {
        match self {
            Self::Everything => None,
            Self::Organizations(own) => Some(own),
        }
    }
}

impl Principal {
    /// Someone with access to everything that is not reserved.
    pub fn ordinary(user: UserName) -> Self {
        Self { user, access: Access::Ordinary, reach: Reach::Everything, grant: None }
    }

    /// Someone who may do everything.
    pub fn elevated(user: UserName) -> Self {
        Self { access: Access::Elevated, ..Self::ordinary(user) }
    }

    /// The daemon itself, as the author of what it does on its own.
    pub fn daemon() -> Self {
        Self::elevated(UserName::from_stored("akkeris".to_owned()))
    }

    /// Whether the principal may do what the specification reserves for administrators.
    pub fn is_elevated(&self) -> bool {
        self.access == Access::Elevated
    }
}
