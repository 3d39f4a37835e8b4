//! What is let through to h3 of a stream that a client sends.
//!
//! h3 reads a frame whole before it looks at its type, whatever its length is, reads ahead of what it gives away, and
//! takes an empty DATA frame for the end of a body. So the frames are cut here: h3 gets the head of a DATA frame and
//! then its payload as it comes, any other frame that HTTP/3 knows at once and only when it is short enough, and
//! nothing of frames that are to be ignored (RFC 9114 §9).
//!
//! Invariant: of one stream at most one frame of a limited length is kept.

use bytes::{Buf, Bytes, BytesMut};

use super::pseudo::{self, Section};

const DATA: u64 = 0x0;
const HEADERS: u64 = 0x1;
/// What has a meaning, or is forbidden (RFC 9114 §7.2); h3 judges.
const KNOWN: [u64; 10] = [HEADERS, 0x2, 0x3, 0x4, 0x5, 0x6, 0x7, 0x8, 0x9, 0xd];
/// Two numbers of eight bytes.
const LONGEST_HEAD: usize = 16;

/// The cutter of one stream.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes of a frame that is no DATA frame.
    longest: u64,
    /// What the next HEADERS frame is.
    section: Section,
    head: Vec<u8>,
    at: At,
}

/// Why a stream is not read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("a frame is longer than the edge takes")]
    TooLong,
    #[error("the pseudo-headers are repeated, behind others or unknown")]
    Malformed,
    #[error("the stream ends within a frame")]
    Truncated,
}

#[derive(Debug)]
enum At {
    /// Type and length.
    Head,
    Data {
        left: u64,
    },
    Ignored {
        left: u64,
    },
    /// A frame that is given away whole.
    Whole {
        kind: u64,
        frame: BytesMut,
        left: u64,
    },
}

impl Frames {
    /// The frames of a request.
    pub(super) fn of_request(longest: u64) -> Self {
        Self { longest, section: Section::Request, head: Vec::with_capacity(LONGEST_HEAD), at: At::Head }
    }

    /// The frames of the control stream, which are short.
    pub(super) fn of_control() -> Self {
        const LONGEST: u64 = 4 * 1_024;
        Self::of_request(LONGEST)
    }

