//! A frame: the lines of one append with the checkpoint that goes with them, as bytes with a checksum.
//!
//! Invariant: a frame is whole or it is none; a torn one is never decoded.

use std::io;

use flate2::Crc;

use crate::model::log::{LogLine, LogSource, OutputStream, Part};
use crate::model::names::{DynoName, ProcessType};
use crate::model::time::Timestamp;

/// Length and checksum of the body, then the position of the first line and the number of lines.
pub(super) const HEADER: usize = 20;
/// A length beyond this is no frame's: the bytes are torn.
pub(super) const FRAME_LIMIT: usize = 16 << 20;

/// About what a line takes beside its text.
const LINE_HEAD: usize = 48;

/// How far the output of a container was taken, per stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub container: String,
    /// All that is not taken was written in or after this second, since 1970.
    pub since: i64,
    pub stdout: Taken,
    pub stderr: Taken,
}

/// Everything before an instant was taken, and the first few pieces of that very instant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// The engine's time of the last piece, in nanoseconds since 1970.
    pub nanos: i64,
    /// How many pieces with exactly this time were taken.
    pub count: u32,
    /// What was taken ends within a line that is longer than a line of a log may be.
    pub within_line: bool,
}

/// What the first bytes of a frame say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// Bytes of the body.
    pub(super) length: usize,
    checksum: u32,
    pub(super) first: u64,
    pub(super) lines: u32,
}

/// A frame in the making: all but the position of its first line.
#[derive(Debug)]
pub(super) struct NewFrame {
    /// With room for the header.
    bytes: Vec<u8>,
    pub(super) lines: u32,
    pub(super) checkpoint: Option<Checkpoint>,
}

/// A decoded frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) lines: Vec<LogLine>,
}

impl NewFrame {
    /// One that begins with a checkpoint, and has room for lines with texts of these lengths.
    pub(super) fn new(
        checkpoint: Option<Checkpoint>,
        texts: impl Iterator<Item = usize>,
    ) -> io::Result<Self> {
        let room: usize = texts.map(|text| text + LINE_HEAD).sum();
        let mut bytes = Vec::with_capacity(HEADER + room);
        bytes.resize(HEADER, 0);
        match &checkpoint {
            None => bytes.push(0),
            Some(checkpoint) => {
                bytes.push(1);
                put_checkpoint(&mut bytes, checkpoint)?;
            }
        }
        Ok(Self { bytes, lines: 0, checkpoint })
    }

    /// One with these lines.
    pub(super) fn of(lines: &[LogLine], checkpoint: Option<Checkpoint>) -> io::Result<Self> {
        let mut frame = Self::new(checkpoint, lines.iter().map(|line| line.text().len()))?;
        for line in lines {
            frame.push(line.at, &line.source, (line.part, line.text()))?;
        }
        Ok(frame)
    }

    /// Adds a line, whose text is one already.
    pub(super) fn push(
        &mut self,
        at: Timestamp,
        source: &LogSource,
        (part, text): (Part, &str),
    ) -> io::Result<()> {
        put_line(&mut self.bytes, at, source, (part, text))?;
        self.lines = self.lines.checked_add(1).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(())
    }

    /// Its bytes, where the first line is at that position.
    pub(super) fn at(&mut self, first: u64) -> io::Result<&[u8]> {
        let length = u32::try_from(self.bytes.len() - HEADER).map_err(too_large)?;
        let mut header = Vec::with_capacity(HEADER);
        header.extend(length.to_le_bytes());
        header.extend([0; 4]);
        header.extend(first.to_le_bytes());
        header.extend(self.lines.to_le_bytes());
        let body = self.bytes.get(HEADER..).unwrap_or_default();
        let checksum = checksum(&header, body);
        if let Some(place) = header.get_mut(4..8) {
            place.copy_from_slice(&checksum.to_le_bytes());
        }
        if let Some(place) = self.bytes.get_mut(..HEADER) {
            place.copy_from_slice(&header);
        }
        Ok(&self.bytes)
    }
}

impl Header {
    /// Reads a header; `None` when its length can be no frame's.
    pub(super) fn read(bytes: &[u8; HEADER]) -> Option<Self> {
        let mut input = Input(bytes);
        let length = usize::try_from(input.u32()?).ok()?;
        let header = Self { length, checksum: input.u32()?, first: input.u64()?, lines: input.u32()? };
        (length <= FRAME_LIMIT).then_some(header)
    }

