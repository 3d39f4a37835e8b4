//! The account of the one who asks, with the fields that `aka` and its web page read (`behaviour.md` §1.3).

use axum::extract::State;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::auth::Policy;
use super::error::ONE_TIME_CODE;
use super::extract::{ClientAddress, Json};
use super::respond::Created;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::model::account::{Account, Email, Role, check_password};
use crate::model::principal::Principal;
use crate::model::time::Timestamp;
use crate::service;
use crate::service::accounts::{self, AccountChange};
use crate::service::logins::Login;

pub(super) fn router() -> Routes {
    Routes::new("account")
        .route(Policy::Person, routes!(view))
        .route(Policy::Holder, routes!(update))
        .route(Policy::Holder, routes!(create_two_factor, update_two_factor, delete_two_factor))
}

/// What shall change; what is absent stays.
#[derive(Deserialize, ToSchema)]
struct UpdateAccount {
    email: Option<String>,
    /// The new password, 8 to 256 characters.
    new_password: Option<String>,
    /// The present password; needed for a new one when there is one.
    password: Option<String>,
}

/// The code that the authenticator shows.
#[derive(Deserialize, ToSchema)]
struct ConfirmTwoFactor {
    /// Six digits.
    #[serde(default)]
    #[schema(required)]
    code: String,
}

/// An account.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "the clients read them so")]
struct AccountView {
    id: Uuid,
    name: String,
    /// `""` when none was given.
    email: String,
    /// `owner` or `member`.
    role: &'static str,
    /// Whether the one who asks may do what is reserved for administrators.
    elevated_access: bool,
    /// Whether a login needs a one-time code.
    two_factor_authentication: bool,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    last_login: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    suspended_at: Option<Timestamp>,
    /// Always null: nobody owes anything here.
    #[schema(value_type = Option<String>, format = DateTime)]
    delinquent_at: Option<Timestamp>,
    /// Always true: the operator made the account.
    verified: bool,
    /// Always false: nothing is tracked.
    allow_tracking: bool,
    /// Always false.
    beta: bool,
    /// Always `""`: no pictures are kept.
    photo: &'static str,
    /// The same, as the web page spells it.
    #[serde(rename = "thumbnailPhoto")]
    thumbnail_photo: &'static str,
    /// Always `""`: one-time codes come from an authenticator.
    sms_number: &'static str,
}

/// What an authenticator app needs.
#[derive(Serialize, ToSchema)]
struct TwoFactorView {
    /// In base 32, for typing.
    secret: String,
    /// For a QR code.
    otpauth_url: String,
}

/// View the account of the one who asks.
#[utoipa::path(get, path = "/account", operation_id = "view_account",
    responses((status = 200, description = "The account", body = AccountView)))]
async fn view(State(state): State<ApiState>, principal: Principal) -> Result<Json<AccountView>, Error> {
    let account = own(&state, &principal).await?;
    Ok(Json(AccountView::new(&account, &principal)))
}

/// Change one's own account.
///
/// With two-factor authentication a new password also needs a code, in the header `x-akkeris-otp`.
#[utoipa::path(patch, path = "/account", operation_id = "update_account",
    params(("x-akkeris-otp" = Option<String>, Header, description = "The code that the authenticator shows")),
    request_body = UpdateAccount, responses((status = 200, description = "The account", body = AccountView)))]
async fn update(
    State(state): State<ApiState>,
    author: Principal,
    address: ClientAddress,
    headers: HeaderMap,
    Json(body): Json<UpdateAccount>,
) -> Result<Json<AccountView>, Error> {
    let email = body.email.as_deref().map(Email::parse).transpose()?;
    body.new_password.as_deref().map(check_password).transpose()?;
    let account = own(&state, &author).await?;
    let password_hash = match body.new_password {
        None => None,
        Some(new) => {
            if account.has_password {
                let login = Login {
                    name: account.name.to_string(),
                    password: body.password.unwrap_or_default(),
                    code: one_time_code(&headers),
                    address: address.0,
                };
                state.logins.check(login).await.map_err(forbidden)?;
            }
            Some(state.logins.passwords().hash(new).await.map_err(service::Error::from)?)
        }
    };
    let change = AccountChange { email, password_hash };
    let account = accounts::update(&state.store, &author, account.id, change).await?;
    Ok(Json(AccountView::new(&account, &author)))
}

