//! The chunked transfer coding (RFC 9112 §7.1), read strictly: what two servers could read differently is an error.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Http1Error;

/// Bytes of chunk extensions in one body; they mean nothing and are not passed on.
const MOST_EXTENSIONS: usize = 16 * 1_024;
/// Bytes of a trailer section, and its fields.
const MOST_TRAILERS: usize = 16 * 1_024;
const MOST_TRAILER_FIELDS: usize = 64;
/// Digits of a size: 64 bits.
const MOST_DIGITS: usize = 16;

/// Reads the body of one message.
#[derive(Debug)]
pub(super) struct ChunkedReader {
    stage: Stage,
    extensions: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Size,
    Data {
        left: u64,
    },
    /// The CRLF behind the data of a chunk.
    DataEnd,
    Trailers,
    Ended,
}

/// What is next in a chunked body.
#[derive(Debug)]
pub(super) enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    /// More bytes have to come first.
    More,
}

impl ChunkedReader {
    pub(super) fn new() -> Self {
        Self { stage: Stage::Size, extensions: 0 }
    }

    pub(super) fn is_ended(&self) -> bool {
        self.stage == Stage::Ended
    }

    /// Takes the next piece from what has come.
    pub(super) fn read(&mut self, input: &mut BytesMut) -> Result<Piece, Http1Error> {
        loop {
            match self.stage {
                Stage::Size => {
                    let Some(size) = self.read_size(input)? else { return Ok(Piece::More) };
                    self.stage = if size == 0 { Stage::Trailers } else { Stage::Data { left: size } };
                }
                Stage::Data { left } => {
                    if input.is_empty() {
                        return Ok(Piece::More);
                    }
                    let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                    let left = left - length as u64;
                    self.stage = if left == 0 { Stage::DataEnd } else { Stage::Data { left } };
                    let data = input.split_to(length).freeze();
                    self.read_data_end(input)?;
                    return Ok(Piece::Data(data));
                }
                Stage::DataEnd => {
                    self.read_data_end(input)?;
                    if self.stage == Stage::DataEnd {
                        return Ok(Piece::More);
                    }
                }
                Stage::Trailers => return self.read_trailers(input),
                Stage::Ended => return Ok(Piece::End),
            }
        }
    }

    /// Reads `size [; extension] CRLF`; nothing while it has not come whole.
    fn read_size(&mut self, input: &mut BytesMut) -> Result<Option<u64>, Http1Error> {
        let Some(end) = memchr::memchr(b'\n', input) else {
            let fits = input.len() <= MOST_DIGITS + MOST_EXTENSIONS - self.extensions;
            return if fits { Ok(None) } else { Err(Http1Error::Chunk) };
        };
        let line = input.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Http1Error::Chunk)?;
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let (digits, rest) = line.split_at_checked(digits).ok_or(Http1Error::Chunk)?;
        if digits.is_empty() || digits.len() > MOST_DIGITS || !is_extension(rest) {
            return Err(Http1Error::Chunk);
        }
        self.extensions += rest.len();
        if self.extensions > MOST_EXTENSIONS {
            return Err(Http1Error::Chunk);
        }
        let digits = std::str::from_utf8(digits).map_err(|_| Http1Error::Chunk)?;
        let size = u64::from_str_radix(digits, 16).map_err(|_| Http1Error::Chunk)?;
        input.advance(end + 1);
        Ok(Some(size))
    }

    /// Moves on when the CRLF has come.
    fn read_data_end(&mut self, input: &mut BytesMut) -> Result<(), Http1Error> {
        if self.stage != Stage::DataEnd {
            return Ok(());
        }
        match **input {
            [b'\r', b'\n', ..] => {
                input.advance(2);
                self.stage = Stage::Size;
                Ok(())
            }
            [] | [b'\r'] => Ok(()),
            [..] => Err(Http1Error::Chunk),
        }
    }

    fn read_trailers(&mut self, input: &mut BytesMut) -> Result<Piece, Http1Error> {
        if input.starts_with(b"\r\n") {
            input.advance(2);
            self.stage = Stage::Ended;
            return Ok(Piece::End);
        }
        let Some(end) = memchr::memmem::find(input, b"\r\n\r\n") else {
            return if input.len() > MOST_TRAILERS { Err(Http1Error::Chunk) } else { Ok(Piece::More) };
        };
        let section = input.split_to(end + 4).freeze();
        let mut fields = [httparse::EMPTY_HEADER; MOST_TRAILER_FIELDS];
        let httparse::Status::Complete((length, fields)) = httparse::parse_headers(&section, &mut fields)?
        else {
            return Err(Http1Error::Chunk);
        };
        // A blank line made of bare line feeds would end it earlier.
        if length != section.len() {
            return Err(Http1Error::Chunk);
        }
        let mut trailers = HeaderMap::with_capacity(fields.len());
        for field in fields {
            let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(http::Error::from)?;
            let value = HeaderValue::from_bytes(field.value).map_err(http::Error::from)?;
            trailers.append(name, value);
        }
        self.stage = Stage::Ended;
        Ok(Piece::Trailers(trailers))
    }
}

