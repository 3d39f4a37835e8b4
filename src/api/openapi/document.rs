//! The document, made of the routes themselves.
//!
//! Only tests make it, with the cargo feature `openapi`; what they make is what `assets/openapi.json` has.

use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    ComponentsBuilder, Content, InfoBuilder, OpenApi, OpenApiBuilder, Ref, RefOr, Required, ResponseBuilder,
    extensions::ExtensionsBuilder,
};

use super::{examples, paged};
use crate::api::auth::Policy;
use crate::api::envelope;
use crate::api::error::{ErrorView, ReleasesErrorView};
use crate::api::router;

/// What the operations of one path say of themselves.
pub(in crate::api) type Described = (Vec<(String, RefOr<Schema>)>, Paths);

/// What a noun's routes add to the document.
pub(in crate::api) struct Entry {
    pub(in crate::api) tag: &'static str,
    pub(in crate::api) policy: Policy,
    pub(in crate::api) describe: fn() -> Described,
}

/// The document of every route.
pub fn openapi() -> OpenApi {
    let mut document = base();
    for entry in router::nouns().into_entries() {
        let (schemas, paths) = (entry.describe)();
        for (path, mut item) in paths.paths {
            complete(&mut item, &path, entry.tag, entry.policy);
            match document.paths.paths.get_mut(&path) {
                Some(there) => there.merge_operations(item),
                None => drop(document.paths.paths.insert(path, item)),
            }
        }
        document.components.get_or_insert_default().schemas.extend(schemas);
    }
    document
}

impl Policy {
    /// As the document shows it.
    fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Password => "password",
            Self::User | Self::Changer | Self::Scraper | Self::Git => "user",
            Self::Person => "person",
            Self::Holder => "holder",
        }
    }

    /// The security scheme of the document that answers it.
    fn scheme(self) -> Option<&'static str> {
        match self {
            Self::Public => None,
            Self::Password => Some("password"),
            Self::User | Self::Changer | Self::Scraper | Self::Git | Self::Person | Self::Holder => {
                Some("token")
            }
        }
    }
}

/// The document before any route is in it.
fn base() -> OpenApi {
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
        .schema_from::<ErrorView>()
        .schema_from::<ReleasesErrorView>()
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
fn complete(item: &mut PathItem, path: &str, tag: &str, policy: Policy) {
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