    /// The position after the last line.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(u64::from(self.lines))
    }

    /// Decodes the body; `None` when it is torn.
    pub(super) fn decode(&self, bytes: &[u8; HEADER], body: &[u8]) -> Option<Frame> {
        if checksum(bytes, body) != self.checksum {
            return None;
        }
        let mut input = Input(body);
        let checkpoint = if input.u8()? == 0 { None } else { Some(take_checkpoint(&mut input)?) };
        let lines = (0..self.lines).map(|_| take_line(&mut input)).collect::<Option<_>>()?;
        Some(Frame { checkpoint, lines })
    }
}

/// Over the header without the checksum itself, and the body.
fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(header.get(..4).unwrap_or_default());
    crc.update(header.get(8..).unwrap_or_default());
    crc.update(body);
    crc.sum()
}

fn put_checkpoint(bytes: &mut Vec<u8>, checkpoint: &Checkpoint) -> io::Result<()> {
    put_short(bytes, &checkpoint.container)?;
    bytes.extend(checkpoint.since.to_le_bytes());
    for taken in [checkpoint.stdout, checkpoint.stderr] {
        bytes.extend(taken.nanos.to_le_bytes());
        bytes.extend(taken.count.to_le_bytes());
        bytes.push(u8::from(taken.within_line));
    }
    Ok(())
}

fn take_checkpoint(input: &mut Input<'_>) -> Option<Checkpoint> {
    let container = input.short()?.to_owned();
    let since = input.i64()?;
    let mut taken =
        || Some(Taken { nanos: input.i64()?, count: input.u32()?, within_line: input.u8()? != 0 });
    Some(Checkpoint { container, since, stdout: taken()?, stderr: taken()? })
}

fn put_line(
    bytes: &mut Vec<u8>,
    at: Timestamp,
    source: &LogSource,
    (part, text): (Part, &str),
) -> io::Result<()> {
    let part = match part {
        Part::Whole => 0,
        Part::First => 1,
        Part::Middle => 2,
        Part::Last => 3,
    };
    let kind = match source {
        LogSource::Dyno { stream: OutputStream::Stdout, .. } => 0,
        LogSource::Dyno { stream: OutputStream::Stderr, .. } => 1,
        LogSource::Build => 2,
        LogSource::Router => 3,
        LogSource::Controller => 4,
    };
    bytes.extend([kind, part]);
    bytes.extend(at.as_millis().to_le_bytes());
    if let LogSource::Dyno { process_type, dyno, .. } = source {
        put_short(bytes, process_type.as_str())?;
        put_short(bytes, dyno.as_str())?;
    }
    bytes.extend(u32::try_from(text.len()).map_err(too_large)?.to_le_bytes());
    bytes.extend(text.as_bytes());
    Ok(())
}

fn take_line(input: &mut Input<'_>) -> Option<LogLine> {
    let (kind, part) = (input.u8()?, input.u8()?);
    let at = Timestamp::from_millis(input.i64()?);
    let mut dyno = |stream| {
        let process_type = ProcessType::from_stored(input.short()?.to_owned());
        let dyno = DynoName::from_stored(input.short()?.to_owned());
        Some(LogSource::Dyno { process_type, dyno, stream })
    };
    let source = match kind {
        0 => dyno(OutputStream::Stdout)?,
        1 => dyno(OutputStream::Stderr)?,
        2 => LogSource::Build,
        3 => LogSource::Router,
        4 => LogSource::Controller,
        _ => return None,
    };
    let part = match part {
        0 => Part::Whole,
        1 => Part::First,
        2 => Part::Middle,
        3 => Part::Last,
        _ => return None,
    };
    let length = usize::try_from(input.u32()?).ok()?;
    Some(LogLine::piece(at, source, part, input.text(length)?))
}

fn put_short(bytes: &mut Vec<u8>, text: &str) -> io::Result<()> {
    bytes.push(u8::try_from(text.len()).map_err(too_large)?);
    bytes.extend(text.as_bytes());
    Ok(())
}

fn too_large(error: std::num::TryFromIntError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, error)
}

/// What is left of a body.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn text(&mut self, length: usize) -> Option<&'a str> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(taken).ok()
    }

    fn short(&mut self) -> Option<&'a str> {
        let length = self.u8()?;
        self.text(usize::from(length))
    }
}
