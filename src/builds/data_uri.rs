//! `data:` URIs, decoded in chunks: an archive of 100 MB costs one chunk of memory beside its text.

use std::io::{self, Write};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::model::RuleError;

/// Characters decoded at a time; a multiple of four.
const CHUNK: usize = 64 * 1024;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why a data URI was not decoded.
#[derive(Debug)]
pub(super) enum DataError {
    Rule(RuleError),
    Io(io::Error),
}

/// Decodes what follows `data:` into `out` and returns the number of bytes. Takes base64 in both
/// alphabets, with or without padding, with white space between, and percent-encoded text.
pub(super) fn decode(uri: &str, out: &mut impl Write) -> Result<u64, DataError> {
    let Some((header, content)) = uri.split_once(',') else {
        return Err(refused("it has no comma; write data:application/zip;base64,<content>"));
    };
    let bytes = Percent { rest: content.as_bytes() };
    if header.split(';').any(|part| part.trim().eq_ignore_ascii_case("base64")) {
        decode_base64(bytes, out)
    } else {
        decode_text(bytes, out)
    }
}

/// A percent-encoded text; `None` when it is broken or no UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let bytes = Percent { rest: text.as_bytes() }.collect::<Result<Vec<u8>, _>>().ok()?;
    String::from_utf8(bytes).ok()
}

fn decode_base64(bytes: Percent<'_>, out: &mut impl Write) -> Result<u64, DataError> {
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut decoded = Vec::with_capacity(CHUNK);
    let mut length = 0;
    let mut padded = false;
    for byte in bytes {
        match byte.map_err(DataError::Rule)? {
            b if b.is_ascii_whitespace() => continue,
            b'=' => {
                padded = true;
                continue;
            }
            _ if padded => return Err(refused("its base64 goes on after the padding")),
            b'-' => chunk.push(b'+'),
            b'_' => chunk.push(b'/'),
            b => chunk.push(b),
        }
        if chunk.len() == CHUNK {
            length += flush(&mut chunk, &mut decoded, out)?;
        }
    }
    Ok(length + flush(&mut chunk, &mut decoded, out)?)
}

fn flush(chunk: &mut Vec<u8>, decoded: &mut Vec<u8>, out: &mut impl Write) -> Result<u64, DataError> {
    decoded.clear();
    BASE64
        .decode_vec(&*chunk, decoded)
        .map_err(|error| refused(&format!("its base64 is broken ({error})")))?;
    chunk.clear();
    out.write_all(decoded).map_err(DataError::Io)?;
    Ok(decoded.len() as u64)
}

fn decode_text(bytes: Percent<'_>, out: &mut impl Write) -> Result<u64, DataError> {
    let mut chunk = Vec::with_capacity(CHUNK);
    let mut length = 0;
    for byte in bytes {
        chunk.push(byte.map_err(DataError::Rule)?);
        length += 1;
        if chunk.len() == CHUNK {
            out.write_all(&chunk).map_err(DataError::Io)?;
            chunk.clear();
        }
    }
    out.write_all(&chunk).map_err(DataError::Io)?;
    Ok(length)
}

fn refused(why: &str) -> DataError {
    DataError::Rule(RuleError::new(format!("The data URI of the source is not usable: {why}.")))
}

/// The bytes of a text with `%41` decoded.
struct Percent<'a> {
    rest: &'a [u8],
}

impl Iterator for Percent<'_> {
    type Item = Result<u8, RuleError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (first, rest) = self.rest.split_first()?;
        if *first != b'%' {
            self.rest = rest;
            return Some(Ok(*first));
        }
        let digits = rest.split_at_checked(2);
        let byte = digits.and_then(|(digits, tail)| {
            self.rest = tail;
            let text = std::str::from_utf8(digits).ok()?;
            text.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(text, 16).ok())?
        });
        Some(byte.ok_or_else(|| {
            RuleError::new(
                "The source url has a % that two hexadecimal digits do not follow; encode it as %25.",
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD as PADDED, URL_SAFE_NO_PAD};
    use proptest::prelude::*;

    fn decoded(uri: &str) -> Result<Vec<u8>, DataError> {
        let mut out = Vec::new();
        let length = decode(uri, &mut out)?;
        assert_eq!(length, out.len() as u64);
        Ok(out)
    }

    proptest! {
        #[test]
        fn every_content_comes_back_whatever_the_form(
            content in proptest::collection::vec(any::<u8>(), 0..4_000),
            every in 3_usize..80,
        ) {
            let padded = PADDED.encode(&content);
            let lines: Vec<&str> =
                padded.as_bytes().chunks(every).map(|line| std::str::from_utf8(line).unwrap()).collect();
            prop_assert_eq!(&decoded(&format!("base64,{}", lines.join("\r\n"))).unwrap(), &content);
            let url_safe = URL_SAFE_NO_PAD.encode(&content);
            prop_assert_eq!(&decoded(&format!("application/zip;base64,{url_safe}")).unwrap(), &content);
        }

        #[test]
        fn no_text_makes_the_decoder_panic(text in "\\PC{0,200}", bytes in "[%0-9a-zA-Z=,;-]{0,60}") {
            drop(decoded(&text));
            drop(decoded(&bytes));
        }
    }

    #[test]
    fn a_content_of_many_chunks_comes_back() {
        let content: Vec<u8> = (0..=250).cycle().take(CHUNK * 3 + 1).collect();
        assert_eq!(decoded(&format!("base64,{}", PADDED.encode(&content))).unwrap(), content);
    }

    #[test]
    fn text_after_padding_is_refused() {
        assert!(decoded("base64,aGk=aGk=").is_err());
    }
}
