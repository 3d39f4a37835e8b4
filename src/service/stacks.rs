//! Stacks: naming one, and what administrators change about them (`behaviour.md` §17).

use uuid::Uuid;

use super::Error;
use crate::model::RuleError;
use crate::model::catalogue::Catalogue;
use crate::model::event::Event;
use crate::model::ids::{StackId, deterministic};
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::model::stack::{Stack, StackState, parse_name};
use crate::store::{self, Connection, Store};

/// A stack to be made, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewStack {
    pub name: String,
    /// Name or id; the one region when absent.
    pub region: Option<String>,
    pub state: StackState,
}

/// What shall change; `None` leaves it.
#[derive(Debug, Clone, Copy)]
pub struct StackChange {
    pub beta: Option<bool>,
    pub deprecated: Option<bool>,
}

/// The live stack of that name or id.
pub fn resolve(connection: &Connection, text: &str) -> Result<Stack, Error> {
    let found = match Uuid::try_parse(text) {
        Ok(id) => store::stacks::find(connection, StackId::new(id))?,
        Err(_) => store::stacks::find_by_name(connection, &text.trim().to_ascii_lowercase())?,
    };
    found.ok_or_else(|| Error::NotFound(format!("The stack {} does not exist.", shown(text))))
}

/// Makes a stack: 403 without elevation, 422 for name and region, 409 when it exists.
pub async fn create(
    store: &Store,
    catalogue: &Catalogue,
    author: &Principal,
    new: NewStack,
) -> Result<Stack, Error> {
    may_change(author)?;
    let name = parse_name(&new.name)?;
    check_region(catalogue, new.region.as_deref())?;
    let id = StackId::new(deterministic(&name));
    store
        .write(author, move |tx| {
            let stack = Stack { id, name, state: new.state, created_at: tx.now(), updated_at: tx.now() };
            store::stacks::insert(tx, &stack).map_err(|error| {
                Error::exists(error, || format!("The stack {} exists already.", stack.name))
            })?;
            tx.record(Event::StackCreated { stack: id })?;
            Ok(stack)
        })
        .await
}

/// Changes the state of a stack. The one that new spaces are put on cannot be deprecated.
pub async fn update(
    store: &Store,
    catalogue: &Catalogue,
    author: &Principal,
    text: String,
    change: StackChange,
) -> Result<Stack, Error> {
    may_change(author)?;
    let default = catalogue.stack.name.clone();
    store
        .write(author, move |tx| {
            let mut stack = resolve(tx, &text)?;
            let state = stack.state.switched(change.beta, change.deprecated);
            if state == StackState::Deprecated && stack.name == default {
                return Err(Error::Conflict(format!(
                    "New spaces are put on the stack {default}, so it cannot be deprecated; name another one in the catalogue first."
                )));
            }
            if state != stack.state {
                stack.state = state;
                stack.updated_at = tx.now();
                store::stacks::update(tx, &stack)?;
                tx.record(Event::StackUpdated { stack: stack.id })?;
            }
            Ok(stack)
        })
        .await
}

/// Deletes a stack that no space is on.
pub async fn delete(
    store: &Store,
    catalogue: &Catalogue,
    author: &Principal,
    text: String,
) -> Result<Stack, Error> {
    may_change(author)?;
    let default = catalogue.stack.name.clone();
    store
        .write(author, move |tx| {
            let stack = resolve(tx, &text)?;
            if stack.name == default {
                return Err(Error::Conflict(format!(
                    "New spaces are put on the stack {default}, so it cannot be deleted; name another one in the catalogue first."
                )));
            }
            let spaces = store::stacks::count_spaces(tx, &stack.name)?;
            if spaces > 0 {
                return Err(Error::Conflict(format!(
                    "The stack {} cannot be deleted: {spaces} spaces are on it.",
                    stack.name
                )));
            }
            store::stacks::delete(tx, stack.id)?;
            tx.record(Event::StackDeleted { stack: stack.id })?;
            Ok(stack)
        })
        .await
}

fn may_change(author: &Principal) -> Result<(), Error> {
    if author.is_elevated() {
        return Ok(());
    }
    Err(Error::Forbidden("Only an administrator may change stacks.".to_owned()))
}

fn check_region(catalogue: &Catalogue, wanted: Option<&str>) -> Result<(), RuleError> {
    let region = &catalogue.region;
    match wanted {
        Some(text) if !region.name.eq_ignore_ascii_case(text.trim()) && text != region.id.to_string() => Err(
            RuleError::new(format!("The region {} does not exist; there is {}.", shown(text), region.name)),
        ),
        _ => Ok(()),
    }
}
