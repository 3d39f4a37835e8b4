//! Heads of messages: reading them strictly, and writing them.

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

use super::Http1Error;
use super::body::{Framing, write_field};

/// Bytes of a head.
pub(super) const MOST: usize = 64 * 1_024;
/// Its fields.
const MOST_FIELDS: usize = 100;

/// An answer's head, and how it goes on.
#[derive(Debug)]
pub(super) struct AnswerHead {
    pub(super) response: Response<()>,
    pub(super) framing: Framing,
    /// Another request may follow on the connection.
    pub(super) kept: bool,
}

/// A request's head, and how it goes on.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) request: Request<()>,
    pub(super) framing: Framing,
    /// Another request may follow on the connection.
    pub(super) kept: bool,
}

/// What is said of an answer beside its own headers.
#[derive(Debug, Clone, Copy)]
pub(super) struct AnswerTerms<'a> {
    pub(super) framing: Framing,
    /// The answer to a `HEAD`, and what has no content, has none.
    pub(super) has_body: bool,
    pub(super) kept: bool,
    /// Of the request.
    pub(super) version: Version,
    pub(super) date: &'a HeaderValue,
}

/// Looks for the end of a head in bytes that come bit by bit, each of which it sees once.
#[derive(Debug, Default)]
pub(super) struct Scan(usize);

impl Scan {
    /// Whether a head is there whole. A head that is too long is an error.
    pub(super) fn is_whole(&mut self, input: &[u8], most: usize) -> Result<bool, Http1Error> {
        let from = self.0.saturating_sub(3);
        let fresh = input.get(from..).unwrap_or_default();
        let end = fresh.iter().enumerate().find(|(at, byte)| {
            let behind = fresh.get(at + 1..).unwrap_or_default();
            **byte == b'\n' && (behind.starts_with(b"\n") || behind.starts_with(b"\r\n"))
        });
        match end {
            Some((at, _)) if from + at < most => Ok(true),
            None if input.len() <= most => {
                self.0 = input.len();
                Ok(false)
            }
            Some(_) | None => Err(Http1Error::HeadTooLarge),
        }
    }
}

/// Takes the head of an answer to a request with this method; nothing while it has not come whole.
pub(super) fn read_answer(
    input: &mut BytesMut,
    scan: &mut Scan,
    method: &Method,
) -> Result<Option<AnswerHead>, Http1Error> {
    if !scan.is_whole(input, MOST)? {
        return Ok(None);
    }
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = parsed.parse(input)? else { return Ok(None) };
    let status = StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(http::Error::from)?;
    let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let places = Places::of(input, parsed.headers);
    *scan = Scan::default();
    let mut headers = places.take(&input.split_to(length).freeze())?;
    let framing = answer_framing(method, status, version, &mut headers)?;
    let kept = framing != Framing::UntilClose && is_kept(version, &headers);
    let mut response = Response::new(());
    (*response.status_mut(), *response.version_mut(), *response.headers_mut()) = (status, version, headers);
    Ok(Some(AnswerHead { response, framing, kept }))
}

/// Takes the head of a request; nothing while it has not come whole.
pub(super) fn read_request(
    input: &mut BytesMut,
    scan: &mut Scan,
    most: usize,
) -> Result<Option<RequestHead>, Http1Error> {
    if !scan.is_whole(input, most)? {
        return Ok(None);
    }
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(length) = parsed.parse(input)? else { return Ok(None) };
    let method = parsed.method.unwrap_or_default().as_bytes();
    let method = Method::from_bytes(method).map_err(http::Error::from)?;
    let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let target = range(input, parsed.path.unwrap_or_default().as_bytes());
    let places = Places::of(input, parsed.headers);
    *scan = Scan::default();
    let head = if length == input.len() { std::mem::take(input) } else { input.split_to(length) }.freeze();
    let target = Uri::from_maybe_shared(head.slice(target.0..target.1)).map_err(http::Error::from)?;
    let mut headers = places.take(&head)?;
    let (framing, kept) = request_framing(version, &mut headers)?;
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut(), *request.version_mut()) = (method, target, version);
    *request.headers_mut() = headers;
    Ok(Some(RequestHead { request, framing, kept }))
}

/// Writes the head of a request, whose target has the form for an origin server.
pub(super) fn write_request<B>(request: &Request<B>, framing: Framing, output: &mut Vec<u8>) {
    output.extend_from_slice(request.method().as_str().as_bytes());
    output.push(b' ');
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    output.extend_from_slice(target.as_bytes());
    output.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        write_field(name, value, output);
    }
    if framing == Framing::Chunked {
        output.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    output.extend_from_slice(b"\r\n");
}

/// Writes the head of an answer.
pub(super) fn write_answer(
    status: StatusCode,
    headers: &HeaderMap,
    terms: AnswerTerms<'_>,
    output: &mut Vec<u8>,
) {
    write_status(status, output);
    for (name, value) in headers {
        write_field(name, value, output);
    }
    match terms.framing {
        // Of what was left out the length is told when it is known.
        Framing::Length(length) if terms.has_body || length > 0 => {
            if !headers.contains_key(CONTENT_LENGTH) {
                write_field(&CONTENT_LENGTH, &HeaderValue::from(length), output);
            }
        }
        Framing::Chunked if terms.has_body => output.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Length(_) | Framing::Chunked | Framing::UntilClose => {}
    }
    if !headers.contains_key(CONNECTION) {
        match (terms.kept, terms.version) {
            (false, _) => output.extend_from_slice(b"connection: close\r\n"),
            (true, Version::HTTP_10) => output.extend_from_slice(b"connection: keep-alive\r\n"),
            (true, _) => {}
        }
    }
    if !headers.contains_key(DATE) {
        write_field(&DATE, terms.date, output);
    }
    output.extend_from_slice(b"\r\n");
}

