//! Organizations: naming one and making one.

use uuid::Uuid;

use super::Error;
use crate::ids::Ids;
use crate::model::app::check_description;
use crate::model::event::Event;
use crate::model::ids::OrganizationId;
use crate::model::names::OrganizationName;
use crate::model::organization::Organization;
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::store::{self, Connection, Store};

/// An organization to be made, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewOrganization {
    pub name: String,
    pub description: String,
}

/// The live organization of that name or id.
pub fn resolve(connection: &Connection, text: &str) -> Result<Organization, Error> {
    let found = match (Uuid::try_parse(text), OrganizationName::parse(text)) {
        (Ok(id), _) => store::organizations::find(connection, OrganizationId::new(id))?,
        (Err(_), Ok(name)) => store::organizations::find_by_name(connection, &name)?,
        (Err(_), Err(_)) => None,
    };
    found.ok_or_else(|| Error::NotFound(format!("The organization {} does not exist.", shown(text))))
}

/// Makes an organization (`behaviour.md` §16): 422 for the name, then a conflict when it exists.
pub async fn create(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    new: NewOrganization,
) -> Result<Organization, Error> {
    let name = OrganizationName::parse(&new.name)?;
    check_description(&new.description)?;
    let id = OrganizationId::new(ids.next());
    store
        .write(author, move |tx| {
            let organization = Organization {
                id,
                name,
                description: new.description,
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            store::organizations::insert(tx, &organization).map_err(|error| {
                Error::exists(error, || format!("The organization {} exists already.", organization.name))
            })?;
            tx.record(Event::OrganizationCreated { organization: id })?;
            Ok(organization)
        })
        .await
}
