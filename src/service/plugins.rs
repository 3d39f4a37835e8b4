//! Plugins: naming one, publishing, revising and unpublishing it.

use uuid::Uuid;

use super::Error;
use crate::ids::Ids;
use crate::model::app::check_description;
use crate::model::event::Event;
use crate::model::ids::PluginId;
use crate::model::names::PluginName;
use crate::model::plugin::{Plugin, PluginOwner, PluginRepo};
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::store::{self, Connection, Store, Tx};

/// What a plugin tells of itself, as the client wrote it.
#[derive(Debug, Clone)]
pub struct PluginContent {
    pub repo: String,
    pub owner: String,
    pub email: String,
    /// `None` leaves the present one, which is empty for a new plugin.
    pub description: Option<String>,
}

/// The same, checked.
struct CheckedContent {
    repo: PluginRepo,
    owner: PluginOwner,
    description: Option<String>,
}

/// The published plugin of that name or id.
pub fn resolve(connection: &Connection, text: &str) -> Result<Plugin, Error> {
    let found = match (Uuid::try_parse(text), PluginName::parse(text)) {
        (Ok(id), _) => store::plugins::find(connection, PluginId::new(id))?,
        (Err(_), Ok(name)) => store::plugins::find_by_name(connection, &name)?,
        (Err(_), Err(_)) => None,
    };
    found.ok_or_else(|| unknown(text))
}

/// Publishes a plugin (`behaviour.md` §21): 422 for what it tells, then a conflict when the name is taken.
pub async fn create(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    name: &str,
    content: PluginContent,
) -> Result<Plugin, Error> {
    let name = PluginName::parse(name)?;
    let content = content.check()?;
    let id = PluginId::new(ids.next());
    store
        .write(author, move |tx| {
            let plugin = Plugin {
                id,
                name,
                repo: content.repo,
                owner: content.owner,
                description: content.description.unwrap_or_default(),
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            store::plugins::insert(tx, &plugin).map_err(|error| {
                Error::exists(error, || format!("The plugin {} exists already.", plugin.name))
            })?;
            tx.record(Event::PluginCreated { plugin: id })?;
            Ok(plugin)
        })
        .await
}

/// Revises what a plugin tells; what is already so changes nothing.
pub async fn update(
    store: &Store,
    author: &Principal,
    id: PluginId,
    content: PluginContent,
) -> Result<Plugin, Error> {
    let content = content.check()?;
    store
        .write(author, move |tx| {
            let old = still(tx, id)?;
            let mut plugin = Plugin { repo: content.repo, owner: content.owner, ..old.clone() };
            plugin.description = content.description.unwrap_or(plugin.description);
            if plugin != old {
                plugin.updated_at = tx.now();
                store::plugins::update(tx, &plugin)?;
                tx.record(Event::PluginUpdated { plugin: id })?;
            }
            Ok(plugin)
        })
        .await
}

/// Unpublishes a plugin.
pub async fn delete(store: &Store, author: &Principal, id: PluginId) -> Result<Plugin, Error> {
    store
        .write(author, move |tx| {
            let plugin = still(tx, id)?;
            store::plugins::mark_deleted(tx, id)?;
            tx.record(Event::PluginDeleted { plugin: id })?;
            Ok(plugin)
        })
        .await
}

impl PluginContent {
    fn check(self) -> Result<CheckedContent, Error> {
        let repo = PluginRepo::parse(&self.repo)?;
        let owner = PluginOwner::parse(&self.owner, &self.email)?;
        self.description.as_deref().map(check_description).transpose()?;
        Ok(CheckedContent { repo, owner, description: self.description })
    }
}

fn still(tx: &Tx<'_>, id: PluginId) -> Result<Plugin, Error> {
    store::plugins::find(tx, id)?.ok_or_else(|| unknown(&id.to_string()))
}

fn unknown(text: &str) -> Error {
    Error::NotFound(format!("The plugin {} does not exist.", shown(text)))
}
