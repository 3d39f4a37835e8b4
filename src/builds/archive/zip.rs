//! Zip archives, read along their central directory without holding it in memory.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

use super::{ArchiveError, EntryKind, Found, Walker, damaged, device, link, refused};
use crate::model::rule::shown;

impl Walker<'_> {
    pub(super) fn zip(&mut self, file: File, path: &Path) -> Result<(), ArchiveError> {
        // A second open file, because reading an entry moves the position of the first.
        let mut body = BufReader::new(File::open(path)?);
        let directory = BufReader::new(file);
        let mut archive =
            ZipIterable::try_new(directory, zip::read::Config::default()).map_err(|e| zip_error(&e))?;
        if archive.len() as u64 > self.limits.entries {
            return Err(self.too_many());
        }
        for entry in archive.files().map_err(|e| zip_error(&e))? {
            let entry = entry.map_err(|e| zip_error(&e))?;
            let name = entry.name().map_err(|e| zip_error(&e))?.into_owned();
            if entry.encrypted() {
                return Err(refused(&format!(
                    "The archive is encrypted (\"{}\"); send it without a password.",
                    shown(&name)
                )));
            }
            let mode = entry.unix_mode();
            let found = Found {
                kind: zip_kind(&name, mode, entry.is_dir())?,
                size: entry.size(),
                modified: self.modified,
                name,
            };
            let mut content =
                entry.with_reader(&mut body, zip::read::ZipReadOptions::new()).map_err(|e| zip_error(&e))?;
            self.entry(found, &mut content)?;
        }
        Ok(())
    }
}

fn zip_kind(name: &str, mode: Option<u32>, folder: bool) -> Result<EntryKind, ArchiveError> {
    const TYPE: u32 = 0o170_000;
    match mode.map_or(0, |mode| mode & TYPE) {
        _ if folder => Ok(EntryKind::Folder),
        0 | 0o100_000 => Ok(EntryKind::File { executable: mode.is_some_and(|mode| mode & 0o100 != 0) }),
        0o040_000 => Ok(EntryKind::Folder),
        0o120_000 => Err(link(name, "symbolic")),
        _ => Err(device(name)),
    }
}

fn zip_error(error: &ZipError) -> ArchiveError {
    if let ZipError::Io(error) = error {
        return damaged(error);
    }
    if let ZipError::CompressionMethodNotSupported(_) = error {
        return refused(
            "The zip archive uses a compression other than deflate; pack it with plain zip or send a tar.gz.",
        );
    }
    ArchiveError::Refused(format!(
        "The zip archive cannot be read ({error}); it may be cut short. Pack and send it again."
    ))
}
