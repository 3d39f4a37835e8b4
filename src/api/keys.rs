//! The public key by which receivers of hooks, and others, check temporary tokens.

use axum::Json;
use axum::extract::State;

use super::auth::Policy;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::service;

pub(super) fn router() -> Routes {
    Routes::new("keys").route(Policy::Public, routes!(view))
}

/// The keys of temporary tokens.
///
/// A JSON Web Key Set (RFC 7517). Each delivery of a hook that a person caused brings such a token in its header
/// `x-akkeris-token`.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "view_keys",
    responses((status = 200, description = "The key set", body = serde_json::Value)))]
async fn view(State(state): State<ApiState>) -> Result<Json<serde_json::Value>, Error> {
    let tokens = state.temporary_tokens.clone();
    let keys = tokio::task::spawn_blocking(move || tokens.key_set()).await;
    let internal = |error: Box<dyn std::error::Error + Send + Sync>| service::Error::Internal(error);
    let keys = keys.map_err(|error| internal(Box::new(error)))?.map_err(|error| internal(Box::new(error)))?;
    Ok(Json(keys))
}
