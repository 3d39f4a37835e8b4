//! Heads of messages: reading them strictly, and writing them.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

use super::Http1Error;
use super::body::{Framing, write_field};
use super::spare;
use crate::edge::headers;

/// Bytes of the head of an answer.
pub(super) const MOST: usize = 64 * 1_024;
/// Fields of a head.
const MOST_FIELDS: usize = 100;
/// Room for the fields that the edge adds to a request, and to an answer.
const ADDED_TO_REQUEST: usize = 12;
const ADDED_TO_ANSWER: usize = 4;

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
    /// Takes a head off what has come, once it is there whole. One that is longer than `most` is an error.
    fn take(&mut self, input: &mut BytesMut, most: usize) -> Result<Option<Bytes>, Http1Error> {
        if self.0 == 0 {
            skip_blank_lines(input);
        }
        let from = self.0.saturating_sub(2);
        match end_of_head(input.get(from..).unwrap_or_default()) {
            Some(length) if from + length <= most => {
                self.0 = 0;
                Ok(Some(input.split_to(from + length).freeze()))
            }
            None if input.len() <= most => {
                self.0 = input.len();
                Ok(None)
            }
            Some(_) | None => Err(Http1Error::HeadTooLarge),
        }
    }
}

/// The fields of a head, and which of them say where its message ends.
struct Fields {
    headers: HeaderMap,
    connection: bool,
    length: bool,
    encoding: bool,
}

type Room<'a> = [MaybeUninit<httparse::Header<'a>>; MOST_FIELDS];

/// Takes the head of a request; nothing while it has not come whole.
pub(super) fn read_request(
    input: &mut BytesMut,
    scan: &mut Scan,
    most: usize,
) -> Result<Option<RequestHead>, Http1Error> {
    let Some(head) = scan.take(input, most)? else { return Ok(None) };
    let mut room: Room<'_> = [MaybeUninit::uninit(); MOST_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let status = parsed.parse_with_uninit_headers(&head, &mut room)?;
    check_whole(status, &head)?;
    let method = parsed.method.unwrap_or_default().as_bytes();
    let target = head.slice_ref(parsed.path.unwrap_or_default().as_bytes());
    let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut fields = Fields::of(&head, parsed.headers, ADDED_TO_REQUEST)?;
    let (framing, kept) = request_framing(version, &mut fields)?;
    let mut request = Request::new(());
    *request.method_mut() = Method::from_bytes(method).map_err(http::Error::from)?;
    *request.uri_mut() = Uri::from_maybe_shared(target).map_err(http::Error::from)?;
    (*request.version_mut(), *request.headers_mut()) = (version, fields.headers);
    Ok(Some(RequestHead { request, framing, kept }))
}

