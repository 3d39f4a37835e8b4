//! Apps: naming one, making, changing and deleting it.

use uuid::Uuid;

use super::Error;
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::ids::AppId;
use crate::model::names::{AppKey, AppName, SpaceName};
use crate::model::rule::shown;
use crate::store::{self, Connection};

/// The live app that a text names: its id, its key, or its short name when only one app has it (reading 3).
pub fn resolve(connection: &Connection, text: &str) -> Result<App, Error> {
    let unknown = || Error::NotFound(format!("The app {} does not exist.", shown(text)));
    if let Ok(id) = Uuid::try_parse(text) {
        return store::apps::find(connection, AppId::new(id))?.ok_or_else(unknown);
    }
    if let Some((name, space)) = AppKey::split(text) {
        let (Ok(name), Ok(space)) = (AppName::parse(name), SpaceName::parse(space)) else {
            return Err(unknown());
        };
        return store::apps::find_by_key(connection, &name, &space)?.ok_or_else(unknown);
    }
    let Ok(name) = AppName::parse(text) else { return Err(unknown()) };
    let mut apps = store::apps::list_by_name(connection, &name)?;
    match (apps.pop(), apps.is_empty()) {
        (None, _) => Err(unknown()),
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            let keys: Vec<String> = apps.iter().chain([&last]).map(|app| app.key().to_string()).collect();
            Err(RuleError::new(format!("Several apps are named {name}; use one of {}.", keys.join(", ")))
                .into())
        }
    }
}
