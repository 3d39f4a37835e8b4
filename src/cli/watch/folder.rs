//! A folder as a source: which of its files are sent, and what tells one content from another.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use flate2::Compression;
use flate2::write::GzEncoder;
use ignore::WalkBuilder;
use sha2::{Digest, Sha256};

use crate::builds::dockerignore::Ignore;
use crate::builds::unpack::DOCKERFILE;

/// Bytes of all files together.
const LARGEST: u64 = 512 << 20;
/// Files of the root that are sent whatever the ignore files say: the daemon reads them.
const ALWAYS: [&str; 4] = [DOCKERFILE, "Procfile", ".dockerignore", "app.json"];
const DOCKERIGNORE: &str = ".dockerignore";
/// What git keeps beside the files.
const GIT: &str = ".git";

/// A folder that was packed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packed {
    /// A tar.gz.
    pub(super) archive: Vec<u8>,
    /// Of the names, contents and executable bits of the files, and of nothing else.
    pub(super) hash: String,
}

/// Passes on what is written and computes its hash.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

/// Packs the files of a folder that neither `.gitignore` nor `.dockerignore` leaves out. Blocks.
pub(super) fn pack(folder: &Path) -> anyhow::Result<Packed> {
    let gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let mut archive = tar::Builder::new(Hashing { inner: gzip, hash: Sha256::new() });
    let mut total = 0;
    for (path, name) in files(folder)? {
        let Some((content, executable)) = read(&path)? else { continue };
        total += content.len() as u64;
        if total > LARGEST {
            return Err(anyhow!(
                "the files of {} are larger than {} MiB; name what is not needed in .dockerignore",
                folder.display(),
                LARGEST >> 20
            ));
        }
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(if executable { 0o755 } else { 0o644 });
        header.set_mtime(0);
        archive.append_data(&mut header, &name, content.as_slice())?;
    }
    let Hashing { inner, hash } = archive.into_inner()?;
    Ok(Packed { archive: inner.finish()?, hash: hex::encode(hash.finalize()) })
}

/// Whether a path below the folder may be that of a file that is sent, as far as its name tells.
pub(super) fn concerns(folder: &Path, path: &Path) -> bool {
    let inside = path.strip_prefix(folder).unwrap_or(path);
    !inside.components().any(|part| part.as_os_str() == GIT)
}

/// The files in the order of their names, each with its name in the archive.
fn files(folder: &Path) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let dockerignore = match std::fs::read_to_string(folder.join(DOCKERIGNORE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.with_context(|| format!("{DOCKERIGNORE} cannot be read"))?,
    };
    let dockerignore = Ignore::parse(&dockerignore);
    let mut found = Vec::new();
    let walk = WalkBuilder::new(folder)
        .standard_filters(false)
        .git_ignore(true)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != GIT)
        .build();
    for entry in walk {
        let entry = match entry {
            // Removed since its folder was read.
            Err(error)
                if error.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound)
                    && error.depth() != Some(0) =>
            {
                continue;
            }
            entry => entry.with_context(|| format!("{} cannot be read", folder.display()))?,
        };
        if entry.file_type().is_none_or(|kind| kind.is_dir()) {
            continue;
        }
        let path = entry.into_path();
        let inside = path.strip_prefix(folder).unwrap_or(&path);
        let name =
            inside.to_str().ok_or_else(|| anyhow!("{} is not named in UTF-8; rename it", path.display()))?;
        if !ALWAYS.contains(&name) && dockerignore.leaves_out(name) {
            continue;
        }
        found.push((path.clone(), name.to_owned()));
    }
    for name in ALWAYS {
        let path = folder.join(name);
        if path.is_file() && !found.iter().any(|(_, known)| known == name) {
            found.push((path, name.to_owned()));
        }
    }
    found.sort_by(|(_, one), (_, other)| one.cmp(other));
    Ok(found)
}

/// The content, and whether it can be run; `None` when the file is not there any more.
fn read(path: &Path) -> anyhow::Result<Option<(Vec<u8>, bool)>> {
    use std::os::unix::fs::PermissionsExt;

    let unreadable = || format!("{} cannot be read", path.display());
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata.with_context(unreadable)?,
    };
    if !metadata.is_file() {
        return Err(anyhow!(
            "{} is a link or a device, which no build takes; name it in .dockerignore or replace it by a file",
            path.display()
        ));
    }
    if metadata.len() > LARGEST {
        return Err(anyhow!("{} is larger than {} MiB", path.display(), LARGEST >> 20));
    }
    let content = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => {
            let mut content = Vec::new();
            io::Read::read_to_end(&mut io::Read::take(file.with_context(unreadable)?, LARGEST), &mut content)
                .with_context(unreadable)?;
            content
        }
    };
    Ok(Some((content, metadata.permissions().mode() & 0o100 != 0)))
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        dir
    }

    fn names(folder: &Path) -> Vec<String> {
        let packed = pack(folder).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.archive.as_slice()));
        let entries = archive.entries().unwrap();
        entries.map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn ignored_files_stay_out_and_the_hidden_ones_are_sent() {
        let dir = folder(&[
            ("Dockerfile", "FROM x"),
            ("Procfile", "web: x"),
            (".gitignore", "*.log\n/target/\n!keep.log\n"),
            (".dockerignore", "docs\nProcfile\n**/*.md\n"),
            (".env.sample", "A=1"),
            (".git/config", "x"),
            ("docs/a", "x"),
            ("target/big", "x"),
            ("a.log", "x"),
            ("keep.log", "x"),
            ("src/.gitignore", "generated\n"),
            ("src/generated", "x"),
            ("src/main", "x"),
            ("src/deep/notes.md", "x"),
        ]);
        let sent = [
            ".dockerignore",
            ".env.sample",
            ".gitignore",
            "Dockerfile",
            "Procfile",
            "keep.log",
            "src/.gitignore",
            "src/main",
        ];
        assert_eq!(names(dir.path()), sent);
    }

    #[test]
    fn the_hash_is_that_of_what_is_sent() {
        use std::os::unix::fs::PermissionsExt;

        let dir = folder(&[("Dockerfile", "FROM x"), ("a", "1"), (".dockerignore", "left-out")]);
        let first = pack(dir.path()).unwrap();
        let again = |name: &str, content: &str| {
            std::fs::write(dir.path().join(name), content).unwrap();
            pack(dir.path()).unwrap().hash
        };
        assert_eq!(again("a", "1"), first.hash);
        assert_eq!(again("left-out", "2"), first.hash);
        assert_ne!(again("a", "2"), first.hash);
        let back = again("a", "1");
        assert_eq!(back, first.hash);
        std::fs::set_permissions(dir.path().join("a"), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_ne!(pack(dir.path()).unwrap().hash, first.hash);
    }

    #[test]
    fn a_link_is_named_and_may_be_ignored() {
        let dir = folder(&[("Dockerfile", "FROM x")]);
        std::os::unix::fs::symlink("Dockerfile", dir.path().join("link")).unwrap();
        let error = pack(dir.path()).unwrap_err().to_string();
        assert!(error.contains("link is a link"), "{error}");
        std::fs::write(dir.path().join(".dockerignore"), "link").unwrap();
        assert_eq!(names(dir.path()), [".dockerignore", "Dockerfile"]);
    }

    #[test]
    fn what_git_keeps_concerns_nobody() {
        let folder = Path::new("/a/.git/b");
        assert!(!concerns(folder, Path::new("/a/.git/b/.git/index")));
        assert!(concerns(folder, Path::new("/a/.git/b/src/x")));
    }
}
