//! The OpenAPI document as it is served, and as a page.
//!
//! It is made of the routes when it is tested (`openapi/document.rs`), and lies in `assets/openapi.json`: a daemon
//! neither spends memory on making it nor carries the code that does.

#[cfg(feature = "openapi")]
pub(super) mod document;
#[cfg(feature = "openapi")]
mod examples;
#[cfg(feature = "openapi")]
mod paged;

use axum::response::{IntoResponse, Response};
use http::header;

use super::auth::Policy;
use super::router::{Routes, routes};

/// The document of every route, which `GET /openapi.json` and `akkerisd openapi` show.
pub const OPENAPI: &str = include_str!("../../assets/openapi.json");

/// The page asks nobody but this server, and nobody may frame it.
const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub(super) fn router() -> Routes {
    Routes::new("openapi").route(Policy::Public, routes!(read)).route(Policy::Public, routes!(read_page))
}

/// The document as JSON.
#[utoipa::path(get, path = "/openapi.json", operation_id = "read_openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
async fn read() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
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