/// Takes the head of an answer to a request with this method; nothing while it has not come whole.
pub(super) fn read_answer(
    input: &mut BytesMut,
    scan: &mut Scan,
    method: &Method,
) -> Result<Option<AnswerHead>, Http1Error> {
    let Some(head) = scan.take(input, MOST)? else { return Ok(None) };
    let mut room: Room<'_> = [MaybeUninit::uninit(); MOST_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let status = config.parse_response_with_uninit_headers(&mut parsed, &head, &mut room)?;
    check_whole(status, &head)?;
    let status = StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(http::Error::from)?;
    let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut fields = Fields::of(&head, parsed.headers, ADDED_TO_ANSWER)?;
    let framing = answer_framing(method, status, version, &mut fields)?;
    let kept = framing != Framing::UntilClose && fields.is_kept(version);
    let mut response = Response::new(());
    *response.status_mut() = status;
    (*response.version_mut(), *response.headers_mut()) = (version, fields.headers);
    Ok(Some(AnswerHead { response, framing, kept }))
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
    let (mut connection, mut length, mut date) = (false, false, false);
    for (name, value) in headers {
        connection |= *name == CONNECTION;
        length |= *name == CONTENT_LENGTH;
        date |= *name == DATE;
        write_field(name, value, output);
    }
    match terms.framing {
        // Of a body that is left out the length is told when it is known.
        Framing::Length(bytes) if !length && (terms.has_body || bytes > 0) => {
            write_field(&CONTENT_LENGTH, &HeaderValue::from(bytes), output);
        }
        Framing::Chunked if terms.has_body => output.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Length(_) | Framing::Chunked | Framing::UntilClose => {}
    }
    match (connection, terms.kept) {
        (false, false) => output.extend_from_slice(b"connection: close\r\n"),
        (false, true) if terms.version == Version::HTTP_10 => {
            output.extend_from_slice(b"connection: keep-alive\r\n");
        }
        (true, _) | (false, true) => {}
    }
    if !date {
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

/// Whether a connection is kept after a message (RFC 9112 §9.3).
pub(super) fn is_kept(version: Version, headers: &HeaderMap) -> bool {
    let named = |token: &[u8]| {
        let values = headers.get_all(CONNECTION).iter();
        let mut tokens = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        tokens.any(|each| each.trim_ascii().eq_ignore_ascii_case(token))
    };
    if version == Version::HTTP_10 { named(b"keep-alive") && !named(b"close") } else { !named(b"close") }
}

/// The one length that a message names; several that agree are one (RFC 9110 §8.6).
pub(super) fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Http1Error> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return Ok(None) };
    if lengths.any(|other| other != first) {
        return Err(Http1Error::Framing);
    }
    headers::length(first).map(Some).ok_or(Http1Error::Framing)
}

impl Fields {
    /// The fields, whose values share the memory of the head, with room for some more.
    fn of(head: &Bytes, parsed: &[httparse::Header<'_>], more: usize) -> Result<Self, Http1Error> {
        let mut headers = spare::take(parsed.len() + more);
        let (mut connection, mut length, mut encoding) = (false, false, false);
        for field in parsed {
            let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(http::Error::from)?;
            let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value));
            connection |= name == CONNECTION;
            length |= name == CONTENT_LENGTH;
            encoding |= name == TRANSFER_ENCODING;
            headers.append(name, value.map_err(http::Error::from)?);
        }
        Ok(Self { headers, connection, length, encoding })
    }

    fn is_kept(&self, version: Version) -> bool {
        if self.connection { is_kept(version, &self.headers) } else { version == Version::HTTP_11 }
    }

    /// The length, which is there once afterwards.
    fn take_length(&mut self) -> Result<Option<u64>, Http1Error> {
        if !self.length {
            return Ok(None);
        }
        let length = content_length(&self.headers)?;
        if let (Some(length), Some(_)) = (length, self.headers.get_all(CONTENT_LENGTH).iter().nth(1)) {
            self.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        Ok(length)
    }
}

/// RFC 9112 §6.3, strictly: chunked is the only encoding. A length beside it is taken out, and no other request is read
/// from a connection on which there was one.
fn request_framing(version: Version, fields: &mut Fields) -> Result<(Framing, bool), Http1Error> {
    let kept = fields.is_kept(version);
    if !fields.encoding {
        return Ok((Framing::Length(fields.take_length()?.unwrap_or(0)), kept));
    }
    let mut encodings = fields.headers.get_all(TRANSFER_ENCODING).iter();
    let first = encodings.next().map(HeaderValue::as_bytes).unwrap_or_default();
    let alone = encodings.next().is_none() && version == Version::HTTP_11;
    if !alone || !first.eq_ignore_ascii_case(b"chunked") {
        return Err(Http1Error::Framing);
    }
    let is_clear = fields.headers.remove(CONTENT_LENGTH).is_none();
    Ok((Framing::Chunked, kept && is_clear))
}

