//! The few DNS messages that a proof needs: an UPDATE (RFC 2136), its signature (TSIG, RFC 8945), a question for TXT
//! records, and what is read of an answer (RFC 1035 §4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use sha2::{Sha256, Sha512};

use super::{DnsError, ProofRecord};
use crate::config::TsigAlgorithm;

/// What an UPDATE does to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Add,
    Remove,
}

/// A shared key. `Debug` does not show it.
pub(super) struct TsigKey {
    name: String,
    algorithm: TsigAlgorithm,
    secret: Vec<u8>,
}

const HEADER: usize = 12;
const OPCODE_UPDATE: u16 = 5 << 11;
const RECURSION_DESIRED: u16 = 1 << 8;
const ANSWER: u8 = 0x80;
const TYPE_SOA: u16 = 6;
const TYPE_TXT: u16 = 16;
const TYPE_TSIG: u16 = 250;
const CLASS_IN: u16 = 1;
const CLASS_NONE: u16 = 254;
const CLASS_ANY: u16 = 255;
/// Seconds that others may keep a proof.
const TTL: u32 = 60;
/// Seconds that the clocks may be apart (RFC 8945 §10).
const FUDGE: u16 = 300;
/// Longest name on the wire, and longest label of one.
const NAME_LIMIT: usize = 255;
const LABEL_LIMIT: usize = 63;

/// An UPDATE of one TXT record of a zone.
pub(super) fn update(id: u16, zone: &str, change: Change, record: &ProofRecord) -> Result<Vec<u8>, DnsError> {
    let mut message = header(id, OPCODE_UPDATE, [1, 0, 1, 0]);
    message.extend(wire_name(zone)?);
    push(&mut message, &[TYPE_SOA, CLASS_IN]);
    message.extend(wire_name(&record.name)?);
    let (class, ttl) = match change {
        Change::Add => (CLASS_IN, TTL),
        // Deletes this record and leaves the others of its name (RFC 2136 §2.5.4).
        Change::Remove => (CLASS_NONE, 0),
    };
    push(&mut message, &[TYPE_TXT, class]);
    message.extend(ttl.to_be_bytes());
    let text = record.value.as_bytes();
    let length = u8::try_from(text.len()).map_err(|_| DnsError::Name(record.value.clone()))?;
    push(&mut message, &[u16::from(length) + 1]);
    message.push(length);
    message.extend(text);
    Ok(message)
}

/// A question for the TXT records of a name.
pub(super) fn question(id: u16, name: &str) -> Result<Vec<u8>, DnsError> {
    let mut message = header(id, RECURSION_DESIRED, [1, 0, 0, 0]);
    message.extend(wire_name(name)?);
    push(&mut message, &[TYPE_TXT, CLASS_IN]);
    Ok(message)
}

/// The response code of the answer to that message; `None` when it is none.
pub(super) fn code(answer: &[u8], id: u16) -> Option<u8> {
    let (head, is_answer) = (answer.get(..HEADER)?, answer.get(2)? & ANSWER != 0);
    (head.starts_with(&id.to_be_bytes()) && is_answer).then(|| head.get(3).map(|flags| flags & 0x0f))?
}

/// What people call a response code.
pub(super) fn code_name(code: Option<u8>) -> String {
    let name = match code {
        None => return "nothing that can be read".to_owned(),
        Some(1) => "FORMERR",
        Some(2) => "SERVFAIL",
        Some(3) => "NXDOMAIN",
        Some(4) => "NOTIMP",
        Some(5) => "REFUSED",
        Some(9) => "NOTAUTH: it does not know the key, or not for the zone",
        Some(10) => "NOTZONE",
        Some(other) => return format!("with the code {other}"),
    };
    name.to_owned()
}

/// The texts of the TXT records in the answer to a question; none where it cannot be read.
pub(super) fn texts(answer: &[u8], id: u16) -> Vec<String> {
    if code(answer, id) != Some(0) {
        return Vec::new();
    }
    let mut reader = Reader { message: answer, at: HEADER };
    let mut found = Vec::new();
    let _partial = reader.read_texts(&mut found);
    found
}

