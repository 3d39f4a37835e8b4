//! Installed certificates, as the section "SSL and TLS Certificates" documents them.

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::auth::Policy;
use super::extract::{Json, Path};
use super::page::{Page, Paging};
use super::router::{Routes, routes};
use super::ssl_orders::{CertificatePath, CertificateView};
use super::{ApiState, Error, ssl_orders};
use crate::model::principal::Principal;
use crate::service::certificates;
use crate::store::{self, Connection};

pub(super) fn router() -> Routes {
    Routes::new("ssl_endpoints").route(Policy::User, routes!(list)).route(Policy::User, routes!(view))
}

/// An installed certificate.
#[derive(Serialize, ToSchema)]
struct SslEndpointView {
    #[serde(flatten)]
    certificate: CertificateView,
    /// What clients are shown: PEM, the certificate of the domains first.
    certificate_chain: String,
}

/// List the installed certificates.
#[utoipa::path(get, path = "/ssl-endpoints", operation_id = "list_ssl_endpoints",
    responses((status = 200, description = "All, oldest first", body = Vec<CertificateView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
) -> Result<Page<CertificateView>, Error> {
    ssl_orders::page(&state, principal, paging, true).await
}

/// View an installed certificate.
#[utoipa::path(get, path = "/ssl-endpoints/{cert}", operation_id = "view_ssl_endpoint",
    params(("cert" = String, Path, description = "Name or id")),
    responses((status = 200, description = "The certificate", body = SslEndpointView)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<CertificatePath>,
) -> Result<Json<SslEndpointView>, Error> {
    let query = move |c: &Connection| {
        let certificate = certificates::resolve_installed(c, &principal.reach, &path.cert)?;
        let chain = store::certificates::chain(c, certificate.id)?.unwrap_or_default();
        Ok::<_, crate::service::Error>((certificate, chain))
    };
    let (certificate, certificate_chain) = state.store.read(query).await?;
    let certificate = CertificateView::new(certificate, &state.catalogue.load());
    Ok(Json(SslEndpointView { certificate, certificate_chain }))
}
