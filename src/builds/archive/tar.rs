//! Tar archives: long names and attributes are read here, with a bound, instead of by the library.

use std::io::{self, Read};

use tar::EntryType;

use super::{ArchiveError, EntryKind, Found, Walker, damaged, device, link, refused, refused_entry};

/// Bytes of a header.
pub(super) const BLOCK: usize = 512;
/// Longest extension header: a long name or a list of attributes.
const EXTENSION_LIMIT: u64 = 64 * 1024;

impl Walker<'_> {
    pub(super) fn tar(&mut self, reader: impl Read) -> Result<(), ArchiveError> {
        let mut archive = tar::Archive::new(reader);
        let entries = archive.entries().map_err(|e| damaged(&e))?.raw(true);
        let mut long_name = None;
        for entry in entries {
            let mut entry = entry.map_err(|e| damaged(&e))?;
            let kind = entry.header().entry_type();
            if kind == EntryType::XGlobalHeader {
                self.charge(BLOCK as u64 + entry.size())?;
            } else if matches!(kind, EntryType::GNULongName | EntryType::XHeader | EntryType::GNULongLink) {
                self.charge(BLOCK as u64 + entry.size())?;
                long_name = extension(&mut entry)?.or(long_name);
            } else {
                let name = match long_name.take() {
                    Some(name) => name,
                    None => entry.path_bytes().into_owned(),
                };
                let name = String::from_utf8(name).map_err(|error| {
                    let name = String::from_utf8_lossy(error.as_bytes()).into_owned();
                    refused_entry(&name, "is not named in UTF-8; rename it")
                })?;
                let found = Found {
                    kind: tar_kind(&name, kind, entry.header())?,
                    size: entry.size(),
                    modified: entry.header().mtime().unwrap_or(self.modified),
                    name,
                };
                self.entry(found, &mut entry)?;
            }
        }
        Ok(())
    }
}

/// Whether a block carries its own checksum, as every tar header since the first does.
pub(super) fn is_header(block: &[u8]) -> bool {
    if block.len() < BLOCK {
        return false;
    }
    let header = tar::Header::from_byte_slice(block);
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { u32::from(b' ') } else { u32::from(*byte) })
        .sum();
    header.cksum().is_ok_and(|stored| stored == sum)
}

fn tar_kind(name: &str, kind: EntryType, header: &tar::Header) -> Result<EntryKind, ArchiveError> {
    // Before there was a type for folders, a slash at the end made one.
    if kind.is_dir() || (kind.is_file() && name.ends_with('/')) {
        Ok(EntryKind::Folder)
    } else if kind.is_file() || kind.is_contiguous() {
        Ok(EntryKind::File { executable: header.mode().is_ok_and(|mode| mode & 0o100 != 0) })
    } else if kind.is_symlink() {
        Err(link(name, "symbolic"))
    } else if kind.is_hard_link() {
        Err(link(name, "hard"))
    } else if kind.is_character_special() || kind.is_block_special() || kind.is_fifo() {
        Err(device(name))
    } else {
        Err(refused_entry(name, "is of a kind that is not taken (sparse files and the like)"))
    }
}

/// Reads a header that says more about the next entry; its path, if that is what it says.
fn extension(entry: &mut tar::Entry<'_, impl Read>) -> Result<Option<Vec<u8>>, ArchiveError> {
    if entry.size() > EXTENSION_LIMIT {
        return Err(refused("The source has a tar header that is longer than 64 KiB."));
    }
    let kind = entry.header().entry_type();
    let mut content = Vec::new();
    entry.read_to_end(&mut content).map_err(|e| damaged(&e))?;
    if content.len() as u64 != entry.size() {
        return Err(damaged(&io::ErrorKind::UnexpectedEof.into()));
    }
    if kind == EntryType::GNULongName {
        let end = content.iter().position(|byte| *byte == 0).unwrap_or(content.len());
        content.truncate(end);
        return Ok(Some(content));
    }
    if kind == EntryType::GNULongLink {
        return Ok(None);
    }
    let mut path = None;
    for record in PaxRecords(&content) {
        match record? {
            (b"path", value) => path = Some(value.to_owned()),
            // Only files above 8 GiB need it; two sizes for one file are how parsers are deceived.
            (b"size", _) => return Err(refused("The source has a tar header with a second file size.")),
            (key, _) if key.starts_with(b"GNU.sparse") => {
                return Err(refused("The source has a sparse file, which is not taken; pack it without -S."));
            }
            _ => {}
        }
    }
    Ok(path)
}

/// The records `<length> <key>=<value>\n` of an extended header. The length counts, because a value may hold any byte:
/// the attributes that macOS keeps hold line feeds (POSIX.1-2024, pax, Extended Header).
struct PaxRecords<'c>(&'c [u8]);

impl<'c> Iterator for PaxRecords<'c> {
    type Item = Result<(&'c [u8], &'c [u8]), ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Some((key, value, rest)) = pax_record(self.0) else {
            self.0 = &[];
            let malformed = io::Error::new(io::ErrorKind::InvalidData, "malformed extended header");
            return Some(Err(damaged(&malformed)));
        };
        self.0 = rest;
        Some(Ok((key, value)))
    }
}

/// The key and value of the first record, and what follows it.
fn pax_record(content: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = content.iter().position(|byte| *byte == b' ')?;
    let (digits, _) = content.split_at_checked(space)?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let (record, rest) = content.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = record.split_at_checked(equals)?;
    Some((key, value.get(1..)?, rest))
}
