//! Orders of certificates, as the section "SSL and TLS Certificates" documents them.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::extract::{Json, OptionalJson, Path};
use super::page::{Listed, Page, Paging, Property};
use super::place::PlaceView;
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::RuleError;
use crate::model::catalogue::Catalogue;
use crate::model::certificate::Certificate;
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service;
use crate::service::certificates::{self, NewOrder};
use crate::store::Connection;
use crate::store::certificates::KeyedChain;

pub(super) fn router() -> Routes {
    Routes::new("ssl_orders")
        .route(Policy::User, routes!(create, list))
        .route(Policy::User, routes!(view, install, delete))
}

/// A certificate to be ordered.
#[derive(Deserialize, ToSchema)]
struct CreateSslOrder {
    /// Letters, digits, dashes and dots.
    #[serde(default)]
    #[schema(required)]
    name: String,
    /// The main domain; with a leading `*.` a wildcard is ordered.
    #[serde(default)]
    #[schema(required)]
    common_name: String,
    /// Every domain to be covered, the common name among them.
    #[serde(default)]
    #[schema(required)]
    domain_names: Vec<String>,
    /// Name or id of the organization that answers for it.
    #[serde(default)]
    #[schema(required)]
    org: String,
    /// What it is for.
    comments: Option<String>,
    /// The region of this machine, whatever is named.
    #[expect(dead_code, reason = "there is one region; the field is documented")]
    region: Option<serde_json::Value>,
    /// Who signs: `local`, `acme` or `upload`; the operator's choice when absent.
    issuer: Option<String>,
}

/// What was issued elsewhere.
#[derive(Deserialize, ToSchema)]
struct InstallSslOrder {
    /// PEM, the certificate of the domains first.
    certificate_chain: Option<String>,
    /// PEM, without a password.
    private_key: Option<String>,
}

/// A certificate and how far it is.
#[derive(Serialize, ToSchema)]
#[schema(as = SslCertificateView)]
pub(super) struct CertificateView {
    id: Uuid,
    name: String,
    common_name: String,
    domain_names: Vec<String>,
    comments: String,
    organization: SslOrganizationView,
    requester: SslRequesterView,
    region: PlaceView,
    /// `wildcard`, `ssl_plus` (one domain) or `multi_domain`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// `local`, `acme` or `upload`.
    issuer: &'static str,
    /// `pending`, `processing`, `issued` or `rejected`.
    status: &'static str,
    /// Why it does not get on; empty while all is well.
    reason: String,
    /// Whether the edge shows it.
    installed: bool,
    /// The id under which it was requested.
    request: String,
    #[schema(value_type = Option<String>, format = DateTime)]
    issued: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    expires: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// The organization that answers for a certificate.
#[derive(Serialize, ToSchema)]
struct SslOrganizationView {
    id: Uuid,
    name: String,
}

/// Who ordered a certificate.
#[derive(Serialize, ToSchema)]
struct SslRequesterView {
    name: String,
}

#[derive(Deserialize)]
pub(super) struct CertificatePath {
    pub(super) cert: String,
}

/// Order a certificate.
#[utoipa::path(post, path = "/ssl-orders", operation_id = "create_ssl_order",
    request_body = CreateSslOrder, responses((status = 201, description = "Ordered", body = CertificateView)))]
async fn create(
    State(state): State<ApiState>,
    author: Principal,
    Json(body): Json<CreateSslOrder>,
) -> Result<Created<CertificateView>, Error> {
    let new = NewOrder {
        name: body.name,
        common_name: body.common_name,
        domain_names: body.domain_names,
        organization: body.org,
        comments: body.comments.unwrap_or_default(),
        issuer: body.issuer,
    };
    let rules = (&state.ids, &state.settings.orders);
    let certificate = certificates::create(&state.store, rules, &author, new).await?;
    Ok(Created(CertificateView::new(certificate, &state.catalogue.load())))
}

