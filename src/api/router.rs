//! Every noun's routes on one screen, and what surrounds them all.

use std::convert::Infallible;

use axum::extract::{Extension, Request};
use axum::middleware;
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter};
use tower::util::MapResponseLayer;
use tower::{Layer, Service};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use utoipa::openapi::path::HttpMethod;
use utoipa_axum::PathItemExt;

use super::auth::{self, Policy};
#[cfg(feature = "openapi")]
use super::openapi::document::{Described, Entry};
use super::{
    ApiState, Error, account, addon_attachments, addon_backups, addon_services, addons, app_setups, apps,
    audits, authorizations, auto_builds, builds, config_var_notes, config_vars, deployments, dynos, envelope,
    environments, events, favorites, features, filter_attachments, filters, formations, git, health, hooks,
    invoices, keys, log_drains, logs, metrics, oauth, oauth_clients, openapi, organization_members,
    organizations, page, pipeline_couplings, pipeline_promotions, pipelines, plugins, previews,
    recommendations, regions, release_candidates, release_projects, release_statuses, releases, sites,
    spaces, ssl_endpoints, ssl_orders, stacks, terminal, trace,
};

/// The API, ready to be served.
pub fn router(state: ApiState) -> axum::Router {
    let mut routes = nouns().inner;
    if state.telemetry.sampler().is_some() {
        routes = routes.layer(middleware::from_fn_with_state(state.clone(), trace::record));
    }
    let routes = routes
        .fallback(|| std::future::ready(Error::UnknownPath))
        .method_not_allowed_fallback(|| std::future::ready(Error::MethodNotAllowed));
    surround(Extension(state.clone()).layer(routes.with_state(state)))
}

/// Gives every answer of these routes, and those outside them, the one form.
///
/// All of it lies around the router. A layer of the router would cost each request a box more, and each of these is
/// cloned with those within it.
fn surround<S>(routes: S) -> axum::Router
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    // Outermost first.
    let layers = (
        MapResponseLayer::new(page::tell),
        CompressionLayer::new().compress_when(DefaultPredicate::new().and(logs::is_compressible)),
        middleware::from_fn(envelope::wrap),
        CatchPanicLayer::custom(envelope::panicked),
    );
    axum::Router::new().fallback_service(layers.layer(routes))
}

/// Every noun.
pub(super) fn nouns() -> Routes {
    Routes::new("")
        .merge(account::router())
        .merge(addon_attachments::router())
        .merge(addon_backups::router())
        .merge(addon_services::router())
        .merge(addons::router())
        .merge(app_setups::router())
        .merge(apps::router())
        .merge(audits::router())
        .merge(authorizations::router())
        .merge(auto_builds::router())
        .merge(builds::router())
        .merge(config_var_notes::router())
        .merge(config_vars::router())
        .merge(deployments::router())
        .merge(dynos::router())
        .merge(environments::router())
        .merge(events::router())
        .merge(favorites::router())
        .merge(features::router())
        .merge(filter_attachments::router())
        .merge(filters::router())
        .merge(formations::router())
        .merge(git::router())
        .merge(health::router())
        .merge(hooks::router())
        .merge(invoices::router())
        .merge(keys::router())
        .merge(log_drains::router())
        .merge(logs::router())
        .merge(metrics::router())
        .merge(openapi::router())
        .merge(oauth::router())
        .merge(oauth_clients::router())
        .merge(organizations::router())
        .merge(organization_members::router())
        .merge(pipelines::router())
        .merge(pipeline_couplings::router())
        .merge(pipeline_promotions::router())
        .merge(regions::router())
        .merge(release_candidates::router())
        .merge(release_projects::router())
        .merge(release_statuses::router())
        .merge(plugins::router())
        .merge(previews::router())
        .merge(recommendations::router())
        .merge(releases::router())
        .merge(super::routes::router())
        .merge(sites::router())
        .merge(spaces::router())
        .merge(ssl_endpoints::router())
        .merge(ssl_orders::router())
        .merge(stacks::router())
        .merge(terminal::router())
}

