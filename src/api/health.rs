//! Whether the daemon can serve, for load balancers and monitors.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

use super::auth::Policy;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::store;

pub(super) fn router() -> Routes {
    Routes::new("health").route(Policy::Public, routes!(read))
}

/// Whether the API can serve.
///
/// 200 when the database can be read, an error otherwise; no token is needed.
#[utoipa::path(get, path = "/octhc", operation_id = "read_health",
    responses((status = 200, description = "`overall_status=good`", body = String, content_type = "text/plain")))]
async fn read(State(state): State<ApiState>) -> Result<Response, Error> {
    state.store.read(store::installation::find).await?;
    let mut response = "overall_status=good".into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
