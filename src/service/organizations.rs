//! Organizations: naming one and making one.

use uuid::Uuid;

use super::Error;
use crate::ids::Ids;
use crate::model::account::{MemberRole, OrganizationMember};
use crate::model::app::check_description;
use crate::model::event::Event;
use crate::model::ids::OrganizationId;
use crate::model::names::OrganizationName;
use crate::model::organization::Organization;
use crate::model::principal::{Principal, Reach};
use crate::model::rule::shown;
use crate::store::{self, Connection, Store};

/// An organization to be made, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewOrganization {
    pub name: String,
    pub description: String,
}

/// The live organization of that name or id, refused when it is not within reach.
pub fn resolve(connection: &Connection, reach: &Reach, text: &str) -> Result<Organization, Error> {
    let found = match (Uuid::try_parse(text), OrganizationName::parse(text)) {
        (Ok(id), _) => store::organizations::find(connection, OrganizationId::new(id))?,
        (Err(_), Ok(name)) => store::organizations::find_by_name(connection, &name)?,
        (Err(_), Err(_)) => None,
    };
    let organization =
        found.ok_or_else(|| Error::NotFound(format!("The organization {} does not exist.", shown(text))))?;
    if reach.includes(organization.id) {
        return Ok(organization);
    }
    Err(Error::Forbidden(format!(
        "You are no member of the organization {}; one of its administrators can add you.",
        organization.name
    )))
}

/// The live organizations within reach, oldest first.
pub fn list(connection: &Connection, reach: &Reach) -> Result<Vec<Organization>, Error> {
    let mut all = store::organizations::list(connection)?;
    all.retain(|organization| reach.includes(organization.id));
    Ok(all)
}

/// Makes an organization (`behaviour.md` §16): 422 for the name, then a conflict when it exists. A member who
/// makes one administers it.
pub async fn create(
    store: &Store,
    ids: &Ids,
    author: &Principal,
    new: NewOrganization,
) -> Result<Organization, Error> {
    let name = OrganizationName::parse(&new.name)?;
    check_description(&new.description)?;
    let (id, member) = (OrganizationId::new(ids.next()), author.reach.memberships().map(|own| own.account));
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
            if let Some(account) = member {
                let member = OrganizationMember {
                    organization: id,
                    account,
                    name: tx.author().clone(),
                    role: MemberRole::Admin,
                    created_at: tx.now(),
                };
                store::organization_members::put(tx, &member)?;
            }
            Ok(organization)
        })
        .await
}
