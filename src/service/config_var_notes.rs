//! Notes on config vars: what is shown of them, and writing them.

use std::collections::BTreeMap;

use super::{Error, apps};
use crate::model::RuleError;
use crate::model::config_var;
use crate::model::config_var_note::{ConfigVarNote, ConfigVarNotes};
use crate::model::event::Event;
use crate::model::ids::AppId;
use crate::model::names::ConfigVarName;
use crate::model::principal::Principal;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// What a client asks for of one config var; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct NoteChange {
    pub description: Option<String>,
    pub required: Option<bool>,
}

/// The note of every config var, also of those that addons bring.
pub fn list(connection: &Connection, sealer: &Sealer, app: AppId) -> Result<ConfigVarNotes, Error> {
    let mut notes = store::config_var_notes::list(connection, app)?;
    let vars = store::config_vars::effective(connection, sealer, app)?;
    notes.retain(|name, _| vars.contains_key(name));
    for name in vars.into_keys() {
        notes.entry(name).or_default();
    }
    Ok(notes)
}

/// Writes notes, all of them or none (`behaviour.md` §13): 409 for what the platform sets, 422 for a config
/// var that is not there. Answers every note.
pub async fn update(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    app: AppId,
    changes: BTreeMap<String, NoteChange>,
) -> Result<ConfigVarNotes, Error> {
    let changes = changes
        .into_iter()
        .map(|(name, change)| Ok((ConfigVarName::parse(&name)?, change)))
        .collect::<Result<Vec<_>, RuleError>>()?;
    if let Some((name, _)) = changes.iter().find(|(name, _)| config_var::is_reserved(name)) {
        return Err(Error::Conflict(format!(
            "The config var {name} is set by the platform and cannot have a note."
        )));
    }
    let sealer = sealer.clone();
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            write(tx, &sealer, app, changes)
        })
        .await
}

/// Writes notes in the caller's transaction; gives all that are there then.
pub(super) fn write(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    app: AppId,
    changes: Vec<(ConfigVarName, NoteChange)>,
) -> Result<ConfigVarNotes, Error> {
    let mut notes = list(tx, sealer, app)?;
    let mut changed = Vec::new();
    for (name, change) in changes {
        let note = notes.get_mut(&name).ok_or_else(|| {
            RuleError::new(format!("The app has no config var {name}; set it before its note."))
        })?;
        let new = ConfigVarNote {
            description: change.description.unwrap_or_else(|| note.description.clone()),
            required: change.required.unwrap_or(note.required),
        };
        new.check(&name)?;
        if new != *note {
            store::config_var_notes::set(tx, app, &name, &new)?;
            *note = new;
            changed.push(name);
        }
    }
    if !changed.is_empty() {
        tx.record(Event::ConfigVarNotesChanged { app, names: changed })?;
    }
    Ok(notes)
}