/// Blanks, or an extension behind them, which is not looked into.
fn is_extension(rest: &[u8]) -> bool {
    let mut behind = rest.iter().skip_while(|byte| matches!(byte, b' ' | b'\t'));
    matches!(behind.next(), None | Some(b';')) && behind.all(|byte| *byte != b'\r')
}

/// Writes the line before the data of a chunk.
pub(super) fn write_size(size: usize, output: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut shift = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1);
    while shift > 0 {
        shift -= 1;
        output.extend(DIGITS.get((size >> (shift * 4)) & 0xf));
    }
    output.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Data and trailers of a body, and what is left behind it.
    type Read = (Vec<u8>, Option<HeaderMap>, Vec<u8>);

    /// Reads a body that comes in pieces of `step` bytes.
    fn read(text: &str, step: usize) -> Result<Read, Http1Error> {
        let (mut reader, mut input) = (ChunkedReader::new(), BytesMut::new());
        let (mut data, mut trailers) = (Vec::new(), None);
        let mut coming = text.as_bytes().chunks(step);
        loop {
            match reader.read(&mut input)? {
                Piece::Data(piece) => data.extend_from_slice(&piece),
                Piece::Trailers(fields) => trailers = Some(fields),
                Piece::More => input.extend_from_slice(coming.next().ok_or(Http1Error::Closed)?),
                Piece::End => {
                    let left = coming.fold(input.to_vec(), |left, piece| [&left, piece].concat());
                    return Ok((data, trailers, left));
                }
            }
        }
    }

    #[test]
    fn a_body_is_read_however_its_bytes_come() {
        let body = "3\r\nabc\r\n00a; name=\"value\"\r\n0123456789\r\n1 \r\n!\r\n0\r\nX-Sum: 7\r\n\r\nGET /";
        for step in 1..body.len() {
            let (data, trailers, left) = read(body, step).unwrap();
            assert_eq!(data, b"abc0123456789!");
            assert_eq!(trailers.unwrap()["x-sum"], "7");
            assert_eq!(left, b"GET /");
        }
    }

    #[test]
    fn what_servers_could_read_differently_is_an_error() {
        for body in [
            "\r\nabc",
            "x\r\nabc",
            "0x3\r\nabc\r\n",
            "-3\r\nabc\r\n",
            "3\nabc\r\n",
            "3\rabc\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "3;a\rb\r\nabc\r\n0\r\n\r\n",
            "3 a\r\nabc\r\n0\r\n\r\n",
            "10000000000000003\r\nabc\r\n0\r\n\r\n",
            "0\r\nX Y: 1\r\n\r\n",
            "0\r\nX: 1\n\nGET / HTTP/1.1\r\n\r\n",
        ] {
            for step in [1, 2, body.len()] {
                let wrong = read(body, step);
                assert!(!matches!(wrong, Ok(_) | Err(Http1Error::Closed)), "{body:?} by {step}: {wrong:?}");
            }
        }
    }

    #[test]
    fn extensions_and_trailers_have_limits() {
        let extended = format!("1;{}\r\na\r\n", "x".repeat(9_000));
        assert!(read(&format!("{extended}0\r\n\r\n"), 1_000).is_ok());
        assert!(read(&format!("{extended}{extended}0\r\n\r\n"), 1_000).is_err());
        assert!(read(&format!("1;{}", "x".repeat(20_000)), 1_000).is_err());
        assert!(read(&format!("0\r\nx: {}", "y".repeat(20_000)), 1_000).is_err());
    }

    #[test]
    fn a_size_is_written_in_hexadecimal() {
        for (size, line) in [(1, "1\r\n"), (10, "a\r\n"), (256, "100\r\n"), (65_535, "ffff\r\n")] {
            let mut output = Vec::new();
            write_size(size, &mut output);
            assert_eq!(output, line.as_bytes());
        }
    }
}
