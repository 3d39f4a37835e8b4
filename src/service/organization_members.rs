//! Members of organizations: who acts on an organization's apps.

use super::{Error, accounts, organizations};
use crate::model::account::{MemberRole, OrganizationMember};
use crate::model::event::{ChangeKind, Event};
use crate::model::ids::OrganizationId;
use crate::model::names::UserName;
use crate::model::organization::Organization;
use crate::model::principal::{Principal, Reach};
use crate::model::rule::shown;
use crate::store::{self, Connection, Store};

/// What a principal may do with an organization itself; `None` when it is not within reach.
pub fn role_of(
    connection: &Connection,
    principal: &Principal,
    organization: OrganizationId,
) -> Result<Option<MemberRole>, Error> {
    match &principal.reach {
        Reach::Everything => Ok(Some(MemberRole::Admin)),
        Reach::Organizations(own) => {
            Ok(store::organization_members::find(connection, organization, own.account)?.map(|m| m.role))
        }
    }
}

/// Makes an account a member of an organization, or gives it another role there. Administrators of the
/// organization and owners may.
pub async fn put(
    store: &Store,
    author: &Principal,
    organization: String,
    user: String,
    role: MemberRole,
) -> Result<OrganizationMember, Error> {
    let principal = author.clone();
    store
        .write(author, move |tx| {
            let organization = administered(tx, &principal, &organization)?;
            let account = accounts::resolve(tx, &UserName::parse(&user)?)?;
            let old = store::organization_members::find(tx, organization.id, account.id)?;
            let member = OrganizationMember {
                organization: organization.id,
                account: account.id,
                name: account.name,
                role,
                created_at: old.as_ref().map_or_else(|| tx.now(), |old| old.created_at),
            };
            if old.as_ref() != Some(&member) {
                store::organization_members::put(tx, &member)?;
                let change = if old.is_some() { ChangeKind::Update } else { ChangeKind::Create };
                let (organization, account) = (member.organization, member.account);
                tx.record(Event::OrganizationMemberChanged { organization, account, change })?;
            }
            Ok(member)
        })
        .await
}

/// Takes an account out of an organization. Administrators of the organization and owners may, and everyone
/// may leave.
pub async fn delete(
    store: &Store,
    author: &Principal,
    organization: String,
    user: String,
) -> Result<OrganizationMember, Error> {
    let principal = author.clone();
    store
        .write(author, move |tx| {
            let leaves = user.eq_ignore_ascii_case(principal.user.as_str());
            let organization = if leaves {
                organizations::resolve(tx, &principal.reach, &organization)?
            } else {
                administered(tx, &principal, &organization)?
            };
            let account = accounts::resolve(tx, &UserName::parse(&user)?)?;
            let member = store::organization_members::find(tx, organization.id, account.id)?;
            let member = member.ok_or_else(|| {
                Error::NotFound(format!("{} is no member of {}.", shown(&user), organization.name))
            })?;
            store::organization_members::delete(tx, organization.id, account.id)?;
            let (organization, account) = (member.organization, member.account);
            let change = ChangeKind::Delete;
            tx.record(Event::OrganizationMemberChanged { organization, account, change })?;
            Ok(member)
        })
        .await
}

fn administered(connection: &Connection, author: &Principal, text: &str) -> Result<Organization, Error> {
    let organization = organizations::resolve(connection, &author.reach, text)?;
    if role_of(connection, author, organization.id)? == Some(MemberRole::Admin) {
        return Ok(organization);
    }
    Err(Error::Forbidden(format!(
        "Only an administrator of the organization {} may change its members.",
        organization.name
    )))
}