/// The routes of a noun; each has a policy, an entry in the document, and the tag of its noun.
pub(super) struct Routes {
    #[cfg_attr(not(feature = "openapi"), expect(dead_code, reason = "only the document has tags"))]
    tag: &'static str,
    inner: axum::Router<ApiState>,
    #[cfg(feature = "openapi")]
    entries: Vec<Entry>,
}

/// The operations of one path, as [`routes!`] gathers them.
pub(super) struct Operations {
    pub(super) path: String,
    pub(super) methods: MethodRouter<ApiState>,
    #[cfg(feature = "openapi")]
    pub(super) describe: fn() -> Described,
}

/// The [`Operations`] of handlers that share a path, from what `#[utoipa::path]` says of them.
macro_rules! routes {
    ($first:ident $(, $other:ident)*) => {
        $crate::api::router::Operations {
            path: utoipa_axum::routes!(@path [path()] of $first),
            methods: axum::routing::MethodRouter::new()
                .on($crate::api::router::filter(&utoipa_axum::routes!(@path [methods()] of $first)), $first)
                $(.on($crate::api::router::filter(&utoipa_axum::routes!(@path [methods()] of $other)), $other))*,
            #[cfg(feature = "openapi")]
            describe: || {
                let described: utoipa_axum::router::UtoipaMethodRouter<$crate::api::ApiState> =
                    utoipa_axum::routes!($first $(, $other)*);
                (described.0, described.1)
            },
        }
    };
}
pub(super) use routes;

impl Routes {
    /// No routes yet.
    pub(super) fn new(tag: &'static str) -> Self {
        Self {
            tag,
            inner: axum::Router::new(),
            #[cfg(feature = "openapi")]
            entries: Vec::new(),
        }
    }

    /// Adds the operations of `routes!(handler)`, open to those whom the policy names.
    pub(super) fn route(mut self, policy: Policy, operations: Operations) -> Self {
        #[cfg(feature = "openapi")]
        self.entries.push(Entry { tag: self.tag, policy, describe: operations.describe });
        self.inner = self.inner.route(&operations.path, guarded(policy, operations.methods));
        self
    }

    /// What the document does not show: a second spelling of an operation, or a WebSocket.
    pub(super) fn alias(mut self, policy: Policy, path: &str, methods: MethodRouter<ApiState>) -> Self {
        self.inner = self.inner.route(path, guarded(policy, methods));
        self
    }

    pub(super) fn merge(mut self, other: Self) -> Self {
        self.inner = self.inner.merge(other.inner);
        #[cfg(feature = "openapi")]
        self.entries.extend(other.entries);
        self
    }

    #[cfg(feature = "openapi")]
    pub(super) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

/// The methods that `#[utoipa::path]` names.
pub(super) fn filter(methods: &[HttpMethod]) -> MethodFilter {
    let mut filters = methods.iter().map(PathItemExt::to_method_filter);
    let first = filters.next().unwrap_or(MethodFilter::GET);
    filters.fold(first, MethodFilter::or)
}

fn guarded(policy: Policy, methods: MethodRouter<ApiState>) -> MethodRouter<ApiState> {
    methods.route_layer(middleware::from_fn(move |state, request, next| {
        auth::enforce(policy, state, request, next)
    }))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::extract::Request;
    use axum::routing::get;
    use http::StatusCode;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_handler_is_500_in_the_form_of_every_error() {
        async fn panics() -> StatusCode {
            panic!("a bug in a handler")
        }
        let router = surround(axum::Router::new().route("/", get(panics)));
        let request = Request::builder().header("x-request-id", "r-1").body(Body::empty()).unwrap();
        let response = router.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["x-request-id"], "r-1");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["id"], "internal_server_error");
        assert!(body["message"].as_str().unwrap().ends_with("request id r-1."), "{body}");
    }
}
