//! Releases: asked for by a client, or made by a build, within its transaction.

use super::{Error, apps, pipeline_couplings};
use crate::ids::Ids;
use crate::model::RuleError;
use crate::model::build::BuildState;
use crate::model::event::Event;
use crate::model::formation::{Formation, FormationCommand, Origin, Port, Quantity, Runs};
use crate::model::ids::{AppId, BuildId, FormationId, ReleaseId};
use crate::model::names::{ProcessType, SizeName};
use crate::model::oneoff::RELEASE_TYPE;
use crate::model::principal::Principal;
use crate::model::release::{Release, ReleaseKind, ReleaseState, check_description};
use crate::model::release_status::CheckState;
use crate::seal::Sealer;
use crate::store::{self, Connection, Store, Tx};

/// A release to be made.
#[derive(Debug, Clone)]
pub struct NewRelease {
    pub app: AppId,
    /// A build that succeeded.
    pub slug: BuildId,
    pub kind: ReleaseKind,
    pub description: String,
}

/// What a client asks to release: exactly one of the two.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// The app's newest build.
    LatestSlug,
    Slug(BuildId),
    /// An older release's slug again.
    Release(ReleaseId),
}

/// A release as the client asked for it.
#[derive(Debug, Clone)]
pub struct CreateRelease {
    pub wanted: Wanted,
    pub description: Option<String>,
}

/// What releases are made with.
#[derive(Debug, Clone)]
pub struct Maker {
    pub sealer: Sealer,
    pub ids: Ids,
    /// The size of a formation that the release makes.
    pub default_size: SizeName,
}

/// Makes a release of a slug, or of an older release's slug (`behaviour.md` §9).
pub async fn create(
    store: &Store,
    maker: &Maker,
    author: &Principal,
    app: AppId,
    request: CreateRelease,
) -> Result<Release, Error> {
    if let Some(description) = &request.description {
        check_description(description)?;
    }
    let maker = maker.clone();
    store
        .write(author, move |tx| {
            apps::still(tx, app)?;
            let (slug, kind, default) = match request.wanted {
                Wanted::Release(of) => {
                    let old = find(tx, app, of)?;
                    (old.slug, ReleaseKind::Rollback { of }, format!("Rollback to {of}"))
                }
                Wanted::Slug(_) | Wanted::LatestSlug => {
                    pipeline_couplings::check_not_downstream(tx, app)?;
                    let slug = releasable(tx, &maker.sealer, app, &request.wanted)?;
                    (slug, ReleaseKind::Slug, format!("Deploy of {slug}"))
                }
            };
            let given = request.description.filter(|text| !text.is_empty() && kind == ReleaseKind::Slug);
            let new = NewRelease { app, slug, kind, description: given.unwrap_or(default) };
            make(tx, &maker.ids, &maker.default_size, new)
        })
        .await
}

/// A release of this app.
pub fn find(connection: &Connection, app: AppId, id: ReleaseId) -> Result<Release, Error> {
    store::releases::find(connection, app, id)?
        .ok_or_else(|| Error::NotFound(format!("The release {id} does not exist.")))
}

/// A release with what is shown beside it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub release: Release,
    /// Whether it is the newest one that succeeded.
    pub current: bool,
    /// Its statuses together.
    pub checks: CheckState,
}

/// A release of this app, as it is shown.
pub fn view(connection: &Connection, app: AppId, id: ReleaseId) -> Result<Seen, Error> {
    let release = find(connection, app, id)?;
    let current = store::releases::current(connection, app)?.is_some_and(|current| current.id == id);
    Ok(Seen { release, current, checks: store::release_statuses::combined(connection, id)? })
}

/// Every release of an app as it is shown, oldest first.
pub fn list(connection: &Connection, app: AppId) -> Result<Vec<Seen>, Error> {
    let all = store::releases::list(connection, app)?;
    let checks = store::release_statuses::combined_of_app(connection, app)?;
    let succeeded = |release: &&Release| matches!(release.state, ReleaseState::Succeeded { .. });
    let current = all.iter().rev().find(succeeded).map(|release| release.id);
    let seen = |release: Release| Seen {
        current: current == Some(release.id),
        checks: checks.get(&release.id).copied().unwrap_or(CheckState::Success),
        release,
    };
    Ok(all.into_iter().map(seen).collect())
}

