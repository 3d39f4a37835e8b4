//! The raw requests of the smuggling tests.
//!
//! `{n}` is the number of the case, by which the backends' notes are told apart.

/// One conversation of a client that means no good, or tests the edges of the grammar.
pub(super) struct Case {
    pub(super) name: &'static str,
    text: String,
    /// RFC 9110 and 9112 leave nothing else, or every other reading is dangerous.
    pub(super) must_be_refused: bool,
}

impl Case {
    pub(super) fn bytes(&self, number: usize) -> Vec<u8> {
        // Characters up to U+00FF stand for single bytes.
        let text = self.text.replace("{n}", &number.to_string());
        text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
    }
}

/// What a smuggler wants the backend to see.
const INNER: &str = "GET /smuggled/{n} HTTP/1.1\r\nHost: web.apps.test\r\n\r\n";

/// A `POST` with these header lines before that body.
fn post(name: &'static str, must_be_refused: bool, lines: &str, body: &str) -> Case {
    let text = format!("POST /c/{{n}} HTTP/1.1\r\nHost: web.apps.test\r\n{lines}\r\n{body}");
    Case { name, text, must_be_refused }
}

/// A `GET` with these header lines beside its host.
fn get(name: &'static str, must_be_refused: bool, lines: &str) -> Case {
    let text = format!("GET /c/{{n}} HTTP/1.1\r\nHost: web.apps.test\r\n{lines}\r\n");
    Case { name, text, must_be_refused }
}

fn raw(name: &'static str, must_be_refused: bool, text: &str) -> Case {
    Case { name, text: text.to_owned(), must_be_refused }
}

/// All cases.
pub(super) fn corpus() -> Vec<Case> {
    [lengths(), encodings(), chunks(), lines(), targets()].into_iter().flatten().collect()
}

fn lengths() -> Vec<Case> {
    let after = format!("abc{INNER}");
    vec![
        post("a plain body", false, "Content-Length: 3\r\n", "abc"),
        post("two lengths that differ", true, "Content-Length: 3\r\nContent-Length: 60\r\n", &after),
        post("two lengths in one line that differ", true, "Content-Length: 3, 60\r\n", &after),
        post("two lengths that agree", false, "Content-Length: 3\r\nContent-Length: 3\r\n", "abc"),
        post("two lengths in one line that agree", false, "Content-Length: 3, 3\r\n", "abc"),
        post("a length with a plus", true, "Content-Length: +3\r\n", "abc"),
        post("a negative length", true, "Content-Length: -3\r\n", "abc"),
        post("a length in hexadecimal", true, "Content-Length: 0x3\r\n", "abc"),
        post("a length with a fraction", true, "Content-Length: 3.0\r\n", "abc"),
        post("a length with a blank inside", true, "Content-Length: 3 0\r\n", &after),
        post("an empty length", true, "Content-Length: \r\n", INNER),
        post("a length beyond 64 bits", true, "Content-Length: 18446744073709551619\r\n", "abc"),
        post("a length that is a word", true, "Content-Length: many\r\n", "abc"),
        post("a length with leading zeros", false, "Content-Length: 0003\r\n", "abc"),
        post("a length before a blank", false, "Content-Length: 3 \r\n", "abc"),
        post("a length of another name", false, "Content_Length: 60\r\nContent-Length: 3\r\n", "abc"),
        post("a request behind a body", false, "Content-Length: 3\r\n", &after),
        post("a body that ends early", true, "Content-Length: 30\r\n", "abc"),
        raw(
            "a GET with a body",
            false,
            "GET /c/{n} HTTP/1.1\r\nHost: web.apps.test\r\nContent-Length: 3\r\n\r\nabc",
        ),
    ]
}

