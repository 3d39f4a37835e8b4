//! Archives of users, walked entry by entry: zip, tar.gz and tar, recognised by content.
//!
//! Invariants: nothing is extracted; memory does not grow with the archive; every path handed on is relative,
//! without `..`, and belongs to a file or a folder, never to a link or a device.

mod tar;
mod zip;

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::SystemTime;

use flate2::bufread::MultiGzDecoder;
use tokio_util::sync::CancellationToken;

use self::tar::{BLOCK, is_header};
use crate::model::rule::shown;

const MIB: u64 = 1024 * 1024;

/// What an archive may hold at most.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveLimits {
    pub entries: u64,
    /// Bytes of one file.
    pub file: u64,
    /// Bytes of all files together.
    pub total: u64,
    /// Unpacked bytes for each packed byte, where the total is above [`ArchiveLimits::ratio_from`].
    pub ratio: u64,
    pub ratio_from: u64,
    /// Bytes of a path.
    pub path: usize,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self {
            entries: 50_000,
            file: 1024 * MIB,
            total: 2048 * MIB,
            ratio: 200,
            ratio_from: 10 * MIB,
            path: 1024,
        }
    }
}

/// Why an archive is not used.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive is at fault; a sentence for the user.
    #[error("{0}")]
    Refused(String),
    /// This machine is at fault.
    #[error("the archive cannot be worked on: {0}")]
    Io(#[from] io::Error),
    #[error("the work was stopped")]
    Stopped,
}

/// One file or folder of an archive.
pub(super) struct Entry<'a> {
    /// Relative, its parts joined by `/`.
    pub(super) path: String,
    pub(super) kind: EntryKind,
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) modified: u64,
    /// Ends after `size` bytes, or with an error.
    pub(super) content: &'a mut dyn Read,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    Folder,
    File { executable: bool },
}

/// Calls `visit` for each entry in the archive's order. What it does not read is read and checked all the
/// same. Blocks; ends soon after `stop` is cancelled.
pub(super) fn walk(
    archive: &Path,
    limits: &ArchiveLimits,
    stop: &CancellationToken,
    visit: &mut dyn FnMut(Entry<'_>) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let mut file = File::open(archive)?;
    let metadata = file.metadata()?;
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let mut walker = Walker {
        limits,
        stop,
        packed: metadata.len(),
        modified: modified.map_or(0, |since| since.as_secs()),
        entries: 0,
        bytes: 0,
        visit,
    };
    match recognise(&mut file)? {
        Format::Zip => walker.zip(file, archive),
        Format::Tar => walker.tar(BufReader::new(file)),
        Format::Gzip => {
            let mut start = [0; BLOCK];
            let mut decoder = MultiGzDecoder::new(BufReader::new(File::open(archive)?));
            let length = fill(&mut decoder, &mut start).map_err(|error| damaged(&error))?;
            if !start.get(..length).is_some_and(is_header) {
                return Err(refused(
                    "The source is compressed with gzip but holds no tar archive; send a tar.gz, tar or zip.",
                ));
            }
            walker.tar(MultiGzDecoder::new(BufReader::new(file)))
        }
    }
}

enum Format {
    Zip,
    Tar,
    Gzip,
}

fn recognise(file: &mut File) -> Result<Format, ArchiveError> {
    let mut start = [0; BLOCK];
    let length = fill(file, &mut start)?;
    file.seek(SeekFrom::Start(0))?;
    let start = start.get(..length).unwrap_or_default();
    match start {
        [0x1f, 0x8b, ..] => Ok(Format::Gzip),
        [b'P', b'K', 3, 4, ..] => Ok(Format::Zip),
        [b'P', b'K', 5, 6, ..] => Err(refused("The source is an empty zip archive: it holds no file.")),
        [] => Err(refused("The source is empty; send a zip, tar.gz or tar of the source code.")),
        _ if is_header(start) => Ok(Format::Tar),
        _ => Err(refused("The source is no archive: it is neither zip nor tar.gz nor tar.")),
    }
}

struct Walker<'w> {
    limits: &'w ArchiveLimits,
    stop: &'w CancellationToken,
    /// Bytes of the archive itself.
    packed: u64,
    modified: u64,
    entries: u64,
    bytes: u64,
    visit: &'w mut dyn FnMut(Entry<'_>) -> Result<(), ArchiveError>,
}