/// The slug that may be released on the app: its own, and built.
fn releasable(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
    wanted: &Wanted,
) -> Result<BuildId, Error> {
    let build = match wanted {
        Wanted::Slug(id) => store::builds::find(connection, sealer, *id)?.ok_or_else(|| {
            Error::Conflict(format!("The slug {id} does not exist; release one of the app's builds."))
        })?,
        Wanted::LatestSlug | Wanted::Release(_) => {
            store::builds::list(connection, sealer, app)?.pop().ok_or_else(|| {
                RuleError::new("The app has no build yet; create one before you release \"latest\".")
            })?
        }
    };
    let id = build.id;
    if build.app_id != app {
        return Err(Error::Conflict(format!(
            "The slug {id} belongs to another app; promote it through a pipeline."
        )));
    }
    match build.state {
        BuildState::Succeeded { .. } => Ok(id),
        BuildState::Queued | BuildState::Running { .. } => Err(Error::Conflict(format!(
            "The build {id} has not finished yet; release it once it has succeeded."
        ))),
        BuildState::Failed { .. } | BuildState::Stopped { .. } if matches!(wanted, Wanted::LatestSlug) => {
            Err(RuleError::new(format!("The newest build {id} failed; release another slug by its id."))
                .into())
        }
        BuildState::Failed { .. } | BuildState::Stopped { .. } => {
            Err(Error::Conflict(format!("The build {id} failed and made no slug.")))
        }
    }
}

/// Makes a release, and the formations that its slug's Procfile asks for (reading 20), in the caller's
/// transaction. An app without any formation gets one `web` dyno (`behaviour.md` §5).
pub fn make(tx: &mut Tx<'_>, ids: &Ids, default_size: &SizeName, new: NewRelease) -> Result<Release, Error> {
    follow_procfile(tx, ids, default_size, &new)?;
    if store::formations::list(tx, new.app)?.is_empty() {
        let web = formation(tx, ids, new.app, ProcessType::web(), default_size);
        add(tx, &web)?;
    }
    let release = Release {
        id: ReleaseId::new(ids.next()),
        app_id: new.app,
        slug: new.slug,
        version: store::releases::next_version(tx, new.app)?,
        description: new.description,
        kind: new.kind,
        state: ReleaseState::Queued,
        created_by: tx.author().clone(),
        created_at: tx.now(),
        updated_at: tx.now(),
    };
    store::releases::insert(tx, &release)?;
    tx.record(Event::ReleaseCreated { app: new.app, release: release.id, version: release.version })?;
    Ok(release)
}

fn follow_procfile(
    tx: &mut Tx<'_>,
    ids: &Ids,
    default_size: &SizeName,
    new: &NewRelease,
) -> Result<(), Error> {
    let mut wanted = store::builds::process_types(tx, new.slug)?;
    // Its command is run once, before the dynos start.
    wanted.retain(|(process_type, _)| process_type.as_str() != RELEASE_TYPE);
    let existing = store::formations::list(tx, new.app)?;
    for (process_type, command) in &wanted {
        match existing.iter().find(|formation| formation.process_type == *process_type) {
            None => {
                let mut made = formation(tx, ids, new.app, process_type.clone(), default_size);
                made.command = FormationCommand::Procfile(command.clone());
                made.origin = Origin::Procfile;
                add(tx, &made)?;
            }
            Some(found) if matches!(found.command, FormationCommand::User(_)) => {}
            Some(found) if found.command.command() == Some(command) => {}
            Some(found) => {
                let mut changed = found.clone();
                changed.command = FormationCommand::Procfile(command.clone());
                update(tx, &mut changed)?;
            }
        }
    }
    for gone in existing.iter().filter(|formation| !wanted.iter().any(|(t, _)| *t == formation.process_type))
    {
        // `web` stays with the image's own command: an app without a Procfile still has its web dynos.
        let removable = gone.origin == Origin::Procfile && !gone.process_type.is_web();
        if removable {
            store::formations::delete(tx, gone.id)?;
            tx.record(Event::FormationDeleted {
                app: new.app,
                formation: gone.id,
                process_type: gone.process_type.clone(),
            })?;
        } else if matches!(gone.command, FormationCommand::Procfile(_)) {
            let mut changed = gone.clone();
            changed.command = FormationCommand::Image;
            update(tx, &mut changed)?;
        }
    }
    Ok(())
}

/// `web` runs one dyno, any other type none until the user scales it.
fn formation(tx: &Tx<'_>, ids: &Ids, app: AppId, process_type: ProcessType, size: &SizeName) -> Formation {
    let web = process_type.is_web();
    Formation {
        id: FormationId::new(ids.next()),
        app_id: app,
        process_type,
        size: size.clone(),
        quantity: if web { Quantity::ONE } else { Quantity::ZERO },
        command: FormationCommand::Image,
        port: web.then_some(Port::DEFAULT),
        healthcheck: None,
        origin: Origin::User,
        runs: Runs::Always,
        restarts: 0,
        created_at: tx.now(),
        updated_at: tx.now(),
    }
}

fn add(tx: &mut Tx<'_>, formation: &Formation) -> Result<(), Error> {
    store::formations::insert(tx, formation)?;
    tx.record(Event::FormationCreated {
        app: formation.app_id,
        formation: formation.id,
        process_type: formation.process_type.clone(),
    })?;
    Ok(())
}

fn update(tx: &mut Tx<'_>, formation: &mut Formation) -> Result<(), Error> {
    formation.updated_at = tx.now();
    store::formations::update(tx, formation)?;
    tx.record(Event::FormationUpdated {
        app: formation.app_id,
        formation: formation.id,
        process_type: formation.process_type.clone(),
    })?;
    Ok(())
}