impl TsigKey {
    /// `secret` is base64; `None` where it is not.
    pub(super) fn parse(name: &str, algorithm: TsigAlgorithm, secret: &str) -> Option<Self> {
        let secret = STANDARD.decode(secret).ok().filter(|secret| !secret.is_empty())?;
        Some(Self { name: name.to_ascii_lowercase(), algorithm, secret })
    }

    /// Appends the signature (RFC 8945 §4.3.3, §5.1).
    pub(super) fn sign(&self, message: &mut Vec<u8>, id: u16, seconds: u64) -> Result<(), DnsError> {
        let (name, algorithm) = (wire_name(&self.name)?, wire_name(self.algorithm.as_str())?);
        let time = seconds.to_be_bytes();
        let time = time.get(2..).unwrap_or_default();
        let mut signed = message.clone();
        signed.extend(&name);
        push(&mut signed, &[CLASS_ANY, 0, 0]);
        signed.extend(&algorithm);
        signed.extend(time);
        push(&mut signed, &[FUDGE, 0, 0]);
        let mac = match self.algorithm {
            TsigAlgorithm::HmacSha256 => mac::<Hmac<Sha256>>(&self.secret, &signed),
            TsigAlgorithm::HmacSha512 => mac::<Hmac<Sha512>>(&self.secret, &signed),
        };
        let mut data = algorithm;
        data.extend(time);
        push(&mut data, &[FUDGE, length(&mac)]);
        data.extend(&mac);
        push(&mut data, &[id, 0, 0]);
        message.extend(name);
        push(message, &[TYPE_TSIG, CLASS_ANY, 0, 0, length(&data)]);
        message.extend(data);
        // One more additional record.
        if let Some(count) = message.get_mut(11) {
            *count += 1;
        }
        Ok(())
    }
}

impl std::fmt::Debug for TsigKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TsigKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Walks over an answer; every step is `None` past its end.
struct Reader<'m> {
    message: &'m [u8],
    at: usize,
}

impl Reader<'_> {
    fn read_texts(&mut self, found: &mut Vec<String>) -> Option<()> {
        let count =
            |at: usize| Some(u16::from_be_bytes([*self.message.get(at)?, *self.message.get(at + 1)?]));
        let (questions, answers) = (count(4)?, count(6)?);
        for _ in 0..questions {
            self.skip_name()?;
            self.take(4)?;
        }
        for _ in 0..answers {
            self.skip_name()?;
            let kind = self.number()?;
            self.take(6)?;
            let length = usize::from(self.number()?);
            let data = self.take(length)?;
            if kind == TYPE_TXT {
                found.push(joined(&data));
            }
        }
        Some(())
    }

    fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        let end = self.at.checked_add(length)?;
        let taken = self.message.get(self.at..end)?.to_vec();
        self.at = end;
        Some(taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.take(2)?.try_into().ok().map(u16::from_be_bytes)
    }

    /// A pointer ends a name.
    fn skip_name(&mut self) -> Option<()> {
        loop {
            match *self.message.get(self.at)? {
                0 => return self.take(1).map(drop),
                0xc0..=0xff => return self.take(2).map(drop),
                length => self.take(usize::from(length) + 1).map(drop)?,
            }
        }
    }
}

