//! Authorizations: what `aka auth:login` asks for (`aka-client.md` §3), and the tokens there are.

use axum::extract::State;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::account::one_time_code;
use super::auth::{Basic, Policy};
use super::extract::{ClientAddress, Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::respond::{Created, NoContent};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::model::token::{Note, Scope, Token};
use crate::service::authorizations::{self, NewAuthorization};
use crate::service::logins::Login;

pub(super) fn router() -> Routes {
    Routes::new("authorizations")
        .route(Policy::Password, routes!(create))
        .route(Policy::Person, routes!(list))
        .route(Policy::Person, routes!(view, delete))
}

/// An authorization to be made.
#[derive(Deserialize, ToSchema)]
struct CreateAuthorization {
    /// What it is for, up to 255 characters.
    note: Option<String>,
    /// `read` alone makes a token that only reads; `global` is the default. The scopes of `aka` limit nothing.
    #[serde(default)]
    scopes: Vec<String>,
}

/// A token that somebody made, or that an application holds.
#[derive(Serialize, ToSchema)]
struct AuthorizationView {
    id: Uuid,
    /// The secret, in the answer to its creation only; `""` in every other.
    token: String,
    note: String,
    /// `global` or `read`.
    scopes: [&'static str; 1],
    /// `personal`, `service` or `admin`.
    kind: &'static str,
    /// Whether an application holds it.
    application: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// When it ends by itself; null when it does not.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct AuthorizationPath {
    authorization: String,
}

/// Log in: make a token with a name and a password.
///
/// The password may also be the secret of one of the account's admin tokens. An account with two-factor
/// authentication answers 401 with the header `x-akkeris-otp` until the request has that header with the
/// code. Too many failures answer 429.
#[utoipa::path(post, path = "/authorizations", operation_id = "create_authorization",
    params(("x-akkeris-otp" = Option<String>, Header, description = "The code that the authenticator shows")),
    request_body = CreateAuthorization,
    responses((status = 201, description = "Created, with its secret", body = AuthorizationView)))]
async fn create(
    State(state): State<ApiState>,
    basic: Basic,
    address: ClientAddress,
    headers: HeaderMap,
    Json(body): Json<CreateAuthorization>,
) -> Result<Created<AuthorizationView>, Error> {
    let new = NewAuthorization {
        note: Note::parse(&body.note.unwrap_or_default())?,
        scope: Scope::parse_all(body.scopes.iter().map(String::as_str))?,
    };
    let code = one_time_code(&headers);
    let login = Login { name: basic.name, password: basic.password, code, address: address.0 };
    let account = state.logins.check(login).await?;
    let (token, secret) = authorizations::create(&state.store, &state.ids, &account, new).await?;
    Ok(Created(AuthorizationView::new(&token, secret)))
}

/// List the authorizations of the one who asks.
#[utoipa::path(get, path = "/authorizations", operation_id = "list_authorizations",
    responses((status = 200, description = "All, oldest first", body = Vec<AuthorizationView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
) -> Result<Page<AuthorizationView>, Error> {
    let now = state.clock.now();
    let all = state.store.read(move |c| authorizations::list(c, &principal, now)).await?;
    paging.page(all.iter().map(|token| AuthorizationView::new(token, String::new())).collect())
}

/// View an authorization.
#[utoipa::path(get, path = "/authorizations/{authorization}", operation_id = "view_authorization",
    params(("authorization" = String, Path, description = "Id, or the secret itself")),
    responses((status = 200, description = "The authorization", body = AuthorizationView)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<AuthorizationPath>,
) -> Result<Json<AuthorizationView>, Error> {
    let query =
        move |c: &crate::store::Connection| authorizations::resolve(c, &principal, &path.authorization);
    Ok(Json(AuthorizationView::new(&state.store.read(query).await?, String::new())))
}

/// End an authorization: its token works no more.
///
/// With the token of an application ends all that the application was granted.
#[utoipa::path(delete, path = "/authorizations/{authorization}", operation_id = "delete_authorization",
    params(("authorization" = String, Path, description = "Id, or the secret itself")),
    responses((status = 204, description = "It is no more")))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<AuthorizationPath>,
) -> Result<NoContent, Error> {
    authorizations::delete(&state.store, &author, path.authorization).await?;
    Ok(NoContent)
}

impl Listed for AuthorizationView {
    const PROPERTIES: &'static [Property<Self>] =
        &[Property::Time("created_at", |item| item.created_at), Property::Id(|item| item.id)];
}

impl AuthorizationView {
    fn new(token: &Token, secret: String) -> Self {
        Self {
            id: token.id.uuid(),
            token: secret,
            // A token that the operator made has a name instead.
            note: if token.note.as_str().is_empty() && token.name.as_str() != token.id.to_string() {
                token.name.as_str().to_owned()
            } else {
                token.note.as_str().to_owned()
            },
            scopes: [token.scope.as_str()],
            kind: token.kind.as_str(),
            application: token.grant.is_some(),
            created_at: token.created_at,
            updated_at: token.created_at,
            expires_at: token.expires_at,
        }
    }
}
