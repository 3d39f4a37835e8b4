//! Invoices, as the section of that name documents them: of everything, of an organization, of a space.

use axum::extract::State;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use super::auth::Policy;
use super::extract::{Json, Path};
use super::page::{Listed, Page, Paging, Property};
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::invoice::{Cents, Month};
use crate::model::principal::{Principal, Reach};
use crate::model::time::Timestamp;
use crate::service::invoices::{self, Billed, Invoice, Item};
use crate::service::{self, organizations, spaces};
use crate::store::Connection;
use crate::store::formation_periods::{BillingArea, BillingScope};

pub(super) fn router() -> Routes {
    Routes::new("invoices")
        .route(Policy::User, routes!(list))
        .route(Policy::User, routes!(view))
        .route(Policy::User, routes!(list_of_organization))
        .route(Policy::User, routes!(view_of_organization))
        .route(Policy::User, routes!(list_of_space))
        .route(Policy::User, routes!(view_of_space))
        // The document's headings spell the lists so.
        .alias(Policy::User, "/organization/{organization}/invoices", get(list_of_organization))
        .alias(Policy::User, "/space/{space}/invoices", get(list_of_space))
}

/// Where an invoice is.
#[derive(Serialize, ToSchema)]
struct InvoiceReference {
    /// The path of the invoice.
    #[serde(rename = "$ref")]
    reference: String,
}

/// What a month costs. Amounts are in dollars.
#[derive(Serialize, ToSchema)]
struct InvoiceView {
    /// The first day of the month.
    id: String,
    /// The first instant of the month, in milliseconds since 1970.
    number: String,
    /// 1 when the month is over, else 2.
    state: u8,
    payment_status: &'static str,
    #[schema(value_type = String, format = DateTime)]
    period_start: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    period_end: Timestamp,
    addons_total: f64,
    database_total: f64,
    platform_total: f64,
    charges_total: f64,
    credits_total: f64,
    total: f64,
    dyno_units: u64,
    weighted_dyno_hours: u64,
    items: Vec<ItemView>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

/// One line of an invoice.
#[derive(Serialize, ToSchema)]
struct ItemView {
    organization: String,
    app: ItemAppView,
    description: String,
    r#type: &'static str,
    quantity: u32,
    /// Dollars a month of one.
    #[schema(value_type = f64)]
    price_per_unit: Number,
    billed_price: f64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    deleted_at: Option<Timestamp>,
}

#[derive(Serialize, ToSchema)]
struct ItemAppView {
    name: String,
}

#[derive(Deserialize)]
struct InvoicePath {
    organization: Option<String>,
    space: Option<String>,
    invoice: Option<String>,
}

/// List the invoices of everything.
#[utoipa::path(get, path = "/account/invoices", operation_id = "list_invoices",
    responses((status = 200, description = "Oldest first; the last is of the next month", body = Vec<InvoiceReference>)))]
async fn list(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
) -> Result<Page<InvoiceReference>, Error> {
    let now = state.clock.now();
    let scope = BillingScope { area: BillingArea::All, within: principal.reach.memberships().cloned() };
    let months = state.store.read(move |c| invoices::months(c, &scope, now)).await?;
    paging.page(references("/account/invoices", &months))
}

/// View an invoice of everything.
#[utoipa::path(get, path = "/account/invoices/{invoice}", operation_id = "view_invoice",
    params(("invoice" = String, Path, description = "The first day of the month, such as 2026-11-01")),
    responses((status = 200, description = "The invoice", body = InvoiceView)))]
async fn view(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<InvoicePath>,
) -> Result<Json<InvoiceView>, Error> {
    found(&state, path, principal.reach, |_, _| Ok(BillingArea::All)).await
}

/// List the invoices of an organization.
#[utoipa::path(get, path = "/organizations/{organization}/invoices", operation_id = "list_organization_invoices",
    params(("organization" = String, Path, description = "Name or id")),
    responses((status = 200, description = "Oldest first; the last is of the next month", body = Vec<InvoiceReference>)))]
async fn list_of_organization(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
    Path(path): Path<InvoicePath>,
) -> Result<Page<InvoiceReference>, Error> {
    let text = path.organization.unwrap_or_default();
    let base = format!("/organizations/{}/invoices", text.to_ascii_lowercase());
    let area = move |c: &Connection, reach: &Reach| of_organization(c, reach, &text);
    paging.page(listed(&state, base, principal.reach, area).await?)
}

/// View an invoice of an organization.
#[utoipa::path(get, path = "/organizations/{organization}/invoices/{invoice}", operation_id = "view_organization_invoice",
    params(("organization" = String, Path, description = "Name or id"), ("invoice" = String, Path, description = "The first day of the month")),
    responses((status = 200, description = "The invoice", body = InvoiceView)))]
async fn view_of_organization(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<InvoicePath>,
) -> Result<Json<InvoiceView>, Error> {
    let text = path.organization.clone().unwrap_or_default();
    found(&state, path, principal.reach, move |c, reach| of_organization(c, reach, &text)).await
}

/// List the invoices of a space.
#[utoipa::path(get, path = "/spaces/{space}/invoices", operation_id = "list_space_invoices",
    params(("space" = String, Path, description = "Name or id")),
    responses((status = 200, description = "Oldest first; the last is of the next month", body = Vec<InvoiceReference>)))]
async fn list_of_space(
    State(state): State<ApiState>,
    principal: Principal,
    paging: Paging,
    Path(path): Path<InvoicePath>,
) -> Result<Page<InvoiceReference>, Error> {
    let text = path.space.unwrap_or_default();
    let base = format!("/spaces/{}/invoices", text.to_ascii_lowercase());
    let area = move |c: &Connection, _: &Reach| Ok(BillingArea::Space(spaces::resolve(c, &text)?.id));
    paging.page(listed(&state, base, principal.reach, area).await?)
}