/// Make the secret for an authenticator app.
///
/// One-time codes are asked for once a first one was confirmed.
#[utoipa::path(post, path = "/account/two-factor-authentication", operation_id = "create_two_factor",
    responses((status = 201, description = "The secret, shown this once", body = TwoFactorView)))]
async fn create_two_factor(
    State(state): State<ApiState>,
    author: Principal,
) -> Result<Created<TwoFactorView>, Error> {
    let account = own(&state, &author).await?;
    let secret = accounts::begin_two_factor(&state.store, &state.sealer, &author, &account).await?;
    let otpauth_url = secret.to_url().map_err(service::Error::internal)?;
    Ok(Created(TwoFactorView { secret: secret.to_base32(), otpauth_url }))
}

/// Switch one-time codes on.
#[utoipa::path(patch, path = "/account/two-factor-authentication", operation_id = "update_two_factor",
    request_body = ConfirmTwoFactor, responses((status = 200, description = "The account", body = AccountView)))]
async fn update_two_factor(
    State(state): State<ApiState>,
    author: Principal,
    address: ClientAddress,
    Json(body): Json<ConfirmTwoFactor>,
) -> Result<Json<AccountView>, Error> {
    let account = own(&state, &author).await?;
    let confirmed = accounts::confirm_two_factor(&state.store, &state.sealer, &author, &account, body.code);
    let account = state.logins.guard(&account, address.0, confirmed).await?;
    Ok(Json(AccountView::new(&account, &author)))
}

/// Switch one-time codes off.
///
/// A last code is needed, in the header `x-akkeris-otp`.
#[utoipa::path(delete, path = "/account/two-factor-authentication", operation_id = "delete_two_factor",
    params(("x-akkeris-otp" = Option<String>, Header, description = "The code that the authenticator shows")),
    responses((status = 200, description = "The account", body = AccountView)))]
async fn delete_two_factor(
    State(state): State<ApiState>,
    author: Principal,
    address: ClientAddress,
    headers: HeaderMap,
) -> Result<Json<AccountView>, Error> {
    let account = own(&state, &author).await?;
    let code = one_time_code(&headers).unwrap_or_default();
    let ended = accounts::end_two_factor(&state.store, &state.sealer, &author, &account, code);
    let account = state.logins.guard(&account, address.0, ended).await?;
    Ok(Json(AccountView::new(&account, &author)))
}

/// The account that the principal acts as.
pub(super) async fn own(state: &ApiState, principal: &Principal) -> Result<Account, service::Error> {
    let user = principal.user.clone();
    state.store.read(move |c| accounts::resolve(c, &user)).await
}

/// The one-time code of a request.
pub(super) fn one_time_code(headers: &HeaderMap) -> Option<String> {
    headers.get(ONE_TIME_CODE).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Who asks is known here; only the password is not theirs.
fn forbidden(error: service::Error) -> service::Error {
    if matches!(error, service::Error::Unauthenticated(_)) {
        let message = "The field \"password\" is not the account's present password.";
        return service::Error::Forbidden(message.to_owned());
    }
    error
}

impl AccountView {
    fn new(account: &Account, principal: &Principal) -> Self {
        Self {
            id: account.id.uuid(),
            name: account.name.to_string(),
            email: account.email.as_str().to_owned(),
            role: account.role.as_str(),
            elevated_access: principal.is_elevated() || account.role == Role::Owner,
            two_factor_authentication: account.two_factor,
            created_at: account.created_at,
            updated_at: account.updated_at,
            last_login: account.last_login_at,
            suspended_at: account.suspended_at,
            delinquent_at: None,
            verified: true,
            allow_tracking: false,
            beta: false,
            photo: "",
            thumbnail_photo: "",
            sms_number: "",
        }
    }
}
