//! The consent page: a person logs in and allows an application to act for them (RFC 6749 §4.1.1).
//!
//! Invariants: nobody is sent to an address that the application did not register; there is no session, so
//! that each consent needs the password and no other page can give it.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::api::auth::Policy;
use crate::api::extract::{ClientAddress, Form, Query};
use crate::api::router::{Routes, routes};
use crate::api::{ApiState, Error};
use crate::model::oauth::{Challenge, ClientKind};
use crate::model::token::Scope;
use crate::service;
use crate::service::logins::Login;
use crate::service::oauth::{self, OauthError, Wanted};
use axum::routing::get;

pub(super) fn router() -> Routes {
    Routes::new("oauth")
        .route(Policy::Public, routes!(read_authorize, authorize))
        // What the web page of Akkeris is sent to (`aka-client.md` §5).
        .alias(Policy::Public, "/authorize", get(read_authorize).post(authorize))
}

/// What an application asks for.
#[derive(Debug, Default, Clone, Deserialize, ToSchema)]
struct AuthorizeQuery {
    /// The application's id.
    client_id: Option<String>,
    /// One of its registered addresses; may be absent when there is one only.
    redirect_uri: Option<String>,
    /// `code`, which is the default.
    response_type: Option<String>,
    /// `global`, which is the default, or `read`.
    scope: Option<String>,
    /// Given back as it is.
    state: Option<String>,
    /// The SHA-256 of the application's verifier in base64url; an application without a secret needs it.
    code_challenge: Option<String>,
    /// `S256`.
    code_challenge_method: Option<String>,
}

/// What a person sends from the page.
#[derive(Deserialize, ToSchema)]
struct AuthorizeForm {
    #[serde(flatten)]
    query: AuthorizeQuery,
    username: Option<String>,
    password: Option<String>,
    /// The one-time code, of an account that uses them.
    code: Option<String>,
    /// `allow` or `deny`.
    decision: Option<String>,
}

/// Why nobody is asked.
enum Refusal {
    /// The application is not known well enough to be told.
    Page(String),
    /// The application is told at its address.
    Back { uri: String, error: &'static str, description: String },
}

/// Ask a person to let an application act for them.
#[utoipa::path(get, path = "/oauth/authorize", operation_id = "read_authorize",
    params(
        ("client_id" = Option<String>, Query, description = "The application's id"),
        ("redirect_uri" = Option<String>, Query, description = "One of its registered addresses; may be absent when there is one only"),
        ("response_type" = Option<String>, Query, description = "`code`, which is the default"),
        ("scope" = Option<String>, Query, description = "`global`, which is the default, or `read`"),
        ("state" = Option<String>, Query, description = "Given back as it is"),
        ("code_challenge" = Option<String>, Query, description = "Needed by an application without a secret (PKCE)"),
        ("code_challenge_method" = Option<String>, Query, description = "`S256`")),
    responses(
        (status = 200, description = "A page", body = String, content_type = "text/html"),
        (status = 303, description = "Back to the application, with the error"),
        (status = 400, description = "A page that tells what is wrong", body = String, content_type = "text/html")))]
async fn read_authorize(
    State(state): State<ApiState>,
    Query(query): Query<AuthorizeQuery>,
) -> Result<Response, Error> {
    match wanted(&state, &query).await? {
        Ok(wanted) => Ok(consent(StatusCode::OK, &query, &wanted, None)),
        Err(refusal) => Ok(refused(refusal, query.state.as_deref())),
    }
}

/// Log in, and allow or deny an application to act for oneself.
#[utoipa::path(post, path = "/oauth/authorize", operation_id = "authorize",
    request_body(content = AuthorizeForm, content_type = "application/x-www-form-urlencoded"),
    responses(
        (status = 303, description = "Back to the application, with the code or an error"),
        (status = 400, description = "A page that tells what is wrong", body = String, content_type = "text/html"),
        (status = 401, description = "The page again: the login is wrong", body = String, content_type = "text/html"),
        (status = 403, description = "The page again: the account is suspended", body = String, content_type = "text/html"),
        (status = 429, description = "The page again: too many failures", body = String, content_type = "text/html")))]
