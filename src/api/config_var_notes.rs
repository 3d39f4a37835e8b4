//! Notes on config vars (`behaviour.md` §13).

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::addons::NamedView;
use super::auth::Policy;
use super::extract::{AppPath, Json};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::config_var_note::{ConfigVarNote, ConfigVarNotes};
use crate::model::ids::AppId;
use crate::model::names::ConfigVarName;
use crate::model::principal::Principal;
use crate::seal::Sealer;
use crate::service;
use crate::service::config_var_notes::{self, NoteChange};
use crate::store::{self, Connection};

pub(super) fn router() -> Routes {
    Routes::new("config-vars").route(Policy::User, routes!(list, update))
}

/// What is known of a config var beside its value.
#[derive(Serialize, ToSchema)]
struct NoteView {
    description: String,
    /// Whether a copy of the app must be given a value.
    required: bool,
    /// `user`, `addon`, or `system` for what the platform sets.
    r#type: &'static str,
    /// Whether it cannot be changed here.
    read_only: bool,
    /// The addon that brings it; null when none does.
    addon: Option<NamedView>,
}

/// What shall be noted; what is absent stays.
#[derive(Deserialize, ToSchema)]
struct UpdateNote {
    /// At most 1024 characters.
    description: Option<String>,
    required: Option<bool>,
}

/// List the notes on the config vars of an app.
#[utoipa::path(get, path = "/apps/{app}/config-vars/notes", operation_id = "list_config_var_notes",
    responses((status = 200, description = "By name", body = BTreeMap<String, NoteView>)))]
async fn list(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
) -> Result<Json<BTreeMap<String, NoteView>>, Error> {
    let sealer = state.sealer.clone();
    let read = move |connection: &Connection| {
        let notes = config_var_notes::list(connection, &sealer, app.id)?;
        views(connection, &sealer, app.id, notes)
    };
    Ok(Json(state.store.read(read).await?))
}

/// Write notes on config vars of an app.
#[utoipa::path(patch, path = "/apps/{app}/config-vars/notes", operation_id = "update_config_var_notes",
    request_body = BTreeMap<String, UpdateNote>,
    responses((status = 200, description = "All, by name", body = BTreeMap<String, NoteView>)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Json(body): Json<BTreeMap<String, UpdateNote>>,
) -> Result<Json<BTreeMap<String, NoteView>>, Error> {
    let changes = body
        .into_iter()
        .map(|(name, note)| (name, NoteChange { description: note.description, required: note.required }))
        .collect();
    let notes = config_var_notes::update(&state.store, &state.sealer, &author, app.id, changes).await?;
    Ok(Json(state.store.look_up(|c| views(c, &state.sealer, app.id, notes))?))
}

fn views(
    connection: &Connection,
    sealer: &Sealer,
    app: AppId,
    notes: ConfigVarNotes,
) -> Result<BTreeMap<String, NoteView>, service::Error> {
    let brought = store::addon_attachments::variables(connection, sealer, app)?;
    let view = |(name, note): (ConfigVarName, ConfigVarNote)| {
        let addon = brought
            .get(&name)
            .map(|variable| NamedView { id: variable.addon.uuid(), name: variable.attachment.to_string() });
        let r#type = if addon.is_some() { "addon" } else { "user" };
        let view = NoteView {
            description: note.description,
            required: note.required,
            r#type,
            read_only: addon.is_some(),
            addon,
        };
        (name.to_string(), view)
    };
    let mut views: BTreeMap<String, NoteView> = notes.into_iter().map(view).collect();
    let port = NoteView {
        description: "The port that the web dynos listen on; set it on the formation.".to_owned(),
        required: false,
        r#type: "system",
        read_only: true,
        addon: None,
    };
    views.insert("PORT".to_owned(), port);
    Ok(views)
}
