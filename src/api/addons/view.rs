//! How an addon is shown.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::super::addon_services::PriceView;
use super::super::page::{Listed, Property};
use crate::model::addon::{Addon, AddonState};
use crate::model::addon_attachment::{AddonAttachment, AddonVariable};
use crate::model::app::App;
use crate::model::config_var::redacted;
use crate::model::ids::{AddonId, AppId};
use crate::model::names::{AppKey, ConfigVarName};
use crate::model::pipeline::AppReference;
use crate::model::time::Timestamp;
use crate::seal::Sealer;
use crate::service;
use crate::store::{self, Connection};

/// An addon.
#[derive(Serialize, ToSchema)]
#[schema(as = AddonView)]
pub(in crate::api) struct AddonView {
    id: Uuid,
    name: String,
    #[schema(value_type = Option<Object>)]
    actions: Option<()>,
    addon_service: NamedView,
    app: NamedView,
    billed_price: PriceView,
    /// What it brings its app, by the names that the app knows; redacted in a space with the compliance `socs`.
    config_vars: BTreeMap<String, String>,
    plan: NamedView,
    /// Whether its variables have their plain names.
    primary: bool,
    provider_id: &'static str,
    /// `provisioning`, `provisioned`, `failed` or `deprovisioning`.
    state: &'static str,
    state_description: String,
    /// Where its provider shows it; may be empty.
    web_url: String,
    /// The apps that use it; only where one addon is viewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    attached_to: Option<Vec<AttachedView>>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// Something by its id and name.
#[derive(Serialize, ToSchema)]
#[schema(as = AddonNamedView)]
pub(in crate::api) struct NamedView {
    pub(in crate::api) id: Uuid,
    /// Of an app its key.
    pub(in crate::api) name: String,
}

/// An app that uses an addon.
#[derive(Serialize, ToSchema)]
struct AttachedView {
    id: Uuid,
    name: String,
    /// Whether the addon belongs to it.
    owner: bool,
}

/// The variables that apps have because of their addons, read once an app.
pub(in crate::api) struct Variables<'a> {
    connection: &'a Connection,
    sealer: &'a Sealer,
    known: BTreeMap<AppId, (bool, BTreeMap<ConfigVarName, AddonVariable>)>,
}

impl<'a> Variables<'a> {
    /// Nothing is read yet.
    pub(in crate::api) fn new(connection: &'a Connection, sealer: &'a Sealer) -> Self {
        Self { connection, sealer, known: BTreeMap::new() }
    }

    /// What an addon brings an app, as a client may see it.
    pub(in crate::api) fn of(
        &mut self,
        addon: AddonId,
        app: AppId,
    ) -> Result<BTreeMap<String, String>, service::Error> {
        if !self.known.contains_key(&app) {
            let found: Option<App> = store::apps::find_any(self.connection, app)?;
            let socs = found.is_none_or(|app| app.space.compliance.is_socs());
            let variables = store::addon_attachments::variables(self.connection, self.sealer, app)?;
            self.known.insert(app, (socs, variables));
        }
        let Some((socs, variables)) = self.known.get(&app) else { return Ok(BTreeMap::new()) };
        let show = |name: &ConfigVarName, one: &AddonVariable| {
            let value = one.value.reveal();
            if *socs { redacted(name.as_str(), value) } else { value.to_owned() }
        };
        let own = variables.iter().filter(|(_, one)| one.addon == addon);
        Ok(own.map(|(name, one)| (name.to_string(), show(name, one))).collect())
    }

    /// An addon as its own app sees it.
    pub(in crate::api) fn show(&mut self, addon: Addon) -> Result<AddonView, service::Error> {
        let vars = self.of(addon.id, addon.app.id)?;
        Ok(AddonView::new(addon, vars))
    }
}

impl AddonView {
    pub(in crate::api) fn new(addon: Addon, config_vars: BTreeMap<String, String>) -> Self {
        Self {
            state_description: description(&addon),
            id: addon.id.uuid(),
            name: addon.name.to_string(),
            actions: None,
            addon_service: NamedView { id: addon.service.id.uuid(), name: addon.service.name.to_string() },
            app: (&addon.app).into(),
            billed_price: PriceView::monthly(addon.plan.price),
            config_vars,
            plan: NamedView { id: addon.plan.id.uuid(), name: addon.plan.name.to_string() },
            primary: addon.is_primary,
            provider_id: "alamo",
            state: addon.state.status(),
            web_url: addon.web_url,
            attached_to: None,
            created_at: addon.created_at,
            updated_at: addon.updated_at,
        }
    }

    /// With the apps that use it.
    pub(super) fn with_apps(self, apps: &[AddonAttachment]) -> Self {
        let attached = |one: &AddonAttachment| {
            let app = NamedView::from(&one.app);
            AttachedView { id: app.id, name: app.name, owner: one.is_owned }
        };
        Self { attached_to: Some(apps.iter().map(attached).collect()), ..self }
    }
}

/// What a person should know of the state.
fn description(addon: &Addon) -> String {
    match addon.state {
        AddonState::Provisioning => "The provider makes it.".to_owned(),
        AddonState::Updating => "The provider gives it another plan; it can be used meanwhile.".to_owned(),
        AddonState::Provisioned if addon.reason.is_empty() => String::new(),
        AddonState::Provisioned => format!("The plan was not changed. {}", addon.reason),
        AddonState::Failed => addon.reason.clone(),
        AddonState::Deprovisioning => "The provider takes it away.".to_owned(),
    }
}

impl From<&AppReference> for NamedView {
    fn from(app: &AppReference) -> Self {
        Self { id: app.id.uuid(), name: AppKey::of(&app.name, &app.space).to_string() }
    }
}

impl Listed for AddonView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}