    /// The next piece for h3 out of what came; `None` when all of it is used up.
    pub(super) fn next(&mut self, came: &mut Bytes) -> Result<Option<Bytes>, Refusal> {
        while !came.is_empty() {
            if let Some(piece) = self.step(came)? {
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }

    /// Whether a stream may end here.
    pub(super) fn end(&self) -> Result<(), Refusal> {
        match self.at {
            At::Head if self.head.is_empty() => Ok(()),
            At::Head | At::Data { .. } | At::Ignored { .. } | At::Whole { .. } => Err(Refusal::Truncated),
        }
    }

    fn step(&mut self, came: &mut Bytes) -> Result<Option<Bytes>, Refusal> {
        match &mut self.at {
            At::Head => {
                self.head.push(came.get_u8());
                match read_head(&self.head) {
                    Some((kind, length)) => self.begin(kind, length),
                    None => Ok(None),
                }
            }
            At::Data { left } => {
                let piece = take(came, left);
                if *left == 0 {
                    self.at = At::Head;
                }
                Ok(Some(piece))
            }
            At::Ignored { left } => {
                drop(take(came, left));
                if *left == 0 {
                    self.at = At::Head;
                }
                Ok(None)
            }
            At::Whole { frame, left, .. } => {
                frame.extend_from_slice(&take(came, left));
                self.finish()
            }
        }
    }

    fn begin(&mut self, kind: u64, length: u64) -> Result<Option<Bytes>, Refusal> {
        let head = Bytes::copy_from_slice(&self.head);
        self.head.clear();
        if kind == DATA && length > 0 {
            self.at = At::Data { left: length };
            return Ok(Some(head));
        }
        if !KNOWN.contains(&kind) {
            self.at = if length == 0 { At::Head } else { At::Ignored { left: length } };
            return Ok(None);
        }
        if length > self.longest {
            return Err(Refusal::TooLong);
        }
        self.at = At::Whole { kind, frame: BytesMut::from(&*head), left: length };
        self.finish()
    }

    /// Gives a frame away when all of it is there.
    fn finish(&mut self) -> Result<Option<Bytes>, Refusal> {
        let At::Whole { left: 0, .. } = self.at else { return Ok(None) };
        let At::Whole { kind, frame, .. } = std::mem::replace(&mut self.at, At::Head) else {
            return Ok(None);
        };
        let frame = frame.freeze();
        if kind == HEADERS {
            if !pseudo::are_in_order(self.section, payload(&frame)) {
                return Err(Refusal::Malformed);
            }
            self.section = Section::Trailers;
        }
        Ok(Some(frame))
    }
}

/// The number that `bytes` begin with and how many of them it takes (RFC 9000 §16); `None` when there are too few.
pub(super) fn read_number(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = bytes.first()?;
    let length = 1_usize << (first >> 6);
    let rest = bytes.get(1..length)?;
    let number = rest.iter().fold(u64::from(first & 0x3f), |number, byte| number << 8 | u64::from(*byte));
    Some((number, length))
}

fn read_head(head: &[u8]) -> Option<(u64, u64)> {
    let (kind, read) = read_number(head)?;
    let (length, _) = read_number(head.get(read..)?)?;
    Some((kind, length))
}

fn payload(frame: &[u8]) -> &[u8] {
    let payload = || {
        let (_, kind) = read_number(frame)?;
        let rest = frame.get(kind..)?;
        let (_, length) = read_number(rest)?;
        rest.get(length..)
    };
    payload().unwrap_or_default()
}

/// At most `left` bytes, which become fewer.
fn take(came: &mut Bytes, left: &mut u64) -> Bytes {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(came.len());
    *left -= length as u64;
    came.split_to(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(frames: &mut Frames, sent: &[u8], size: usize) -> Result<Vec<Bytes>, Refusal> {
        let mut pieces = Vec::new();
        for chunk in sent.chunks(size) {
            let mut chunk = Bytes::copy_from_slice(chunk);
            while let Some(piece) = frames.next(&mut chunk)? {
                pieces.push(piece);
            }
        }
        Ok(pieces)
    }

    #[test]
    fn data_is_passed_as_it_comes_and_what_is_unknown_or_empty_is_not() {
        let sent = [&[0x21, 2][..], b"xx", &[0, 3], b"abc", &[0, 0], &[0x40, 0x41, 1], b"y", &[0, 2], b"de"];
        let mut frames = Frames::of_request(10);
        let pieces = cut(&mut frames, &sent.concat(), 100).unwrap();
        assert_eq!(pieces, [&[0, 3][..], b"abc", &[0, 2], b"de"]);
        assert_eq!(frames.end(), Ok(()));
    }

    #[test]
    fn a_frame_that_is_too_long_is_refused_before_it_has_come() {
        let mut frames = Frames::of_request(10);
        assert_eq!(cut(&mut frames, &[1, 11], 1), Err(Refusal::TooLong));
        let mut ignored = Frames::of_request(10);
        assert_eq!(cut(&mut ignored, &[0x21, 0xbf, 0xff, 0xff, 0xff, 1, 2, 3], 1), Ok(vec![]));
    }

    #[test]
    fn a_stream_ends_between_frames_only() {
        for sent in [&[0][..], &[0, 2, 7], &[0x21, 1], &[1, 4, 0]] {
            let mut frames = Frames::of_request(10);
            cut(&mut frames, sent, 1).unwrap();
            assert_eq!(frames.end(), Err(Refusal::Truncated), "{sent:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_kept_has_a_limit_whatever_comes(sent in prop::collection::vec(any::<u8>(), 0..300), size in 1_usize..50) {
            let mut frames = Frames::of_request(64);
            let mut passed = 0;
            for chunk in sent.chunks(size) {
                let mut chunk = Bytes::copy_from_slice(chunk);
                while let Ok(Some(piece)) = frames.next(&mut chunk) {
                    passed += piece.len();
                }
                if let At::Whole { frame, .. } = &frames.at {
                    prop_assert!(frame.len() <= 64 + LONGEST_HEAD);
                }
                prop_assert!(frames.head.len() <= LONGEST_HEAD);
            }
            prop_assert!(passed <= sent.len());
        }

        #[test]
        fn how_a_stream_is_cut_into_packets_makes_no_difference(bodies in prop::collection::vec(1_usize..200, 0..8), size in 1_usize..80) {
            let mut sent = Vec::new();
            for length in &bodies {
                sent.extend([0, 0x40, u8::try_from(*length).unwrap()]);
                sent.resize(sent.len() + length, 7);
            }
            let pieces = cut(&mut Frames::of_request(10), &sent, size).unwrap();
            prop_assert_eq!(pieces.concat(), sent);
        }
    }
}