/// View an invoice of a space.
#[utoipa::path(get, path = "/spaces/{space}/invoices/{invoice}", operation_id = "view_space_invoice",
    params(("space" = String, Path, description = "Name or id"), ("invoice" = String, Path, description = "The first day of the month")),
    responses((status = 200, description = "The invoice", body = InvoiceView)))]
async fn view_of_space(
    State(state): State<ApiState>,
    principal: Principal,
    Path(path): Path<InvoicePath>,
) -> Result<Json<InvoiceView>, Error> {
    let text = path.space.clone().unwrap_or_default();
    found(&state, path, principal.reach, move |c, _| Ok(BillingArea::Space(spaces::resolve(c, &text)?.id)))
        .await
}

fn of_organization(c: &Connection, reach: &Reach, text: &str) -> Result<BillingArea, service::Error> {
    Ok(BillingArea::Organization(organizations::resolve(c, reach, text)?.id))
}

async fn listed(
    state: &ApiState,
    base: String,
    reach: Reach,
    area: impl FnOnce(&Connection, &Reach) -> Result<BillingArea, service::Error> + Send + 'static,
) -> Result<Vec<InvoiceReference>, Error> {
    let now = state.clock.now();
    let query = move |c: &Connection| {
        let scope = BillingScope { area: area(c, &reach)?, within: reach.memberships().cloned() };
        invoices::months(c, &scope, now)
    };
    let months = state.store.read(query).await?;
    if months.is_empty() {
        return Err(service::Error::NotFound("There are no invoices: it never had an app.".to_owned()).into());
    }
    Ok(references(&base, &months))
}

async fn found(
    state: &ApiState,
    path: InvoicePath,
    reach: Reach,
    area: impl FnOnce(&Connection, &Reach) -> Result<BillingArea, service::Error> + Send + 'static,
) -> Result<Json<InvoiceView>, Error> {
    let (now, catalogue) = (state.clock.now(), state.catalogue.load_full());
    let id = path.invoice.unwrap_or_default();
    let query = move |c: &Connection| {
        let scope = BillingScope { area: area(c, &reach)?, within: reach.memberships().cloned() };
        invoices::find(c, &catalogue, &scope, &id, now)
    };
    Ok(Json(state.store.read(query).await?.into()))
}

fn references(base: &str, months: &[Month]) -> Vec<InvoiceReference> {
    months.iter().map(|month| InvoiceReference { reference: format!("{base}/{month}") }).collect()
}

impl Listed for InvoiceReference {
    const PROPERTIES: &'static [Property<Self>] = &[Property::Text("$ref", |item| &item.reference)];
}

impl From<Invoice> for InvoiceView {
    fn from(invoice: Invoice) -> Self {
        let (start, end) = (invoice.month.start(), invoice.period_end);
        let sum = |counts: fn(&Billed) -> bool| {
            invoice.items.iter().filter(|item| counts(&item.what)).map(|item| item.billed).sum::<Cents>()
        };
        let total = sum(|_| true).dollars();
        let dyno_units: u64 = invoice.items.iter().map(|item| u64::from(item.what.dynos())).sum();
        let days = end.since(start).as_secs() / 86_400 + 1;
        Self {
            id: invoice.month.to_string(),
            number: start.as_millis().to_string(),
            state: if invoice.paid { 1 } else { 2 },
            payment_status: if invoice.paid { "Paid" } else { "Pending" },
            period_start: start,
            period_end: end,
            addons_total: sum(|what| matches!(what, Billed::Addon(_))).dollars(),
            database_total: sum(Billed::is_database).dollars(),
            platform_total: sum(|what| matches!(what, Billed::Dynos(_))).dollars(),
            charges_total: total,
            credits_total: 0.0,
            total,
            dyno_units,
            weighted_dyno_hours: dyno_units * 24 * days,
            items: invoice.items.into_iter().map(ItemView::from).collect(),
            created_at: start,
            updated_at: start,
        }
    }
}

impl Billed {
    fn dynos(&self) -> u32 {
        match self {
            Self::Dynos(period) => period.quantity,
            Self::Addon(_) => 0,
        }
    }

    /// By the name of the plan (`behaviour.md` §24).
    fn is_database(&self) -> bool {
        matches!(self, Self::Addon(period) if period.plan.as_str().contains("postgresql"))
    }
}

/// A whole number of dollars without a point.
fn per_unit(cents: u32) -> Number {
    let exact = || Number::from_f64(Cents::from(cents).dollars());
    if cents.is_multiple_of(100) {
        Number::from(cents / 100)
    } else {
        exact().unwrap_or_else(|| Number::from(0))
    }
}

impl From<Item> for ItemView {
    fn from(Item { what, price, billed }: Item) -> Self {
        let (price_per_unit, billed_price) = (per_unit(price), billed.dollars());
        match what {
            Billed::Dynos(period) => Self {
                organization: period.organization.to_string(),
                app: ItemAppView { name: format!("{}-{}", period.app, period.space) },
                description: format!("{} {} dyno", period.size, period.process_type),
                r#type: "dyno",
                quantity: period.quantity,
                price_per_unit,
                billed_price,
                created_at: period.started_at,
                deleted_at: period.ended_at,
            },
            Billed::Addon(period) => Self {
                organization: period.organization.to_string(),
                app: ItemAppView { name: format!("{}-{}", period.app, period.space) },
                description: format!("{} addon", period.plan),
                r#type: "addon",
                quantity: 1,
                price_per_unit,
                billed_price,
                created_at: period.started_at,
                deleted_at: period.ended_at,
            },
        }
    }
}
