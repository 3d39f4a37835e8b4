//! A segment: one file of a ring, named after the position of its first line.
//!
//! Invariant: a segment begins with the checkpoints that held when it was begun, so that the newest one alone tells
//! them all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::frame::{Checkpoint, HEADER, Header};
use crate::model::log::LogLine;

const SUFFIX: &str = ".seg";
/// Bytes that are read at once.
const BLOCK: usize = 64 * 1024;

/// What is whole of a segment.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Bytes up to the end of the last whole frame.
    pub(super) bytes: u64,
    /// The position after the last whole line.
    pub(super) next: u64,
    pub(super) checkpoints: Vec<Checkpoint>,
}

/// A segment that is open for reading, and how far it was read.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) start: u64,
    file: File,
    offset: u64,
}

/// The positions and lengths of the segments in a folder, oldest first.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(u64, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let start = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
        if let Some(start) = start {
            found.push((start, entry.metadata()?.len()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Makes a segment that begins with these bytes; a crash leaves all of it or nothing.
pub(super) fn create(folder: &Path, start: u64, content: &[u8]) -> io::Result<File> {
    let beside = folder.join("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    fs::rename(beside, path(folder, start))?;
    Ok(file)
}

/// Opens a segment for writing.
pub(super) fn open(folder: &Path, start: u64) -> io::Result<File> {
    OpenOptions::new().write(true).open(path(folder, start))
}

/// Removes a segment.
pub(super) fn remove(folder: &Path, start: u64) -> io::Result<()> {
    match fs::remove_file(path(folder, start)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads a segment as far as it is whole.
pub(super) fn scan(folder: &Path, start: u64) -> io::Result<Scan> {
    let mut input = BufReader::with_capacity(BLOCK, File::open(path(folder, start))?);
    let mut scan = Scan { next: start, ..Scan::default() };
    let mut header = [0; HEADER];
    let mut body = Vec::new();
    while filled(&mut input, &mut header)? {
        let Some(read) = Header::read(&header).filter(|read| read.first == scan.next) else { break };
        body.resize(read.length, 0);
        if !filled(&mut input, &mut body)? {
            break;
        }
        let Some(frame) = read.decode(&header, &body) else { break };
        scan.bytes += (HEADER + read.length) as u64;
        scan.next = read.end();
        scan.checkpoints.extend(frame.checkpoint);
    }
    Ok(scan)
}

impl Cursor {
    /// Opens the segment that begins at `start`, at the frame that holds `position`.
    pub(super) fn open(folder: &Path, start: u64, position: u64) -> io::Result<Self> {
        let mut input = BufReader::with_capacity(BLOCK, File::open(path(folder, start))?);
        let mut offset = 0;
        let mut header = [0; HEADER];
        while filled(&mut input, &mut header)? {
            let Some(read) = Header::read(&header).filter(|read| read.end() <= position) else { break };
            offset += (HEADER + read.length) as u64;
            input.seek_relative(i64::try_from(read.length).map_err(io::Error::other)?)?;
        }
        Ok(Self { start, file: input.into_inner(), offset })
    }

    /// Reads some of the lines from `position` to `until`, which all are written. Returns the position after them.
    pub(super) fn read(&mut self, position: u64, until: u64, lines: &mut Vec<LogLine>) -> io::Result<u64> {
        let mut block = vec![0; BLOCK];
        let present = read_at_most(&self.file, &mut block, self.offset)?;
        block.truncate(present);
        let (mut position, mut taken) = (position, 0);
        while position < until {
            let rest = block.get(taken..).unwrap_or_default();
            let Some((header, _)) = rest.split_first_chunk::<HEADER>() else { break };
            let read = Header::read(header).filter(|read| read.first <= position).ok_or_else(torn)?;
            let length = HEADER + read.length;
            if rest.len() < length {
                if taken > 0 {
                    break;
                }
                block.resize(length, 0);
                self.file.read_exact_at(&mut block, self.offset)?;
                continue;
            }
            let body = rest.get(HEADER..length).unwrap_or_default();
            let frame = read.decode(header, body).ok_or_else(torn)?;
            let known = usize::try_from(position - read.first).unwrap_or(usize::MAX);
            lines.extend(frame.lines.into_iter().skip(known));
            position = position.max(read.end());
            taken += length;
        }
        self.offset += taken as u64;
        if taken == 0 { Err(torn()) } else { Ok(position) }
    }
}

fn path(folder: &Path, start: u64) -> PathBuf {
    folder.join(format!("{start:020}{SUFFIX}"))
}

/// Whether an error says that a segment is not whole, as a power cut leaves it.
pub(super) fn is_torn(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

fn torn() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a segment of a log is damaged")
}

/// Fills the buffer; `false` when the input ends before.
fn filled(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn read_at_most(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
