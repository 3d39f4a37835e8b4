//! A client's connection of HTTP/1.1: one request after the other, each answered before the next is read.
//!
//! Invariant: where a request ends is known before the next is read; where it is not, the connection ends.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use http_body::Body;
use tokio::io::AsyncWrite as _;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Http1Error;
use super::body::{BodyWriter, Framing, WriteError};
use super::head::{self, AnswerTerms, RequestHead};
use super::output::Output;
use super::spare;
use super::stream::{self, ClientStream};
use super::wire::{ClientSide, Http1Body, Wire};
use crate::edge::access::ToldBody;
use crate::edge::body::ClientBody;
use crate::edge::census::Room;
use crate::edge::handover::{Served, hand_over};
use crate::edge::headers;
use crate::edge::proxy::{self, Client};
use crate::edge::rescue::Cause;
use crate::edge::worker::MAX_HEADER_BYTES;

/// A client that is refused while it sends is listened to for so long, and for so many bytes: else what it sends would
/// make the system take the answer back before the client has read it.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 256 * 1_024;

/// What a request was, for its answer.
struct Asked {
    method: Method,
    version: Version,
    kept: bool,
    /// Where the stream goes when the connection is upgraded.
    upgrade: Option<oneshot::Sender<(ClientStream, Bytes)>>,
}

/// How a connection goes on after an answer.
enum Next {
    Request,
    Close,
    Tunnel,
}

/// Serves a client until it closes, breaks off, gets the last answer, or is another worker's.
pub(in crate::edge) async fn serve(
    client: Rc<Client>,
    stream: ClientStream,
    mut room: Room,
) -> Result<(), Cause> {
    let mut wire = Rc::new(RefCell::new(Wire::new(stream, Rc::clone(&client.activity))));
    let _served = Served::new(&client.worker);
    loop {
        let head = match poll_fn(|cx| wire.borrow_mut().poll_request(MAX_HEADER_BYTES.into(), cx)).await {
            Ok(Some(head)) => head,
            Ok(None) => return close(&wire).await,
            Err(error) => return refuse(&client, &wire, error).await,
        };
        let (mut asked, client_side) = Asked::of(&head);
        let request = head.request.map(|()| ClientBody::Http1(Http1Body::new(&wire, client_side)));
        let answer = {
            let mut answering = pin!(proxy::answer(Rc::clone(&client), request));
            poll_fn(|cx| match answering.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => wire.borrow_mut().poll_gone(cx).map(|()| None),
            })
            .await
        };
        // Dropped, the request is broken off.
        let Some(Ok(answer)) = answer else { return Err(Http1Error::Closed.into()) };
        match give(&client, &wire, &asked, answer).await? {
            Next::Request => match hand_over(&client, wire, room) {
                Some(kept) => (wire, room) = kept,
                None => return Ok(()),
            },
            Next::Close => return close(&wire).await,
            Next::Tunnel => {
                if let (Some(upgrade), Some(wire)) = (asked.upgrade.take(), Rc::into_inner(wire)) {
                    // The tunnel may have given up.
                    let _gone = upgrade.send(wire.into_inner().into_parts());
                }
                return Ok(());
            }
        }
    }
}

impl Asked {
    fn of(head: &RequestHead) -> (Self, Option<ClientSide>) {
        let request = &head.request;
        // Behind a body the other protocol would begin at a time of its own.
        let upgrades = head.framing == Framing::Length(0)
            && request.version() == Version::HTTP_11
            && headers::upgrade(request.headers()).is_some();
        let (upgrade, client_side) = upgrades.then(oneshot::channel).unzip();
        let (method, version) = (request.method().clone(), request.version());
        (Self { method, version, kept: head.kept, upgrade }, client_side)
    }

    /// How an answer says where its body ends, and whether it has one.
    fn framing(&self, parts: &mut Parts, body: &ToldBody) -> Result<(Framing, bool), Http1Error> {
        let status = parts.status;
        if status.is_informational() || status == StatusCode::NO_CONTENT {
            parts.headers.remove(CONTENT_LENGTH);
        }
        let framing = match (head::content_length(&parts.headers)?, body.size_hint().exact()) {
            (Some(length), _) | (None, Some(length)) => Framing::Length(length),
            (None, None) if self.version == Version::HTTP_10 => Framing::UntilClose,
            (None, None) => Framing::Chunked,
        };
        Ok((framing, !headers::is_bodiless(&self.method, status)))
    }
}

