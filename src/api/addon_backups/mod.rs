//! Backups of the addons that run on this host's engine. No document has them: the paths are ours.

mod view;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header;
use serde::Deserialize;
use utoipa::ToSchema;

use self::view::{AddonBackupView, BackupRunView};
use super::auth::Policy;
use super::extract::{AppPath, Json, Path};
use super::page::{Page, Paging};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::addons::backups::StorageError;
use crate::model::addon_backup::{AddonBackup, BackupState};
use crate::model::app::App;
use crate::model::principal::Principal;
use crate::service::{self, addon_backups, addons};
use crate::store::{self, Connection};

pub(super) fn router() -> Routes {
    Routes::new("addon-backups")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, delete))
        .route(Policy::User, routes!(download))
        .route(Policy::User, routes!(restore))
        .route(Policy::User, routes!(drill))
}

/// Where a backup shall be restored.
#[derive(Deserialize, ToSchema)]
struct CreateAddonBackupRestore {
    /// Id or name of an addon of the same service; without one it is the addon that the backup is of.
    addon: Option<String>,
}

#[derive(Deserialize)]
struct AddonPath {
    addon: String,
}

#[derive(Deserialize)]
struct BackupPath {
    addon: String,
    backup: String,
}

/// Ask for a backup of an addon.
///
/// It is `pending` until it is made; it stays until it is deleted.
#[utoipa::path(post, path = "/apps/{app}/addons/{addon}/backups", operation_id = "create_addon_backup",
    params(("addon" = String, Path, description = "Id or name")),
    responses((status = 201, description = "It is going to be made", body = AddonBackupView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<AddonPath>,
) -> Result<Created<AddonBackupView>, Error> {
    let addon = state.store.look_up(|c| addons::resolve(c, app.id, &path.addon))?;
    let wanted = (addon, state.addons.offer());
    let made = addon_backups::create(&state.store, &state.ids, &author, wanted).await?;
    Ok(Created(AddonBackupView::new(made, Vec::new())))
}

/// List the backups of an addon, also of one that was deleted.
#[utoipa::path(get, path = "/apps/{app}/addons/{addon}/backups", operation_id = "list_addon_backups",
    params(("addon" = String, Path, description = "Id or name")),
    responses((status = 200, description = "All, oldest first", body = Vec<AddonBackupView>)))]
async fn list(
    State(state): State<ApiState>,
    paging: Paging,
    AppPath(app): AppPath,
    Path(path): Path<AddonPath>,
) -> Result<Page<AddonBackupView>, Error> {
    let read = move |connection: &Connection| {
        let addon = addon_backups::addon_of(connection, app.id, &path.addon)?;
        let all = store::addon_backups::list(connection, addon)?;
        all.into_iter().map(|backup| show(connection, backup)).collect::<Result<Vec<_>, service::Error>>()
    };
    paging.page(state.store.read(read).await?)
}

/// View a backup.
#[utoipa::path(get, path = "/apps/{app}/addons/{addon}/backups/{backup}", operation_id = "view_addon_backup",
    params(("addon" = String, Path, description = "Id or name"), ("backup" = String, Path, description = "Id")),
    responses((status = 200, description = "The backup", body = AddonBackupView)))]
async fn view(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<BackupPath>,
) -> Result<Json<AddonBackupView>, Error> {
    let read = move |connection: &Connection| show(connection, find(connection, &app, &path)?);
    Ok(Json(state.store.read(read).await?))
}

/// Delete a backup.
#[utoipa::path(delete, path = "/apps/{app}/addons/{addon}/backups/{backup}", operation_id = "delete_addon_backup",
    params(("addon" = String, Path, description = "Id or name"), ("backup" = String, Path, description = "Id")),
    responses((status = 200, description = "The backup that was", body = AddonBackupView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<BackupPath>,
) -> Result<Json<AddonBackupView>, Error> {
    let (id, shown) = state.store.look_up(|c| {
        let backup = find(c, &app, &path)?;
        Ok::<_, service::Error>((backup.id, show(c, backup)?))
    })?;
    addon_backups::delete(&state.store, &author, id).await?;
    Ok(Json(shown))
}

/// Download a backup, as the service's dump program wrote it.
#[utoipa::path(get, path = "/apps/{app}/addons/{addon}/backups/{backup}/content",
    operation_id = "read_addon_backup",
    params(("addon" = String, Path, description = "Id or name"), ("backup" = String, Path, description = "Id")),
    responses((status = 200, description = "Its bytes", body = String, content_type = "application/octet-stream")))]
