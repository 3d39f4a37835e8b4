//! What a preview uses of what its source uses: the same addons, or others of the same plans.

use super::copy::Copier;
use crate::model::addon::AddonState;
use crate::service::addons::{NewAddon, Shop};
use crate::service::{Error, addon_attachments, addons};
use crate::store;

impl Copier<'_, '_> {
    /// Attaches the addons that can be shared, and makes the others anew; with `anew` all that are the source's own. The
    /// names stay, and the primary ones come first, so that the variables have the names that the app knows.
    pub(super) fn addons(&mut self, shop: &Shop, anew: bool) -> Result<(), Error> {
        let mut used = store::addon_attachments::list_by_app(self.tx, self.source.id)?;
        used.sort_by_key(|one| !one.is_primary);
        for one in used {
            let addon = addons::still(self.tx, one.addon)?;
            if matches!(addon.state, AddonState::Failed | AddonState::Deprovisioning) {
                continue;
            }
            let service = shop.offer.services().iter().find(|service| service.id == addon.service.id);
            let is_shared = service.is_some_and(|service| service.supports_sharing) && !anew;
            if is_shared || !one.is_owned {
                let what = (self.target.id, addon.id, &shop.offer);
                addon_attachments::make(self.tx, self.ids, what, Some(one.name))?;
            } else {
                let new = NewAddon { plan: addon.plan.id.to_string(), name: Some(one.name.to_string()) };
                addons::make(self.tx, self.ids, (self.target.id, shop), &new)?;
            }
        }
        Ok(())
    }
}
