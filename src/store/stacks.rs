//! Stacks.

use rusqlite::{Connection, OptionalExtension, Row, named_params};

use super::{StoreError, Tx};
use crate::model::ids::StackId;
use crate::model::stack::Stack;

/// The stack of that id.
pub fn find(connection: &Connection, id: StackId) -> Result<Option<Stack>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM stacks WHERE id = ?1")?;
    Ok(statement.query_row([id], from_row).optional()?)
}

/// The stack of that name.
pub fn find_by_name(connection: &Connection, name: &str) -> Result<Option<Stack>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM stacks WHERE name = ?1")?;
    Ok(statement.query_row([name], from_row).optional()?)
}

/// Every stack, oldest first.
pub fn list(connection: &Connection) -> Result<Vec<Stack>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM stacks ORDER BY created_at, id")?;
    let rows = statement.query_map([], from_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The number of live spaces on a stack.
pub fn count_spaces(connection: &Connection, name: &str) -> Result<u32, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM spaces WHERE stack = ?1 AND deleted_at IS NULL")?;
    Ok(statement.query_row([name], |row| row.get(0))?)
}

/// Adds a stack; [`StoreError::Exists`] when one has the name.
pub fn insert(tx: &Tx<'_>, stack: &Stack) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO stacks (id, name, state, created_at, updated_at)
         VALUES (:id, :name, :state, :created_at, :updated_at)",
    )?
    .execute(named_params! {
        ":id": stack.id,
        ":name": stack.name,
        ":state": stack.state,
        ":created_at": stack.created_at,
        ":updated_at": stack.updated_at,
    })?;
    Ok(())
}

/// Stores the state and the time of the change.
pub fn update(tx: &Tx<'_>, stack: &Stack) -> Result<(), StoreError> {
    tx.prepare_cached("UPDATE stacks SET state = ?2, updated_at = ?3 WHERE id = ?1")?.execute((
        stack.id,
        stack.state,
        stack.updated_at,
    ))?;
    Ok(())
}

/// Deletes a stack; its name is free again.
pub fn delete(tx: &Tx<'_>, id: StackId) -> Result<(), StoreError> {
    tx.prepare_cached("DELETE FROM stacks WHERE id = ?1")?.execute([id])?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Stack> {
    Ok(Stack {
        id: row.get("id")?,
        name: row.get("name")?,
        state: row.get("state")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