/// List the certificates that are not installed.
#[utoipa::path(get, path = "/ssl-orders", operation_id = "list_ssl_orders",
    responses((status = 200, description = "All, oldest first", body = Vec<CertificateView>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
) -> Result<Page<CertificateView>, Error> {
    page(&state, principal, paging, false).await
}

/// The certificates that are installed, or those that are not.
pub(super) async fn page(
    state: &ApiState,
    principal: Principal,
    paging: Paging,
    installed: bool,
) -> Result<Page<CertificateView>, Error> {
    let query = move |c: &Connection| certificates::list(c, &principal.reach, installed);
    let (all, catalogue) = (state.store.read(query).await?, state.catalogue.load());
    paging.page(all.into_iter().map(|one| CertificateView::new(one, &catalogue)).collect())
}

/// View how far an order is.
#[utoipa::path(get, path = "/ssl-orders/{cert}", operation_id = "view_ssl_order",
    params(("cert" = String, Path, description = "Name or id")),
    responses((status = 200, description = "The certificate", body = CertificateView)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<CertificatePath>,
) -> Result<Json<CertificateView>, Error> {
    let certificate = find(&state, &principal, path).await?;
    Ok(Json(CertificateView::new(certificate, &state.catalogue.load())))
}

/// Install a certificate.
///
/// Without a body, what was issued. With `certificate_chain` and `private_key`, those, in place of what there was;
/// they must fit each other and cover every domain of the order.
#[utoipa::path(put, path = "/ssl-orders/{cert}", operation_id = "install_ssl_order",
    params(("cert" = String, Path, description = "Name or id")),
    request_body = Option<InstallSslOrder>, responses((status = 201, description = "Installed", body = CertificateView)))]
async fn install(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<CertificatePath>,
    OptionalJson(body): OptionalJson<InstallSslOrder>,
) -> Result<Created<CertificateView>, Error> {
    let id = find(&state, &author, path).await?.id;
    let installed = match body.map(uploaded).transpose()?.flatten() {
        Some(uploaded) => certificates::upload(&state.store, &state.sealer, &author, id, uploaded).await?,
        None => certificates::install(&state.store, &author, id).await?,
    };
    Ok(Created(CertificateView::new(installed, &state.catalogue.load())))
}

/// Withdraw an order, or remove a certificate from the edge.
#[utoipa::path(delete, path = "/ssl-orders/{cert}", operation_id = "delete_ssl_order",
    params(("cert" = String, Path, description = "Name or id")),
    responses((status = 200, description = "The certificate that was", body = CertificateView)))]
async fn delete(
    State(state): State<ApiState>,
    author: Principal,
    Path(path): Path<CertificatePath>,
) -> Result<Json<CertificateView>, Error> {
    let id = find(&state, &author, path).await?.id;
    let gone = certificates::delete(&state.store, &author, id).await?;
    Ok(Json(CertificateView::new(gone, &state.catalogue.load())))
}

async fn find(
    state: &ApiState,
    principal: &Principal,
    path: CertificatePath,
) -> Result<Certificate, service::Error> {
    let reach = principal.reach.clone();
    state.store.read(move |c| certificates::resolve(c, &reach, &path.cert)).await
}

/// Both or neither.
fn uploaded(body: InstallSslOrder) -> Result<Option<KeyedChain>, RuleError> {
    match (body.certificate_chain, body.private_key) {
        (Some(chain), Some(key)) => Ok(Some(KeyedChain { chain, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(RuleError::new("The private_key is missing: send it with the chain, as PEM.")),
        (None, Some(_)) => {
            Err(RuleError::new("The certificate_chain is missing: send it with the key, as PEM."))
        }
    }
}

impl Listed for CertificateView {
    const PROPERTIES: &'static [Property<Self>] = &[
        Property::Time("created_at", |item| item.created_at),
        Property::Time("updated_at", |item| item.updated_at),
        Property::Text("name", |item| &item.name),
        Property::Id(|item| item.id),
    ];
}

impl CertificateView {
    pub(super) fn new(certificate: Certificate, catalogue: &Catalogue) -> Self {
        Self {
            id: certificate.id.uuid(),
            kind: certificate.kind().as_str(),
            installed: certificate.is_installed(),
            request: certificate.id.to_string(),
            name: certificate.name.to_string(),
            common_name: certificate.common_name.to_string(),
            domain_names: certificate.domains.as_slice().iter().map(ToString::to_string).collect(),
            comments: certificate.comments,
            organization: SslOrganizationView {
                id: certificate.organization.id.uuid(),
                name: certificate.organization.name.to_string(),
            },
            requester: SslRequesterView { name: certificate.requester.to_string() },
            region: PlaceView::region(catalogue),
            issuer: certificate.issuer.as_str(),
            status: certificate.status.as_str(),
            reason: certificate.reason,
            issued: certificate.validity.map(|validity| validity.issued),
            expires: certificate.validity.map(|validity| validity.expires),
            created_at: certificate.created_at,
            updated_at: certificate.updated_at,
        }
    }
}
