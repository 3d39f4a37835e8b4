//! The repositories of apps, as clients of git ask for them ("smart HTTP").
//!
//! Not in the document: what is said here is git's own protocol. Refusals are plain text, which git shows to its user.

use std::convert::Infallible;
use std::io;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{StreamExt, TryStreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use serde::Deserialize;

use super::auth::Policy;
use super::extract::{Path, Query};
use super::logs::Streamed;
use super::origin::Origin;
use super::router::Routes;
use super::{ApiState, Error};
use crate::git::{Call, Exchange, GitError, Links, RequestHead, Service};
use crate::model::app::App;
use crate::model::principal::Principal;
use crate::service::{self, builds};

/// What paths of repositories begin with.
const FOLDER: &str = "/git/";
/// Has git ask its user, and says for what.
const CHALLENGE: HeaderValue =
    HeaderValue::from_static("Basic realm=\"akkerisd: any name, and a token as the password\"");

pub(super) fn router() -> Routes {
    Routes::new("git")
        .alias(Policy::Git, "/git/{app}/info/refs", get(advertise))
        .alias(Policy::Git, "/git/{app}/git-upload-pack", post(fetch))
        .alias(Policy::Git, "/git/{app}/git-receive-pack", post(push))
}

/// Whether a path is that of a repository.
pub(super) fn is_repository(path: &str) -> bool {
    path.starts_with(FOLDER)
}

/// Whether what is asked for leads to a change. A fetch is a POST, too.
pub(super) fn is_push(uri: &Uri) -> bool {
    let name = Service::ReceivePack.name();
    let asked = Query::<Advertised>::of(uri).service;
    uri.path().ends_with(name) || asked.as_deref() == Some(name)
}

/// 401 as git understands it.
pub(super) fn challenge() -> Response {
    let mut response = Error::Unauthenticated.into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, CHALLENGE);
    response
}

#[derive(Deserialize)]
struct RepositoryPath {
    /// The app, with or without `.git`.
    app: String,
}

#[derive(Default, Deserialize)]
struct Advertised {
    service: Option<String>,
}

async fn advertise(
    State(state): State<ApiState>,
    author: Principal,
    origin: Origin,
    Path(path): Path<RepositoryPath>,
    request: Request,
) -> Result<Response, Error> {
    let asked = Query::<Advertised>::of(request.uri()).service;
    let service = asked.as_deref().and_then(Service::named).ok_or_else(|| {
        let text =
            "Only clients that speak the smart HTTP protocol of git are served: use git 1.6.6 or newer.";
        service::Error::BadRequest(text.to_owned())
    })?;
    answer(&state, (author, origin), &path.app, Call::Advertise(service), request).await
}

async fn fetch(
    State(state): State<ApiState>,
    author: Principal,
    origin: Origin,
    Path(path): Path<RepositoryPath>,
    request: Request,
) -> Result<Response, Error> {
    answer(&state, (author, origin), &path.app, Call::Run(Service::UploadPack), request).await
}

async fn push(
    State(state): State<ApiState>,
    author: Principal,
    origin: Origin,
    Path(path): Path<RepositoryPath>,
    request: Request,
) -> Result<Response, Error> {
    answer(&state, (author, origin), &path.app, Call::Run(Service::ReceivePack), request).await
}

async fn answer(
    state: &ApiState,
    (author, origin): (Principal, Origin),
    named: &str,
    call: Call,
    request: Request,
) -> Result<Response, Error> {
    let named = named.strip_suffix(".git").unwrap_or(named);
    let app = state.store.look_up(|c| service::apps::resolve(c, &author.reach, named))?;
    if matches!(call, Call::Advertise(Service::ReceivePack) | Call::Run(Service::ReceivePack)) {
        builds::may_build(&author, &app)?;
    }
    let (links, head) = (links(state, &origin, &app), head_of(request.headers()));
    let body = request.into_body().into_data_stream().map_err(io::Error::other).boxed();
    let exchange = Exchange { app, author, call, head, links };
    let reply = state.git.answer(exchange, body).await.map_err(refusal)?;
    let chunks = futures_util::stream::unfold(reply.body, |mut body| async {
        body.recv().await.map(|chunk| (Ok::<_, Infallible>(chunk), body))
    });
    let status = StatusCode::from_u16(reply.status).map_err(service::Error::internal)?;
    let mut response = (status, Body::from_stream(chunks)).into_response();
    response.extensions_mut().insert(Streamed);
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    Ok(response)
}

fn links(state: &ApiState, Origin(origin): &Origin, app: &App) -> Links {
    Links { remote: format!("{origin}{FOLDER}{}.git", app.key()), web: state.settings.web_url(app) }
}

fn head_of(headers: &HeaderMap) -> RequestHead {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    RequestHead {
        content_type: text(header::CONTENT_TYPE),
        content_encoding: text(header::CONTENT_ENCODING),
        content_length: text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
        protocol: text(HeaderName::from_static("git-protocol")),
    }
}

fn refusal(error: GitError) -> service::Error {
    match error {
        GitError::Missing => service::Error::Unavailable(
            "git is not installed on this host: its operator installs the package git, then this works."
                .to_owned(),
        ),
        GitError::Busy | GitError::Slow => service::Error::Unavailable(
            "This host serves as many clients of git as it can; try again in a moment.".to_owned(),
        ),
        GitError::NoHook(_) | GitError::Failed(_) | GitError::Io(_) => service::Error::internal(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_git_the_package_is_named() {
        let refused = refusal(GitError::Missing);
        assert!(matches!(refused, service::Error::Unavailable(text) if text.contains("the package git")));
    }

    #[test]
    fn a_push_is_told_from_a_fetch_by_its_address() {
        for (address, push) in [
            ("/git/a.git/info/refs?service=git-receive-pack", true),
            ("/git/a.git/git-receive-pack", true),
            ("/git/a.git/info/refs?service=git-upload-pack", false),
            ("/git/a.git/git-upload-pack", false),
            ("/git/a.git/info/refs", false),
        ] {
            assert_eq!(is_push(&address.parse().unwrap()), push, "{address}");
        }
    }
}
