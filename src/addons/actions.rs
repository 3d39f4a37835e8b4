//! What clients do at addons while they wait: the actions that a provider has of its own.

use super::provider::{Acted, Action, ProviderError, Work};
use super::settle;
use super::worker::AddonParts;
use crate::model::addon::{Addon, AddonState};
use crate::model::addon_service::AddonOffer;
use crate::model::principal::Principal;
use crate::service::Error;
use crate::service::addons::Shop;
use crate::store;

/// The addons, as the API sees them. Clones share everything.
#[derive(Debug, Clone)]
pub struct Addons(AddonParts);

impl Addons {
    /// Of the same providers as the worker's.
    pub fn new(parts: AddonParts) -> Self {
        Self(parts)
    }

    /// Everything that is offered now.
    pub fn offer(&self) -> AddonOffer {
        self.0.offer.current()
    }

    /// The same, and where it is offered.
    pub fn shop(&self) -> Shop {
        self.0.offer.shop()
    }

    /// Has the provider of an addon do something with it, and lets what comes of it take effect for every app that uses
    /// it. Of two at once that change it, one is refused.
    pub async fn act(&self, author: &Principal, addon: Addon, action: &Action) -> Result<Acted, Error> {
        if !matches!(addon.state, AddonState::Provisioned | AddonState::Updating) {
            return Err(Error::Conflict(format!(
                "The addon {} is {}: it has actions when it is provisioned.",
                addon.name,
                addon.state.status()
            )));
        }
        let (parts, id) = (&self.0, addon.id);
        let data = parts.store.look_up(|c| store::addons::data(c, &parts.sealer, id))?;
        let plan = parts.offer.current().plan_of(addon.plan.id).map(|(_, plan)| plan.clone());
        let now = parts.clock.now();
        let work = Work { addon, plan, data, operation: None, is_accepted: false, now };
        let provider = parts.providers.of(&work.addon.service.provider);
        let acted = match provider {
            Some(provider) => provider.act(&work, action).await.map_err(refused)?,
            None => None,
        };
        let none =
            || Error::NotFound(format!("The addon {} has no action {}.", work.addon.name, action.name));
        let acted = acted.ok_or_else(none)?;
        self.apply(author, work, acted).await
    }

    async fn apply(&self, author: &Principal, work: Work, acted: Acted) -> Result<Acted, Error> {
        if acted.rework.data.is_none() && acted.rework.variables.is_none() {
            return Ok(acted);
        }
        let sealer = self.0.sealer.clone();
        self.0
            .store
            .write(author, move |tx| {
                if store::addons::data(tx, &sealer, work.addon.id)? != work.data {
                    return Err(Error::Conflict(format!(
                        "The addon {} was changed at the same time; nothing was done. Try again.",
                        work.addon.name
                    )));
                }
                settle::apply(tx, &sealer, &work.addon, &acted.rework)?;
                Ok(acted)
            })
            .await
    }
}

fn refused(error: ProviderError) -> Error {
    match error {
        ProviderError::Refused(reason) => Error::Conflict(reason),
        ProviderError::Broken(reason) | ProviderError::Later(reason) => Error::Unavailable(reason),
        ProviderError::Store(error) => error.into(),
    }
}
