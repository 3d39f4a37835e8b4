//! Apps, as the section of that name documents them; the objects themselves are in [`mod@view`].

mod view;

use std::collections::HashMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};

use self::view::{AppView, AppViewer, DeletedAppView, Running, SimpleAppView};
use super::auth::Policy;
use super::extract::{AppPath, Json, Path, Query};
use super::page::{Listed, Paging, Property};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::app::App;
use crate::model::catalogue::Catalogue;
use crate::model::ids::AppId;
use crate::model::principal::Principal;
use crate::service;
use crate::service::apps::{AppChange, NewApp};
use crate::store::{self, Connection, StoreError};

pub(super) fn router() -> Routes {
    Routes::new("apps")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, update, delete))
}

/// An app to be made.
#[derive(Deserialize, ToSchema)]
struct CreateApp {
    /// Letters and digits only.
    #[serde(default)]
    #[schema(required)]
    name: String,
    /// Name or id of a space.
    #[serde(default)]
    #[schema(required)]
    space: String,
    /// Name of an organization.
    #[serde(default)]
    #[schema(required)]
    org: String,
    description: Option<String>,
    /// Separated by commas.
    labels: Option<String>,
}

/// What shall change; what is absent stays.
#[derive(Deserialize, ToSchema)]
struct UpdateApp {
    /// Anything but true and false is ignored.
    #[schema(value_type = Option<bool>)]
    maintenance: Option<Value>,
    /// Cannot be changed: the present name or key, or an error.
    name: Option<String>,
    /// Cannot be changed: the name or id of the present one, or an error.
    #[schema(value_type = Option<String>)]
    build_stack: Option<Value>,
    description: Option<String>,
    labels: Option<String>,
}

/// The app of a path, as the client names it.
#[derive(Deserialize)]
struct Named {
    app: String,
}

#[derive(Default, Deserialize)]
struct ListApps {
    simple: Option<bool>,
}

/// An app of a list, in full or with names and links only: its view is made while it is written.
struct ListedAppView<'a> {
    viewer: &'a AppViewer,
    app: App,
    /// `None` for the short form.
    running: Option<Running>,
}

impl Serialize for ListedAppView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.running {
            Some(running) => self.viewer.full(&self.app, running).serialize(serializer),
            None => self.viewer.simple(&self.app).serialize(serializer),
        }
    }
}

