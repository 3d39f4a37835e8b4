//! Who asks.

use super::names::UserName;

/// The authenticated author of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    pub user: UserName,
    pub access: Access,
}

/// How far a principal's rights go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Everything but what the specification reserves.
    Ordinary,
    /// Also deletions and builds in `socs` and `prod` spaces, and changes of the platform itself.
    Elevated,
}

impl Principal {
    /// Whether the principal may do what the specification reserves for administrators.
    pub fn is_elevated(&self) -> bool {
        self.access == Access::Elevated
    }

    /// The daemon itself, as the author of what it does on its own.
    pub fn daemon() -> Self {
        Self { user: UserName::from_stored("akkeris".to_owned()), access: Access::Elevated }
    }
}
