//! One request: from its host to an upstream and back.
//!
//! Invariant: whatever happens, a request is answered once: by an upstream, or with what went wrong.

use std::convert::Infallible;
use std::rc::Rc;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;

use super::access::{Access, ToldBody};
use super::body::{ClientBody, EdgeBody, Progress, RequestBody};
use super::connection::{Activity, OpenRequest};
use super::destination::Destination;
use super::exchange::exchange;
use super::filters::{Asked, Dressing, Passage};
use super::headers::{self, CameBy, Particulars};
use super::http1::ClientSide;
use super::pages::Form;
use super::rescue::{self, ProxyError};
use super::upstream::Lease;
use super::worker::Worker;
use super::{challenges, host, redirect, tunnel};

/// Bytes of a path with its query, as many as Heroku's router takes.
const MAX_URI: usize = 8 * 1_024;

/// The client of one connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) worker: Rc<Worker>,
    pub(super) activity: Rc<Activity>,
    pub(super) came_by: CameBy,
    pub(super) redirected: bool,
    /// The host that the client named to get its certificate; `None` without TLS and for an address.
    pub(super) server_name: Option<Box<str>>,
}

/// A request on its way. Boxed, because what a task holds is moved and allocated with it, and a task for each
/// HTTP/2 stream that is larger than a kibibyte costs microseconds.
struct Forward {
    destination: Destination,
    request: Box<Request<RequestBody>>,
    progress: Option<Progress>,
    client_side: Option<ClientSide>,
}

/// What becomes of a request after a look at its head.
enum Admission {
    Forward(Forward),
    Redirect(HeaderValue),
    /// A filter has the edge answer, with nothing but headers.
    Preflight,
    /// A certificate authority looks for a proof.
    Challenge(Bytes),
}

/// Answers one request of any protocol; a failure becomes an answer too.
pub(super) fn answer(
    client: Rc<Client>,
    mut request: Request<ClientBody>,
) -> impl Future<Output = Result<Response<ToldBody>, Infallible>> {
    client.worker.counters.requests.increment();
    client.worker.load.note_requests(client.worker.counters.requests.get());
    let open = client.activity.begin();
    let mut id = headers::request_id(request.headers());
    let form = Form::of(request.headers().get(ACCEPT));
    let version = request.version();
    let mut access = Access::begin(&client, &request, &id);
    access.hand_on(request.headers_mut());
    let mut dressing = None;
    let admission = admit(&client, request, &id, (&mut access, &mut dressing));
    async move {
        let on_site =
            matches!(&admission, Ok(Admission::Forward(forward)) if forward.destination.is_on_site());
        let served = match admission {
            Ok(Admission::Forward(forward)) => serve(&client.worker, forward, open, &mut access).await,
            Ok(Admission::Redirect(location)) => Ok(redirect::to(location)),
            Ok(Admission::Preflight) => Ok(Response::new(EdgeBody::empty())),
            Ok(Admission::Challenge(answer)) => Ok(challenges::respond(answer)),
            Err(error) => Err(error),
        };
        let mut code = None;
        let mut response = served.unwrap_or_else(|error| {
            code = error.code();
            client.worker.counters.rescued.increment();
            tracing::debug!(%error, cause = ?std::error::Error::source(&error), "a request was not served");
            rescue::rescue(&error, form)
        });
        // HTTP/2 would keep the id in its table of recurring headers, where it only drives others out.
        id.set_sensitive(true);
        response.headers_mut().insert(headers::X_REQUEST_ID, id);
        if on_site && client.came_by.is_secure() {
            headers::require_https(response.headers_mut());
        }
        if let Some(offer) = client.worker.alt_svc.as_ref().filter(|_| version <= Version::HTTP_2) {
            client.came_by.offer_http3(offer, response.headers_mut());
        }
        if let Some(dressing) = dressing {
            dressing.dress(response.headers_mut());
        }
        let status = response.status();
        let is_last = client.worker.is_stopping() && version <= Version::HTTP_11;
        if is_last && status != StatusCode::SWITCHING_PROTOCOLS {
            headers::set_close(response.headers_mut());
        }
        Ok(response.map(|body| access.told_with(status, code, body)))
    }
}

