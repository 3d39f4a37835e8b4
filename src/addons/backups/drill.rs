//! Tries a backup out: restores it into an instance that nobody reaches, looks at the data, and throws it away.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::BackupError;
use super::restore::{blueprint, check, feed, fetch, ready, remove_all, unpack};
use super::save::dump;
use crate::addons::instances::{Blueprint, Context, Inside, image};
use crate::engine::ContainerState;
use crate::engine::instance::InstanceRole;
use crate::model::addon_backup::AddonBackup;
use crate::model::addon_engine::{BackupMethod, RestoreMethod};
use crate::model::addon_instance::AddonInstance;

/// How long the throwaway instance may take to get ready.
const READY_LIMIT: Duration = Duration::from_mins(5);
/// Between two questions whether it is.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// Returns what the check of the restored data says.
pub(super) async fn drill(context: &Context, backup: &AddonBackup) -> Result<String, BackupError> {
    let instance = ready(context, backup.addon).await?;
    let (blueprint, method) = blueprint(context, &instance)?;
    let fetched = fetch(context, backup).await?;
    remove_all(context, instance.addon, InstanceRole::Drill).await?;
    let found = try_out(context, fetched.path(), (&instance, &blueprint), &method).await;
    remove_all(context, instance.addon, InstanceRole::Drill).await?;
    found
}

async fn try_out(
    context: &Context,
    backup: &Path,
    (instance, blueprint): (&AddonInstance, &Blueprint),
    method: &BackupMethod,
) -> Result<String, BackupError> {
    let engine = &context.engine;
    let image = image(context, &instance.image).await?;
    let id = engine.create_instance(&blueprint.spec(instance, InstanceRole::Drill, image, None)).await?;
    let inside = Inside { engine: &**engine, id: &id, blueprint };
    match &method.restore {
        RestoreMethod::Program(program) => {
            engine.start(&id).await?;
            wait_for_healthy(inside).await?;
            inside.set_up().await?;
            feed(backup, inside, program).await?;
        }
        RestoreMethod::Files(files) => {
            unpack(context, backup, &id, (blueprint, files)).await?;
            engine.start(&id).await?;
            wait_for_healthy(inside).await?;
        }
    }
    // What can be saved again was read to its end.
    dump(inside, method, Box::pin(tokio::io::sink())).await?;
    check(inside, method).await
}

/// Who makes backups has a health command, so that no address is needed.
async fn wait_for_healthy(inside: Inside<'_>) -> Result<(), BackupError> {
    let began = Instant::now();
    let mut last = String::new();
    while began.elapsed() < READY_LIMIT {
        match inside.is_healthy(&ContainerState::Created).await {
            Ok(()) => return Ok(()),
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    Err(BackupError::Final(format!("The throwaway instance did not get ready: {last}")))
}
