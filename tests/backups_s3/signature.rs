//! The signature of a request to S3, computed anew from what arrived: Signature Version 4 in the query, as AWS describes
//! it ("Authenticating Requests: Using Query Parameters"). It shares no code with the daemon.

use std::collections::BTreeMap;

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

pub(crate) const ACCESS_KEY_ID: &str = "AKIDTEST";
pub(crate) const SECRET: &str = "the+secret/access=key";
pub(crate) const REGION: &str = "eu-test-1";

/// A refusal: the code of S3.
pub(crate) type Refusal = &'static str;

/// Whether a request was signed by who knows the secret, at most an hour ago. `query` is as it was sent.
pub(crate) fn verify(
    (method, path, query): (&str, &str, &str),
    headers: &BTreeMap<String, String>,
    now: i64,
) -> Result<(), Refusal> {
    let pairs: Vec<(&str, &str)> =
        query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    let value = |name: &str| {
        let found = pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        found.map(decoded).ok_or("AuthorizationQueryParametersError")
    };
    let (date, signed) = (value("X-Amz-Date")?, value("X-Amz-SignedHeaders")?);
    let day = date.get(..8).ok_or("AuthorizationQueryParametersError")?;
    let scope = format!("{day}/{REGION}/s3/aws4_request");
    if value("X-Amz-Credential")? != format!("{ACCESS_KEY_ID}/{scope}") {
        return Err("InvalidAccessKeyId");
    }
    let at = jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", &date).and_then(|at| at.to_datetime());
    let at = at.and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC)).map_err(|_| "AccessDenied")?;
    let age = now / 1000 - at.timestamp().as_second();
    let expires: i64 = value("X-Amz-Expires")?.parse().map_err(|_| "AuthorizationQueryParametersError")?;
    if age > expires || !(1..=604_800).contains(&expires) || age < -900 {
        return Err("AccessDenied");
    }
    let mut signed_pairs: Vec<(&str, &str)> =
        pairs.iter().filter(|(name, _)| *name != "X-Amz-Signature").copied().collect();
    signed_pairs.sort_unstable();
    let canonical_query: Vec<String> =
        signed_pairs.iter().map(|(name, value)| format!("{name}={}", encoded(&decoded(value)))).collect();
    let line = |name| Ok(format!("{name}:{}\n", headers.get(name).ok_or("SignatureDoesNotMatch")?.trim()));
    let lines = signed.split(';').map(line).collect::<Result<String, Refusal>>()?;
    let query = canonical_query.join("&");
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{signed}\nUNSIGNED-PAYLOAD");
    let digest = hex::encode(Sha256::digest(&canonical));
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in [day, REGION, "s3", "aws4_request", &text] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
        mac.update(part.as_bytes());
        key = mac.finalize().into_bytes().to_vec();
    }
    if hex::encode(key) == value("X-Amz-Signature")? { Ok(()) } else { Err("SignatureDoesNotMatch") }
}

/// Without percent-encoding.
pub(crate) fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((plain, after)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        bytes.extend(after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()));
        rest = after.get(2..).unwrap_or_default();
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap()
}

fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}
