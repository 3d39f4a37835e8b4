//! From an archive to a build context: an uncompressed tar that the engine takes, made in two passes.
//!
//! Invariant: the first pass checks everything, so that nothing of a refused archive reaches the engine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::archive::{self, ArchiveError, ArchiveLimits, Entry, EntryKind};
use super::dockerignore::Ignore;
use crate::model::app_json::APP_JSON;

/// Name of the file that says how the image is built.
pub const DOCKERFILE: &str = "Dockerfile";
const PROCFILE: &str = "Procfile";
const DOCKERIGNORE: &str = ".dockerignore";
/// Longest Dockerfile, Procfile or `.dockerignore`, in bytes.
const TEXT_LIMIT: u64 = 1024 * 1024;
/// Names of the root that a message lists.
const NAMES_SHOWN: usize = 10;
/// Lines of a `.dockerignore`: each is held against every path.
const PATTERNS: usize = 1000;

/// What the first pass found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspected {
    pub files: u64,
    /// Bytes of all files, unpacked.
    pub bytes: u64,
    /// `None` when there is none at the root.
    pub procfile: Option<Vec<u8>>,
    /// `None` when there is none at the root.
    pub dockerfile: Option<Vec<u8>>,
    /// The `app.json` at the root; `None` when there is none, or one too large to be one.
    pub manifest: Option<Vec<u8>>,
    /// Some names of the root, for a message.
    pub root: Vec<String>,
    /// The one folder that holds everything, which is left out of the context.
    folder: Option<String>,
    /// Text of the `.dockerignore`; the engine leaves it to its clients to obey it.
    ignore: String,
}

/// Reads the whole archive and checks every entry. Blocks; ends soon after `stop` is cancelled.
pub fn inspect(
    archive: &Path,
    limits: &ArchiveLimits,
    stop: &CancellationToken,
) -> Result<Inspected, ArchiveError> {
    let mut survey = Survey::default();
    archive::walk(archive, limits, stop, &mut |entry| survey.visit(entry))?;
    survey.finish()
}

/// Writes the context to a new file at `to`, with `dockerfile` in place of the archive's own. Blocks; ends
/// soon after `stop` is cancelled, and may leave a part of the file then.
pub fn write_context(
    archive: &Path,
    limits: &ArchiveLimits,
    stop: &CancellationToken,
    inspected: &Inspected,
    context: Context<'_>,
) -> Result<(), ArchiveError> {
    let file = BufWriter::with_capacity(256 * 1024, File::create(context.to)?);
    let mut tar = tar::Builder::new(file);
    let prefix = inspected.folder.as_deref();
    let ignore = Ignore::parse(&inspected.ignore);
    archive::walk(archive, limits, stop, &mut |entry| {
        let Some(path) = inside(&entry.path, prefix) else { return Ok(()) };
        if path != DOCKERFILE && ignore.leaves_out(path) {
            return Ok(());
        }
        let mut dockerfile = context.dockerfile.as_bytes();
        let (size, content): (u64, &mut dyn Read) = if path == DOCKERFILE {
            (dockerfile.len() as u64, &mut dockerfile)
        } else {
            (entry.size, entry.content)
        };
        let mut header = header(entry.kind, entry.modified, size);
        Ok(tar.append_data(&mut header, path, content)?)
    })?;
    let mut file = tar.into_inner()?;
    file.flush()?;
    Ok(())
}

/// What the second pass writes, and where.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    pub to: &'a Path,
    pub dockerfile: &'a str,
}

/// A header with nothing of the sender's machine in it but the time.
fn header(kind: EntryKind, modified: u64, size: u64) -> tar::Header {
    /// The octal field of a tar ends in the year 2242.
    const LATEST: u64 = 0o77_777_777_777;
    let mut header = tar::Header::new_gnu();
    let (kind, mode) = match kind {
        EntryKind::Folder => (tar::EntryType::Directory, 0o755),
        EntryKind::File { executable: true } => (tar::EntryType::Regular, 0o755),
        EntryKind::File { executable: false } => (tar::EntryType::Regular, 0o644),
    };
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(modified.min(LATEST));
    header.set_size(size);
    header
}

