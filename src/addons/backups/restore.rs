//! Gives an instance the data of a backup: through a program of its service, or as files in a new volume.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use super::folder::blocking;
use super::storage::Fetched;
use super::{BackupError, CHECK_LIMIT, LONG_LIMIT};
use crate::addons::instances::{Blueprint, Context, Inside, InstanceError, image};
use crate::engine::instance::{InstanceRole, InstanceVolume, ObservedInstance};
use crate::engine::{ContainerId, ContainerState};
use crate::failpoint;
use crate::model::addon_backup::{AddonBackup, BackupState};
use crate::model::addon_engine::{BackupMethod, RestoreMethod, RestoredFile, Template};
use crate::model::addon_instance::{AddonInstance, InstancePhase};
use crate::model::ids::AddonId;
use crate::model::journal::JournalStep;
use crate::model::principal::Principal;
use crate::store::{self, StoreError, Tx};

/// How long an instance may take to start with restored data.
const READY_LIMIT: Duration = Duration::from_mins(5);
/// Between two questions whether it has.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// Replaces the data of an instance; returns what the check of the data says.
pub(super) async fn restore(
    context: &Context,
    backup: &AddonBackup,
    target: AddonId,
) -> Result<String, BackupError> {
    let instance = ready(context, target).await?;
    let (blueprint, method) = blueprint(context, &instance)?;
    let fetched = fetch(context, backup).await?;
    match &method.restore {
        RestoreMethod::Program(program) => {
            let container = running(context, &instance, &blueprint).await?;
            let inside = Inside { engine: &*context.engine, id: &container.id, blueprint: &blueprint };
            let fed = feed(fetched.path(), inside, program).await;
            excused(fed, inside, &container.state).await?;
            failpoint::reached(JournalStep::BackupRestored);
            check(inside, &method).await
        }
        RestoreMethod::Files(files) => {
            lay_out(context, fetched.path(), (&instance, &blueprint), files).await?;
            let next = advance(context, &instance).await?;
            failpoint::reached(JournalStep::BackupRestored);
            context.wake.activate();
            let blueprint = Blueprint::of(context, &next).ok_or(BackupError::NotReady)?;
            let container = wait_for_healthy(context, &next, &blueprint).await?;
            check(Inside { engine: &*context.engine, id: &container, blueprint: &blueprint }, &method).await
        }
    }
}

/// The instance, which must be in use.
pub(super) async fn ready(context: &Context, addon: AddonId) -> Result<AddonInstance, BackupError> {
    let sealer = context.sealer.clone();
    let found = context.store.read(move |c| store::addon_instances::find(c, &sealer, addon)).await?;
    match found {
        Some(instance) => match instance.phase {
            InstancePhase::Ready => Ok(instance),
            InstancePhase::Making => Err(BackupError::NotReady),
            InstancePhase::Failed | InstancePhase::Removing => {
                Err(BackupError::Final("The addon failed or was deleted.".to_owned()))
            }
        },
        None => Err(BackupError::Final("The addon is not there any more.".to_owned())),
    }
}

/// What the catalogue says of an instance, and how backups of it are made.
pub(super) fn blueprint(
    context: &Context,
    instance: &AddonInstance,
) -> Result<(Blueprint, BackupMethod), BackupError> {
    let none = || BackupError::Final(format!("The service {} makes no backups.", instance.service));
    let blueprint = Blueprint::of(context, instance).ok_or_else(none)?;
    let method = blueprint.engine.backup.clone().ok_or_else(none)?;
    Ok((blueprint, method))
}

/// The container of an instance, which must run as it shall.
pub(super) async fn running(
    context: &Context,
    instance: &AddonInstance,
    blueprint: &Blueprint,
) -> Result<ObservedInstance, BackupError> {
    let found = context.engine.list_instances().await?.into_iter().find(|one| {
        one.addon == instance.addon
            && one.role == InstanceRole::Service
            && one.fingerprint == blueprint.fingerprint
            && matches!(one.state, ContainerState::Running { .. })
    });
    found.ok_or(BackupError::NotReady)
}

/// What a program failed at while its instance does not serve (it may be going down just now) says nothing: it is
/// tried again.
pub(super) async fn excused<T>(
    result: Result<T, BackupError>,
    inside: Inside<'_>,
    state: &ContainerState,
) -> Result<T, BackupError> {
    match result {
        Err(BackupError::Instance(InstanceError::Program(_))) if inside.is_healthy(state).await.is_err() => {
            Err(BackupError::NotReady)
        }
        result => result,
    }
}

/// The backup on the disk; one that is not what was written is not restored.
pub(super) async fn fetch(context: &Context, backup: &AddonBackup) -> Result<Fetched, BackupError> {
    let BackupState::Succeeded(content) = &backup.state else {
        return Err(BackupError::Final("The backup was not made.".to_owned()));
    };
    let fetching = context.backups.fetch((backup.id, context.ids.next()), content);
    let fetched = tokio::time::timeout(LONG_LIMIT, fetching).await;
    Ok(fetched
        .map_err(|_| BackupError::Final(format!("The backup was not there after {LONG_LIMIT:?}.")))??)
}

