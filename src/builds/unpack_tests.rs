//! Archives as people pack them, and as an attacker would.

use std::io::{Cursor, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tar::{EntryType, Header};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

/// What came out: the context's entries as (path, mode, content), or the refusal's text.
type Outcome = Result<(Inspected, Vec<(String, u32, Vec<u8>)>), String>;

fn unpack(archive: &[u8], limits: &ArchiveLimits) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    let (source, context) = (dir.path().join("source"), dir.path().join("context.tar"));
    std::fs::write(&source, archive).unwrap();
    let stop = CancellationToken::new();
    let inspected = inspect(&source, limits, &stop).map_err(|error| error.to_string())?;
    let wanted = Context { to: &context, dockerfile: "FROM changed\n" };
    write_context(&source, limits, &stop, &inspected, wanted).map_err(|error| error.to_string())?;
    let mut written = tar::Archive::new(File::open(&context).unwrap());
    let mut entries = Vec::new();
    for entry in written.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert_eq!(entry.header().uid().unwrap(), 0);
        let path = entry.path().unwrap().to_str().unwrap().to_owned();
        entries.push((path, entry.header().mode().unwrap(), content));
    }
    Ok((inspected, entries))
}

fn refusal(archive: &[u8]) -> String {
    unpack(archive, &ArchiveLimits::default()).unwrap_err()
}

/// A tar entry written without the library's own checks of the path.
fn raw_entry(tar: &mut tar::Builder<Vec<u8>>, name: &[u8], kind: EntryType, content: &[u8]) {
    let mut header = Header::new_ustar();
    header.as_old_mut().name.get_mut(..name.len()).unwrap().copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o777);
    header.set_uid(1000);
    header.set_mtime(7);
    header.set_size(content.len() as u64);
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

fn tar_of(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        raw_entry(&mut tar, name.as_bytes(), *kind, content);
    }
    tar.into_inner().unwrap()
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zip_of(entries: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default().unix_permissions(*mode)).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn tar_gzip_and_zip_give_the_same_context() {
    let tar = tar_of(&[
        ("./", EntryType::Directory, b""),
        ("./Dockerfile", EntryType::Regular, b"FROM scratch"),
        ("./Procfile", EntryType::Regular, b"web: x"),
        ("./bin/./run", EntryType::Regular, b"#!"),
    ]);
    let zip = zip_of(&[
        ("Dockerfile", 0o777, b"FROM scratch"),
        ("Procfile", 0o700, b"web: x"),
        ("bin/run", 0o755, b"#!"),
    ]);
    for archive in [tar.clone(), gzip(&tar), zip] {
        let (inspected, entries) = unpack(&archive, &ArchiveLimits::default()).unwrap();
        assert_eq!(inspected.dockerfile.as_deref(), Some(b"FROM scratch".as_slice()));
        assert_eq!(inspected.procfile.as_deref(), Some(b"web: x".as_slice()));
        assert_eq!((inspected.files, inspected.bytes), (3, 20));
        let expected = [
            ("Dockerfile".to_owned(), 0o755, b"FROM changed\n".to_vec()),
            ("Procfile".to_owned(), 0o755, b"web: x".to_vec()),
            ("bin/run".to_owned(), 0o755, b"#!".to_vec()),
        ];
        assert_eq!(entries, expected);
    }
}

#[test]
fn a_single_folder_is_flattened_and_what_macos_adds_is_left_out() {
    let zip = zip_of(&[
        ("app-1/Dockerfile", 0o644, b"FROM a"),
        ("app-1/src/Dockerfile", 0o644, b"other"),
        ("__MACOSX/app-1/._Dockerfile", 0o644, b"junk"),
    ]);
    let (inspected, entries) = unpack(&zip, &ArchiveLimits::default()).unwrap();
    assert_eq!(inspected.dockerfile.as_deref(), Some(b"FROM a".as_slice()));
    let paths: Vec<&str> = entries.iter().map(|(path, _, _)| path.as_str()).collect();
    assert_eq!(paths, ["Dockerfile", "src/Dockerfile"]);
    assert_eq!(entries.last().unwrap().2, b"other");
}

#[test]
fn a_tar_of_macos_is_understood() {
    let mut tar = tar::Builder::new(Vec::new());
    // The length counts its own two digits.
    let record = |rest: &str| format!("{}{rest}", rest.len() + 2);
    let attributes = record(" SCHILY.xattr.com.apple.metadata:_kMDItemUserTags=Red\n6\n")
        + &record(" LIBARCHIVE.xattr.com.apple.provenance=\n=\0\n");
    raw_entry(&mut tar, b"./._app", EntryType::Regular, b"attributes");
    raw_entry(&mut tar, b"x", EntryType::XHeader, attributes.as_bytes());
    raw_entry(&mut tar, b"app/", EntryType::Directory, b"");
    raw_entry(&mut tar, b"app/Dockerfile", EntryType::Regular, b"FROM a");
    let (inspected, entries) = unpack(&tar.into_inner().unwrap(), &ArchiveLimits::default()).unwrap();
    assert_eq!(inspected.dockerfile.as_deref(), Some(b"FROM a".as_slice()));
    let paths: Vec<&str> = entries.iter().map(|(path, _, _)| path.as_str()).collect();
    assert_eq!(paths, ["Dockerfile"]);
}

