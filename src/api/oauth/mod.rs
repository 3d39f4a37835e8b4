//! OAuth 2 for applications of others: codes and refresh tokens become tokens (RFC 6749, 7009, 7636, 8414).
//!
//! Invariant: errors have the form of RFC 6749 §5.2, not that of this API.

mod authorize;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth::{self, Policy};
use super::extract::{Form, Json};
use super::origin::Origin;
use super::router::{Routes, routes};
use super::{ApiState, Error};
use crate::service::oauth::{self, ACCESS_LIFETIME, ClientProof, Issued, OauthError};

pub(super) fn router() -> Routes {
    Routes::new("oauth")
        .merge(authorize::router())
        .route(Policy::Public, routes!(create_token))
        .route(Policy::Public, routes!(revoke_token))
        .route(Policy::Public, routes!(read_metadata))
        // What the web page of Akkeris calls (`aka-client.md` §5).
        .alias(Policy::Public, "/access_token", post(create_token))
}

/// What an application gives for tokens.
#[derive(Deserialize, ToSchema)]
struct CreateToken {
    /// `authorization_code` or `refresh_token`.
    grant_type: Option<String>,
    code: Option<String>,
    /// The one of the authorization; may be absent.
    redirect_uri: Option<String>,
    /// The verifier of the code's challenge.
    code_verifier: Option<String>,
    refresh_token: Option<String>,
    /// Here, or with the secret in `Authorization: Basic`.
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// The token to be ended.
#[derive(Deserialize, ToSchema)]
struct RevokeToken {
    /// An access or a refresh token.
    token: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// What an application gets.
#[derive(Serialize, ToSchema)]
struct TokenView {
    access_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds until the access token ends.
    expires_in: u64,
    /// Works once, for 30 days, and gives new tokens.
    refresh_token: String,
    scope: &'static str,
}

/// Why an application gets nothing (RFC 6749 §5.2).
#[derive(Serialize, ToSchema)]
struct OauthErrorView {
    error: &'static str,
    error_description: String,
}

/// Nothing (RFC 7009 §2.2).
#[derive(Serialize, ToSchema)]
struct RevokedView {}

/// Where everything is (RFC 8414).
#[derive(Serialize, ToSchema)]
struct MetadataView {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: String,
    response_types_supported: [&'static str; 1],
    grant_types_supported: [&'static str; 2],
    code_challenge_methods_supported: [&'static str; 1],
    scopes_supported: [&'static str; 2],
    token_endpoint_auth_methods_supported: [&'static str; 3],
}

/// Exchange a code or a refresh token.
#[utoipa::path(post, path = "/oauth/token", operation_id = "create_oauth_token",
    request_body(content = CreateToken, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "Tokens", body = TokenView),
        (status = 400, description = "It is not given", body = OauthErrorView),
        (status = 401, description = "The application is not known", body = OauthErrorView)))]
async fn create_token(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Form(body): Form<CreateToken>,
) -> Result<Response, Error> {
    let result = async { tokens(&state, &headers, body.map_err(OauthError::InvalidRequest)?).await };
    answered(result.await)
}

/// End what an application was granted.
#[utoipa::path(post, path = "/oauth/revoke", operation_id = "revoke_oauth_token",
    request_body(content = RevokeToken, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 200, description = "The token works no more, or never did", body = RevokedView),
        (status = 400, description = "No token is named", body = OauthErrorView),
        (status = 401, description = "The application is not known", body = OauthErrorView)))]
async fn revoke_token(
    State(state): State<ApiState>,
    headers: HeaderMap,
    Form(body): Form<RevokeToken>,
) -> Result<Response, Error> {
    let result = async {
        let body = body.map_err(OauthError::InvalidRequest)?;
        let token = required("token", body.token)?;
        let proof = proof(&headers, body.client_id, body.client_secret)?;
        oauth::revoke(&state.store, proof, token).await?;
        Ok(Json(RevokedView {}).into_response())
    };
    answered(result.await)
}

/// Where the endpoints of OAuth 2 are.
#[utoipa::path(get, path = "/.well-known/oauth-authorization-server", operation_id = "read_oauth_metadata",
    responses((status = 200, description = "RFC 8414", body = MetadataView)))]
