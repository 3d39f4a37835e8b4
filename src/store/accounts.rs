//! Accounts. Their secrets are read by the functions that say so, and by no other.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::account::{Account, Email};
use crate::model::ids::AccountId;
use crate::model::names::UserName;
use crate::model::time::Timestamp;
use crate::seal::Sealed;

/// What [`from_row`] reads, by position: finding a column by its name costs more than reading it.
const SELECT: &str =
    "SELECT id, name, email, role, password_hash IS NOT NULL, two_factor_confirmed_at IS NOT NULL,
        created_at, updated_at, last_login_at, suspended_at
    FROM accounts";

/// What a login is checked against.
#[derive(Debug)]
pub struct Credentials {
    /// argon2id in the PHC form; `None` when no password was set.
    pub password_hash: Option<String>,
    /// The secret of one-time codes, also one that is not confirmed yet.
    pub two_factor: Option<Sealed>,
    /// The newest step whose code was accepted.
    pub two_factor_step: i64,
}

/// The account of that name.
pub fn find_by_name(connection: &Connection, name: &UserName) -> Result<Option<Account>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE name = ?1"))?;
    Ok(statement.query_row([name], from_row).optional()?)
}

/// The account of that id.
pub fn find(connection: &Connection, id: AccountId) -> Result<Option<Account>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE id = ?1"))?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// Every account, oldest first.
pub fn list(connection: &Connection) -> Result<Vec<Account>, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} ORDER BY created_at, id"))?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The secrets of an account.
pub fn credentials(connection: &Connection, id: AccountId) -> Result<Credentials, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT password_hash, two_factor_secret, two_factor_step FROM accounts WHERE id = ?1",
    )?;
    Ok(statement.query_row([id], |row| {
        Ok(Credentials {
            password_hash: row.get("password_hash")?,
            two_factor: row.get("two_factor_secret")?,
            two_factor_step: row.get("two_factor_step")?,
        })
    })?)
}

/// Adds an account; [`StoreError::Exists`] when one has the name.
pub fn insert(tx: &Tx<'_>, account: &Account) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO accounts (id, name, email, role, created_at, updated_at)
         VALUES (:id, :name, :email, :role, :created_at, :created_at)",
    )?
    .execute(named_params! {
        ":id": account.id,
        ":name": account.name,
        ":email": account.email.as_str(),
        ":role": account.role,
        ":created_at": account.created_at,
    })?;
    Ok(())
}

/// Stores an account's address, role and suspension.
pub fn update(tx: &Tx<'_>, account: &Account) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE accounts SET email = :email, role = :role, suspended_at = :suspended_at,
                updated_at = :updated_at WHERE id = :id",
    )?
    .execute(named_params! {
        ":id": account.id,
        ":email": account.email.as_str(),
        ":role": account.role,
        ":suspended_at": account.suspended_at,
        ":updated_at": account.updated_at,
    })?;
    Ok(())
}

/// Notes that somebody logged in.
pub fn note_login(tx: &Tx<'_>, id: AccountId) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE accounts SET last_login_at = ?2 WHERE id = ?1")?.execute((id, tx.now()))?;
    Ok(())
}

/// Sets the hash of an account's password.
pub fn set_password(tx: &Tx<'_>, id: AccountId, hash: &str) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE accounts SET password_hash = ?2, updated_at = ?3 WHERE id = ?1")?.execute((
        id,
        hash,
        tx.now(),
    ))?;
    Ok(())
}

/// Puts another secret of one-time codes, which counts from `confirmed_at`; `None` and `None` put it away.
pub fn set_two_factor(
    tx: &Tx<'_>,
    id: AccountId,
    secret: Option<&Sealed>,
    confirmed_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE accounts SET two_factor_secret = ?2, two_factor_confirmed_at = ?3, updated_at = ?4 WHERE id = ?1",
    )?
    .execute((id, secret, confirmed_at, tx.now()))?;
    Ok(())
}

/// Notes that the code of a step was accepted; false when one of that step or a later one was before.
pub fn use_step(tx: &Tx<'_>, id: AccountId, step: i64) -> Result<bool, StoreError> {
    let changed = tx
        .prepare_cached("UPDATE accounts SET two_factor_step = ?2 WHERE id = ?1 AND two_factor_step < ?2")?
        .execute((id, step))?;
    Ok(changed > 0)
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        id: row.get(0)?,
        name: row.get(1)?,
        email: Email::from_stored(row.get(2)?),
        role: row.get(3)?,
        has_password: row.get(4)?,
        two_factor: row.get(5)?,
        created_at: row.get(6)?,
        updated_at: row.get(7)?,
        last_login_at: row.get(8)?,
        suspended_at: row.get(9)?,
    })
}