async fn authorize(
    State(state): State<ApiState>,
    address: ClientAddress,
    Form(form): Form<AuthorizeForm>,
) -> Result<Response, Error> {
    let form = match form {
        Ok(form) => form,
        Err(wrong) => return Ok(refused(Refusal::Page(wrong), None)),
    };
    let wanted = match wanted(&state, &form.query).await? {
        Ok(wanted) => wanted,
        Err(refusal) => return Ok(refused(refusal, form.query.state.as_deref())),
    };
    let back = form.query.state.as_deref();
    if form.decision.as_deref() != Some("allow") {
        let description = "The person did not allow it.".to_owned();
        let refusal = Refusal::Back { uri: wanted.redirect_uri, error: "access_denied", description };
        return Ok(refused(refusal, back));
    }
    let login = Login {
        name: form.username.unwrap_or_default(),
        password: form.password.unwrap_or_default(),
        code: form.code.filter(|code| !code.trim().is_empty()),
        address: address.0,
    };
    let account = match state.logins.check(login).await {
        Ok(account) => account,
        Err(error) => return again(&form.query, &wanted, error),
    };
    let code = oauth::grant(&state.store, &state.ids, &account, &wanted).await?;
    Ok(redirect(&wanted.redirect_uri, &[("code", Some(&code)), ("state", back)]))
}

/// What the application may have, or why not. The application and its address come first: until they are
/// known, nobody is sent anywhere (RFC 6749 §4.1.2.1).
async fn wanted(state: &ApiState, query: &AuthorizeQuery) -> Result<Result<Wanted, Refusal>, Error> {
    let id = query.client_id.clone().unwrap_or_default();
    let client = match state.store.read(move |c| oauth::client(c, &id)).await {
        Ok(client) => client,
        Err(OauthError::Other(error)) => return Err(error.into()),
        Err(error) => return Ok(Err(Refusal::Page(error.to_string()))),
    };
    let Some(redirect_uri) = client.redirect_uris.choose(query.redirect_uri.as_deref()) else {
        let text = "The redirect_uri is not one that the application registered.".to_owned();
        return Ok(Err(Refusal::Page(text)));
    };
    let back = |error, description: &str| {
        Ok(Err(Refusal::Back { uri: redirect_uri.clone(), error, description: description.to_owned() }))
    };
    if query.response_type.as_deref().is_some_and(|kind| kind != "code") {
        return back("unsupported_response_type", "Only the response_type code is supported.");
    }
    let scope = match Scope::parse_all(query.scope.as_deref().unwrap_or_default().split_whitespace()) {
        Ok(scope) => scope,
        Err(error) => return back("invalid_scope", &error.to_string()),
    };
    let challenge = match (&query.code_challenge, query.code_challenge_method.as_deref()) {
        (None, None) if client.kind == ClientKind::Public => {
            return back("invalid_request", "An application without a secret needs a code_challenge (PKCE).");
        }
        (None, None) => None,
        (Some(text), Some("S256")) => match Challenge::parse(text) {
            Some(challenge) => Some(challenge),
            None => return back("invalid_request", "The code_challenge is no SHA-256 in base64url."),
        },
        _ => return back("invalid_request", "Only the code_challenge_method S256 is supported."),
    };
    Ok(Ok(Wanted { client, redirect_uri, scope, challenge }))
}