/// Writes an interim answer (RFC 9110 §15.2).
pub(super) fn write_interim(status: StatusCode, headers: &HeaderMap, output: &mut Vec<u8>) {
    write_status(status, output);
    for (name, value) in headers {
        write_field(name, value, output);
    }
    output.extend_from_slice(b"\r\n");
}

fn write_status(status: StatusCode, output: &mut Vec<u8>) {
    output.extend_from_slice(b"HTTP/1.1 ");
    output.extend_from_slice(status.as_str().as_bytes());
    output.push(b' ');
    output.extend_from_slice(status.canonical_reason().unwrap_or("Unknown").as_bytes());
    output.extend_from_slice(b"\r\n");
}

/// The one length that a message names; several that agree are one (RFC 9110 §8.6).
pub(super) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Http1Error> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(None) };
    if lengths.any(|other| other != first) || !first.as_bytes().iter().all(u8::is_ascii_digit) {
        return Err(Http1Error::Framing);
    }
    let length = first.to_str().ok().and_then(|digits| digits.parse().ok());
    length.map(Some).ok_or(Http1Error::Framing)
}

/// RFC 9112 §6.3. A length beside an encoding is taken out, and repeated lengths become one.
fn answer_framing(
    method: &Method,
    status: StatusCode,
    version: Version,
    headers: &mut HeaderMap,
) -> Result<Framing, Http1Error> {
    let bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || method == Method::HEAD;
    if bodiless {
        return Ok(Framing::Length(0));
    }
    let encoding = headers.get_all(TRANSFER_ENCODING).iter().next_back();
    if let Some(encoding) = encoding {
        if version == Version::HTTP_10 {
            return Err(Http1Error::Framing);
        }
        let last = encoding.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
        let chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
        headers.remove(CONTENT_LENGTH);
        return Ok(if chunked { Framing::Chunked } else { Framing::UntilClose });
    }
    Ok(match content_length(headers)? {
        Some(length) => {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            Framing::Length(length)
        }
        None => Framing::UntilClose,
    })
}

/// RFC 9112 §6.3, strictly: chunked is the only encoding. A length beside it is taken out, and no other request is read
/// from a connection on which there was one; repeated lengths become one.
fn request_framing(version: Version, headers: &mut HeaderMap) -> Result<(Framing, bool), Http1Error> {
    let kept = is_kept(version, headers);
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next() {
        let alone = encodings.next().is_none() && version == Version::HTTP_11;
        if !alone || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Http1Error::Framing);
        }
        let is_clear = headers.remove(CONTENT_LENGTH).is_none();
        return Ok((Framing::Chunked, kept && is_clear));
    }
    let Some(length) = content_length(headers)? else { return Ok((Framing::Length(0), kept)) };
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok((Framing::Length(length), kept))
}

/// Whether a connection is kept after a message (RFC 9112 §9.3).
pub(super) fn is_kept(version: Version, headers: &HeaderMap) -> bool {
    let named = |token: &[u8]| {
        let values = headers.get_all(CONNECTION).iter();
        let mut tokens = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        tokens.any(|each| each.trim_ascii().eq_ignore_ascii_case(token))
    };
    if version == Version::HTTP_10 { named(b"keep-alive") && !named(b"close") } else { !named(b"close") }
}

/// Where the fields of a head lie in the bytes that it was read from.
struct Places {
    count: usize,
    fields: [Place; MOST_FIELDS],
}

/// Starts and ends of a name and a value.
#[derive(Clone, Copy, Default)]
struct Place {
    name: (usize, usize),
    value: (usize, usize),
}

/// Where a part of some bytes lies in them.
fn range(bytes: &[u8], part: &[u8]) -> (usize, usize) {
    let from = part.as_ptr().addr().wrapping_sub(bytes.as_ptr().addr());
    (from, from.wrapping_add(part.len()))
}

impl Places {
    fn of(bytes: &[u8], fields: &[httparse::Header<'_>]) -> Self {
        let mut places = Self { count: 0, fields: [Place::default(); MOST_FIELDS] };
        for (place, field) in places.fields.iter_mut().zip(fields) {
            *place = Place { name: range(bytes, field.name.as_bytes()), value: range(bytes, field.value) };
            places.count += 1;
        }
        places
    }

    /// The fields, whose values share the memory of the head.
    fn take(&self, head: &Bytes) -> Result<HeaderMap, Http1Error> {
        let mut headers = HeaderMap::with_capacity(self.count);
        for place in self.fields.iter().take(self.count) {
            let name = head.get(place.name.0..place.name.1).unwrap_or_default();
            let name = HeaderName::from_bytes(name).map_err(http::Error::from)?;
            let value = HeaderValue::from_maybe_shared(head.slice(place.value.0..place.value.1));
            headers.append(name, value.map_err(http::Error::from)?);
        }
        Ok(headers)
    }
}
