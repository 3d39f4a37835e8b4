//! Config vars, as the section Config documents them.

use std::collections::BTreeMap;

use axum::extract::State;
use serde_json::Value;

use super::auth::Policy;
use super::extract::{AppPath, Json};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::RuleError;
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::service::config_vars;

pub(super) fn router() -> Routes {
    Routes::new("config-vars").route(Policy::User, routes!(list, update))
}

/// List the config vars of an app.
///
/// `PORT` is among them. In a space with the compliance `socs`, secrets show as `[redacted]`.
#[utoipa::path(get, path = "/apps/{app}/config-vars", operation_id = "list_config_vars",
    responses((status = 200, description = "Names and values", body = BTreeMap<String, String>)))]
async fn list(
    State(state): State<ApiState>,
    AppPath(app): AppPath,
) -> Result<Json<BTreeMap<String, String>>, Error> {
    let sealer = state.sealer.clone();
    Ok(Json(state.store.read(move |connection| config_vars::shown(connection, &sealer, &app)).await?))
}

/// Set and remove config vars of an app.
///
/// `null` removes; what is not named stays; `[redacted]` means unchanged. The dynos are restarted with the
/// new environment.
#[utoipa::path(patch, path = "/apps/{app}/config-vars", operation_id = "update_config_vars",
    request_body = BTreeMap<String, Option<String>>,
    responses((status = 200, description = "All names and values", body = BTreeMap<String, String>)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Json(body): Json<BTreeMap<String, Value>>,
) -> Result<Json<BTreeMap<String, String>>, Error> {
    let changes = body.into_iter().map(|(name, value)| text(name, value)).collect::<Result<_, _>>()?;
    Ok(Json(config_vars::update(&state.store, &state.sealer, &author, app.id, changes).await?))
}

/// Numbers and booleans become text; a value with parts has no form in an environment.
fn text(name: String, value: Value) -> Result<(String, Option<String>), RuleError> {
    let text = match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(_) | Value::Object(_) => {
            return Err(RuleError::new(format!(
                "The value of {} is an array or an object; send a text, a number, a boolean, or null to remove.",
                shown(&name)
            )));
        }
    };
    Ok((name, text))
}