/// Create an app.
#[utoipa::path(post, path = "/apps", operation_id = "create_app",
    request_body = CreateApp, responses((status = 201, description = "Created", body = AppView<'static>)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    viewer: AppViewer,
    Json(body): Json<CreateApp>,
) -> Result<Response, Error> {
    let new = NewApp {
        name: body.name,
        space: body.space,
        organization: body.org,
        description: body.description.unwrap_or_default(),
        labels: body.labels.unwrap_or_default(),
    };
    let app = service::apps::create(&state.store, &state.ids, &author, new).await?;
    Ok(Created(viewer.full(&app, &Running::default())).into_response())
}

/// List all apps.
#[utoipa::path(get, path = "/apps", operation_id = "list_apps",
    params(("simple" = Option<bool>, Query, description = "`true` leaves out all but names and links")),
    responses((status = 200, description = "All, oldest first", body = Vec<ListedAppView<'static>>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    viewer: AppViewer,
    paging: Paging,
    Query(query): Query<ListApps>,
) -> Result<Response, Error> {
    let simple = query.simple == Some(true);
    let answer = state.store.read(move |connection| {
        let apps = service::apps::list(connection, &principal.reach)?;
        let mut running = if simple { HashMap::new() } else { all_running(connection)? };
        let listed = |app: App| {
            let running = (!simple).then(|| running.remove(&app.id).unwrap_or_default());
            ListedAppView { viewer: &viewer, app, running }
        };
        // The answer is written here, because a thousand apps take too long for the runtime's threads.
        Ok::<_, Error>(paging.page(apps)?.map(listed).into_response())
    });
    answer.await
}

/// View an app.
#[utoipa::path(get, path = "/apps/{app}", operation_id = "view_app",
    responses((status = 200, description = "The app", body = AppView<'static>)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    viewer: AppViewer,
    Path(Named { app }): Path<Named>,
) -> Result<Response, Error> {
    // The app and what runs of it are of one moment.
    let (app, running) = state.store.look_up(|connection| {
        let app = service::apps::resolve(connection, &principal.reach, &app)?;
        let running = running(connection, app.id)?;
        Ok::<_, Error>((app, running))
    })?;
    Ok(Json(viewer.full(&app, &running)).into_response())
}

/// Change an app.
///
/// Maintenance, description and labels; a changed name or build stack is refused.
#[utoipa::path(patch, path = "/apps/{app}", operation_id = "update_app",
    request_body = UpdateApp, responses((status = 200, description = "The app", body = AppView<'static>)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    viewer: AppViewer,
    AppPath(app): AppPath,
    Json(body): Json<UpdateApp>,
) -> Result<Response, Error> {
    check_unchanged(&body, &app, &state.catalogue.load())?;
    let change = AppChange {
        maintenance: body.maintenance.and_then(|value| value.as_bool()),
        description: body.description,
        labels: body.labels,
    };
    let app = service::apps::update(&state.store, &author, app.id, change).await?;
    let running = state.store.look_up(|connection| running(connection, app.id))?;
    Ok(Json(viewer.full(&app, &running)).into_response())
}

/// Delete an app.
///
/// Its dynos are stopped at once; its slugs stay readable.
#[utoipa::path(delete, path = "/apps/{app}", operation_id = "delete_app",
    responses((status = 200, description = "The app that was", body = DeletedAppView<'static>)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    viewer: AppViewer,
    AppPath(app): AppPath,
) -> Result<Response, Error> {
    let running = state.store.look_up(|connection| running(connection, app.id))?;
    let app = service::apps::delete(&state.store, &author, app.id).await?;
    Ok(Json(viewer.deleted(&app, &running)).into_response())
}

fn running(connection: &Connection, app: AppId) -> Result<Running, StoreError> {
    let formations = store::formations::list(connection, app)?;
    let image = store::apps::current_image(connection, app)?;
    Ok(Running { formations, image, followed: store::auto_builds::followed_by(connection, app)? })
}

/// What runs of every live app, in two statements.
fn all_running(connection: &Connection) -> Result<HashMap<AppId, Running>, StoreError> {
    let mut running: HashMap<AppId, Running> = HashMap::new();
    for formation in store::formations::list_of_live_apps(connection)? {
        running.entry(formation.app_id).or_default().formations.push(formation);
    }
    for (app, image) in store::apps::current_images(connection)? {
        running.entry(app).or_default().image = Some(image);
    }
    for (app, followed) in store::auto_builds::list_followed(connection)? {
        running.entry(app).or_default().followed = Some(followed);
    }
    Ok(running)
}

fn check_unchanged(body: &UpdateApp, app: &App, catalogue: &Catalogue) -> Result<(), service::Error> {
    if let Some(name) = &body.name {
        let name = name.trim().to_ascii_lowercase();
        if name != app.name.as_str() && name != app.key().as_str() {
            return Err(service::Error::BadRequest(format!(
                "The name of the app {} cannot be changed; create another app instead.",
                app.key()
            )));
        }
    }
    let stack = &catalogue.stack;
    let is_present = |text: &str| {
        text == app.space.stack || (stack.name == app.space.stack && text == stack.id.to_string())
    };
    let unchanged = match &body.build_stack {
        None => true,
        Some(Value::String(text)) => is_present(text),
        Some(Value::Object(fields)) => {
            let named = ["name", "id"].iter().filter_map(|field| fields.get(*field));
            named.clone().count() > 0 && named.into_iter().all(|value| value.as_str().is_some_and(is_present))
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => false,
    };
    if unchanged {
        return Ok(());
    }
    Err(service::Error::BadRequest(format!(
        "The build stack of the app {} is {} and cannot be changed.",
        app.key(),
        app.space.stack
    )))
}

impl Listed for App {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |app| app.created_at),
        Property::Time("updated_at", |app| app.updated_at),
        Property::Text("name", |app| app.name.as_str()),
        Property::Id(|app| app.id.uuid()),
    ];
}

/// By hand, because an app in full also fits the short form: the derived `oneOf` would refuse it.
impl utoipa::PartialSchema for ListedAppView<'_> {
    fn schema() -> RefOr<Schema> {
        AnyOfBuilder::new()
            .item(Ref::from_schema_name(AppView::name()))
            .item(Ref::from_schema_name(SimpleAppView::name()))
            .description(Some("An app in full or with names and links only."))
            .into()
    }
}

impl ToSchema for ListedAppView<'_> {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((AppView::name().into_owned(), <AppView<'_> as utoipa::PartialSchema>::schema()));
        schemas.push((
            SimpleAppView::name().into_owned(),
            <SimpleAppView<'_> as utoipa::PartialSchema>::schema(),
        ));
        AppView::schemas(schemas);
        SimpleAppView::schemas(schemas);
    }
}
