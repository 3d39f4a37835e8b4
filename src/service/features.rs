//! Features of an app: what is offered, what is on, and switching one.

use super::{Error, apps, previews};
use crate::model::catalogue::Catalogue;
use crate::model::event::Event;
use crate::model::feature::{Feature, FeatureState, OfferedFeature};
use crate::model::ids::AppId;
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::store::{self, Connection, Store, Tx};

/// A feature, and whether it is on for an app.
#[derive(Debug, Clone)]
pub struct Setting {
    pub offered: OfferedFeature,
    pub enabled: bool,
}

/// Every feature that the catalogue offers, in its order.
pub fn list(connection: &Connection, catalogue: &Catalogue, app: AppId) -> Result<Vec<Setting>, Error> {
    let on = store::features::list_enabled(connection, app)?;
    let setting = |offered: &OfferedFeature| Setting {
        enabled: on.contains(&offered.feature),
        offered: offered.clone(),
    };
    Ok(catalogue.features.iter().map(setting).collect())
}

/// The feature of that name or id.
pub fn find(
    connection: &Connection,
    catalogue: &Catalogue,
    app: AppId,
    text: &str,
) -> Result<Setting, Error> {
    let offered = offered(catalogue, text)?;
    let enabled = store::features::is_enabled(connection, app, offered.feature)?;
    Ok(Setting { offered, enabled })
}

/// Switches a feature (`behaviour.md` §14): unknown ones are not found, deprecated ones stay as they are.
/// Only a real change is written and told of. Without the feature `preview` the previews go.
pub async fn set(
    store: &Store,
    catalogue: &Catalogue,
    author: &Principal,
    app: AppId,
    (text, enabled): (&str, bool),
) -> Result<Setting, Error> {
    let offered = offered(catalogue, text)?;
    if offered.state == FeatureState::Deprecated {
        return Err(Error::Forbidden(format!(
            "The feature {} is deprecated and cannot be switched.",
            offered.feature
        )));
    }
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            switch(tx, app, offered.feature, enabled)?;
            Ok(Setting { offered, enabled })
        })
        .await
}

/// Switches a feature in the caller's transaction.
pub(super) fn switch(tx: &mut Tx<'_>, app: AppId, feature: Feature, enabled: bool) -> Result<(), Error> {
    if store::features::is_enabled(tx, app, feature)? != enabled {
        store::features::set(tx, app, feature, enabled)?;
        tx.record(Event::FeatureChanged { app, feature, enabled })?;
        if feature == Feature::Preview && !enabled {
            previews::remove_of_source(tx, app)?;
        }
    }
    Ok(())
}

/// What the catalogue says of the feature of that name or id.
pub(super) fn offered(catalogue: &Catalogue, text: &str) -> Result<OfferedFeature, Error> {
    let is_named = |offered: &&OfferedFeature| {
        offered.feature.as_str().eq_ignore_ascii_case(text) || offered.id.to_string() == text
    };
    let found = catalogue.features.iter().find(is_named).cloned();
    found.ok_or_else(|| {
        Error::NotFound(format!(
            "The feature {} does not exist; GET …/features lists what there is.",
            shown(text)
        ))
    })
}