/// The page once more, with what was wrong; a fault of ours is none of the page's.
fn again(query: &AuthorizeQuery, wanted: &Wanted, error: service::Error) -> Result<Response, Error> {
    use service::Error as Verb;
    let told = match &error {
        Verb::OneTimeCode(_) => {
            let text = "The one-time code of your authenticator is missing or wrong.";
            Some((StatusCode::UNAUTHORIZED, text.to_owned()))
        }
        Verb::Unauthenticated(text) => Some((StatusCode::UNAUTHORIZED, text.clone())),
        Verb::Forbidden(text) => Some((StatusCode::FORBIDDEN, text.clone())),
        Verb::TooManyAttempts { message, .. } => Some((StatusCode::TOO_MANY_REQUESTS, message.clone())),
        Verb::NotFound(_)
        | Verb::BadRequest(_)
        | Verb::Invalid(_)
        | Verb::Conflict(_)
        | Verb::NotReady(_)
        | Verb::Unavailable(_)
        | Verb::Internal(_) => None,
    };
    let Some((status, text)) = told else { return Err(error.into()) };
    let mut response = consent(status, query, wanted, Some(&text));
    if let Verb::TooManyAttempts { wait, .. } = error {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    Ok(response)
}

fn refused(refusal: Refusal, state: Option<&str>) -> Response {
    match refusal {
        Refusal::Page(text) => {
            let body = format!("<h1>This cannot be allowed</h1>\n<p class=\"error\">{}</p>", escape(&text));
            page(StatusCode::BAD_REQUEST, &body, None)
        }
        Refusal::Back { uri, error, description } => redirect(
            &uri,
            &[("error", Some(error)), ("error_description", Some(&description)), ("state", state)],
        ),
    }
}

fn consent(status: StatusCode, query: &AuthorizeQuery, wanted: &Wanted, error: Option<&str>) -> Response {
    let fields = [
        ("client_id", &query.client_id),
        ("redirect_uri", &query.redirect_uri),
        ("response_type", &query.response_type),
        ("scope", &query.scope),
        ("state", &query.state),
        ("code_challenge", &query.code_challenge),
        ("code_challenge_method", &query.code_challenge_method),
    ];
    let hidden: Vec<String> = fields
        .iter()
        .filter_map(|(name, value)| value.as_deref().map(|value| (name, escape(value))))
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">\n"))
        .collect();
    let hidden = hidden.concat();
    let rights = match wanted.scope {
        Scope::Global => "do everything that you may do, and read it all, config vars included",
        Scope::Read => "read everything that you may read, config vars included, and change nothing",
    };
    let error = error
        .map(|text| format!("<p class=\"error\" role=\"alert\">{}</p>\n", escape(text)))
        .unwrap_or_default();
    let body = format!(
        "<h1>Allow {name}?</h1>\n<p>It will be able to {rights}.</p>\n\
         <p class=\"about\">You are sent back to {uri}</p>\n{error}\
         <form method=\"post\" action=\"/oauth/authorize\">\n{hidden}\
         <label for=\"username\">User name</label><input id=\"username\" name=\"username\" autocomplete=\"username\" autofocus>\n\
         <label for=\"password\">Password</label><input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\">\n\
         <label for=\"code\">One-time code, if you use them</label><input id=\"code\" name=\"code\" inputmode=\"numeric\" autocomplete=\"one-time-code\">\n\
         <div class=\"buttons\"><button name=\"decision\" value=\"allow\">Allow</button><button name=\"decision\" value=\"deny\">Deny</button></div>\n\
         </form>",
        name = escape(wanted.client.name.as_str()),
        uri = escape(&wanted.redirect_uri),
    );
    page(status, &body, Some(&wanted.redirect_uri))
}

/// A page that no other may frame, that loads nothing, and whose form leads nowhere but back.
fn page(status: StatusCode, body: &str, redirect_uri: Option<&str>) -> Response {
    let text = include_str!("../../../assets/authorize.html").replace("{{body}}", body);
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'self' {}",
        redirect_uri.map(origin).unwrap_or_default()
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let mut response = (status, headers, text).into_response();
    if let Ok(policy) = HeaderValue::from_str(policy.trim()) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Where a form may lead, for the page's policy: registered addresses hold nothing that would end it.
fn origin(uri: &str) -> String {
    match uri.split_once("://") {
        Some((scheme, rest)) => {
            format!("{scheme}://{}", rest.split(['/', '?']).next().unwrap_or_default())
        }
        None => format!("{}:", uri.split(':').next().unwrap_or_default()),
    }
}

fn redirect(uri: &str, fields: &[(&str, Option<&str>)]) -> Response {
    let fields: Vec<(&str, &str)> =
        fields.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
    let query = serde_urlencoded::to_string(fields).unwrap_or_default();
    let separator = if uri.contains('?') { '&' } else { '?' };
    let headers = [
        (header::LOCATION, format!("{uri}{separator}{query}")),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_client_sends_becomes_markup() {
        assert_eq!(escape("<a href=\"x\">'&"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;");
    }

    #[test]
    fn a_form_may_lead_back_to_the_application_only() {
        assert_eq!(origin("https://ui.example.com:8443/cb?x"), "https://ui.example.com:8443");
        assert_eq!(origin("com.example.app:/back"), "com.example.app:");
    }
}
