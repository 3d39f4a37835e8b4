//! Notes on config vars (`behaviour.md` §13).

use std::collections::BTreeMap;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::auth::Policy;
use super::extract::{AppPath, Json};
use super::router::Routes;
use super::{ApiState, Error};
use crate::model::config_var_note::ConfigVarNotes;
use crate::model::principal::Principal;
use crate::service::config_var_notes::{self, NoteChange};

pub(super) fn router() -> Routes {
    Routes::new("config-vars").route(Policy::User, routes!(list, update))
}

/// What is known of a config var beside its value.
#[derive(Serialize, ToSchema)]
struct NoteView {
    description: String,
    /// Whether a copy of the app must be given a value.
    required: bool,
    /// `user`, or `system` for what the platform sets.
    r#type: &'static str,
    /// Whether it cannot be changed here.
    read_only: bool,
    /// The addon that set it; null, because the user did.
    #[schema(value_type = Option<Object>)]
    addon: Option<()>,
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
    Ok(Json(views(state.store.read(move |c| config_var_notes::list(c, &sealer, app.id)).await?)))
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
    Ok(Json(views(notes)))
}

fn views(notes: ConfigVarNotes) -> BTreeMap<String, NoteView> {
    let mut views: BTreeMap<String, NoteView> = notes
        .into_iter()
        .map(|(name, note)| (name.to_string(), NoteView::new(note.description, note.required, false)))
        .collect();
    let port = "The port that the web dynos listen on; set it on the formation.".to_owned();
    views.insert("PORT".to_owned(), NoteView::new(port, false, true));
    views
}

impl NoteView {
    fn new(description: String, required: bool, system: bool) -> Self {
        let r#type = if system { "system" } else { "user" };
        Self { description, required, r#type, read_only: system, addon: None }
    }
}
