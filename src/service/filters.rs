//! Filters: naming one, making, changing and deleting it.
//!
//! Invariant: a filter belongs to one organization, and only whoever reaches that sees the filter. What a filter
//! demands is weakened by administrators only: changing and deleting one needs elevation (`behaviour.md` §32).

use uuid::Uuid;

use super::{Error, organizations};
use crate::ids::Ids;
use crate::model::app::check_description;
use crate::model::event::Event;
use crate::model::filter::{Filter, FilterName, FilterOptions, FilterOrganization};
use crate::model::ids::FilterId;
use crate::model::pipeline::AppReference;
use crate::model::principal::{Principal, Reach};
use crate::model::rule::{RuleError, shown};
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// All that is told of a filter.
#[derive(Debug, Clone)]
pub struct FilterContent {
    pub name: String,
    pub description: String,
    /// Name or id.
    pub organization: String,
    pub options: FilterOptions,
}

/// The filter of that name or id, refused when it is not within reach.
pub fn resolve(connection: &Connection, sealer: &Sealer, reach: &Reach, text: &str) -> Result<Filter, Error> {
    let found = match (Uuid::try_parse(text), FilterName::parse(text)) {
        (Ok(id), _) => store::filters::find(connection, sealer, FilterId::new(id))?,
        (Err(_), Ok(name)) => store::filters::find_by_name(connection, sealer, &name)?,
        (Err(_), Err(_)) => None,
    };
    let filter = found.ok_or_else(|| unknown(text))?;
    if reach.includes(filter.organization.id) {
        return Ok(filter);
    }
    Err(Error::Forbidden(format!(
        "The filter {} belongs to the organization {}, of which you are no member; one of its administrators can add you.",
        filter.name, filter.organization.name
    )))
}

/// The filters within reach, oldest first.
pub fn list(connection: &Connection, sealer: &Sealer, reach: &Reach) -> Result<Vec<Filter>, Error> {
    let mut all = store::filters::list(connection, sealer)?;
    all.retain(|filter| reach.includes(filter.organization.id));
    Ok(all)
}

/// The apps within reach that have a filter attached.
pub fn attached_apps(
    connection: &Connection,
    reach: &Reach,
    filter: FilterId,
) -> Result<Vec<AppReference>, Error> {
    let mut apps = store::filter_attachments::list_apps(connection, filter)?;
    apps.retain(|app| reach.includes(app.organization));
    Ok(apps)
}

/// Makes a filter (`behaviour.md` §32): 400 for all that is told of it, then a conflict when the name is taken.
pub async fn create(
    store: &Store,
    (sealer, ids): (&Sealer, &Ids),
    author: &Principal,
    content: FilterContent,
) -> Result<Filter, Error> {
    let name = content.check().map_err(refused)?;
    content.options.check_complete().map_err(refused)?;
    let (id, reach, sealer) = (FilterId::new(ids.next()), author.reach.clone(), sealer.clone());
    store
        .write(author, move |tx| {
            let filter = Filter {
                id,
                name,
                organization: organization(tx, &reach, &content.organization)?,
                description: content.description,
                options: content.options,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            store::filters::insert(tx, &sealer, &filter).map_err(|error| taken(error, &filter.name))?;
            tx.record(Event::FilterCreated { filter: id })?;
            Ok(filter)
        })
        .await
}

/// Changes a filter for all apps that have it attached; its type stays. What is already so changes nothing.
pub async fn update(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    id: FilterId,
    content: FilterContent,
) -> Result<Filter, Error> {
    check_elevated(author, "changes")?;
    let name = content.check().map_err(refused)?;
    let (reach, sealer) = (author.reach.clone(), sealer.clone());
    store
        .write(author, move |tx| {
            let old = still(tx, &sealer, id)?;
            let mut filter = Filter {
                name,
                organization: organization(tx, &reach, &content.organization)?,
                description: content.description,
                options: content.options.replacing(&old.options).map_err(refused)?,
                ..old.clone()
            };
            if filter != old {
                filter.updated_at = tx.now();
                store::filters::update(tx, &sealer, &filter).map_err(|error| taken(error, &filter.name))?;
                tx.record(Event::FilterUpdated { filter: id })?;
            }
            Ok(filter)
        })
        .await
}

/// Deletes a filter. One that is attached stays, because its apps would lie open without it.
pub async fn delete(store: &Store, sealer: &Sealer, author: &Principal, id: FilterId) -> Result<(), Error> {
    check_elevated(author, "deletes")?;
    let sealer = sealer.clone();
    store
        .write(author, move |tx| {
            let filter = still(tx, &sealer, id)?;
            if let Some(app) = store::filter_attachments::list_apps(tx, id)?.first() {
                return Err(Error::Conflict(format!(
                    "The filter {} is attached to the app {}-{}; detach it from its apps first.",
                    filter.name, app.name, app.space
                )));
            }
            store::filters::mark_deleted(tx, id)?;
            tx.record(Event::FilterDeleted { filter: id })?;
            Ok(())
        })
        .await
}

/// A broken rule as §32 has it: 400.
#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
pub(super) fn refused(rule: RuleError) -> Error {
    Error::BadRequest(rule.to_string())
}

/// What a body names and does not exist, or exists already, is 400 where §32 knows no other status.
#[expect(clippy::wildcard_enum_match_arm, reason = "all else stays what it is")]
pub(super) fn as_bad_request(error: Error) -> Error {
    match error {
        Error::NotFound(message) | Error::Conflict(message) => Error::BadRequest(message),
        other => other,
    }
}

impl FilterContent {
    fn check(&self) -> Result<FilterName, RuleError> {
        check_description(&self.description)?;
        if self.description.trim().is_empty() {
            return Err(RuleError::new("The description is missing: say what the filter is for."));
        }
        if self.organization.trim().is_empty() {
            return Err(RuleError::new("The organization is missing: give one by its name or id."));
        }
        FilterName::parse(&self.name)
    }
}

fn organization(tx: &Tx<'_>, reach: &Reach, text: &str) -> Result<FilterOrganization, Error> {
    let organization = organizations::resolve(tx, reach, text).map_err(as_bad_request)?;
    Ok(FilterOrganization { id: organization.id, name: organization.name })
}

fn still(tx: &Tx<'_>, sealer: &Sealer, id: FilterId) -> Result<Filter, Error> {
    store::filters::find(tx, sealer, id)?.ok_or_else(|| unknown(&id.to_string()))
}

fn taken(error: store::StoreError, name: &FilterName) -> Error {
    Error::exists(error, || format!("The filter {name} exists already; give another name."))
}

fn unknown(text: &str) -> Error {
    Error::NotFound(format!("The filter {} does not exist.", shown(text)))
}

fn check_elevated(author: &Principal, verb: &str) -> Result<(), Error> {
    if author.is_elevated() {
        return Ok(());
    }
    Err(Error::Forbidden(format!(
        "Only an administrator {verb} a filter, because apps of others may rely on it."
    )))
}
