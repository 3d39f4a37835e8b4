//! The actions of an addon, which its provider does and answers (`behaviour.md` §18).

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{FromRequest, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{Method, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use crate::addons::{Acted, Action};
use crate::api::auth::Policy;
use crate::api::extract::{AppPath, OptionalJson, Path};
use crate::api::router::{Routes, routes};
use crate::api::{ApiState, Error};
use crate::model::ids::AppId;
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::service::{self, addons};

/// Longest name of an action.
const NAME_LIMIT: usize = 64;

pub(super) fn router() -> Routes {
    let (action, below) =
        ("/apps/{app}/addons/{addon}/actions/{action}", "/apps/{app}/addons/{addon}/actions/{action}/{sub}");
    Routes::new("addons")
        .route(Policy::User, routes!(act))
        .route(Policy::User, routes!(act_below))
        .alias(Policy::User, action, get(act).put(act).patch(act).delete(act))
        .alias(Policy::User, below, get(act_below).put(act_below).patch(act_below).delete(act_below))
}

#[derive(Deserialize)]
struct ActionPath {
    addon: String,
    action: String,
    #[serde(default)]
    sub: String,
}

/// The method and the body of a request.
struct Asked {
    method: Method,
    body: Vec<u8>,
}

/// What the provider answered.
struct Answered(Acted);

/// Have the provider of an addon do something with it.
///
/// `GET`, `PUT`, `PATCH` and `DELETE` reach it too.
#[utoipa::path(post, path = "/apps/{app}/addons/{addon}/actions/{action}", operation_id = "act_on_addon",
    params(("addon" = String, Path, description = "Id or name"),
        ("action" = String, Path, description = "What the provider calls it, such as rotate")),
    responses((status = 200, description = "What the provider answered", body = Value)))]
async fn act(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<ActionPath>,
    asked: Asked,
) -> Result<Answered, Error> {
    answer(&state, &author, app.id, (path, asked)).await
}

/// Have the provider of an addon do something with a part of it.
///
/// `GET`, `PUT`, `PATCH` and `DELETE` reach it too.
#[utoipa::path(post, path = "/apps/{app}/addons/{addon}/actions/{action}/{sub}", operation_id = "act_on_addon_part",
    params(("addon" = String, Path, description = "Id or name"),
        ("action" = String, Path, description = "What the provider calls it"),
        ("sub" = String, Path, description = "What the provider calls the part")),
    responses((status = 200, description = "What the provider answered", body = Value)))]
async fn act_below(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<ActionPath>,
    asked: Asked,
) -> Result<Answered, Error> {
    answer(&state, &author, app.id, (path, asked)).await
}

async fn answer(
    state: &ApiState,
    author: &Principal,
    app: AppId,
    (path, asked): (ActionPath, Asked),
) -> Result<Answered, Error> {
    let addon = state.store.look_up(|c| addons::resolve(c, app, &path.addon))?;
    let sub = Some(path.sub).filter(|sub| !sub.is_empty());
    for part in std::iter::once(&path.action).chain(&sub) {
        let charset = part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        if !charset || part.len() > NAME_LIMIT || part.bytes().all(|b| b == b'.') {
            let text = format!("The addon {} has no action {}.", addon.name, shown(part));
            return Err(service::Error::NotFound(text).into());
        }
    }
    let name = sub.map_or_else(|| path.action.clone(), |sub| format!("{}/{sub}", path.action));
    let action = Action { method: asked.method, name, body: asked.body };
    Ok(Answered(state.addons.act(author, addon, &action).await?))
}

impl FromRequest<ApiState> for Asked {
    type Rejection = Error;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Error> {
        let method = request.method().clone();
        let OptionalJson(body) =
            OptionalJson::<BTreeMap<String, Value>>::from_request(request, state).await?;
        let body = body.as_ref().map(serde_json::to_vec).transpose().map_err(service::Error::internal)?;
        Ok(Self { method, body: body.unwrap_or_default() })
    }
}

impl IntoResponse for Answered {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::OK);
        (status, [(header::CONTENT_TYPE, "application/json")], Body::from(self.0.body)).into_response()
    }
}