/// Writes an answer whole.
async fn give(
    client: &Client,
    wire: &RefCell<Wire>,
    asked: &Asked,
    answer: Response<ToldBody>,
) -> Result<Next, Cause> {
    let (mut parts, mut body) = answer.into_parts();
    let tunnel = parts.status == StatusCode::SWITCHING_PROTOCOLS;
    let (framing, has_body) = asked.framing(&mut parts, &body)?;
    let mut output = wire.borrow_mut().begin_answer();
    let kept = asked.kept
        && head::is_kept(Version::HTTP_11, &parts.headers)
        && !(has_body && framing == Framing::UntilClose)
        && !wire.borrow().expects_word();
    let terms = AnswerTerms { framing, has_body, kept, version: asked.version, date: &client.worker.date() };
    head::write_answer(parts.status, &parts.headers, terms, output.small());
    let mut writer = if has_body { BodyWriter::new(framing, &parts.headers) } else { BodyWriter::Ended };
    spare::give_back(parts.headers);
    let last = !kept && !tunnel;
    poll_fn(|cx| poll_give(wire, (&mut writer, &mut output, last), &mut body, cx)).await?;
    drop(body);
    let mut wire = wire.borrow_mut();
    wire.output = output;
    Ok(if tunnel {
        Next::Tunnel
    } else if kept && wire.skip_body() {
        Next::Request
    } else {
        Next::Close
    })
}

/// Moves an answer on, which may be the last. Its body may read that of the request, so the wire is not held while it is asked.
fn poll_give(
    wire: &RefCell<Wire>,
    (writer, output, last): (&mut BodyWriter, &mut Output, bool),
    body: &mut ToldBody,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Cause>> {
    loop {
        let waits = writer.gather(body, output, cx).map_err(|error| match error {
            WriteError::Stream(error) => Cause::from(error),
            WriteError::Body(error) => Cause::from(error),
            WriteError::Length => Cause::from(Http1Error::Length),
        })?;
        let mut wire = wire.borrow_mut();
        if last && writer.is_ended() && output.takes_more() {
            stream::close_with_next(&mut wire.stream);
        }
        ready!(output.poll_write(&mut wire.stream, cx))?;
        if writer.is_ended() {
            return Poll::Ready(Ok(()));
        }
        if waits {
            return wire.poll_gone(cx).map(|()| Err(Http1Error::Closed.into()));
        }
    }
}

/// Answers what is no request, where somebody is there to read it.
async fn refuse(client: &Client, wire: &RefCell<Wire>, error: Http1Error) -> Result<(), Cause> {
    let status = match &error {
        Http1Error::Io(_) | Http1Error::Closed => return Err(error.into()),
        Http1Error::HeadTooLarge | Http1Error::Head(httparse::Error::TooManyHeaders) => {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
        }
        Http1Error::Unasked
        | Http1Error::Head(_)
        | Http1Error::Parts(_)
        | Http1Error::Framing
        | Http1Error::Chunk
        | Http1Error::Length => StatusCode::BAD_REQUEST,
    };
    tracing::debug!(%error, "a request cannot be read");
    let text = Bytes::from(format!("The request cannot be read: {error}.\n"));
    let mut output = wire.borrow_mut().begin_answer();
    let (framing, version, date) =
        (Framing::Length(text.len() as u64), Version::HTTP_11, client.worker.date());
    let terms = AnswerTerms { framing, has_body: true, kept: false, version, date: &date };
    let plain = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))]);
    head::write_answer(status, &plain, terms, output.small());
    output.push(text, b"");
    poll_fn(|cx| output.poll_write(&mut wire.borrow_mut().stream, cx)).await?;
    close(wire).await
}

/// Closes a connection so that its client gets to read the last answer.
async fn close(wire: &RefCell<Wire>) -> Result<(), Cause> {
    if wire.borrow().ends_by_itself() {
        return Ok(());
    }
    poll_fn(|cx| Pin::new(&mut wire.borrow_mut().stream).poll_shutdown(cx)).await?;
    if wire.borrow().is_quiet() {
        return Ok(());
    }
    let discard = async {
        let mut left = LINGER_BYTES;
        while left > 0 {
            match poll_fn(|cx| wire.borrow_mut().poll_discard(cx)).await {
                Ok(0) | Err(_) => return,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
    };
    // The client had its time.
    let _late = timeout(LINGER, discard).await;
    Ok(())
}
