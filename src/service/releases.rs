//! Releases: what makes one, within a transaction.

use super::Error;
use crate::ids::Ids;
use crate::model::event::Event;
use crate::model::formation::{Formation, FormationCommand, Origin, Port, Quantity};
use crate::model::ids::{AppId, BuildId, FormationId, ReleaseId};
use crate::model::names::{ProcessType, SizeName};
use crate::model::release::{Release, ReleaseKind, ReleaseState};
use crate::store::{self, Tx};

/// A release to be made.
#[derive(Debug, Clone)]
pub struct NewRelease {
    pub app: AppId,
    /// A build that succeeded.
    pub slug: BuildId,
    pub kind: ReleaseKind,
    pub description: String,
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
    let wanted = store::builds::process_types(tx, new.slug)?;
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