/// Refuses or redirects a request, or makes it one to an upstream.
fn admit(
    client: &Client,
    mut request: Request<ClientBody>,
    id: &HeaderValue,
    (access, dressing): (&mut Access, &mut Option<Box<Dressing>>),
) -> Result<Admission, ProxyError> {
    if request.method() == Method::CONNECT {
        return Err(ProxyError::MethodNotSupported);
    }
    let worker = &client.worker;
    if let Some(answer) = worker.settings.challenges.at(request.uri().path()) {
        return Ok(Admission::Challenge(answer));
    }
    check_form(&request)?;
    let host = host::settle(&mut request)?;
    if client.redirected && !client.came_by.is_said_secure(request.headers()) {
        let location = redirect::location(&host, request.uri(), worker.settings.public_https_port)?;
        return Ok(Admission::Redirect(location));
    }
    let destination = find(client, &host, request.uri().path())?;
    if let Destination::App { app, by } = &destination {
        access.is_for(app, by.as_ref().map(|by| by.site.id));
        if let Some(filters) = &app.filters {
            let asked = asked(client, &request);
            *dressing = filters.dressing(asked);
            match filters.judge(asked).map_err(|refusal| ProxyError::Filtered(Box::new(refusal)))? {
                Passage::On => {}
                Passage::Preflight => return Ok(Admission::Preflight),
            }
        }
    }
    if request.version() >= Version::HTTP_2 {
        headers::join_cookies(request.headers_mut());
    }
    let client_side = request.body_mut().take_upgrade();
    let upgrade = client_side.as_ref().and_then(|_| headers::upgrade(request.headers()));
    *request.version_mut() = Version::HTTP_11;
    let start = worker.request_start();
    client.came_by.prepare(request.headers_mut(), Particulars { host, id, start, upgrade });
    if let Destination::App { by: Some(by), .. } = &destination {
        client.came_by.tell_site(request.headers_mut(), by.site.domain(), by.route.told());
        by.rewrite(request.uri_mut())?;
    }
    let limit = destination.body_limit();
    if limit.is_some_and(|limit| request.body().size_hint().lower() > limit) {
        return Err(ProxyError::BodyTooLarge);
    }
    let mut progress = None;
    let request = request.map(|incoming| {
        let (body, moved) = RequestBody::new(incoming, limit);
        progress = moved;
        body
    });
    Ok(Admission::Forward(Forward { destination, request: Box::new(request), progress, client_side }))
}

/// What the protocols let pass, and the edge does not.
fn check_form<B>(request: &Request<B>) -> Result<(), ProxyError> {
    if request.uri().path_and_query().is_some_and(|target| target.as_str().len() > MAX_URI) {
        return Err(ProxyError::UriTooLong);
    }
    if request.version() >= Version::HTTP_2 && headers::has_padded_value(request.headers()) {
        return Err(ProxyError::PaddedHeader);
    }
    Ok(())
}

/// What filters look at: the request as its client sent it.
fn asked<'a, B>(client: &Client, request: &'a Request<B>) -> Asked<'a> {
    Asked {
        method: request.method(),
        path: request.uri().path(),
        headers: request.headers(),
        client: client.came_by.client(request.headers(), &client.worker.settings.trusted_proxies),
        now: client.worker.settings.clock.now(),
    }
}

/// Looks up who gets the request, unless it is for another host than the one that its connection was made to: what
/// was agreed on for that host does not hold for this one (RFC 9110 §7.4).
fn find(client: &Client, host: &HeaderValue, path: &str) -> Result<Destination, ProxyError> {
    let name = host::name(host)?;
    if client.server_name.as_deref().is_some_and(|asked| !asked.eq_ignore_ascii_case(&name)) {
        return Err(ProxyError::Misdirected);
    }
    Destination::find(&client.worker.table.load(), &name, path)
}

async fn serve(
    worker: &Rc<Worker>,
    forward: Forward,
    mut open: OpenRequest,
    access: &mut Access,
) -> Result<Response<EdgeBody>, ProxyError> {
    let Forward { destination, request, progress, client_side } = forward;
    open.set_waiting(true);
    let exchanged = exchange(worker, destination, (request, progress), access).await;
    open.set_waiting(false);
    let (response, lease) = exchanged?;
    finish(worker, response, lease, (open, client_side))
}

/// Makes an upstream's answer the client's, or its connection a tunnel.
fn finish(
    worker: &Worker,
    mut response: Response<()>,
    lease: Lease,
    (open, client_side): (OpenRequest, Option<ClientSide>),
) -> Result<Response<EdgeBody>, ProxyError> {
    *response.version_mut() = Version::HTTP_11;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        headers::strip_hop_by_hop(response.headers_mut());
        return Ok(response.map(|()| EdgeBody::proxied(lease, open)));
    }
    let (Some(client_side), Some(protocol)) = (client_side, headers::upgrade(response.headers())) else {
        return Err(ProxyError::UnaskedUpgrade);
    };
    worker.clients.spawn_local(tunnel::relay(client_side, lease, open));
    headers::strip_hop_by_hop(response.headers_mut());
    headers::set_upgrade(response.headers_mut(), protocol);
    Ok(response.map(|()| EdgeBody::empty()))
}