fn encodings() -> Vec<Case> {
    let chunked = format!("0\r\n\r\n{INNER}");
    let both = "3\r\nabc\r\n0\r\n\r\n";
    vec![
        post("chunks", false, "Transfer-Encoding: chunked\r\n", both),
        post("CL.TE", false, "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\nG"),
        post("TE.CL", false, "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", &chunked),
        post(
            "CL.TE with a request behind",
            false,
            "Content-Length: 70\r\nTransfer-Encoding: chunked\r\n",
            &chunked,
        ),
        post("TE twice", true, "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", &chunked),
        post(
            "TE.TE with one unknown",
            true,
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n",
            &chunked,
        ),
        post(
            "TE.TE, chunked last",
            true,
            "Transfer-Encoding: cow\r\nTransfer-Encoding: chunked\r\n",
            &chunked,
        ),
        post("an encoding after chunked", true, "Transfer-Encoding: chunked, gzip\r\n", &chunked),
        post("an unknown encoding", true, "Transfer-Encoding: xchunked\r\n", &chunked),
        post("identity", true, "Transfer-Encoding: identity\r\nContent-Length: 3\r\n", "abc"),
        post("an encoding in quotes", true, "Transfer-Encoding: \"chunked\"\r\n", &chunked),
        post("an encoding with a parameter", true, "Transfer-Encoding: chunked;x=1\r\n", &chunked),
        post("an encoding after a vertical tab", true, "Transfer-Encoding: \x0bchunked\r\n", &chunked),
        post("an encoding before a NUL", true, "Transfer-Encoding: chunked\0\r\n", &chunked),
        post("an encoding in capitals", false, "Transfer-Encoding: CHUNKED\r\n", both),
        post("an encoding behind a tab", false, "Transfer-Encoding:\tchunked\r\n", both),
        post("an empty encoding", true, "Transfer-Encoding: \r\nContent-Length: 3\r\n", "abc"),
        raw(
            "chunks in HTTP/1.0",
            true,
            "POST /c/{n} HTTP/1.0\r\nHost: web.apps.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        get("chunked named in Connection", false, "Connection: transfer-encoding, close\r\n"),
        get("the host named in Connection", false, "Connection: host\r\n"),
        post(
            "the length named in Connection",
            false,
            "Connection: content-length\r\nContent-Length: 3\r\n",
            "abc",
        ),
    ]
}

fn chunks() -> Vec<Case> {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let of = |name, must_be_refused, body: &str| post(name, must_be_refused, chunked, body);
    vec![
        of("a size with an extension", false, "3;name=value\r\nabc\r\n0\r\n\r\n"),
        of("a size with leading zeros", false, "0003\r\nabc\r\n0\r\n\r\n"),
        of("a size in hexadecimal notation", true, "0x3\r\nabc\r\n0\r\n\r\n"),
        of("a negative size", true, "-3\r\nabc\r\n0\r\n\r\n"),
        of("a size beyond 64 bits", true, "10000000000000003\r\nabc\r\n0\r\n\r\n"),
        of("a size that is no number", true, "x\r\nabc\r\n0\r\n\r\n"),
        of("no size", true, "\r\nabc\r\n0\r\n\r\n"),
        of("a size line that ends in LF", true, "3\nabc\r\n0\r\n\r\n"),
        of("a size line with a bare CR", true, "3\rabc\r\n0\r\n\r\n"),
        of("a chunk that ends in LF", true, "3\r\nabc\n0\r\n\r\n"),
        of("a chunk longer than its size", true, "3\r\nabcd\r\n0\r\n\r\n"),
        of("a chunk shorter than its size", true, "5\r\nabc\r\n0\r\n\r\n"),
        of("an extension with LF", true, "3;a\nb\r\nabc\r\n0\r\n\r\n"),
        of("no last chunk", true, "3\r\nabc\r\n"),
        of("trailers", false, "3\r\nabc\r\n0\r\nX-Trailer: 1\r\n\r\n"),
        of("a trailer that says how long it is", false, "3\r\nabc\r\n0\r\nContent-Length: 60\r\n\r\n"),
        of("a request behind the last chunk", false, &format!("3\r\nabc\r\n0\r\n\r\n{INNER}")),
    ]
}

fn lines() -> Vec<Case> {
    vec![
        get("a blank before the colon", true, "Content-Length : 3\r\n"),
        get("a tab before the colon", true, "X-Header\t: 3\r\n"),
        get("a folded header", true, "X-Header: a\r\n b\r\n"),
        get("a folded header by a tab", true, "X-Header: a\r\n\tb\r\n"),
        get("a header that begins with a blank", true, " X-Header: a\r\n"),
        get("a header without a colon", true, "X-Header\r\n"),
        get("a header without a name", true, ": value\r\n"),
        get("a NUL in a value", true, "X-Header: a\0b\r\n"),
        get("a NUL in a name", true, "X-He\0ader: a\r\n"),
        get("a bare CR in a value", true, "X-Header: a\rb\r\n"),
        get("a bare CR before another header", true, "X-Header: a\rTransfer-Encoding: chunked\r\n"),
        get("a control character in a value", true, "X-Header: a\x01b\r\n"),
        get("a DEL in a value", true, "X-Header: a\x7fb\r\n"),
        get("a name that is no token", true, "X-(Header): a\r\n"),
        get("a name with a high byte", true, "X-H\u{e9}ader: a\r\n"),
        get("a value with a high byte", false, "X-Header: \u{e9}\r\n"),
        raw(
            "a first line that begins with a blank",
            true,
            " GET /c/{n} HTTP/1.1\r\nHost: web.apps.test\r\n\r\n",
        ),
        raw("two blanks in the first line", true, "GET  /c/{n} HTTP/1.1\r\nHost: web.apps.test\r\n\r\n"),
        raw("a tab in the first line", true, "GET\t/c/{n} HTTP/1.1\r\nHost: web.apps.test\r\n\r\n"),
        raw("a bare CR in the first line", true, "GET /c/{n}\r HTTP/1.1\r\nHost: web.apps.test\r\n\r\n"),
        raw("words behind the version", true, "GET /c/{n} HTTP/1.1 X\r\nHost: web.apps.test\r\n\r\n"),
        raw(
            "an empty line before the first",
            false,
            "\r\nGET /c/{n} HTTP/1.1\r\nHost: web.apps.test\r\n\r\n",
        ),
    ]
}

fn targets() -> Vec<Case> {
    vec![
        raw("no version", true, "GET /c/{n}\r\n\r\n"),
        raw("version 0.9", true, "GET /c/{n} HTTP/0.9\r\nHost: web.apps.test\r\n\r\n"),
        raw("version 1.2", true, "GET /c/{n} HTTP/1.2\r\nHost: web.apps.test\r\n\r\n"),
        raw("version 3", true, "GET /c/{n} HTTP/3.0\r\nHost: web.apps.test\r\n\r\n"),
        raw("a version in small letters", true, "GET /c/{n} http/1.1\r\nHost: web.apps.test\r\n\r\n"),
        raw("the preface of HTTP/2", true, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        raw("no host", true, "GET /c/{n} HTTP/1.1\r\n\r\n"),
        raw("an empty host", true, "GET /c/{n} HTTP/1.1\r\nHost: \r\n\r\n"),
        get("two hosts", true, "Host: other.apps.test\r\n"),
        get("the same host twice", true, "Host: web.apps.test\r\n"),
        raw("a host with a path", true, "GET /c/{n} HTTP/1.1\r\nHost: web.apps.test/x\r\n\r\n"),
        raw("a host with a user", true, "GET /c/{n} HTTP/1.1\r\nHost: me@web.apps.test\r\n\r\n"),
        raw("a host with a blank", true, "GET /c/{n} HTTP/1.1\r\nHost: web.apps.test x\r\n\r\n"),
        raw(
            "two hosts in one line",
            true,
            "GET /c/{n} HTTP/1.1\r\nHost: web.apps.test, web.apps.test\r\n\r\n",
        ),
        raw("an unknown host", true, "GET /c/{n} HTTP/1.1\r\nHost: nobody.apps.test\r\n\r\n"),
        raw("a port that is no number", true, "GET /c/{n} HTTP/1.1\r\nHost: web.apps.test:x\r\n\r\n"),
        raw(
            "an absolute target",
            false,
            "GET http://web.apps.test/c/{n} HTTP/1.1\r\nHost: web.apps.test\r\n\r\n",
        ),
        raw(
            "an absolute target of another host",
            true,
            "GET http://nobody.apps.test/c/{n} HTTP/1.1\r\nHost: web.apps.test\r\n\r\n",
        ),
        raw(
            "an absolute target with another host header",
            false,
            "GET http://web.apps.test/c/{n} HTTP/1.1\r\nHost: nobody.apps.test\r\n\r\n",
        ),
        raw("CONNECT", true, "CONNECT web.apps.test:443 HTTP/1.1\r\nHost: web.apps.test\r\n\r\n"),
        raw("a target without a slash", true, "GET c/{n} HTTP/1.1\r\nHost: web.apps.test\r\n\r\n"),
        raw("a target with a NUL", true, "GET /c/{n}\0 HTTP/1.1\r\nHost: web.apps.test\r\n\r\n"),
        raw("a method that is no token", true, "GE(T /c/{n} HTTP/1.1\r\nHost: web.apps.test\r\n\r\n"),
        raw("a query", false, "GET /c/{n}?a=b HTTP/1.1\r\nHost: web.apps.test\r\n\r\n"),
    ]
}
