//! Apps: naming one, making, changing and deleting it.

use uuid::Uuid;

use super::{Error, addons, organizations, pipeline_couplings, previews, routes};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::app::{App, AppOrganization, AppSpace, check_description, check_labels};
use crate::model::build::BuildState;
use crate::model::event::Event;
use crate::model::feature::Feature;
use crate::model::ids::{AppId, SpaceId};
use crate::model::names::{AppKey, AppName, OrganizationName, SpaceName};
use crate::model::principal::{Principal, Reach};
use crate::model::rule::shown;
use crate::model::space::Space;
use crate::store::{self, Connection, Store, Tx};

/// An app to be made, as the client wrote it.
#[derive(Debug, Clone)]
pub struct NewApp {
    pub name: String,
    /// Name or id of a space.
    pub space: String,
    /// Name of an organization.
    pub organization: String,
    pub description: String,
    pub labels: String,
}

/// The same, checked.
pub(super) struct CheckedApp {
    name: AppName,
    space: SpaceReference,
    organization: OrganizationName,
    description: String,
    labels: String,
}

/// What shall change; `None` leaves it.
#[derive(Debug, Clone, Default)]
pub struct AppChange {
    pub maintenance: Option<bool>,
    pub description: Option<String>,
    pub labels: Option<String>,
}

/// How a client names a space: checked, not looked up.
enum SpaceReference {
    Id(SpaceId),
    Name(SpaceName),
}

/// The live app that a text names: its id, its key, or its short name when only one app within reach has it
/// (reading 3). An app outside the reach is refused.
pub fn resolve(connection: &Connection, reach: &Reach, text: &str) -> Result<App, Error> {
    let unknown = || Error::NotFound(format!("The app {} does not exist.", shown(text)));
    if let Ok(id) = Uuid::try_parse(text) {
        let app = store::apps::find(connection, AppId::new(id))?.ok_or_else(unknown)?;
        return check_reach(reach, app);
    }
    if let Some((name, space)) = AppKey::split(text) {
        let (Ok(name), Ok(space)) = (AppName::parse(name), SpaceName::parse(space)) else {
            return Err(unknown());
        };
        let app = store::apps::find_by_key(connection, &name, &space)?.ok_or_else(unknown)?;
        return check_reach(reach, app);
    }
    let Ok(name) = AppName::parse(text) else { return Err(unknown()) };
    let (mut apps, mut others): (Vec<App>, Vec<App>) = store::apps::list_by_name(connection, &name)?
        .into_iter()
        .partition(|app| reach.includes(app.organization.id));
    match (apps.pop(), apps.is_empty()) {
        (None, _) => others.pop().map_or_else(|| Err(unknown()), |other| check_reach(reach, other)),
        (Some(only), true) => Ok(only),
        (Some(last), false) => {
            let keys: Vec<String> = apps.iter().chain([&last]).map(|app| app.key().to_string()).collect();
            Err(RuleError::new(format!("Several apps are named {name}; use one of {}.", keys.join(", ")))
                .into())
        }
    }
}

/// The live apps within reach, oldest first.
pub fn list(connection: &Connection, reach: &Reach) -> Result<Vec<App>, Error> {
    let mut all = store::apps::list(connection)?;
    all.retain(|app| reach.includes(app.organization.id));
    Ok(all)
}

/// The app, when it belongs to an organization within reach.
pub fn check_reach(reach: &Reach, app: App) -> Result<App, Error> {
    if reach.includes(app.organization.id) {
        return Ok(app);
    }
    Err(Error::Forbidden(format!(
        "The app {} belongs to the organization {}, of which you are no member; one of its administrators can add you.",
        app.key(),
        app.organization.name
    )))
}

/// Makes an app. The order of the checks is that of `behaviour.md` §3: the name, the space's, the
/// organization's, the length of the key, an unknown organization, an unknown space, an existing app.
pub async fn create(store: &Store, ids: &Ids, author: &Principal, new: NewApp) -> Result<App, Error> {
    let new = CheckedApp::parse(new)?;
    let (id, reach) = (AppId::new(ids.next()), author.reach.clone());
    store.write(author, move |tx| add(tx, id, &reach, new)).await
}

/// Makes an app in the caller's transaction.
pub(super) fn add(tx: &mut Tx<'_>, id: AppId, reach: &Reach, new: CheckedApp) -> Result<App, Error> {
    let organization = organizations::resolve(tx, reach, new.organization.as_str())?;
    let space = new.space.find(tx)?;
    AppKey::new(&new.name, &space.name)?;
    let app = App {
        id,
        name: new.name,
        space: AppSpace { id: space.id, name: space.name, compliance: space.compliance, stack: space.stack },
        organization: AppOrganization { id: organization.id, name: organization.name },
        preview: None,
        description: new.description,
        labels: new.labels,
        maintenance: false,
        created_at: tx.now(),
        updated_at: tx.now(),
        released_at: None,
    };
    insert(tx, &app, Feature::ON_AT_CREATION)?;
    Ok(app)
}