/// The strings of a TXT record as one text.
fn joined(data: &[u8]) -> String {
    let mut rest = data;
    let mut text = Vec::new();
    while let Some((length, after)) = rest.split_first() {
        let (part, more) = after.split_at(usize::from(*length).min(after.len()));
        text.extend_from_slice(part);
        rest = more;
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn header(id: u16, flags: u16, counts: [u16; 4]) -> Vec<u8> {
    let mut message = Vec::with_capacity(256);
    push(&mut message, &[id, flags]);
    push(&mut message, &counts);
    message
}

fn push(message: &mut Vec<u8>, numbers: &[u16]) {
    message.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
}

fn length(bytes: &[u8]) -> u16 {
    u16::try_from(bytes.len()).unwrap_or(u16::MAX)
}

/// A name on the wire, uncompressed and in lower case.
fn wire_name(name: &str) -> Result<Vec<u8>, DnsError> {
    let unusable = || DnsError::Name(name.to_owned());
    let mut wire = Vec::with_capacity(name.len() + 2);
    for label in name.trim_end_matches('.').split('.') {
        let length =
            u8::try_from(label.len()).ok().filter(|length| (1..=LABEL_LIMIT).contains(&usize::from(*length)));
        wire.push(length.ok_or_else(unusable)?);
        wire.extend(label.to_ascii_lowercase().bytes());
    }
    wire.push(0);
    if wire.len() > NAME_LIMIT { Err(unusable()) } else { Ok(wire) }
}

fn mac<M: Mac + KeyInit>(secret: &[u8], content: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length, so that the error arm cannot be reached; an empty one is verified nowhere.
    <M as KeyInit>::new_from_slice(secret).map_or_else(
        |_| Vec::new(),
        |mut mac| {
            mac.update(content);
            mac.finalize().into_bytes().to_vec()
        },
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> ProofRecord {
        ProofRecord::of("*.example.test", "value".to_owned())
    }

    #[test]
    fn an_update_names_zone_record_and_what_is_done() {
        let added = update(0x1234, "example.test", Change::Add, &record()).unwrap();
        assert_eq!(&added[..12], &[0x12, 0x34, 0x28, 0, 0, 1, 0, 0, 0, 1, 0, 0]);
        assert!(added.ends_with(&[0, 16, 0, 1, 0, 0, 0, 60, 0, 6, 5, b'v', b'a', b'l', b'u', b'e']));
        let removed = update(1, "example.test", Change::Remove, &record()).unwrap();
        assert!(removed.ends_with(&[0, 16, 0, 254, 0, 0, 0, 0, 0, 6, 5, b'v', b'a', b'l', b'u', b'e']));
        for bad in ["", "a..b", &"x".repeat(64), &["x".repeat(60).as_str(); 5].join(".")] {
            assert!(question(1, bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn a_signature_is_one_more_record_and_depends_on_all_that_is_signed() {
        let key = |secret: &str| TsigKey::parse("Key.", TsigAlgorithm::HmacSha256, secret).unwrap();
        let signed = |secret: &str, seconds| {
            let mut message = update(1, "example.test", Change::Add, &record()).unwrap();
            key(secret).sign(&mut message, 1, seconds).unwrap();
            message
        };
        let one = signed("c2VjcmV0", 1_700_000_000);
        assert_eq!(one[11], 1);
        assert_eq!(one, signed("c2VjcmV0", 1_700_000_000));
        assert_ne!(one, signed("c2VjcmV0", 1_700_000_001));
        assert_ne!(one, signed("b3RoZXI=", 1_700_000_000));
        assert!(TsigKey::parse("k", TsigAlgorithm::HmacSha512, "not base64!").is_none());
        assert!(!format!("{:?}", key("c2VjcmV0")).contains("secret"));
    }

    #[test]
    fn texts_are_read_out_of_an_answer_to_the_question_alone() {
        let mut answer = question(7, "a.b").unwrap();
        answer[2] |= ANSWER;
        answer[7] = 2;
        for text in [&b"\x03one\x03two"[..], &b"\x05three"[..]] {
            answer.extend([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60, 0]);
            answer.push(u8::try_from(text.len()).unwrap());
            answer.extend(text);
        }
        assert_eq!(texts(&answer, 7), ["onetwo", "three"]);
        assert_eq!(texts(&answer, 8), Vec::<String>::new());
        assert_eq!(texts(&answer[..answer.len() - 1], 7), ["onetwo"]);
        answer[3] = 5;
        assert_eq!((code(&answer, 7), texts(&answer, 7).len()), (Some(5), 0));
    }

    proptest! {
        #[test]
        fn no_answer_makes_the_reader_panic_or_hang(answer in proptest::collection::vec(any::<u8>(), 0..200)) {
            let id = answer.get(..2).map_or(0, |id| u16::from_be_bytes([id[0], id[1]]));
            let _any = (code(&answer, id), texts(&answer, id));
        }
    }
}
