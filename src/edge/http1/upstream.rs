//! A connection to an upstream that speaks HTTP/1.1: one request at a time, and its answer.
//!
//! Invariant: a connection on which anything went wrong, or on which something is left, takes no other request.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tokio::net::TcpStream;

use super::Http1Error;
use super::body::{BodyReader, BodyWriter, Framing, WriteError};
use super::head::{self, Scan};
use super::input::Input;
use super::output::Output;
use super::spare;
use crate::edge::body::{RequestBody, RequestBodyError};
use crate::edge::rescue::ProxyError;
use crate::edge::upstream::SendError;

/// Interim answers before an answer.
const MOST_INTERIM: u32 = 64;

/// A connection with at most one request on it.
pub(in crate::edge) struct UpstreamConnection {
    stream: TcpStream,
    input: Input,
    output: Output,
    /// The present request. Its body may be on its way still when the answer has begun.
    request: Option<Box<Request<RequestBody>>>,
    writer: BodyWriter,
    stage: Stage,
    /// Another request may follow.
    kept: bool,
}

enum Stage {
    /// Waits for the head of an answer.
    Head {
        scan: Scan,
        interim: u32,
    },
    Body(BodyReader),
    Ended,
}

impl UpstreamConnection {
    pub(in crate::edge) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            input: Input::default(),
            output: Output::default(),
            request: None,
            writer: BodyWriter::Ended,
            stage: Stage::Ended,
            kept: true,
        }
    }

    /// Whether another request can be sent, as far as is known.
    pub(in crate::edge) fn is_reusable(&self) -> bool {
        self.kept && matches!(self.stage, Stage::Ended) && self.is_sent() && self.input.bytes.is_empty()
    }

    /// Whether an idle connection is still open, as far as the runtime has been told. Gives memory back.
    pub(in crate::edge) fn is_open(&mut self) -> bool {
        self.input = Input::default();
        self.check_open().is_ok()
    }

    /// Begins to send a request, which [`UpstreamConnection::poll_head`] goes on with.
    pub(in crate::edge) fn begin(&mut self, request: Box<Request<RequestBody>>) -> Result<(), SendError> {
        if let Err(error) = self.check_open() {
            return Err(SendError::Unsent(request, error.into()));
        }
        let framing = match head::content_length(request.headers()) {
            Ok(Some(length)) => Framing::Length(length),
            Ok(None) if request.body().is_end_stream() => Framing::Length(0),
            Ok(None) => Framing::Chunked,
            Err(_) => return Err(SendError::Failed(ProxyError::BadFraming)),
        };
        head::write_request(&request, framing, self.output.small());
        self.writer = BodyWriter::new(framing, request.headers());
        self.stage = Stage::Head { scan: Scan::default(), interim: 0 };
        self.request = Some(request);
        Ok(())
    }

    /// Moves the request on, and waits for the head of its answer.
    pub(in crate::edge) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<()>, SendError>> {
        let sent = match self.poll_send(cx) {
            Err(WriteError::Body(error)) => return Poll::Ready(Err(SendError::Failed(error.into()))),
            Err(WriteError::Length) => return Poll::Ready(Err(SendError::Failed(ProxyError::BadFraming))),
            // It may have been answered before it was sent whole.
            Err(WriteError::Stream(error)) => Err(error),
            Ok(()) => Ok(()),
        };
        loop {
            match self.read_head() {
                Ok(Some(response)) => return Poll::Ready(Ok(response)),
                Ok(None) => {}
                Err(error) => {
                    return Poll::Ready(Err(SendError::Failed(ProxyError::BadResponse(error.into()))));
                }
            }
            let error = match self.input.poll_fill(&mut self.stream, usize::MAX, cx) {
                Poll::Ready(Ok(1..)) => continue,
                Poll::Ready(Ok(0)) => Http1Error::Closed,
                Poll::Ready(Err(error)) => error.into(),
                Poll::Pending => match sent {
                    Ok(()) => return Poll::Pending,
                    Err(error) => error.into(),
                },
            };
            return Poll::Ready(Err(match self.request.take() {
                Some(request) => SendError::Closed(request, error.into()),
                None => SendError::Failed(ProxyError::BadFraming),
            }));
        }
    }

    /// The next piece of the answer's body; the request moves on meanwhile.
    pub(in crate::edge) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Http1Error>>> {
        if let Err(error) = self.poll_send(cx) {
            self.kept = false;
            // An upstream may answer without reading all; a client that breaks off gets no answer.
            if !matches!(error, WriteError::Stream(_)) {
                self.stage = Stage::Ended;
                return Poll::Ready(Some(Err(Http1Error::Length)));
            }
        }
        self.forget_sent();
        let read = self.poll_read(cx);
        if matches!(read, Poll::Ready(Some(Err(_)))) {
            (self.stage, self.kept) = (Stage::Ended, false);
        }
        read
    }

    /// Whether the answer has come whole.
    pub(in crate::edge) fn is_end_stream(&self) -> bool {
        matches!(self.stage, Stage::Ended)
    }

    pub(in crate::edge) fn size_hint(&self) -> SizeHint {
        match &self.stage {
            Stage::Body(reader) => reader.size_hint(),
            Stage::Head { .. } | Stage::Ended => SizeHint::with_exact(0),
        }
    }

    /// The stream after an upgrade, and what has come of the other protocol.
    pub(in crate::edge) fn into_parts(self) -> (TcpStream, Bytes) {
        (self.stream, self.input.into_rest())
    }

    /// Nothing may come while nothing was asked for.
    fn check_open(&self) -> Result<(), Http1Error> {
        match self.stream.try_read(&mut [0]) {
            Ok(0) => Err(Http1Error::Closed),
            Ok(_) => Err(Http1Error::Unasked),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what can be sent now. A stream that takes nothing any more is not asked again.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), WriteError<RequestBodyError>> {
        while !self.is_sent() {
            let Some(request) = self.request.as_mut() else { return Ok(()) };
            let sent = match self.writer.gather(request.body_mut(), &mut self.output, cx) {
                Ok(waits) => match self.output.poll_write(&mut self.stream, cx) {
                    Poll::Ready(Ok(())) if !waits => continue,
                    Poll::Ready(Ok(())) | Poll::Pending => return Ok(()),
                    Poll::Ready(Err(error)) => WriteError::Stream(error),
                },
                Err(error) => error,
            };
            (self.writer, self.output, self.kept) = (BodyWriter::Ended, Output::default(), false);
            return Err(sent);
        }
        Ok(())
    }

    /// Lets the request go once it was sent whole.
    fn forget_sent(&mut self) {
        if self.is_sent()
            && let Some(mut request) = self.request.take()
        {
            spare::give_back(std::mem::take(request.headers_mut()));
        }
    }

    /// Whether the request was sent whole.
    fn is_sent(&self) -> bool {
        self.writer.is_ended() && self.output.is_empty()
    }

    /// The head of the answer, when it has come whole.
    fn read_head(&mut self) -> Result<Option<Response<()>>, Http1Error> {
        loop {
            let Stage::Head { scan, interim } = &mut self.stage else { return Err(Http1Error::Unasked) };
            let method = self.request.as_ref().map_or(&Method::GET, |request| request.method());
            let Some(head) = head::read_answer(&mut self.input.bytes, scan, method)? else { return Ok(None) };
            let status = head.response.status();
            if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                *interim += 1;
                if *interim > MOST_INTERIM {
                    return Err(Http1Error::Unasked);
                }
                if let Some(request) = &self.request {
                    request.body().hand_on(&head.response);
                }
                continue;
            }
            self.kept &= head.kept && status != StatusCode::SWITCHING_PROTOCOLS;
            let reader = BodyReader::new(head.framing);
            self.stage = if reader.is_ended() { Stage::Ended } else { Stage::Body(reader) };
            self.forget_sent();
            return Ok(Some(head.response));
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Http1Error>>> {
        loop {
            let Stage::Body(reader) = &mut self.stage else { return Poll::Ready(None) };
            let frame = reader.read(&mut self.input.bytes)?;
            let (ended, left) = (reader.is_ended(), reader.left());
            if ended {
                self.stage = Stage::Ended;
            }
            if let Some(frame) = frame {
                return Poll::Ready(Some(Ok(frame)));
            }
            if !ended && ready!(self.input.poll_fill(&mut self.stream, left, cx))? == 0 {
                let Stage::Body(reader) = &mut self.stage else { return Poll::Ready(None) };
                reader.close()?;
            }
        }
    }
}