/// Changes description, labels or maintenance; what is already so changes nothing.
pub async fn update(store: &Store, author: &Principal, id: AppId, change: AppChange) -> Result<App, Error> {
    change.description.as_deref().map(check_description).transpose()?;
    change.labels.as_deref().map(check_labels).transpose()?;
    store
        .write(author, move |tx| {
            let old = still(tx, id)?;
            let mut app = old.clone();
            app.maintenance = change.maintenance.unwrap_or(app.maintenance);
            app.description = change.description.unwrap_or(app.description);
            app.labels = change.labels.unwrap_or(app.labels);
            if app != old {
                app.updated_at = tx.now();
                store::apps::update(tx, &app)?;
                tx.record(Event::AppUpdated { app: id })?;
            }
            Ok(app)
        })
        .await
}

/// Deletes an app and its previews: they are hidden from every reader at once, their unfinished builds are stopped,
/// and what they have in the engine is removed afterwards. In a `socs` or `prod` space only an elevated principal may.
pub async fn delete(store: &Store, author: &Principal, id: AppId) -> Result<App, Error> {
    let elevated = author.is_elevated();
    store
        .write(author, move |tx| {
            let app = still(tx, id)?;
            if app.space.compliance.needs_elevation() && !elevated {
                return Err(Error::Forbidden(format!(
                    "Only an administrator may delete an app in the space {}, because of its compliance.",
                    app.space.name
                )));
            }
            if store::app_setups::is_pending(tx, id)? {
                return Err(Error::Conflict(format!(
                    "The app {} is still being set up; wait for its setup, or stop its build, and delete it then.",
                    app.key()
                )));
            }
            remove(tx, &app)?;
            Ok(app)
        })
        .await
}

/// Deletes an app in the caller's transaction, which has seen to it that this may be.
pub(super) fn remove(tx: &mut Tx<'_>, app: &App) -> Result<(), Error> {
    let id = app.id;
    previews::remove_of_source(tx, id)?;
    for build in store::builds::list_unfinished_of(tx, id)? {
        let state = BuildState::Stopped { by: tx.author().clone(), finished_at: tx.now() };
        store::builds::set_state(tx, build, &state)?;
        tx.record(Event::BuildStopped { app: id, build })?;
    }
    addons::remove_of_app(tx, id)?;
    pipeline_couplings::remove_of_app(tx, id)?;
    routes::remove_of_app(tx, id)?;
    store::filter_attachments::delete_of_app(tx, id)?;
    store::log_drains::remove_of_app(tx, id)?;
    store::auto_builds::mark_removed_of_app(tx, id)?;
    previews::remove_rest(tx, app)?;
    store::apps::mark_deleted(tx, id)?;
    tx.record(Event::AppDeleted { app: id })?;
    Ok(())
}

/// The app as it is within a write: it may have been deleted since the request named it.
pub(super) fn still(tx: &Tx<'_>, id: AppId) -> Result<App, Error> {
    let found = store::apps::find(tx, id)?;
    found.ok_or_else(|| Error::NotFound(format!("The app {id} does not exist.")))
}

/// Adds an app that has these features on and nothing else.
pub(super) fn insert(tx: &mut Tx<'_>, app: &App, features: &[Feature]) -> Result<(), Error> {
    store::apps::insert(tx, app)
        .map_err(|error| Error::exists(error, || format!("The app {} exists already.", app.key())))?;
    for feature in features {
        store::features::set(tx, app.id, *feature, true)?;
    }
    tx.record(Event::AppCreated { app: app.id })?;
    Ok(())
}

impl CheckedApp {
    /// Checks what needs no look at others.
    pub(super) fn parse(new: NewApp) -> Result<Self, RuleError> {
        let name = AppName::parse(&new.name)?;
        let space = SpaceReference::parse(&new.space)?;
        let organization = OrganizationName::parse(&new.organization)?;
        if let SpaceReference::Name(space) = &space {
            AppKey::new(&name, space)?;
        }
        check_description(&new.description)?;
        check_labels(&new.labels)?;
        Ok(Self { name, space, organization, description: new.description, labels: new.labels })
    }
}

impl SpaceReference {
    fn parse(text: &str) -> Result<Self, RuleError> {
        Uuid::try_parse(text)
            .map(|id| Self::Id(SpaceId::new(id)))
            .or_else(|_| SpaceName::parse(text).map(Self::Name))
    }

    fn find(&self, connection: &Connection) -> Result<Space, Error> {
        let (found, text) = match self {
            Self::Id(id) => (store::spaces::find(connection, *id)?, id.to_string()),
            Self::Name(name) => (store::spaces::find_by_name(connection, name)?, name.to_string()),
        };
        found.ok_or_else(|| Error::NotFound(format!("The space {text} does not exist.")))
    }
}