/// RFC 9112 §6.3. A length beside an encoding is taken out.
fn answer_framing(
    method: &Method,
    status: StatusCode,
    version: Version,
    fields: &mut Fields,
) -> Result<Framing, Http1Error> {
    if headers::is_bodiless(method, status) {
        return Ok(Framing::Length(0));
    }
    if !fields.encoding {
        return Ok(fields.take_length()?.map_or(Framing::UntilClose, Framing::Length));
    }
    if version == Version::HTTP_10 {
        return Err(Http1Error::Framing);
    }
    let encoding = fields.headers.get_all(TRANSFER_ENCODING).iter().next_back();
    let encoding = encoding.map(HeaderValue::as_bytes).unwrap_or_default();
    let last = encoding.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
    let framing = if last.eq_ignore_ascii_case(b"chunked") { Framing::Chunked } else { Framing::UntilClose };
    fields.headers.remove(CONTENT_LENGTH);
    Ok(framing)
}

fn write_status(status: StatusCode, output: &mut Vec<u8>) {
    output.extend_from_slice(b"HTTP/1.1 ");
    output.extend_from_slice(status.as_str().as_bytes());
    output.push(b' ');
    output.extend_from_slice(status.canonical_reason().unwrap_or("Unknown").as_bytes());
    output.extend_from_slice(b"\r\n");
}

/// RFC 9112 §2.2: blank lines before a message mean nothing.
fn skip_blank_lines(input: &mut BytesMut) {
    let blank = input.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    if blank == input.len() {
        input.clear();
    } else if blank > 0 {
        drop(input.split_to(blank));
    }
}

/// Bytes up to the end of the first blank line.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes).find_map(|feed| match bytes.get(feed + 1..)? {
        [b'\n', ..] => Some(feed + 2),
        [b'\r', b'\n', ..] => Some(feed + 3),
        _ => None,
    })
}