#[test]
fn a_broken_extended_header_is_refused() {
    for broken in [
        "9 a=b\n",
        "2 ",
        "x a=b\n",
        "7 a=bcd",
        "99999999999999999999 a=b\n",
        "6 abc\n",
        "0 a=b\n",
        "+7 a=b\n",
    ] {
        let mut tar = tar::Builder::new(Vec::new());
        raw_entry(&mut tar, b"x", EntryType::XHeader, broken.as_bytes());
        raw_entry(&mut tar, b"Dockerfile", EntryType::Regular, b"FROM a");
        let error = refusal(&tar.into_inner().unwrap());
        assert!(error.contains("malformed"), "{broken:?}: {error}");
    }
}

#[test]
fn what_dockerignore_names_stays_out_but_never_the_dockerfile() {
    let zip = zip_of(&[
        ("app/.dockerignore", 0o644, b"*\n!src\nsrc/*.log\n"),
        ("app/Dockerfile", 0o644, b"FROM a"),
        ("app/Procfile", 0o644, b"web: x"),
        ("app/src/a.rs", 0o644, b""),
        ("app/src/a.log", 0o644, b""),
    ]);
    let (inspected, entries) = unpack(&zip, &ArchiveLimits::default()).unwrap();
    assert!(inspected.procfile.is_some());
    let paths: Vec<&str> = entries.iter().map(|(path, _, _)| path.as_str()).collect();
    assert_eq!(paths, ["Dockerfile", "src/a.rs"]);
    let long = "x\n".repeat(1001);
    let zip = zip_of(&[("Dockerfile", 0o644, b"FROM a"), (".dockerignore", 0o644, long.as_bytes())]);
    assert!(refusal(&zip).contains("more than 1000 lines"));
}

#[test]
fn two_folders_stay_and_the_root_is_named() {
    let zip = zip_of(&[("a/Dockerfile", 0o644, b"FROM a"), ("b/x", 0o644, b"")]);
    let (inspected, _) = unpack(&zip, &ArchiveLimits::default()).unwrap();
    assert_eq!(inspected.dockerfile, None);
    assert_eq!(inspected.root, ["a", "b"]);
}

#[test]
fn global_headers_and_long_names_are_understood() {
    let mut tar = tar::Builder::new(Vec::new());
    raw_entry(
        &mut tar,
        b"pax_global_header",
        EntryType::XGlobalHeader,
        b"52 comment=0123456789012345678901234567890123456789\n",
    );
    let long = format!("top/{}/x", "d".repeat(200));
    let mut header = Header::new_gnu();
    header.set_size(2);
    header.set_mode(0o644);
    tar.append_data(&mut header, &long, b"hi".as_slice()).unwrap();
    raw_entry(&mut tar, b"x", EntryType::XHeader, "22 path=top/täx-name\n".as_bytes());
    raw_entry(&mut tar, b"short", EntryType::Regular, b"");
    let (_, entries) = unpack(&gzip(&tar.into_inner().unwrap()), &ArchiveLimits::default()).unwrap();
    let paths: Vec<&str> = entries.iter().map(|(path, _, _)| path.as_str()).collect();
    assert_eq!(paths, [long.strip_prefix("top/").unwrap(), "täx-name"]);
}

#[test]
fn hostile_entries_are_refused_by_name() {
    for (name, kind, part) in [
        ("../evil", EntryType::Regular, "leads out"),
        ("a/../../evil", EntryType::Regular, "leads out"),
        ("/etc/evil", EntryType::Regular, "absolute"),
        ("a\\..\\evil", EntryType::Regular, "backslash"),
        ("evil", EntryType::Symlink, "symbolic link"),
        ("evil", EntryType::Link, "hard link"),
        ("evil", EntryType::Char, "device"),
        ("evil", EntryType::Block, "device"),
        ("evil", EntryType::Fifo, "device"),
        ("evil", EntryType::GNUSparse, "sparse"),
    ] {
        let error = refusal(&tar_of(&[("Dockerfile", EntryType::Regular, b"FROM a"), (name, kind, b"")]));
        assert!(error.contains("evil") && error.contains(part), "{name}: {error}");
    }
    let error = refusal(&zip_of(&[("../evil", 0o644, b"x")]));
    assert!(error.contains("leads out"), "{error}");
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("evil", "/etc/passwd", SimpleFileOptions::default()).unwrap();
    let error = refusal(&zip.finish().unwrap().into_inner());
    assert!(error.contains("symbolic link"), "{error}");
}

