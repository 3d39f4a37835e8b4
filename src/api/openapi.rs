//! The OpenAPI document, made of the routes themselves.

mod examples;
mod paged;

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder,
    extensions::ExtensionsBuilder,
};
use utoipa_axum::routes;

use super::Error;
use super::auth::Policy;
use super::envelope;
use super::router::{self, Routes};
use crate::service;

/// The page asks nobody but this server, and nobody may frame it.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The document of every route: what `GET /openapi.json` and `akkerisd openapi` show.
pub fn openapi() -> OpenApi {
    router::nouns().into_document()
}

pub(super) fn router() -> Routes {
    Routes::new("openapi").route(Policy::Public, routes!(read)).route(Policy::Public, routes!(read_page))
}

/// The document before any route is in it.
pub(super) fn base() -> OpenApi {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token as Bearer, as the password of Basic, or bare."))
        .build();
    let password = HttpBuilder::new()
        .scheme(HttpAuthScheme::Basic)
        .description(Some("The name of an account and its password."))
        .build();
    let components = ComponentsBuilder::new()
        .security_scheme("password", SecurityScheme::Http(password))
        .security_scheme("token", SecurityScheme::Http(bearer))
        .schema_from::<super::error::ErrorView>()
        .schema_from::<super::error::ReleasesErrorView>()
        .build();
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("akkerisd")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some("The Akkeris Platform Apps API on one machine."))
                .build(),
        )
        .components(Some(components))
        .build()
}

/// Adds what every operation has in common: its tag, its policy, its path parameters, the form of errors.
pub(super) fn complete(item: &mut PathItem, path: &str, tag: &str, policy: Policy) {
    let errors = if envelope::is_of_releases(path) { "ReleasesErrorView" } else { "ErrorView" };
    let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
    for operation in operations.into_iter().flatten() {
        operation.tags = Some(vec![tag.to_owned()]);
        operation.security =
            policy.scheme().map(|scheme| vec![SecurityRequirement::new(scheme, Vec::<String>::new())]);
        let extension = ExtensionsBuilder::new().add("x-akkeris-policy", policy.as_str()).build();
        operation.extensions.get_or_insert_default().merge(extension);
        add_path_parameters(operation, path);
        let refused = ResponseBuilder::new()
            .description("An error; its status tells the kind.")
            .content("application/json", Content::new(Some(Ref::from_schema_name(errors))))
            .build();
        operation.responses.responses.insert("default".to_owned(), RefOr::T(refused));
        examples::complete(operation);
    }
    if let Some(operation) = &mut item.get {
        paged::complete(operation, errors);
    }
}

/// The document as JSON.
#[utoipa::path(get, path = "/openapi.json", operation_id = "read_openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
async fn read() -> Result<Response, Error> {
    static DOCUMENT: LazyLock<Result<String, serde_json::Error>> = LazyLock::new(|| openapi().to_json());
    match &*DOCUMENT {
        Ok(json) => Ok(([(header::CONTENT_TYPE, "application/json")], json.as_str()).into_response()),
        Err(error) => Err(service::Error::internal(error.to_string()).into()),
    }
}

/// The document as a page for people; it needs nothing from elsewhere.
#[utoipa::path(get, path = "/docs", operation_id = "read_docs",
    responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
async fn read_page() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, PAGE_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, include_str!("../../assets/docs.html")).into_response()
}

fn add_path_parameters(operation: &mut Operation, path: &str) {
    let parameters = operation.parameters.get_or_insert_default();
    for segment in path.split('/') {
        let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else { continue };
        let known = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::T(p) if p.name == name);
        if !parameters.iter().any(known) {
            let described = "Id, key (`events-perf`), or a short name that only one app has";
            let parameter = ParameterBuilder::new()
                .name(name)
                .description((name == "app").then_some(described))
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(utoipa::schema!(String)))
                .build();
            parameters.push(RefOr::T(parameter));
        }
    }
}
