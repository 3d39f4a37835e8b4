//! Addons: what an app was given of a service.
//!
//! Invariant: an addon belongs to one app, whose own attachment carries its name and says whether it is the primary
//! one of its service.

use super::addon_attachment::AttachmentName;
use super::addon_service::{AddonPlan, AddonPlanName, AddonService, AddonServiceName, ProviderName};
use super::ids::{AddonId, AddonPlanId, AddonServiceId};
use super::pipeline::AppReference;
use super::time::Timestamp;

/// An addon with the names of what it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addon {
    pub id: AddonId,
    /// Of its app's own attachment.
    pub name: AttachmentName,
    /// The app that it belongs to.
    pub app: AppReference,
    pub service: ServiceReference,
    pub plan: PlanReference,
    /// For its app it has the plain names of the variables.
    pub is_primary: bool,
    pub state: AddonState,
    /// Why it failed, or why the last change of its plan did; else empty.
    pub reason: String,
    /// Where its provider shows it; may be empty.
    pub web_url: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

crate::text_enum! {
    /// How far an addon is.
    pub enum AddonState {
        /// Its provider makes it.
        Provisioning => "provisioning",
        Provisioned => "provisioned",
        /// Its provider gives it another plan; it can be used meanwhile.
        Updating => "updating",
        /// It could not be made. What may be left of it at its provider is taken away.
        Failed => "failed",
        /// It was deleted; its provider takes it away.
        Deprovisioning => "deprovisioning",
    }
}

crate::text_enum! {
    /// What an addon, or an app's use of one, went through (`behaviour.md` §23).
    pub enum AddonChange {
        Create => "create",
        Delete => "delete",
        Attach => "attach",
        Detach => "detach",
        Promote => "promote",
    }
}

/// The service of an addon, also one that is offered no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceReference {
    pub id: AddonServiceId,
    pub name: AddonServiceName,
    /// What the provider calls it.
    pub reference: String,
    pub provider: ProviderName,
}

/// The plan of an addon, also one that is offered no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanReference {
    pub id: AddonPlanId,
    pub name: AddonPlanName,
    /// What the provider calls it.
    pub reference: String,
    /// Cents a month.
    pub price: u32,
}

impl AddonState {
    /// As clients know it: they wait while it is `provisioning` (`behaviour.md` §18).
    pub fn status(self) -> &'static str {
        match self {
            Self::Updating => Self::Provisioning.as_str(),
            Self::Provisioning | Self::Provisioned | Self::Failed | Self::Deprovisioning => self.as_str(),
        }
    }
}

impl ServiceReference {
    /// The reference to a service.
    pub fn of(service: &AddonService) -> Self {
        Self {
            id: service.id,
            name: service.name.clone(),
            reference: service.reference.clone(),
            provider: service.provider.clone(),
        }
    }
}

impl PlanReference {
    /// The reference to a plan.
    pub fn of(plan: &AddonPlan) -> Self {
        Self { id: plan.id, name: plan.name.clone(), reference: plan.reference.clone(), price: plan.price }
    }
}