async fn download(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
    Path(path): Path<BackupPath>,
) -> Result<Response, Error> {
    let backup = state.store.look_up(|c| find(c, &app, &path))?;
    let BackupState::Succeeded(content) = &backup.state else {
        return Err(service::Error::Conflict(format!(
            "The backup {} is {}: only one that succeeded can be downloaded.",
            backup.id,
            backup.state.status()
        ))
        .into());
    };
    let bytes = state.backups.open(backup.id, content).await.map_err(|error| match error {
        StorageError::S3(_) | StorageError::NoS3 => {
            service::Error::Unavailable(format!("The backup {} cannot be read: {error}.", backup.id))
        }
        StorageError::File(_) | StorageError::Differs => service::Error::internal(error),
    })?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, content.size.to_string()),
        (
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}-{}.backup\"", backup.addon_name, backup.id),
        ),
    ];
    Ok((headers, Body::from_stream(bytes)).into_response())
}

/// Restore a backup into its addon, or into another one of the same service.
///
/// What the addon has is replaced, while apps may be connected to it. The result is shown on the backup.
#[utoipa::path(post, path = "/apps/{app}/addons/{addon}/backups/{backup}/restore",
    operation_id = "create_addon_backup_restore",
    params(("addon" = String, Path, description = "Id or name"), ("backup" = String, Path, description = "Id")),
    request_body = CreateAddonBackupRestore,
    responses((status = 201, description = "It is going to be restored", body = BackupRunView)))]
async fn restore(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<BackupPath>,
    Json(body): Json<CreateAddonBackupRestore>,
) -> Result<Created<BackupRunView>, Error> {
    let (backup, target) = state.store.look_up(|c| {
        let backup = find(c, &app, &path)?;
        let target = match &body.addon {
            Some(text) => {
                let own = addons::resolve(c, app.id, text);
                own.or_else(|_| addons::resolve_anywhere(c, &author.reach, text))?
            }
            None => addons::resolve(c, app.id, &backup.addon.to_string())?,
        };
        Ok::<_, service::Error>((backup, target))
    })?;
    let run = addon_backups::restore(&state.store, &state.ids, &author, (backup.id, target)).await?;
    Ok(Created(run.into()))
}

/// Try a backup out: restore it into a throwaway instance, look at the data, and throw it away.
///
/// It happens by itself on the schedule of the addon's plan. The result is shown on the backup.
#[utoipa::path(post, path = "/apps/{app}/addons/{addon}/backups/{backup}/drills",
    operation_id = "create_addon_backup_drill",
    params(("addon" = String, Path, description = "Id or name"), ("backup" = String, Path, description = "Id")),
    responses((status = 201, description = "It is going to be tried out", body = BackupRunView)))]
async fn drill(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<BackupPath>,
) -> Result<Created<BackupRunView>, Error> {
    let backup = state.store.look_up(|c| find(c, &app, &path))?;
    let run = addon_backups::drill(&state.store, &state.ids, &author, backup.id).await?;
    Ok(Created(run.into()))
}

fn find(connection: &Connection, app: &App, path: &BackupPath) -> Result<AddonBackup, service::Error> {
    let addon = addon_backups::addon_of(connection, app.id, &path.addon)?;
    addon_backups::resolve(connection, addon, &path.backup)
}

fn show(connection: &Connection, backup: AddonBackup) -> Result<AddonBackupView, service::Error> {
    let runs = store::addon_backup_runs::list(connection, backup.id)?;
    Ok(AddonBackupView::new(backup, runs))
}