impl Walker<'_> {
    fn entry(&mut self, found: Found, content: &mut dyn Read) -> Result<(), ArchiveError> {
        let Found { name, kind, size, modified } = found;
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(self.too_many());
        }
        if size > self.limits.file {
            return Err(refused_entry(&name, &format!("is larger than {}", megabytes(self.limits.file))));
        }
        self.charge(size)?;
        let Some(path) = clean_path(&name, self.limits.path)? else { return Ok(()) };
        if kind == EntryKind::Folder && size > 0 {
            return Err(refused_entry(&name, "is a folder with content of its own"));
        }
        let mut content = Checked { inner: content, name: &name, left: size, stop: self.stop, failed: None };
        let visited = (self.visit)(Entry { path, kind, size, modified, content: &mut content });
        // The first fault is the content's: what the visitor made of it is only a consequence.
        let read = io::copy(&mut content, &mut io::sink());
        if let Some(failed) = content.failed {
            return Err(failed);
        }
        visited?;
        read?;
        Ok(())
    }

    fn charge(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        if self.stop.is_cancelled() {
            return Err(ArchiveError::Stopped);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.total {
            return Err(refused(&format!(
                "The source is too large: unpacked it has more than {}. Leave out what the build does not need.",
                megabytes(self.limits.total)
            )));
        }
        if self.bytes > self.limits.ratio_from && self.bytes / self.limits.ratio > self.packed {
            return Err(refused(&format!(
                "The source is refused as an archive bomb: it unpacks to more than {} times its own size.",
                self.limits.ratio
            )));
        }
        Ok(())
    }

    fn too_many(&self) -> ArchiveError {
        refused(&format!(
            "The source has more than {} files and folders. Leave out what the build does not need.",
            self.limits.entries
        ))
    }
}

/// An entry as the archive names it.
struct Found {
    name: String,
    kind: EntryKind,
    size: u64,
    modified: u64,
}

/// The path without `.` parts and doubled slashes; `None` for the root itself.
fn clean_path(name: &str, limit: usize) -> Result<Option<String>, ArchiveError> {
    if name.len() > limit {
        return Err(refused_entry(name, &format!("has a path of more than {limit} bytes")));
    }
    if name.starts_with('/') {
        return Err(refused_entry(name, "has an absolute path"));
    }
    if name.contains('\0') || name.contains('\\') {
        return Err(refused_entry(name, "has a backslash or a NUL character in its path"));
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(refused_entry(name, "leads out of the source with \"..\""));
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

/// A content that has exactly the length its header says, and remembers what went wrong.
struct Checked<'a> {
    inner: &'a mut dyn Read,
    name: &'a str,
    left: u64,
    stop: &'a CancellationToken,
    failed: Option<ArchiveError>,
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut fail = |error| {
            self.failed = Some(error);
            Err(io::Error::other("the archive is at fault"))
        };
        if self.stop.is_cancelled() {
            return fail(ArchiveError::Stopped);
        }
        match self.inner.read(buffer) {
            Ok(0) if self.left > 0 && !buffer.is_empty() => fail(truncated()),
            Ok(length) if length as u64 > self.left => {
                fail(refused_entry(self.name, "is longer than the archive says"))
            }
            Ok(length) => {
                self.left -= length as u64;
                Ok(length)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => fail(damaged(&error)),
        }
    }
}

fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let length = buffer.len() as u64;
    io::copy(&mut reader.take(length), &mut io::Cursor::new(buffer))
        .map(|read| usize::try_from(read).unwrap_or(usize::MAX))
}

fn refused(message: &str) -> ArchiveError {
    ArchiveError::Refused(message.to_owned())
}

fn refused_entry(name: &str, why: &str) -> ArchiveError {
    ArchiveError::Refused(format!("The source is refused: \"{}\" {why}.", shown(name)))
}

fn link(name: &str, kind: &str) -> ArchiveError {
    refused_entry(name, &format!("is a {kind} link; pack the file itself"))
}

fn device(name: &str) -> ArchiveError {
    refused_entry(name, "is a device, a pipe or a socket")
}

fn truncated() -> ArchiveError {
    refused("The source is cut short: the archive ends in the middle of a file. Send it again.")
}

fn damaged(error: &io::Error) -> ArchiveError {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return truncated();
    }
    ArchiveError::Refused(format!("The source is damaged: {error}. Pack and send it again."))
}

fn megabytes(bytes: u64) -> String {
    format!("{} MiB", bytes / MIB)
}