/// A parser that sees another end than the one of the first blank line is not to be followed.
fn check_whole(status: httparse::Status<usize>, head: &Bytes) -> Result<(), Http1Error> {
    match status {
        httparse::Status::Complete(length) if length == head.len() => Ok(()),
        httparse::Status::Complete(_) | httparse::Status::Partial => Err(Http1Error::Framing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an answer that comes in pieces of `step` bytes.
    fn answer(text: &str, method: &Method, step: usize) -> Result<Option<AnswerHead>, Http1Error> {
        let (mut input, mut scan) = (BytesMut::new(), Scan::default());
        for piece in text.as_bytes().chunks(step) {
            input.extend_from_slice(piece);
            if let Some(head) = read_answer(&mut input, &mut scan, method)? {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    fn request(text: &str) -> Result<Option<RequestHead>, Http1Error> {
        read_request(&mut BytesMut::from(text), &mut Scan::default(), 1_024)
    }

    #[test]
    fn a_head_is_read_however_its_bytes_come() {
        let text = "\r\nHTTP/1.1 404 Gone Fishing\r\nContent-Length: 3\r\nX: a\r\nx: b\r\n\r\nabc";
        for step in 1..text.len() {
            let head = answer(text, &Method::GET, step).unwrap().unwrap();
            assert_eq!(head.response.status(), 404);
            assert_eq!(head.framing, Framing::Length(3));
            assert_eq!(head.response.headers().get_all("x").iter().count(), 2);
            assert!(head.kept);
        }
        assert!(answer("HTTP/1.1 200 OK\r\nx: y\r\n", &Method::GET, 1).unwrap().is_none());
    }

    #[test]
    fn an_answer_says_where_its_body_ends() {
        let framing = |head: &str, method: &Method| {
            let head = answer(&format!("{head}\r\n\r\n"), method, usize::MAX);
            head.map(|head| head.map(|head| (head.framing, head.kept)).unwrap()).ok()
        };
        let get = |head: &str| framing(head, &Method::GET);
        assert_eq!(get("HTTP/1.1 200 OK"), Some((Framing::UntilClose, false)));
        assert_eq!(get("HTTP/1.1 200 OK\r\nContent-Length: 7"), Some((Framing::Length(7), true)));
        assert_eq!(get("HTTP/1.0 200 OK\r\nContent-Length: 7"), Some((Framing::Length(7), false)));
        let kept = "HTTP/1.0 200 OK\r\nContent-Length: 7\r\nConnection: Keep-Alive";
        assert_eq!(get(kept), Some((Framing::Length(7), true)));
        let closed = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: x, CLOSE";
        assert_eq!(get(closed), Some((Framing::Length(7), false)));
        let chunked = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: gzip, Chunked";
        assert_eq!(get(chunked), Some((Framing::Chunked, true)));
        let other = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip";
        assert_eq!(get(other), Some((Framing::UntilClose, false)));
        for head in ["HTTP/1.1 204 No", "HTTP/1.1 304 Same\r\nContent-Length: 7", "HTTP/1.1 101 Other"] {
            assert_eq!(get(head), Some((Framing::Length(0), true)), "{head}");
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 7";
        assert_eq!(framing(head, &Method::HEAD), Some((Framing::Length(0), true)));
        for wrong in ["7, 8", "+7", "7\r\nContent-Length: 8", "", "99999999999999999999"] {
            assert_eq!(get(&format!("HTTP/1.1 200 OK\r\nContent-Length: {wrong}")), None, "{wrong}");
        }
        assert_eq!(get("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked"), None);
    }

    #[test]
    fn lengths_that_agree_become_one() {
        let head = request("POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n");
        let head = head.unwrap().unwrap();
        assert_eq!(head.framing, Framing::Length(3));
        assert_eq!(head.request.headers().get_all(CONTENT_LENGTH).iter().count(), 1);
    }

    #[test]
    fn a_length_beside_chunks_is_taken_out_and_the_connection_ends() {
        let head = request("POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n");
        let head = head.unwrap().unwrap();
        assert_eq!((head.framing, head.kept), (Framing::Chunked, false));
        assert!(!head.request.headers().contains_key(CONTENT_LENGTH));
    }

    #[test]
    fn a_head_that_is_too_long_is_an_error_before_it_is_whole() {
        let long = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(1_100));
        assert!(matches!(request(&long), Err(Http1Error::HeadTooLarge)));
        assert!(matches!(request(&format!("{long}\r\n\r\n")), Err(Http1Error::HeadTooLarge)));
    }

    #[test]
    fn an_answer_is_written_with_what_its_headers_leave_unsaid() {
        let date = HeaderValue::from_static("now");
        let written = |framing, has_body, kept, version, headers: &HeaderMap| {
            let mut output = Vec::new();
            let terms = AnswerTerms { framing, has_body, kept, version, date: &date };
            write_answer(StatusCode::OK, headers, terms, &mut output);
            let text = String::from_utf8(output).unwrap();
            text.strip_prefix("HTTP/1.1 200 OK\r\n").unwrap().replace("\r\n", "|")
        };
        let none = HeaderMap::new();
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        assert_eq!(written(Framing::Length(2), true, true, new, &none), "content-length: 2|date: now||");
        assert_eq!(
            written(Framing::Chunked, true, true, new, &none),
            "transfer-encoding: chunked|date: now||"
        );
        assert_eq!(written(Framing::Chunked, false, true, new, &none), "date: now||");
        assert_eq!(written(Framing::UntilClose, true, false, old, &none), "connection: close|date: now||");
        assert_eq!(
            written(Framing::Length(0), true, true, old, &none),
            "content-length: 0|connection: keep-alive|date: now||"
        );
        let own = HeaderMap::from_iter([
            (CONTENT_LENGTH, HeaderValue::from_static("2")),
            (CONNECTION, HeaderValue::from_static("upgrade")),
            (DATE, HeaderValue::from_static("then")),
        ]);
        let all = written(Framing::Length(2), true, true, new, &own);
        assert_eq!(all, "content-length: 2|connection: upgrade|date: then||");
    }
}
