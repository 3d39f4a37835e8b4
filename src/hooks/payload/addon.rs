//! The payload of `addon_change`: an addon, or an app's use of one.

use std::collections::BTreeMap;

use serde::Serialize;

use super::gone;
use crate::model::addon::{Addon, AddonChange, PlanReference, ServiceReference};
use crate::model::app::App;
use crate::model::config_var::redacted;
use crate::model::ids::{AddonAttachmentId, AddonId, AddonPlanId, AddonServiceId, AppId};
use crate::model::names::AppKey;
use crate::model::pipeline::AppReference;
use crate::model::time::Timestamp;
use crate::seal::Sealer;
use crate::store::{self, StoreError, Tx};

/// What the envelope is followed by.
#[derive(Serialize)]
pub(super) struct AddonEvent<C> {
    change: AddonChange,
    changes: [C; 1],
}

/// An addon as an answer shows it, to one without a look at the other apps.
#[derive(Serialize)]
pub(super) struct AddonPart {
    actions: Option<()>,
    addon_service: ServicePart,
    app: AppPart,
    config_vars: BTreeMap<String, String>,
    created_at: Timestamp,
    id: AddonId,
    name: String,
    plan: PlanPart,
    primary: bool,
    provider_id: &'static str,
    state: &'static str,
    updated_at: Timestamp,
    web_url: String,
}

/// An app's use of an addon. Plan and service stand beside the addon too, where readers of `addon_change` look for them.
#[derive(Serialize)]
pub(super) struct AttachmentPart {
    addon: AddonPart,
    addon_service: ServicePart,
    plan: PlanPart,
    app: AppPart,
    created_at: Timestamp,
    id: AddonAttachmentId,
    name: String,
    primary: bool,
    updated_at: Timestamp,
}

#[derive(Serialize)]
struct ServicePart {
    id: AddonServiceId,
    name: String,
}

#[derive(Serialize)]
struct PlanPart {
    id: AddonPlanId,
    name: String,
}

#[derive(Serialize)]
struct AppPart {
    id: AppId,
    name: String,
}

/// An addon was made or deleted.
pub(super) fn owned(
    tx: &Tx<'_>,
    (sealer, app): (&Sealer, &App),
    id: AddonId,
    change: AddonChange,
) -> Result<AddonEvent<AddonPart>, StoreError> {
    let addon = store::addons::find_any(tx, id)?.ok_or_else(|| gone("addon", id))?;
    let vars = config_vars(tx, sealer, app, id)?;
    Ok(AddonEvent { change, changes: [AddonPart::new(addon, vars)] })
}

/// An app uses an addon, uses it no more, or has the plain names of its variables now.
pub(super) fn used(
    tx: &Tx<'_>,
    (sealer, app): (&Sealer, &App),
    id: AddonAttachmentId,
    change: AddonChange,
) -> Result<AddonEvent<AttachmentPart>, StoreError> {
    let attachment =
        store::addon_attachments::find_any(tx, id)?.ok_or_else(|| gone("addon attachment", id))?;
    let addon =
        store::addons::find_any(tx, attachment.addon)?.ok_or_else(|| gone("addon", attachment.addon))?;
    let vars = config_vars(tx, sealer, app, addon.id)?;
    let part = AttachmentPart {
        addon_service: (&addon.service).into(),
        plan: (&addon.plan).into(),
        addon: AddonPart::new(addon, vars),
        app: (&attachment.app).into(),
        created_at: attachment.created_at,
        id,
        name: attachment.name.to_string(),
        primary: attachment.is_primary,
        updated_at: attachment.updated_at,
    };
    Ok(AddonEvent { change, changes: [part] })
}

/// What the app has of the addon, as an answer would show it.
fn config_vars(
    tx: &Tx<'_>,
    sealer: &Sealer,
    app: &App,
    addon: AddonId,
) -> Result<BTreeMap<String, String>, StoreError> {
    let socs = app.space.compliance.is_socs();
    let show = |name: &str, value: &str| if socs { redacted(name, value) } else { value.to_owned() };
    let all = store::addon_attachments::variables(tx, sealer, app.id)?;
    let own = all.into_iter().filter(|(_, variable)| variable.addon == addon);
    Ok(own.map(|(name, one)| (name.to_string(), show(name.as_str(), one.value.reveal()))).collect())
}

impl AddonPart {
    fn new(addon: Addon, config_vars: BTreeMap<String, String>) -> Self {
        Self {
            actions: None,
            addon_service: (&addon.service).into(),
            app: (&addon.app).into(),
            config_vars,
            created_at: addon.created_at,
            id: addon.id,
            name: addon.name.to_string(),
            plan: (&addon.plan).into(),
            primary: addon.is_primary,
            provider_id: "alamo",
            state: addon.state.status(),
            updated_at: addon.updated_at,
            web_url: addon.web_url,
        }
    }
}

impl From<&ServiceReference> for ServicePart {
    fn from(service: &ServiceReference) -> Self {
        Self { id: service.id, name: service.name.to_string() }
    }
}

impl From<&PlanReference> for PlanPart {
    fn from(plan: &PlanReference) -> Self {
        Self { id: plan.id, name: plan.name.to_string() }
    }
}

impl From<&AppReference> for AppPart {
    fn from(app: &AppReference) -> Self {
        Self { id: app.id, name: AppKey::of(&app.name, &app.space).to_string() }
    }
}
