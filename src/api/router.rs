//! Every noun's routes on one screen, and what surrounds them all.

use axum::extract::{DefaultBodyLimit, Extension};
use axum::middleware;
use axum::routing::MethodRouter;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::auth::{self, Policy};
use super::{ApiState, Error, apps, config_vars, envelope, openapi, organizations, spaces};

/// The API, ready to be served.
pub fn router(state: ApiState) -> axum::Router {
    let (routes, _) = nouns().inner.split_for_parts();
    routes
        .fallback(|| std::future::ready(Error::UnknownPath))
        .method_not_allowed_fallback(|| std::future::ready(Error::MethodNotAllowed))
        .layer(DefaultBodyLimit::disable())
        .layer(Extension(state.clone()))
        .layer(CatchPanicLayer::custom(envelope::panicked))
        .layer(middleware::from_fn(envelope::wrap))
        .layer(CompressionLayer::new())
        .with_state(state)
}

/// Every noun.
pub(super) fn nouns() -> Routes {
    Routes::new("")
        .merge(apps::router())
        .merge(config_vars::router())
        .merge(openapi::router())
        .merge(organizations::router())
        .merge(spaces::router())
}

/// The routes of a noun; each has a policy, an entry in the document, and the tag of its noun.
pub(super) struct Routes {
    tag: &'static str,
    inner: OpenApiRouter<ApiState>,
}

impl Routes {
    /// No routes yet.
    pub(super) fn new(tag: &'static str) -> Self {
        Self { tag, inner: OpenApiRouter::with_openapi(openapi::base()) }
    }

    /// Adds the operations of `routes!(handler)`, open to those whom the policy names.
    pub(super) fn route(self, policy: Policy, routes: UtoipaMethodRouter<ApiState>) -> Self {
        let (schemas, mut paths, methods) = routes;
        for (path, item) in &mut paths.paths {
            openapi::complete(item, path, self.tag, policy);
        }
        Self { tag: self.tag, inner: self.inner.routes((schemas, paths, guarded(policy, methods))) }
    }

    /// A second spelling of an operation that is in the document already.
    pub(super) fn alias(self, policy: Policy, path: &str, methods: MethodRouter<ApiState>) -> Self {
        Self { tag: self.tag, inner: self.inner.route(path, guarded(policy, methods)) }
    }

    pub(super) fn merge(self, other: Self) -> Self {
        Self { tag: self.tag, inner: self.inner.merge(other.inner) }
    }

    pub(super) fn into_document(self) -> OpenApi {
        self.inner.into_openapi()
    }
}

fn guarded(policy: Policy, methods: MethodRouter<ApiState>) -> MethodRouter<ApiState> {
    methods.route_layer(middleware::from_fn(move |state, request, next| {
        auth::enforce(policy, state, request, next)
    }))
}