/// Lets a program inside of an instance read the backup.
pub(super) async fn feed(backup: &Path, inside: Inside<'_>, program: &[Template]) -> Result<(), BackupError> {
    let file = tokio::fs::File::open(backup).await?;
    inside.run(program, (Some(Box::pin(file)), None), LONG_LIMIT).await?;
    Ok(())
}

/// Has the data looked at; returns what was found.
pub(super) async fn check(inside: Inside<'_>, method: &BackupMethod) -> Result<String, BackupError> {
    Ok(inside.run(&method.check, (None, None), CHECK_LIMIT).await?.output)
}

/// Unpacks the backup into a folder of a container.
pub(super) async fn unpack(
    context: &Context,
    backup: &Path,
    container: &ContainerId,
    (blueprint, files): (&Blueprint, &[RestoredFile]),
) -> Result<(), BackupError> {
    let folder = blueprint.engine.volume.clone().unwrap_or_default();
    let (path, archive) = context.backups.folder().begin(&format!("{}.tar", context.ids.next())).await?;
    let (source, files, archive) = (backup.to_path_buf(), files.to_vec(), archive.into_std().await);
    blocking(move || pack(&source, &files, archive)).await?;
    let unpacked = context.engine.unpack(container, &folder, &path, LONG_LIMIT).await;
    tokio::fs::remove_file(path).await?;
    Ok(unpacked?)
}

/// Puts the backup into the volume of the next generation, through a container that is never started.
async fn lay_out(
    context: &Context,
    backup: &Path,
    (instance, blueprint): (&AddonInstance, &Blueprint),
    files: &[RestoredFile],
) -> Result<(), BackupError> {
    let engine = &context.engine;
    remove_all(context, instance.addon, InstanceRole::Restore).await?;
    let generation = instance.generation.saturating_add(1);
    let volume = InstanceVolume { addon: instance.addon, role: InstanceRole::Service, generation };
    engine.remove_volume(volume).await?;
    let image = image(context, &instance.image).await?;
    let spec = blueprint.spec(instance, InstanceRole::Restore, image, None);
    let container = engine.create_instance(&spec).await?;
    let unpacked = unpack(context, backup, &container, (blueprint, files)).await;
    engine.remove(&container).await?;
    unpacked
}

/// From now on the instance has the next volume.
async fn advance(context: &Context, instance: &AddonInstance) -> Result<AddonInstance, BackupError> {
    let (addon, generation, sealer) = (instance.addon, instance.generation, context.sealer.clone());
    let write = move |tx: &mut Tx<'_>| {
        let found = store::addon_instances::find(tx, &sealer, addon)?;
        let mut found = found.filter(|one| one.phase == InstancePhase::Ready && one.generation == generation);
        if let Some(instance) = &mut found {
            instance.generation = generation.saturating_add(1);
            store::addon_instances::update(tx, instance)?;
        }
        Ok::<_, StoreError>(found)
    };
    let advanced = context.store.write(&Principal::daemon(), write).await?;
    advanced.ok_or_else(|| BackupError::Final("The addon was deleted meanwhile.".to_owned()))
}

async fn wait_for_healthy(
    context: &Context,
    instance: &AddonInstance,
    blueprint: &Blueprint,
) -> Result<ContainerId, BackupError> {
    let began = Instant::now();
    while began.elapsed() < READY_LIMIT {
        if let Ok(container) = running(context, instance, blueprint).await {
            let inside = Inside { engine: &*context.engine, id: &container.id, blueprint };
            if inside.is_healthy(&container.state).await.is_ok() {
                return Ok(container.id);
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    Err(BackupError::Final("The instance did not get ready with the restored data.".to_owned()))
}

/// Removes the containers of a role that an attempt left.
pub(super) async fn remove_all(
    context: &Context,
    addon: AddonId,
    role: InstanceRole,
) -> Result<(), InstanceError> {
    let engine = &context.engine;
    for container in engine.list_instances().await? {
        if container.addon == addon && container.role == role {
            engine.remove(&container.id).await?;
        }
    }
    for volume in engine.list_volumes().await? {
        if volume.addon == addon && volume.role == role {
            engine.remove_volume(volume).await?;
        }
    }
    Ok(())
}

/// An archive of the files of a new volume.
fn pack(backup: &Path, files: &[RestoredFile], archive: std::fs::File) -> io::Result<()> {
    let mut archive = tar::Builder::new(io::BufWriter::new(archive));
    let folders: BTreeSet<PathBuf> = files.iter().flat_map(|file| folders_of(&file.path)).collect();
    for folder in folders {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        archive.append_data(&mut header, folder, io::empty())?;
    }
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        if let Some(content) = &file.content {
            header.set_size(content.len() as u64);
            archive.append_data(&mut header, &file.path, content.as_bytes())?;
        } else {
            let source = std::fs::File::open(backup)?;
            header.set_size(source.metadata()?.len());
            archive.append_data(&mut header, &file.path, source)?;
        }
    }
    archive.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
}

/// The folders above a file, outermost first.
fn folders_of(path: &str) -> Vec<PathBuf> {
    let folders = Path::new(path).ancestors().skip(1).map(Path::to_path_buf);
    let mut folders: Vec<PathBuf> = folders.filter(|folder| !folder.as_os_str().is_empty()).collect();
    folders.reverse();
    folders
}
