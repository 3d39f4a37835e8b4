//! Config vars: what is shown of them, and changing them.
//!
//! Invariant: no value reaches an event, a log or an error.

use std::collections::BTreeMap;

use super::{Error, apps};
use crate::model::RuleError;
use crate::model::addon_attachment::AddonVariable;
use crate::model::app::App;
use crate::model::config_var::{self, ConfigChange, ConfigValue, ConfigVars, REDACTED, TOTAL_LIMIT};
use crate::model::event::{ChangeKind, ConfigVarChanged, Event};
use crate::model::formation::Port;
use crate::model::ids::AppId;
use crate::model::names::{ConfigVarName, ProcessType};
use crate::model::principal::Principal;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// What a client asks for, by name: a text to set, `None` to remove.
pub type ConfigChanges = BTreeMap<String, Option<String>>;

/// All config vars of an app as a client may see them: those of its addons and `PORT` too, and redacted in a `socs` space (reading 13).
pub fn shown(connection: &Connection, sealer: &Sealer, app: &App) -> Result<BTreeMap<String, String>, Error> {
    show(connection, app, &store::config_vars::effective(connection, sealer, app.id)?)
}

fn show(connection: &Connection, app: &App, vars: &ConfigVars) -> Result<BTreeMap<String, String>, Error> {
    let web = store::formations::find(connection, app.id, &ProcessType::web())?;
    let port = web.and_then(|formation| formation.port).unwrap_or(Port::DEFAULT);
    let text = |name: &ConfigVarName, value: &ConfigValue| {
        if app.space.compliance.is_socs() {
            config_var::redacted(name.as_str(), value.reveal())
        } else {
            value.reveal().to_owned()
        }
    };
    let mut shown: BTreeMap<String, String> =
        vars.iter().map(|(name, value)| (name.to_string(), text(name, value))).collect();
    shown.insert("PORT".to_owned(), port.get().to_string());
    Ok(shown)
}

/// Sets and removes config vars and returns the whole merged map (reading 12). Only real changes are
/// written and told of; all of them or none.
pub async fn update(
    store: &Store,
    sealer: &Sealer,
    author: &Principal,
    app: AppId,
    changes: ConfigChanges,
) -> Result<BTreeMap<String, String>, Error> {
    let changes = parse(changes)?;
    let sealer = sealer.clone();
    store
        .write(author, move |tx| {
            let app = apps::still(tx, app)?;
            let vars = change(tx, &sealer, app.id, changes)?;
            show(tx, &app, &vars)
        })
        .await
}

/// Makes the changes in the caller's transaction; gives all that is set then.
pub(super) fn change(
    tx: &mut Tx<'_>,
    sealer: &Sealer,
    app: AppId,
    changes: Vec<(ConfigVarName, ConfigChange)>,
) -> Result<ConfigVars, Error> {
    let mut vars = store::config_vars::list(tx, sealer, app)?;
    let brought = store::addon_attachments::variables(tx, sealer, app)?;
    let mut told = Vec::new();
    for (name, change) in changes {
        if let Some(variable) = brought.get(&name) {
            check_brought(&name, &change, variable)?;
            continue;
        }
        if let Some(change) = apply(&mut vars, &name, change) {
            write(tx, sealer, app, &vars, &name)?;
            told.push(ConfigVarChanged { change, name });
        }
    }
    vars.extend(brought.into_iter().map(|(name, variable)| (name, variable.value)));
    check_total(&vars)?;
    if !told.is_empty() {
        tx.record(Event::ConfigVarsChanged { app, changes: told })?;
    }
    Ok(vars)
}

/// Checks every name before it looks at what is reserved, and that before the values (`behaviour.md` §13).
pub(super) fn parse(changes: ConfigChanges) -> Result<Vec<(ConfigVarName, ConfigChange)>, Error> {
    let named: Vec<(ConfigVarName, Option<String>)> = changes
        .into_iter()
        .map(|(name, value)| Ok((ConfigVarName::parse(&name)?, value)))
        .collect::<Result<_, RuleError>>()?;
    if let Some((name, _)) = named.iter().find(|(name, _)| config_var::is_reserved(name)) {
        return Err(Error::Conflict(format!(
            "The config var {name} is set by the platform and cannot be changed here."
        )));
    }
    let parsed = named.into_iter().map(|(name, value)| {
        let change = match value {
            Some(text) => ConfigChange::Set(ConfigValue::parse(&name, &text)?),
            None => ConfigChange::Remove,
        };
        Ok((name, change))
    });
    Ok(parsed.collect::<Result<_, RuleError>>()?)
}

/// Applies one change; `None` when it changes nothing.
fn apply(vars: &mut ConfigVars, name: &ConfigVarName, change: ConfigChange) -> Option<ChangeKind> {
    match change {
        ConfigChange::Remove => vars.remove(name).map(|_| ChangeKind::Delete),
        ConfigChange::Set(value) => match vars.get(name) {
            Some(old) if *old == value || means_unchanged(name, old, &value) => None,
            Some(_) => {
                vars.insert(name.clone(), value);
                Some(ChangeKind::Update)
            }
            None if value.reveal() == REDACTED => None,
            None => {
                vars.insert(name.clone(), value);
                Some(ChangeKind::Create)
            }
        },
    }
}

/// A client that sends back what it was shown changes nothing (reading 12).
fn means_unchanged(name: &ConfigVarName, old: &ConfigValue, sent: &ConfigValue) -> bool {
    let sent = sent.reveal();
    sent == REDACTED || (sent.contains(REDACTED) && sent == config_var::redacted(name.as_str(), old.reveal()))
}

/// What an addon brings cannot be changed; what a client sends back as it was shown changes nothing.
fn check_brought(name: &ConfigVarName, change: &ConfigChange, owner: &AddonVariable) -> Result<(), Error> {
    match change {
        ConfigChange::Set(value) if owner.value == *value || means_unchanged(name, &owner.value, value) => {
            Ok(())
        }
        ConfigChange::Set(_) | ConfigChange::Remove => Err(Error::Conflict(format!(
            "The config var {name} is set by the addon {} and cannot be changed here; rename, promote or delete the addon instead.",
            owner.attachment
        ))),
    }
}

fn write(
    tx: &Tx<'_>,
    sealer: &Sealer,
    app: AppId,
    vars: &ConfigVars,
    name: &ConfigVarName,
) -> Result<(), Error> {
    if let Some(value) = vars.get(name) {
        store::config_vars::set(tx, sealer, app, name, value)?;
    } else {
        store::config_vars::remove(tx, app, name)?;
        store::config_var_notes::remove(tx, app, name)?;
    }
    Ok(())
}

/// Whether a dyno can be started with these.
pub(super) fn check_total(vars: &ConfigVars) -> Result<(), RuleError> {
    let total: usize = vars.iter().map(|(name, value)| name.as_str().len() + value.reveal().len()).sum();
    if total > TOTAL_LIMIT {
        return Err(RuleError::new(format!(
            "The config vars of the app would have {total} bytes together; a dyno can be started with at most {TOTAL_LIMIT}."
        )));
    }
    Ok(())
}
