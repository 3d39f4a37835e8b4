//! What a provider still has to do for an addon. Each row of it is written with the change that asks for it.
//!
//! Invariant: the jobs of one addon are done one after the other, in the order in which they were asked for; upkeep
//! waits for all others.

use super::addon::PlanReference;
use super::ids::{AddonAttachmentId, AddonId};
use super::time::Timestamp;

/// A piece of work at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddonJob {
    /// The order of the jobs.
    pub number: i64,
    pub addon: AddonId,
    pub work: AddonWork,
    /// What the provider calls the work that it does at present.
    pub operation: Option<String>,
    /// The provider has accepted the work and is asked how far it is.
    pub is_accepted: bool,
    /// How often it failed for a reason that may pass.
    pub attempts: u32,
    /// When it was first tried.
    pub begun_at: Option<Timestamp>,
    /// When it is tried next, or the provider is asked next.
    pub due_at: Timestamp,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddonWork {
    Provision,
    /// Give it this plan instead of the present one.
    ChangePlan(PlanReference),
    /// Get the variables for an app.
    Bind(AddonAttachmentId),
    /// Take them back.
    Unbind(AddonAttachmentId),
    /// Take the addon away, also what may be left of one that could not be made.
    Deprovision,
    /// What the plan promises to do from time to time.
    Upkeep,
}

crate::text_enum! {
    /// The kind of an [`AddonWork`].
    pub enum AddonWorkKind {
        Provision => "provision",
        ChangePlan => "change_plan",
        Bind => "bind",
        Unbind => "unbind",
        Deprovision => "deprovision",
        Upkeep => "upkeep",
    }
}

impl AddonWork {
    /// Its kind.
    pub fn kind(&self) -> AddonWorkKind {
        match self {
            Self::Provision => AddonWorkKind::Provision,
            Self::ChangePlan(_) => AddonWorkKind::ChangePlan,
            Self::Bind(_) => AddonWorkKind::Bind,
            Self::Unbind(_) => AddonWorkKind::Unbind,
            Self::Deprovision => AddonWorkKind::Deprovision,
            Self::Upkeep => AddonWorkKind::Upkeep,
        }
    }

    /// The attachment that it is about.
    pub fn attachment(&self) -> Option<AddonAttachmentId> {
        match self {
            Self::Bind(attachment) | Self::Unbind(attachment) => Some(*attachment),
            Self::Provision | Self::ChangePlan(_) | Self::Deprovision | Self::Upkeep => None,
        }
    }

    /// It takes away what nobody uses any more, and is tried until it is done.
    pub fn is_removal(&self) -> bool {
        matches!(self.kind(), AddonWorkKind::Unbind | AddonWorkKind::Deprovision)
    }
}
