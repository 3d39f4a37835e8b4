//! Applications that people may let act for them, in the form of Heroku's OAuth clients.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::account::own;
use super::auth::Policy;
use super::extract::{Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::oauth::{ClientKind, ClientName, OauthClient, RedirectUris};
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service::oauth_clients::{self, ClientChange, NewClient};
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("oauth")
        .route(Policy::Holder, routes!(create, list))
        .route(Policy::Holder, routes!(view, update, delete))
}

/// An application to be registered.
#[derive(Deserialize, ToSchema)]
struct CreateClient {
    /// What people read on the consent page, up to 64 characters.
    #[serde(default)]
    #[schema(required)]
    name: String,
    /// Where people may be sent back to: `https://`, the own machine, or a scheme of the application's own.
    #[serde(default)]
    #[schema(required)]
    redirect_uris: Vec<String>,
    /// `true` for an application that runs on people's machines: it gets no secret and must use PKCE.
    #[serde(default)]
    public: bool,
}

/// What shall change; what is absent stays.
#[derive(Deserialize, ToSchema)]
struct UpdateClient {
    name: Option<String>,
    redirect_uris: Option<Vec<String>>,
}

/// An application.
#[derive(Serialize, ToSchema)]
struct ClientView {
    /// The `client_id`.
    id: Uuid,
    name: String,
    redirect_uris: Vec<String>,
    public: bool,
    /// The `client_secret`, in the answer to its creation only; `""` in every other.
    secret: String,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Deserialize)]
struct ClientPath {
    client: String,
}

/// Register an application.
#[utoipa::path(post, path = "/oauth/clients", operation_id = "create_oauth_client",
    request_body = CreateClient, responses((status = 201, description = "Created, with its secret", body = ClientView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    Json(body): Json<CreateClient>,
) -> Result<Created<ClientView>, Error> {
    let new = NewClient {
        name: ClientName::parse(&body.name)?,
        redirect_uris: RedirectUris::parse(&body.redirect_uris)?,
        kind: if body.public { ClientKind::Public } else { ClientKind::Confidential },
    };
    let account = own(&state, &author).await?;
    let (client, secret) = oauth_clients::create(&state.store, &state.ids, &author, &account, new).await?;
    Ok(Created(ClientView::new(&client, secret.unwrap_or_default())))
}

/// List the applications that the one who asks registered.
#[utoipa::path(get, path = "/oauth/clients", operation_id = "list_oauth_clients",
    responses((status = 200, description = "All, oldest first", body = Vec<ClientView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
) -> Result<Page<ClientView>, Error> {
    let account = own(&state, &principal).await?;
    let all = state.store.read(move |c| store::oauth_clients::list(c, account.id)).await?;
    paging.page(all.into_iter().map(ClientView::from).collect())
}

/// View an application.
#[utoipa::path(get, path = "/oauth/clients/{client}", operation_id = "view_oauth_client",
    responses((status = 200, description = "The application", body = ClientView)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<ClientPath>,
) -> Result<Json<ClientView>, Error> {
    let account = own(&state, &principal).await?;
    let client = state.store.read(move |c| oauth_clients::resolve(c, &account, &path.client)).await?;
    Ok(Json(client.into()))
}

/// Change the name or the addresses of an application.
#[utoipa::path(patch, path = "/oauth/clients/{client}", operation_id = "update_oauth_client",
    request_body = UpdateClient, responses((status = 200, description = "The application", body = ClientView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<ClientPath>,
    Json(body): Json<UpdateClient>,
) -> Result<Json<ClientView>, Error> {
    let change = ClientChange {
        name: body.name.as_deref().map(ClientName::parse).transpose()?,
        redirect_uris: body.redirect_uris.as_deref().map(RedirectUris::parse).transpose()?,
    };
    let account = own(&state, &author).await?;
    let client = oauth_clients::update(&state.store, &author, account, path.client, change).await?;
    Ok(Json(client.into()))
}

/// Delete an application; all that people granted it ends.
#[utoipa::path(delete, path = "/oauth/clients/{client}", operation_id = "delete_oauth_client",
    responses((status = 200, description = "As it was", body = ClientView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<ClientPath>,
) -> Result<Json<ClientView>, Error> {
    let account = own(&state, &author).await?;
    Ok(Json(oauth_clients::delete(&state.store, &author, account, path.client).await?.into()))
}

impl Listed for ClientView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}

impl From<OauthClient> for ClientView {
    fn from(client: OauthClient) -> Self {
        Self::new(&client, String::new())
    }
}

impl ClientView {
    fn new(client: &OauthClient, secret: String) -> Self {
        Self {
            id: client.id.uuid(),
            name: client.name.as_str().to_owned(),
            redirect_uris: client.redirect_uris.as_slice().to_vec(),
            public: client.kind == ClientKind::Public,
            secret,
            created_at: client.created_at,
            updated_at: client.updated_at,
        }
    }
}