/// The path below the one folder, if there is one; `None` for what does not belong to the source.
fn inside<'p>(path: &'p str, folder: Option<&str>) -> Option<&'p str> {
    if is_foreign(path) {
        return None;
    }
    match folder {
        None => Some(path),
        Some(folder) => path.strip_prefix(folder)?.strip_prefix('/'),
    }
}

/// What macOS adds beside the source: to a zip a folder, to a tar a file for each one that has attributes.
fn is_foreign(path: &str) -> bool {
    path == "__MACOSX" || path.starts_with("__MACOSX/") || (path.starts_with("._") && !path.contains('/'))
}

/// Collects what the root is and what it holds while the archive is read.
#[derive(Default)]
struct Survey {
    files: u64,
    bytes: u64,
    /// First parts of all paths, and whether one of them is a file.
    top: BTreeSet<String>,
    has_top_file: bool,
    /// Names below the first folder; only a few are kept.
    second: BTreeSet<String>,
    /// Dockerfile and Procfile of the root and of the first folder.
    texts: BTreeMap<String, Vec<u8>>,
    first_folder: Option<String>,
}

impl Survey {
    fn visit(&mut self, entry: Entry<'_>) -> Result<(), ArchiveError> {
        if is_foreign(&entry.path) {
            return Ok(());
        }
        let is_file = entry.kind != EntryKind::Folder;
        if is_file {
            self.files += 1;
            self.bytes += entry.size;
        }
        let (top, below) = match entry.path.split_once('/') {
            Some((top, below)) => (top, Some(below)),
            None => (entry.path.as_str(), None),
        };
        if self.top.len() <= NAMES_SHOWN {
            self.top.insert(top.to_owned());
        }
        self.has_top_file |= is_file && below.is_none();
        let first = self.first_folder.get_or_insert_with(|| top.to_owned());
        if first == top
            && self.second.len() < NAMES_SHOWN
            && let Some(name) = below.and_then(|below| below.split('/').next())
        {
            self.second.insert(name.to_owned());
        }
        let name = if first == top { below.unwrap_or(top) } else { top };
        let wanted = matches!(name, DOCKERFILE | PROCFILE | DOCKERIGNORE | APP_JSON)
            && (below.is_none() || below == Some(name));
        // A build has no use for it, so that it is no reason to refuse one.
        let ignored = name == APP_JSON && entry.size > TEXT_LIMIT;
        if is_file && wanted && !ignored {
            let text = read_text(entry.size, name, entry.content)?;
            self.texts.insert(entry.path, text);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Inspected, ArchiveError> {
        if self.files == 0 {
            return Err(ArchiveError::Refused("The source is empty: the archive holds no file.".to_owned()));
        }
        let folder = match self.first_folder {
            Some(folder) if !self.has_top_file && self.top.len() == 1 => Some(folder),
            _ => None,
        };
        let mut text = |name: &str| match &folder {
            Some(folder) => self.texts.remove(&format!("{folder}/{name}")),
            None => self.texts.remove(name),
        };
        let (procfile, dockerfile, manifest) = (text(PROCFILE), text(DOCKERFILE), text(APP_JSON));
        let ignore = text(DOCKERIGNORE).unwrap_or_default();
        let ignore = String::from_utf8_lossy(&ignore).into_owned();
        if ignore.lines().count() > PATTERNS {
            let message = format!("The {DOCKERIGNORE} has more than {PATTERNS} lines.");
            return Err(ArchiveError::Refused(message));
        }
        let root = if folder.is_some() { self.second } else { self.top };
        Ok(Inspected {
            files: self.files,
            bytes: self.bytes,
            procfile,
            dockerfile,
            manifest,
            root: root.into_iter().take(NAMES_SHOWN).collect(),
            folder,
            ignore,
        })
    }
}

fn read_text(size: u64, name: &str, content: &mut dyn Read) -> Result<Vec<u8>, ArchiveError> {
    if size > TEXT_LIMIT {
        return Err(ArchiveError::Refused(format!("The {name} is larger than 1 MiB.")));
    }
    let mut text = Vec::new();
    io::copy(content, &mut text)?;
    Ok(text)
}

#[cfg(test)]
#[path = "unpack_tests.rs"]
mod tests;
