//! App setups: an app made of a blueprint, and the blueprint of an app (`behaviour.md` §4).
//!
//! Invariant: each step and the note that it is done are one transaction, so that none is done twice.

mod check;
mod export;
mod manifest;
mod steps;

use std::sync::Arc;

use arc_swap::ArcSwap;

pub use self::export::blueprint_of;
pub use self::manifest::{ManifestFinding, note_manifest};
pub use self::steps::{Advance, advance};
use super::apps::{self, CheckedApp, NewApp};
use super::{Error, builds};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::app::App;
use crate::model::app_setup::{AppSetup, Progress, SetupOrder, SetupStatus};
use crate::model::blueprint::Blueprint;
use crate::model::build::{Build, BuildSource};
use crate::model::catalogue::Catalogue;
use crate::model::event::Event;
use crate::model::ids::{AppId, AppSetupId, BuildId};
use crate::model::principal::{Principal, Reach};
use crate::model::rule::shown;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// What setups are made and carried out with.
#[derive(Debug, Clone)]
pub struct SetupTools {
    pub sealer: Sealer,
    pub ids: Ids,
    pub catalogue: Arc<ArcSwap<Catalogue>>,
}

/// A setup as the client asked for it, with what became of its source.
#[derive(Debug)]
pub struct NewSetup {
    pub blueprint: Blueprint,
    /// The id that the build gets; an upload lies in the `sources` folder under it already.
    pub build: BuildId,
    /// The source, or what is wrong with it.
    pub source: Result<BuildSource, RuleError>,
}

/// A setup with the app and the build that came of it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub setup: AppSetup,
    /// May be deleted by now.
    pub app: App,
    pub build: Option<Build>,
    /// How the script of `app.json` ended.
    pub exit_code: Option<i64>,
}

/// Makes the app and queues all that follows. Whatever is wrong is answered at once, with every reason, and changes
/// nothing.
pub async fn create(
    store: &Store,
    tools: &SetupTools,
    author: &Principal,
    mut new: NewSetup,
) -> Result<Seen, Error> {
    let mut reasons = check::normalise(&mut new.blueprint);
    reasons.extend(check::reasons(&new.blueprint, &tools.catalogue.load()));
    let source = new.source.map_err(|reason| reasons.push(reason)).ok();
    let (ids, sealer, author) = (tools.ids.clone(), tools.sealer.clone(), author.clone());
    let (blueprint, build) = (new.blueprint, new.build);
    store
        .write(&author.clone(), move |tx| {
            let app = make_app(tx, &ids, &author, &blueprint, &mut reasons)?;
            let (Some(app), Some(source), true) = (app, source, reasons.is_empty()) else {
                return Err(check::all(&reasons).into());
            };
            builds::may_build(&author, &app)?;
            let unread = !matches!(source, BuildSource::Image { .. });
            let order = SetupOrder { author, blueprint, source, postdeploy: None, unread };
            let setup = AppSetup {
                id: AppSetupId::new(ids.next()),
                app_id: app.id,
                build_id: build,
                status: SetupStatus::Pending,
                progress: Progress::of(order.total()),
                step: order.steps().first().map(ToString::to_string).unwrap_or_default(),
                failures: Vec::new(),
                manifest_errors: Vec::new(),
                success_url: None,
                postdeploy: None,
                created_by: tx.author().clone(),
                created_at: tx.now(),
                updated_at: tx.now(),
            };
            store::app_setups::insert(tx, &sealer, &setup, &order)?;
            tx.record(Event::AppSetupCreated { app: app.id, setup: setup.id })?;
            Ok(Seen { setup, app, build: None, exit_code: None })
        })
        .await
}

/// The setup of that id, refused when its app is not within reach.
pub fn view(connection: &Connection, sealer: &Sealer, reach: &Reach, text: &str) -> Result<Seen, Error> {
    let unknown = || Error::NotFound(format!("The app setup {} does not exist.", shown(text)));
    let id: AppSetupId = text.parse().map_err(|_| unknown())?;
    let setup = store::app_setups::find(connection, id)?.ok_or_else(unknown)?;
    let app = store::apps::find_any(connection, setup.app_id)?.ok_or_else(unknown)?;
    let app = apps::check_reach(reach, app)?;
    let build = store::builds::find(connection, sealer, setup.build_id)?;
    let exit_code = match &setup.postdeploy {
        Some(dyno) => store::oneoffs::find_end(connection, app.id, dyno)?.and_then(|end| end.exit_code),
        None => None,
    };
    Ok(Seen { setup, app, build, exit_code })
}

/// The app of the blueprint; what is against it becomes a reason like all others, but for a right that is missing.
fn make_app(
    tx: &mut Tx<'_>,
    ids: &Ids,
    author: &Principal,
    blueprint: &Blueprint,
    reasons: &mut Vec<RuleError>,
) -> Result<Option<App>, Error> {
    let wanted = &blueprint.app;
    if let Some(stack) = &wanted.stack
        && store::stacks::find_by_name(tx, stack)?.is_none()
    {
        reasons.push(RuleError::new(format!("The stack {} does not exist.", shown(stack))));
    }
    let new = NewApp {
        name: wanted.name.clone(),
        space: wanted.space.clone(),
        organization: wanted.organization().to_owned(),
        description: wanted.description.clone(),
        labels: wanted.labels.clone(),
    };
    // Its parts are among the reasons already where they are wrong.
    let Ok(new) = CheckedApp::parse(new) else { return Ok(None) };
    match apps::add(tx, AppId::new(ids.next()), &author.reach, new) {
        Ok(app) => Ok(Some(app)),
        Err(error @ (Error::NotFound(_) | Error::Conflict(_) | Error::Invalid(_) | Error::BadRequest(_))) => {
            reasons.push(RuleError::new(error.to_string()));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