async fn read_metadata(origin: Origin) -> Json<MetadataView> {
    let at = |path: &str| format!("{}{path}", origin.0);
    Json(MetadataView {
        issuer: at(""),
        authorization_endpoint: at("/oauth/authorize"),
        token_endpoint: at("/oauth/token"),
        revocation_endpoint: at("/oauth/revoke"),
        response_types_supported: ["code"],
        grant_types_supported: ["authorization_code", "refresh_token"],
        code_challenge_methods_supported: ["S256"],
        scopes_supported: ["global", "read"],
        token_endpoint_auth_methods_supported: ["client_secret_basic", "client_secret_post", "none"],
    })
}

async fn tokens(state: &ApiState, headers: &HeaderMap, body: CreateToken) -> Result<Response, OauthError> {
    let kind = required("grant_type", body.grant_type)?;
    let proof = |id, secret| proof(headers, id, secret);
    let issued = match kind.as_str() {
        "authorization_code" => {
            let code = required("code", body.code)?;
            let proof = proof(body.client_id, body.client_secret)?;
            let sent = (code, body.redirect_uri);
            oauth::exchange(&state.store, &state.ids, proof, sent, body.code_verifier).await?
        }
        "refresh_token" => {
            let token = required("refresh_token", body.refresh_token)?;
            let proof = proof(body.client_id, body.client_secret)?;
            oauth::refresh(&state.store, &state.ids, proof, token).await?
        }
        _ => {
            return Err(OauthError::UnsupportedGrantType(
                "The grant_type is neither authorization_code nor refresh_token.".to_owned(),
            ));
        }
    };
    Ok(Json(TokenView::from(issued)).into_response())
}

fn required(name: &str, value: Option<String>) -> Result<String, OauthError> {
    value
        .filter(|text| !text.is_empty())
        .ok_or_else(|| OauthError::InvalidRequest(format!("The field {name} is missing.")))
}

/// Who the application says it is: in the header or in the body, not in both (RFC 6749 §2.3.1).
fn proof(headers: &HeaderMap, id: Option<String>, secret: Option<String>) -> Result<ClientProof, OauthError> {
    match (auth::basic(headers), secret) {
        (Some(_), Some(_)) => {
            Err(OauthError::InvalidRequest("The client_secret is sent twice; send it once.".to_owned()))
        }
        (Some(basic), None) => Ok(ClientProof { id: basic.name, secret: Some(basic.password) }),
        (None, secret) => Ok(ClientProof { id: required("client_id", id)?, secret }),
    }
}

/// What holds a token is kept by nobody on the way.
fn answered(result: Result<Response, OauthError>) -> Result<Response, Error> {
    let mut response = match result {
        Ok(response) => response,
        Err(OauthError::Other(error)) => return Err(error.into()),
        Err(error) => refused(&error),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn refused(error: &OauthError) -> Response {
    let (status, code) = match error {
        OauthError::InvalidClient(_) => (StatusCode::UNAUTHORIZED, "invalid_client"),
        OauthError::InvalidGrant(_) => (StatusCode::BAD_REQUEST, "invalid_grant"),
        OauthError::UnsupportedGrantType(_) => (StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        OauthError::InvalidRequest(_) | OauthError::Other(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
    };
    let view = OauthErrorView { error: code, error_description: error.to_string() };
    let mut response = (status, Json(view)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"akkerisd\""));
    }
    response
}

impl From<Issued> for TokenView {
    fn from(issued: Issued) -> Self {
        Self {
            access_token: issued.access_token,
            token_type: "Bearer",
            expires_in: ACCESS_LIFETIME.as_secs(),
            refresh_token: issued.refresh_token,
            scope: issued.scope.as_str(),
        }
    }
}