#[test]
fn a_name_that_is_no_text_or_too_long_is_refused() {
    let mut tar = tar::Builder::new(Vec::new());
    raw_entry(&mut tar, b"caf\xe9", EntryType::Regular, b"");
    assert!(refusal(&tar.into_inner().unwrap()).contains("UTF-8"));
    let error = refusal(&zip_of(&[(&"x/".repeat(600), 0o644, b"")]));
    assert!(error.contains("more than 1024 bytes"), "{error}");
}

#[test]
fn bombs_are_refused_whether_by_ratio_size_or_count() {
    let zeros = vec![0; 30 * 1024 * 1024];
    let error = refusal(&zip_of(&[("zeros", 0o644, &zeros)]));
    assert!(error.contains("bomb"), "{error}");
    let error = refusal(&gzip(&tar_of(&[("zeros", EntryType::Regular, &zeros)])));
    assert!(error.contains("bomb"), "{error}");
    let small = ArchiveLimits { file: 100, total: 150, ..ArchiveLimits::default() };
    let error = unpack(&zip_of(&[("a", 0o644, &[1; 101])]), &small).unwrap_err();
    assert!(error.contains("is larger than"), "{error}");
    let error = unpack(&zip_of(&[("a", 0o644, &[1; 90]), ("b", 0o644, &[1; 90])]), &small).unwrap_err();
    assert!(error.contains("too large"), "{error}");
}

#[test]
fn sixty_thousand_entries_are_refused_in_every_form() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for n in 0..60_000 {
        raw_entry(&mut tar, format!("f{n}").as_bytes(), EntryType::Regular, b"");
        zip.start_file(format!("f{n}"), SimpleFileOptions::default()).unwrap();
    }
    for archive in [gzip(&tar.into_inner().unwrap()), zip.finish().unwrap().into_inner()] {
        let error = refusal(&archive);
        assert!(error.contains("more than 50000 files"), "{error}");
    }
}

#[test]
fn what_is_cut_short_or_no_archive_is_told_apart() {
    let content: Vec<u8> =
        (0..100_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let tar = tar_of(&[("data", EntryType::Regular, &content)]);
    for whole in [gzip(&tar), tar] {
        let error = refusal(whole.get(..whole.len() / 2).unwrap());
        assert!(error.contains("cut short"), "{error}");
    }
    let zip = zip_of(&[("data", 0o644, &content)]);
    let error = refusal(zip.get(..zip.len() / 2).unwrap());
    assert!(error.contains("cut short"), "{error}");
    let mut damaged = zip;
    *damaged.get_mut(5_000).unwrap() ^= 0xff;
    let error = refusal(&damaged);
    assert!(error.contains("damaged") || error.contains("cut short") || error.contains("longer"), "{error}");
    assert!(refusal(b"hello").contains("no archive"));
    assert!(refusal(b"").contains("empty"));
    assert!(refusal(&gzip(b"hello")).contains("holds no tar"));
    assert!(refusal(&zip_of(&[])).contains("empty"));
}

#[test]
fn an_encrypted_zip_asks_for_one_without_a_password() {
    let mut zip = zip_of(&[("secret", 0o644, b"x")]);
    // The flag of encryption in the central directory and in the local header.
    for signature in [b"PK\x01\x02", b"PK\x03\x04"] {
        let at = zip.windows(4).position(|window| window == signature).unwrap();
        *zip.get_mut(at + if signature == b"PK\x01\x02" { 8 } else { 6 }).unwrap() |= 1;
    }
    assert!(refusal(&zip).contains("without a password"));
}

#[test]
fn a_stopped_build_ends_the_reading() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    std::fs::write(&source, zip_of(&[("a", 0o644, b"x")])).unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    assert!(matches!(inspect(&source, &ArchiveLimits::default(), &stop), Err(ArchiveError::Stopped)));
}

proptest! {
    #[test]
    fn no_path_of_a_context_ever_leaves_it(names in proptest::collection::vec("[a./\\\\ -]{1,20}", 1..6)) {
        let entries: Vec<(&str, EntryType, &[u8])> =
            names.iter().map(|name| (name.as_str(), EntryType::Regular, b"x".as_slice())).collect();
        if let Ok((_, entries)) = unpack(&tar_of(&entries), &ArchiveLimits::default()) {
            for (path, _, _) in entries {
                prop_assert!(!path.starts_with('/') && !path.split('/').any(|part| part == ".."));
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        mut noise in proptest::collection::vec(any::<u8>(), 0..600),
        at in 0_usize..2_000,
        form in 0_usize..3,
    ) {
        let tar = tar_of(&[("a/b", EntryType::Regular, b"hello"), ("c", EntryType::Directory, b"")]);
        let whole = match form {
            0 => tar,
            1 => gzip(&tar),
            _ => zip_of(&[("a/b", 0o644, b"hello"), ("c", 0o755, b"x")]),
        };
        let at = at.min(whole.len());
        let mut archive = whole.get(..at).unwrap().to_vec();
        archive.append(&mut noise);
        archive.extend_from_slice(whole.get(archive.len().min(whole.len())..).unwrap());
        drop(unpack(&archive, &ArchiveLimits::default()));
    }
}
