//! Addons at their providers: what was asked for is a row, and is carried on from there.
//!
//! Invariant: a provider is asked for nothing that is not journalled, so that nothing half-made is forgotten when the
//! daemon dies.

mod actions;
pub mod backups;
pub mod broker;
pub mod instances;
mod provider;
mod providers;
mod securekey;
mod settle;
mod worker;

pub use self::actions::Addons;
pub use self::provider::{
    Acted, Action, Changed, Outcome, Provider, ProviderError, Provisioned, Removed, Rework, Work, Working,
};
pub use self::providers::{Offer, Providers};
pub use self::securekey::Securekey;
pub use self::worker::{AddonParts, start};
