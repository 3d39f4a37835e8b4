//! Who belongs to which organization.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::account::OrganizationMember;
use crate::model::ids::{AccountId, OrganizationId};

const SELECT: &str = "SELECT organization_members.*, accounts.name
     FROM organization_members JOIN accounts ON accounts.id = organization_members.account_id";

/// An account's place in an organization.
pub fn find(
    connection: &Connection,
    organization: OrganizationId,
    account: AccountId,
) -> Result<Option<OrganizationMember>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE organization_members.account_id = ?2 AND organization_members.organization_id = ?1"
    ))?;
    Ok(statement.query_row((organization, account), from_row).optional()?)
}

/// The members of an organization, oldest first.
pub fn list(
    connection: &Connection,
    organization: OrganizationId,
) -> Result<Vec<OrganizationMember>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "{SELECT} WHERE organization_members.organization_id = ?1
         ORDER BY organization_members.created_at, accounts.name"
    ))?;
    let rows = statement.query_map([organization], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The organizations that an account is a member of.
pub fn organizations_of(
    connection: &Connection,
    account: AccountId,
) -> Result<BTreeSet<OrganizationId>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT organization_id FROM organization_members WHERE account_id = ?1")?;
    let rows = statement.query_map([account], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Adds a member, or gives one another role.
pub fn put(tx: &Tx<'_>, member: &OrganizationMember) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO organization_members (organization_id, account_id, role, created_at)
         VALUES (:organization_id, :account_id, :role, :created_at)
         ON CONFLICT (account_id, organization_id) DO UPDATE SET role = excluded.role",
    )?
    .execute(named_params! {
        ":organization_id": member.organization,
        ":account_id": member.account,
        ":role": member.role,
        ":created_at": member.created_at,
    })?;
    Ok(())
}

/// Removes a member.
pub fn delete(tx: &Tx<'_>, organization: OrganizationId, account: AccountId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM organization_members WHERE organization_id = ?1 AND account_id = ?2")?
        .execute((organization, account))?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<OrganizationMember> {
    Ok(OrganizationMember {
        organization: row.get("organization_id")?,
        account: row.get("account_id")?,
        name: row.get("name")?,
        role: row.get("role")?,
        created_at: row.get("created_at")?,
    })
}
