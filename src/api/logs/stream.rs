//! A log as the body of an answer: the past first, then what comes, each line in a chunk of its own.
//!
//! Invariant: a body is made as fast as its client takes it and holds one block of lines; who falls behind the ring
//! is told so and cut off.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{Extensions, HeaderMap, StatusCode, Version, header};

use crate::api::{ApiState, Error};
use crate::clock::Clock;
use crate::logs::{LogRequest, Reader};
use crate::model::log::{LogLine, LogSource};
use crate::service;

/// After which a log to which nothing is added is closed (`behaviour.md` §10).
const IDLE_LIMIT: Duration = Duration::from_mins(30);

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    /// Server-sent events.
    Events,
}

/// Marks an answer whose parts must not wait for each other, as a compressor makes them.
#[derive(Debug, Clone, Copy)]
pub(in crate::api) struct Streamed;

/// A log on its way.
struct Stream {
    reader: Reader,
    request: LogRequest,
    form: Form,
    clock: Clock,
    /// Where the past ends, for those who want no more.
    end: Option<u64>,
    waiting: VecDeque<Bytes>,
    ended: bool,
}

/// Answers a request for a log.
pub(super) async fn answer(state: &ApiState, request: LogRequest, form: Form) -> Result<Response, Error> {
    let tail = state.rings.tail(request.app, request.lines, request.filter.clone());
    let reader = tail.await.map_err(service::Error::internal)?;
    let end = (!request.tail).then(|| reader.end());
    let clock = state.clock.clone();
    let stream = Stream { reader, request, form, clock, end, waiting: VecDeque::new(), ended: false };
    let chunks = futures_util::stream::unfold(stream, |mut stream| async {
        let chunk = stream.next().await?;
        Some((Ok::<_, Infallible>(chunk), stream))
    });
    let content_type = match form {
        Form::Text => "text/plain; charset=utf-8",
        Form::Events => "text/event-stream",
    };
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "no-store")];
    let mut response = (headers, Body::from_stream(chunks)).into_response();
    response.extensions_mut().insert(Streamed);
    Ok(response)
}

/// Whether an answer may be compressed: one that is streamed would be held back.
pub(in crate::api) fn is_compressible(
    _: StatusCode,
    _: Version,
    _: &HeaderMap,
    extensions: &Extensions,
) -> bool {
    extensions.get::<Streamed>().is_none()
}

impl Stream {
    /// The next line; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(chunk) = self.waiting.pop_front() {
                return Some(chunk);
            }
            if self.ended || self.end.is_some_and(|end| self.reader.position() >= end) {
                return None;
            }
            self.read().await;
        }
    }

    /// Takes a block of lines from the ring.
    async fn read(&mut self) {
        let from = self.reader.position();
        let read = match tokio::time::timeout(IDLE_LIMIT, self.reader.next()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) | Err(_) => {
                self.ended = true;
                return;
            }
            Ok(Err(error)) => {
                tracing::error!(app = %self.request.app, %error, "a log cannot be read");
                self.ended = true;
                return;
            }
        };
        if read.missed > 0 {
            let text = format!(
                "Error L10 (output buffer overflow): {} lines were overwritten before they could be sent; this stream ends. Read faster, or with a filter.",
                read.missed
            );
            let marker = LogLine::new(self.clock.now(), LogSource::Controller, text);
            self.waiting.push_back(self.written(&marker));
            self.ended = true;
            return;
        }
        let end = self.end.unwrap_or(u64::MAX);
        let wanted = (from..).zip(&read.lines).take_while(|(position, _)| *position < end);
        let wanted = wanted.filter(|(_, line)| self.request.filter.wants(&line.source));
        let chunks: Vec<Bytes> = wanted.map(|(_, line)| self.written(line)).collect();
        self.waiting.extend(chunks);
    }

    fn written(&self, line: &LogLine) -> Bytes {
        let shown = line.shown(&self.request.key);
        Bytes::from(match self.form {
            Form::Text => format!("{shown}\n"),
            Form::Events => format!("data: {shown}\n\n"),
        })
    }
}
